"""The retrieval metrics of one model, query by query, from its vectors of the catalogue's pictures.

precision   at k: share of relevant pictures among the k nearest
recall      at k, as in metric learning: whether a relevant picture is among the k nearest
map_at_r    mean, over the R nearest, of the precision at each relevant one, where R is the number of relevant
            pictures (Musgrave, Belongie and Lim, "A Metric Learning Reality Check", arXiv:2003.08505)
view        at 1: whether the nearest picture to a further photo of a product is the product's own picture
colour      mean colour score of the five nearest (`recsys.vision.colour`)
price_same  share of the five nearest at the query's price level
price_apart mean difference from the query's price level among the five nearest
coverage    share of the products that are among the five nearest of any product
hubness     skewness of how often a product is among the five nearest of others: about 0 is even, high means that a few
            products are near to everything (Radovanović, Nanopoulos and Ivanović, "Hubs in Space", 2010)

The first three are computed at each level of the category path: relevant is a picture with the same value there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Evaluation
from recsys.evaluation.blockwise_search import nearest_rows, rankings
from recsys.ranking.scores import colour_scores

TOP = 5
"""Number of nearest pictures for colour, price, coverage and hubness: as many as are recommended."""

MAX_CATALOGUE_SAMPLE = 5_000
"""Largest number of products for coverage and hubness; of more, a seeded sample. Their time grows with the square of
the number, their values hardly change."""

SEED = 12_345


class Metric(NamedTuple):
    """The key of a metric.

    Attributes:
        level: of the category path, from 1; 0 where the metric has no level.
        name: see the module's docstring.
        k: rank; 0 where the metric has no rank.
    """

    level: int
    name: str
    k: int


@dataclass(frozen=True, eq=False)
class RetrievalMetrics:
    """The metrics of one model.

    Attributes:
        queries: (q,) rows of the evaluated frame.
        groups: (q,) the queries' groups.
        metrics: the f metrics of each query.
        values: (q, f) float64; NaN where a query does not count for a metric.
        neighbours: (q, 5) rows of the nearest, -1 where there are fewer.
        catalogue_metrics: coverage and hubness, which belong to no single query; NaN without products.
        catalogue_sample: number of products that those two were computed from.
    """

    queries: NDArray[np.int64]
    groups: NDArray[np.int64]
    metrics: tuple[Metric, ...]
    values: NDArray[np.float64]
    neighbours: NDArray[np.int64]
    catalogue_metrics: dict[Metric, float]
    catalogue_sample: int

    def column(self, metric: Metric) -> NDArray[np.float64]:
        """Return one metric of each query (q,); all NaN where it was not computed."""
        if metric not in self.metrics:
            return np.full(len(self.queries), np.nan)
        return self.values[:, self.metrics.index(metric)]


def compute_metrics(
    embeddings: NDArray[np.float32],
    frame: pd.DataFrame,
    settings: Evaluation,
    histograms: NDArray[np.float32] | None = None,
) -> RetrievalMetrics:
    """Compute the metrics of a model's vectors. The same input gives the same values.

    Args:
        embeddings: (n, d) float32 of unit length, one per row of the frame.
        frame: n pictures, with the columns
            product_id (str); category_path (sequence of str, top level first);
            group (int): near-duplicates and pictures of one product, which are never candidates of each other;
            held_out (bool): not in any training, so a query;
            view (int, optional): 0 is the product's own picture; further ones are only queries;
            listed (bool, optional): False for a picture from outside the catalogue, which is only a query;
            price_level (float, optional): NaN where unknown or neutral.
        settings: ranks, levels, which values count, largest number of queries.
        histograms: (n, bins) float32 that sum to 1; without them there is no colour metric.

    Raises:
        ValueError: the embeddings are not one per row, or not finite.
    """
    embeddings = _validated(embeddings, len(frame))
    roles = PictureRoles.of(frame)
    paths = frame["category_path"].tolist()
    codes = {level: values_at_level(paths, level) for level in range(1, settings.levels + 1)}
    relevant = {level: _count_relevant(code, roles, settings.min_occurrences) for level, code in codes.items()}
    similar_queries = _sampled(roles.similar_query & np.any(list(relevant.values()), axis=0), settings.queries)
    view_queries = _sampled(roles.view_query, settings.queries)
    queries = np.union1d(similar_queries, view_queries)  # (q,)

    columns, nearest = _level_metrics(embeddings, similar_queries, roles, codes, relevant, settings)
    if histograms is not None:
        columns[Metric(0, "colour", TOP)] = _colour_metric(histograms, similar_queries, nearest)
    if "price_level" in frame:
        columns |= _price_metrics(frame["price_level"].to_numpy(dtype=np.float64), similar_queries, nearest)
    values = {metric: _aligned(column, similar_queries, queries, np.nan) for metric, column in columns.items()}
    if len(view_queries):
        views = _view_metric(embeddings, view_queries, roles)
        values[Metric(0, "view", 1)] = _aligned(views, view_queries, queries, np.nan)
    sample = _sampled(np.isin(np.arange(len(frame)), roles.candidates), MAX_CATALOGUE_SAMPLE)
    return RetrievalMetrics(
        queries=queries,
        groups=roles.groups[queries],
        metrics=tuple(values),
        values=np.stack(list(values.values()), axis=1),
        neighbours=_aligned(nearest, similar_queries, queries, -1),
        catalogue_metrics=_catalogue_metrics(embeddings, sample, roles.groups),
        catalogue_sample=len(sample),
    )


def values_at_level(paths: Sequence[Sequence[str]], level: int) -> NDArray[np.int64]:
    """Return (n,) codes of the category paths cut at a level (from 1); -1 where a path is shorter."""
    cut = [" >> ".join(path[:level]) if len(path) >= level else None for path in paths]
    codes, _ = pd.factorize(np.array(cut, dtype=object))
    return np.asarray(codes, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class PictureRoles:
    """The roles of a frame's pictures: candidates and queries.

    Attributes:
        groups: (n,) near-duplicates.
        products: (n,) codes of the product ids, -1 where there is none.
        candidates: rows of the products' own pictures: listed, view 0.
        similar_query: (n,) whether it is a query for similar products: held out, and either its product's own picture
            or from outside the catalogue.
        view_query: (n,) whether it is a query for its own product: held out, and not the product's own picture.
    """

    groups: NDArray[np.int64]
    products: NDArray[np.int64]
    candidates: NDArray[np.int64]
    similar_query: NDArray[np.bool_]
    view_query: NDArray[np.bool_]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> PictureRoles:
        """Return the roles of a frame's rows, see `compute_metrics`."""
        n = len(frame)
        held_out = frame["held_out"].to_numpy(dtype=bool)
        listed = frame["listed"].to_numpy(dtype=bool) if "listed" in frame else np.ones(n, dtype=bool)
        first = frame["view"].to_numpy() == 0 if "view" in frame else np.ones(n, dtype=bool)
        products = np.asarray(pd.factorize(frame["product_id"])[0], dtype=np.int64)
        candidates = listed & first
        has_candidate = np.isin(products, products[candidates & (products >= 0)])
        return cls(
            groups=frame["group"].to_numpy(dtype=np.int64),
            products=products,
            candidates=np.flatnonzero(candidates),
            similar_query=held_out & (first | ~listed),
            view_query=held_out & has_candidate & ~candidates,
        )


def _validated(embeddings: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    """Return the embeddings as float32; raise ValueError where they are not one per row, or not finite."""
    embeddings = np.asarray(embeddings, dtype=np.float32)
    if embeddings.ndim != 2 or len(embeddings) != rows:
        raise ValueError(f"embeddings have shape {embeddings.shape}, but the frame has {rows} rows: one per row needed")
    if not np.isfinite(embeddings).all():
        raise ValueError("the embeddings contain values that are not finite")
    return embeddings


def _count_relevant(codes: NDArray[np.int64], roles: PictureRoles, min_occurrences: int) -> NDArray[np.int64]:
    """Return (n,) the number of candidates with the row's value outside its group; 0 where the value is too rare."""
    candidates = roles.candidates
    candidate_codes = codes[candidates]
    occurrences = np.bincount(candidate_codes[candidate_codes >= 0], minlength=codes.max(initial=0) + 1)
    pair = roles.groups * (codes.max(initial=0) + 2) + codes + 1  # one number per group and value
    pairs, counts = np.unique(pair[candidates], return_counts=True)
    in_group = pd.Series(counts, index=pairs).reindex(pair, fill_value=0).to_numpy()
    counted = (codes >= 0) & (occurrences[codes] > min_occurrences)
    return np.where(counted, occurrences[codes] - in_group, 0)


def _sampled(is_query: NDArray[np.bool_], maximum: int) -> NDArray[np.int64]:
    """Return the marked rows, ascending; of more than `maximum`, a seeded sample."""
    rows = np.flatnonzero(is_query)
    if len(rows) <= maximum:
        return rows
    return np.sort(np.random.default_rng(SEED).choice(rows, maximum, replace=False))


def _aligned(values: NDArray[Any], rows: NDArray[np.int64], queries: NDArray[np.int64], fill: float) -> NDArray[Any]:
    """Return the values of some rows (r, ...) as values of all queries (q, ...), `fill` for the others."""
    aligned = np.full((len(queries), *values.shape[1:]), fill, dtype=values.dtype)
    aligned[np.searchsorted(queries, rows)] = values
    return aligned


def _level_metrics(
    embeddings: NDArray[np.float32],
    queries: NDArray[np.int64],
    roles: PictureRoles,
    codes: dict[int, NDArray[np.int64]],
    relevant: dict[int, NDArray[np.int64]],
    settings: Evaluation,
) -> tuple[dict[Metric, NDArray[np.float64]], NDArray[np.int64]]:
    """Return precision, recall and MAP@R at each level, (q,) each, and the nearest rows (q, 5)."""
    candidates = roles.candidates
    ranks = sorted({*settings.ranks, TOP})
    names = [*(("precision", k) for k in ranks), *(("recall", k) for k in ranks), ("map_at_r", 0)]
    values = {Metric(level, *name): np.full(len(queries), np.nan) for level in codes for name in names}
    nearest = np.full((len(queries), TOP), -1, dtype=np.int64)
    for block, order, lengths in rankings(embeddings, queries, candidates, roles.groups):
        width = min(TOP, order.shape[1])
        nearest[block, :width] = np.where(np.arange(width) < lengths[:, None], candidates[order[:, :width]], -1)
        for level, code in codes.items():
            counts = relevant[level][queries[block]]  # (b,)
            counted = np.flatnonzero(counts)
            if not len(counted):
                continue
            rows = np.arange(block.start, block.stop)[counted]
            depth = min(order.shape[1], max(int(counts.max()), ranks[-1]))
            hits = code[candidates][order[counted, :depth]] == code[queries[rows], None]  # (a, depth)
            hits &= np.arange(depth) < lengths[counted, None]
            for k in ranks:
                hits_at_k = hits[:, :k].sum(axis=1)
                values[Metric(level, "precision", k)][rows] = hits_at_k / np.minimum(k, lengths[counted])
                values[Metric(level, "recall", k)][rows] = hits_at_k > 0
            values[Metric(level, "map_at_r", 0)][rows] = _map_at_r(hits, counts[counted])
    return values, nearest


def _map_at_r(hits: NDArray[np.bool_], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean average precision over each row's first R positions: (b, at least max R), (b,) -> (b,)."""
    row, position = np.nonzero(hits & (np.arange(hits.shape[1]) < counts[:, None]))
    first = np.searchsorted(row, np.arange(len(hits)))
    hits_so_far = np.arange(len(row)) - first[row] + 1
    return np.bincount(row, hits_so_far / (position + 1), minlength=len(hits)) / counts


def _view_metric(
    embeddings: NDArray[np.float32], queries: NDArray[np.int64], roles: PictureRoles
) -> NDArray[np.float64]:
    """Return (q,) whether the nearest candidate is of the query's product.

    Near-duplicates of another product are excluded, because a photo that two products share belongs to both.
    """
    nearest = nearest_rows(embeddings, queries, roles.candidates, roles.groups, 1, roles.products)[:, 0]
    return ((nearest >= 0) & (roles.products[nearest] == roles.products[queries])).astype(np.float64)


def _colour_metric(
    histograms: NDArray[np.float32], queries: NDArray[np.int64], nearest: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return (q,) the mean colour score of the nearest; NaN where there are none."""
    scores = colour_scores(histograms[queries], histograms, nearest).astype(np.float64)
    return _row_means(np.where(nearest >= 0, scores, np.nan))


def _price_metrics(
    levels: NDArray[np.float64], queries: NDArray[np.int64], nearest: NDArray[np.int64]
) -> dict[Metric, NDArray[np.float64]]:
    """Return the share of equal levels and the mean difference, (q,) each; NaN where no level is known."""
    difference = np.where(nearest >= 0, np.abs(levels[nearest] - levels[queries, None]), np.nan)
    same = np.where(np.isnan(difference), np.nan, difference == 0)
    return {Metric(0, "price_same", TOP): _row_means(same), Metric(0, "price_apart", TOP): _row_means(difference)}


def _row_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each row's known values, NaN where there is none: (q, k) -> (q,)."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(axis=1) / known.sum(axis=1))


def _catalogue_metrics(
    embeddings: NDArray[np.float32], sample: NDArray[np.int64], groups: NDArray[np.int64]
) -> dict[Metric, float]:
    """Return coverage and hubness among a sample of the products' own pictures."""
    coverage, hubness = float("nan"), float("nan")
    if len(sample):
        nearest = nearest_rows(embeddings, sample, sample, groups, TOP)
        occurrences = np.bincount(nearest[nearest >= 0], minlength=len(groups))[sample].astype(np.float64)
        coverage = float((occurrences > 0).mean())
        if spread := occurrences.std():
            hubness = float(((occurrences - occurrences.mean()) ** 3).mean() / spread**3)
    return {Metric(0, "coverage", TOP): coverage, Metric(0, "hubness", TOP): hubness}
