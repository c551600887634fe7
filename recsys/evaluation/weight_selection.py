"""Choose the weights of look, colour and price: how much relevance does agreement in colour and price cost?

No catalogue records what a shopper would have bought. So three measures stand for it: relevance, the precision at
`top` on a level of the category path, which is finer than the label; and the agreement of the recommendations with
the query in colour and in price. Queries are products that no embedding was trained on; the whole shop is ranked.

The choice follows the one-standard-error rule (Breiman, Friedman, Olshen and Stone, "Classification and Regression
Trees", 1984): of all weights whose precision at the finest level is at most one standard error below the best, it
takes those with the highest agreement.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration, Recommend
from recsys.evaluation.retrieval_metrics import values_at_level
from recsys.models import features
from recsys.models.embedding.examples import training_set
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.gallery_loading import load_gallery
from recsys.ranking.reranking import Recommendations, rerank, scored_candidates
from recsys.storage.store import Store

STEP = 0.05
"""Step of a weight in the grid."""
MIN_QUERIES = 30
"""Smallest number of queries at a level that counts."""
MAX_QUERIES = 1_000
"""Largest number of queries; more take longer and do not change the curve."""
SEED = 12_345

Weights = tuple[float, float, float]
"""The visual, the colour and the price weight."""


@dataclass(frozen=True, eq=False)
class WeightTradeOff:
    """Relevance against agreement in a shop, for many weights.

    Attributes:
        curve: one row per combination of weights, see `trade_off_curve`, with its mean `agreement`.
        level: the level of the category path that relevance is measured at: the finest with enough queries.
        queries: number of products that were queries.
        configured: the row of the configured weights.
        selected: the row of the weights that the one-standard-error rule selects.
    """

    curve: pd.DataFrame
    level: int
    queries: int
    configured: pd.Series
    selected: pd.Series

    @property
    def precision(self) -> str:
        """The name of the curve's column of relevance."""
        return f"precision_{self.level}"


def measure_trade_off(store: Store, configuration: Configuration) -> WeightTradeOff | None:
    """Measure the trade-off for the serving embedding, with the configured rule's filter and collapse.

    None where fewer than `MIN_QUERIES` held-out products are usable queries, or where the original's rule, which has
    no visual weight, is configured.
    """
    rule = configuration.recommend
    if rule.rule != "default" or not store.exists(features.table_name(configuration)):
        return None
    examples = training_set(store, configuration)
    frame, gallery = load_gallery(store, configuration)
    held_out = set(examples["product_id"][examples["held_out"]])
    rows = np.flatnonzero(frame["product_id"].isin(held_out) & frame["label"].notna())
    if len(rows) > MAX_QUERIES:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, MAX_QUERIES, replace=False))
    paths = [tuple(path) if path is not None else () for path in frame["category_path"]]
    codes = [values_at_level(paths, level) for level in range(1, configuration.evaluation.levels + 1)]
    level = max((k for k, values in enumerate(codes, 1) if _has_relevant(values, rows).sum() >= MIN_QUERIES), default=0)
    if not level:
        return None
    weights = [*weights_grid(), (rule.visual_weight, rule.colour_weight, rule.price_weight)]
    curve = trade_off_curve(Queries.of(gallery, rows), gallery, codes[:level], rule, weights)
    curve["agreement"] = mean_agreement(curve)
    grid = curve.iloc[:-1]
    return WeightTradeOff(grid, level, len(rows), curve.iloc[-1], select_weights(grid, level))


def weights_grid(step: float = STEP) -> list[Weights]:
    """Return every combination of weights that sum to 1, in steps."""
    parts = round(1 / step)
    return [
        (visual * step, colour * step, (parts - visual - colour) * step)
        for visual in range(parts + 1)
        for colour in range(parts + 1 - visual)
    ]


def trade_off_curve(
    queries: Queries,
    gallery: Gallery,
    codes: Sequence[NDArray[np.int64]],
    rule: Recommend,
    weights: Iterable[Weights],
) -> pd.DataFrame:
    """Compute relevance and agreement of each combination of weights, by the default rule.

    Args:
        queries: m products of the gallery.
        gallery: n products.
        codes: for each level from 1, (n,) codes of the category path cut at that level, -1 where it is shorter.
        rule: filter, top, collapse and diversity.
        weights: the combinations.

    Returns:
        One row per combination: visual, colour, price (the weights); for each level k, `precision_k` and its standard
        error `error_k`, over the queries whose value another product also has; `colour_agreement` and
        `price_agreement`, the mean scores of the recommendations; `coverage`, the share of the gallery that is
        recommended for at least one query.
    """
    candidates = scored_candidates(queries, gallery, rule)
    rows = []
    for visual, colour, price in weights:
        update = {"rule": "default", "visual_weight": visual, "colour_weight": colour, "price_weight": price}
        answer = rerank(candidates, gallery, rule.model_copy(update=update))
        valid = answer.neighbours >= 0
        row = {"visual": visual, "colour": colour, "price": price}
        for level, values in enumerate(codes, start=1):
            row[f"precision_{level}"], row[f"error_{level}"] = _precision(answer, queries.rows, values)
        row["colour_agreement"] = float(answer.colour[valid].mean())
        row["price_agreement"] = float(answer.price[valid].mean())
        row["coverage"] = len(np.unique(answer.neighbours[valid])) / len(gallery)
        rows.append(row)
    return pd.DataFrame(rows)


def _has_relevant(codes: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether another product has the same value as the product in each row."""
    query_codes = codes[rows]
    return np.asarray((query_codes >= 0) & (np.bincount(codes + 1)[query_codes + 1] > 1))


def _precision(answer: Recommendations, rows: NDArray[np.int64], codes: NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean precision of the recommendations and its standard error; NaN without a usable query."""
    valid = answer.neighbours >= 0
    counted = _has_relevant(codes, rows) & valid.any(axis=1)
    relevant = (codes[answer.neighbours] == codes[rows, None]) & valid
    precision = relevant[counted].sum(axis=1) / valid[counted].sum(axis=1)
    if not len(precision):
        return np.nan, np.nan
    return float(precision.mean()), float(precision.std() / np.sqrt(len(precision)))


def select_weights(curve: pd.DataFrame, level: int) -> pd.Series:
    """Return the row of the curve that the one-standard-error rule selects, by the precision at a level."""
    precision = curve[f"precision_{level}"]
    best = curve.iloc[int(precision.to_numpy().argmax())]
    good = curve[precision >= best[f"precision_{level}"] - best[f"error_{level}"]]
    return good.iloc[int(mean_agreement(curve)[good.index].to_numpy().argmax())]


def mean_agreement(curve: pd.DataFrame) -> pd.Series:
    """Return the mean of colour and price agreement, each scaled from 0, its minimum in the curve, to 1, its maximum.

    They are scaled because a step of a price level and a step of the colour score have different units.
    """
    both = curve[["colour_agreement", "price_agreement"]]
    return ((both - both.min()) / (both.max() - both.min()).clip(lower=1e-9)).mean(axis=1)
