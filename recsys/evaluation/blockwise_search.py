"""Exact search in blocks, without the query's own near-duplicates: never n × n numbers in memory.

The candidates of a query's own group are excluded. Any model finds the near-duplicates of a product, so they would
make every model look good.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from recsys.ranking.nearest_neighbours import nearest_columns

BLOCK_BYTES = 16 << 20
"""Size of one block's float32 similarities, bytes. With its sort keys and the results, about eight times as much is in
memory at once, for any number of queries and products."""

EXCLUDED = -np.inf
"""Similarity of an excluded candidate."""


def rankings(
    embeddings: NDArray[np.float32],
    queries: NDArray[np.int64],
    candidates: NDArray[np.int64],
    groups: NDArray[np.int64],
) -> Iterator[tuple[slice, NDArray[np.int32], NDArray[np.int64]]]:
    """Yield the complete ranking of each block of queries. Arguments as `similarities`.

    Yields:
        The block as a slice of the queries; the positions in `candidates` (b, m), the most similar first, equal ones
        in their order, excluded ones last; the number of candidates that are not excluded (b,).
    """
    for block, similarity in similarities(embeddings, queries, candidates, groups):
        yield block, _descending_order(similarity), (similarity > EXCLUDED).sum(axis=1)


def nearest_rows(
    embeddings: NDArray[np.float32],
    queries: NDArray[np.int64],
    candidates: NDArray[np.int64],
    groups: NDArray[np.int64],
    count: int,
    products: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Return the rows of the `count` nearest candidates of each query (q, count), -1 where there are fewer.

    Arguments as `similarities`.
    """
    rows = np.full((len(queries), count), -1, dtype=np.int64)
    for block, similarity in similarities(embeddings, queries, candidates, groups, products):
        columns = nearest_columns(similarity, count)  # (b, at most count)
        valid = np.take_along_axis(similarity, columns, axis=1) > EXCLUDED
        rows[block, : columns.shape[1]] = np.where(valid, candidates[columns], -1)
    return rows


def similarities(
    embeddings: NDArray[np.float32],
    queries: NDArray[np.int64],
    candidates: NDArray[np.int64],
    groups: NDArray[np.int64],
    products: NDArray[np.int64] | None = None,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield each block of queries as a slice, with its cosine similarities (b, m); -inf for an excluded candidate.

    Args:
        embeddings: (n, d) float32 of unit length.
        queries: (q,) rows.
        candidates: (m,) rows.
        groups: (n,) the group of each row; candidates of the query's group are excluded.
        products: (n,) codes; with them, other pictures of the query's own product are not excluded.
    """
    vectors = np.ascontiguousarray(embeddings[candidates], dtype=np.float32)  # (m, d)
    size = max(1, BLOCK_BYTES // max(1, 4 * len(candidates)))
    for start in range(0, len(queries), size):
        block = slice(start, min(start + size, len(queries)))
        rows = queries[block]
        similarity = embeddings[rows].astype(np.float32, copy=False) @ vectors.T
        excluded = groups[rows, None] == groups[candidates]
        if products is not None:
            excluded &= products[rows, None] != products[candidates]
            excluded |= rows[:, None] == candidates
        similarity[excluded] = EXCLUDED
        yield block, similarity


def _descending_order(similarity: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return the columns from the most similar to the least, equal ones in their order: (b, m) -> (b, m).

    Sorts 64-bit keys: the bits of the similarity, transformed so that they descend as integers, above the column.
    The result equals that of a stable argsort, which takes three to five times as long and nearly all of the time of
    `benchmarks/scoreboard.py`.
    """
    bits = (similarity + np.float32(0)).view(np.int32)  # + 0 turns -0 into 0
    keys = (~(bits ^ ((bits >> 31) & 0x7FFFFFFF))).astype(np.int64) << 32
    keys |= np.arange(similarity.shape[1])
    keys.sort(axis=1)
    return (keys & 0xFFFFFFFF).astype(np.int32)
