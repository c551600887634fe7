"""What the classifier is trained on and asked about, out of the store.

Trained on are the products whose label the catalogue or a person gives; what the classifier filled in itself teaches it
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.ingest.catalogue.products import active_products
from recsys.models import grouping as split
from recsys.models.features import table_name
from recsys.storage.store import Store, among, digest
from recsys.vision.perceptual_hash import fingerprint
from recsys.vision.square import decode_squared

READ_AT_ONCE = 512
"""Pictures that are in memory while they are worked through."""

GIVEN = "label IS NOT NULL AND source IN ('catalogue', 'merged', 'reviewed')"


def described(store: Store, configuration: Configuration, keys: Sequence[str] | None = None) -> pd.DataFrame:
    """Return what there is to judge the active products by, in the catalogue's order.

    Args:
        store: products, images and features.
        configuration: names the features.
        keys: ids of the products that are asked for (default: all); nothing else is read.

    Returns:
        product_id, name, brand, image_digest (null without features of the configured model), basis (digest of the
        three before it).
    """
    wanted = among("product_id", keys) if keys is not None else None
    products = active_products(store, ["product_id", "name", "brand"], wanted)
    fetched = f"status = 'ok' AND {wanted}" if wanted else "status = 'ok'"
    images = store.read("images", ["product_id", "image_digest"], fetched).to_pandas()
    computed = among("image_digest", images["image_digest"].unique()) if keys is not None else None
    seen = store.read(table_name(configuration), ["image_digest"], computed)["image_digest"].to_pylist()
    images = images[images["image_digest"].isin(seen)]
    rows = products.merge(images, on="product_id", how="left").reset_index(drop=True)
    rows = rows.astype(object).where(rows.notna(), None)
    said = zip(rows["image_digest"], rows["name"], rows["brand"], strict=True)
    return rows.assign(basis=[digest([list(parts)]) for parts in said])


def training_set(store: Store, configuration: Configuration, learned_from: str) -> pd.DataFrame:
    """Return the examples: those of `described` that have a given label, with it.

    `attrs["digest"]` stands for all of them, whatever their order, and for what `pictures.learned_from` gives.
    """
    labels = store.read("labels", ["product_id", "label"], GIVEN).to_pandas()
    examples = described(store, configuration).merge(labels, on="product_id")
    told = examples[["product_id", "label", "basis"]].sort_values("product_id")
    examples.attrs["digest"] = digest([learned_from, told.to_csv(index=False)])
    return examples


def groups(store: Store, configuration: Configuration, examples: pd.DataFrame) -> NDArray[np.int64]:
    """Return (n,) the group of each row, see `split.groups`, by name, brand and image_digest."""
    prints = fingerprints_of(store, configuration, examples["image_digest"].dropna())
    return split.groups(examples["name"], examples["brand"], [prints.get(key) for key in examples["image_digest"]])


def features_of(
    store: Store, configuration: Configuration, digests: Sequence[str], column: str = "embedding"
) -> NDArray[np.float32]:
    """Return (n, d) unit features of pictures that have them, in this order; or another column of their table."""
    keys = list(dict.fromkeys(digests))
    table = store.read(table_name(configuration), ["image_digest", column], among("image_digest", keys))
    place = {key: row for row, key in enumerate(table["image_digest"].to_pylist())}
    values = table[column].combine_chunks()
    matrix = values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), values.type.list_size)
    return matrix[np.array([place[key] for key in digests], np.int64)]


def fingerprints_of(store: Store, configuration: Configuration, digests: Iterable[str]) -> dict[str, int]:
    """Return the fingerprint of each picture: from its features where it has any, else from its pixels."""
    wanted = dict.fromkeys(digests)
    computed = store.read(table_name(configuration), ["image_digest", "fingerprint"], "fingerprint IS NOT NULL")
    known = zip(*(computed[column].to_pylist() for column in ("image_digest", "fingerprint")), strict=True)
    found = {key: value for key, value in known if key in wanted}
    for keys in _batches([key for key in wanted if key not in found]):
        found |= {key: int(fingerprint(decode_squared(jpeg))) for key, jpeg in _jpegs(store, keys).items()}
    return found


def jpegs_of(store: Store, digests: Sequence[str]) -> list[bytes]:
    """Return the squared pictures of these digests, of products, further views or scraped, in this order.

    Equal ones are one object.
    """
    found: dict[str, bytes] = {}
    for keys in _batches(list(dict.fromkeys(digests))):
        found |= _jpegs(store, keys)
    return [found[key] for key in digests]


def _jpegs(store: Store, digests: Sequence[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for table in ("images", "views", "scraped"):
        if left := [key for key in digests if key not in found]:
            rows = store.read(table, ["image_digest", "jpeg"], among("image_digest", left))
            found |= dict(zip(rows["image_digest"].to_pylist(), rows["jpeg"].to_pylist(), strict=True))
    return found


def _batches(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    return (keys[start : start + READ_AT_ONCE] for start in range(0, len(keys), READ_AT_ONCE))
