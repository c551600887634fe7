"""What products are compared by, gathered from the store: labels, price levels, embeddings, histograms."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recsys import features
from recsys.configuration import Configuration
from recsys.embedding.serving import Serving, serving
from recsys.price import price_levels
from recsys.recommender import RULE_VERSION, Gallery, rows_of_values, variant_groups
from recsys.store import Store, digest

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


def bases(frame: pd.DataFrame, configuration: Configuration, serves: Serving) -> NDArray[np.object_]:
    """Return of each product the digest of all that its ranking depends on: the rule, and what it is compared with.

    That is its label's products, and where it has none, or they are none but itself, the whole shop. So a change
    within one label has only that label, and the products without one, ranked anew.

    Returns:
        (n,) str.
    """
    rule = configuration.recommend
    settings = rule.model_dump_json(exclude={"top", "demo_top", "shard_size"})
    ruled = [RULE_VERSION, settings, rule.stored, *_versions(configuration, serves)]
    told = _told(frame, configuration)
    answer = np.full(len(frame), digest([*ruled, *told]), dtype=object)
    for rows in rows_of_values(frame["label"].to_numpy(dtype=object)).values():
        if len(rows) > 1:
            answer[rows] = digest([*ruled, *told[rows]])
    return answer


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
    frame = products_with_image(store)
    return digest(sorted(set(bases(frame, configuration, serving(store.home, configuration)))))


def load_shop(
    store: Store, configuration: Configuration, serves: Serving | None = None
) -> tuple[pd.DataFrame, Gallery]:
    """Return the products that can be compared, as a frame (see `products_with_image`) and as a gallery, row by row.

    The last ones are kept in memory, and while no table changes nothing is read: of 200,000 products the rows alone
    take a second. They are everyone's: nobody may change them.

    Args:
        store: the store.
        configuration: the backbone and the histograms, price levels.
        serves: whose embeddings they are compared by (default: what serves now).
    """
    serves = serves or serving(store.home, configuration)
    tables = ("products", "images", "labels", features.table_name(configuration), serves.embeddings)
    settings = configuration.price.model_dump_json()
    key = (str(store.home), store.id, serves.version, settings, *((table, store.version(table)) for table in tables))
    with _asking:
        shop = _shops.get(key)
        if shop is None:
            frame = products_with_image(store)
            gallery = load_gallery(store, configuration, frame, serves)
            known = set(gallery.product_ids)
            frame = frame[[product in known for product in frame["product_id"].tolist()]].reset_index(drop=True)
            _shops.clear()
            shop = _shops[key] = (frame, gallery)
        return shop


def load_gallery(store: Store, configuration: Configuration, frame: pd.DataFrame, serves: Serving) -> Gallery:
    """Return what these products are compared by; those without features, or without an embedding, are left out.

    The last gallery is kept in memory, since every shard of a run asks for the same.
    """
    versions = (store.version(features.table_name(configuration)), store.version(serves.embeddings))
    state = digest([*_versions(configuration, serves), *_told(frame, configuration)])
    key = (str(store.home), store.id, versions, state)
    with _loading:
        if key not in _galleries:
            _galleries.clear()
            _shops.clear()  # of the gallery that is replaced
            _galleries[key] = _build(store, configuration, frame, serves)
        return _galleries[key]


_asking, _loading = threading.Lock(), threading.Lock()
_shops: dict[tuple[Any, ...], tuple[pd.DataFrame, Gallery]] = {}
_galleries: dict[tuple[str, str, tuple[int, int], str], Gallery] = {}


def _build(store: Store, configuration: Configuration, frame: pd.DataFrame, serves: Serving) -> Gallery:
    columns = ["image_digest", "histogram", "fingerprint"] + (["embedding"] if serves.model is None else [])
    described = store.read(features.table_name(configuration), columns)
    embedded = described if serves.model is None else store.read(serves.embeddings)
    at, vector_at = _rows(described, frame), _rows(embedded, frame)
    known = (at >= 0) & (vector_at >= 0)  # a picture that the model has not seen yet is not compared
    frame = frame[known]
    labels = frame["label"].to_numpy(dtype=object)
    named = frame["name"].tolist(), frame["brand"].tolist()
    embeddings = _matrix(embedded, "embedding")[vector_at[known]]
    histograms = _matrix(described, "histogram")[at[known]]
    prints = described["fingerprint"]
    fingerprints = None if prints.null_count else prints.to_numpy()[at[known]]
    return Gallery(
        version=serves.version,
        product_ids=frame["product_id"].to_numpy(dtype=object),
        labels=labels,
        price_levels=price_levels(frame["price"], frame["label"], configuration.price),
        embeddings=embeddings,
        histograms=histograms,
        groups=variant_groups(labels, *named, fingerprints, embeddings, histograms),
    )


def _rows(table: pa.Table, frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return the table's row of each product's picture, (n,), -1 where it has none."""
    row_of = {key: row for row, key in enumerate(table["image_digest"].to_pylist())}
    return np.array([row_of.get(key, -1) for key in frame["image_digest"].tolist()], dtype=np.int64)


def _matrix(table: pa.Table, column: str) -> NDArray[np.float32]:
    """Return a fixed-size list column as (n, size) float32."""
    chunk = table[column].combine_chunks()
    flat = chunk.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float32).reshape(len(table), chunk.type.list_size)
