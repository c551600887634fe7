"""The features stage: an embedding, a colour histogram and a fingerprint for each picture, computed once a version."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.core.configuration import Backbone, Configuration
from recsys.storage.store import Shard, Store, among, features_schema, shards
from recsys.vision import backbones, colour
from recsys.vision.perceptual_hash import VERSION, fingerprint
from recsys.vision.square import decode_squared


@dataclass(frozen=True)
class FeatureCounts:
    """What one shard did."""

    images: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.images} images in {self.seconds:.1f} s, {self.images / max(self.seconds, 1e-3):.0f} a second"


def model_version(configuration: Configuration) -> str:
    """Return what the features depend on: the backbone with its weights and input, and the rules of the rest."""
    network = configuration.backbone
    seen = backbones.version(network.name, network.weights, network.input_size)
    return f"{seen}-{colour.version(configuration.colour)}-print{VERSION}"


def table_name(configuration: Configuration) -> str:
    """Return the store's table for the configured model version."""
    return f"features-{model_version(configuration)}"


def missing(store: Store, configuration: Configuration) -> list[Shard]:
    """Return shards of the image digests in the active catalogue that have no features of this model version.

    First come the products' pictures, then the further photos of them, each by digest: which pictures the network sees
    together decides on the last bit of what it makes of them, so that must not hang on the order of commits.
    """
    active = store.read("products", ["product_id"], "removed IS NULL")["product_id"].combine_chunks()
    seen = set(store.read(table_name(configuration), ["image_digest"])["image_digest"].to_pylist())
    keys: list[str] = []
    for table in ("images", "views"):
        images = store.read(table, ["product_id", "image_digest"], "status = 'ok'")
        shown = images.filter(pc.is_in(images["product_id"], value_set=active))["image_digest"]
        keys += sorted(set(shown.to_pylist()) - seen)
        seen.update(keys)
    return shards("features", keys, configuration.backbone.shard_size, state=[table_name(configuration)] * len(keys))


def extract_shard(store: Store, shard: Shard, configuration: Configuration) -> FeatureCounts:
    """Compute and commit the features of a shard's images.

    Raises:
        WeightsError: the backbone's weights cannot be had.
    """
    started = time.monotonic()
    there = f"jpeg IS NOT NULL AND {among('image_digest', shard.keys)}"
    tables = (store.read(table, ["image_digest", "jpeg"], there) for table in ("images", "views"))
    rows = pa.concat_tables(tables)
    jpegs = dict(zip(rows["image_digest"].to_pylist(), rows["jpeg"].to_pylist(), strict=True))
    keys = [key for key in shard.keys if key in jpegs]
    images = np.stack([decode_squared(jpegs[key]) for key in keys])  # (n, 256, 256, 3)
    embeddings, histograms = describe(images, configuration)
    prints = [fingerprint(image) for image in images]
    store.write(table_name(configuration), rows_of(keys, embeddings, histograms, prints))
    return FeatureCounts(len(keys), time.monotonic() - started)


def describe(
    images: NDArray[np.uint8], configuration: Configuration
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return embeddings (n, d) of unit length and HSV histograms (n, bins) of squared RGB images (n, 256, 256, 3)."""
    histograms = np.stack([colour.histogram(image, configuration.colour) for image in images])
    return extractor(configuration.backbone)(images), histograms


@functools.lru_cache(maxsize=1)
def extractor(settings: Backbone) -> backbones.FeatureExtractor:
    """Return the process's feature extractor; building one takes seconds, so it is kept."""
    return backbones.FeatureExtractor(
        settings.name, weights=settings.weights, input_size=settings.input_size, batch_size=settings.batch_size
    )


def rows_of(
    digests: Sequence[str],
    embeddings: NDArray[np.float32],
    histograms: NDArray[np.float32],
    fingerprints: Sequence[np.uint64] | None = None,
) -> pa.Table:
    """Return the features of n pictures as rows of their table; fingerprints that are not known are null."""
    columns = [
        pa.array(digests, pa.string()),
        *(pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1]) for x in (embeddings, histograms)),
        pa.nulls(len(digests), pa.uint64()) if fingerprints is None else pa.array(fingerprints, pa.uint64()),
    ]
    return pa.table(columns, schema=features_schema(embeddings.shape[1], histograms.shape[1]))
