"""The image host: what it serves, and each fault as it is named, over a real socket."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Iterator

import pytest
import requests
from PIL import Image

from recsys.core.errors import ServerError
from sample_shop import SampleHost, SampleShop
from sample_shop.faults import FLAKY, PERMANENT

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def host(shop: SampleShop) -> Iterator[SampleHost]:
    with SampleHost(shop.folder, hang_s=0.6) as running:
        yield running


def named(shop: SampleShop, fault: str | None) -> str:
    """Return the name of an image that has a fault, or of one that has none."""
    if fault is None:
        return next(p.name for p in sorted((shop.folder / "images").iterdir()) if p.name not in shop.faults)
    return next(name for name, planned in shop.faults.items() if planned == fault)


def raw(host: SampleHost, request: bytes) -> bytes:
    """Send bytes as they are and return all that comes back until the host closes."""
    with socket.create_connection(("127.0.0.1", host.port), timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        while block := connection.recv(65536):
            answer += block
    return answer


def test_an_intact_image_is_served_unchanged(shop: SampleShop, host: SampleHost) -> None:
    name = named(shop, None)
    before = host.stats().get(name, 0)
    answer = requests.get(f"{host.url}/images/{name}", timeout=5)
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("image/")
    assert answer.content == (shop.folder / "images" / name).read_bytes()
    assert host.stats()[name] == before + 1


@pytest.mark.parametrize("validator", [("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")])
def test_an_unchanged_image_is_answered_with_304_and_no_body(
    shop: SampleShop, host: SampleHost, validator: tuple[str, str]
) -> None:
    url = f"{host.url}/images/{named(shop, None)}"
    sent, given = validator
    answer = requests.get(url, headers={sent: requests.get(url, timeout=5).headers[given]}, timeout=5)
    assert (answer.status_code, answer.content) == (304, b"")
    assert requests.get(url, headers={"If-None-Match": '"another"'}, timeout=5).status_code == 200


def test_one_connection_serves_many_requests(shop: SampleShop, host: SampleHost) -> None:
    name = named(shop, None)
    one = f"GET /images/{name} HTTP/1.1\r\nHost: shop\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", host.port), timeout=5) as connection:
        stream = connection.makefile("rb")
        for _ in range(3):
            connection.sendall(one)
            assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
            length = 0
            while (line := stream.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            assert len(stream.read(length)) == length > 0


@pytest.mark.parametrize("status", [404, 410, 403, 500])
def test_a_status_fault_answers_with_that_status_every_time(shop: SampleShop, host: SampleHost, status: int) -> None:
    url = f"{host.url}/images/{named(shop, str(status))}"
    assert [requests.get(url, timeout=5).status_code for _ in range(3)] == [status] * 3


def test_not_an_image_is_a_page_with_status_200(shop: SampleShop, host: SampleHost) -> None:
    answer = requests.get(f"{host.url}/images/{named(shop, 'not_an_image')}", timeout=5)
    assert answer.status_code == 200 and "text/html" in answer.headers["Content-Type"]
    with pytest.raises(OSError):
        Image.open(io.BytesIO(answer.content))


def test_a_truncated_image_ends_before_its_promised_length(shop: SampleShop, host: SampleHost) -> None:
    name = named(shop, "truncated")
    answer = raw(host, f"GET /images/{name} HTTP/1.1\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    whole = (shop.folder / "images" / name).read_bytes()
    assert f"Content-Length: {len(whole)}".encode() in head
    assert 0 < len(body) < len(whole) and whole.startswith(body)


def test_an_empty_image_has_no_byte(shop: SampleShop, host: SampleHost) -> None:
    answer = requests.get(f"{host.url}/images/{named(shop, 'empty')}", timeout=5)
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_hanging_image_sends_nothing_and_then_closes(shop: SampleShop, host: SampleHost) -> None:
    begun = time.monotonic()
    assert raw(host, f"GET /images/{named(shop, 'hang')} HTTP/1.1\r\n\r\n".encode()) == b""
    assert 0.5 < time.monotonic() - begun < 3


def test_a_reset_image_drops_the_connection(shop: SampleShop, host: SampleHost) -> None:
    with pytest.raises(ConnectionResetError):
        raw(host, f"GET /images/{named(shop, 'reset')} HTTP/1.1\r\n\r\n".encode())


def test_a_redirect_loop_never_ends(shop: SampleShop, host: SampleHost) -> None:
    with pytest.raises(requests.TooManyRedirects):
        requests.get(f"{host.url}/images/{named(shop, 'redirect_loop')}", timeout=5)


@pytest.mark.parametrize("fault", FLAKY)
def test_a_flaky_image_fails_twice_and_then_comes(shop: SampleShop, host: SampleHost, fault: str) -> None:
    url, seen = f"{host.url}/images/{named(shop, fault)}", []
    for _ in range(4):
        try:
            answer = requests.get(url, timeout=5)
            seen.append(str(answer.status_code))
            if answer.status_code == 429:
                assert answer.headers["Retry-After"] == "1"
        except requests.ConnectionError:
            seen.append("reset")
    assert seen == [fault.removesuffix("_then_ok")] * 2 + ["200"] * 2


def test_every_kind_of_fault_is_in_a_shop_of_this_size(shop: SampleShop) -> None:
    assert set(shop.faults.values()) == {*PERMANENT, *FLAKY}


@pytest.mark.parametrize(
    "path",
    [
        "/images/../shop.json",
        "/images/%2e%2e/shop.json",
        "/images//etc/passwd",
        "/images/",
        "/shop.json",
        "/images/none.jpg",
    ],
)
def test_only_names_of_the_plan_are_served(host: SampleHost, path: str) -> None:
    answer = raw(host, f"GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404 ")


def test_the_catalogue_is_served_with_addresses_of_this_host(shop: SampleShop, host: SampleHost) -> None:
    answer = requests.get(f"{host.url}/catalogue.csv", timeout=5)
    assert host.url.encode() in answer.content and shop.base_url.encode() not in answer.content
    assert answer.content.replace(host.url.encode(), shop.base_url.encode()) == shop.catalogue.read_bytes()


def test_faults_stats_and_a_page_are_there(shop: SampleShop, host: SampleHost) -> None:
    assert requests.get(f"{host.url}/faults.json", timeout=5).json() == shop.faults
    assert requests.get(f"{host.url}/stats.json", timeout=5).json() == host.stats()
    page = requests.get(host.url, timeout=5)
    assert "text/html" in page.headers["Content-Type"] and "140 products" in page.text


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    ],
)
def test_a_hostile_request_is_refused_and_the_host_keeps_answering(
    host: SampleHost, request_bytes: bytes, status: int
) -> None:
    try:
        assert raw(host, request_bytes).startswith(f"HTTP/1.1 {status} ".encode())
    except ConnectionResetError:
        assert status == 431  # the rest of the header was never read
    assert requests.get(host.url, timeout=5).status_code == 200


def test_head_sends_the_length_and_no_body(shop: SampleShop, host: SampleHost) -> None:
    name = named(shop, None)
    answer = raw(host, f"HEAD /images/{name} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
    assert f"Content-Length: {(shop.folder / 'images' / name).stat().st_size}".encode() in answer
    assert answer.endswith(b"\r\n\r\n")


def test_a_taken_port_is_one_clear_sentence(shop: SampleShop, host: SampleHost) -> None:
    with (
        pytest.raises(ServerError, match=f"port {host.port} of 127.0.0.1 is taken") as error,
        SampleHost(shop.folder, port=host.port),
    ):
        pass
    assert "\n" not in str(error.value)


def test_the_host_closes_at_once_though_a_client_hangs(shop: SampleShop) -> None:
    with SampleHost(shop.folder, hang_s=60) as running:
        waiting = socket.create_connection(("127.0.0.1", running.port), timeout=5)
        waiting.sendall(f"GET /images/{named(shop, 'hang')} HTTP/1.1\r\n\r\n".encode())
        idle = socket.create_connection(("127.0.0.1", running.port), timeout=5)
        time.sleep(0.1)
        begun = time.monotonic()
    assert time.monotonic() - begun < 1
    for connection in (waiting, idle):
        connection.close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", running.port), timeout=1)


def test_latency_delays_every_answer(shop: SampleShop) -> None:
    with SampleHost(shop.folder, latency_ms=150) as running:
        begun = time.monotonic()
        requests.get(f"{running.url}/faults.json", timeout=5)
        assert time.monotonic() - begun >= 0.15


def test_stats_count_each_image_by_itself(shop: SampleShop) -> None:
    name = named(shop, None)
    with SampleHost(shop.folder) as running:
        for _ in range(2):
            requests.get(f"{running.url}/images/{name}", timeout=5)
        requests.get(f"{running.url}/images/unknown.jpg", timeout=5)
        assert running.stats() == json.loads(requests.get(f"{running.url}/stats.json", timeout=5).content) == {name: 2}
