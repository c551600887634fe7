"""Redirects of catalogues and pages: followed to the same host and to public addresses only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from recsys.core.errors import CatalogueError, FetchError
from recsys.ingest import http
from recsys.ingest.catalogue.source import inputs

CONTENT = b"uniq_id\n1\n"


class Server(ThreadingHTTPServer):
    """Serves /ok, and at any other path a redirect to `target`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.target = ""
        self.requests: list[tuple[str, str | None, str | None]] = []  # path, Host, Authorization


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Server = self.server  # type: ignore[assignment]
        server.requests.append((self.path, self.headers["Host"], self.headers["Authorization"]))
        is_ok = self.path == "/ok"
        self.send_response(200 if is_ok else 302)
        if not is_ok:
            self.send_header("Location", server.target)
        self.send_header("Content-Length", str(len(CONTENT) if is_ok else 0))
        self.end_headers()
        self.wfile.write(CONTENT if is_ok else b"")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The trusted host."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield from serving()


@pytest.fixture
def bystander() -> Iterator[Server]:
    """Another server of the private network."""
    yield from serving()


def serving() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running
        running.shutdown()


def body(server: Server, path: str = "/moved", url: str = "", max_redirects: int = 3) -> bytes:
    url = url or server.url + path
    with (
        http.open_session(url, retries=0, backoff_s=0, retry_after_max_s=0) as session,
        http.get(session, url, 5, max_redirects) as response,
    ):
        return response.content if response.ok and not response.is_redirect else b"redirect"


def test_a_redirect_within_the_trusted_host_is_followed(server: Server) -> None:
    server.target = "/ok"
    assert body(server) == CONTENT
    server.target = f"{server.url}/ok"
    assert body(server) == CONTENT


def test_redirects_that_do_not_end_are_given_up(server: Server) -> None:
    server.target = "/moved"
    assert body(server, max_redirects=3) == b"redirect"
    assert len(server.requests) == 4


def test_credentials_of_the_url_go_to_its_own_host_only(
    server: Server, bystander: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url.replace("//", "//user:secret@") + "/moved"
    server.target = f"{server.url}/ok"
    assert body(server, url=url) == CONTENT
    assert all(authorization for _, _, authorization in server.requests)
    monkeypatch.setattr(http, "require_public", lambda host, port: ["127.0.0.1"])
    server.target = f"{bystander.url}/ok"
    assert body(server, url=url) == CONTENT
    assert [authorization for _, _, authorization in bystander.requests] == [None]


def test_a_redirect_to_a_public_host_connects_to_the_address_that_was_checked(
    server: Server, bystander: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first address accepts no connection, the second does; the name resolves to nothing."""
    monkeypatch.setattr(http, "require_public", lambda host, port: ["127.0.0.9", "127.0.0.1"])
    port = bystander.server_address[1]
    server.target = f"http://shop.invalid:{port}/ok"
    assert body(server) == CONTENT
    assert bystander.requests == [("/ok", f"shop.invalid:{port}", None)]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "[::1]", "10.0.0.1"])
def test_a_redirect_into_a_private_network_is_refused(server: Server, bystander: Server, host: str) -> None:
    server.target = f"http://{host}:{bystander.server_address[1]}/ok"
    with pytest.raises(FetchError, match="is not public") as refused:
        body(server)
    assert refused.value.cause == "private_address" and bystander.requests == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "http://["])
def test_a_redirect_to_no_http_address_is_refused(server: Server, target: str) -> None:
    server.target = target
    with pytest.raises(FetchError, match="not an http or https address"):
        body(server)


def test_a_catalogue_behind_a_redirect_into_a_private_network_is_refused(server, bystander, tmp_path) -> None:
    server.target = f"{bystander.url}/ok"
    with (
        pytest.raises(CatalogueError, match=r"cannot be fetched: .* is not public.*give the catalogue's final URL"),
        inputs(f"{server.url}/catalogue.csv", tmp_path, 1000) as files,
    ):
        next(files)
    assert bystander.requests == []
    server.target = "/ok"
    with inputs(f"{server.url}/catalogue.csv", tmp_path, 1000) as files:
        path = next(files).path
        assert path is not None and path.read_bytes() == CONTENT
