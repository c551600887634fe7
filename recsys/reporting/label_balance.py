"""The products by label, and the balance of the training set."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from recsys.core.configuration import Configuration, Price
from recsys.core.errors import ConfigurationError
from recsys.models.classifier.recipe import load_recipe
from recsys.models.examples import TRUSTED
from recsys.models.labels.balance import plan_growth
from recsys.models.labels.ledger import class_sources
from recsys.ranking.price_levels import price_quantiles
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
