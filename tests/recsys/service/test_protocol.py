"""The time limit on request headers, over a real server."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from recsys.service import protocol
from recsys.storage.store import Store
from tests.recsys.service.running_service import Service, serving


@pytest.fixture
def impatient(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(protocol, "HEADERS_TIMEOUT_S", 0.3)
    with serving(store.home) as service:
        yield service


@contextlib.contextmanager
def connection(service: Service) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.settimeout(10)
        yield client


def assert_closed_soon(client: socket.socket) -> None:
    started = time.monotonic()
    assert client.recv(4096) == b"" and time.monotonic() - started < 5


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow:"])
def test_a_connection_that_sends_no_complete_request_is_closed(impatient: Service, sent: bytes) -> None:
    with connection(impatient) as client:
        client.sendall(sent)
        assert_closed_soon(client)
    assert impatient.get("/health").status == 200


@pytest.mark.parametrize("sent", [b"GET /hea", b"\r\n"])
def test_a_second_request_has_the_same_time_limit(impatient: Service, sent: bytes) -> None:
    with connection(impatient) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while b"alive" not in answer:  # headers and body may come apart
            received = client.recv(4096)
            assert received
            answer += received
        client.sendall(sent)
        assert_closed_soon(client)


def test_a_body_may_take_longer_than_the_headers(impatient: Service) -> None:
    head = b"POST /similar HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 2\r\n\r\n"
    with connection(impatient) as client:
        client.sendall(head)
        for byte in (b"x", b"y"):
            time.sleep(0.5)
            client.sendall(byte)
        assert b" 422 " in client.recv(4096)
