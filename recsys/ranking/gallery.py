"""The gallery and the queries: products and photos as arrays, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.models.embedding.likeness import likeness_vectors

ARRAYS = ("product_ids", "labels", "price_levels", "embeddings", "histograms", "groups")
"""The attributes of a `Gallery` that have one element per product."""


@dataclass(frozen=True)
class Gallery:
    """The n products with a picture that a query is compared with, row by row in all arrays.

    Attributes:
        version: the model that computed the embeddings.
        product_ids: (n,) str.
        labels: (n,) str, None where a product has none.
        price_levels: (n,) 1 to 4, 2.5 is neutral.
        embeddings: (n, d + t), the picture's embedding (n, d) and the vector of its words and colours (n, t), each
            of unit length; a product without words has zeros there.
        histograms: (n, bins) that sum to 1.
        groups: (n,) one number for all variants of one product; None where variants were not computed.
        text_size: t; 0 where only pictures are compared.
        text_weight: share of words and colours in the likeness of two products.
    """

    version: str
    product_ids: NDArray[np.object_]
    labels: NDArray[np.object_]
    price_levels: NDArray[np.float64]
    embeddings: NDArray[np.float32]
    histograms: NDArray[np.float32]
    groups: NDArray[np.int64] | None = None
    text_size: int = 0
    text_weight: float = 0.0

    def __len__(self) -> int:
        return len(self.product_ids)

    def take(self, rows: NDArray[np.int64]) -> Gallery:
        """Return the gallery of these rows, in this order."""
        arrays = {name: value[rows] for name in ARRAYS if (value := getattr(self, name)) is not None}
        return replace(self, **arrays)

    @property
    def picture_size(self) -> int:
        """Length of a picture's embedding, d."""
        return int(self.embeddings.shape[1]) - self.text_size

    @property
    def pictures(self) -> NDArray[np.float32]:
        """The embeddings of the pictures, (n, d)."""
        return self.embeddings[:, : self.picture_size]

    def weighted(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return embeddings (..., d + t) of products whose dot products with others are the likeness.

        The likeness is (1 - w) × cosine of the pictures + w × cosine of the words, w = `text_weight`; of a product
        without words, the cosine of the pictures.
        """
        if not self.text_size:
            return embeddings
        weight = np.float32(self.text_weight)
        words = embeddings[..., self.picture_size :]
        share = np.where(words.any(axis=-1, keepdims=True), weight, np.float32(0))
        return np.concatenate([(1 - share) * embeddings[..., : self.picture_size], share * words], axis=-1)

    def unit_vectors(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Return vectors (n, d + t) of unit length whose cosines are the likeness; of these rows, or of all."""
        embeddings = self.embeddings if rows is None else self.embeddings[as_slice(rows)]
        if not self.text_size:
            return embeddings
        return likeness_vectors(
            embeddings[:, : self.picture_size], embeddings[:, self.picture_size :], self.text_weight
        )

    def of_pictures(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return embeddings (m, d) of photos as (m, d + t): their dot products are the cosines of the pictures."""
        return np.pad(vectors, [(0, 0), (0, self.text_size)])

    def rows_of(self, product_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows of these products, in their order; -1 where the gallery has none."""
        return np.asarray(self._index.get_indexer(pd.Index(product_ids, dtype=object)), np.int64)

    @cached_property
    def _index(self) -> pd.Index[str]:
        return pd.Index(self.product_ids, dtype=object)

    @cached_property
    def rows_by_label(self) -> dict[str, NDArray[np.int64]]:
        """The rows of each label, ascending."""
        return rows_by_value(self.labels)

    @cached_property
    def has_variants(self) -> NDArray[np.bool_]:
        """Whether each product has variants in the gallery, (n,)."""
        if self.groups is None:
            return np.zeros(len(self), bool)
        return np.bincount(self.groups)[self.groups] > 1

    @cached_property
    def variant_rows(self) -> dict[int, NDArray[np.int64]]:
        """The rows of each group of two or more variants, ascending, by the group's number."""
        if self.groups is None:
            return {}
        several = np.flatnonzero(self.has_variants)
        return {int(group): several[rows] for group, rows in rows_by_value(self.groups[several]).items()}


@dataclass(frozen=True)
class Queries:
    """The m products or photos that recommendations are computed for, row by row in all arrays.

    Attributes:
        version: the model that computed the embeddings.
        rows: (m,) the query's row in the gallery, which is never recommended for itself; -1 for a new photo.
        labels: (m,) str, None where a query has none.
        price_levels: (m,) 1 to 4, 2.5 is neutral.
        embeddings: (m, d + t), see `Gallery.weighted` and `Gallery.of_pictures`.
        histograms: (m, bins) that sum to 1.
    """

    version: str
    rows: NDArray[np.int64]
    labels: NDArray[np.object_]
    price_levels: NDArray[np.float64]
    embeddings: NDArray[np.float32]
    histograms: NDArray[np.float32]

    @classmethod
    def of(cls, gallery: Gallery, rows: NDArray[np.int64]) -> Queries:
        """Return the products in these rows of the gallery as queries."""
        return cls(
            version=gallery.version,
            rows=rows,
            labels=gallery.labels[rows],
            price_levels=gallery.price_levels[rows],
            embeddings=gallery.weighted(gallery.embeddings[rows]),
            histograms=gallery.histograms[rows],
        )


def rows_by_value(values: NDArray[Any]) -> dict[Any, NDArray[np.int64]]:
    """Return the rows of each value, ascending; None is not a value."""
    codes, uniques = pd.factorize(values)  # code -1 for None
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes + 1, minlength=len(uniques) + 1))
    return {value: order[ends[k] : ends[k + 1]] for k, value in enumerate(uniques)}


def as_slice(rows: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """Return consecutive rows as a slice, which selects a view and not a copy; other rows unchanged."""
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return slice(int(rows[0]), int(rows[0]) + len(rows))
    return rows


def blocks(rows: NDArray[np.int64], bytes_per_row: int, block_bytes: int) -> Iterator[NDArray[np.int64]]:
    """Yield the rows in blocks of at most `block_bytes`, but at least one row each."""
    size = max(1, block_bytes // max(1, bytes_per_row))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
