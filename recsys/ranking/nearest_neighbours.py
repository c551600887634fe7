"""The candidates: the products nearest to each query by embedding.

Search is exact: one matrix product per block. In large shops a photo is compared with a shortlist (see
`recsys.ranking.ann_index`), and a product of a large label with partitions of it (see `recsys.ranking.partitions`).

A product is compared within its label; a product without a label, or alone in it, with the whole shop. Where variants
collapse, the variants of the query are left out, and of the variants of another product only the nearest is a
candidate, so that a wide filter stays wide in a shop that lists every product ten times.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.ranking.gallery import Gallery, Queries, as_slice, blocks, rows_by_value

BLOCK_BYTES = 64 << 20
"""Size of one block of similarities, bytes."""

RUNS = 8
"""Runs of columns per neighbour, see `nearest_columns`."""

COPY_COST = 8
"""Time to copy an embedding out of the gallery, as a multiple of the time to compare it with one query."""


class Shortlist(Protocol):
    """A search index that names the rows to compare a query with (see `recsys.ranking.ann_index`)."""

    def __call__(
        self, vector: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None
    ) -> NDArray[np.int64] | None:
        """Return rows, ascending, that contain the `count` allowed rows nearest to a vector (d,).

        None where exact search is as good.
        """


class PartitionedLabel(Protocol):
    """Names the rows that the products of a large label are compared with (see `recsys.ranking.partitions`)."""

    def groups(self, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield positions within `rows` of the gallery, and the rows that they are compared with, ascending."""


class Neighbours(NamedTuple):
    """The nearest neighbours of a block of b queries.

    Attributes:
        queries: (b,) rows of the queries.
        rows: (b, count) rows of the gallery, nearest first, equal ones in their order; -1 where there are fewer.
        cosines: (b, count) cosine similarities; NaN where there are fewer.
    """

    queries: NDArray[np.int64]
    rows: NDArray[np.int64]
    cosines: NDArray[np.float32]


def search(
    queries: Queries,
    gallery: Gallery,
    count: int,
    *,
    collapse: bool = False,
    allowed: NDArray[np.bool_] | None = None,
    shortlist: Shortlist | None = None,
    partitions: Mapping[str, PartitionedLabel] | None = None,
) -> Iterator[Neighbours]:
    """Yield the nearest neighbours of every query, block by block.

    Args:
        queries: m products or photos.
        gallery: n products to choose from.
        count: number of neighbours.
        collapse: leave out the variants of a query, and all but the nearest of another product's variants.
        allowed: (n,) the products that may be chosen; None: all.
        shortlist: names the rows that a query to the whole shop is compared with. Where it names too few, the query
            is compared with all rows.
        partitions: by label, "" for the whole shop: name the rows that a product is compared with, if all products
            are allowed. Where it finds too few, it is compared with all rows.
    """
    variants = gallery.variant_rows if collapse else {}
    for label, members, pool in _pools(queries, gallery):
        exact = members
        if partitions and label in partitions and allowed is None:
            exact = members[queries.rows[members] < 0]
            for neighbours in _search_partitions(
                queries, gallery, np.setdiff1d(members, exact), count, variants, partitions[label]
            ):
                found = neighbours.rows[:, -1] >= 0
                yield Neighbours(neighbours.queries[found], neighbours.rows[found], neighbours.cosines[found])
                exact = np.concatenate([exact, neighbours.queries[~found]])
        if shortlist is not None and len(pool) == len(gallery):
            photos = members[queries.rows[members] < 0] if gallery.text_size else members  # it knows no words
            answers = list(_shortlisted(queries, gallery, photos, count, variants, allowed, shortlist))
            yield from answers
            exact = np.setdiff1d(members, [answer.queries[0] for answer in answers])
        if not len(exact):
            continue
        mask = None if allowed is None else allowed[pool]
        if mask is not None and COPY_COST * np.count_nonzero(mask) < len(exact) * len(pool):
            pool, mask = pool[mask], None
        yield from _search_pool(queries, gallery, exact, pool, count, variants, mask)


def pool_labels(labels: NDArray[np.object_], gallery: Gallery) -> NDArray[np.object_]:
    """Return the label that products of these labels (m,) are compared within; None for the whole shop."""
    sizes = {label: len(rows) for label, rows in gallery.rows_by_label.items()}
    return np.array([label if sizes.get(label, 0) > 1 else None for label in labels.tolist()], dtype=object)


def _pools(queries: Queries, gallery: Gallery) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield labels, rows of their queries and rows of the gallery to search; the label "" is the whole shop."""
    labels = pool_labels(queries.labels, gallery)
    for label, members in sorted(rows_by_value(labels).items()):
        yield label, members, gallery.rows_by_label[label]
    whole_shop = pd.isna(labels)
    if whole_shop.any():
        yield "", np.flatnonzero(whole_shop), np.arange(len(gallery))


def _search_partitions(
    queries: Queries,
    gallery: Gallery,
    members: NDArray[np.int64],
    count: int,
    variants: dict[int, NDArray[np.int64]],
    partitions: PartitionedLabel,
) -> Iterator[Neighbours]:
    """Yield the neighbours of these products of a label, partition by partition."""
    for positions, pool in partitions.groups(queries.rows[members]):
        yield from _search_pool(queries, gallery, members[positions], pool, count, variants)


def _shortlisted(
    queries: Queries,
    gallery: Gallery,
    members: NDArray[np.int64],
    count: int,
    variants: dict[int, NDArray[np.int64]],
    allowed: NDArray[np.bool_] | None,
    shortlist: Shortlist,
) -> Iterator[Neighbours]:
    """Yield the neighbours of each of these queries whose shortlist is long enough, one query at a time."""
    for k, member in enumerate(members):
        rows = shortlist(queries.embeddings[member, : gallery.picture_size], count, allowed)
        if rows is not None:
            (neighbours,) = _search_pool(queries, gallery, members[k : k + 1], rows, count, variants)
            if (neighbours.rows >= 0).all():
                yield neighbours


def _search_pool(
    queries: Queries,
    gallery: Gallery,
    members: NDArray[np.int64],
    pool: NDArray[np.int64],
    count: int,
    variants: dict[int, NDArray[np.int64]],
    mask: NDArray[np.bool_] | None = None,
) -> Iterator[Neighbours]:
    """Yield the neighbours of these queries among these rows of the gallery, or among those in the mask."""
    vectors = gallery.embeddings[as_slice(pool)].T  # (d, c)
    groups = gallery.groups[pool] if variants and gallery.groups is not None else None
    if groups is not None and not gallery.has_variants[pool].any():
        groups = None
    for block in blocks(members, 4 * len(pool) + 24 * count, BLOCK_BYTES):
        # at least two, because the product of one vector and a matrix is rounded in another order
        similarity = (queries.embeddings[np.resize(block, max(2, len(block)))] @ vectors)[: len(block)]  # (b, c)
        if mask is not None:
            similarity[:, ~mask] = -np.inf
        _leave_out_queries(similarity, queries.rows[block], pool, gallery, variants)
        columns = _nearest(similarity, count, groups)
        cosines = np.take_along_axis(similarity, columns, axis=1)
        valid = (columns >= 0) & np.isfinite(cosines)
        rows = np.full((len(block), count), -1)
        scores = np.full((len(block), count), np.nan, np.float32)
        width = columns.shape[1]
        if len(pool):
            rows[:, :width] = np.where(valid, pool[columns], -1)
            scores[:, :width] = np.where(valid, cosines, np.nan)
        yield Neighbours(block, rows, scores)


def _leave_out_queries(
    similarity: NDArray[np.float32],
    query_rows: NDArray[np.int64],
    pool: NDArray[np.int64],
    gallery: Gallery,
    variants: dict[int, NDArray[np.int64]],
) -> None:
    """Set the similarity (b, c) of each query to itself, and to its variants, to -inf."""
    lines = np.flatnonzero(query_rows >= 0)
    _leave_out(similarity, lines, query_rows[lines], pool)
    if variants and gallery.groups is not None:
        for line in lines:
            rows = variants.get(int(gallery.groups[query_rows[line]]))
            if rows is not None:
                _leave_out(similarity, np.full(len(rows), line), rows, pool)


def _leave_out(
    similarity: NDArray[np.float32], lines: NDArray[np.int64], rows: NDArray[np.int64], pool: NDArray[np.int64]
) -> None:
    """Set the similarity of each line to one row of the gallery to -inf, where the pool (c,), ascending, has it."""
    columns = np.searchsorted(pool, rows)
    in_pool = columns < len(pool)
    in_pool[in_pool] = pool[columns[in_pool]] == rows[in_pool]
    similarity[lines[in_pool], columns[in_pool]] = -np.inf


def _nearest(similarity: NDArray[np.float32], count: int, groups: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return the columns of the `count` largest, only the largest of each group; -1 where there are fewer.

    Args:
        similarity: (b, c).
        count: number of columns.
        groups: (c,); None where each column is a group by itself.
    """
    if groups is None:
        return nearest_columns(similarity, count)
    width = min(2 * count, similarity.shape[1])
    columns = nearest_columns(similarity, width)  # (b, w)
    first = _first_of_group(groups[columns])
    order = np.argsort(~first, axis=1, kind="stable")[:, :count]
    nearest = np.where(np.take_along_axis(first, order, axis=1), np.take_along_axis(columns, order, axis=1), -1)
    lowest = np.take_along_axis(similarity, columns[:, -1:], axis=1)[:, 0]
    short = (first.sum(axis=1) < count) & np.isfinite(lowest)
    if width < similarity.shape[1] and short.any():
        nearest[short] = _nearest_of_large_groups(similarity[short], count, groups)
    return nearest


def _nearest_of_large_groups(
    similarity: NDArray[np.float32], count: int, groups: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return what `_nearest` returns, from the maximum of every group: for queries surrounded by large groups."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sorted_by_group = similarity[:, order]  # (b, c)
    largest = np.maximum.reduceat(sorted_by_group, starts, axis=1)  # (b, g)
    sizes = np.diff(starts, append=len(order))
    columns = np.where(sorted_by_group == np.repeat(largest, sizes, axis=1), order, len(order))
    column = np.minimum.reduceat(columns, starts, axis=1)  # (b, g) the first column with the maximum
    only_largest = np.full_like(similarity, -np.inf)
    np.put_along_axis(only_largest, column, largest, axis=1)
    nearest = nearest_columns(only_largest, count)
    return np.where(np.isfinite(np.take_along_axis(only_largest, nearest, axis=1)), nearest, -1)


def _first_of_group(groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether no column to the left has the same group: (b, w) -> (b, w)."""
    order = np.argsort(groups, axis=1, kind="stable")
    ordered = np.take_along_axis(groups, order, axis=1)
    is_new = np.ones(groups.shape, dtype=bool)
    is_new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.empty_like(is_new)
    np.put_along_axis(first, order, is_new, axis=1)
    return first


def nearest_columns(similarity: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the columns of the `count` largest of each row, best first, equal ones by column: (b, min(count, c)).

    Exact, in a tenth of the time of `np.argpartition`. The columns are cut into many runs. At least `count` columns
    reach the `count`-th largest of the runs' maxima, and few more do, so only those are sorted.
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
    order = np.lexsort((-similarity[line, column], line))  # stable: equal ones stay in the order of their columns
    start = np.searchsorted(line, np.arange(lines))
    return np.asarray(column[order[start[:, None] + np.arange(count)]], dtype=np.int64)
