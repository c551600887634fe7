"""The classifier's networks: the original's, from a picture to its label; and the head, from its frozen features."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from recsys.vision.loading import Load
from recsys.vision.training_loop import outputs

if TYPE_CHECKING:
    from recsys.models.classifier.recipe import Recipe

SMALLEST = 1e-12
"""Probability whose logarithm is still taken for a logit."""


def build_classifier(
    backbone_model: keras.Model,
    labels: int,
    *,
    dropout: float = 0.5,
    freeze_layers: int = 143,  # of ResNet50, all but its last stage, conv5
    learning_rate: float = 1e-5,
    weight_decay: float = 0.0,
    seed: int = 0,
) -> keras.Model:
    """Return the compiled model from RGB pixels to the labels' probabilities.

    In: (n, s, s, 3), uint8 or float, 0 to 255. Out: (n, labels) float32, each row's sum 1.

    Backbone → Flatten → Dropout → Dense softmax; categorical cross-entropy on one-hot labels, Adam, accuracy.
    It shares its layers with `backbone_model`, which `recsys.vision.backbones.build` gave: freezing and training
    reach both.

    Args:
        freeze_layers: how many of the backbone's first layers keep their weights and batch norm statistics;
            counted as the original does: the input is the first, our preprocessing isn't counted.
        seed: of the Dense layer's first weights.

    Source: the original project's slides.
    """
    counted = [layer for layer in backbone_model.layers if layer.name != "preprocess"]
    for position, layer in enumerate(counted):
        layer.trainable = position >= freeze_layers
    x = keras.layers.Flatten(name="flatten")(backbone_model.output)  # (n, h * w * c)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    first_weights = keras.initializers.GlorotUniform(seed)
    dense = keras.layers.Dense(
        labels, activation="softmax", kernel_initializer=first_weights, dtype="float32", name="labels"
    )
    model = keras.Model(backbone_model.input, dense(x), name=f"{backbone_model.name}_classifier")
    return compiled(model, learning_rate, weight_decay)


def build_head(features: int, labels: int, recipe: Recipe) -> keras.Model:
    """Return the compiled model from unit features to logits: Dropout → Dense.

    In: (n, features), float, rows of length 1. Out: (n, labels) float32, whose softmax are the probabilities.
    """
    inputs = keras.Input((features,), name="features")
    # to a mean square of 1, which learning rates are made for
    x = keras.layers.Rescaling(math.sqrt(features), dtype="float32")(inputs)
    x = keras.layers.Dropout(recipe.dropout, name="dropout", dtype="float32")(x)
    # from zero: a linear model has one best answer, and this is nearest to knowing nothing
    dense = keras.layers.Dense(labels, kernel_initializer="zeros", dtype="float32", name="labels")
    model = keras.Model(inputs, dense(x), name="head")
    return compiled(model, recipe.learning_rate, recipe.weight_decay, from_logits=True)


def compiled(
    model: keras.Model, learning_rate: float, weight_decay: float, *, from_logits: bool = False
) -> keras.Model:
    """Return the model, compiled with categorical cross-entropy, Adam and accuracy."""
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate, weight_decay=weight_decay or None),
        loss=keras.losses.CategoricalCrossentropy(from_logits=from_logits),
        metrics=["accuracy"],
    )
    return model


def logits(model: keras.Model, load: Load, rows: NDArray[np.int64], batch_size: int) -> NDArray[np.float32]:
    """Return what a head or a classifier says of rows, (n, labels), as logits: of probabilities, their logarithms."""
    said: NDArray[np.float32] = np.asarray(outputs(model, load, rows, batch_size), np.float32)
    return np.log(np.maximum(said, SMALLEST)) if model.layers[-1].activation is keras.activations.softmax else said
