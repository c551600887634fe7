"""The vectors of the products' words in the store, and their weight, see `word_training` and `likeness`."""

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.core.errors import TrainingError
from recsys.ingest.catalogue.products import ACTIVE
from recsys.models.embedding.serving import Model, folder
from recsys.models.word_vectors import WordVectors, product_text
from recsys.storage import object_store
from recsys.storage.schemas import words_schema
from recsys.storage.shards import Shard, shards
from recsys.storage.store import Store, among

PRODUCTS_PER_SHARD = 4_096


@dataclass(frozen=True)
class WordCounts:
    """Number of products of one shard, and the seconds that it took."""

    products: int
    seconds: float

    def __str__(self) -> str:
        return f"words of {self.products} products in {self.seconds:.1f} s"


def texts_of(store: Store, keys: Sequence[str] | None = None) -> pd.Series:
    """Return the words of each active product by product_id, see `product_text`.

    Args:
        store: the products.
        keys: product ids (default: all); nothing else is read.
    """
    where = ACTIVE if keys is None else f"{ACTIVE} AND {among('product_id', keys)}"
    rows = store.read("products", ["product_id", "name", "brand", "attributes"], where).to_pylist()
    texts = [
        product_text(row["name"], row["brand"], (each["value"] for each in row["attributes"] or ())) for row in rows
    ]
    return pd.Series(texts, index=[row["product_id"] for row in rows], dtype=object)


def words_folder(home: Path | str, version: str) -> Path:
    """Return the folder of the words' vectors of an embedding."""
    return folder(home) / version / "words"


@functools.lru_cache(maxsize=2)
def loaded_words(home: str, version: str) -> WordVectors:
    """Return the words' vectors of an embedding, cached by the process.

    Raises:
        TrainingError: its files are missing or damaged; `recsys train embedding` trains it again.
    """
    place = words_folder(home, version)
    object_store.download(Path(home), place)
    try:
        return WordVectors.load(place)
    except (OSError, ValueError, LookupError) as error:
        raise TrainingError(f"words {place} are damaged or missing ({error}); run 'recsys train embedding'") from error


def text_weight(model: Model | None, configuration: Configuration) -> float:
    """Return the share of the words between the pictures and the words of a model; 0 for one without words.

    The original's rule knows no words.
    """
    if model is None or not model.text_weight or configuration.recommend.rule == "original":
        return 0.0
    configured = configuration.recommend.text_weight
    return model.text_weight if configured is None else configured


def table_name(version: str) -> str:
    """Return the table of the words' vectors of an embedding."""
    return f"words-{version}"


def missing(store: Store, configuration: Configuration, model: Model | None) -> list[Shard]:
    """Return shards of the active products whose words are new or changed; none for a model without words."""
    if model is None or not model.text_weight:
        return []
    table = table_name(model.version)
    current = {str(key): digest([text]) for key, text in texts_of(store).items()}
    rows = store.read(table, ["product_id", "text_digest"])
    stored = dict(zip(rows["product_id"].to_pylist(), rows["text_digest"].to_pylist(), strict=True))
    keys = sorted(key for key, value in current.items() if stored.get(key) != value)
    return shards("words", keys, PRODUCTS_PER_SHARD, state=[f"{table} {current[key]}" for key in keys])


def vectors_of_words(store: Store, version: str, texts: pd.Series) -> NDArray[np.float32]:
    """Return the words' vectors (n, e) of products: from the store, or computed where they are new or changed.

    Args:
        store: the table of the embedding's words.
        version: of the embedding.
        texts: n texts by product_id, see `texts_of`.

    Raises:
        TrainingError: the model's files are missing or damaged.
    """
    model, table = loaded_words(str(store.home), version), store.read(table_name(version))
    stored = zip(table["product_id"].to_pylist(), table["text_digest"].to_pylist(), strict=True)
    row_of = {key: row for row, key in enumerate(stored)}
    rows = np.array([row_of.get((product, digest([text])), -1) for product, text in texts.items()], np.int64)
    values = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, model.size)
    vectors = np.zeros((len(rows), model.size), np.float32)
    vectors[rows >= 0] = values[rows[rows >= 0]]
    vectors[rows < 0] = model(texts[rows < 0].tolist())
    return vectors


def embed_words(store: Store, shard: Shard, configuration: Configuration, model: Model) -> WordCounts:
    """Compute and commit the words' vectors of a shard of products.

    Raises:
        TrainingError: the model's files are missing or damaged.
    """
    started = time.monotonic()
    vectors = loaded_words(str(store.home), model.version)
    of_shard = texts_of(store, shard.keys)
    values = vectors(of_shard.tolist())
    columns = [
        pa.array(of_shard.index.tolist(), pa.string()),
        pa.array([digest([text]) for text in of_shard], pa.string()),
        pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1]),
    ]
    store.write(table_name(model.version), pa.table(columns, schema=words_schema(values.shape[1])))
    return WordCounts(len(of_shard), time.monotonic() - started)


def embed_missing_words(store: Store, configuration: Configuration, model: Model) -> int:
    """Compute all missing vectors of words in this process, and return the number of products."""
    return sum(
        embed_words(store, shard, configuration, model).products for shard in missing(store, configuration, model)
    )
