"""A small shop whose products have pictures, features and labels, without anything fetched."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest

from recsys.core.configuration import Configuration, load
from recsys.models import features
from recsys.models.classifier import registry
from recsys.models.labels import ledger
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store
from recsys.vision.square import encode

QUICK = Path(__file__).parent / "quick.toml"
KINDS = {"Watches": "quartz watch", "Footwear": "leather shoe", "Jewellery": "silver ring"}
SIZE = 16


@dataclass
class Trained:
    """A shop, its classifier, and the reported epochs."""

    shop: Shop
    model: registry.Classifier
    epochs: list[int]


class Shop:
    """The store of one home; each label has its own words and its own direction of the features."""

    def __init__(self, home: Path, configuration: Configuration) -> None:
        self.store, self.configuration = Store(home), configuration
        self.chance = np.random.default_rng(5)
        self.products = 0

    def add(
        self,
        count: int,
        kind: str,
        top_level: str | None = None,
        pictured: bool = True,
        jpegs: Sequence[bytes] | None = None,
    ) -> list[str]:
        """Add products of a kind with `top_level` as their category (default: the kind), and return their ids.

        Their pictures are `jpegs`, `count` of them (default: noise), or none.
        """
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
            shown = list(jpegs) if jpegs is not None else [self.noise() for _ in keys]
            self._write("images", product_id=keys, status=["ok"] * count, image_digest=digests, jpeg=shown)
            centre = np.zeros(SIZE) if kind not in KINDS else np.eye(SIZE)[list(KINDS).index(kind)]
            embeddings = (centre + self.chance.normal(0, 0.15, (count, SIZE))).astype(np.float32)
            embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
            rows = features.rows_of(digests, embeddings, np.ones((count, 1), np.float32))
            self.store.write(features.table_name(self.configuration), rows)
        return keys

    def with_tables(self, tables: Path) -> Shop:
        """Copy MLflow's tables to the home, and return the shop."""
        (self.store.home / "mlflow").mkdir()
        shutil.copy(tables, self.store.home / "mlflow" / "mlflow.db")
        return self

    def noise(self) -> bytes:
        """Return a random picture."""
        return encode(cv2.resize(self.chance.integers(0, 255, (16, 16, 3), np.uint8), (256, 256)), 95)

    def scrape(self, label: str, jpegs: Sequence[bytes]) -> list[str]:
        """Add scraped pictures, and return their digests."""
        digests = [f"s{label}{number}" for number in range(len(jpegs))]
        self._write("scraped", image_digest=digests, label=[label] * len(jpegs), jpeg=list(jpegs), title=digests)
        return digests

    def label(self, filling: ledger.Filling | None = None) -> None:
        """Run the stage of the labels."""
        for shard in ledger.missing(self.store, self.configuration, filling):
            ledger.label_shard(self.store, shard, self.configuration, filling)

    def _write(self, table: str, **columns: Any) -> None:
        schema, rows = SCHEMAS[table], len(next(iter(columns.values())))
        arrays = [pa.array(columns.get(field.name, [None] * rows), field.type) for field in schema]
        self.store.write(table, pa.table(arrays, schema=schema))


def settings(**classifier: Any) -> Configuration:
    """Return a configuration with the labels of this shop."""
    labels = {"merge": {kind: [kind] for kind in KINDS}, "merge_coverage": 0}
    given = {"precision": 0.9, "recipe": str(QUICK), **classifier}
    return load(None, {"labels": labels, "classifier": given}, environ={})


def draw(home: Path) -> Shop:
    """Return a shop with 40 products of each of three kinds, and six products without a label."""
    made = Shop(home, settings())
    for kind in KINDS:
        made.add(40, kind)
    for kind in KINDS:
        made.add(2, kind, top_level="Something quite else")
    made.label()
    return made


@pytest.fixture
def shop(tmp_path: Path, mlflow_tables: Path) -> Shop:
    return draw(tmp_path / "home").with_tables(mlflow_tables)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, mlflow_tables: Path) -> Trained:
    """Shop with a trained classifier; shared, read only."""
    made, epochs = draw(tmp_path_factory.mktemp("trained") / "home").with_tables(mlflow_tables), []
    model = registry.train(made.store, made.configuration, lambda epoch, figures: epochs.append(epoch))
    return Trained(made, model, epochs)


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Trained:
    """Copy of the trained shop that a test may change."""
    shutil.copytree(trained.shop.store.home, tmp_path / "home")
    made = Shop(tmp_path / "home", trained.shop.configuration)
    made.products = trained.shop.products
    return Trained(made, trained.model, trained.epochs)
