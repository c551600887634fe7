"""The service as a whole: health, errors, hostile requests, the page's files and /openapi.json."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core.result import Ok

from recsys.core.configuration import Configuration
from recsys.service import create_service
from recsys.storage.store import Store
from tests.recsys.service.running_service import (
    CONFIGURATION,
    QUICK,
    Service,
    detail_of,
    fill,
    serving,
    write,
    write_features,
)

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


def files_of(home: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in home.rglob("*")}


def test_the_service_is_alive_at_once_and_ready_when_there_are_recommendations(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home) as service:
        assert service.get("/health").json() == {"status": "alive"}
        reply = service.get("/ready")
        assert reply.status == 503 and "no shop" in detail_of(reply)
        assert not home.exists()
        store = Store(home)
        write(store, "products", [{"product_id": "p1", "row_digest": "1"}])
        reply = service.get("/ready")
        assert reply.status == 503 and "no recommendations" in detail_of(reply)
        fill(home)
        assert service.get("/ready").json() == {"status": "ready"}
        assert service.get("/products/p1/similar").status == 200


def test_an_error_that_only_the_owner_can_fix_is_a_503_that_names_no_file(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    without_weights = Configuration.model_validate(
        {"backbone": {"weights": str(tmp_path / "lost.bin")}, "service": QUICK}
    )
    empty = Store(tmp_path / "empty")
    write(empty, "products", [{"product_id": "p1", "row_digest": "1"}])
    write_features(empty, ["other"], np.ones((1, 1280), np.float32), np.ones((1, 768), np.float32))
    for home, configuration in [
        (store.home, without_weights),
        (empty.home, CONFIGURATION),
        (tmp_path / "none", CONFIGURATION),
    ]:
        caplog.clear()
        with serving(home, configuration) as service:
            reply = service.get("/products/p1/similar")
        assert reply.status == 503 and str(tmp_path) not in detail_of(reply) and str(home) not in detail_of(reply)
        assert str(tmp_path) in caplog.text or str(home) in caplog.text


@pytest.mark.parametrize("product_id", HOSTILE_IDS)
def test_a_hostile_id_is_an_unknown_product(service: Service, product_id: str) -> None:
    escaped = quote(product_id, safe="")
    for path in (f"/products/{escaped}/similar", f"/images/{escaped}"):
        reply = service.get(path)
        assert reply.status == 404, path
        assert len(detail_of(reply)) < 300 and "X-Injected" not in reply.headers


def test_a_nul_at_the_end_of_an_id_is_refused_and_not_dropped(service: Service) -> None:
    for path in ("/products/p1%00/similar", "/images/p1%00"):
        reply = service.get(path)
        assert reply.status == 422 and "product_id" in detail_of(reply)


@pytest.mark.parametrize("path", ["/products/../../etc/passwd/similar", "/images/../../../../../etc/passwd", "/../x"])
def test_dots_in_a_path_are_a_404(service: Service, path: str) -> None:
    assert service.get(path).status == 404


@pytest.mark.slow
def test_each_of_1000_random_ids_gets_an_answer(service: Service) -> None:
    random = np.random.default_rng(0)
    for number in range(1_000):
        product_id = quote(random.bytes(int(random.integers(1, 40))), safe="")
        reply = service.get(f"/products/{product_id}{('', '/similar')[number % 2]}")
        assert reply.status in (404, 422) and detail_of(reply)
    assert service.get("/products/p1").status == 200


def test_serving_does_not_change_the_home(service: Service, store: Store) -> None:
    before = files_of(store.home)
    for path in ("/ready", "/products/p1/similar", "/products/missing/similar", "/images/p1", "/openapi.json"):
        service.get(path)
    service.post_photo(b"not a picture")
    assert files_of(store.home) == before


def test_the_page_and_its_files_come_from_this_service(service: Service) -> None:
    page = service.get("/")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html")
    for kind in ("css", "js"):
        assert f"/page/page.{kind}" in page.body.decode() and service.get(f"/page/page.{kind}").status == 200
    assert service.get("/page/../app.py").status == service.get("/page/%2e%2e/app.py").status == 404


def test_openapi_contains_every_path_and_error(service: Service) -> None:
    paths = service.get("/openapi.json").json()["paths"]
    similar = paths["/products/{product_id}/similar"]["get"]
    expected = (
        "/health /ready /metrics /labels /products /products/{product_id} /products/{product_id}/similar /similar"
    )
    assert set(paths) == {*expected.split(), "/images/{product_id}"}
    assert {"200", "404", "422", "503"} <= set(similar["responses"])
    assert {p["name"]: p["schema"].get("default") for p in similar["parameters"]}["filter"] == 20
    assert {"200", "413", "415", "422"} <= set(paths["/similar"]["post"]["responses"])


@pytest.mark.slow
def test_generated_requests_never_cause_an_internal_error(store: Store) -> None:
    description = create_service(store.home, CONFIGURATION).openapi()
    description["paths"].pop("/similar")  # see test_photos.py
    with serving(store.home) as service:
        schema = schemathesis.openapi.from_dict(description)
        schema.config.update(base_url=f"http://127.0.0.1:{service.port}")

        for operation in schema.get_all_operations():
            assert isinstance(operation, Ok)

            @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.ok().as_strategy())
            def send(case: schemathesis.Case) -> None:
                assert case.call().status_code < 500

            send()


@pytest.mark.slow
def test_starting_the_service_loads_no_network() -> None:
    program = "import sys, recsys.service; sys.exit(bool({'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", program], check=True)
