"""The labels that the classifier filled in, and the catalogue's labels that it contradicts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.models.classifier.registry import Classifier, current_classifier
from recsys.models.labels.ledger import predicted_labels
from recsys.models.labels.review import review_list
from recsys.models.labels.suspicious import suspicious_labels
from recsys.reporting.products import read_pictures
from recsys.storage.store import Store

MAX_GUESSES = 24
"""Number of guesses with pictures in each list: a few rows on a desktop."""


@dataclass(frozen=True, eq=False)
class Guess:
    """A product and the classifier's guess of its label.

    Attributes:
        picture: (side, side, 3) uint8 RGB, squared; None where there is none.
        catalogue_value: the catalogue's value: a text that is no label, or the label that the guess contradicts.
        label: the guess.
        confidence: of the guess, in [0, 1].
        evidence: picture, text or both; empty where unknown.
    """

    product_id: str
    title: str
    picture: NDArray[np.uint8] | None
    catalogue_value: str | None
    label: str
    confidence: float
    evidence: str = ""


@dataclass(frozen=True)
class GuessList:
    """The number of guesses, and the first of them."""

    count: int = 0
    shown: tuple[Guess, ...] = ()


@dataclass(frozen=True)
class LabelGuesses:
    """The guesses of the current classifier.

    Attributes:
        classifier: None where none has been trained.
        filled: labels that are guesses, the least certain first.
        confidences: the confidence of each filled label, by product id.
        suspicious: catalogue labels that the classifier contradicts, the most certain contradictions first.
        to_review: number of products without a label that have no answer in the review yet.
    """

    classifier: Classifier | None = None
    filled: GuessList = field(default_factory=GuessList)
    confidences: Mapping[str, float] = field(default_factory=dict)
    suspicious: GuessList = field(default_factory=GuessList)
    to_review: int = 0


def collect_guesses(store: Store, configuration: Configuration) -> LabelGuesses:
    """Return the guesses about the active products."""
    classifier, rows = current_classifier(store.home), predicted_labels(store)
    columns = {"top_level": "catalogue_value"}
    return LabelGuesses(
        classifier=classifier,
        filled=_first_guesses(store, rows[::-1].rename(columns=columns).assign(evidence="")),
        confidences=dict(zip(rows["product_id"], rows["confidence"].astype(float), strict=True)),
        suspicious=_suspicious(store, classifier, configuration.labels.suspicious_above),
        to_review=len(review_list(store)),
    )


def _suspicious(store: Store, classifier: Classifier | None, threshold: float) -> GuessList:
    if classifier is None:
        return GuessList()
    rows = suspicious_labels(store, threshold, classifier.version)
    return _first_guesses(store, rows.rename(columns={"label": "catalogue_value", "predicted": "label"}))


def _first_guesses(store: Store, rows: pd.DataFrame) -> GuessList:
    """Return the number of rows, and the first of them with their pictures.

    Columns of the rows: product_id, name, catalogue_value, label, confidence, evidence, image_digest.
    """
    first = rows.head(MAX_GUESSES)
    pictures = read_pictures(store, first.loc[first["image_digest"].notna(), "product_id"].tolist())
    records = first.astype(object).where(first.notna(), None).to_dict("records")
    guesses = (
        Guess(
            product_id=row["product_id"],
            title=row["name"] or row["product_id"],
            picture=pictures.get(row["product_id"]),
            catalogue_value=row["catalogue_value"],
            label=row["label"],
            confidence=float(row["confidence"]),
            evidence=row["evidence"] or "",
        )
        for row in records
    )
    return GuessList(len(rows), tuple(guesses))
