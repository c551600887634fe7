"""Training the classifier: without each fold, to judge it, and on all.

    Examples        rows in batches, in an order that seed and epoch alone decide
    diagnose        stops what diverges or collapses
    train_head      frozen features → logits; seconds on a CPU
    train_network   pictures → logits; the original's recipe

How epochs are run, and survive being killed, is in `recsys.vision.training_loop`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from recsys.core.errors import CollapsedTrainingError, TrainingError
from recsys.models.classifier.network import build_classifier, build_head, compiled
from recsys.models.classifier.network import logits as logits_of
from recsys.models.classifier.recipe import Recipe
from recsys.models.grouping import sides
from recsys.vision.loading import Load
from recsys.vision.training_loop import Batches, History, OnEpoch, fit, precision, set_state, state

PATIENCE = 10
"""Epochs that a training is given to come nearer to its aim, while it knows no more than how frequent labels are."""
LESS = 0.99
"""Of a loss, what counts as less than it."""
DIVERGED = 4.0
"""Times the loss of its start, or of guessing, beyond which a training is lost."""


class Examples(Batches):
    """Rows of a training set in batches, epoch after epoch: (inputs, targets (b, k) float32, weights (b,) float32).

    The last batch of an epoch may be smaller.

    Attributes:
        guess: the loss of one who knows nothing but how frequent each label is: the labels' entropy, in nats.
    """

    def __init__(
        self,
        load: Load,
        truth: NDArray[np.int64],
        labels: int,
        rows: NDArray[np.int64],
        batch_size: int,
        *,
        seed: int | None = None,
        balanced: bool = False,
        smoothing: float = 0.0,
    ) -> None:
        """Take the `rows` of all examples.

        Args:
            load: gives the inputs of rows.
            truth: (n,) the label's code of every example, 0 to labels − 1.
            labels: how many there are.
            rows: those to take.
            batch_size: how many at once.
            seed: of the order; None keeps that of `rows`, as validation wants it.
            balanced: whether each label weighs the same; else each example does.
            smoothing: share of a target that is spread over all labels.
        """
        super().__init__(-(-len(rows) // batch_size), self._batch_of)
        self._load, self._rows, self._batch_size, self._seed = load, rows, batch_size, seed
        self._targets = np.eye(labels, dtype=np.float32)[truth] * (1 - smoothing) + np.float32(smoothing / labels)
        counts = np.bincount(truth[rows], minlength=labels)
        present = counts > 0
        by_label = len(rows) / (present.sum() * np.maximum(counts, 1)) if balanced else np.ones(labels)
        self._weights = by_label[truth].astype(np.float32)  # mean 1 over the rows
        shares = (self._weights[rows, None] * self._targets[rows]).mean(axis=0)
        self.guess = float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
        self._order = functools.lru_cache(maxsize=2)(self._order_of)

    def _order_of(self, epoch: int) -> NDArray[np.int64]:
        return self._rows if self._seed is None else np.random.default_rng([self._seed, epoch]).permutation(self._rows)

    def _batch_of(self, epoch: int, step: int) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
        rows = self._order(epoch)[step * self._batch_size : (step + 1) * self._batch_size]
        return self._load(rows), self._targets[rows], self._weights[rows]


def diagnose(history: History, guess: float) -> None:
    """Raise TrainingError when the last epoch shows that the training diverges, its subclass when it has collapsed.

    Args:
        history: its figures so far.
        guess: the loss of one who knows nothing but how frequent each label is.
    """
    losses = [figures["loss"] for figures in history]
    loss = losses[-1]
    stuck = guess > 0 and len(losses) > PATIENCE and loss >= LESS * max(guess, losses[-1 - PATIENCE])
    if not np.isfinite(loss) or loss > DIVERGED * (guess if stuck else max(guess, losses[0])):
        raise TrainingError(
            f"the training diverges: its loss was {losses[0]:.3g} in the first epoch and is {loss:.3g} in epoch "
            f"{len(losses)}; use a recipe with a lower learning_rate"
        )
    if stuck:
        raise CollapsedTrainingError(
            f"the training has collapsed: its loss is {loss:.3g} in epoch {len(losses)}, as it was {PATIENCE} epochs "
            f"before and no better than guessing by how frequent each label is ({guess:.3g}); use a recipe with "
            "another learning_rate or less dropout, or give more labelled products"
        )


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training on folds gives.

    Attributes:
        model: trained on all examples; or, where the recipe has a single split, on the training side, as in the
            original. From inputs to logits (head) or probabilities (network).
        logits: (n, k) float32 of each example by a model that did not see it; NaN where there is none.
        history: the figures of each training by its name: `fold_1`, ..., and `all` where there is one.
    """

    model: keras.Model
    logits: NDArray[np.float32]
    history: dict[str, History]


def train_head(
    features: NDArray[np.float32],
    truth: NDArray[np.int64],
    labels: int,
    recipe: Recipe,
    folds: NDArray[np.int64],
    *,
    checkpoint_folder: Path,
    validated: NDArray[np.bool_] | None = None,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train the recipe's head on frozen features: once without each fold, and once on all.

    Args:
        features: (n, d), rows of unit length.
        truth: (n,) codes of the labels, 0 to labels − 1.
        labels: how many there are.
        recipe: one without a network.
        folds: (n,) the fold that holds the example out, from 0; −1 is never held out; see `recsys.models.grouping`.
        checkpoint_folder: of this recipe and these examples; each training in it has a folder of its own.
        validated: (n,) whether an example is judged when it is held out (default: all); those that are not, such as
            augmented pictures, are held out all the same.
        on_epoch: called after each epoch of each training; the figures' names begin with `fold_1/` and so on, and
            those of the training on all have no such beginning.

    Raises:
        TrainingError: there is nothing to learn from (one label only, no examples, features that are not finite), or
            a training diverges or collapses.
    """
    if not np.isfinite(features).all():
        raise TrainingError(
            "the training cannot start: the features hold values that are not finite; compute them anew"
        )
    model = build_head(features.shape[1], labels, recipe)
    data = _Data(features.__getitem__, truth, labels, folds, validated)
    return _train_folds(model, model, data, recipe, checkpoint_folder, on_epoch)


def train_network(
    load: Load,
    truth: NDArray[np.int64],
    labels: int,
    recipe: Recipe,
    folds: NDArray[np.int64],
    *,
    checkpoint_folder: Path,
    validated: NDArray[np.bool_] | None = None,
    on_epoch: OnEpoch | None = None,
    augmentation: keras.Model | None = None,
    backbone: keras.Model | None = None,
) -> Trained:
    """Train the recipe's network on whole pictures: once without each fold, and once on all if there are several.

    Args:
        load: from row numbers (b,) to RGB pictures (b, side, side, 3) uint8 of the recipe's input size,
            such as `recsys.vision.training_loop.pictures`.
        recipe: one with a network.
        augmentation: varies pictures on the training device, where the recipe wants that; see
            `recsys.vision.augmentation.build_augmentation`. What is validated stays as it is.
        backbone: another than the recipe's, such as one without weights in a test.

    Other arguments and errors as `train_head`; the model gives probabilities.
    """
    from recsys.vision import backbones

    network = recipe.network
    if network is None:
        raise TrainingError("the training cannot start: the recipe has no section [network], which says what to train")
    with precision(network.precision):
        backbone = backbone or backbones.build(network.backbone, network.weights, network.input_size)
        model = build_classifier(
            backbone,
            labels,
            dropout=recipe.dropout,
            freeze_layers=network.freeze_layers,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            seed=recipe.seed,
        )
    learner = model
    if augmentation is not None:
        learner = compiled(keras.Sequential([augmentation, model]), recipe.learning_rate, recipe.weight_decay)
    data = _Data(load, truth, labels, folds, validated)
    return _train_folds(learner, model, data, recipe, checkpoint_folder, on_epoch)


@dataclass(frozen=True, eq=False)
class _Data:
    """What is learned from, and how it is loaded."""

    load: Load
    truth: NDArray[np.int64]
    labels: int
    folds: NDArray[np.int64]
    validated: NDArray[np.bool_] | None

    def training(self, rows: NDArray[np.int64], recipe: Recipe) -> Examples:
        return Examples(
            self.load,
            self.truth,
            self.labels,
            rows,
            recipe.batch_size,
            seed=recipe.seed,
            balanced=recipe.class_weight == "balanced",
            smoothing=recipe.label_smoothing,
        )

    def validation(self, rows: NDArray[np.int64], recipe: Recipe) -> Examples:
        return Examples(self.load, self.truth, self.labels, rows, recipe.batch_size)


def _train_folds(
    learner: keras.Model,
    model: keras.Model,
    data: _Data,
    recipe: Recipe,
    checkpoint_folder: Path,
    on_epoch: OnEpoch | None,
) -> Trained:
    """Train `learner`, which is or holds `model`, without each fold and on all: one model, so that it compiles once."""
    if len(np.unique(data.truth)) < 2:
        raise TrainingError(
            f"the training cannot start: its {len(data.truth)} examples have {len(np.unique(data.truth))} label(s); "
            "a classifier needs examples of two labels at least"
        )
    first = state(learner)
    logits = np.full((len(data.truth), data.labels), np.nan, np.float32)
    history: dict[str, History] = {}

    def run(name: str, rows: NDArray[np.int64], judged: NDArray[np.int64], prefix: str = "") -> None:
        set_state(learner, first)
        batches = data.training(rows, recipe)
        history[name] = fit(
            learner,
            batches,
            recipe.epochs,
            checkpoint_folder=checkpoint_folder / name,
            seed=recipe.seed,
            diagnose=functools.partial(diagnose, guess=batches.guess),
            on_epoch=on_epoch and (lambda epoch, figures: on_epoch(epoch, {prefix + k: v for k, v in figures.items()})),
            validation_data=data.validation(judged, recipe) if len(judged) else None,
        )

    for fold in range(recipe.folds):
        rows, judged = map(np.flatnonzero, sides(data.folds == fold, data.validated))
        if len(judged) and len(rows):
            name = f"fold_{fold + 1}"
            run(name, rows, judged, prefix=f"{name}/" if recipe.folds > 1 else "")
            logits[judged] = logits_of(model, data.load, judged, recipe.batch_size)
    if recipe.folds > 1 or not history:
        run("all", np.arange(len(data.truth)), np.arange(0))
    return Trained(model, logits, history)
