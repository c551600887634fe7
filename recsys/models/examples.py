"""Read from the store what the classifier is trained on and predicts from.

It is trained on products whose label the catalogue or a reviewer gives, never on labels that it filled itself.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.ingest.catalogue.products import active_products
from recsys.models.features import table_name
from recsys.models.grouping import assign_groups
from recsys.storage.store import Store, among
from recsys.vision.perceptual_hash import fingerprint
from recsys.vision.square import decode_squared

READ_BATCH = 512
"""Pictures per read, to bound the memory."""

TRUSTED = "label IS NOT NULL AND source IN ('catalogue', 'merged', 'reviewed')"
"""SQL condition of the labels that the catalogue or a reviewer gives."""


def classifier_inputs(store: Store, configuration: Configuration, keys: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the name, brand and picture of the active products, in the catalogue's order.

    Args:
        store: products, images and features.
        configuration: names the features.
        keys: product ids (default: all); nothing else is read.

    Returns:
        product_id, name, brand, image_digest (null without features of the configured model), basis (digest of the
        last three).
    """
    condition = among("product_id", keys) if keys is not None else None
    products = active_products(store, ["product_id", "name", "brand"], condition)
    fetched = f"status = 'ok' AND {condition}" if condition else "status = 'ok'"
    images = store.read("images", ["product_id", "image_digest"], fetched).to_pandas()
    digests = among("image_digest", images["image_digest"].unique()) if keys is not None else None
    computed = store.read(table_name(configuration), ["image_digest"], digests)["image_digest"].to_pylist()
    images = images[images["image_digest"].isin(computed)]
    rows = products.merge(images, on="product_id", how="left").reset_index(drop=True)
    rows = rows.astype(object).where(rows.notna(), None)
    parts = zip(rows["image_digest"], rows["name"], rows["brand"], strict=True)
    return rows.assign(basis=[digest([list(row)]) for row in parts])


def training_set(store: Store, configuration: Configuration, inputs_key: str) -> pd.DataFrame:
    """Return the examples: the rows of `classifier_inputs` with a trusted label, and the label.

    `attrs["digest"]` identifies the examples, whatever their order, and the `inputs_key`, see
    `recsys.models.classifier.pictures.inputs_key`.
    """
    labels = store.read("labels", ["product_id", "label"], TRUSTED).to_pandas()
    examples = classifier_inputs(store, configuration).merge(labels, on="product_id")
    content = examples[["product_id", "label", "basis"]].sort_values("product_id")
    examples.attrs["digest"] = digest([inputs_key, content.to_csv(index=False)])
    return examples


def product_groups(store: Store, configuration: Configuration, examples: pd.DataFrame) -> NDArray[np.int64]:
    """Return (n,) the group of each row by name, brand and image_digest, see `assign_groups`."""
    hashes = fingerprints_of(store, configuration, examples["image_digest"].dropna())
    return assign_groups(examples["name"], examples["brand"], [hashes.get(key) for key in examples["image_digest"]])


def features_of(
    store: Store, configuration: Configuration, digests: Sequence[str], column: str = "embedding"
) -> NDArray[np.float32]:
    """Return (n, d) unit features of pictures that have them, in this order; or another column of their table."""
    return vectors_of(store, table_name(configuration), digests, column)


def vectors_of(store: Store, table: str, digests: Sequence[str], column: str = "embedding") -> NDArray[np.float32]:
    """Return (n, d) vectors of pictures that a table has, in this order."""
    keys = list(dict.fromkeys(digests))
    rows = store.read(table, ["image_digest", column], among("image_digest", keys))
    row_of = {key: row for row, key in enumerate(rows["image_digest"].to_pylist())}
    values = rows[column].combine_chunks()
    matrix = values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), values.type.list_size)
    return matrix[np.array([row_of[key] for key in digests], np.int64)]


def fingerprints_of(store: Store, configuration: Configuration, digests: Iterable[str]) -> dict[str, int]:
    """Return the fingerprint of each picture: from the features' table, or else computed from its pixels."""
    keys = dict.fromkeys(digests)
    table = store.read(table_name(configuration), ["image_digest", "fingerprint"], "fingerprint IS NOT NULL")
    stored = zip(*(table[column].to_pylist() for column in ("image_digest", "fingerprint")), strict=True)
    hashes = {key: value for key, value in stored if key in keys}
    for batch in _batches([key for key in keys if key not in hashes]):
        hashes |= {key: int(fingerprint(decode_squared(jpeg))) for key, jpeg in _read_jpegs(store, batch).items()}
    return hashes


def jpegs_of(store: Store, digests: Sequence[str]) -> list[bytes]:
    """Return the squared pictures of these digests, in this order: of products, further views or scraped.

    Equal pictures are one object.
    """
    jpegs: dict[str, bytes] = {}
    for batch in _batches(list(dict.fromkeys(digests))):
        jpegs |= _read_jpegs(store, batch)
    return [jpegs[key] for key in digests]


def _read_jpegs(store: Store, digests: Sequence[str]) -> dict[str, bytes]:
    jpegs: dict[str, bytes] = {}
    for table in ("images", "views", "scraped"):
        if missing := [key for key in digests if key not in jpegs]:
            rows = store.read(table, ["image_digest", "jpeg"], among("image_digest", missing))
            jpegs |= dict(zip(rows["image_digest"].to_pylist(), rows["jpeg"].to_pylist(), strict=True))
    return jpegs


def _batches(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    return (keys[start : start + READ_BATCH] for start in range(0, len(keys), READ_BATCH))
