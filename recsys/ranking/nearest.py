"""The candidates: the nearest by embedding, in blocks of one matrix product each, and so exactly, unless a shortlist
says whom to compare a query to the whole shop with.

A product is compared within its label; one without a label, or alone in it, with the whole shop. Where variants
collapse, a product's own are left out, and of another product's only the nearest is a candidate, so that a wide choice
stays wide in a shop that lists everything ten times.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.ranking.gallery import Gallery, Queries, as_slice, blocks, rows_of_values

BLOCK_BYTES = 64 << 20
"""What one block of similarities may take."""

RUNS = 8
"""Into how many runs of columns each candidate's worth of a row is cut, see `nearest_columns`."""

COPY = 8
"""How many times as long it takes to copy an embedding out of the gallery as to compare it with a query."""


class Shortlist(Protocol):
    """Says whom a query is compared with in place of the whole shop (see `recsys.ranking.ann_index`)."""

    def __call__(
        self, vector: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None
    ) -> NDArray[np.int64] | None:
        """Return rows, ascending, that hold the `count` allowed ones nearest to a vector (d,); None: look at all."""


def search(
    queries: Queries,
    gallery: Gallery,
    count: int,
    *,
    collapse: bool = False,
    allowed: NDArray[np.bool_] | None = None,
    shortlist: Shortlist | None = None,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """Yield the nearest of every query, block by block.

    Args:
        queries: m products or photos.
        gallery: n products to choose from.
        count: how many of the nearest.
        collapse: leave out the variants of a query, and all but the nearest of other products' variants.
        allowed: (n,) of which products may be chosen at all; None: of all.
        shortlist: whom a query to the whole shop is compared with; where they are too few, it is with all.

    Yields:
        rows of the queries (b,); rows of the gallery (b, count), best first, equal ones in their order, -1 where there
        are no more; cosine similarities (b, count), NaN where there are no more.
    """
    several = gallery.variants if collapse else {}
    for members, pool in _pools(queries, gallery):
        if shortlist is not None and len(pool) == len(gallery):
            listed = np.zeros(len(members), dtype=bool)
            for place, member in enumerate(members):
                rows = shortlist(queries.embeddings[member], count, allowed)
                if rows is None:
                    continue
                (answer,) = _within(queries, gallery, members[place : place + 1], rows, count, several)
                listed[place] = (answer[1] >= 0).all()
                if listed[place]:
                    yield answer
            members = members[~listed]
        kept = None if allowed is None else allowed[pool]
        if kept is not None and COPY * np.count_nonzero(kept) < len(members) * len(pool):
            pool, kept = pool[kept], None
        yield from _within(queries, gallery, members, pool, count, several, kept)


def _within(
    queries: Queries,
    gallery: Gallery,
    members: NDArray[np.int64],
    pool: NDArray[np.int64],
    count: int,
    several: dict[int, NDArray[np.int64]],
    kept: NDArray[np.bool_] | None = None,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """Yield what `search` does of these queries, among these rows of the gallery, or those `kept` of them."""
    vectors = gallery.embeddings[as_slice(pool)].T  # (d, c)
    groups = gallery.groups[pool] if several and gallery.groups is not None else None
    if groups is not None and len(np.unique(groups)) == len(groups):
        groups = None
    for block in blocks(members, 4 * len(pool) + 24 * count, BLOCK_BYTES):
        similarity = queries.embeddings[block] @ vectors  # (b, c)
        if kept is not None:
            similarity[:, ~kept] = -np.inf
        _leave_out_own(similarity, queries.rows[block], pool, gallery, several)
        columns = _nearest(similarity, count, groups)
        cosine = np.take_along_axis(similarity, columns, axis=1)
        cosine[columns < 0] = -np.inf
        found = np.isfinite(cosine)
        rows = np.full((len(block), count), -1)
        cosines = np.full((len(block), count), np.nan, np.float32)
        width = columns.shape[1]
        if len(pool):
            rows[:, :width] = np.where(found, pool[columns], -1)
            cosines[:, :width] = np.where(found, cosine, np.nan)
        yield block, rows, cosines


def _pools(queries: Queries, gallery: Gallery) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield (rows of queries, rows of the gallery to search for them): one pair a label, one for the whole shop."""
    whole_shop = np.ones(len(queries.rows), dtype=bool)
    for label, members in sorted(rows_of_values(queries.labels).items()):
        pool = gallery.rows_of_label.get(label, np.zeros(0, np.int64))
        if len(pool) > 1:
            whole_shop[members] = False
            yield members, pool
    if whole_shop.any():
        yield np.flatnonzero(whole_shop), np.arange(len(gallery))


def _leave_out_own(
    similarity: NDArray[np.float32],
    own: NDArray[np.int64],
    pool: NDArray[np.int64],
    gallery: Gallery,
    several: dict[int, NDArray[np.int64]],
) -> None:
    """Set the similarity (b, c) of each query to itself, and to its variants, to -inf."""
    line = np.flatnonzero(own >= 0)
    _set_lowest(similarity, line, own[line], pool)
    if several and gallery.groups is not None:
        for k in line:
            variants = several.get(int(gallery.groups[own[k]]))
            if variants is not None:
                _set_lowest(similarity, np.full(len(variants), k), variants, pool)


def _set_lowest(
    similarity: NDArray[np.float32], lines: NDArray[np.int64], rows: NDArray[np.int64], pool: NDArray[np.int64]
) -> None:
    column = np.searchsorted(pool, rows)
    there = column < len(pool)
    there[there] = pool[column[there]] == rows[there]
    similarity[lines[there], column[there]] = -np.inf


def _nearest(similarity: NDArray[np.float32], count: int, groups: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return the columns of the `count` largest, of each group only its largest, -1 where there are no more.

    Args:
        similarity: (b, c).
        count: how many.
        groups: (c,), or None where each column is a group of its own.
    """
    if groups is None:
        return nearest_columns(similarity, count)
    width = min(2 * count, similarity.shape[1])
    columns = nearest_columns(similarity, width)  # (b, w)
    first = _first_of_its_group(groups[columns])
    order = np.argsort(~first, axis=1, kind="stable")[:, :count]
    answer = np.where(np.take_along_axis(first, order, axis=1), np.take_along_axis(columns, order, axis=1), -1)
    lowest = np.take_along_axis(similarity, columns[:, -1:], axis=1)[:, 0]
    short = (first.sum(axis=1) < count) & np.isfinite(lowest)
    if width < similarity.shape[1] and short.any():
        answer[short] = _nearest_of_groups(similarity[short], count, groups)
    return answer


def _nearest_of_groups(similarity: NDArray[np.float32], count: int, groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what `_nearest` does, by the largest of each group: for queries amid large groups."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    together = similarity[:, order]  # (b, c), a group's columns side by side
    largest = np.maximum.reduceat(together, starts, axis=1)  # (b, g)
    sizes = np.diff(starts, append=len(order))
    columns = np.where(together == np.repeat(largest, sizes, axis=1), order, len(order))
    column = np.minimum.reduceat(columns, starts, axis=1)  # (b, g)
    alone = np.full_like(similarity, -np.inf)
    np.put_along_axis(alone, column, largest, axis=1)
    nearest = nearest_columns(alone, count)
    return np.where(np.isfinite(np.take_along_axis(alone, nearest, axis=1)), nearest, -1)


def _first_of_its_group(groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (b, w), whether no column to the left has the same group."""
    order = np.argsort(groups, axis=1, kind="stable")
    ordered = np.take_along_axis(groups, order, axis=1)
    new = np.ones(groups.shape, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.empty_like(new)
    np.put_along_axis(first, order, new, axis=1)
    return first


def nearest_columns(similarity: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the columns of the `count` largest of each row, best first, equal ones by column: (b, min(count, c)).

    Exact, and a tenth of the time of `np.argpartition`: the `count`-th largest of the maxima of many runs of columns is
    a bound that at least `count` columns reach, and few more do, so that only those are sorted.
    """
    lines, width = similarity.shape
    count = min(count, width)
    runs = RUNS * count
    if count == 0 or width < 2 * runs or lines == 0:
        return np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    length = width // runs
    maxima = similarity[:, : runs * length].reshape(lines, length, runs).max(axis=1)
    bound = np.partition(maxima, runs - count, axis=1)[:, runs - count]  # (b,)
    line, column = np.divmod(np.flatnonzero(similarity >= bound[:, None]), width)
    order = np.lexsort((-similarity[line, column], line))  # stable, and so equal ones stay by column
    start = np.searchsorted(line, np.arange(lines))
    return np.asarray(column[order[start[:, None] + np.arange(count)]], dtype=np.int64)
