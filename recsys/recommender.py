"""The original's rule: the nearest by embedding, reranked by price level and colour.

    candidates   the `filter` nearest by embedding, within the label
    price score  (3 − difference of the price levels) / 3
    colour score 1 − chi-square distance of the HSV histograms
    total        price score × price weight + colour score × colour weight
    answer       the `top` candidates by total; equal totals stay in the order of their likeness

A product without a label, or alone in its label, is compared with the whole shop; one whose label has fewer others
than `top` gets a shorter answer, since something of another kind would be worse than nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.colour import colour_score
from recsys.configuration import Recommend
from recsys.price import price_score

RULE_VERSION = 1
"""Of this code; raised when the same input would be ranked otherwise."""

BLOCK_BYTES = 64 << 20
"""What one block of similarities, or of candidates' histograms, may take."""


@dataclass(frozen=True)
class Gallery:
    """What is compared: n products with a picture, row by row in all arrays."""

    version: str  # of the model that made the embeddings
    product_ids: NDArray[np.object_]  # (n,) str
    labels: NDArray[np.object_]  # (n,) str, None where there is none
    price_levels: NDArray[np.float64]  # (n,) 1 to 4, 2.5 neutral
    embeddings: NDArray[np.float32]  # (n, d) of unit length
    histograms: NDArray[np.float32]  # (n, bins) summing to 1

    def __len__(self) -> int:
        return len(self.product_ids)


@dataclass(frozen=True)
class Recommendations:
    """What is recommended for m queries, best first; -1 where there are fewer than `top` candidates."""

    neighbours: NDArray[np.int64]  # (m, top) rows of the gallery
    visual: NDArray[np.float32]  # (m, top) cosine similarity of the embeddings, at most 1
    colour: NDArray[np.float32]  # (m, top) 0 to 1
    price: NDArray[np.float32]  # (m, top) 0 to 1
    total: NDArray[np.float32]  # (m, top) 0 to the sum of the weights


@dataclass(frozen=True)
class Queries:
    """What recommendations are wanted for: m products or photos, row by row in all arrays."""

    version: str  # of the model that made the embeddings
    rows: NDArray[np.int64]  # (m,) own row in the gallery, which is never its own neighbour; -1 for a new photo
    labels: NDArray[np.object_]  # (m,)
    price_levels: NDArray[np.float64]  # (m,)
    embeddings: NDArray[np.float32]  # (m, d)
    histograms: NDArray[np.float32]  # (m, bins)

    @classmethod
    def of(cls, gallery: Gallery, rows: NDArray[np.int64]) -> Queries:
        """Return the gallery's own products at these rows as queries."""
        return cls(
            version=gallery.version,
            rows=rows,
            labels=gallery.labels[rows],
            price_levels=gallery.price_levels[rows],
            embeddings=gallery.embeddings[rows],
            histograms=gallery.histograms[rows],
        )


def recommend(queries: Queries, gallery: Gallery, rule: Recommend, top: int | None = None) -> Recommendations:
    """Return the recommendations for each query by the original's rule.

    Args:
        queries: m products or photos.
        gallery: n products to choose from.
        rule: filter, top and weights.
        top: how many to return, instead of the rule's.

    Raises:
        ValueError: queries and gallery were embedded by different models, whose vectors have nothing to do with each
            other.
    """
    if queries.version != gallery.version:
        raise ValueError(
            f"the query was embedded by '{queries.version}' and the gallery by '{gallery.version}': embeddings of two "
            "models cannot be compared"
        )
    top = rule.top if top is None else top
    answer = Recommendations(
        neighbours=np.full((len(queries.rows), top), -1),
        **{
            name: np.full((len(queries.rows), top), np.nan, np.float32)
            for name in ("visual", "colour", "price", "total")
        },
    )
    for members, candidates in _searches(queries, gallery):
        for block in _blocks(members, max(4 * len(candidates), 8 * rule.filter * gallery.histograms.shape[1])):
            _recommend_block(queries, block, gallery, candidates, rule, top, answer)
    return answer


def _searches(queries: Queries, gallery: Gallery) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield (rows of queries, rows of the gallery to search for them): one pair a label, one for the whole shop."""
    whole_shop = np.ones(len(queries.rows), dtype=bool)
    for label in sorted({label for label in queries.labels if label is not None}):
        candidates = np.flatnonzero(gallery.labels == label)
        if len(candidates) > 1:
            members = queries.labels == label
            whole_shop &= ~members
            yield np.flatnonzero(members), candidates
    if whole_shop.any():
        yield np.flatnonzero(whole_shop), np.arange(len(gallery))


def _blocks(rows: NDArray[np.int64], bytes_per_row: int) -> Iterator[NDArray[np.int64]]:
    size = max(1, BLOCK_BYTES // max(1, bytes_per_row))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _recommend_block(
    queries: Queries,
    block: NDArray[np.int64],
    gallery: Gallery,
    candidates: NDArray[np.int64],
    rule: Recommend,
    top: int,
    answer: Recommendations,
) -> None:
    """Fill the answer's rows of a block of b queries that search the same c candidates."""
    similarity = queries.embeddings[block] @ gallery.embeddings[candidates].T  # (b, c)
    similarity[queries.rows[block, None] == candidates] = -np.inf  # never itself
    nearest = nearest_columns(similarity, rule.filter)  # (b, f)
    visual = np.take_along_axis(similarity, nearest, axis=1)
    rows = candidates[nearest]  # (b, f) rows of the gallery

    colour = colour_score(queries.histograms[block, None], gallery.histograms[rows])
    price = price_score(queries.price_levels[block, None], gallery.price_levels[rows]).astype(np.float32)
    total = price * np.float32(rule.price_weight) + colour * np.float32(rule.colour_weight)
    total[np.isneginf(visual)] = -np.inf

    best = np.argsort(-total, axis=1, kind="stable")[:, :top]
    found = np.isfinite(np.take_along_axis(visual, best, axis=1))
    width = best.shape[1]
    answer.neighbours[block, :width] = np.where(found, np.take_along_axis(rows, best, axis=1), -1)
    for name, scores in (("visual", visual), ("colour", colour), ("price", price), ("total", total)):
        chosen = np.take_along_axis(scores, best, axis=1)
        getattr(answer, name)[block, :width] = np.where(found, chosen, np.nan)


def nearest_columns(similarity: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the columns of the `count` largest of each row, best first, equal ones by column: (b, min(count, c))."""
    count = min(count, similarity.shape[1])
    if count < similarity.shape[1]:
        part = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        part.sort(axis=1)
    else:
        part = np.broadcast_to(np.arange(count), similarity.shape)
    order = np.argsort(-np.take_along_axis(similarity, part, axis=1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(part, order, axis=1), dtype=np.int64)
