"""A marketplace on the loopback interface with many kinds of failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from recsys.core.configuration import Scraping
from recsys.core.errors import FetchError
from recsys.ingest.scraping.marketplace import search
from tests.recsys.ingest.scraping.layout import EMPTY, card, page, product

Answer = Callable[[BaseHTTPRequestHandler], None]


class Marketplace:
    """Answers /s with `pages` and /robots.txt with `robots`; the last page is repeated."""

    url: str
    """Address of its server."""

    def __init__(self) -> None:
        self.pages: list[str | Answer] = [EMPTY]
        self.robots: str | Answer = status(404)
        self.paths: list[str] = []
        self.agents: set[str] = set()
        self.hosts: set[str] = set()
        self.connections = 0
        self.released = threading.Event()

    @property
    def settings(self) -> Scraping:
        return Scraping(
            url=f"{self.url}/s?k={{keyword}}&page={{page}}",
            timeout_s=0.5,
            retries=1,
            backoff_s=0,
            delay_s=0,
            max_bytes=1 << 18,
        )


def status(code: int, body: str = "", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body.encode())))
        handler.end_headers()
        handler.wfile.write(body.encode())

    return answer


def endless(code: int = 200, piece: bytes = b"<p>" * 10_000, pause_s: float = 0.0, location: str = "") -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        if location:
            handler.send_header("Location", location)
        handler.end_headers()
        handler.close_connection = True
        end = time.monotonic() + 6  # longer than any test waits, but not endless
        while time.monotonic() < end and not handler.server.marketplace.released.wait(pause_s):  # type: ignore[attr-defined]
            handler.wfile.write(piece)

    return answer


def silence(handler: BaseHTTPRequestHandler) -> None:
    handler.server.marketplace.released.wait(20)  # type: ignore[attr-defined]
    handler.close_connection = True


def cut_short(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(page(card(product(1))).encode())
    handler.close_connection = True


def in_turn(*answers: Answer) -> Answer:
    """Give each answer once, then the last one again and again."""
    remaining = list(answers)
    return lambda handler: (remaining.pop(0) if len(remaining) > 1 else remaining[0])(handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.marketplace.connections += 1  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        marketplace: Marketplace = self.server.marketplace  # type: ignore[attr-defined]
        marketplace.paths.append(self.path)
        marketplace.agents.add(self.headers["User-Agent"])
        marketplace.hosts.add(self.headers["Host"])
        address = urlsplit(self.path)
        answer: str | Answer = status(404)
        if address.path == "/robots.txt":
            answer = marketplace.robots
        elif address.path == "/s":
            number = int(parse_qs(address.query)["page"][0])
            answer = marketplace.pages[min(number, len(marketplace.pages)) - 1]
        try:
            (status(200, answer) if isinstance(answer, str) else answer)(self)
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def failure(market: Marketplace, **changes: object) -> FetchError:
    """Return the error of a search, which has to come within 5 seconds."""
    start = time.monotonic()
    with pytest.raises(FetchError) as raised:
        search("watch", market.settings.model_copy(update=changes))
    assert time.monotonic() - start < 5
    assert "\n" not in str(raised.value)
    return raised.value


def serving(server: ThreadingHTTPServer, scheme: str) -> Iterator[Marketplace]:
    """Serve a marketplace until the fixture that yields from this ends."""
    marketplace = Marketplace()
    server.daemon_threads = True
    server.marketplace = marketplace  # type: ignore[attr-defined]
    marketplace.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield marketplace
    marketplace.released.set()
    server.shutdown()
