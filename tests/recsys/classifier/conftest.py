"""A small shop whose products have pictures, features and labels, without anything fetched."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recsys.classifier import registry
from recsys.configuration import Configuration, load
from recsys.features import table_name
from recsys.images.square import encode
from recsys.labels import ledger
from recsys.store import SCHEMAS, Store, features_schema

KINDS = {"Watches": "quartz watch", "Footwear": "leather shoe", "Jewellery": "silver ring"}
SIZE = 16


@dataclass
class Trained:
    """A shop, its classifier, and the epochs that were told of."""

    shop: Shop
    model: registry.AtHand
    epochs: list[int]


class Shop:
    """The store of one home; each label has its own words and its own direction of features."""

    def __init__(self, home: Path, configuration: Configuration) -> None:
        self.store, self.configuration = Store(home), configuration
        self.chance = np.random.default_rng(5)
        self.products = 0

    def add(self, count: int, kind: str, top_level: str | None = None, pictured: bool = True) -> list[str]:
        """Add products that are of a kind, and whose category tree says `top_level` (default: the kind)."""
        keys = [f"p{self.products + number:04}" for number in range(count)]
        self.products += count
        tops = [top_level or kind] * count
        words = KINDS.get(kind, kind)
        self._write(
            "products",
            product_id=keys,
            position=list(range(self.products - count, self.products)),
            name=[f"{words} model {key}" for key in keys],
            brand=[f"brand {self.chance.integers(50)}" for _ in keys],
            category_path=[[top, "x"] for top in tops],
        )
        if pictured:
            digests = [f"d{key}" for key in keys]
            noise = [encode(self.chance.integers(0, 255, (256, 256, 3), np.uint8), 95) for _ in keys]
            self._write("images", product_id=keys, status=["ok"] * count, image_digest=digests, jpeg=noise)
            centre = np.zeros(SIZE) if kind not in KINDS else np.eye(SIZE)[list(KINDS).index(kind)]
            features = (centre + self.chance.normal(0, 0.15, (count, SIZE))).astype(np.float32)
            features /= np.linalg.norm(features, axis=1, keepdims=True)
            columns = [
                pa.array(digests),
                pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), SIZE),
                pa.FixedSizeListArray.from_arrays(pa.array(np.ones(count, np.float32)), 1),
            ]
            self.store.write(table_name(self.configuration), pa.table(columns, schema=features_schema(SIZE, 1)))
        return keys

    def label(self, filling: ledger.Filling | None = None) -> None:
        """Run the stage of the labels."""
        for shard in ledger.missing(self.store, self.configuration, filling):
            ledger.label_shard(self.store, shard, self.configuration, filling)

    def _write(self, table: str, **columns: Any) -> None:
        schema, rows = SCHEMAS[table], len(columns["product_id"])
        arrays = [pa.array(columns.get(field.name, [None] * rows), field.type) for field in schema]
        self.store.write(table, pa.table(arrays, schema=schema))


def settings(**classifier: Any) -> Configuration:
    """Return a configuration with the labels of this shop."""
    labels = {"merge": {kind: [kind] for kind in KINDS}, "merge_coverage": 0}
    return load(None, {"labels": labels, "classifier": {"precision": 0.9, **classifier}}, environ={})


def draw(home: Path) -> Shop:
    """Return a shop of 40 products of each of three kinds, and six whose category is no label."""
    made = Shop(home, settings())
    for kind in KINDS:
        made.add(40, kind)
    for kind in KINDS:
        made.add(2, kind, top_level="Something quite else")
    made.label()
    return made


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return draw(tmp_path / "home")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A shop whose classifier has been trained; to be looked at, not to be changed."""
    made, epochs = draw(tmp_path_factory.mktemp("trained") / "home"), []
    model = registry.train(made.store, made.configuration, lambda epoch, figures: epochs.append(epoch))
    return Trained(made, model, epochs)


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Trained:
    """A copy of it, to be changed."""
    shutil.copytree(trained.shop.store.home, tmp_path / "home")
    made = Shop(tmp_path / "home", trained.shop.configuration)
    made.products = trained.shop.products
    return Trained(made, trained.model, trained.epochs)
