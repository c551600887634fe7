"""The service over a real server on the loopback interface, asked by a client that sends paths as they are."""

import contextlib
import http.client
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pytest
import uvicorn

from recsys.core.configuration import Configuration
from recsys.models import features
from recsys.ranking import recommendations
from recsys.ranking.single_query import recommend_photo, recommend_product
from recsys.service import create_service
from recsys.service.protocol import HeadersTimeoutProtocol
from recsys.storage.store import SCHEMAS, Store, among
from recsys.vision.square import decode_squared, encode

PRODUCTS = 40
ODD_ID = 'o\'brien/7 "日本"'
QUICK = {"warm_up": False, "refresh_s": 0.1}
CONFIGURATION = Configuration.model_validate({"images": {"max_bytes": 100_000}, "service": QUICK})
JPEG = {"Content-Type": "image/jpeg"}
HOSTILE_IDS = [
    "../../etc/passwd",
    "/etc/passwd",
    "..\\..\\home.json",
    "' OR '1'='1",
    "'; DROP TABLE products; --",
    'p1" OR "1"="1',
    "p1\r\nX-Injected: yes",
    "",
    "*",
    "日本\u202e",
    "x" * 10_000,
]


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

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            with contextlib.suppress(ConnectionError):  # a refused upload may be answered before it was sent
                connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.headers), answer.read())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self.ask("GET", path, headers=headers)


@contextlib.contextmanager
def serving(home: Path, configuration: Configuration = CONFIGURATION) -> Iterator[Service]:
    """Run a real server over a home while the context lasts."""
    settings = uvicorn.Config(create_service(home, configuration), port=0, log_config=None, http=HeadersTimeoutProtocol)
    server = uvicorn.Server(settings)
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


def write(store: Store, table: str, rows: list[dict[str, Any]]) -> None:
    store.write(table, pa.Table.from_pylist(rows, schema=SCHEMAS[table]))


def write_features(store: Store, digests: list[str], embeddings: np.ndarray, histograms: np.ndarray) -> None:
    store.write(features.table_name(CONFIGURATION), features.rows_of(digests, embeddings, histograms))


def fill(home: Path) -> Store:
    """Make a small shop whose features are drawn by lot; one product has no price, one a broken image."""
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
                **{"category_path": ["Things"], "price": None if i == 3 else 100.0 * (1 + i % 7)},
                "in_stock": (True, False, None)[i % 3],
            }
            for i, id_ in [*rows, (PRODUCTS, "broken")]
        ],
    )
    write(store, "labels", [{"product_id": id_, "label": "Watches" if i % 2 else None} for i, id_ in rows])
    pictures = [{"product_id": id_, "status": "ok", "image_digest": f"d{i}", "jpeg": jpegs[i]} for i, id_ in rows]
    write(store, "images", [*pictures, {"product_id": "broken", "status": "broken", "cause": "http_404"}])
    embeddings = rng.standard_normal((PRODUCTS, 1280)).astype(np.float32)
    histograms = rng.random((PRODUCTS, 768)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    histograms /= histograms.sum(axis=1, keepdims=True)
    write_features(store, [f"d{i}" for i, _ in rows], embeddings, histograms)
    for shard in recommendations.missing(store, CONFIGURATION, None):
        recommendations.recommend_shard(store, shard, CONFIGURATION, None)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return fill(tmp_path_factory.mktemp("service") / "home")


@pytest.fixture(scope="module")
def service(store: Store) -> Iterator[Service]:
    with serving(store.home) as running:
        yield running


def one_line(reply: Reply) -> str:
    detail = reply.json()["detail"]
    assert isinstance(detail, str) and detail and "\n" not in detail and "Traceback" not in detail
    return detail


def agree(told: Any, expected: Any) -> None:
    """Assert that two answers are one, but for the last digit of a score."""
    assert told["query"] == expected["query"] and len(told["recommendations"]) == len(expected["recommendations"])
    for one, other in zip(told["recommendations"], expected["recommendations"], strict=True):
        scores = {name: pytest.approx(other[name], abs=2e-6) for name in ("visual", "colour", "price_score", "total")}
        assert one == other | scores


def contents(home: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in home.rglob("*")}


@pytest.mark.parametrize("product_id", ["p1", "p2", "p3", ODD_ID])
def test_similar_products_are_the_librarys_answer(service: Service, store: Store, product_id: str) -> None:
    reply = service.get(f"/products/{quote(product_id, safe='')}/similar")
    assert reply.status == 200 and reply.headers["content-type"] == "application/json"
    agree(reply.json(), json.loads(recommend_product(store, CONFIGURATION, product_id).to_json()))
    assert len(reply.json()["recommendations"]) == CONFIGURATION.recommend.top


def test_a_clients_rule_is_followed(service: Service, store: Store) -> None:
    rule = {"top": 9, "filter": 12, "colour_weight": 0.5, "price_weight": 2.0}
    reply = service.get("/products/p4/similar?" + "&".join(f"{name}={value}" for name, value in rule.items()))
    configuration = Configuration.model_validate({"recommend": rule})
    agree(reply.json(), json.loads(recommend_product(store, configuration, "p4").to_json()))
    assert reply.json() != service.get("/products/p4/similar?top=9&filter=12").json()


def test_what_is_sold_out_is_left_out_where_a_client_asks_for_that(service: Service) -> None:
    def available(path: str, key: str) -> list[bool | None]:
        return [each["in_stock"] for each in service.get(path).json()[key]]

    assert service.get("/labels").json()["knows_stock"] is True
    assert set(available("/products/p4/similar?top=20", "recommendations")) == {True, False, None}
    assert set(available("/products/p4/similar?top=20&in_stock=true", "recommendations")) == {True, None}
    everything, there = (available(f"/products?size=200{wanted}", "products") for wanted in ("", "&in_stock=1"))
    assert len(there) == len(everything) - everything.count(False) and False not in there
    assert service.get("/products/p1/similar?in_stock=perhaps").status == 422


def test_the_configured_rule_holds_where_a_client_names_none(store: Store) -> None:
    rule = {"top": 3, "filter": 7, "colour_weight": 0}
    configuration = Configuration.model_validate({"recommend": rule, "service": QUICK})
    with serving(store.home, configuration) as service:
        reply = service.get("/products/p5/similar")
    assert len(reply.json()["recommendations"]) == 3
    agree(reply.json(), json.loads(recommend_product(store, configuration, "p5").to_json()))


@pytest.mark.parametrize(
    "query",
    [
        *("top=0", "top=101", "top=x", "top=2.5", "filter=0", "filter=1001", "top=9&filter=8", "top=21"),
        *("colour_weight=-1", "colour_weight=nan", "price_weight=inf", "price_weight=1e308", "price_weight="),
    ],
)
def test_an_impossible_number_is_a_422_that_names_it(service: Service, query: str) -> None:
    reply = service.get(f"/products/p1/similar?{query}")
    assert reply.status == 422
    assert query.split("=")[0] in one_line(reply)


@pytest.mark.parametrize("product_id", HOSTILE_IDS)
def test_a_hostile_id_is_an_unknown_product(service: Service, product_id: str) -> None:
    escaped = quote(product_id, safe="")
    for path in (f"/products/{escaped}/similar", f"/images/{escaped}"):
        reply = service.get(path)
        assert reply.status == 404, path
        assert len(one_line(reply)) < 300 and "X-Injected" not in reply.headers


def test_a_nul_at_the_end_of_an_id_is_refused_not_dropped(service: Service) -> None:
    for path in ("/products/p1%00/similar", "/images/p1%00"):
        reply = service.get(path)
        assert reply.status == 422 and "product_id" in one_line(reply)


@pytest.mark.parametrize("path", ["/products/../../etc/passwd/similar", "/images/../../../../../etc/passwd", "/../x"])
def test_dots_in_a_path_lead_nowhere(service: Service, path: str) -> None:
    assert service.get(path).status == 404


def test_a_product_without_a_picture_is_a_404_that_says_why(service: Service) -> None:
    reply = service.get("/products/broken/similar")
    assert reply.status == 404 and "http_404" in one_line(reply)
    assert service.get("/images/broken").status == 404


@pytest.mark.parametrize("product_id", ["p1", ODD_ID])
def test_a_picture_is_the_stores_jpeg_and_may_be_cached(service: Service, store: Store, product_id: str) -> None:
    row = store.read("images", ["image_digest", "jpeg"], among("product_id", [product_id])).to_pylist()[0]
    reply = service.get(f"/images/{quote(product_id, safe='')}")
    assert (reply.status, reply.body) == (200, row["jpeg"])
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.headers["etag"] == f'"{row["image_digest"]}"'
    assert "max-age" in reply.headers["cache-control"]
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("known", ['"d1"', 'W/"d1"', '"other", "d1"', "*"])
def test_a_picture_that_the_client_has_is_a_304_without_a_body(service: Service, known: str) -> None:
    reply = service.get("/images/p1", {"If-None-Match": known})
    assert (reply.status, reply.body) == (304, b"")
    assert reply.headers["etag"] == '"d1"' and "cache-control" in reply.headers


@pytest.mark.parametrize("known", ['"d2"', "d1", "", "'"])
def test_a_picture_that_the_client_does_not_have_is_sent(service: Service, known: str) -> None:
    assert service.get("/images/p1", {"If-None-Match": known}).status == 200


def test_a_photo_gets_the_librarys_answer_and_finds_the_product_that_it_shows(tmp_path: Path) -> None:
    store = fill(tmp_path / "home")
    jpeg = store.read("images", ["jpeg"], among("product_id", ["p6"]))["jpeg"][0].as_py()
    write_features(store, ["d6"], *features.describe(decode_squared(jpeg)[None], CONFIGURATION))
    photo = tmp_path / "photo"
    photo.write_bytes(jpeg)
    with serving(store.home) as service:
        reply = service.ask("POST", "/similar?top=20", service.get("/images/p6").body, JPEG)
    assert reply.status == 200
    answer = reply.json()
    assert answer["query"] == {**answer["query"], "product_id": None, "label": None, "price_level": 2.5}
    likest = max(answer["recommendations"], key=lambda item: item["visual"])
    assert likest["product_id"] == "p6" and likest["visual"] > 0.99
    wide = Configuration.model_validate({"recommend": {"top": 20}})
    assert answer["recommendations"] == json.loads(recommend_photo(store, wide, photo).to_json())["recommendations"]


@pytest.mark.parametrize(
    "body",
    [b"", b"not a picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8\xff\xe0 cut short", b"BM\0\0"],
)
def test_a_photo_that_cannot_be_decoded_is_a_422(service: Service, body: bytes) -> None:
    reply = service.ask("POST", "/similar", body, JPEG)
    assert reply.status == 422 and one_line(reply).startswith("photo cannot be used")


def test_an_impossible_number_beside_a_photo_is_a_422(service: Service) -> None:
    reply = service.ask("POST", "/similar?top=0", b"x", JPEG)
    assert reply.status == 422 and "top" in one_line(reply)


def test_a_photo_over_the_limit_is_a_413_whether_it_says_its_length_or_not(service: Service) -> None:
    for body in (bytes(100_001), (bytes(10_000) for _ in range(11))):
        reply = service.ask("POST", "/similar", body, JPEG)
        assert reply.status == 413 and "100,000" in one_line(reply)
    assert service.ask("POST", "/similar", bytes(100_000), JPEG).status == 422  # read whole; no picture


def test_an_endless_photo_is_not_read_to_its_end(service: Service) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 1 << 30:
            sent += 1 << 16
            yield bytes(1 << 16)

    assert service.ask("POST", "/similar", endless(), JPEG).status == 413
    assert sent < 64 << 20


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "text/plain", "application/json", ""])
def test_a_body_that_is_not_sent_as_a_picture_is_a_415(service: Service, kind: str) -> None:
    reply = service.ask("POST", "/similar", b"x", {"Content-Type": kind})
    assert reply.status == 415 and "image/jpeg" in one_line(reply)


def test_a_client_that_hangs_up_disturbs_nobody(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.sendall(b"POST /similar HTTP/1.0\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nx")
            time.sleep(0.2)
        time.sleep(0.2)
        assert service.get("/products/p1/similar").status == 200
    assert not caplog.records


def test_it_is_alive_at_once_and_ready_when_there_are_recommendations(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home) as service:
        assert service.get("/health").json() == {"status": "alive"}
        reply = service.get("/ready")
        assert reply.status == 503 and "no shop" in one_line(reply)
        assert not home.exists()
        store = Store(home)
        write(store, "products", [{"product_id": "p1", "row_digest": "1"}])
        reply = service.get("/ready")
        assert reply.status == 503 and "no recommendations" in one_line(reply)
        fill(home)
        assert service.get("/ready").json() == {"status": "ready"}
        assert service.get("/products/p1/similar").status == 200


def test_what_only_the_owner_can_mend_is_a_503_that_names_no_file(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lost = Configuration.model_validate({"backbone": {"weights": str(tmp_path / "lost.bin")}, "service": QUICK})
    bare = Store(tmp_path / "bare")
    write(bare, "products", [{"product_id": "p1", "row_digest": "1"}])
    write_features(bare, ["other"], np.ones((1, 1280), np.float32), np.ones((1, 768), np.float32))
    for home, configuration in [
        (store.home, lost),
        (bare.home, CONFIGURATION),
        (tmp_path / "none", CONFIGURATION),
    ]:
        caplog.clear()
        with serving(home, configuration) as service:
            reply = service.get("/products/p1/similar")
        assert reply.status == 503 and str(tmp_path) not in one_line(reply) and str(home) not in one_line(reply)
        assert str(tmp_path) in caplog.text or str(home) in caplog.text


def test_clients_at_the_same_time_get_the_same_answers(store: Store) -> None:
    paths = [f"/products/p{i}/similar?price_weight={1 + i % 2}" for i in range(8)]
    with serving(store.home) as service:
        one_by_one = [service.get(path).json() for path in paths]
    with serving(store.home) as service, ThreadPoolExecutor(4) as pool:
        assert [reply.json() for reply in pool.map(service.get, paths)] == one_by_one


def test_serving_leaves_the_home_as_it_was(service: Service, store: Store) -> None:
    before = contents(store.home)
    for path in ("/ready", "/products/p1/similar", "/products/nobody/similar", "/images/p1", "/openapi.json"):
        service.get(path)
    service.ask("POST", "/similar", b"not a picture", JPEG)
    assert contents(store.home) == before


def test_no_other_site_may_read_an_answer(service: Service) -> None:
    reply = service.get("/products/p1/similar", {"Origin": "https://elsewhere.example"})
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]
    preflight = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    assert service.ask("OPTIONS", "/similar", headers=preflight).status == 405


def test_the_description_for_programs_names_every_address_and_error(service: Service) -> None:
    paths = service.get("/openapi.json").json()["paths"]
    similar = paths["/products/{product_id}/similar"]["get"]
    told = "/health /ready /metrics /labels /products /products/{product_id} /products/{product_id}/similar /similar"
    assert set(paths) == {*told.split(), "/images/{product_id}"}
    assert {"200", "404", "422", "503"} <= set(similar["responses"])
    assert {p["name"]: p["schema"].get("default") for p in similar["parameters"]}["filter"] == 20
    assert {"200", "413", "415", "422"} <= set(paths["/similar"]["post"]["responses"])


def test_starting_it_loads_no_network() -> None:
    program = "import sys, recsys.service; sys.exit(bool({'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", program], check=True)
