"""Attacks by a hostile catalogue or host, in one shard with a real server: each ends with its cause, none reaches the
private network, and the shard ends in seconds.
"""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from recsys.core.configuration import Configuration, load
from recsys.ingest.images.fetch import fetch_images
from recsys.ingest.images.item import Item
from recsys.ingest.images.ledger import fetch_shard, missing, require_images
from recsys.vision.square import decode_squared


class Bystander:
    """A server of the private network that must get no connection; it counts connections."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.visits = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.visits += 1
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
            connection.close()


@pytest.fixture
def bystander() -> Iterator[Bystander]:
    server = Bystander()
    yield server
    server.listener.close()


@pytest.fixture
def configuration(host) -> Configuration:
    """Only the fault host itself is allowed: its address with its port."""
    allowed = [f"127.0.0.1:{host.port}"]
    limits = {"processes": 1, "timeout_s": 3, "backoff_s": 0.02, "max_bytes": 20_000_000}
    return load(flags={"images": limits | {"allow_hosts": allowed}}, environ={})


@pytest.fixture
def metadata_name(monkeypatch) -> str:
    """A name that resolves to loopback."""
    lookup = socket.getaddrinfo

    def look_up(name, port, *arguments, **options):
        if name in ("metadata.example", b"metadata.example"):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        return lookup(name, port, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return "metadata.example"


def test_no_attack_reaches_the_private_network_and_each_has_its_cause(
    store, list_products, configuration, host, bystander, metadata_name
):
    private = f"127.0.0.1:{bystander.port}"
    hostile = {
        "loopback": ([f"http://{private}/admin.jpg"], "private_address"),
        "loopback by name": ([f"http://localhost:{bystander.port}/"], "private_address"),
        "loopback as a number": ([f"http://2130706433:{bystander.port}/"], "bad_url"),
        "loopback, shortened": ([f"http://127.1:{bystander.port}/"], "bad_url"),
        "loopback in IPv6": ([f"http://[::ffff:127.0.0.1]:{bystander.port}/"], "private_address"),
        "a name that resolves to loopback": ([f"http://{metadata_name}:{bystander.port}/"], "private_address"),
        "a redirect to loopback": ([host.url("redirect_to", quote(f"http://{private}/", ""))], "private_address"),
        "a redirect to the cloud's metadata": (
            [host.url("redirect_to", quote("http://169.254.169.254/latest/meta-data/", ""))],
            "private_address",
        ),
        "a redirect to a name of loopback": (
            [host.url("redirect_to", quote(f"http://{metadata_name}:{bystander.port}/", ""))],
            "private_address",
        ),
        "a redirect to a file": ([host.url("redirect_to", quote("file:///etc/passwd", ""))], "bad_url"),
        "file": (["file:///etc/passwd"], "bad_url"),
        "gopher": ([f"gopher://{private}/_GET"], "bad_url"),
        "credentials": ([f"http://admin:secret@127.0.0.1:{host.port}/ok/1"], "credentials"),
        "ten gigapixels": ([host.url("bomb")], "too_many_pixels"),
        "a PNG packed too tightly": ([host.url("tight")], "too_many_pixels"),
        "an SVG with a script": ([host.url("svg")], "unsupported_format"),
        "5 GB": ([host.url("huge")], "too_large"),
        "an endless body": ([host.url("endless")], "too_large"),
        "a gzip bomb": ([host.url("gzip_bomb")], "too_large"),
        "a truncated gzip": ([host.url("gzip_truncated")], "truncated"),
        "a header of a megabyte": ([host.url("long_header")], "bad_answer"),
        "headers without end": ([host.url("many_headers")], "bad_answer"),
        "a polyglot": ([host.url("polyglot")], None),
        "../../etc/passwd": ([host.url("ok")], None),
    }
    list_products({key: urls for key, (urls, _) in hostile.items()})
    before = {path for path in store.home.parent.rglob("*") if "store" not in path.parts}

    (shard,) = missing(store, configuration)
    began, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fetch_shard(store, shard, configuration)
    assert time.monotonic() - began < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 400 * 1024  # kB

    rows = {row["product_id"]: row for row in store.read("images").to_pylist()}
    assert {key: row["cause"] for key, row in rows.items()} == {key: cause for key, (_, cause) in hostile.items()}
    assert bystander.visits == 0
    assert {path for path in store.home.parent.rglob("*") if "store" not in path.parts} == before
    assert not Path("/etc/passwd.jpeg").exists()
    assert decode_squared(rows["a polyglot"]["jpeg"]).shape == (256, 256, 3)
    assert b"script" not in rows["a polyglot"]["jpeg"]
    assert require_images(store, configuration).ok == 2


def test_an_allowed_network_is_reached(bystander, configuration):
    allowed = configuration.images.model_copy(update={"allow_hosts": ("127.0.0.0/8",)})
    (outcome,) = fetch_images([Item("p", (f"http://localhost:{bystander.port}/a.jpg",))], allowed)
    assert outcome.cause == "not_an_image" and bystander.visits == 1


def test_the_address_that_was_checked_is_the_one_connected_to(host, monkeypatch, configuration):
    """A name resolves once for the check and the connection: it cannot change in between."""
    looked_up = []
    lookup = socket.getaddrinfo

    def once(name, port, *arguments, **options):
        looked_up.append(name)
        return lookup("127.0.0.1" if len(looked_up) == 1 else "127.0.0.9", port, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", once)
    allowed = configuration.images.model_copy(update={"allow_hosts": (f"shop.example:{host.port}",)})
    (outcome,) = fetch_images([Item("p", (f"http://shop.example:{host.port}/ok/1",))], allowed)
    assert outcome.status == "ok" and looked_up == ["shop.example"]


@pytest.mark.parametrize(
    ("header", "cause"),
    [
        ("noai", "opted_out"),
        ("NoIndex, nofollow", "opted_out"),
        ("none", "opted_out"),
        ("visual-recommender: noai", "opted_out"),
        ("googlebot: noindex", None),
        ("nofollow", None),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST", None),
    ],
)
def test_x_robots_tag_is_obeyed(host, configuration, header, cause):
    (outcome,) = fetch_images([Item("p", (host.url("tagged", quote(header, "")),))], configuration.images)
    assert outcome.cause == cause


def test_a_shop_can_ignore_x_robots_tag_for_its_own_pictures(host, configuration):
    own = configuration.images.model_copy(update={"obey_robots_tag": False})
    (outcome,) = fetch_images([Item("p", (host.url("tagged", "noindex"),))], own)
    assert outcome.status == "ok"
