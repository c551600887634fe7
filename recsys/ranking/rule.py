"""The rule: the nearest by embedding, reranked by what the shop wants to count.

    candidates   the `filter` nearest by embedding, within the label
    visual       cosine similarity of the embeddings
    colour       1 − chi-square distance of the HSV histograms
    price        (3 − difference of the price levels) / 3
    total        visual × visual weight + colour × colour weight + price × price weight
    answer       the `top` candidates by total; equal totals stay in the order of their likeness

Each score is from 0 to 1. By the default rule the look counts in the total: of twenty candidates, which look much
alike, it parts few; of two hundred it keeps those ahead that still look like the query. Variants of one product
collapse, and `diversity` may be asked for.

The original's rule (`recommend.rule = "original"`; source: its slides) has no visual part, and neither collapses nor
diversifies.

A product without a label, or alone in its label, is compared with the whole shop; one whose label has fewer others
than `top` gets a shorter answer, since something of another kind would be worse than nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.core.configuration import Recommend
from recsys.ranking.gallery import Gallery, Queries, blocks
from recsys.ranking.likeness import colour_scores, visual_score
from recsys.ranking.nearest import Shortlist, search
from recsys.ranking.price_levels import price_score

RULE_VERSION = 2
"""Of this code; raised when the same input would be ranked otherwise."""

BLOCK_BYTES = 64 << 20
"""What one block of candidates, with their embeddings where diversity needs them, may take."""

LOWEST = np.float32(-1e30)
"""The relevance of no candidate: after every candidate, before those that were chosen already."""


@dataclass(frozen=True)
class Candidates:
    """The candidates of m queries, nearest first, with their scores; rows -1 and scores NaN where there are no more."""

    rows: NDArray[np.int64]  # (m, f) rows of the gallery
    visual: NDArray[np.float32]  # (m, f) 0 to 1
    colour: NDArray[np.float32]  # (m, f) 0 to 1
    price: NDArray[np.float32]  # (m, f) 0 to 1


@dataclass(frozen=True)
class Recommendations:
    """What is recommended for m queries, best first; -1 and NaN where there are fewer than `top` candidates."""

    neighbours: NDArray[np.int64]  # (m, top) rows of the gallery
    visual: NDArray[np.float32]  # (m, top) 0 to 1
    colour: NDArray[np.float32]  # (m, top) 0 to 1
    price: NDArray[np.float32]  # (m, top) 0 to 1
    total: NDArray[np.float32]  # (m, top) 0 to the sum of the weights


def recommend(
    queries: Queries,
    gallery: Gallery,
    rule: Recommend,
    top: int | None = None,
    allowed: NDArray[np.bool_] | None = None,
    shortlist: Shortlist | None = None,
) -> Recommendations:
    """Return the recommendations for each query by the configured rule.

    Args:
        queries: m products or photos.
        gallery: n products to choose from.
        rule: which rule, filter, top and weights.
        top: how many to return, instead of the rule's.
        allowed: (n,) of which products may be recommended at all; None: of all. The answer is that of the whole
            search, not what a filter leaves of another one's.
        shortlist: whom a query to the whole shop is compared with; None: with all.

    Raises:
        ValueError: queries and gallery were embedded by different models, whose vectors have nothing to do with each
            other.
    """
    top = rule.top if top is None else top
    count = len(queries.rows)
    names = ("visual", "colour", "price", "total")
    scores = {name: np.full((count, top), np.nan, np.float32) for name in names}
    answer = Recommendations(np.full((count, top), -1), **scores)
    for members, found in _scored(queries, gallery, rule, allowed, shortlist):
        ranked = rank(found, gallery, rule, top)
        for name in ("neighbours", *names):
            getattr(answer, name)[members] = getattr(ranked, name)
    return answer


def candidates(
    queries: Queries, gallery: Gallery, rule: Recommend, allowed: NDArray[np.bool_] | None = None
) -> Candidates:
    """Return each query's candidates with their scores, for ranking them by several weights (see `rank`).

    They depend on the rule's `filter` and on whether variants collapse, and on no weight.
    """
    shape = (len(queries.rows), rule.filter)
    scores = {name: np.full(shape, np.nan, np.float32) for name in ("visual", "colour", "price")}
    answer = Candidates(np.full(shape, -1), **scores)
    for members, found in _scored(queries, gallery, rule, allowed):
        for name in ("rows", *scores):
            getattr(answer, name)[members] = getattr(found, name)
    return answer


def rank(found: Candidates, gallery: Gallery, rule: Recommend, top: int | None = None) -> Recommendations:
    """Return the candidates' `top` best by the rule's weights."""
    top = rule.top if top is None else top
    weights = rule.weights
    total = found.price * np.float32(weights["price"]) + found.colour * np.float32(weights["colour"])
    if weights["visual"]:
        total += found.visual * np.float32(weights["visual"])
    if rule.rule == "default" and rule.diversity > 0 and any(weights.values()):
        best = _diverse((total / sum(weights.values())).astype(np.float32), found.rows, gallery, rule.diversity, top)
    else:
        best = np.argsort(np.where(found.rows < 0, np.inf, -total), axis=1, kind="stable")[:, :top]

    width = best.shape[1]
    rows = np.full((len(best), top), -1)
    rows[:, :width] = np.take_along_axis(found.rows, best, axis=1)
    scores = {}
    for name, score in (("visual", found.visual), ("colour", found.colour), ("price", found.price), ("total", total)):
        scores[name] = np.full(rows.shape, np.nan, np.float32)
        scores[name][:, :width] = np.where(rows[:, :width] < 0, np.nan, np.take_along_axis(score, best, axis=1))
    return Recommendations(rows, **scores)


def _scored(
    queries: Queries,
    gallery: Gallery,
    rule: Recommend,
    allowed: NDArray[np.bool_] | None,
    shortlist: Shortlist | None = None,
) -> Iterator[tuple[NDArray[np.int64], Candidates]]:
    """Yield rows of the queries and their candidates, in blocks of bounded memory."""
    if queries.version != gallery.version:
        raise ValueError(
            f"the query was embedded by '{queries.version}' and the gallery by '{gallery.version}': embeddings of two "
            "models cannot be compared"
        )
    nearest = search(queries, gallery, rule.filter, collapse=rule.collapses, allowed=allowed, shortlist=shortlist)
    for members, rows, cosine in nearest:
        missing = rows < 0
        colour = colour_scores(queries.histograms[members], gallery.histograms, rows)
        levels = queries.price_levels[members, None], gallery.price_levels[rows]
        price = price_score(*levels).astype(np.float32)
        colour[missing] = price[missing] = np.nan
        yield members, Candidates(rows, visual_score(cosine), colour, price)


def _diverse(
    relevance: NDArray[np.float32], rows: NDArray[np.int64], gallery: Gallery, diversity: float, top: int
) -> NDArray[np.int64]:
    """Return the columns (m, top) by maximal marginal relevance, in the order in which they are chosen.

    Each next one has the largest (1 − diversity) × relevance − diversity × its visual score with the most like it of
    those before (Carbonell and Goldstein, "The use of MMR, diversity-based reranking", SIGIR 1998).

    Args:
        relevance: (m, f) 0 to 1; whatever where there is no candidate.
        rows: (m, f) rows of the gallery, -1 where there is none.
        gallery: whose embeddings say how alike candidates are.
        diversity: 0 to 1.
        top: how many.
    """
    count, width = rows.shape
    top = min(top, width)
    chosen = np.empty((count, top), np.int64)
    size = 4 * width * gallery.embeddings.shape[1]
    for block in blocks(np.arange(count), size, BLOCK_BYTES):
        vectors = gallery.embeddings[rows[block]]  # (b, f, d)
        value = np.where(rows[block] < 0, LOWEST, (1 - diversity) * relevance[block])  # (b, f)
        likeness = np.zeros(value.shape, np.float32)  # of each candidate with the most like it of those chosen
        line = np.arange(len(block))
        for place in range(top):
            pick = np.argmax(value - diversity * likeness, axis=1)
            chosen[block, place] = pick
            alike = np.matmul(vectors, vectors[line, pick, :, None])[..., 0]
            likeness = np.maximum(likeness, visual_score(alike))
            value[line, pick] = -np.inf
    return chosen
