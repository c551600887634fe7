"""Recommendations for photos, over a real server."""

from __future__ import annotations

import json
import logging
import resource
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.core.configuration import Configuration
from recsys.models import features
from recsys.ranking.single_query import recommend_photo
from recsys.storage.store import Store, among
from recsys.vision.square import decode_squared
from tests.recsys.service.running_service import (
    CONFIGURATION,
    Service,
    detail_of,
    fill,
    serving,
    with_settings,
    write_features,
)


def test_a_photo_finds_its_product_and_equals_the_librarys_recommendations(tmp_path: Path) -> None:
    store = fill(tmp_path / "home")
    jpeg = store.read("images", ["jpeg"], among("product_id", ["p6"]))["jpeg"][0].as_py()
    write_features(store, ["d6"], *features.describe(decode_squared(jpeg)[None], CONFIGURATION, store.home))
    photo = tmp_path / "photo"
    photo.write_bytes(jpeg)
    with serving(store.home) as service:
        reply = service.post_photo(service.get("/images/p6").body, "?top=20")
    assert reply.status == 200
    answer = reply.json()
    assert answer["query"] == {**answer["query"], "product_id": None, "label": None, "price_level": 2.5}
    nearest = max(answer["recommendations"], key=lambda item: item["visual"])
    assert nearest["product_id"] == "p6" and nearest["visual"] > 0.99
    wide = Configuration.model_validate({"recommend": {"top": 20}})
    assert answer["recommendations"] == json.loads(recommend_photo(store, wide, photo).to_json())["recommendations"]


def test_the_price_level_of_a_photo_depends_on_its_label(service: Service, store: Store) -> None:
    jpeg = store.read("images", ["jpeg"], "product_id = 'p1'")["jpeg"][0].as_py()
    answer = service.post_photo(jpeg, "?label=Watches&price=1000000").json()
    assert answer["query"]["price_level"] == 4.0 and answer["query"]["label"] == "Watches"
    assert {item["label"] for item in answer["recommendations"]} == {"Watches"}
    assert service.post_photo(jpeg, "?price=5").json()["query"]["price_level"] == 2.5


@pytest.mark.parametrize(
    "body",
    [b"", b"not a picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8\xff\xe0 cut short", b"BM\0\0"],
)
def test_a_photo_that_cannot_be_decoded_is_a_422(service: Service, body: bytes) -> None:
    reply = service.post_photo(body)
    assert reply.status == 422 and detail_of(reply).startswith("photo cannot be used")


def test_an_invalid_number_with_a_photo_is_a_422(service: Service) -> None:
    reply = service.post_photo(b"x", "?top=0")
    assert reply.status == 422 and "top" in detail_of(reply)


def test_a_photo_over_the_limit_is_a_413_with_or_without_a_content_length(service: Service) -> None:
    for body in (bytes(100_001), (bytes(10_000) for _ in range(11))):
        reply = service.post_photo(body)
        assert reply.status == 413 and "100,000" in detail_of(reply)
    assert service.post_photo(bytes(100_000)).status == 422  # small enough to be read, but not an image


def test_an_endless_photo_is_not_read_to_its_end(service: Service) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 1 << 30:
            sent += 1 << 16
            yield bytes(1 << 16)

    assert service.post_photo(endless()).status == 413
    assert sent < 64 << 20


def test_100_megabytes_are_refused_long_before_they_are_read(service: Service) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        while sent < 100 << 20:
            sent += 1 << 16
            yield bytes(1 << 16)

    assert service.post_photo(body()).status == 413 and sent < 64 << 20


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "text/plain", "application/json", ""])
def test_a_body_without_an_image_type_is_a_415(service: Service, content_type: str) -> None:
    reply = service.request("POST", "/similar", b"x", {"Content-Type": content_type})
    assert reply.status == 415 and "image/jpeg" in detail_of(reply)


def test_an_aborted_upload_affects_no_other_request(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.sendall(b"POST /similar HTTP/1.0\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nx")
            time.sleep(0.2)
        time.sleep(0.2)
        assert service.get("/products/p1/similar").status == 200
    assert not caplog.records


def test_a_slow_photo_is_a_408_and_the_service_continues(store: Store) -> None:
    impatient = with_settings(photo_timeout_s=0.5)
    with serving(store.home, impatient) as service, socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(b"POST /similar HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nx")
        started = time.monotonic()
        assert b" 408 " in client.recv(4096) and time.monotonic() - started < 10
        assert service.get("/products").status == 200


def png(width: int, height: int, data: bytes) -> bytes:
    """Return a grey PNG whose header has this size, whatever the size of its data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "body",
    [
        png(100_000, 100_000, b""),  # ten gigapixels
        png(20_000, 20_000, zlib.compress(bytes(1 << 20), 9) * 4),  # a large compression ratio
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"GIF89a" + b"\xff" * 500,
        b"\xff\xd8\xff\xe1" + b"\xff\xff" * 200,
        b"%PDF-1.7\n" + bytes(100),
        b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(100),
        bytes(90_000),
    ],
)
def test_a_hostile_photo_is_a_422_and_the_service_continues(service: Service, body: bytes) -> None:
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reply = service.post_photo(body)
    assert reply.status == 422 and len(detail_of(reply)) < 300
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb < 200 * 1024
    assert service.get("/health").status == 200
