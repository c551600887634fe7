"""The classifier: a picture to the probabilities of the labels. The original project's first model."""

from __future__ import annotations

from recsys.backbones.quiet_keras import keras


def build_classifier(
    backbone_model: keras.Model,
    labels: int,
    *,
    dropout: float = 0.5,
    freeze_layers: int = 143,  # of ResNet50, all but its last stage, conv5
    learning_rate: float = 1e-5,
) -> keras.Model:
    """Return the compiled model from RGB pixels to the labels' probabilities.

    In: (n, s, s, 3), uint8 or float, 0 to 255. Out: (n, labels) float32, each row's sum 1.

    Backbone → Flatten → Dropout → Dense softmax; categorical cross-entropy on one-hot labels, Adam, accuracy.
    It shares its layers with `backbone_model`, which `recsys.backbones.build` gave: freezing and training
    reach both.

    Args:
        freeze_layers: how many of the backbone's first layers keep their weights and batch norm statistics;
            counted as the original does: the input is the first, our preprocessing isn't counted.

    Source: the original project's slides.
    """
    counted = [layer for layer in backbone_model.layers if layer.name != "preprocess"]
    for position, layer in enumerate(counted):
        layer.trainable = position >= freeze_layers
    x = keras.layers.Flatten(name="flatten")(backbone_model.output)  # (n, h * w * c)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    x = keras.layers.Dense(labels, activation="softmax", dtype="float32", name="labels")(x)
    model = keras.Model(backbone_model.input, x, name=f"{backbone_model.name}_classifier")
    model.compile(optimizer=keras.optimizers.Adam(learning_rate), loss="categorical_crossentropy", metrics=["accuracy"])
    return model
