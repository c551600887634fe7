"""What one model is worth, query by query, by its vectors of the catalogue's pictures.

precision   at k: the share of relevant ones among the k nearest
recall      at k, as metric learning counts it: whether a relevant one is among the k nearest
map_at_r    the mean, over the R nearest, of the precision at those that are relevant, where R is how many there are
            (Musgrave, Belongie and Lim, "A Metric Learning Reality Check", arXiv:2003.08505): it falls with every
            relevant one that comes late, where recall is content with one
view        at 1: whether a further photo of a product is nearest to the picture that this product is found by
colour      mean colour score of the five nearest (`recsys.vision.colour`)
price_same  share of the five nearest that have the query's price level
price_apart mean difference from the query's price level among the five nearest
coverage    share of the products that are among the five nearest of any product
hubness     skewness of how many products each is among the five nearest of; about 0 is even, above it a few products
            stand beside everything (Radovanović, Nanopoulos and Ivanović, "Hubs in Space", 2010)

The first three are taken at each level of the category path: relevant is what has the same value of that level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Evaluation
from recsys.evaluation import blockwise_search as search
from recsys.vision.colour import colour_score

TOP = 5
"""Of the nearest that are shown, as in the recommendations: what colour, price and coverage are judged by."""

OCCURRENCES_AMONG = 5_000
"""Products that coverage and hubness are counted among, drawn by seed where there are more: their time grows with the
square, their figures hardly."""

SEED = 12_345
COLOUR_BLOCK = 1_024


class Figure(NamedTuple):
    """Which figure: its level of the category path (0: of no level), its name, and its rank k (0: of no rank)."""

    level: int
    metric: str
    k: int


@dataclass(frozen=True, eq=False)
class Judgement:
    """What one model is worth.

    Attributes:
        queries: (q,) rows of the frame that was judged.
        groups: (q,) their groups.
        figures: the f figures that are taken of each query.
        values: (q, f) float64; NaN where a query does not count for a figure.
        neighbours: (q, 5) rows of the nearest, -1 where there are fewer.
        of_catalogue: coverage and hubness, which are of no single query; NaN without products.
        asked: how many products those two were counted among.
    """

    queries: NDArray[np.int64]
    groups: NDArray[np.int64]
    figures: tuple[Figure, ...]
    values: NDArray[np.float64]
    neighbours: NDArray[np.int64]
    of_catalogue: dict[Figure, float]
    asked: int

    def column(self, figure: Figure) -> NDArray[np.float64]:
        """Return (q,) one figure of each query; all NaN where it was not taken."""
        if figure not in self.figures:
            return np.full(len(self.queries), np.nan)
        return self.values[:, self.figures.index(figure)]


def judge(
    embeddings: NDArray[np.float32],
    frame: pd.DataFrame,
    settings: Evaluation,
    histograms: NDArray[np.float32] | None = None,
) -> Judgement:
    """Return what a model's vectors are worth. The same input gives the same figures.

    Args:
        embeddings: (n, d) float32 of unit length, one a row of the frame.
        frame: n pictures, with the columns
            product_id (str); category_path (sequence of str, top level first);
            group (int): near-duplicates and pictures of one product, never among each other's candidates;
            held_out (bool): in no training, so a query;
            view (int, optional): 0 the picture that a product is found by, further ones only ask for it;
            listed (bool, optional): False for a picture from elsewhere, which asks and is not found;
            price_level (float, optional): NaN where unknown or neutral.
        settings: ranks, levels, which values count, how many queries at most.
        histograms: (n, bins) float32 that sum to 1; without them there is no figure of colour.

    Raises:
        ValueError: the embeddings are not one a row, or not finite.
    """
    embeddings = np.asarray(embeddings, dtype=np.float32)
    if embeddings.ndim != 2 or len(embeddings) != len(frame):
        raise ValueError(f"embeddings of shape {embeddings.shape} for {len(frame)} rows: one a row is needed")
    if not np.isfinite(embeddings).all():
        raise ValueError("the embeddings hold values that are not finite")
    pictures = Pictures.of(frame)
    levels = range(1, settings.levels + 1)
    codes = {level: values_at_level(frame["category_path"].tolist(), level) for level in levels}
    relevant = {level: _relevant(code, pictures, settings.min_occurrences) for level, code in codes.items()}
    asking = _drawn(pictures.asking & np.any(list(relevant.values()), axis=0), settings.queries)
    viewing = _drawn(pictures.viewing, settings.queries)
    queries = np.union1d(asking, viewing)  # (q,)
    taken: dict[Figure, NDArray[np.float64]] = {}
    neighbours = np.full((len(queries), TOP), -1, dtype=np.int64)

    of_asking = np.searchsorted(queries, asking)
    by_level, neighbours[of_asking] = _by_level(embeddings, asking, pictures, codes, relevant, settings)
    if histograms is not None:
        by_level[Figure(0, "colour", TOP)] = _colour(histograms, asking, neighbours[of_asking])
    if "price_level" in frame:
        prices = frame["price_level"].to_numpy(dtype=np.float64)
        by_level |= _price(prices, asking, neighbours[of_asking])
    for figure, column in by_level.items():
        taken[figure] = np.full(len(queries), np.nan)
        taken[figure][of_asking] = column
    if len(viewing):
        taken[figure := Figure(0, "view", 1)] = np.full(len(queries), np.nan)
        taken[figure][np.searchsorted(queries, viewing)] = _views(embeddings, viewing, pictures)
    return Judgement(
        queries=queries,
        groups=pictures.groups[queries],
        figures=tuple(taken),
        values=np.stack(list(taken.values()), axis=1),
        neighbours=neighbours,
        **_of_catalogue(embeddings, pictures),
    )


def values_at_level(paths: Sequence[Sequence[str]], level: int) -> NDArray[np.int64]:
    """Return (n,) codes of the category paths cut at a level (from 1); -1 where a path is shorter."""
    cut = [" >> ".join(path[:level]) if len(path) >= level else None for path in paths]
    codes, _ = pd.factorize(np.array(cut, dtype=object))
    return np.asarray(codes, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Pictures:
    """The rows of a frame as arrays: which may be found, and which ask.

    Attributes:
        groups: (n,) near-duplicates.
        products: (n,) codes of the product ids.
        listed: (n,) whether a search may find it.
        candidates: rows of the pictures that products are found by: listed, view 0.
        asking: (n,) whether it asks for its like: held out, and the picture of its product, or from elsewhere.
        viewing: (n,) whether it asks for its product: held out, and another picture than the one this is found by.
    """

    groups: NDArray[np.int64]
    products: NDArray[np.int64]
    listed: NDArray[np.bool_]
    candidates: NDArray[np.int64]
    asking: NDArray[np.bool_]
    viewing: NDArray[np.bool_]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Pictures:
        """Return the rows of a frame, see `judge`."""
        n = len(frame)
        held_out = frame["held_out"].to_numpy(dtype=bool)
        listed = frame["listed"].to_numpy(dtype=bool) if "listed" in frame else np.ones(n, dtype=bool)
        first = frame["view"].to_numpy() == 0 if "view" in frame else np.ones(n, dtype=bool)
        products = np.asarray(pd.factorize(frame["product_id"])[0], dtype=np.int64)  # -1: a photo of no product
        candidates = listed & first
        found = np.isin(products, products[candidates & (products >= 0)])
        return cls(
            groups=frame["group"].to_numpy(dtype=np.int64),
            products=products,
            listed=listed,
            candidates=np.flatnonzero(candidates),
            asking=held_out & (first | ~listed),
            viewing=held_out & found & ~candidates,
        )


def _relevant(codes: NDArray[np.int64], pictures: Pictures, min_occurrences: int) -> NDArray[np.int64]:
    """Return (n,) how many candidates outside its group have a row's value; 0 where the value does not count."""
    candidates = pictures.candidates
    of_candidates = codes[candidates]
    occurrences = np.bincount(of_candidates[of_candidates >= 0], minlength=codes.max(initial=0) + 1)
    pair = pictures.groups * (codes.max(initial=0) + 2) + codes + 1
    pairs, counts = np.unique(pair[candidates], return_counts=True)
    at = np.minimum(np.searchsorted(pairs, pair), max(len(pairs) - 1, 0))
    own = np.where(pairs[at] == pair, counts[at], 0) if len(pairs) else np.zeros(len(pair), np.int64)
    counted = (codes >= 0) & (occurrences[codes] > min_occurrences)
    return np.where(counted, occurrences[codes] - own, 0)


def _drawn(asking: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
    """Return the rows that ask, in their order; of more than `most`, so many drawn by seed."""
    rows = np.flatnonzero(asking)
    return np.sort(np.random.default_rng(SEED).choice(rows, most, replace=False)) if len(rows) > most else rows


def _by_level(
    embeddings: NDArray[np.float32],
    queries: NDArray[np.int64],
    pictures: Pictures,
    codes: dict[int, NDArray[np.int64]],
    relevant: dict[int, NDArray[np.int64]],
    settings: Evaluation,
) -> tuple[dict[Figure, NDArray[np.float64]], NDArray[np.int64]]:
    """Return precision, recall and MAP@R at each level, (q,) each, and the nearest rows (q, 5)."""
    candidates = pictures.candidates
    ranks = sorted({*settings.ranks, TOP})
    figures = {
        Figure(level, metric, k): np.full(len(queries), np.nan)
        for level in codes
        for metric, each in (("precision", ranks), ("recall", ranks), ("map_at_r", [0]))
        for k in each
    }
    nearest = np.full((len(queries), TOP), -1, dtype=np.int64)
    for block, order, ranked in search.rankings(embeddings, queries, candidates, pictures.groups):
        shown = min(TOP, order.shape[1])
        nearest[block, :shown] = np.where(np.arange(shown) < ranked[:, None], candidates[order[:, :shown]], -1)
        for level, code in codes.items():
            counts = relevant[level][queries[block]]  # (b,)
            asked = np.flatnonzero(counts)
            if not len(asked):
                continue
            rows = np.arange(block.start, block.stop)[asked]
            depth = min(order.shape[1], max(int(counts.max()), ranks[-1]))
            right = code[candidates][order[asked, :depth]] == code[queries[rows], None]  # (a, depth)
            right &= np.arange(depth) < ranked[asked, None]
            for k in ranks:
                hits = right[:, :k].sum(axis=1)
                figures[Figure(level, "precision", k)][rows] = hits / np.minimum(k, ranked[asked])
                figures[Figure(level, "recall", k)][rows] = hits > 0
            figures[Figure(level, "map_at_r", 0)][rows] = _map_at_r(right, counts[asked])
    return figures, nearest


def _map_at_r(right: NDArray[np.bool_], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean average precision over each row's first R places: (b, at least max R), (b,) -> (b,)."""
    row, place = np.nonzero(right & (np.arange(right.shape[1]) < counts[:, None]))
    first = np.searchsorted(row, np.arange(len(right)))
    hits = np.arange(len(row)) - first[row] + 1  # of the row, up to this place
    return np.bincount(row, hits / (place + 1), minlength=len(right)) / counts


def _views(embeddings: NDArray[np.float32], queries: NDArray[np.int64], pictures: Pictures) -> NDArray[np.float64]:
    """Return (q,) whether the nearest of the pictures that products are found by is of the same product.

    Near-duplicates of another product are left out: one photo of two products is of either.
    """
    found = search.nearest(embeddings, queries, pictures.candidates, pictures.groups, 1, pictures.products)[:, 0]
    return ((found >= 0) & (pictures.products[found] == pictures.products[queries])).astype(np.float64)


def _colour(
    histograms: NDArray[np.float32], queries: NDArray[np.int64], neighbours: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return (q,) the mean colour score of the nearest; NaN where there are none."""
    score = np.full(neighbours.shape, np.nan)
    for start in range(0, len(queries), COLOUR_BLOCK):
        block = slice(start, start + COLOUR_BLOCK)
        for place in range(neighbours.shape[1]):
            score[block, place] = colour_score(histograms[queries[block]], histograms[neighbours[block, place]])
    return _mean(np.where(neighbours >= 0, score, np.nan))


def _price(
    levels: NDArray[np.float64], queries: NDArray[np.int64], neighbours: NDArray[np.int64]
) -> dict[Figure, NDArray[np.float64]]:
    """Return the share of equal levels and the mean difference, (q,) each; NaN where no level is known."""
    apart = np.where(neighbours >= 0, np.abs(levels[neighbours] - levels[queries, None]), np.nan)
    same = np.where(np.isnan(apart), np.nan, apart == 0)
    return {Figure(0, "price_same", TOP): _mean(same), Figure(0, "price_apart", TOP): _mean(apart)}


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each row's known values, NaN where there is none: (q, k) -> (q,)."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(axis=1) / known.sum(axis=1))


def _of_catalogue(embeddings: NDArray[np.float32], pictures: Pictures) -> dict[str, Any]:
    """Return coverage and hubness, and how many products they were counted among."""
    among = np.zeros(len(pictures.groups), dtype=bool)
    among[pictures.candidates] = True
    rows = _drawn(among, OCCURRENCES_AMONG)
    found = search.nearest(embeddings, rows, rows, pictures.groups, TOP)
    occurrences = np.bincount(found[found >= 0], minlength=len(among))[rows].astype(np.float64)
    spread = occurrences.std() if len(rows) else 0.0
    skewness = ((occurrences - occurrences.mean()) ** 3).mean() / spread**3 if spread else float("nan")
    shown = float((occurrences > 0).mean()) if len(rows) else float("nan")
    return {
        "of_catalogue": {Figure(0, "coverage", TOP): shown, Figure(0, "hubness", TOP): float(skewness)},
        "asked": len(rows),
    }
