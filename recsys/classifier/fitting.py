"""The training as a whole: each example judged by models that did not see it, then the model of all examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.classifier import split
from recsys.classifier.calibration import Calibration, Coverage, coverage_at, evidence, threshold_for
from recsys.classifier.judgement import Judgement, judge
from recsys.classifier.label_model import LabelModel, told
from recsys.classifier.recipe import Recipe
from recsys.classifier.text import TextModel, has_text
from recsys.errors import TrainingError

if TYPE_CHECKING:
    from recsys.classifier.training import OnEpoch


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a training gives.

    Attributes:
        model: trained on all examples.
        truth: (n,) codes of the given labels.
        probabilities: (n, k) of each example by models that did not see it; NaN where it was never held out.
        judgements: by what was judged, `picture`, `text` and `both`: over the examples that have it.
        coverage: of the threshold, over all that were held out.
        predictions: one row an example, as `label_model.told`, with the `fold`; null where it was never held out.
    """

    model: LabelModel
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    judgements: dict[str, Judgement]
    coverage: Coverage
    predictions: pd.DataFrame


def fit(
    examples: pd.DataFrame,
    groups: NDArray[np.int64],
    features: NDArray[np.float32],
    recipe: Recipe,
    precision: float,
    version: str,
    checkpoint_folder: Path,
    on_epoch: OnEpoch | None = None,
) -> Fitted:
    """Train a classifier and say what it is worth.

    Args:
        examples: name, brand, label and image_digest (null without a picture), n rows.
        groups: (n,) what stays on one side of a split.
        features: (m, d) unit features of the m examples that have a picture, in their order.
        recipe: how.
        precision: that filled labels are to have.
        version: names the model.
        checkpoint_folder: of this recipe and these examples; a training that was killed goes on from there.
        on_epoch: see `training.train_head`.

    Raises:
        TrainingError: there are no examples of two labels, or the training leads nowhere.
    """
    labels = labels_of(examples)
    truth = examples["label"].map({label: code for code, label in enumerate(labels)}).to_numpy().astype(np.int64)
    if recipe.folds > 1:
        folds = split.folds(truth, groups, recipe.folds, recipe.seed).astype(np.int64)
    else:
        held_out = split.holdout(truth, groups, recipe.validation_share, recipe.seed)
        folds = np.where(held_out, 0, split.TRAINING).astype(np.int64)
    names, brands = examples["name"].tolist(), examples["brand"].tolist()
    pictured, written = examples["image_digest"].notna().to_numpy(), has_text(names, brands)

    head, picture = None, None
    if len(np.unique(truth[pictured])) > 1:
        from recsys.classifier.training import train_head  # Keras: seconds to import

        trained = train_head(
            features, truth[pictured], len(labels), recipe, folds[pictured], checkpoint_folder=checkpoint_folder,
            on_epoch=on_epoch,
        )  # fmt: skip
        head, picture = trained.model, np.full((len(truth), len(labels)), np.nan, np.float32)
        picture[pictured] = trained.logits
    text, written_logits = None, None
    if recipe.text and written.any():
        text, written_logits = _fit_text(names, brands, truth, len(labels), folds, recipe.seed)
    if head is None and text is None:
        raise TrainingError("the classifier cannot be trained: no labelled product has a picture, a name or a brand")

    held = folds != split.TRAINING
    prior = np.log(np.bincount(truth, minlength=len(labels)) / len(truth))
    calibration = Calibration.fit(picture, written_logits, pictured & held, written & held, truth, prior)
    given = (picture, written_logits, pictured & held, written & held)
    by = evidence(*given)
    probabilities = calibration.probabilities(*given)
    probabilities[by == "none"] = np.nan
    judged = by != "none"
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    threshold = threshold_for(sure[judged], right[judged], precision, groups=groups[judged])
    nothing = np.zeros(len(truth), bool)
    alone = {
        "picture": calibration.probabilities(picture, None, pictured & held, nothing),
        "text": calibration.probabilities(None, written_logits, nothing, written & held),
    }
    seen = {"picture": np.isin(by, ["picture", "both"]), "text": np.isin(by, ["text", "both"]), "both": by == "both"}
    judgements = {
        kind: judge(truth[rows], alone.get(kind, probabilities)[rows], labels)
        for kind, rows in seen.items()
        if rows.any()
    }
    predictions = told(np.nan_to_num(probabilities), by, labels).assign(fold=pd.array(folds, "Int32"))
    return Fitted(
        model=LabelModel(version, labels, calibration, threshold, head, text),
        truth=truth,
        probabilities=probabilities,
        judgements=judgements,
        coverage=coverage_at(sure[judged], right[judged], threshold),
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
    return TextModel.fit(names, brands, truth, labels, seed=seed), logits
