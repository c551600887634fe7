"""Train an embedding on arrays: on the training rows; the held-out rows give validation figures only.

    train_head      frozen features → unit vectors; seconds on a CPU
    train_network   pictures → unit vectors; the original's recipe, and fine tuning

For epochs and checkpoints see `recsys.vision.training_loop`. The same recipe and examples give the same embedding; on
another backend nearly the same.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.errors import TrainingError
from recsys.models.embedding import recipe
from recsys.models.embedding.class_codes import class_codes
from recsys.models.embedding.diagnosis import diagnose, metrics
from recsys.models.embedding.losses import BatchLoss, build_loss
from recsys.models.embedding.network import build_embedder, build_head, principal_start, random_start
from recsys.models.embedding.recipe import Network, Recipe, Triplet
from recsys.vision.loading import Load
from recsys.vision.training_loop import Batches, History, OnEpoch, fit, precision

DEFAULT_MARGIN = 0.2
"""Margin of the metric `active_share` if the loss has none."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model and its figures.

    Attributes:
        model: from features (n, d) or pictures (n, s, s, 3) to unit vectors (n, e) float32.
        history: figures of each epoch: loss, `recsys.models.embedding.diagnosis.metrics`, learning_rate (at the end of
            the epoch); and, if pictures are held out, the same except learning_rate with the prefix `val_`.
    """

    model: keras.Model
    history: History


@dataclass(frozen=True)
class _Phase:
    """Epochs with one learning rate schedule.

    Attributes:
        learning_rate: initial learning rate.
        epochs: number of epochs.
        first_epoch: number of the training's epochs before this phase.
        checkpoint_folder: folder of this phase only.
    """

    learning_rate: float
    epochs: int
    first_epoch: int
    checkpoint_folder: Path


@dataclass(frozen=True, eq=False)
class _Data:
    """Rows to learn from and to validate on.

    Attributes:
        load: returns the inputs of rows.
        codes: (n, L) codes of all rows.
        training: rows to learn from.
        validation: held-out rows.
    """

    load: Load
    codes: NDArray[np.int64]
    training: NDArray[np.int64]
    validation: NDArray[np.int64]

    @classmethod
    def of(cls, load: Load, examples: pd.DataFrame, recipe: Recipe) -> _Data:
        codes = class_codes(examples, recipe)
        held_out = examples["held_out"].to_numpy(bool)
        training, validation = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        _require_pairs(codes[training])
        return cls(load, codes, training, validation)


def epochs_of(recipe: Recipe, examples: pd.DataFrame) -> int:
    """Return the number of epochs of a training."""
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
        features: (n, d) inputs of the head, see `recsys.models.embedding.embedder.head_inputs`.
        examples: n rows of `recsys.models.embedding.examples.training_set`.
        recipe: a recipe without a network.
        checkpoint_folder: folder of this recipe and these examples only.
        on_epoch: called after each epoch with its number, from 1, and its figures, see `Trained.history`.

    Raises:
        TrainingError: there is nothing to learn from, or the training diverges or collapses.
    """
    if recipe.network is not None:
        raise TrainingError("the training cannot start: the recipe trains a network on pictures, not a head")
    if not np.isfinite(features).all():
        raise TrainingError(
            "the training cannot start: the features hold values that are not finite; compute them again"
        )
    phase = _Phase(recipe.learning_rate, epochs_of(recipe, examples), 0, checkpoint_folder)
    data = _Data.of(features.__getitem__, examples, recipe)
    training = features[data.training]
    if recipe.start == "pca" and recipe.components:
        axes, offset = principal_start(training, min(recipe.components, *training.shape))  # (d, c), (c,)
        size = min(recipe.embedding_size, len(offset))
        model = build_head(np.eye(len(offset), size, dtype=np.float32), np.zeros(size, np.float32))
        of_components = replace(data, load=(features @ axes + offset).__getitem__)
        history = _train_phase(model, of_components, recipe, phase, on_epoch)
        kernel, bias = model.get_layer("embedding").get_weights()
        return Trained(build_head(axes @ kernel, offset @ kernel + bias), history)  # one matrix for both steps
    size = min(recipe.embedding_size, features.shape[1])
    if recipe.start == "pca":
        kernel, bias = principal_start(training, size)
    else:
        kernel, bias = random_start(features.shape[1], size, recipe.seed)
    model = build_head(kernel, bias)
    return Trained(model, _train_phase(model, data, recipe, phase, on_epoch))


def train_network(
    load: Load,
    examples: pd.DataFrame,
    recipe: Recipe,
    *,
    checkpoint_folder: Path,
    on_epoch: OnEpoch | None = None,
    backbone: keras.Model | None = None,
) -> Trained:
    """Train the recipe's network on whole pictures: first only its last layer, if the recipe says so, then all of it.

    Args:
        load: from row numbers (b,) of the examples to RGB pictures (b, side, side, 3) uint8 of the recipe's input
            size, such as `recsys.vision.loading.pictures`.
        recipe: a recipe with a network.
        backbone: used instead of the recipe's, for tests.

    Other arguments and errors as `train_head`.
    """
    network = recipe.network
    if network is None:
        raise TrainingError("the training cannot start: the recipe has no section [network], which says what to train")
    data = _Data.of(load, examples, recipe)
    model, backbone = _build_network(recipe, network, backbone)
    epochs = epochs_of(recipe, examples)
    history: History = []
    if network.head_epochs:
        head = _Phase(network.head_learning_rate, network.head_epochs, 0, checkpoint_folder / "head")
        trainable = [layer for layer in backbone.layers if layer.trainable]
        _set_trainable(trainable, False)
        history += _train_phase(model, data, recipe, head, on_epoch)
        _set_trainable(trainable, True)
    epochs_left = max(epochs - network.head_epochs, 1)
    whole = _Phase(recipe.learning_rate, epochs_left, network.head_epochs, checkpoint_folder / "whole")
    history += _train_phase(model, data, recipe, whole, on_epoch)
    return Trained(model, history)


def _require_pairs(codes: NDArray[np.int64]) -> None:
    """Raise TrainingError unless the codes (m, L) have two classes at the first level and one positive pair."""
    classes = len(np.unique(codes[codes[:, 0] >= 0, 0]))
    has_pairs = any(np.bincount(level[level >= 0]).max(initial=0) > 1 for level in codes.T)
    if classes < 2 or not has_pairs:
        raise TrainingError(
            f"the training cannot start: its {len(codes)} pictures are of {classes} categories"
            f"{'' if has_pairs else ', with one picture each'}; it needs at least two, one of them with two pictures"
        )


def _build_network(recipe: Recipe, network: Network, backbone: keras.Model | None) -> tuple[keras.Model, keras.Model]:
    """Return the network to train, and its backbone."""
    from recsys.vision import backbones

    with precision(network.precision):
        backbone = backbone or backbones.build(network.backbone, network.weights, network.input_size)
        model = build_embedder(
            backbone, recipe.embedding_size, seed=recipe.seed, freeze_batch_norm=network.freeze_batch_norm
        )
    return model, backbone


def _set_trainable(layers: list[keras.Layer], trainable: bool) -> None:
    for layer in layers:
        layer.trainable = trainable


def _train_phase(model: keras.Model, data: _Data, recipe: Recipe, phase: _Phase, on_epoch: OnEpoch | None) -> History:
    """Train the trainable layers of a model for the epochs of a phase, and return their figures."""
    batch_loss = build_loss(recipe.loss, recipe.weights)
    seed = recipe.seed + phase.first_epoch
    training = category_batches(data.load, data.codes, data.training, recipe.batches, seed)
    validation = category_batches(data.load, data.codes, data.validation, recipe.batches, recipe.seed)
    _compile(model, batch_loss, recipe, phase, steps=training.steps)
    first_loss, collapsed_loss = _reference_losses(model, batch_loss, training)
    initial_size = _last_layer_size(model)
    is_linear = recipe.schedule == "linear"

    def with_rate(epoch: int, figures: dict[str, float]) -> dict[str, float]:
        rate = phase.learning_rate * (1 - epoch / phase.epochs if is_linear else 1)
        return figures | {"learning_rate": rate}

    history = fit(
        model,
        training,
        phase.epochs,
        checkpoint_folder=phase.checkpoint_folder,
        seed=recipe.seed,
        diagnose=lambda figures: diagnose(figures, first_loss, collapsed_loss, _last_layer_size(model) / initial_size),
        on_epoch=on_epoch and (lambda epoch, figures: on_epoch(phase.first_epoch + epoch, with_rate(epoch, figures))),
        validation_data=validation if validation.steps else None,
    )
    return [with_rate(epoch, figures) for epoch, figures in enumerate(history, 1)]


def _compile(model: keras.Model, batch_loss: BatchLoss, recipe: Recipe, phase: _Phase, steps: int) -> None:
    rate = phase.learning_rate
    if recipe.schedule == "linear":
        rate = keras.optimizers.schedules.PolynomialDecay(rate, phase.epochs * steps, end_learning_rate=0.0)

    def loss(codes: keras.KerasTensor, embeddings: keras.KerasTensor) -> keras.KerasTensor:
        return batch_loss(codes, embeddings)

    margin = recipe.loss.margin if isinstance(recipe.loss, Triplet) else DEFAULT_MARGIN
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss, metrics=metrics(margin))


def _reference_losses(model: keras.Model, batch_loss: BatchLoss, training: Batches) -> tuple[float, float]:
    """Return the loss of the first batch, and its loss if all its embeddings were equal."""
    inputs, codes = training.batch(0, 0)
    embeddings = _initial_embeddings(model, inputs)  # (B, E)
    equal = np.ones_like(embeddings) / np.sqrt(embeddings.shape[1])  # (B, E)
    codes = codes.astype(np.float32)
    return float(batch_loss(codes, embeddings)), float(batch_loss(codes, equal))


def _initial_embeddings(model: keras.Model, inputs: Any) -> NDArray[np.float32]:
    """Return the embeddings of a batch before the training: (B, E).

    JAX compiles each operation of an eager call by itself, which takes longer than to compile the whole network; on
    TensorFlow an eager call needs no tracing.
    """
    if keras.backend.backend() == "jax":
        return np.asarray(model.predict_on_batch(inputs))
    return np.asarray(keras.ops.convert_to_numpy(model(inputs, training=False)))


def _last_layer_size(model: keras.Model) -> float:
    """Return the Euclidean norm of the last layer's kernel."""
    return float(np.linalg.norm(keras.ops.convert_to_numpy(model.get_layer("embedding").kernel)))


def category_batches(
    load: Load, codes: NDArray[np.int64], rows: NDArray[np.int64], settings: recipe.Batches, seed: int
) -> Batches:
    """Return batches of (inputs, codes (B, L) int32) that depend only on seed, epoch and step.

    All batches have one size, because Keras compiles again for each size. Other rows are left over in each epoch.

    Args:
        load: returns the inputs of rows.
        codes: (n, L) codes of all rows, coarse to fine, see `recsys.models.embedding.losses`.
        rows: rows to draw from.
        settings: section `batches` of the recipe.
        seed: seed of the order.
    """
    size = min(settings.size, len(rows))
    # Number the codes again, so that rows outside `rows` do not change the order.
    levels = [pd.factorize(np.where(level < 0, np.nan, level))[0] for level in codes[rows].T]
    local_codes = np.stack(levels, axis=1)  # (m, L)

    @functools.lru_cache(maxsize=2)
    def order(epoch: int) -> NDArray[np.int64]:
        return rows[category_walk(local_codes, settings.run, np.random.default_rng([seed, epoch]))]

    def batch(epoch: int, step: int) -> tuple[Any, NDArray[np.int32]]:
        chosen = order(epoch)[step * size : (step + 1) * size]
        return load(chosen), codes[chosen].astype(np.int32)

    return Batches(len(rows) // max(size, 1), batch)


def category_walk(codes: NDArray[np.int64], run: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return all rows, (n,), in a random order in which runs of rows are neighbours in the category tree.

    Args:
        codes: (n, L), coarse to fine; a row without a code at a level is a branch by itself there.
        run: length of a run; 1 is a random order, n or more is one walk through the tree.
        generator: source of random numbers.
    """
    keys = [generator.random(len(codes))]  # least significant key first
    for level in codes.T[::-1]:
        branch = generator.random(int(level.max(initial=-1)) + 1)  # random position of each branch
        keys.append(np.where(level >= 0, branch[level] if len(branch) else 0.0, generator.random(len(level))))
    order = np.lexsort(keys)
    offset = int(generator.integers(run)) if run < len(codes) else 0  # cut between other rows in each epoch
    runs = [rows for rows in np.split(order, np.arange(offset, len(order), run)) if len(rows)]
    return np.concatenate([runs[index] for index in generator.permutation(len(runs))]) if runs else order
