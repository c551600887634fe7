"""The guard: API key, rate limit, headers, request log and metrics, over a real server."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest

from recsys.service.guard import MAX_CLIENTS, RateLimiter
from recsys.storage.store import Store
from tests.recsys.service.running_service import PRODUCTS, Service, detail_of, serving, with_settings
from tests.waiting import wait_for


def test_every_response_has_security_headers_and_its_own_request_id(service: Service) -> None:
    replies = [service.get(path, {"X-Request-Id": "mine"}) for path in ("/", "/products/p1/similar", "/nowhere")]
    for reply in replies:
        assert re.fullmatch("[0-9a-f]{32}", reply.headers["x-request-id"])
        assert reply.headers["x-content-type-options"] == "nosniff" and reply.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert "script-src 'self'" in replies[0].headers["content-security-policy"]
    assert len({reply.headers["x-request-id"] for reply in replies}) == 3


def test_other_sites_cannot_read_a_response(service: Service) -> None:
    reply = service.get("/products/p1/similar", {"Origin": "https://elsewhere.example"})
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]
    preflight = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    assert service.request("OPTIONS", "/similar", headers=preflight).status == 405


def test_only_an_allowed_site_can_read_a_response(store: Store) -> None:
    with serving(store.home, with_settings(allow_origins=["https://shop.example"])) as service:
        reply = service.get("/products", {"Origin": "https://shop.example"})
        assert reply.headers["access-control-allow-origin"] == "https://shop.example"
        assert "access-control-allow-origin" not in service.get("/products", {"Origin": "https://evil.example"}).headers


def test_all_but_probes_and_the_page_need_the_key(store: Store) -> None:
    locked = with_settings(api_key="s3cret")
    with serving(store.home, locked) as service:
        assert {service.get(path).status for path in ("/products", "/products/p1/similar", "/metrics")} == {401}
        assert {service.get("/products", {"X-API-Key": key}).status for key in ("", "s3cre", "wrong")} == {401}
        assert service.get("/products", {"X-API-Key": "s3cret"}).status == 200
        assert {service.get(path).status for path in ("/", "/page/page.js", "/health", "/ready")} <= {200, 503}
    assert "s3cret" not in repr(locked)


def test_a_page_of_an_allowed_site_can_send_the_key(store: Store) -> None:
    origin = {"Origin": "https://shop.example"}
    preflight = {**origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-api-key"}
    with serving(store.home, with_settings(api_key="s3cret", allow_origins=["https://shop.example"])) as service:
        reply = service.request("OPTIONS", "/products", headers=preflight)
        assert reply.status == 200 and "X-API-Key" in reply.headers["access-control-allow-headers"]
        assert service.get("/products", {**origin, "X-API-Key": "s3cret"}).status == 200
        assert service.get("/products", origin).status == 401
        assert service.request("OPTIONS", "/products").status == 405


def test_too_many_requests_get_a_429(store: Store) -> None:
    with serving(store.home, with_settings(requests_per_second=2)) as service:
        replies = [service.get("/health") for _ in range(12)]
    refused = [reply for reply in replies if reply.status == 429]
    assert refused and "retry-after" in refused[0].headers and "too many" in detail_of(refused[0])


def test_a_bucket_refills_and_old_clients_are_forgotten() -> None:
    limiter = RateLimiter(2)
    assert [limiter.allow("a", 0) for _ in range(5)] == [True] * 4 + [False]
    assert limiter.allow("b", 0) and limiter.allow("a", 0.5) and not limiter.allow("a", 0.5)
    for number in range(20_000):
        limiter.allow(str(number), 1)
    assert len(limiter) <= MAX_CLIENTS == 10_000


def test_each_request_is_logged_as_one_line_of_json(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    def logged() -> list[dict[str, Any]]:
        lines = [json.loads(record.message) for record in caplog.records if record.name == "recsys.requests"]
        return [line for line in lines if line["id"] == reply.headers["x-request-id"]]

    with caplog.at_level(logging.INFO, "recsys.requests"):
        reply = service.get("/products/p1")
        (line,) = wait_for(logged, 10)  # the line is written after the reply
    assert line["status"] == 200 and line["ms"] > 0
    assert line["route"] == "/products/{product_id:path}"


def test_metrics_count_by_route_and_never_by_path(service: Service) -> None:
    for number in range(5):
        service.get(f"/products/made-up-{number}")
        service.get(f"/nowhere/{number}")
    metrics = service.get("/metrics").body.decode()
    assert 'recsys_requests_total{method="GET",route="/products/{product_id:path}",status="404"}' in metrics
    assert "made-up" not in metrics and "/nowhere" not in metrics
    assert f"recsys_products {float(PRODUCTS)}" in metrics
