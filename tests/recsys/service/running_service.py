"""A small shop, and a real server over it on the loopback interface, with a client that sends paths unchanged."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import uvicorn

from recsys.core.configuration import Configuration
from recsys.models import features
from recsys.ranking import recommendations
from recsys.service import create_service
from recsys.service.protocol import HeadersTimeoutProtocol
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store
from recsys.vision.square import encode

PRODUCTS = 40
ODD_ID = 'o\'brien/7 "日本"'
QUICK = {"warm_up": False, "refresh_s": 0.1}
CONFIGURATION = Configuration.model_validate({"images": {"max_bytes": 100_000}, "service": QUICK})
JPEG = {"Content-Type": "image/jpeg"}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Service:
    port: int

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            with contextlib.suppress(ConnectionError):  # the service may refuse an upload before it has been sent
                connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, dict(response.headers), response.read())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self.request("GET", path, headers=headers)

    def post_photo(self, body: Any, query: str = "") -> Reply:
        return self.request("POST", f"/similar{query}", body, JPEG)


@contextlib.contextmanager
def serving(home: Path, configuration: Configuration = CONFIGURATION) -> Iterator[Service]:
    """Run a real server over a home."""
    app = create_service(home, configuration)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, http=HeadersTimeoutProtocol))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield Service(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()


def with_settings(**settings: Any) -> Configuration:
    """Return a configuration with these settings of the section `service`."""
    return Configuration.model_validate({"service": {"warm_up": False, **settings}})


def write(store: Store, table: str, rows: list[dict[str, Any]]) -> None:
    store.write(table, pa.Table.from_pylist(rows, schema=SCHEMAS[table]))


def write_features(store: Store, digests: list[str], embeddings: np.ndarray, histograms: np.ndarray) -> None:
    store.write(features.table_name(CONFIGURATION), features.rows_of(digests, embeddings, histograms))


def fill(home: Path) -> Store:
    """Create a small shop with random features; one product has no price, one has a broken image."""
    rng = np.random.default_rng(7)
    store = Store(home)
    ids = [f"p{i}" for i in range(PRODUCTS - 1)] + [ODD_ID]
    jpegs = [encode(rng.integers(0, 255, (8, 8, 3), np.uint8).repeat(32, 0).repeat(32, 1), 95) for _ in ids]
    rows = list(enumerate(ids))
    write(
        store,
        "products",
        [
            {
                **{"product_id": id_, "position": i, "name": f"Thing {i}", "brand": None, "row_digest": str(i)},
                **{"category_path": ["Things", "Small things"], "price": None if i == 3 else 100.0 * (1 + i % 7)},
                "in_stock": (True, False, None)[i % 3],
                "variants": [{"id": f"{id_}-{size}", "options": size} for size in "SM"] if i < 3 else None,
                "attributes": [{"name": "Material", "value": "Wool" if i % 2 else "Linen"}] if i < 9 else None,
            }
            for i, id_ in [*rows, (PRODUCTS, "broken")]
        ],
    )
    write(store, "labels", [{"product_id": id_, "label": "Watches" if i % 2 else None} for i, id_ in rows])
    images = [{"product_id": id_, "status": "ok", "image_digest": f"d{i}", "jpeg": jpegs[i]} for i, id_ in rows]
    write(store, "images", [*images, {"product_id": "broken", "status": "broken", "cause": "http_404"}])
    embeddings = rng.standard_normal((PRODUCTS, 1280)).astype(np.float32)
    histograms = rng.random((PRODUCTS, 768)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    histograms /= histograms.sum(axis=1, keepdims=True)
    write_features(store, [f"d{i}" for i, _ in rows], embeddings, histograms)
    for shard in recommendations.missing(store, CONFIGURATION, None):
        recommendations.recommend_shard(store, shard, CONFIGURATION, None)
    return store


def detail_of(reply: Reply) -> str:
    """Return the detail of a failed request, which is one line without a traceback."""
    detail = reply.json()["detail"]
    assert isinstance(detail, str) and detail and "\n" not in detail and "Traceback" not in detail
    return detail


def assert_same_answer(answer: Any, expected: Any) -> None:
    """Assert that two answers are equal, except for the last digit of a score."""
    assert answer["query"] == expected["query"]
    assert len(answer["recommendations"]) == len(expected["recommendations"])
    for item, other in zip(answer["recommendations"], expected["recommendations"], strict=True):
        scores = {name: pytest.approx(other[name], abs=2e-6) for name in ("visual", "colour", "price_score", "total")}
        assert item == other | scores
