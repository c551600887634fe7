"""What is compared, and what is asked: products row by row in arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ARRAYS = ("product_ids", "labels", "price_levels", "embeddings", "histograms", "groups")


@dataclass(frozen=True)
class Gallery:
    """What is compared: n products with a picture, row by row in all arrays."""

    version: str  # of the model that made the embeddings
    product_ids: NDArray[np.object_]  # (n,) str
    labels: NDArray[np.object_]  # (n,) str, None where there is none
    price_levels: NDArray[np.float64]  # (n,) 1 to 4, 2.5 neutral
    embeddings: NDArray[np.float32]  # (n, d) of unit length
    histograms: NDArray[np.float32]  # (n, bins) summing to 1
    groups: NDArray[np.int64] | None = None  # (n,) one number for the variants of one product; None: nobody asked

    def __len__(self) -> int:
        return len(self.product_ids)

    def take(self, rows: NDArray[np.int64]) -> Gallery:
        """Return the gallery of some of its products, in this order."""
        arrays = {name: value[rows] for name in ARRAYS if (value := getattr(self, name)) is not None}
        return replace(self, **arrays)

    @cached_property
    def rows_of_label(self) -> dict[str, NDArray[np.int64]]:
        """The rows of each label, ascending."""
        return rows_of_values(self.labels)

    @cached_property
    def variants(self) -> dict[int, NDArray[np.int64]]:
        """The rows of each group of two or more, ascending, by its number."""
        if self.groups is None:
            return {}
        order = np.argsort(self.groups, kind="stable")
        numbers, starts, sizes = np.unique(self.groups[order], return_index=True, return_counts=True)
        several = np.flatnonzero(sizes > 1)
        return {int(numbers[k]): order[starts[k] : starts[k] + sizes[k]] for k in several}


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


def rows_of_values(values: NDArray[np.object_]) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each value, ascending; None is no value."""
    codes, kinds = pd.factorize(values)  # -1 where there is none
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes + 1, minlength=len(kinds) + 1))
    return {kind: order[ends[k] : ends[k + 1]] for k, kind in enumerate(kinds)}


def as_slice(rows: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """Return rows as a slice where each follows the one before: what they select is then no copy."""
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return slice(int(rows[0]), int(rows[0]) + len(rows))
    return rows


def blocks(rows: NDArray[np.int64], bytes_per_row: int, block_bytes: int) -> Iterator[NDArray[np.int64]]:
    """Yield the rows in blocks that take so many bytes at most, or one row."""
    size = max(1, block_bytes // max(1, bytes_per_row))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
