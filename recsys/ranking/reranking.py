"""The rule: candidates, the nearest by embedding, reranked by look, colour and price.

    candidates   the `filter` nearest by embedding, within the label
    visual       cosine similarity of the embeddings
    colour       1 − chi-square distance of the HSV histograms
    price        (3 − difference of the price levels) / 3
    total        visual × visual weight + colour × colour weight + price × price weight
    answer       the `top` candidates by total; equal totals stay in the order of their visual score

Each score is from 0 to 1. In the default rule the visual score counts in the total: among twenty candidates, which
all look alike, it decides little; among two hundred it keeps ahead those that still look like the query. Variants of
one product collapse, and `diversity` is optional.

The original's rule (`recommend.rule = "original"`; source: its slides) has no visual score in the total, does not
collapse variants and does not diversify.

A product without a label, or alone in its label, is compared with the whole shop. A product whose label has fewer
others than `top` gets a shorter answer, because a product of another kind would be worse than none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.core.configuration import Recommend
from recsys.ranking.gallery import Gallery, Queries, blocks
from recsys.ranking.nearest_neighbours import PartitionedLabel, Shortlist, search
from recsys.ranking.scores import colour_scores, price_score, visual_score

RULE_VERSION = 2
"""Version of this code. Raise it when the same input would be ranked differently."""

BLOCK_BYTES = 64 << 20
"""Size of one block of candidates' embeddings, bytes; only diversity reads them."""

LOWEST = np.float32(-1e30)
"""Relevance of a missing candidate: below every candidate, above those already selected."""


@dataclass(frozen=True)
class Candidates:
    """The candidates of m queries, nearest first, with their scores; rows -1 and scores NaN where there are fewer.

    Attributes:
        rows: (m, f) rows of the gallery.
        visual, colour, price: (m, f) scores, 0 to 1.
    """

    rows: NDArray[np.int64]
    visual: NDArray[np.float32]
    colour: NDArray[np.float32]
    price: NDArray[np.float32]

    @classmethod
    def empty(cls, queries: int, count: int) -> Candidates:
        """Return `count` missing candidates for each query."""
        return cls(np.full((queries, count), -1), *(np.full((queries, count), np.nan, np.float32) for _ in range(3)))


@dataclass(frozen=True)
class Recommendations:
    """The recommendations for m queries, best first; -1 and NaN where there are fewer than `top` candidates.

    Attributes:
        neighbours: (m, top) rows of the gallery.
        visual, colour, price: (m, top) scores, 0 to 1.
        total: (m, top) weighted total, 0 to the sum of the weights.
    """

    neighbours: NDArray[np.int64]
    visual: NDArray[np.float32]
    colour: NDArray[np.float32]
    price: NDArray[np.float32]
    total: NDArray[np.float32]

    @classmethod
    def empty(cls, queries: int, top: int) -> Recommendations:
        """Return no recommendation for each query."""
        return cls(np.full((queries, top), -1), *(np.full((queries, top), np.nan, np.float32) for _ in range(4)))


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
        rule: the rule, its filter, top and weights.
        top: number of recommendations (default: the rule's).
        allowed: (n,) the products that may be recommended; None: all. The filter is applied before the search, not
            to the answer of an unfiltered one.
        shortlist: names the rows that a query to the whole shop is compared with; None: all rows.

    Raises:
        ValueError: queries and gallery were embedded by different models, whose vectors cannot be compared.
    """
    top = rule.top if top is None else top
    answer = Recommendations.empty(len(queries.rows), top)
    for members, candidates in _scored_blocks(queries, gallery, rule, allowed, shortlist):
        ranked = rerank(candidates, gallery, rule, top)
        for name, values in vars(answer).items():
            values[members] = getattr(ranked, name)
    return answer


def scored_candidates(
    queries: Queries, gallery: Gallery, rule: Recommend, partitions: Mapping[str, PartitionedLabel] | None = None
) -> Candidates:
    """Return each query's candidates with their scores, to rerank them by several weights (see `rerank`).

    They depend on the rule's `filter` and on whether variants collapse, not on its weights.

    Args:
        queries: m products or photos.
        gallery: n products to choose from.
        rule: the rule and its filter.
        partitions: see `recsys.ranking.nearest_neighbours.search`; None: search is exact.
    """
    answer = Candidates.empty(len(queries.rows), rule.filter)
    for members, candidates in _scored_blocks(queries, gallery, rule, partitions=partitions):
        for name, values in vars(answer).items():
            values[members] = getattr(candidates, name)
    return answer


def rerank(candidates: Candidates, gallery: Gallery, rule: Recommend, top: int | None = None) -> Recommendations:
    """Return the `top` best candidates by the rule's weights."""
    top = rule.top if top is None else top
    weights = rule.weights
    total = candidates.price * np.float32(weights["price"]) + candidates.colour * np.float32(weights["colour"])
    if weights["visual"]:
        total += candidates.visual * np.float32(weights["visual"])
    if rule.rule == "default" and rule.diversity > 0 and any(weights.values()):
        relevance = (total / sum(weights.values())).astype(np.float32)
        best = _diversified(relevance, candidates.rows, gallery, rule.diversity, top)
    else:
        best = np.argsort(np.where(candidates.rows < 0, np.inf, -total), axis=1, kind="stable")[:, :top]

    answer = Recommendations.empty(len(best), top)
    width = best.shape[1]
    rows = np.take_along_axis(candidates.rows, best, axis=1)
    answer.neighbours[:, :width] = rows
    scores = {"visual": candidates.visual, "colour": candidates.colour, "price": candidates.price, "total": total}
    for name, score in scores.items():
        getattr(answer, name)[:, :width] = np.where(rows < 0, np.nan, np.take_along_axis(score, best, axis=1))
    return answer


def _scored_blocks(
    queries: Queries,
    gallery: Gallery,
    rule: Recommend,
    allowed: NDArray[np.bool_] | None = None,
    shortlist: Shortlist | None = None,
    partitions: Mapping[str, PartitionedLabel] | None = None,
) -> Iterator[tuple[NDArray[np.int64], Candidates]]:
    """Yield rows of the queries and their candidates, in blocks of bounded memory."""
    if queries.version != gallery.version:
        raise ValueError(
            f"the query was embedded by '{queries.version}' and the gallery by '{gallery.version}': embeddings of two "
            "models cannot be compared"
        )
    nearest = search(
        queries,
        gallery,
        rule.filter,
        collapse=rule.collapses,
        allowed=allowed,
        shortlist=shortlist,
        partitions=partitions,
    )
    for members, rows, cosines in nearest:
        missing = rows < 0
        colour = colour_scores(queries.histograms[members], gallery.histograms, rows)
        price = price_score(queries.price_levels[members, None], gallery.price_levels[rows]).astype(np.float32)
        colour[missing] = price[missing] = np.nan
        yield members, Candidates(rows, visual_score(cosines), colour, price)


def _diversified(
    relevance: NDArray[np.float32], rows: NDArray[np.int64], gallery: Gallery, diversity: float, top: int
) -> NDArray[np.int64]:
    """Return the columns (m, top) by maximal marginal relevance, in the order of their selection.

    Each step selects the candidate with the largest (1 − diversity) × relevance − diversity × its highest visual
    score with a selected one (Carbonell and Goldstein, "The use of MMR, diversity-based reranking", SIGIR 1998).

    Args:
        relevance: (m, f) 0 to 1; any value where there is no candidate.
        rows: (m, f) rows of the gallery, -1 where there is no candidate.
        gallery: the embeddings by which candidates are compared.
        diversity: 0 to 1.
        top: number of columns.
    """
    count, width = rows.shape
    top = min(top, width)
    selected = np.empty((count, top), np.int64)
    bytes_per_query = 4 * width * gallery.embeddings.shape[1]
    for block in blocks(np.arange(count), bytes_per_query, BLOCK_BYTES):
        vectors = gallery.embeddings[rows[block]]  # (b, f, d)
        value = np.where(rows[block] < 0, LOWEST, (1 - diversity) * relevance[block])  # (b, f)
        redundancy = np.zeros(value.shape, np.float32)  # highest visual score with a selected candidate
        lines = np.arange(len(block))
        for step in range(top):
            pick = np.argmax(value - diversity * redundancy, axis=1)
            selected[block, step] = pick
            selected_vectors = gallery.weighted(vectors[lines, pick])  # (b, d)
            cosines = np.matmul(vectors, selected_vectors[..., None])[..., 0]
            redundancy = np.maximum(redundancy, visual_score(cosines))
            value[lines, pick] = -np.inf
    return selected
