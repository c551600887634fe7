"""Training the embedding on what is not held out; what is held out says how it goes, and decides nothing.

    train_head      frozen features → unit vectors; seconds on a CPU
    train_network   pictures → unit vectors; the original's recipe, and fine tuning

How epochs are run, and survive being killed, is in `recsys.vision.training_loop`. The same recipe and examples give
the same embedding, on another backend nearly so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.errors import TrainingError
from recsys.models.embedding.batches import batches
from recsys.models.embedding.diagnosis import diagnose, metrics
from recsys.models.embedding.examples import codes_of
from recsys.models.embedding.losses import build_loss
from recsys.models.embedding.network import build_embedder, build_head, principal_start, random_start
from recsys.models.embedding.recipe import Recipe, Triplet
from recsys.vision.loading import Load
from recsys.vision.training_loop import Batches, History, OnEpoch, fit, precision

MARGIN = 0.2
"""By which triplets are counted as active where the loss has no margin of its own."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training gives.

    Attributes:
        model: from features (n, d) or pictures (n, s, s, 3) to unit vectors (n, e) float32.
        history: the figures of each epoch: loss, those of `recsys.models.embedding.diagnosis.metrics`, learning_rate
            (at its end); and, where pictures are held out, the same of them with `val_` before the name, but
            learning_rate.
    """

    model: keras.Model
    history: History


def epochs_of(recipe: Recipe, examples: pd.DataFrame) -> int:
    """Return how many epochs a training has."""
    training = int((~examples["held_out"].to_numpy(bool)).sum())
    steps = training // max(min(recipe.batches.size, training), 1)
    if recipe.most_steps is None or not steps:
        return recipe.epochs
    return min(recipe.epochs, math.ceil(recipe.most_steps / steps))


def train_head(
    features: NDArray[np.float32],
    examples: pd.DataFrame,
    recipe: Recipe,
    *,
    checkpoint_folder: Path,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train the recipe's head on frozen features.

    Args:
        features: (n, d), what the head sees of the examples, see `recsys.models.embedding.embedder.beside`.
        examples: as `recsys.models.embedding.examples.training_set` gives them.
        recipe: one without a network.
        checkpoint_folder: of this recipe and these examples.
        on_epoch: called after each epoch with its figures, see `Trained.history`.

    Raises:
        TrainingError: there is nothing to learn from, or the training diverges or collapses.
    """
    if recipe.network is not None:
        raise TrainingError("the training cannot start: the recipe trains a network on pictures, not a head")
    if not np.isfinite(features).all():
        raise TrainingError(
            "the training cannot start: the features hold values that are not finite; compute them anew"
        )
    data = _Data.of(features.__getitem__, examples, recipe)
    size = min(recipe.embedding_size, features.shape[1])
    if recipe.start == "pca":
        start = principal_start(features[data.training], size)
    else:
        start = random_start(features.shape[1], size, recipe.seed)
    model = build_head(*start)
    epochs = epochs_of(recipe, examples)
    history = _phase(model, data, recipe, recipe.learning_rate, epochs, 0, checkpoint_folder, on_epoch)
    return Trained(model, history)


def train_network(
    load: Load,
    examples: pd.DataFrame,
    recipe: Recipe,
    *,
    checkpoint_folder: Path,
    on_epoch: OnEpoch | None = None,
    backbone: keras.Model | None = None,
) -> Trained:
    """Train the recipe's network on whole pictures: its last layer first, if the recipe says so, then all of it.

    Args:
        load: from row numbers (b,) of the examples to RGB pictures (b, side, side, 3) uint8 of the recipe's input
            size, such as `recsys.vision.training_loop.pictures`.
        recipe: one with a network.
        backbone: another than the recipe's, such as one without weights in a test.

    Other arguments and errors as `train_head`.
    """
    from recsys.vision import backbones

    network = recipe.network
    if network is None:
        raise TrainingError("the training cannot start: the recipe has no section [network], which says what to train")
    data = _Data.of(load, examples, recipe)
    with precision(network.precision):
        backbone = backbone or backbones.build(network.backbone, network.weights, network.input_size)
        model = build_embedder(
            backbone, recipe.embedding_size, seed=recipe.seed, freeze_batch_norm=network.freeze_batch_norm
        )
    history: History = []
    whole = [layer for layer in backbone.layers if layer.trainable]
    if network.head_epochs:
        for layer in whole:
            layer.trainable = False
        how = (network.head_learning_rate, network.head_epochs, 0, checkpoint_folder / "head", on_epoch)
        history += _phase(model, data, recipe, *how)
        for layer in whole:
            layer.trainable = True
    left = epochs_of(recipe, examples) - network.head_epochs
    how = (recipe.learning_rate, max(left, 1), network.head_epochs, checkpoint_folder / "whole", on_epoch)
    history += _phase(model, data, recipe, *how)
    return Trained(model, history)


@dataclass(frozen=True, eq=False)
class _Data:
    """What is learned from.

    Attributes:
        load: gives the inputs of rows.
        codes: (n, levels) of all rows.
        training: rows that are learned from.
        validation: rows that are held out.
    """

    load: Load
    codes: NDArray[np.int64]
    training: NDArray[np.int64]
    validation: NDArray[np.int64]

    @classmethod
    def of(cls, load: Load, examples: pd.DataFrame, recipe: Recipe) -> _Data:
        codes = codes_of(examples, recipe)
        held_out = examples["held_out"].to_numpy(bool)
        training, validation = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        of_training = codes[training]
        classes = len(np.unique(of_training[of_training[:, 0] >= 0, 0]))
        pairs = any(np.bincount(level[level >= 0]).max(initial=0) > 1 for level in of_training.T)
        if classes < 2 or not pairs:
            raise TrainingError(
                f"the training cannot start: its {len(training)} pictures are of {classes} categories"
                f"{'' if pairs else ', with one picture each'}; it takes two at least, one of them with two pictures"
            )
        return cls(load, codes, training, validation)


def _phase(
    model: keras.Model,
    data: _Data,
    recipe: Recipe,
    learning_rate: float,
    epochs: int,
    before: int,
    checkpoint_folder: Path,
    on_epoch: OnEpoch | None,
) -> History:
    """Train what is trainable of a model for some epochs, of which so many were before, and return their figures."""
    batch_loss = build_loss(recipe.loss, recipe.weights)
    learned = batches(data.load, data.codes, data.training, recipe.batches, recipe.seed + before)
    held_out = _still(batches(data.load, data.codes, data.validation, recipe.batches, recipe.seed))
    rate = keras.optimizers.schedules.PolynomialDecay(learning_rate, epochs * learned.steps, end_learning_rate=0.0)
    linear = recipe.schedule == "linear"

    def loss(codes: keras.KerasTensor, embeddings: keras.KerasTensor) -> keras.KerasTensor:
        return batch_loss(codes, embeddings)

    model.compile(
        optimizer=keras.optimizers.Adam(rate if linear else learning_rate),
        loss=loss,
        metrics=metrics(recipe.loss.margin if isinstance(recipe.loss, Triplet) else MARGIN),
    )
    pictures, codes = learned[0]
    shown = codes.astype(np.float32)
    first = keras.ops.convert_to_numpy(model(pictures, training=False))  # (b, e)
    first_loss = float(batch_loss(shown, first))
    collapsed_loss = float(batch_loss(shown, np.ones_like(first) / np.sqrt(first.shape[1])))
    size = _size(model)

    def told(history: History) -> None:
        diagnose(history, first_loss, collapsed_loss, _size(model) / size)

    def with_rate(epoch: int, figures: dict[str, float]) -> dict[str, float]:
        return figures | {"learning_rate": learning_rate * (1 - epoch / epochs if linear else 1)}

    history = fit(
        model,
        learned,
        epochs,
        checkpoint_folder=checkpoint_folder,
        seed=recipe.seed,
        diagnose=told,
        on_epoch=on_epoch and (lambda epoch, figures: on_epoch(before + epoch, with_rate(epoch, figures))),
        validation_data=held_out if held_out.steps else None,
    )
    return [with_rate(epoch, figures) for epoch, figures in enumerate(history, 1)]


def _size(model: keras.Model) -> float:
    """Return the Euclidean norm of the last layer's kernel."""
    return float(np.linalg.norm(keras.ops.convert_to_numpy(model.get_layer("embedding").kernel)))


def _still(data: Batches) -> Batches:
    """Return the batches of the first epoch for each."""
    return Batches(data.steps, lambda epoch, step: data[step])
