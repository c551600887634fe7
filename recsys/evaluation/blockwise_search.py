"""The ranking of the catalogue for each query, in blocks: never n × n numbers in memory.

Of a query's candidates its own group is left out: near-duplicates of a product are found by any model, and would make
each of them look good.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 16 << 20
"""Of one block's float32 similarities. With the keys that they are sorted by, and what is worked out from the ranking,
about eight times as much is in memory at once, whatever the number of queries and of products."""

LEFT_OUT = -np.inf


def rankings(
    embeddings: NDArray[np.float32],
    queries: NDArray[np.int64],
    candidates: NDArray[np.int64],
    groups: NDArray[np.int64],
) -> Iterator[tuple[slice, NDArray[np.int32], NDArray[np.int64]]]:
    """Yield the ranking of a block of queries.

    Args:
        embeddings: (n, d) float32 of unit length.
        queries: (q,) rows.
        candidates: (m,) rows.
        groups: (n,) the group of each row; candidates of the query's group are not ranked.

    Yields:
        The block as a slice of the queries; the candidates' places in `candidates` (b, m), the most similar first and
        equal ones in their order, those of the query's own group last; how many candidates it has (b,).
    """
    for block, similarity in similarities(embeddings, queries, candidates, groups):
        keys = _keys(similarity)
        keys.sort(axis=1)
        yield block, (keys & 0xFFFFFFFF).astype(np.int32), (similarity > LEFT_OUT).sum(axis=1)


def nearest(
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
    found = np.full((len(queries), count), -1, dtype=np.int64)
    for block, similarity in similarities(embeddings, queries, candidates, groups, products):
        keys = _keys(similarity)
        if count < keys.shape[1]:
            keys = np.partition(keys, count - 1, axis=1)[:, :count]
        places = np.sort(keys, axis=1) & 0xFFFFFFFF  # (b, at most count)
        known = np.take_along_axis(similarity, places, axis=1) > LEFT_OUT
        found[block, : places.shape[1]] = np.where(known, candidates[places], -1)
    return found


def similarities(
    embeddings: NDArray[np.float32],
    queries: NDArray[np.int64],
    candidates: NDArray[np.int64],
    groups: NDArray[np.int64],
    products: NDArray[np.int64] | None = None,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield a block of queries as a slice, and its cosine similarities (b, m), -inf where a candidate is left out.

    Args:
        embeddings: (n, d) float32 of unit length.
        queries: (q,) rows.
        candidates: (m,) rows.
        groups: (n,) of each row; candidates of the query's own are left out.
        products: (n,) codes; where given, other pictures of the query's own product stay.
    """
    gallery = np.ascontiguousarray(embeddings[candidates], dtype=np.float32)  # (m, d)
    size = max(1, BLOCK_BYTES // max(1, 4 * len(candidates)))
    for start in range(0, len(queries), size):
        block = slice(start, min(start + size, len(queries)))
        rows = queries[block]
        similarity = embeddings[rows].astype(np.float32, copy=False) @ gallery.T
        left_out = groups[rows, None] == groups[candidates]
        if products is not None:
            left_out &= products[rows, None] != products[candidates]
            left_out |= rows[:, None] == candidates
        similarity[left_out] = LEFT_OUT
        yield block, similarity


def _keys(similarity: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return whole numbers that ascend from the most similar to the least, equal ones by their column: (b, m).

    Above a key's low 32 bits, the column, stand the similarity's bits, made to ascend as whole numbers and turned
    round. Sorting them is five times as fast as a stable argsort of the similarities, and the same.
    """
    bits = (similarity + np.float32(0)).view(np.int32)  # 0 in place of -0
    keys = (~(bits ^ ((bits >> 31) & 0x7FFFFFFF))).astype(np.int64) << 32
    keys |= np.arange(similarity.shape[1])
    return keys
