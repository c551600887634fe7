"""What the page and programs ask the service for, and what protects it: over a real server."""

from __future__ import annotations

import json
import logging
import re
import resource
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from recsys.core.configuration import Configuration
from recsys.ranking import recommendations
from recsys.ranking.single_query import recommend_product
from recsys.service import create_service
from recsys.service.rate_limit import RateLimiter
from recsys.storage.store import Store, lock
from tests.recsys.service.test_service import (
    CONFIGURATION,
    JPEG,
    ODD_ID,
    PRODUCTS,
    Service,
    agree,
    fill,
    one_line,
    serving,
)
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return fill(tmp_path_factory.mktemp("addresses") / "home")


@pytest.fixture(scope="module")
def service(store: Store) -> Iterator[Service]:
    with serving(store.home) as running:
        yield running


def test_products_are_listed_in_the_catalogues_order_page_by_page(service: Service) -> None:
    first, second = (service.get(f"/products?page={page}&size=25").json() for page in (1, 2))
    assert (first["total"], first["page"], first["size"], len(second["products"])) == (PRODUCTS, 1, 25, PRODUCTS - 25)
    ids = [product["product_id"] for product in (*first["products"], *second["products"])]
    assert ids == [*(f"p{number}" for number in range(PRODUCTS - 1)), ODD_ID]
    assert service.get("/products?page=99").json()["products"] == []


def test_words_labels_and_price_levels_narrow_the_list(service: Service) -> None:
    named = service.get("/products?" + urlencode({"q": "THING 1"})).json()["products"]
    assert [product["name"] for product in named] == ["Thing 1", *(f"Thing {number}" for number in range(10, 20))] + [
        name for name in (f"Thing {number}" for number in range(20, PRODUCTS)) if "1" in name
    ]
    watches = service.get("/products?label=Watches&size=200").json()
    assert watches["total"] == PRODUCTS // 2 and {each["label"] for each in watches["products"]} == {"Watches"}
    cheap = service.get("/products?price_level=1&size=200").json()["products"]
    assert cheap and {product["price_level"] for product in cheap} == {1.0}
    assert service.get("/products?q=nothing").json()["total"] == 0


def test_labels_tell_what_there_is_and_the_rule(service: Service) -> None:
    told = service.get("/labels").json()
    assert told["labels"] == [{"label": "Watches", "products": PRODUCTS // 2}]
    assert (told["unlabelled"], told["products"]) == (PRODUCTS - PRODUCTS // 2, PRODUCTS)
    rule = CONFIGURATION.recommend
    assert told["rule"] == {
        "top": rule.top,
        "filter": rule.filter,
        **{f"{k}_weight": v for k, v in rule.weights.items()},
    }


@pytest.mark.parametrize("product_id", ["p1", ODD_ID])
def test_a_product_is_told_with_its_place(service: Service, product_id: str) -> None:
    told = service.get(f"/products/{quote(product_id, safe='')}").json()
    assert told["product_id"] == product_id and told["category_path"] == ["Things"]
    assert service.get("/products/nobody").status == 404


def test_filters_keep_what_may_be_recommended(service: Service) -> None:
    every = service.get("/products/p0/similar?top=20").json()["recommendations"]
    level = every[0]["price_level"]
    kept = service.get(f"/products/p0/similar?top=20&price_level={level}").json()["recommendations"]
    assert kept and {item["price_level"] for item in kept} == {level}
    labelled = service.get("/products/p0/similar?top=20&label=Watches").json()["recommendations"]
    assert len(labelled) == 20 and {item["label"] for item in labelled} == {"Watches"}
    assert service.get("/products/p0/similar?label=Nothing").json()["recommendations"] == []


def test_every_recommendation_says_why(service: Service) -> None:
    for item in service.get("/products/p1/similar").json()["recommendations"]:
        assert item["why"].startswith("same kind, ")


def test_stored_recommendations_are_the_answer_while_they_hold(tmp_path: Path) -> None:
    store = fill(tmp_path / "home")
    recommendations.recommend_missing(store, CONFIGURATION, None)
    expected = json.loads(recommend_product(store, CONFIGURATION, "p1").to_json())
    other = CONFIGURATION.model_copy(update={"recommend": CONFIGURATION.recommend.model_copy(update={"top": 3})})
    with serving(store.home) as service:
        for path in ("/products/p1/similar", "/products/p1/similar", "/products/p1/similar?top=5"):
            agree(service.get(path).json(), expected)
    with serving(store.home, other) as service:
        agree(
            service.get("/products/p1/similar").json(), expected | {"recommendations": expected["recommendations"][:3]}
        )


def test_what_a_run_changed_is_taken_up_and_no_request_fails(tmp_path: Path) -> None:
    store = fill(tmp_path / "home")
    quick = Configuration.model_validate({"service": {"refresh_s": 0.05, "warm_up": False}})
    statuses: list[int] = []
    with serving(store.home, quick) as service:
        before = service.get("/products/p1/similar").json()
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                statuses.append(service.get(f"/products/p{len(statuses) % 30}/similar").status)

        asking = threading.Thread(target=ask)
        asking.start()
        rows = store.read("products", where="product_id = 'p1'").to_pylist()
        rows[0] |= {"name": "Renamed", "row_digest": "new"}
        with lock(store.home):
            store.write("products", store.read("products").from_pylist(rows, schema=store.read("products").schema))
            time.sleep(1)
            during = service.get("/products/p1/similar").json()
        wait_for(lambda: service.get("/products/p1/similar").json()["query"]["name"] == "Renamed", pause_s=0.05)
        over.set()
        asking.join()
    assert before["query"]["name"] == during["query"]["name"] == "Thing 1", "a run is not taken up before its end"
    assert set(statuses) == {200}


def test_each_answer_protects_a_browser_and_has_an_id_of_ours(service: Service) -> None:
    replies = [service.get(path, {"X-Request-Id": "mine"}) for path in ("/", "/products/p1/similar", "/nowhere")]
    for reply in replies:
        assert re.fullmatch("[0-9a-f]{32}", reply.headers["x-request-id"])
        assert reply.headers["x-content-type-options"] == "nosniff" and reply.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert "script-src 'self'" in replies[0].headers["content-security-policy"]
    assert len({reply.headers["x-request-id"] for reply in replies}) == 3


def test_the_page_and_what_it_needs_come_from_here(service: Service) -> None:
    page = service.get("/")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html")
    for kind in ("css", "js"):
        assert f"/page/page.{kind}" in page.body.decode() and service.get(f"/page/page.{kind}").status == 200
    assert service.get("/page/../app.py").status == service.get("/page/%2e%2e/app.py").status == 404


def test_each_request_is_a_line_of_json(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    def logged() -> list[dict[str, Any]]:
        told = [json.loads(record.message) for record in caplog.records if record.name == "recsys.requests"]
        return [line for line in told if line["id"] == reply.headers["x-request-id"]]

    with caplog.at_level(logging.INFO, "recsys.requests"):
        reply = service.get("/products/p1")
        (line,) = wait_for(logged, 10)  # it is written when the reply has gone
    assert line["status"] == 200 and line["ms"] > 0
    assert line["route"] == "/products/{product_id:path}"


def test_metrics_count_by_route_and_never_by_what_a_client_made_up(service: Service) -> None:
    for number in range(5):
        service.get(f"/products/made-up-{number}")
        service.get(f"/nowhere/{number}")
    told = service.get("/metrics").body.decode()
    assert 'recsys_requests_total{method="GET",route="/products/{product_id:path}",status="404"}' in told
    assert "made-up" not in told and "/nowhere" not in told
    assert f"recsys_products {float(PRODUCTS)}" in told


def test_without_the_key_there_is_no_answer_but_for_probes_and_the_page(store: Store) -> None:
    locked = CONFIGURATION.model_copy(update={"service": Configuration.model_validate(
        {"service": {"api_key": "s3cret", "warm_up": False}}).service})  # fmt: skip
    with serving(store.home, locked) as service:
        assert {service.get(path).status for path in ("/products", "/products/p1/similar", "/metrics")} == {401}
        assert {service.get("/products", {"X-API-Key": key}).status for key in ("", "s3cre", "s3cret ")} <= {401, 200}
        assert service.get("/products", {"X-API-Key": "wrong"}).status == 401
        assert service.get("/products", {"X-API-Key": "s3cret"}).status == 200
        assert {service.get(path).status for path in ("/", "/page/page.js", "/health", "/ready")} <= {200, 503}
    assert "s3cret" not in repr(locked)


def test_who_asks_too_fast_is_told_so(store: Store) -> None:
    slow = Configuration.model_validate({"service": {"requests_per_second": 2, "warm_up": False}})
    with serving(store.home, slow) as service:
        replies = [service.get("/health") for _ in range(12)]
    refused = [reply for reply in replies if reply.status == 429]
    assert refused and "retry-after" in refused[0].headers and "too many" in one_line(refused[0])


def test_a_bucket_fills_again_and_forgets_old_clients() -> None:
    rate = RateLimiter(2)
    assert [rate.allow("a", 0) for _ in range(5)] == [True] * 4 + [False]
    assert rate.allow("b", 0) and rate.allow("a", 0.5) and not rate.allow("a", 0.5)
    for number in range(20_000):
        rate.allow(str(number), 1)
    assert len(rate) <= 10_000


def test_a_named_site_may_ask_and_another_may_not(store: Store) -> None:
    named = Configuration.model_validate({"service": {"allow_origins": ["https://shop.example"], "warm_up": False}})
    with serving(store.home, named) as service:
        reply = service.get("/products", {"Origin": "https://shop.example"})
        assert reply.headers["access-control-allow-origin"] == "https://shop.example"
        assert "access-control-allow-origin" not in service.get("/products", {"Origin": "https://evil.example"}).headers


def test_a_photo_that_dawdles_is_cut_off_and_the_service_goes_on(store: Store) -> None:
    hasty = Configuration.model_validate({"service": {"photo_timeout_s": 0.5, "warm_up": False}})
    with serving(store.home, hasty) as service, socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(b"POST /similar HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nx")
        began = time.monotonic()
        assert b" 408 " in client.recv(4096) and time.monotonic() - began < 10
        assert service.get("/products").status == 200


def test_a_connection_that_sends_no_request_is_closed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys.service import protocol

    monkeypatch.setattr(protocol, "HEADERS_TIMEOUT_S", 0.3)
    with serving(store.home) as service, socket.create_connection(("127.0.0.1", service.port)) as client:
        client.settimeout(10)
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow:")
        began = time.monotonic()
        assert client.recv(4096) == b"" and time.monotonic() - began < 5
        assert service.get("/health").status == 200


def test_a_photo_takes_its_price_level_from_its_label(service: Service, store: Store) -> None:
    jpeg = store.read("images", ["jpeg"], "product_id = 'p1'")["jpeg"][0].as_py()
    known = service.ask("POST", "/similar?label=Watches&price=1000000", jpeg, JPEG).json()
    assert known["query"]["price_level"] == 4.0 and known["query"]["label"] == "Watches"
    assert {item["label"] for item in known["recommendations"]} == {"Watches"}
    assert service.ask("POST", "/similar?price=5", jpeg, JPEG).json()["query"]["price_level"] == 2.5


def test_whatever_a_program_sends_is_never_a_defect(store: Store) -> None:
    description = create_service(store.home, CONFIGURATION).openapi()
    description["paths"].pop("/similar")  # photos have tests of their own
    with serving(store.home) as service:
        schema = schemathesis.openapi.from_dict(description)
        schema.config.update(base_url=f"http://127.0.0.1:{service.port}")

        for operation in schema.get_all_operations():

            @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.ok().as_strategy())
            def ask(case: schemathesis.Case) -> None:
                assert case.call().status_code < 500

            ask()


def test_rounding_keeps_scores_between_nought_and_one(service: Service) -> None:
    for number in range(0, PRODUCTS - 1, 7):
        for item in service.get(f"/products/p{number}/similar").json()["recommendations"]:
            assert np.all(np.array([item["visual"], item["colour"], item["price_score"]]) >= 0)
            assert max(item["visual"], item["colour"], item["price_score"]) <= 1


def png(width: int, height: int, data: bytes) -> bytes:
    """A PNG of one channel whose header says its size and whose data is whatever."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "body",
    [
        png(100_000, 100_000, b""),  # ten gigapixels
        png(20_000, 20_000, zlib.compress(bytes(1 << 20), 9) * 4),  # packed tightly
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"GIF89a" + b"\xff" * 500,
        b"\xff\xd8\xff\xe1" + b"\xff\xff" * 200,
        b"%PDF-1.7\n" + bytes(100),
        b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(100),
        bytes(90_000),
    ],
)
def test_a_hostile_photo_is_a_422_and_the_service_stays_up(service: Service, body: bytes) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reply = service.ask("POST", "/similar", body, JPEG)
    assert reply.status == 422 and len(one_line(reply)) < 300
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 200 * 1024  # kB
    assert service.get("/health").status == 200


def test_a_hundred_megabytes_are_refused_long_before_they_are_read(service: Service) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        while sent < 100 << 20:
            sent += 1 << 16
            yield bytes(1 << 16)

    assert service.ask("POST", "/similar", body(), JPEG).status == 413 and sent < 64 << 20


def test_a_thousand_bad_ids_are_a_thousand_answers(service: Service) -> None:
    random = np.random.default_rng(0)
    for number in range(1_000):
        product_id = quote(random.bytes(int(random.integers(1, 40))), safe="")
        reply = service.get(f"/products/{product_id}{('', '/similar')[number % 2]}")
        assert reply.status in (404, 422) and one_line(reply)
    assert service.get("/products/p1").status == 200
