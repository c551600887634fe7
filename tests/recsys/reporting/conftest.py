"""A small shop in a store, in its state before the report is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest

from recsys.core.configuration import Configuration, load
from recsys.core.digests import digest
from recsys.models import features
from recsys.models.classifier.registry import Classifier
from recsys.models.embedding.serving import Serving
from recsys.storage import records
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store

NOW = datetime(2026, 1, 5, tzinfo=UTC)
NEIGHBOURS = 9
SERVES = Serving.of(None, Configuration())
BROKEN = {"status": "broken", "cause": "http_404"}
Fill = Callable[[list[dict[str, Any]]], Store]


def settings(**sections: Any) -> Configuration:
    """Return a configuration with these sections, without the environment."""
    return load(None, sections, environ={})


def jpeg(number: int) -> bytes:
    """Return a squared image (256, 256, 3) of one colour, as JPEG."""
    picture = np.full((256, 256, 3), 255, np.uint8)
    picture[64:192, 64:192] = (37 * number % 256, 91 * number % 256, 53 * number % 256)
    return cv2.imencode(".jpg", picture)[1].tobytes()


def rows_of(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Return rows with all columns of a table; missing values are null."""
    schema = SCHEMAS[table]
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema)


def train(store: Store, threshold: float | None = 0.9, **predicted: tuple[str, float]) -> Classifier:
    """Make a classifier current that predicts product_id=(label, confidence), with `_` for `-` in an id."""
    model = Classifier("model-1", "recipe", ("Clothing", "Footwear", "Watches"), threshold, "run", "1")
    records.write(store.home, {"classifier/current": asdict(model)})
    rows = [
        {
            "product_id": key.replace("_", "-"),
            "model_version": model.version,
            "label": label,
            "confidence": confidence,
            "evidence": "both",
        }
        for key, (label, confidence) in predicted.items()
    ]
    if rows:
        store.write("predictions", rows_of("predictions", rows))
    return model


def guessed(label: str, confidence: float, **product: Any) -> dict[str, Any]:
    """Return a product with a label that the classifier filled in."""
    return {"label": label, "source": "predicted", "confidence": confidence, "model_version": "model-1", **product}


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Return a function that fills a store with products; each dict overrides default values."""

    def fill_store(products: list[dict[str, Any]]) -> Store:
        store = Store(tmp_path / "home")
        rows = [
            {
                "product_id": f"id-{number}",
                "position": number,
                "name": f"Product {number}",
                "category_path": [],
                "price": 100.0 + number,
                "label": ("Watches", "Clothing", "Footwear")[number % 3],
                "source": "catalogue" if product.get("label", "") is not None else None,
                "status": "ok",
                "image_digest": f"digest-{number}",
                "url": f"https://shop.example/{number}.jpeg",
                "urls_digest": digest(product.get("image_urls") or ()),
                "jpeg": jpeg(number),
                "width": 256,
                "height": 256,
                **product,
            }
            for number, product in enumerate(products)
        ]
        for row in rows:
            if row["status"] != "ok":
                row |= {"image_digest": None, "jpeg": None}
        if not rows:
            return store
        store.write("products", rows_of("products", rows))
        store.write("images", rows_of("images", rows))
        store.write("labels", rows_of("labels", rows))
        reading = {"catalogue_digest": "0f" * 16, "source": "shop.csv", "rows": len(rows) + 2, "rejected": 2}
        store.write("catalogues", rows_of("catalogues", [{**reading, "read_at": NOW}]))

        shown = [row for row in rows if row["status"] == "ok" and not row.get("removed")]
        vectors = np.random.default_rng(0).normal(size=(len(shown), 8)).astype(np.float32)
        if shown:
            digests = [row["image_digest"] for row in shown]
            prints = np.random.default_rng(1).integers(0, 1 << 63, len(digests)).astype(np.uint64)
            store.write(SERVES.embeddings, features.rows_of(digests, vectors, vectors, list(prints)))
        recommended = [
            {
                "product_id": row["product_id"],
                "rank": rank,
                "neighbour_id": shown[(at + rank) % len(shown)]["product_id"],
                "visual": 0.9,
                "colour": 0.5,
                "price": 1.0,
                "total": 1.5,
            }
            for at, row in enumerate(shown)
            for rank in range(1, min(NEIGHBOURS, len(shown) - 1) + 1)
        ]
        if recommended:
            store.write(SERVES.recommendations, rows_of("recommendations", recommended))
        return store

    return fill_store
