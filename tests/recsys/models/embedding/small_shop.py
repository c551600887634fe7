"""A small shop whose features say two levels of its category path, below a noise that a head can learn to leave out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from recsys.core.configuration import Configuration, load
from recsys.models import features
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store
from recsys.vision.square import encode

FEATURES = 1_280  # as the default backbone's, which a registered model is joined to
NOISE = 60
TOPS, KINDS, EACH = 3, 3, 24

RECIPE = """
classes = "path"
level_weights = [1.0, 1.0]
product_weight = 0.0
colour_weight = 0.5
embedding_size = {size}
start = "random"
learning_rate = {rate}
schedule = "constant"
epochs = {epochs}
seed = 1

[loss]
name = "supervised_contrastive"
temperature = 0.2

[batches]
size = 64
run = 8
"""


def recipe(folder: Path, name: str, epochs: int, rate: float = 3e-3, size: int = 32) -> str:
    """Write a recipe and return its path."""
    file = folder / f"{name}.toml"
    file.write_text(RECIPE.format(epochs=epochs, rate=rate, size=size), encoding="utf-8")
    return str(file)


def flags(recipe: str = "default", **more: Any) -> dict[str, Any]:
    """Return the settings of a configuration with this recipe."""
    given = {
        "embedding": {"recipe": recipe},
        "tsne": {"iterations": 250},
        "evaluation": {"levels": 2},
        "colour": {"hue_bins": 2, "saturation_bins": 2, "value_bins": 2},
    }
    return given | more


def settings(recipe: str = "default", **more: Any) -> Configuration:
    """Return that configuration."""
    return load(None, flags(recipe, **more), environ={})


@dataclass
class Shop:
    """The store of one home."""

    home: Path
    chance: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))
    products: int = 0

    def __post_init__(self) -> None:
        self.store = Store(self.home)
        directions = np.random.default_rng(3).standard_normal((TOPS + TOPS * KINDS + NOISE, FEATURES))
        self.tops, self.kinds, self.noise = np.split(np.linalg.qr(directions.T)[0].T, [TOPS, TOPS + TOPS * KINDS])

    def add(self, count: int, top: int, kind: int) -> list[str]:
        """Add products of a kind, with pictures that are like no other, and their features."""
        keys = [f"p{self.products + number:04}" for number in range(count)]
        rows = np.arange(self.products, self.products + count)
        self.products += count
        self._write(
            "products",
            product_id=keys,
            position=rows.tolist(),
            name=[f"thing {key}" for key in keys],
            category_path=[[f"top {top}", f"kind {top}.{kind}"]] * count,
            price=(100.0 + rows % 7).tolist(),
            row_digest=keys,
        )
        self._write("labels", product_id=keys, label=[f"top {top}"] * count, source=["catalogue"] * count)
        digests = [f"d{key}" for key in keys]
        jpegs = [encode(cv2.resize(self.chance.integers(0, 255, (16, 16, 3), np.uint8), (256, 256)), 95) for _ in keys]
        self._write("images", product_id=keys, status=["ok"] * count, image_digest=digests, jpeg=jpegs)
        hidden = self.chance.standard_normal((count, NOISE)) @ self.noise
        embeddings = (0.8 * self.tops[top] + 1.2 * self.kinds[top * KINDS + kind] + 0.35 * hidden).astype(np.float32)
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        colours = self.chance.random((count, 8)).astype(np.float32)
        colours /= colours.sum(axis=1, keepdims=True)
        self.store.write(features.table_name(settings()), features.rows_of(digests, embeddings, colours))
        return keys

    def reprice(self, product_id: str, price: float) -> None:
        """Change a product as a catalogue with another price does."""
        (row,) = self.store.read("products", where=f"product_id = '{product_id}'").to_pylist()
        changed = row | {"price": price, "row_digest": f"{product_id} at {price}"}
        self.store.write("products", pa.Table.from_pylist([changed], schema=SCHEMAS["products"]))

    def _write(self, table: str, **columns: Any) -> None:
        schema, rows = SCHEMAS[table], len(next(iter(columns.values())))
        arrays = [pa.array(columns.get(column.name, [None] * rows), column.type) for column in schema]
        self.store.write(table, pa.table(arrays, schema=schema))


def draw(home: Path, each: int = EACH) -> Shop:
    """Return a shop of so many products of each of nine kinds."""
    shop = Shop(home)
    for top in range(TOPS):
        for kind in range(KINDS):
            shop.add(each, top, kind)
    return shop
