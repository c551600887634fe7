"""Weights that are earned: how much colour and price agreement costs in relevance, and which weights to take.

Nobody tells what a shopper would have bought, so three things that a catalogue does tell stand for it: whether the
answer is of the query's kind (precision at `top` on a level of the category path, finer than the label), and how well
it agrees with the query in colour and in price. The look earns the first, colour and price the others.

The choice is the one-standard-error rule (Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees",
1984): of the weights whose precision at the finest level is no worse than the best by more than its standard error,
those with the most agreement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Recommend
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.rule import candidates, rank

STEP = 0.05


def weights_grid(step: float = STEP) -> list[tuple[float, float, float]]:
    """Return (visual, colour, price) weights that sum to 1: every combination in steps."""
    parts = round(1 / step)
    return [
        (visual * step, colour * step, (parts - visual - colour) * step)
        for visual in range(parts + 1)
        for colour in range(parts + 1 - visual)
    ]


def trade_off(
    queries: Queries,
    gallery: Gallery,
    values: Sequence[NDArray[np.int64]],
    rule: Recommend,
    weights: Iterable[tuple[float, float, float]],
) -> pd.DataFrame:
    """Return what each combination of weights gives, by the default rule.

    Args:
        queries: m products of the gallery.
        gallery: n products.
        values: of each level that is judged, (n,) codes of the category path down to it, -1 where it is shorter.
        rule: filter, top, collapse and diversity.
        weights: (visual, colour, price).

    Returns:
        One row a combination: visual, colour, price (the weights); of each level, by its place from 1, `precision_1`
        and its standard error `error_1`, over the queries whose value another product has too; `colour_agreement` and
        `price_agreement`, the mean scores of what is recommended; `coverage`, the share of the gallery that is
        recommended to somebody.
    """
    found = candidates(queries, gallery, rule)
    rows = []
    for visual, colour, price in weights:
        asked = {"rule": "default", "visual_weight": visual, "colour_weight": colour, "price_weight": price}
        answer = rank(found, gallery, rule.model_copy(update=asked))
        chosen = answer.neighbours >= 0
        row = {"visual": visual, "colour": colour, "price": price}
        for place, codes in enumerate(values, start=1):
            own = codes[queries.rows]
            counted = (own >= 0) & (np.bincount(codes + 1)[own + 1] > 1) & chosen.any(axis=1)
            relevant = (codes[answer.neighbours] == own[:, None]) & chosen
            share = relevant[counted].sum(axis=1) / chosen[counted].sum(axis=1)
            row[f"precision_{place}"] = float(share.mean()) if counted.any() else np.nan
            row[f"error_{place}"] = float(share.std() / np.sqrt(max(1, counted.sum())))
        row["colour_agreement"] = float(answer.colour[chosen].mean())
        row["price_agreement"] = float(answer.price[chosen].mean())
        row["coverage"] = len(np.unique(answer.neighbours[chosen])) / len(gallery)
        rows.append(row)
    return pd.DataFrame(rows)


def earned(curve: pd.DataFrame, level: int) -> pd.Series:
    """Return the row of a `trade_off` that the one-standard-error rule takes, judged by the precision of a level.

    Agreement is the mean of the two, each from its least to its most in the curve, since a step of a price level and
    one of the colour score are no one unit.
    """
    best = curve.iloc[int(curve[f"precision_{level}"].to_numpy().argmax())]
    good = curve[curve[f"precision_{level}"] >= best[f"precision_{level}"] - best[f"error_{level}"]]
    return good.iloc[int(agreement(curve)[good.index].to_numpy().argmax())]


def agreement(curve: pd.DataFrame) -> pd.Series:
    """Return the mean of colour and price agreement, each from 0, the least of the curve, to 1, the most."""
    both = curve[["colour_agreement", "price_agreement"]]
    return ((both - both.min()) / (both.max() - both.min()).clip(lower=1e-9)).mean(axis=1)
