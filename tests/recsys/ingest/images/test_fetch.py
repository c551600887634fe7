"""Fetching from a host with every fault: each URL ends with the right cause, after the promised number of requests."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from recsys.core.configuration import Images
from recsys.ingest.images import downloader, hosts, pool
from recsys.ingest.images.fetch import fetch_images
from recsys.ingest.images.item import Item, Outcome
from recsys.vision.square import SquaredImage, decode_squared, square_photo

pytestmark = pytest.mark.server


@pytest.fixture
def settings(configuration) -> Images:
    return configuration.images


def fetch_one(settings: Images, *urls: str, **known: object) -> Outcome:
    return fetch_images([Item("p", urls, **known)], settings)[0]


def test_an_image_is_squared_and_has_the_values_of_the_ledger(host, settings):
    outcome = fetch_one(settings, host.url("ok"))
    assert (outcome.status, outcome.cause, outcome.http_code, outcome.attempts) == ("ok", None, 200, 0)
    assert outcome.url == host.url("ok")
    image = outcome.image
    assert (image.width, image.height, image.format, image.size) == (600, 400, "JPEG", len(host.jpeg))
    assert image.digest == hashlib.sha256(host.jpeg).hexdigest()[:32]
    squared = decode_squared(image.jpeg)
    expected = square_photo(host.jpeg, settings)
    assert squared.shape == (256, 256, 3)
    assert np.abs(squared.astype(int) - expected).mean() < 3


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Answer every request with the same bytes; yields the port and the requests."""
    received: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            received.append(self.request.recv(65_536))
            self.request.sendall(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1], received
        server.shutdown()


PERMANENT = {
    "404": "http_404",
    "410": "http_410",
    "403": "http_403",
    "418": "http_418",
    "304": "http_304",
    "truncated": "truncated",
    "chunks_truncated": "truncated",
    "half_a_picture": "truncated",
    "gzip_truncated": "truncated",
    "empty": "empty",
    "html": "not_an_image",
    "svg": "unsupported_format",
    "pixel": "blank",
    "white": "blank",
    "huge": "too_large",
    "endless": "too_large",
    "gzip_bomb": "too_large",
    "bomb": "too_many_pixels",
    "redirect_loop": "redirect_loop",
    "redirect_to_file": "bad_url",
    "not_http": "bad_answer",
    "long_header": "bad_answer",
}


@pytest.mark.parametrize(("fault", "cause"), PERMANENT.items())
def test_a_permanent_fault_is_broken_and_never_retried(host, settings, fault, cause):
    began = time.monotonic()
    outcome = fetch_one(settings, host.url(fault))
    assert (outcome.status, outcome.cause, outcome.attempts) == ("broken", cause, 0)
    assert host.request_count(fault) == 1
    assert time.monotonic() - began < settings.timeout_s
    if cause.startswith("http_"):
        assert outcome.http_code == int(fault)


TRANSIENT = {
    "500": "http_500",
    "502": "http_502",
    "408": "http_408",
    "425": "http_425",
    "reset": "reset",
    "closed": "reset",
    "reset_in_body": "reset",
    "hang": "timeout",
    "drip": "timeout",
}


@pytest.mark.parametrize(("fault", "cause"), TRANSIENT.items())
def test_a_failure_that_may_pass_is_retried_until_its_budget_is_spent(host, settings, fault, cause):
    if cause == "timeout":
        settings = settings.model_copy(update={"timeout_s": 0.4})
    began = time.monotonic()
    outcome = fetch_one(settings, host.url(fault))
    assert (outcome.status, outcome.cause, outcome.attempts) == ("broken", cause, 3)
    assert host.request_count(fault) == 3
    assert time.monotonic() - began < 3 * settings.timeout_s + 2


@pytest.mark.parametrize("fault", ["503_then_ok", "reset_then_ok"])
def test_a_failure_that_passes_ends_ok(host, settings, fault):
    outcome = fetch_one(settings, host.url(fault))
    assert (outcome.status, outcome.cause, outcome.attempts) == ("ok", None, 2)
    assert host.request_count(fault) == 3


def test_attempts_of_earlier_runs_count_against_the_budget(host, settings):
    outcome = fetch_one(settings, host.url("500"), attempts=2)
    assert (outcome.status, outcome.attempts, host.request_count("500")) == ("broken", 3, 1)


def test_retry_after_is_obeyed(host, settings):
    assert fetch_one(settings, host.url("429_then_ok")).status == "ok"
    first, second, third = host.times["/429_then_ok/0"]
    assert second - first >= 1 and third - second >= 1


def test_retry_after_is_capped(host, settings):
    settings = settings.model_copy(update={"retry_after_max_s": 0.1})
    began = time.monotonic()
    assert fetch_one(settings, host.url("429_for_an_hour_then_ok")).status == "ok"
    assert time.monotonic() - began < 2


def test_the_wait_between_attempts_doubles(host, settings, monkeypatch):
    monkeypatch.setattr(downloader.random, "uniform", lambda low, high: 1.0)
    settings = settings.model_copy(update={"backoff_s": 0.2})
    fetch_one(settings, host.url("500"))
    first, second, third = host.times["/500/0"]
    assert 0.2 <= second - first < 0.4 <= third - second


def test_gzip_is_decoded(host, settings):
    outcome = fetch_one(settings, host.url("gzip"))
    assert (outcome.status, outcome.image.size) == ("ok", len(host.jpeg))


def test_a_redirect_is_followed_and_the_catalogues_url_kept(host, settings):
    outcome = fetch_one(settings, host.url("redirect"))
    assert (outcome.status, outcome.url) == ("ok", host.url("redirect"))
    assert host.request_count("ok") == 1


def test_redirects_are_followed_up_to_the_limit(host, settings):
    outcome = fetch_one(settings, host.url("redirect_on"))
    assert (outcome.status, outcome.cause, outcome.http_code) == ("broken", "redirect_loop", 302)
    assert sum(host.requests.values()) == settings.max_redirects + 1


@pytest.mark.parametrize(
    "url",
    ["", "Not available", "ftp://127.0.0.1/a.jpg", "file:///etc/passwd", "//127.0.0.1/a.jpg", "http://", "http://[::1/a",
     "http://127.0.0.1:99999/a.jpg", f"http://{'a' * 70}.example/a.jpg"],
)  # fmt: skip
def test_an_incomplete_address_is_a_bad_url(settings, url):
    outcome = fetch_one(settings, url)
    assert (outcome.status, outcome.cause, outcome.url) == ("broken", "bad_url", url)


def test_a_product_without_urls_is_broken(settings):
    assert fetch_one(settings).cause == "no_url"


def test_a_url_with_spaces_around_and_within_is_fetched(host, settings):
    assert fetch_one(settings, f" {host.url('ok', 'a b')} ").status == "ok"
    assert host.request_count("ok", "a%20b") == 1


def test_https_without_a_certificate_is_broken_and_never_retried(settings):
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (port, received):
        outcome = fetch_one(settings, f"https://127.0.0.1:{port}/a.jpg")
    assert (outcome.status, outcome.cause, len(received)) == ("broken", "tls", 1)


def test_an_unknown_host_is_broken_when_its_budget_is_spent(settings, monkeypatch):
    lookups = []

    def fail(name: str, *_: object, **__: object) -> None:
        lookups.append(name)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    outcome = fetch_one(settings, "http://no-such-shop.example/a.jpg")
    assert (outcome.status, outcome.cause, outcome.attempts) == ("broken", "dns", 3)
    assert lookups == ["no-such-shop.example"] * 3


def test_the_next_url_is_tried_when_one_is_broken(host, settings):
    outcome = fetch_one(settings, host.url("404"), host.url("html"), host.url("ok"), host.url("ok", 2))
    assert (outcome.status, outcome.url) == ("ok", host.url("ok"))
    assert host.request_count("ok", 2) == 0


def test_with_every_url_broken_the_last_cause_is_recorded(host, settings):
    outcome = fetch_one(settings, host.url("404"), host.url("html"))
    assert (outcome.status, outcome.cause, outcome.url) == ("broken", "not_an_image", host.url("html"))


def test_a_host_that_is_down_spends_no_budget_and_soon_gets_no_requests(host, settings, unused_port, monkeypatch):
    refusals = []
    refused = hosts.Host.refused

    def counting(self: hosts.Host) -> None:
        refusals.append(self)
        refused(self)

    monkeypatch.setattr(hosts.Host, "refused", counting)
    settings = settings.model_copy(update={"concurrency_per_host": 4})
    items = [Item(str(n), (f"http://127.0.0.1:{unused_port}/{n}.jpg",), attempts=n % 2) for n in range(63)]
    outcomes = fetch_images([*items, Item("up", (host.url("ok"),))], settings)
    assert {(o.status, o.cause) for o in outcomes[:-1]} == {("pending", "host_down")}
    assert [o.attempts for o in outcomes[:-1]] == [n % 2 for n in range(63)]
    assert outcomes[-1].status == "ok"
    assert hosts.DOWN_AFTER <= len(refusals) < hosts.DOWN_AFTER + 4


def test_a_host_that_was_down_and_still_is_leaves_even_a_single_item_pending(settings, unused_port):
    url = f"http://127.0.0.1:{unused_port}/a.jpg"
    outcome = fetch_one(settings, url, host_was_down=True)
    assert (outcome.status, outcome.cause, outcome.attempts) == ("pending", "host_down", 0)


def test_a_single_url_that_refuses_is_broken_when_its_budget_is_spent(settings, unused_port):
    outcome = fetch_one(settings, f"http://127.0.0.1:{unused_port}/a.jpg")
    assert (outcome.status, outcome.cause, outcome.attempts) == ("broken", "refused", 3)


def test_all_items_of_a_host_that_is_down_stay_pending(settings, unused_port):
    """Four items make twelve attempts: the first to spend its budget does so before the host counts as down."""
    items = [Item(str(n), (f"http://127.0.0.1:{unused_port}/{n}.jpg",)) for n in range(4)]
    assert {outcome.status for outcome in fetch_images(items, settings)} == {"pending"}


def test_another_url_rescues_a_product_of_a_host_that_is_down(host, settings, unused_port):
    down = f"http://127.0.0.1:{unused_port}/"
    items = [Item(str(n), (f"{down}{n}.jpg", host.url("ok" if n % 2 else "404", n))) for n in range(20)]
    outcomes = fetch_images(items, settings)
    assert [o.status for o in outcomes] == ["pending", "ok"] * 10
    assert outcomes[0].url == f"{down}0.jpg"


def test_connections_are_kept_alive_and_limited_per_host(host, settings):
    settings = settings.model_copy(update={"concurrency_per_host": 3, "processes": 1})
    items = [Item(str(n), (host.url("slow", n),)) for n in range(hosts.KNOWN_AFTER)]  # no patience is known yet
    outcomes = fetch_images(items, settings)
    assert {o.status for o in outcomes} == {"ok"}
    assert host.most_under_way == 3
    assert host.connections <= 4


def test_requests_under_way_are_limited_over_all_hosts(host, settings):
    settings = settings.model_copy(update={"connections": 2, "processes": 1})
    fetch_images([Item(str(n), (host.url("slow", n),)) for n in range(10)], settings)
    assert host.most_under_way == 2


def test_outcomes_have_the_order_of_the_items_and_progress_comes_once_per_item(host, settings):
    faults = ["ok", "404", "503_then_ok", "ok", "empty"]
    progress: list[str] = []
    outcomes = fetch_images([Item(str(n), (host.url(f, n),)) for n, f in enumerate(faults)], settings, progress.append)
    assert [o.product_id for o in outcomes] == ["0", "1", "2", "3", "4"]
    assert [o.status for o in outcomes] == ["ok", "broken", "ok", "ok", "broken"]
    assert sorted(progress) == sorted(o.status for o in outcomes)


def test_decoding_does_not_hold_up_the_network(host, settings, monkeypatch):
    """Two decoders that take long: the other requests are answered meanwhile."""
    square_image = pool.square_image

    def square_slowly(data: bytes, settings: Images) -> SquaredImage:
        time.sleep(0.5)
        return square_image(data, settings)

    monkeypatch.setattr(pool, "square_image", square_slowly)
    outcomes = fetch_images([Item(str(n), (host.url("ok", n),)) for n in range(6)], settings)
    assert {o.status for o in outcomes} == {"ok"}
    requested_at = [times[0] for times in host.times.values()]
    assert max(requested_at) - min(requested_at) < 0.45


def test_a_full_queue_holds_the_next_picture_back_and_loses_none(host, settings, monkeypatch):
    monkeypatch.setattr(pool, "QUEUE_SIZE", 1)
    outcomes = fetch_images([Item(str(n), (host.url("ok", n),)) for n in range(12)], settings)
    assert [o.status for o in outcomes] == ["ok"] * 12


def test_a_cancelled_picture_makes_room_for_the_next(host, settings, monkeypatch):
    monkeypatch.setattr(pool, "QUEUE_SIZE", 1)

    async def wait() -> SquaredImage:
        squaring = pool.SquaringPool(settings)  # not entered yet: its queue only fills
        await squaring.put(host.jpeg)
        first, second = (asyncio.create_task(squaring.put(host.jpeg)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        async with squaring, asyncio.timeout(5):
            return await (await second)

    assert asyncio.run(wait()).width == 600


def test_it_works_where_an_event_loop_already_runs(host, settings):
    async def notebook() -> Outcome:
        return fetch_one(settings, host.url("ok"))

    assert asyncio.run(notebook()).status == "ok"


def test_the_user_agent_is_the_configured_one(settings):
    with answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as (port, received):
        fetch_one(settings, f"http://127.0.0.1:{port}/a.jpg")
    assert f"User-Agent: {settings.user_agent}".encode() in received[0]
