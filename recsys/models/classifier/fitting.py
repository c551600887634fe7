"""Train a classifier: out-of-fold predictions, their calibration and evaluation, and the final model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.core.errors import CollapsedTrainingError, TrainingError
from recsys.models import grouping
from recsys.models.classifier.calibration import Calibration, Coverage, coverage_at, evidence, threshold_for
from recsys.models.classifier.classification_report import ClassificationReport, classification_report
from recsys.models.classifier.label_model import LabelModel, prediction_table
from recsys.models.classifier.pictures import Pictures
from recsys.models.classifier.recipe import Recipe
from recsys.models.text_model import TextModel, has_text
from recsys.vision.trained_network import TrainedNetwork

if TYPE_CHECKING:
    from recsys.vision.training_loop import OnEpoch

STAGE = "classifier"


@dataclass(frozen=True, eq=False)
class Fitted:
    """Result of a training.

    Attributes:
        model: classifier, trained on all examples.
        confidence: (m,) confidence of the predictions of the m held-out examples, by models not trained on them.
        correct: (m,) bool, whether these predictions are correct.
        reports: evaluation by evidence: `picture`, `text` and `both`, over the examples that have it.
        coverage: share and precision of the held-out examples at the model's threshold.
        unevaluated: labels of which no example was held out.
        predictions: one row per example, see `prediction_table`, with its `fold`; null if it was never held out.
    """

    model: LabelModel
    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]
    reports: dict[str, ClassificationReport]
    coverage: Coverage
    unevaluated: tuple[str, ...]
    predictions: pd.DataFrame


def fit(
    examples: pd.DataFrame,
    pictures: Pictures,
    recipe: Recipe,
    configuration: Configuration,
    version: str,
    checkpoint_folder: Path,
    on_epoch: OnEpoch | None = None,
) -> Fitted:
    """Train and evaluate a classifier; report progress as stage `classifier`.

    If the training on pictures collapses, the classifier uses the text alone, and a progress note says so.

    Args:
        examples: name, brand and label, n rows.
        pictures: pictures of these examples, and the groups of rows that stay on one side of a split.
        recipe: the recipe.
        configuration: section `augmentation`, and `classifier.precision`.
        version: version of the model.
        checkpoint_folder: folder of this recipe and these examples; an interrupted training resumes from it.
        on_epoch: see `training.train_head`.

    Raises:
        TrainingError: the examples have fewer than two labels; or the training diverges; or it collapses and there is
            no text.
        WeightsError: the weights of the recipe's network do not fit it.
    """
    data = _Examples.of(examples, pictures.groups, recipe)
    uses_pictures = pictures.frame["label"].nunique() > 1
    uses_text = recipe.text and bool(data.has_text.any())
    if not uses_pictures and not uses_text:
        raise TrainingError("the classifier cannot be trained: no labelled product has a picture, a name or a brand")
    epochs = _EpochProgress(recipe, on_epoch)
    progress.begin(STAGE, (epochs.remaining if uses_pictures else 0) + (recipe.folds + 1 if uses_text else 0))
    picture = text = _Submodel()
    if uses_pictures:
        try:
            picture = _fit_pictures(pictures, data, recipe, configuration, checkpoint_folder, epochs)
        except CollapsedTrainingError as error:
            if not uses_text:
                raise
            progress.note(f"Image classifier did not converge; using names and brands only: {error}")
            epochs.skip_remaining()
    if uses_text:
        text = _fit_text(data, recipe)
    return _evaluate(version, data, recipe, picture, text, configuration.classifier.precision)


def labels_of(examples: pd.DataFrame) -> tuple[str, ...]:
    """Return the labels of examples, in the order of their codes.

    Raises:
        TrainingError: there are fewer than two.
    """
    labels = tuple(sorted(examples["label"].unique()))
    if len(labels) < 2:
        known = f"only the label '{labels[0]}'" if labels else "no labelled product"
        raise TrainingError(f"the classifier cannot be trained: there is {known}; it needs at least two labels")
    return labels


@dataclass(frozen=True, eq=False)
class _Examples:
    """Examples of a training.

    Attributes:
        labels: names of the k labels.
        truth: (n,) codes of the labels.
        groups: (n,) groups of rows that stay on one side of a split.
        folds: (n,) fold that holds each example out; `grouping.TRAINING` if none does.
        names, brands: (n,) strings, or None.
        has_text: (n,) whether there is a name or a brand.
    """

    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    groups: NDArray[np.int64]
    folds: NDArray[np.int64]
    names: NDArray[np.object_]
    brands: NDArray[np.object_]
    has_text: NDArray[np.bool_]

    @classmethod
    def of(cls, examples: pd.DataFrame, groups: NDArray[np.int64], recipe: Recipe) -> _Examples:
        labels = labels_of(examples)
        truth = examples["label"].map({label: code for code, label in enumerate(labels)}).to_numpy().astype(np.int64)
        if recipe.folds > 1:
            folds = grouping.assign_folds(truth, groups, recipe.folds, recipe.seed)
        else:
            held_out = grouping.draw_holdout(truth, groups, recipe.validation_share, recipe.seed)
            folds = np.where(held_out, 0, grouping.TRAINING)
        names, brands = (examples[column].to_numpy(object) for column in ("name", "brand"))
        return cls(labels, truth, groups, folds.astype(np.int64), names, brands, has_text(names, brands))


class _Submodel(NamedTuple):
    """Picture model or text model.

    Attributes:
        model: trained on all examples; None if there is no such model.
        logits: (n, k) float32 out-of-fold scores of the examples, NaN where there are none.
    """

    model: Any = None
    logits: NDArray[np.float32] | None = None


class _EpochProgress:
    """Advance the progress by each epoch of the picture model."""

    def __init__(self, recipe: Recipe, on_epoch: OnEpoch | None) -> None:
        trainings = recipe.folds + 1 if recipe.folds > 1 else 1
        self.remaining = recipe.epochs * trainings
        self._on_epoch = on_epoch

    def __call__(self, epoch: int, metrics: dict[str, float]) -> None:
        self.remaining -= 1
        progress.advance(STAGE)
        if self._on_epoch is not None:
            self._on_epoch(epoch, metrics)

    def skip_remaining(self) -> None:
        """Count the epochs of a training that was stopped as done."""
        progress.advance(STAGE, self.remaining)


def _fit_pictures(
    pictures: Pictures,
    data: _Examples,
    recipe: Recipe,
    configuration: Configuration,
    checkpoint_folder: Path,
    on_epoch: OnEpoch,
) -> _Submodel:
    """Train the recipe's head or network."""
    from recsys.models.classifier.training import train_head, train_network  # imports Keras, which takes seconds

    code_of = {label: code for code, label in enumerate(data.labels)}
    truth = pictures.frame["label"].map(code_of).to_numpy().astype(np.int64)
    folds = pictures.folds(data.folds)
    if recipe.network is None:
        assert isinstance(pictures.inputs, np.ndarray)
        trained = train_head(
            pictures.inputs,
            truth,
            len(data.labels),
            recipe,
            folds,
            checkpoint_folder=checkpoint_folder,
            on_epoch=on_epoch,
        )
    else:
        augmentation = None
        if recipe.augmentation == "on_the_fly":
            from recsys.vision.augmentation_layers import build_augmentation

            augmentation = build_augmentation(**configuration.augmentation.model_dump(), seed=recipe.seed)
        trained = train_network(
            pictures.loader(recipe.network.input_size, configuration.augmentation),
            truth,
            len(data.labels),
            recipe,
            folds,
            checkpoint_folder=checkpoint_folder,
            validated=pictures.from_catalogue,
            augmentation=augmentation,
            on_epoch=on_epoch,
        )
    logits = np.full((len(data.truth), len(data.labels)), np.nan, np.float32)
    rows = pictures.from_catalogue
    logits[pictures.frame.loc[rows, "example"]] = trained.logits[rows]
    return _Submodel(trained.model, logits)


def _fit_text(data: _Examples, recipe: Recipe) -> _Submodel:
    """Train the text model without each fold, and on all examples."""
    logits = np.full((len(data.truth), len(data.labels)), np.nan, np.float32)
    for fold in np.unique(data.folds[data.folds != grouping.TRAINING]):
        out = data.folds == fold
        model = _train_text(data, ~out, recipe.seed)
        logits[out] = model.logits(data.names[out], data.brands[out])
        progress.advance(STAGE)
    logits[~data.has_text] = np.nan
    model = _train_text(data, np.ones(len(data.truth), bool), recipe.seed)
    progress.advance(STAGE)
    return _Submodel(model, logits)


def _train_text(data: _Examples, rows: NDArray[np.bool_], seed: int) -> TextModel:
    return TextModel.fit(data.names[rows], data.brands[rows], data.truth[rows], len(data.labels), seed=seed)


def _evaluate(
    version: str, data: _Examples, recipe: Recipe, picture: _Submodel, text: _Submodel, precision: float
) -> Fitted:
    """Calibrate and evaluate the out-of-fold scores, and choose the threshold."""
    truth, scores = data.truth, (picture.logits, text.logits)
    log_prior = np.log(np.bincount(truth, minlength=len(data.labels)) / len(truth))
    calibration = Calibration.fit(*scores, truth, log_prior)
    probabilities, sources = calibration.probabilities(*scores), evidence(*scores)
    held_out = sources != "none"
    confidence = probabilities[held_out].max(axis=1)
    correct = probabilities[held_out].argmax(axis=1) == truth[held_out]
    threshold = threshold_for(confidence, correct, precision, groups=data.groups[held_out])
    is_head = recipe.network is None
    network = None if picture.model is None else TrainedNetwork.of(picture.model)
    model = LabelModel(
        version,
        data.labels,
        calibration,
        threshold,
        head=network if is_head else None,
        network=None if is_head else network,
        text=text.model,
    )
    evaluated = set(truth[held_out].tolist())
    predictions = prediction_table(probabilities, sources, data.labels)
    return Fitted(
        model=model,
        confidence=confidence,
        correct=correct,
        reports=_reports(data, calibration, picture, text),
        coverage=coverage_at(confidence, correct, threshold),
        unevaluated=tuple(label for code, label in enumerate(data.labels) if code not in evaluated),
        predictions=predictions.assign(fold=pd.array(data.folds, "Int32")),
    )


def _reports(
    data: _Examples, calibration: Calibration, picture: _Submodel, text: _Submodel
) -> dict[str, ClassificationReport]:
    """Return the evaluation of the picture model alone, of the text model alone and of both together."""
    sources = evidence(picture.logits, text.logits)
    logits = {
        "picture": (picture.logits, None),
        "text": (None, text.logits),
        "both": (picture.logits, text.logits),
    }
    reports = {}
    for kind, scores in logits.items():
        rows = sources == "both" if kind == "both" else np.isin(sources, [kind, "both"])
        if rows.any():
            probabilities = calibration.probabilities(*scores)
            reports[kind] = classification_report(data.truth[rows], probabilities[rows], data.labels)
    return reports
