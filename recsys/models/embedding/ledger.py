"""Run the embeddings stage: compute each picture's vector once per trained model.

A head computes vectors from stored features, thousands per second; a network computes them from the pictures.
"""

import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys.core.configuration import Configuration
from recsys.models import features
from recsys.models.embedding.embedder import Embedder
from recsys.models.embedding.examples import features_and_histograms
from recsys.models.embedding.serving import SEES_FEATURES, Model, loaded, seen_by
from recsys.models.examples import jpegs_of
from recsys.storage.schemas import embeddings_schema
from recsys.storage.shards import Shard, shards
from recsys.storage.store import Store
from recsys.vision.square import decode_squared

FEATURES_PER_SHARD = 4_096
"""Pictures per shard of a head; their features take 20 MB."""


@dataclass(frozen=True)
class EmbeddingCounts:
    """Result of one shard."""

    images: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.images} images in {self.seconds:.1f} s, {self.images / max(self.seconds, 1e-3):.0f} a second"


def missing(store: Store, configuration: Configuration, model: Model | None) -> list[Shard]:
    """Return shards of the pictures that have features but no vector of this model, as `features.missing` does.

    There are none for the raw backbone.
    """
    if model is None:
        return []
    return _missing(store, seen_by(store.home, model, configuration), model.version, model.sees)


def embed_shard(store: Store, shard: Shard, configuration: Configuration, model: Model) -> EmbeddingCounts:
    """Compute and commit the embeddings of a shard of pictures.

    Raises:
        TrainingError: the model's files are missing or damaged.
    """
    seen = seen_by(store.home, model, configuration)
    return _embed(store, shard, seen, loaded(str(store.home), model.version))


def embed_missing(store: Store, configuration: Configuration, embedder: Embedder) -> int:
    """Compute all missing vectors of a model in this process, and return the number of pictures.

    Args:
        store: its inputs.
        configuration: of its encoder, see `serving.seen_by`.
        embedder: the model.
    """
    shards = _missing(store, configuration, embedder.version, embedder.sees)
    return sum(_embed(store, shard, configuration, embedder).images for shard in shards)


def _missing(store: Store, configuration: Configuration, version: str, sees: str) -> list[Shard]:
    table = f"embeddings-{version}"
    embedded = store.read(table, ["image_digest"])["image_digest"].to_pylist()
    described = store.read(features.table_name(configuration), ["image_digest"])["image_digest"].to_pylist()
    keys = sorted({*described} - {*embedded})
    size = FEATURES_PER_SHARD if sees == SEES_FEATURES else configuration.backbone.shard_size
    return shards("embeddings", keys, size, state=[table] * len(keys))


def _embed(store: Store, shard: Shard, configuration: Configuration, embedder: Embedder) -> EmbeddingCounts:
    started = time.monotonic()
    if embedder.sees == SEES_FEATURES:
        vectors = embedder.embed_features(*features_and_histograms(store, configuration, shard.keys))
    else:
        pictures = np.stack([decode_squared(jpeg) for jpeg in jpegs_of(store, shard.keys)])
        vectors = embedder.embed_pictures(pictures)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    rows = pa.table([pa.array(shard.keys), column], schema=embeddings_schema(vectors.shape[1]))
    store.write(f"embeddings-{embedder.version}", rows)
    return EmbeddingCounts(len(shard.keys), time.monotonic() - started)
