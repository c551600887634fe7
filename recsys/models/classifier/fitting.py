"""The training as a whole: each example judged by models that did not see it, then the model of all examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.core.errors import CollapsedTrainingError, TrainingError
from recsys.models import grouping as split
from recsys.models.classifier.calibration import Calibration, Coverage, coverage_at, evidence, threshold_for
from recsys.models.classifier.judgement import Judgement, judge
from recsys.models.classifier.label_model import LabelModel, told
from recsys.models.classifier.pictures import Pictures
from recsys.models.classifier.recipe import Recipe
from recsys.models.text_model import TextModel, has_text
from recsys.vision.augmentation import build_augmentation

if TYPE_CHECKING:
    from recsys.models.classifier.training import Trained
    from recsys.vision.training_loop import OnEpoch

STAGE = "classifier"


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a training gives.

    Attributes:
        model: trained on all examples.
        truth: (n,) codes of the given labels.
        probabilities: (n, k) of each example by models that did not see it; NaN where it was never held out.
        judgements: by what was judged, `picture`, `text` and `both`: over the examples that have it.
        coverage: of the threshold, over all that were held out.
        unjudged: labels of which no example was held out, so that there are no figures of them.
        predictions: one row an example, as `label_model.told`, with the `fold`; null where it was never held out.
    """

    model: LabelModel
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    judgements: dict[str, Judgement]
    coverage: Coverage
    unjudged: tuple[str, ...]
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
    """Train a classifier and say what it is worth. It tells of its progress as stage `classifier`.

    Where the pictures teach nothing, as in a shop whose photos stand for others, it goes by the text alone and says so.

    Args:
        examples: name, brand and label, n rows.
        pictures: of these examples, and what is to stay on one side of a split.
        recipe: how.
        configuration: its section `augmentation`, and the precision that filled labels are to have.
        version: names the model.
        checkpoint_folder: of this recipe and these examples; a training that was killed goes on from there.
        on_epoch: see `training.train_head`.

    Raises:
        TrainingError: there are no examples of two labels, or the training diverges, or it has collapsed and there is
            no text.
        WeightsError: those that the recipe's network starts from are no weights of it.
    """
    labels = labels_of(examples)
    codes = {label: code for code, label in enumerate(labels)}
    truth = examples["label"].map(codes).to_numpy().astype(np.int64)
    if recipe.folds > 1:
        folds = split.folds(truth, pictures.groups, recipe.folds, recipe.seed).astype(np.int64)
    else:
        held_out = split.holdout(truth, pictures.groups, recipe.validation_share, recipe.seed)
        folds = np.where(held_out, 0, split.TRAINING).astype(np.int64)
    names, brands = examples["name"].tolist(), examples["brand"].tolist()
    written = has_text(names, brands)
    seen, read = pictures.frame["label"].nunique() > 1, recipe.text and bool(written.any())
    if not seen and not read:
        raise TrainingError("the classifier cannot be trained: no labelled product has a picture, a name or a brand")
    left = recipe.epochs * (recipe.folds + 1 if recipe.folds > 1 else 1) if seen else 0
    progress.begin(STAGE, left + (recipe.folds + 1 if read else 0))

    def epoch_ended(epoch: int, figures: dict[str, float]) -> None:
        nonlocal left
        left -= 1
        progress.advance(STAGE)
        if on_epoch is not None:
            on_epoch(epoch, figures)

    trained, picture = None, None
    if seen:
        try:
            trained = _train(pictures, codes, folds, recipe, configuration, checkpoint_folder, epoch_ended)
        except CollapsedTrainingError as error:
            if not read:
                raise
            progress.note(f"pictures tell nothing of the labels here, so only names and brands are gone by: {error}")
            progress.advance(STAGE, left)
        else:
            picture = np.full((len(truth), len(labels)), np.nan, np.float32)
            own = pictures.own
            picture[pictures.frame.loc[own, "example"]] = trained.logits[own]
    text, written_logits = None, None
    if read:
        text, written_logits = _fit_text(names, brands, truth, len(labels), folds, recipe.seed)

    held = folds != split.TRAINING
    prior = np.log(np.bincount(truth, minlength=len(labels)) / len(truth))
    given = (picture, written_logits, held, written & held)  # rows without scores of a picture count as without one
    calibration = Calibration.fit(*given, truth, prior)
    by = evidence(*given)
    probabilities = calibration.probabilities(*given)
    probabilities[by == "none"] = np.nan
    judged = by != "none"
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    precision = configuration.classifier.precision
    threshold = threshold_for(sure[judged], right[judged], precision, groups=pictures.groups[judged])
    nothing = np.zeros(len(truth), bool)
    alone = {
        "picture": calibration.probabilities(picture, None, held, nothing),
        "text": calibration.probabilities(None, written_logits, nothing, written & held),
    }
    shown = {"picture": np.isin(by, ["picture", "both"]), "text": np.isin(by, ["text", "both"]), "both": by == "both"}
    judgements = {
        kind: judge(truth[rows], alone.get(kind, probabilities)[rows], labels)
        for kind, rows in shown.items()
        if rows.any()
    }
    predictions = told(np.nan_to_num(probabilities), by, labels).assign(fold=pd.array(folds, "Int32"))
    return Fitted(
        model=LabelModel(
            version,
            labels,
            calibration,
            threshold,
            head=trained.model if trained is not None and recipe.network is None else None,
            network=trained.model if trained is not None and recipe.network is not None else None,
            text=text,
        ),
        truth=truth,
        probabilities=probabilities,
        judgements=judgements,
        coverage=coverage_at(sure[judged], right[judged], threshold),
        unjudged=tuple(label for label, code in codes.items() if not judged[truth == code].any()),
        predictions=predictions,
    )


def labels_of(examples: pd.DataFrame) -> tuple[str, ...]:
    """Return the labels of examples, in the order of their codes.

    Raises:
        TrainingError: there are not two.
    """
    labels = tuple(sorted(examples["label"].unique()))
    if len(labels) < 2:
        known = f"only the label '{labels[0]}'" if labels else "no labelled product"
        raise TrainingError(f"the classifier cannot be trained: there is {known}, and it takes two labels at least")
    return labels


def _train(
    pictures: Pictures,
    codes: dict[str, int],
    folds: NDArray[np.int64],
    recipe: Recipe,
    configuration: Configuration,
    checkpoint_folder: Path,
    on_epoch: OnEpoch,
) -> Trained:
    """Train the recipe's head or network on pictures, given the codes of the labels and the folds of the examples."""
    from recsys.models.classifier.training import train_head, train_network  # Keras: seconds to import

    truth = pictures.frame["label"].map(codes).to_numpy().astype(np.int64)
    how = (truth, len(codes), recipe, pictures.folds(folds))
    if recipe.network is None:
        assert isinstance(pictures.shown, np.ndarray)
        return train_head(pictures.shown, *how, checkpoint_folder=checkpoint_folder, on_epoch=on_epoch)
    augmentation = None
    if recipe.augmentation == "on_the_fly":
        augmentation = build_augmentation(**configuration.augmentation.model_dump(), seed=recipe.seed)
    return train_network(
        pictures.load(recipe.network.input_size, configuration.augmentation),
        *how,
        checkpoint_folder=checkpoint_folder,
        validated=pictures.own,
        augmentation=augmentation,
        on_epoch=on_epoch,
    )


def _fit_text(
    names: list[str | None], brands: list[str | None], truth: NDArray[np.int64], labels: int,
    folds: NDArray[np.int64], seed: int,
) -> tuple[TextModel, NDArray[np.float32]]:  # fmt: skip
    """Return the model of all rows, and (n, k) scores of each row by a model that did not see it."""
    logits = np.full((len(truth), labels), np.nan, np.float32)

    def of(rows: NDArray[np.bool_]) -> tuple[list[str | None], list[str | None]]:
        chosen = np.flatnonzero(rows)
        return [names[row] for row in chosen], [brands[row] for row in chosen]

    for fold in np.unique(folds[folds != split.TRAINING]):
        out = folds == fold
        logits[out] = TextModel.fit(*of(~out), truth[~out], labels, seed=seed).logits(*of(out))
        progress.advance(STAGE)
    whole = TextModel.fit(names, brands, truth, labels, seed=seed)
    progress.advance(STAGE)
    return whole, logits
