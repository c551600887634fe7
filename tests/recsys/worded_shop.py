"""A small shop whose serving embedding has words: drawn vectors of pictures, the real model of the words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from recsys.core.configuration import Configuration, load
from recsys.models import features
from recsys.models.embedding import words
from recsys.models.embedding.serving import SEES_FEATURES, Model, Pointer, point
from recsys.models.word_vectors import WordVectors
from recsys.ranking.recommendations import recommend_missing
from recsys.storage import records
from recsys.storage.schemas import SCHEMAS, embeddings_schema
from recsys.storage.store import Store
from recsys.vision.square import encode

CONFIGURATION = load(environ={})
VERSION = "worded"
KINDS = ("floral curtain", "analog watch", "cotton kurta", "steel mug")
COLOURS = ("red", "blue", "green", "black", "white", "yellow")
BRANDS = ("Acme", "Borel", None)
NAMES = [f"{COLOURS[n // 4]} {KINDS[n % 4]}".title() for n in range(24)]
WEIGHT = 0.4
SIZE = 32


def rows(table: str, count: int, **columns: object) -> pa.Table:
    """Return rows of a table; columns that are not given are empty."""
    schema = SCHEMAS[table]
    return pa.table({name: columns.get(name, pa.nulls(count)) for name in schema.names}).cast(schema)


def write_names(store: Store, names: Sequence[str | None], attributes: Sequence[object] | None = None) -> None:
    """Write the products, as a catalogue with these names does."""
    count = len(names)
    ids = [f"p{n}" for n in range(count)]
    columns = {
        "product_id": ids,
        "position": list(range(count)),
        "row_digest": [f"{name}" for name in names],
        "name": names,
        "brand": [BRANDS[n % 3] if name else None for n, name in enumerate(names)],
        "category_path": [["Things", KINDS[n % 4]] for n in range(count)],
        "price": [100.0 + n for n in range(count)],
        "in_stock": [n % 5 != 0 for n in range(count)],
        "variants": [
            [{"id": f"p{n}-{size}", "options": size} for size in "SM"] if n < 3 else None for n in range(count)
        ],
    }
    if attributes is not None:
        columns["attributes"] = list(attributes)
    store.write("products", rows("products", count, **columns))


def vectors_of_pictures(count: int) -> np.ndarray:
    """Return unit vectors (n, 32) float32: products of one kind look somewhat alike."""
    random = np.random.default_rng(1)
    kinds = random.standard_normal((len(KINDS), SIZE))
    vectors = kinds[np.arange(count) % len(KINDS)] + 1.2 * random.standard_normal((count, SIZE))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def fill(
    home: Path,
    names: Sequence[str | None] = NAMES,
    weight: float = WEIGHT,
    configuration: Configuration = CONFIGURATION,
    raw: np.ndarray | None = None,
) -> Store:
    """Make a home of products with these names, embedded and ranked; weight 0: by a model without words.

    `raw` are the features of the pictures, by default random.
    """
    store, count = Store(home), len(names)
    ids, digests = [f"p{n}" for n in range(count)], [f"d{n}" for n in range(count)]
    write_names(store, names)
    store.write("labels", rows("labels", count, product_id=ids, label=["Things"] * count))
    jpegs = [encode(np.full((256, 256, 3), 9 * n % 256, np.uint8), 95) for n in range(count)]
    images = rows("images", count, product_id=ids, status=["ok"] * count, image_digest=digests, jpeg=jpegs)
    store.write("images", images)
    random = np.random.default_rng(2)
    if raw is None:
        raw = random.standard_normal((count, 64)).astype(np.float32)
        raw /= np.linalg.norm(raw, axis=1, keepdims=True)
    histograms = random.dirichlet(np.ones(768), count).astype(np.float32)
    store.write(features.table_name(configuration), features.rows_of(digests, raw, histograms))
    pictures = vectors_of_pictures(count)
    column = pa.FixedSizeListArray.from_arrays(pa.array(pictures.ravel()), SIZE)
    store.write(f"embeddings-{VERSION}", pa.table([pa.array(digests), column], schema=embeddings_schema(SIZE)))
    if weight:
        texts = words.texts_of(store).reindex(ids).tolist()
        vectors = WordVectors.fit([text for text in texts if text])
        assert vectors is not None
        folder = words.words_folder(home, VERSION)
        folder.mkdir(parents=True)
        vectors.with_pictures(texts, pictures).save(folder)
    model = replace(model_of(weight), backbone=features.model_version(configuration))
    records.write(home, {f"embedding/{VERSION}": asdict(model)})
    point(home, Pointer(VERSION))
    words.embed_missing_words(store, configuration, model)
    recommend_missing(store, configuration, model)
    return store


def model_of(weight: float = WEIGHT) -> Model:
    """Return the record of the serving model."""
    return Model(
        version=VERSION,
        recipe="default",
        recipe_digest="recipe",
        data_digest="data",
        sees=SEES_FEATURES,
        backbone=features.model_version(CONFIGURATION),
        size=SIZE,
        trained_at="2026-01-02T00:00:00+00:00",
        run_id="run",
        registered="1",
        promoted=True,
        reason="promoted",
        against="raw",
        text_weight=weight,
    )


def with_weight(weight: float) -> Configuration:
    """Return the configuration with this share of the words."""
    return load(flags={"recommend": {"text_weight": weight}}, environ={})
