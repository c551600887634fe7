"""A small shop whose catalogue, predictions and answers a test can write."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from recsys.core.configuration import Configuration, load
from recsys.ingest.catalogue.products import update_products
from recsys.ingest.catalogue.reading import read_catalogue
from recsys.models.labels import ledger
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def settings(merge: dict[str, list[str]] | None = None, **of_labels: Any) -> Configuration:
    """Return a configuration with this merge table; None keeps the default."""
    labels = of_labels if merge is None else {**of_labels, "merge": merge}
    return load(None, {"labels": labels}, environ={})


TABLE = settings(merge_coverage=0)
"""Configuration with the default table, applied at any coverage."""


class Shop:
    """The store of one home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder / "home")

    def update(self, *rows: tuple[str, ...]) -> None:
        """Read a catalogue of (id, tree), (id, tree, name) or (id, tree, name, brand)."""
        path = self.folder / "catalogue.csv"
        columns = ["uniq_id", "product_category_tree", "product_name", "brand", "discounted_price", "image"]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            for row in rows:
                writer.writerow([*row, *[""] * (4 - len(row)), "10", "http://user:secret@shop.example/1.jpg"])
        update_products(self.store, read_catalogue(str(path), Configuration(), self.folder), NOW)

    def label(
        self, configuration: Configuration = TABLE, filling: ledger.Filling | None = None
    ) -> tuple[list[str], ledger.LabelCounts]:
        """Run the stage, and return the product ids that were missing and their counts."""
        shards = ledger.missing(self.store, configuration, filling)
        counts = [ledger.label_shard(self.store, shard, configuration, filling) for shard in shards]
        fields = ("labelled", "merged", "predicted", "reviewed", "unlabelled")
        total = ledger.LabelCounts(*(sum(getattr(count, field) for count in counts) for field in fields))
        return [key for shard in shards for key in shard.keys], total

    def predict(self, version: str = "1", **of: tuple[str, float] | tuple[str, float, str, float]) -> None:
        """Write predictions: product_id=(label, confidence) or (label, confidence, runner-up, its confidence)."""
        rows = []
        for key, (label, confidence, *second) in of.items():
            runner_up, its_confidence = second or (None, None)
            rows.append(
                {
                    **{"product_id": key, "model_version": version, "label": label, "confidence": confidence},
                    **{"runner_up": runner_up, "runner_up_confidence": its_confidence, "evidence": "text"},
                }
            )
        self.write("predictions", *rows)

    def review(self, **answers: str | None) -> None:
        """Write answers: product_id=label, or None for no label."""
        self.write("reviews", *({"product_id": k, "label": v, "reviewed_at": NOW} for k, v in answers.items()))

    def picture(self, **urls: str) -> None:
        """Write pictures from these addresses."""
        rows = ({"product_id": k, "status": "ok", "url": url, "image_digest": f"digest-{k}"} for k, url in urls.items())
        self.write("images", *rows)

    def write(self, table: str, *rows: dict[str, Any]) -> None:
        self.store.write(table, pa.Table.from_pylist(list(rows), schema=SCHEMAS[table]))

    def labels(self) -> dict[str, str | None]:
        table = self.store.read("labels", ["product_id", "label"]).to_pylist()
        return {row["product_id"]: row["label"] for row in sorted(table, key=lambda row: row["product_id"])}

    def row(self, product_id: str, table: str = "labels") -> dict[str, Any]:
        row: dict[str, Any] = self.store.read(table, where=f"product_id = '{product_id}'").to_pylist()[0]
        return row
