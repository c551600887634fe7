"""Build the classifier's Keras models: the original's network on pictures, and the head on frozen features."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from recsys.models.classifier.label_model import MIN_PROBABILITY
from recsys.vision.loading import Load
from recsys.vision.training_loop import outputs

if TYPE_CHECKING:
    from recsys.models.classifier.recipe import Recipe


def build_classifier(
    backbone_model: keras.Model,
    labels: int,
    *,
    dropout: float = 0.5,
    freeze_layers: int = 143,  # all of ResNet50 but its last stage, conv5
    learning_rate: float = 1e-5,
    weight_decay: float = 0.0,
    seed: int = 0,
) -> keras.Model:
    """Return the compiled model from RGB pixels to label probabilities.

    In: (n, s, s, 3), uint8 or float, 0 to 255. Out: (n, labels) float32, each row sums to 1.

    Backbone → Flatten → Dropout → Dense softmax; categorical cross-entropy on one-hot labels, Adam, accuracy. The
    model shares its layers with `backbone_model`: freezing and training change both.

    Args:
        backbone_model: backbone, see `recsys.vision.backbones.build`.
        labels: number of labels.
        dropout: share of the flattened features that are dropped at each step.
        freeze_layers: number of the backbone's first layers that keep their weights and batch norm statistics. As in
            the original the input counts as a layer; the preprocessing layer does not count.
        learning_rate: learning rate of Adam.
        weight_decay: decoupled weight decay.
        seed: seed of the initial weights of the Dense layer.

    Source: the original project's slides.
    """
    counted = [layer for layer in backbone_model.layers if layer.name != "preprocess"]
    for position, layer in enumerate(counted):
        layer.trainable = position >= freeze_layers
    x = keras.layers.Flatten(name="flatten")(backbone_model.output)  # (n, h * w * c)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    initializer = keras.initializers.GlorotUniform(seed)
    dense = keras.layers.Dense(
        labels, activation="softmax", kernel_initializer=initializer, dtype="float32", name="labels"
    )
    model = keras.Model(backbone_model.input, dense(x), name=f"{backbone_model.name}_classifier")
    return compile_model(model, learning_rate, weight_decay)


def build_head(features: int, labels: int, recipe: Recipe) -> keras.Model:
    """Return the compiled model from unit features to logits: Dropout → Dense.

    In: (n, features), float, rows of length 1. Out: (n, labels) float32 logits.
    """
    inputs = keras.Input((features,), name="features")
    # Scale to a mean square of 1, for which learning rates are usually chosen.
    x = keras.layers.Rescaling(math.sqrt(features), dtype="float32")(inputs)
    x = keras.layers.Dropout(recipe.dropout, name="dropout", dtype="float32")(x)
    # Start from zero: the loss of a linear model is convex, and zero logits are the uniform prediction.
    dense = keras.layers.Dense(labels, kernel_initializer="zeros", dtype="float32", name="labels")
    model = keras.Model(inputs, dense(x), name="head")
    return compile_model(model, recipe.learning_rate, recipe.weight_decay, from_logits=True)


def compile_model(
    model: keras.Model, learning_rate: float, weight_decay: float, *, from_logits: bool = False
) -> keras.Model:
    """Compile a model with categorical cross-entropy, Adam and accuracy, and return it."""
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate, weight_decay=weight_decay or None),
        loss=keras.losses.CategoricalCrossentropy(from_logits=from_logits),
        metrics=["accuracy"],
    )
    return model


def logits(model: keras.Model, load: Load, rows: NDArray[np.int64], batch_size: int) -> NDArray[np.float32]:
    """Return the logits (n, labels) of a head or network for these rows; a network's are its log probabilities."""
    values: NDArray[np.float32] = np.asarray(outputs(model, load, rows, batch_size), np.float32)
    is_softmax = model.layers[-1].activation is keras.activations.softmax
    return np.log(np.maximum(values, MIN_PROBABILITY)) if is_softmax else values
