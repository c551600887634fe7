"""Run the stage of the features: embedding, colour histogram and fingerprint of each picture, once per version."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.core import progress
from recsys.core.configuration import Backbone, Configuration
from recsys.storage.schemas import features_schema
from recsys.storage.shards import Shard, shards
from recsys.storage.store import Store, among
from recsys.vision import backbones, colour
from recsys.vision.perceptual_hash import VERSION, fingerprint

if TYPE_CHECKING:
    from recsys.vision.backbones.text_tower import TextTower


@dataclass(frozen=True)
class FeatureCounts:
    """Number of pictures of one shard, and the seconds that it took."""

    images: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.images} images in {self.seconds:.1f} s, {self.images / max(self.seconds, 1e-3):.0f} a second"


def model_version(configuration: Configuration) -> str:
    """Return the version of the features: of backbone, weights, input size, histogram and fingerprint."""
    settings = configuration.backbone
    backbone = backbones.version(settings.name, settings.weights, settings.input_size)
    return f"{backbone}-{colour.version(configuration.colour)}-print{VERSION}"


def table_name(configuration: Configuration) -> str:
    """Return the name of the table of the configured version's features."""
    return f"features-{model_version(configuration)}"


def missing(store: Store, configuration: Configuration) -> list[Shard]:
    """Return shards of the active products' pictures, by image digest, that have no features of this version.

    The order is fixed: the products' pictures before their further views, each sorted by digest. The pictures of a
    batch influence the last bit of each other's features, so batches must not depend on the order of commits.
    """
    active = store.read("products", ["product_id"], "removed IS NULL")["product_id"].combine_chunks()
    listed = set(store.read(table_name(configuration), ["image_digest"])["image_digest"].to_pylist())
    keys: list[str] = []
    for table in ("images", "views"):
        images = store.read(table, ["product_id", "image_digest"], "status = 'ok'")
        digests = images.filter(pc.is_in(images["product_id"], value_set=active))["image_digest"]
        keys += sorted(set(digests.to_pylist()) - listed)
        listed.update(keys)
    return shards("features", keys, configuration.backbone.shard_size, state=[table_name(configuration)] * len(keys))


def extract_shard(store: Store, shard: Shard, configuration: Configuration) -> FeatureCounts:
    """Compute the features of a shard's pictures, and write them in one commit.

    Raises:
        WeightsError: the backbone's weights are not available.
    """
    started = time.monotonic()
    condition = f"jpeg IS NOT NULL AND {among('image_digest', shard.keys)}"
    rows = pa.concat_tables(store.read(table, ["image_digest", "jpeg"], condition) for table in ("images", "views"))
    jpegs = dict(zip(rows["image_digest"].to_pylist(), rows["jpeg"].to_pylist(), strict=True))
    keys = [key for key in shard.keys if key in jpegs]
    from recsys.vision.square import decode_squared  # imports Pillow, which a single query does not need

    images = np.stack([decode_squared(jpegs[key]) for key in keys])  # (n, 256, 256, 3)
    embeddings, histograms = describe(images, configuration, str(store.home))
    fingerprints = [fingerprint(image) for image in images]
    store.write(table_name(configuration), rows_of(keys, embeddings, histograms, fingerprints))
    return FeatureCounts(len(keys), time.monotonic() - started)


def extract_missing(store: Store, configuration: Configuration, stage: str = "features") -> None:
    """Compute all missing features in this process.

    Args:
        store: the pictures.
        configuration: selects the encoder.
        stage: name of the stage in the progress.

    Raises:
        WeightsError: the backbone's weights are not available.
    """
    shards = missing(store, configuration)
    if not shards:
        return
    pictures = sum(len(shard.keys) for shard in shards)
    progress.begin(stage, pictures)
    for shard in shards:
        extract_shard(store, shard, configuration)
        progress.advance(stage, len(shard.keys))
    progress.finish(stage, f"{pictures:,} pictures")


def describe(
    images: NDArray[np.uint8], configuration: Configuration, home: Path | str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return embeddings (n, d) of unit length and HSV histograms (n, bins) of squared RGB images (n, 256, 256, 3)."""
    histograms = np.stack([colour.histogram(image, configuration.colour) for image in images])
    return extractor(configuration.backbone, str(home))(images), histograms


@functools.lru_cache(maxsize=1)
def extractor(settings: Backbone, home: str) -> backbones.FeatureExtractor:
    """Return the feature extractor of this process, which is cached."""
    return backbones.FeatureExtractor(
        settings.name,
        settings.weights,
        settings.input_size,
        batch_size=settings.batch_size,
        device=settings.device,
        folder=backbones_folder(home),
    )


def backbones_folder(home: Path | str) -> Path:
    """Return the folder of a home that keeps converted backbones."""
    return Path(home) / "backbones"


def check_backbone(configuration: Configuration, home: Path | str) -> None:
    """Load an encoder that is not built in, with its text tower, before anything is computed.

    Raises:
        ConfigurationError, WeightsError: it cannot be used; the message names the file and the remedy.
    """
    if configuration.backbone.name in backbones.NAMES:
        return
    network = extractor(configuration.backbone, str(home)).model
    if isinstance(network, backbones.encoder_folder.Encoder):
        text_tower(configuration.backbone.name, network.size)


@functools.lru_cache(maxsize=1)
def text_tower(name: str, size: int) -> TextTower | None:
    """Return the text tower of a backbone, which is cached by the process; see `backbones.load_text_tower`."""
    return backbones.load_text_tower(name, size)


def rows_of(
    digests: Sequence[str],
    embeddings: NDArray[np.float32],
    histograms: NDArray[np.float32],
    fingerprints: Sequence[np.uint64] | None = None,
) -> pa.Table:
    """Return the features of n pictures as rows of their table; without fingerprints that column is null."""
    columns = [
        pa.array(digests, pa.string()),
        *(pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1]) for x in (embeddings, histograms)),
        pa.nulls(len(digests), pa.uint64()) if fingerprints is None else pa.array(fingerprints, pa.uint64()),
    ]
    return pa.table(columns, schema=features_schema(embeddings.shape[1], histograms.shape[1]))
