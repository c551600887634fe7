"""The products by label, the balance of the training set, and the labels that the classifier guessed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration, Price
from recsys.core.errors import ConfigurationError
from recsys.models.classifier.recipe import load_recipe
from recsys.models.classifier.registry import Classifier, current_classifier
from recsys.models.examples import TRUSTED
from recsys.models.labels.balance import plan_growth
from recsys.models.labels.ledger import class_sources, predicted_labels
from recsys.models.labels.review import review_list, suspicious_labels
from recsys.ranking.price_levels import price_quantiles
from recsys.reporting.products import read_pictures
from recsys.storage.store import Store


@dataclass(frozen=True)
class LabelSummary:
    """The products of one label, or of none (None).

    Attributes:
        quantiles: the upper price limits of levels 1, 2 and 3; None where all products have the neutral level.
        merged: number of products whose label comes from the merge table.
        predicted: number of products whose label is a guess of the classifier.
        reviewed: number of products whose label a person gave. All other labels are the catalogue's own.
    """

    label: str | None
    products: int
    with_image: int
    quantiles: tuple[float, float, float] | None
    merged: int = 0
    predicted: int = 0
    reviewed: int = 0


@dataclass(frozen=True)
class ClassGrowth:
    """The number of images of one class before and after balancing; see `balance.plan_growth`."""

    label: str
    catalogue: int
    kept: int
    scraped: int
    augmented: int
    total: int


@dataclass(frozen=True)
class ClassBalance:
    """The classes of the training set, the largest first.

    Attributes:
        trained_on: what the configured recipe uses: `all` images of the catalogue, those `kept`, or the `total` with
            the added ones.
    """

    classes: tuple[ClassGrowth, ...]
    trained_on: Literal["all", "kept", "total"]


def summarise_labels(
    store: Store, products: pd.DataFrame, shown: pd.DataFrame, settings: Price
) -> tuple[LabelSummary, ...]:
    """Return the labels, the largest first, and last the products without a label.

    Args:
        store: the home's tables.
        products: see `products.read_products`.
        shown: see `products.with_features`; their prices give the quantiles.
        settings: the price levels.
    """
    sources: dict[Any, Any] = class_sources(store).set_index("label").drop(columns="catalogue").to_dict("index")
    labels = [*products["label"].dropna().unique(), *([None] if products["label"].isna().any() else [])]
    summaries = [_summarise_label(label, products, shown, settings, sources.get(label, {})) for label in labels]
    return tuple(sorted(summaries, key=lambda item: (item.label is None, -item.products, item.label or "")))


def _summarise_label(
    label: str | None, products: pd.DataFrame, shown: pd.DataFrame, settings: Price, sources: dict[str, int]
) -> LabelSummary:
    members, priced = (
        frame[frame["label"].isna() if label is None else frame["label"] == label] for frame in (products, shown)
    )
    quantiles = price_quantiles(priced["price"].to_numpy(dtype=np.float64), settings)
    neutral = np.isnan(quantiles).any() or quantiles[0] == quantiles[2]
    return LabelSummary(
        label=label,
        products=len(members),
        with_image=int((members["status"] == "ok").sum()),
        quantiles=None if neutral else (float(quantiles[0]), float(quantiles[1]), float(quantiles[2])),
        **sources,
    )


def plan_class_balance(store: Store, products: pd.DataFrame, configuration: Configuration) -> ClassBalance | None:
    """Return the balance of the training set; None where no product with an image has a trusted label.

    As in the training, labels that the classifier guessed do not count.
    """
    trusted = store.read("labels", ["product_id"], TRUSTED)["product_id"].to_pylist()
    examples = products[(products["status"] == "ok") & products.index.isin(trusted)]
    if examples.empty:
        return None
    scraped = Counter(store.read("scraped", ["label"])["label"].to_pylist())
    sizes = Counter(examples["label"].tolist())
    recipe = load_recipe(configuration.classifier.recipe)
    try:
        plan = plan_growth(sizes, scraped, configuration, recipe.materialised_images)
    except ConfigurationError:  # fewer images in the recipe than in the shop: the training reports it
        plan = plan_growth(sizes, scraped, configuration)
    grows = recipe.augmentation == "materialised"
    return ClassBalance(
        classes=tuple(ClassGrowth(str(label), *map(int, counts)) for label, *counts in plan.to_numpy()),
        trained_on="all" if not recipe.balance else "total" if grows else "kept",
    )


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
