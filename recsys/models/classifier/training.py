"""Train the picture model of the classifier: once without each fold, to evaluate it, and once on all examples.

    ExampleBatches    batches of examples, in an order that depends only on seed and epoch
    diagnose          stops a training that diverges or collapses
    train_head        frozen features → logits; seconds on a CPU
    train_network     pictures → probabilities; the original's recipe

For epochs and checkpoints see `recsys.vision.training_loop`.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from recsys.core.errors import CollapsedTrainingError, TrainingError
from recsys.models.classifier.network import build_classifier, build_head, compile_model, logits
from recsys.models.classifier.recipe import Recipe
from recsys.models.grouping import split_sides
from recsys.vision.loading import Load
from recsys.vision.training_loop import Batches, History, OnEpoch, fit, precision, set_state, state

PATIENCE = 10
"""Number of epochs after which a loss that did not improve, and is no better than the prior's, counts as collapsed."""
IMPROVEMENT = 0.99
"""Ratio of two losses below which the smaller one counts as an improvement."""
DIVERGED = 4.0
"""Ratio of the loss to the first epoch's, or to the prior's, above which a training counts as diverged."""


class ExampleBatches(Batches):
    """Batches of examples for any number of epochs: (inputs, targets (b, k) float32, weights (b,) float32).

    The last batch of an epoch may be smaller.

    Attributes:
        prior_loss: loss of always predicting the label frequencies: the entropy of the labels, in nats.
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
        """Make batches of some rows.

        Args:
            load: loads the inputs of rows.
            truth: (n,) label code of every example, 0 to labels − 1.
            labels: number of labels.
            rows: rows of the batches.
            batch_size: rows per batch.
            seed: seed of the order; None keeps the order of `rows`, for validation.
            balanced: whether each label has the same weight; else each example has.
            smoothing: share of a target that is spread over all labels.
        """
        super().__init__(-(-len(rows) // batch_size), self._batch_of)
        self._load, self._rows, self._batch_size, self._seed = load, rows, batch_size, seed
        self._targets = np.eye(labels, dtype=np.float32)[truth] * (1 - smoothing) + np.float32(smoothing / labels)
        counts = np.bincount(truth[rows], minlength=labels)
        present = counts > 0
        label_weights = len(rows) / (present.sum() * np.maximum(counts, 1)) if balanced else np.ones(labels)
        self._weights = label_weights[truth].astype(np.float32)  # mean 1 over the rows
        shares = (self._weights[rows, None] * self._targets[rows]).mean(axis=0)
        self.prior_loss = float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
        self._order = functools.lru_cache(maxsize=2)(self._order_of)

    def _order_of(self, epoch: int) -> NDArray[np.int64]:
        return self._rows if self._seed is None else np.random.default_rng([self._seed, epoch]).permutation(self._rows)

    def _batch_of(self, epoch: int, step: int) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
        rows = self._order(epoch)[step * self._batch_size : (step + 1) * self._batch_size]
        return self._load(rows), self._targets[rows], self._weights[rows]


def diagnose(history: History, prior_loss: float) -> None:
    """Check the last epoch of a training.

    Args:
        history: metrics of the epochs.
        prior_loss: loss of always predicting the label frequencies.

    Raises:
        CollapsedTrainingError: the training learns nothing.
        TrainingError: the training diverges.
    """
    losses = [metrics["loss"] for metrics in history]
    loss = losses[-1]
    collapsed = (
        prior_loss > 0 and len(losses) > PATIENCE and loss >= IMPROVEMENT * max(prior_loss, losses[-1 - PATIENCE])
    )
    if not np.isfinite(loss) or loss > DIVERGED * (prior_loss if collapsed else max(prior_loss, losses[0])):
        raise TrainingError(
            f"the training diverges: its loss was {losses[0]:.3g} in the first epoch and is {loss:.3g} in epoch "
            f"{len(losses)}; use a recipe with a lower learning_rate"
        )
    if collapsed:
        raise CollapsedTrainingError(
            f"the training has collapsed: its loss is {loss:.3g} in epoch {len(losses)}, no lower than {PATIENCE} "
            f"epochs before and no better than always predicting the label frequencies ({prior_loss:.3g}); use a "
            "recipe with another learning_rate or less dropout, or add labelled products"
        )


@dataclass(frozen=True, eq=False)
class Trained:
    """Result of a training.

    Attributes:
        model: model trained on all examples; with a single split on its training side, as in the original. From inputs
            to logits (head) or probabilities (network).
        logits: (n, k) float32 of each example by a model that was not trained on it; NaN where there is none.
        history: metrics of each training by its name: `fold_1`, ..., and `all` if there is one.
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
        truth: (n,) label codes, 0 to labels − 1.
        labels: number of labels.
        recipe: a recipe without a network.
        folds: (n,) fold that holds the example out, from 0; −1 if none does, see `recsys.models.grouping`.
        checkpoint_folder: folder of this recipe and these examples; each training in it has its own folder.
        validated: (n,) whether an example is predicted when it is held out (default: all). Augmented pictures, for
            example, are held out and not predicted.
        on_epoch: called after each epoch of each training; names of metrics start with `fold_1/` and so on, except in
            the training on all examples.

    Raises:
        TrainingError: the examples have fewer than two labels, the features are not finite, or a training diverges or
            collapses.
    """
    if not np.isfinite(features).all():
        raise TrainingError(
            "the training cannot start: the features contain values that are not finite; recompute them"
        )
    model = build_head(features.shape[1], labels, recipe)
    examples = _Examples(features.__getitem__, truth, labels, folds, validated)
    return _CrossValidation(model, model, examples, recipe, checkpoint_folder, on_epoch).run()


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
    """Train the recipe's network on whole pictures: once without each fold, and once on all if there are several folds.

    Args:
        load: loads pictures: row numbers (b,) → (b, side, side, 3) uint8 RGB of the recipe's input size, see
            `recsys.vision.loading.pictures`.
        truth, labels, folds, checkpoint_folder, validated, on_epoch: as `train_head`.
        recipe: a recipe with a network.
        augmentation: model that varies pictures on the training device, see
            `recsys.vision.augmentation_layers.build_augmentation`; not used for validation.
        backbone: backbone to use instead of the recipe's, such as one without weights in a test.

    Raises:
        TrainingError: as `train_head`, or the recipe has no network.
    """
    from recsys.vision import backbones

    network = recipe.network
    if network is None:
        raise TrainingError("the training cannot start: the recipe has no section [network]")
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
        learner = compile_model(keras.Sequential([augmentation, model]), recipe.learning_rate, recipe.weight_decay)
    examples = _Examples(load, truth, labels, folds, validated)
    return _CrossValidation(learner, model, examples, recipe, checkpoint_folder, on_epoch).run()


@dataclass(frozen=True, eq=False)
class _Examples:
    """Examples of a training; attributes as the arguments of `train_head`."""

    load: Load
    truth: NDArray[np.int64]
    labels: int
    folds: NDArray[np.int64]
    validated: NDArray[np.bool_] | None

    def training(self, rows: NDArray[np.int64], recipe: Recipe) -> ExampleBatches:
        return ExampleBatches(
            self.load,
            self.truth,
            self.labels,
            rows,
            recipe.batch_size,
            seed=recipe.seed,
            balanced=recipe.class_weight == "balanced",
            smoothing=recipe.label_smoothing,
        )

    def validation(self, rows: NDArray[np.int64], recipe: Recipe) -> ExampleBatches:
        return ExampleBatches(self.load, self.truth, self.labels, rows, recipe.batch_size)


@dataclass(frozen=True, eq=False)
class _CrossValidation:
    """Trainings without each fold and on all examples, with one model, so that it compiles only once.

    Attributes:
        learner: compiled model that is trained; it is or contains `model`.
        model: model that predicts.
        examples, recipe, checkpoint_folder, on_epoch: as the arguments of `train_head`.
    """

    learner: keras.Model
    model: keras.Model
    examples: _Examples
    recipe: Recipe
    checkpoint_folder: Path
    on_epoch: OnEpoch | None

    def run(self) -> Trained:
        truth = self.examples.truth
        present = len(np.unique(truth))
        if present < 2:
            raise TrainingError(
                f"the training cannot start: its {len(truth)} examples have {present} label(s); a classifier needs "
                "examples of at least two labels"
            )
        initial = state(self.learner)
        out_of_fold = np.full((len(truth), self.examples.labels), np.nan, np.float32)
        history: dict[str, History] = {}
        for fold in range(self.recipe.folds):
            held_out = self.examples.folds == fold
            rows, validation = map(np.flatnonzero, split_sides(held_out, self.examples.validated))
            if not len(rows) or not len(validation):
                continue
            name = f"fold_{fold + 1}"
            history[name] = self._train(name, rows, validation, initial)
            out_of_fold[validation] = logits(self.model, self.examples.load, validation, self.recipe.batch_size)
        if self.recipe.folds > 1 or not history:
            history["all"] = self._train("all", np.arange(len(truth)), np.arange(0), initial)
        return Trained(self.model, out_of_fold, history)

    def _train(
        self, name: str, rows: NDArray[np.int64], validation: NDArray[np.int64], initial: list[NDArray[Any]]
    ) -> History:
        """Train from the initial state on some rows, and return the metrics of each epoch."""
        set_state(self.learner, initial)
        batches = self.examples.training(rows, self.recipe)
        prefix = f"{name}/" if self.recipe.folds > 1 and name != "all" else ""
        return fit(
            self.learner,
            batches,
            self.recipe.epochs,
            checkpoint_folder=self.checkpoint_folder / name,
            seed=self.recipe.seed,
            diagnose=functools.partial(diagnose, prior_loss=batches.prior_loss),
            on_epoch=functools.partial(self._report, prefix),
            validation_data=self.examples.validation(validation, self.recipe) if len(validation) else None,
        )

    def _report(self, prefix: str, epoch: int, metrics: dict[str, float]) -> None:
        if self.on_epoch is not None:
            self.on_epoch(epoch, {f"{prefix}{metric}": value for metric, value in metrics.items()})
