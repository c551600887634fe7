"""Measure drift: how far the distributions of a shop's products and scores have moved.

The measure is the population stability index of a few distributions, sum((new - old) · ln(new / old)) over their bins:
below 0.1 nothing has moved, above 0.2 to 0.25 it is another population
(Siddiqi, Credit Risk Scorecards, 2006; Yurdakul, Statistical Properties of Population Stability Index, 2018).

    labels        products by label
    prices        products by price, four bins to a power of ten
    images        products by the status of their picture
    colours       hues of the products' colours, over a sample of pictures
    totals        totals of the recommendations, of the weights' sum
    confidence    the classifier's confidence in its predictions

RECSYS_HOME/drift.json      the distributions at the last refresh, and at the first one after the last training
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from recsys.core.configuration import Configuration
from recsys.models import features
from recsys.models.embedding.serving import models, serving
from recsys.storage.store import Store, among

PICTURES = 2_000
"""Maximum number of pictures whose colours are sampled: the first by digest, which is random but repeatable."""
SMOOTHING = 0.5
"""Added to each bin's count, so that an empty bin has a finite effect."""

Distribution = Mapping[str, float]
"""Count of each bin, by its name."""


def stability_index(before: Distribution, now: Distribution) -> float:
    """Return the population stability index of two distributions; 0 if one of them is empty.

    Args:
        before, now: counts by bin; missing bins count 0.
    """
    bins = sorted({*before, *now})
    counts = np.array([[side.get(name, 0.0) for name in bins] for side in (before, now)], dtype=float)
    if not counts.any(axis=1).all():
        return 0.0
    shares = (counts + SMOOTHING) / (counts + SMOOTHING).sum(axis=1, keepdims=True)
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def distributions(store: Store, configuration: Configuration) -> dict[str, Distribution]:
    """Return the current distributions of a shop by name (see the module)."""
    products = store.read("products", ["product_id", "price"], "removed IS NULL")
    active = products["product_id"].combine_chunks()

    def of_active(table: str, column: str, where: str | None = None) -> pd.Series:
        rows = store.read(table, ["product_id", column], where)
        return rows.filter(pc.is_in(rows["product_id"], value_set=active))[column].to_pandas()

    prices = products["price"].to_pandas()
    prices = prices.where(prices > 0)
    weights = sum(configuration.recommend.weights.values()) or 1.0
    ranked = serving(store.home, configuration).recommendations
    return {
        "labels": _counted(of_active("labels", "label").fillna("none")),
        "prices": _counted(np.floor(4 * np.log10(prices)).fillna(-99)),
        "images": _counted(of_active("images", "status")),
        "colours": _hues(store, configuration, of_active("images", "image_digest", "status = 'ok'")),
        "totals": _counted(np.floor(20 * of_active(ranked, "total") / weights)),
        "confidence": _counted(np.floor(10 * of_active("predictions", "confidence").clip(upper=0.999))),
    }


def update_drift(store: Store, configuration: Configuration) -> pd.DataFrame:
    """Return the drift of a shop, and save its current distributions.

    Columns: what, since_refresh, since_training; both are stability indices, NaN if there is nothing to compare with.
    """
    file = store.home / "drift.json"
    now, known = distributions(store, configuration), _read(file)
    trained = max((model.trained_at for model in models(store.home)), default="")
    rows = []
    for what, distribution in now.items():
        before = (known.get("refresh", {}).get(what), known.get("training", {}).get(what))
        rows.append((what, *(np.nan if each is None else stability_index(each, distribution) for each in before)))
    reference = known["training"] if known.get("trained") == trained else now
    scratch = file.with_suffix(".part")
    scratch.write_text(json.dumps({"refresh": now, "training": reference, "trained": trained}), encoding="utf-8")
    scratch.replace(file)
    return pd.DataFrame(rows, columns=["what", "since_refresh", "since_training"])


def beyond(drift: pd.DataFrame, limit: float) -> dict[str, float]:
    """Return the larger index of each distribution that has drifted beyond the limit, by name."""
    largest = drift.set_index("what").max(axis=1)
    return {str(what): round(float(index), 3) for what, index in largest[largest > limit].items()}


def _counted(values: pd.Series) -> Distribution:
    return {str(value): float(count) for value, count in sorted(Counter(values.tolist()).items())}


def _hues(store: Store, configuration: Configuration, pictures: pd.Series) -> Distribution:
    """Return the amount of each hue in the sampled pictures, in pictures."""
    sample = sorted(set(pictures))[:PICTURES]
    rows = store.read(features.table_name(configuration), ["histogram"], among("image_digest", sample))
    if not len(rows):
        return {}
    histograms = np.stack(rows["histogram"].to_numpy(zero_copy_only=False))  # (n, hue · saturation · value)
    hues = histograms.reshape(len(histograms), configuration.colour.hue_bins, -1).sum(axis=(0, 2))
    return {str(hue): float(amount) for hue, amount in enumerate(hues)}


def _read(file: Path) -> dict[str, dict[str, Distribution]]:
    """Return the saved distributions; empty if the file is missing or damaged."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
