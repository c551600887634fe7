"""Cache keys of stored rankings: the digest of everything that a product's ranking depends on.

A stored ranking whose key, in the column `basis`, differs from the current one is ranked again.
"""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.ingest.catalogue.facts import read_facts
from recsys.models import features
from recsys.models.embedding.serving import Serving, seen_by
from recsys.models.embedding.words import text_weight
from recsys.ranking.price_levels import price_levels
from recsys.ranking.reranking import RULE_VERSION
from recsys.storage.store import Store

T = TypeVar("T")

PRODUCT_COLUMNS = ("product_id", "name", "brand", "label", "image_digest")
"""The columns that a gallery depends on, besides the price level: a new price at the same level changes no ranking."""


def products_with_image(store: Store) -> pd.DataFrame:
    """Return the active products that have a picture, in catalogue order.

    Columns: product_id, name, brand, category_path, price, row_digest, in_stock (None where unknown), label (None
    where there is none), image_digest.
    """
    columns = ["product_id", "position", "name", "brand", "category_path", "price", "row_digest", "in_stock"]
    products = store.read("products", columns, "removed IS NULL").to_pandas()
    images = store.read("images", ["product_id", "image_digest"], "status = 'ok'").to_pandas()
    labels = store.read("labels", ["product_id", "label"]).to_pandas()
    frame = products.merge(images, on="product_id").merge(labels, on="product_id", how="left")
    frame["label"] = frame["label"].astype(object).where(frame["label"].notna(), None)
    return frame.sort_values("position", kind="stable").drop(columns="position").reset_index(drop=True)


def rule_versions(store: Store, configuration: Configuration, serves: Serving) -> list[str]:
    """Return the versions and settings that every ranking depends on."""
    rule = configuration.recommend
    # the share of the words that applies is in gallery_versions
    settings = rule.model_dump_json(exclude={"top", "demo_top", "shard_size", "text_weight"})
    return [str(RULE_VERSION), settings, str(rule.stored), *gallery_versions(store, configuration, serves)]


def product_contents(frame: pd.DataFrame, configuration: Configuration) -> NDArray[np.object_]:
    """Return everything of each product that a gallery depends on, as text (n,); the frame of `products_with_image`."""
    columns = [frame[column].tolist() for column in PRODUCT_COLUMNS]
    columns.append(price_levels(frame["price"], frame["label"], configuration.price).tolist())
    return np.array(["\x1f".join(map(str, line)) for line in zip(*columns, strict=True)], dtype=object)


def gallery_versions(store: Store, configuration: Configuration, serves: Serving) -> list[str]:
    """Return the versions and settings that a gallery depends on, besides its products."""
    seen = features.model_version(seen_by(store.home, serves.model, configuration))
    versions = dict.fromkeys((seen, serves.version))
    groups = ["groups of the catalogue"] if is_grouped(store) else []
    weight = text_weight(serves.model, configuration)
    words = [f"words {weight:g}"] if weight else []
    return [*versions, configuration.price.model_dump_json(), *groups, *words]


def is_grouped(store: Store) -> bool:
    """Return whether the catalogue says which rows are variants of one product."""
    return _last_grouped.get(table_versions(store, "records"), lambda: read_facts(store.home).grouped)


def table_versions(store: Store, *tables: str) -> tuple[Hashable, ...]:
    """Return a key of the current content of these tables."""
    return (str(store.home), store.id, *((table, store.version(table)) for table in tables))


class LastResult(Generic[T]):
    """Keep the result of the last key. One thread computes at a time; the others wait for its result."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: Hashable = None
        self._value: T | None = None

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the result of `key`; compute it where the last key was another."""
        with self._lock:
            if self._value is None or key != self._key:
                self._value = None  # release the old result first, to avoid two of them in memory
                self._key, self._value = key, compute()
            return self._value


_last_grouped = LastResult[bool]()
