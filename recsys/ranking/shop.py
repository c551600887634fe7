"""What products are compared by, gathered from the store: labels, price levels, embeddings, histograms."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.models import features
from recsys.models.embedding.serving import Serving, serving
from recsys.ranking import RULE_VERSION, Gallery, as_slice, rows_of_values, variant_groups
from recsys.ranking.price_levels import price_levels
from recsys.storage.store import Store, digest

T = TypeVar("T")

DERIVED_FROM = ("product_id", "name", "brand", "label", "image_digest")
"""Columns that a gallery depends on, beside the price levels: a price that moves no level moves no ranking."""


def products_with_image(store: Store) -> pd.DataFrame:
    """Return the active products that have a picture, in catalogue order, with label and image digest.

    Columns: product_id, name, brand, category_path, price, row_digest, in_stock (None where it is not known), label
    (None where there is none), image_digest.
    """
    columns = ["product_id", "position", "name", "brand", "category_path", "price", "row_digest", "in_stock"]
    products = store.read("products", columns, "removed IS NULL").to_pandas()
    images = store.read("images", ["product_id", "image_digest"], "status = 'ok'").to_pandas()
    labels = store.read("labels", ["product_id", "label"]).to_pandas()
    frame = products.merge(images, on="product_id").merge(labels, on="product_id", how="left")
    frame["label"] = frame["label"].astype(object).where(frame["label"].notna(), None)
    return frame.sort_values("position", kind="stable").drop(columns="position").reset_index(drop=True)


def bases(store: Store, configuration: Configuration, serves: Serving) -> pd.Series:
    """Return of each product with a picture the digest of all that its ranking depends on: the rule, and what it is
    compared with.

    That is its label's products, and where it has none, or they are none but itself, the whole shop. So a change
    within one label has only that label, and the products without one, ranked anew. The last ones are kept in memory,
    since every shard of a run asks for the same.

    Returns:
        str, by product_id, in catalogue order.
    """
    rule = configuration.recommend
    settings = rule.model_dump_json(exclude={"top", "demo_top", "shard_size"})
    ruled = [RULE_VERSION, settings, rule.stored, *_versions(configuration, serves)]

    def compute() -> pd.Series:
        frame = products_with_image(store)
        told = _told(frame, configuration)
        answer = pd.Series(digest([*ruled, *told]), index=frame["product_id"], dtype=object)
        for rows in rows_of_values(frame["label"].to_numpy(dtype=object)).values():
            if len(rows) > 1:
                answer.iloc[rows] = digest([*ruled, *told[rows]])
        return answer

    return _bases.get((*_read_from(store, "products", "images", "labels"), *ruled), compute)


def _told(frame: pd.DataFrame, configuration: Configuration) -> NDArray[np.object_]:
    """Return of each product, as text, all of its rows that a gallery depends on."""
    columns = [frame[column].tolist() for column in DERIVED_FROM]
    columns.append(price_levels(frame["price"], frame["label"], configuration.price).tolist())
    return np.array(["\x1f".join(map(str, line)) for line in zip(*columns, strict=True)], dtype=object)


def _versions(configuration: Configuration, serves: Serving) -> list[str]:
    """Return all else that a gallery depends on."""
    versions = dict.fromkeys((features.model_version(configuration), serves.version))
    return [*versions, configuration.price.model_dump_json()]


def current_basis(store: Store, configuration: Configuration) -> str:
    """Return the basis of what the store holds now: the version of the data that figures and pictures belong to."""
    return digest(sorted(set(bases(store, configuration, serving(store.home, configuration)))))


def load_shop(
    store: Store, configuration: Configuration, serves: Serving | None = None
) -> tuple[pd.DataFrame, Gallery]:
    """Return the products that can be compared, as a frame (see `products_with_image`) and as a gallery, row by row.

    Products without features, or without an embedding, are left out. Variants are looked for where the configured rule
    collapses them. The last shop is kept in memory, and while no table changes nothing is read: of 200,000 products the
    rows alone take a second. It is everyone's: nobody may change it.

    Args:
        store: the store.
        configuration: the backbone and the histograms, price levels, the rule.
        serves: whose embeddings they are compared by (default: what serves now).
    """
    serves = serves or serving(store.home, configuration)
    described = (features.table_name(configuration), serves.embeddings)
    versions = [*_versions(configuration, serves), str(configuration.recommend.collapses)]

    def read() -> tuple[pd.DataFrame, Gallery]:
        frame = products_with_image(store)
        told = digest([*versions, *_told(frame, configuration)])  # a row may change in what no gallery looks at
        gallery = _galleries.get(
            (*_read_from(store, *described), told), lambda: _build(store, configuration, frame, serves)
        )
        known = set(gallery.product_ids)
        return frame[[product in known for product in frame["product_id"].tolist()]].reset_index(drop=True), gallery

    return _shops.get((*_read_from(store, "products", "images", "labels", *described), *versions), read)


def _read_from(store: Store, *tables: str) -> tuple[Hashable, ...]:
    """Return what tells whether these tables are what they were."""
    return (str(store.home), store.id, *((table, store.version(table)) for table in tables))


class _Last(Generic[T]):
    """Keeps the last value, with what it was made of; one is made at a time, whoever asks for it meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: Hashable = None
        self._value: T | None = None

    def get(self, of: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if self._value is None or of != self._of:
                self._value = None  # so that never two take memory
                self._of, self._value = of, make()
            return self._value


_bases = _Last[pd.Series]()
_shops = _Last[tuple[pd.DataFrame, Gallery]]()
_galleries = _Last[Gallery]()


def _build(store: Store, configuration: Configuration, frame: pd.DataFrame, serves: Serving) -> Gallery:
    columns = ["image_digest", "histogram", "fingerprint"] + (["embedding"] if serves.model is None else [])
    described = store.read(features.table_name(configuration), columns)
    embedded = described if serves.model is None else store.read(serves.embeddings)
    at, vector_at = _rows(described, frame), _rows(embedded, frame)
    known = (at >= 0) & (vector_at >= 0)  # a picture that the model has not seen yet is not compared
    frame = frame[known]
    labels = frame["label"].to_numpy(dtype=object)
    embeddings = _matrix(embedded, "embedding", vector_at[known])
    histograms = _matrix(described, "histogram", at[known])
    groups = None
    if configuration.recommend.collapses:
        named = frame["name"].tolist(), frame["brand"].tolist()
        prints = described["fingerprint"]
        fingerprints = None if prints.null_count else prints.to_numpy()[at[known]]
        groups = variant_groups(labels, *named, fingerprints, embeddings, histograms)
    return Gallery(
        version=serves.version,
        product_ids=frame["product_id"].to_numpy(dtype=object),
        labels=labels,
        price_levels=price_levels(frame["price"], frame["label"], configuration.price),
        embeddings=embeddings,
        histograms=histograms,
        groups=groups,
    )


def _rows(table: pa.Table, frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return the table's row of each product's picture, (n,), -1 where it has none."""
    row_of = {key: row for row, key in enumerate(table["image_digest"].to_pylist())}
    return np.array([row_of.get(key, -1) for key in frame["image_digest"].tolist()], dtype=np.int64)


def _matrix(table: pa.Table, column: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return these rows of a fixed-size list column as (n, size) float32; each is copied once, chunk by chunk."""
    matrix = np.empty((len(rows), table.schema.field(column).type.list_size), np.float32)
    start = 0
    for chunk in table[column].chunks:
        values = chunk.flatten().to_numpy(zero_copy_only=False).reshape(len(chunk), matrix.shape[1])
        here = np.flatnonzero((rows >= start) & (rows < start + len(chunk)))
        matrix[as_slice(here)] = values[as_slice(rows[here] - start)]
        start += len(chunk)
    return matrix
