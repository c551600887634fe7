"""Load a shop's gallery from the store: labels, price levels, embeddings, histograms and variants."""

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.core.errors import NoImagesError
from recsys.models import features
from recsys.models.embedding import words
from recsys.models.embedding.likeness import beside_pictures
from recsys.models.embedding.serving import Serving, seen_by, serving
from recsys.ranking.cache_keys import (
    LastResult,
    gallery_versions,
    is_grouped,
    product_contents,
    products_with_image,
    table_versions,
)
from recsys.ranking.gallery import Gallery, as_slice
from recsys.ranking.price_levels import price_levels
from recsys.ranking.variants import variant_groups
from recsys.storage.store import Store

_last_shop = LastResult[tuple[pd.DataFrame, Gallery]]()
_last_gallery = LastResult[Gallery]()


def load_gallery(
    store: Store, configuration: Configuration, serves: Serving | None = None
) -> tuple[pd.DataFrame, Gallery]:
    """Return the products that can be compared: a frame (see `products_with_image`) and a gallery, row by row.

    Products without features or without an embedding are left out. Variants are computed where the configured rule
    collapses them. The last result stays in memory and is returned again until a table changes. It is a shared cached
    object; treat it as read-only.

    Args:
        store: the home's tables.
        configuration: the backbone, the histograms, the price levels and the rule.
        serves: the embeddings that products are compared by (default: those that serve).
    """
    serves = serves or serving(store.home, configuration)
    vectors = vector_tables(store, configuration, serves)
    configuration = seen_by(store.home, serves.model, configuration)
    versions = [*gallery_versions(store, configuration, serves), str(configuration.recommend.collapses)]

    def read() -> tuple[pd.DataFrame, Gallery]:
        frame = products_with_image(store)
        # a product row can change in columns that the gallery does not depend on, such as its stock
        contents = digest([*versions, *product_contents(frame, configuration)])
        gallery = _last_gallery.get(
            (*table_versions(store, *vectors), contents),
            lambda: _read_gallery(store, configuration, frame, serves),
        )
        comparable = set(gallery.product_ids)
        rows = np.array([product in comparable for product in frame["product_id"].tolist()], bool)
        return frame[rows].reset_index(drop=True), gallery

    tables = table_versions(store, "products", "images", "labels", *vectors)
    return _last_shop.get((*tables, *versions), read)


def vector_tables(store: Store, configuration: Configuration, serves: Serving) -> list[str]:
    """Return the names of the tables with the vectors of a gallery."""
    seen = seen_by(store.home, serves.model, configuration)
    tables = [features.table_name(seen), serves.embeddings]
    return [*tables, words.table_name(serves.version)] if words.text_weight(serves.model, configuration) else tables


def load_nonempty_gallery(
    store: Store, configuration: Configuration, serves: Serving | None = None
) -> tuple[pd.DataFrame, Gallery]:
    """Return what `load_gallery` does.

    Raises:
        NoImagesError: no product can be compared yet.
    """
    serves = serves or serving(store.home, configuration)
    frame, gallery = load_gallery(store, configuration, serves)
    if not len(gallery):
        raise NoImagesError(
            f"home {store.home} has no product with vectors of what serves ({serves}) yet; "
            "run 'recsys run --catalogue FILE' until it finishes, then try again"
        )
    return frame, gallery


def _read_gallery(store: Store, configuration: Configuration, frame: pd.DataFrame, serves: Serving) -> Gallery:
    embedded = store.read(serves.embeddings, ["image_digest", "embedding"])
    described = store.read(features.table_name(configuration), ["image_digest", "histogram", "fingerprint"])
    feature_rows, vector_rows = (_rows_of(table, frame, "image_digest") for table in (described, embedded))
    comparable = (feature_rows >= 0) & (vector_rows >= 0)
    frame, feature_rows = frame[comparable], feature_rows[comparable]
    labels = frame["label"].to_numpy(dtype=object)
    vectors, colours, fingerprint = (
        _chunks(embedded, "embedding"),
        _chunks(described, "histogram"),
        described["fingerprint"],
    )
    del embedded, described  # so that each chunk is released when it is copied: a large shop's fill the memory
    embeddings, histograms = _matrix(*vectors, vector_rows[comparable]), _matrix(*colours, feature_rows)
    beside, share = _words(store, configuration, frame, serves, histograms)
    groups = None
    if configuration.recommend.collapses and is_grouped(store):
        groups = np.arange(len(frame))  # the catalogue has joined the variants of each product already
    elif configuration.recommend.collapses:
        fingerprints = None if fingerprint.null_count else fingerprint.to_numpy()[feature_rows]
        groups = variant_groups(
            labels, frame["name"].tolist(), frame["brand"].tolist(), fingerprints, embeddings, histograms
        )
    return Gallery(
        version=serves.version,
        product_ids=frame["product_id"].to_numpy(dtype=object),
        labels=labels,
        price_levels=price_levels(frame["price"], frame["label"], configuration.price),
        embeddings=embeddings if beside is None else np.concatenate([embeddings, beside], axis=1),
        histograms=histograms,
        groups=groups,
        text_size=0 if beside is None else beside.shape[1],
        text_weight=share,
    )


def _words(
    store: Store, configuration: Configuration, frame: pd.DataFrame, serves: Serving, histograms: NDArray[np.float32]
) -> tuple[NDArray[np.float32] | None, float]:
    """Return the vectors of the products' words and colours, and their share in the likeness; None without words."""
    weight = words.text_weight(serves.model, configuration)
    table = store.read(words.table_name(serves.version)) if weight else None
    if table is None or not table.num_rows:
        return None, 0.0
    vectors = _matrix_or_zeros(table, "vector", _rows_of(table, frame, "product_id"))
    return beside_pictures(vectors, histograms, weight, configuration.colour)


def load_features(store: Store, configuration: Configuration, frame: pd.DataFrame) -> NDArray[np.float32]:
    """Return the features (n, d) of the configured backbone of each product's picture, zeros where there are none."""
    table = store.read(features.table_name(configuration), ["image_digest", "embedding"])
    return _matrix_or_zeros(table, "embedding", _rows_of(table, frame, "image_digest"))


def _rows_of(table: pa.Table, frame: pd.DataFrame, column: str) -> NDArray[np.int64]:
    """Return the table's row with each product's value of a column, (n,); -1 where the table has none."""
    row_of = {key: row for row, key in enumerate(table[column].to_pylist())}
    return np.array([row_of.get(key, -1) for key in frame[column].tolist()], dtype=np.int64)


def _matrix_or_zeros(table: pa.Table, column: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return what `_matrix` does of a table's column, zeros for rows of -1."""
    chunks, size = _chunks(table, column)
    vectors = np.zeros((len(rows), size), np.float32)
    vectors[rows >= 0] = _matrix(chunks, size, rows[rows >= 0])
    return vectors


def _chunks(table: pa.Table, column: str) -> tuple[list[pa.FixedSizeListArray], int]:
    """Return the chunks of a fixed-size list column, and the size."""
    return table[column].chunks, table.schema.field(column).type.list_size


def _matrix(chunks: list[pa.FixedSizeListArray], size: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return these rows of the chunks of a column as (n, size) float32, copied once; the list of chunks is emptied."""
    matrix = np.empty((len(rows), size), np.float32)
    order = np.argsort(rows, kind="stable")
    starts = np.cumsum([0, *map(len, chunks)])
    edges = np.searchsorted(rows[order], starts)
    for start, first, last in zip(starts, edges, edges[1:], strict=False):
        chunk = chunks.pop(0)
        values = chunk.flatten().to_numpy(zero_copy_only=False).reshape(len(chunk), size)
        of_chunk = order[first:last]
        matrix[as_slice(of_chunk)] = values[as_slice(rows[of_chunk] - start)]
    return matrix
