"""Two small shops: one with drawn features and recommendations, one with drawn pictures and their real features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from recsys.core.configuration import Configuration, load
from recsys.ingest.catalogue.intake import take_in
from recsys.models import features
from recsys.models.labels import ledger
from recsys.ranking.recommendations import recommend_missing
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store
from recsys.vision.square import digest_of, encode

SETTINGS = """
backbone.input_size = 32
evaluation.min_occurrences = 3
"""
KINDS = ("Bowls", "Plates", "Kurtas", "Shirts")
PRODUCTS = 48


@dataclass(frozen=True)
class DrawnShop:
    """The home, its configuration, and the folder with its photos, `p0.jpg` and so on."""

    home: Path
    photos: Path
    configuration: Configuration

    @property
    def store(self) -> Store:
        return Store(self.home, read_only=True)


@pytest.fixture
def small_shop(tmp_path: Path) -> Callable[[Sequence[str], Sequence[str | None]], Store]:
    """Make a home of products with these ids and names, all pens, with drawn features, ranked; of two catalogues."""

    def made(ids: Sequence[str], names: Sequence[str | None]) -> Store:
        def rows(table: str, columns: dict[str, object]) -> pa.Table:
            schema = SCHEMAS[table]
            return pa.table({name: columns.get(name, pa.nulls(len(ids))) for name in schema.names}).cast(schema)

        store, count, now = Store(tmp_path / "home"), len(ids), datetime(2026, 1, 2, tzinfo=UTC)
        same = {"product_id": ids, "row_digest": ids, "image_digest": ids, "name": names}
        dated = {"first_seen": [now] * count, "changed": [now] * count, "position": range(count), "price": range(count)}
        store.write("products", rows("products", {**same, **dated}))
        store.write("images", rows("images", {**same, "status": ["ok"] * count}))
        store.write("labels", rows("labels", {**same, "label": ["Pens"] * count}))
        read = [{"catalogue_digest": f"catalogue-{day}", "read_at": now.replace(day=day)} for day in (2, 1)]
        store.write("catalogues", pa.Table.from_pylist(read, schema=SCHEMAS["catalogues"]))
        random = np.random.default_rng(0)
        vectors = random.standard_normal((count, 8)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        histograms = random.dirichlet(np.ones(768), count).astype(np.float32)
        configuration = load(environ={})
        store.write(features.table_name(configuration), features.rows_of(ids, vectors, histograms))
        recommend_missing(store, configuration, None)
        return store

    return made


def drawn_picture(kind: int, seed: int) -> np.ndarray:
    """Return a picture of one of four kinds: the kind decides the shapes, the seed their colours."""
    random = np.random.default_rng(seed)
    picture = np.full((256, 256, 3), 255, np.uint8)
    colour = tuple(int(part) for part in random.integers(0, 200, 3))
    for _ in range(8):
        x, y, size = (int(part) for part in random.integers(40, 216, 3))
        if kind == 0:
            cv2.circle(picture, (x, y), size // 6, colour, -1)
        elif kind == 1:
            cv2.circle(picture, (x, y), size // 4, colour, 4)
        elif kind == 2:
            cv2.rectangle(picture, (x - 20, 20), (x + 5, 236), colour, -1)
        else:
            cv2.line(picture, (0, y), (255, 255 - x), colour, 9)
    return picture


@pytest.fixture(scope="session")
def drawn_shop(tmp_path_factory: pytest.TempPathFactory) -> DrawnShop:
    """48 products of four kinds below two top levels. p0 and p4 share a photo; p1 has no path and a predicted label."""
    folder = tmp_path_factory.mktemp("drawn")
    home, photos, catalogue = folder / "home", folder / "photos", folder / "catalogue.csv"
    photos.mkdir()
    home.mkdir()
    (home / "recsys.toml").write_text(SETTINGS, encoding="utf-8")
    rows = ["uniq_id,product_category_tree,product_name,discounted_price,image"]
    for n in range(PRODUCTS):
        kind = n % 4
        tree = "" if n == 1 else f"{('Kitchen & Dining', 'Clothing')[kind // 2]} >> {KINDS[kind]}"
        rows.append(f"p{n},{tree},{KINDS[kind]} {n},{100 + n},http://shop.example/{n}.jpg")
    catalogue.write_text("\n".join(rows), encoding="utf-8")
    store, configuration = Store(home), load(home, environ={})
    now = datetime(2026, 1, 5, tzinfo=UTC)
    take_in(store, str(catalogue), configuration, now)
    for shard in ledger.missing(store, configuration):
        ledger.label_shard(store, shard, configuration)
    prediction = {"product_id": "p1", "label": "Kitchen & Dining", "source": "predicted", "confidence": 0.99}
    store.write("labels", pa.Table.from_pylist([prediction], schema=SCHEMAS["labels"]))
    images = []
    for n in range(PRODUCTS):
        jpeg = encode(drawn_picture(n % 4, 0 if n == 4 else n), 95)
        (photos / f"p{n}.jpg").write_bytes(jpeg)
        images.append(
            {
                "product_id": f"p{n}",
                "status": "ok",
                "checked_at": now,
                "image_digest": digest_of(jpeg if n != 4 else jpeg + b"another file of the same photo"),
                "jpeg": jpeg,
            }
        )
    store.write("images", pa.Table.from_pylist(images, schema=SCHEMAS["images"]))
    scraped = {"image_digest": "f" * 32, "label": "Kitchen & Dining", "jpeg": images[0]["jpeg"], "scraped_at": now}
    store.write("scraped", pa.Table.from_pylist([scraped], schema=SCHEMAS["scraped"]))
    for shard in features.missing(store, configuration):
        features.extract_shard(store, shard, configuration)
    return DrawnShop(home, photos, configuration)
