"""An image host on the loopback interface with every kind of fault."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pytest
from PIL import Image

from recsys.core.configuration import Configuration, load
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store
from tests.recsys.vision.pictures import bomb, picture, saved


class FaultHost:
    """Answers GET /<fault>/<anything>; see `_answer` for the faults. Counts requests and connections."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.times: dict[str, list[float]] = {}
        self.connections = self.under_way = self.most_under_way = 0
        self.version = 1  # of what "etag" answers
        self.latency = 0.0  # seconds before "late" answers
        self.headers: dict[str, str] = {}  # of the last request
        self.jpeg = saved(picture(600, 400), "JPEG", quality=90)
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()

    def url(self, fault: str, name: object = 0) -> str:
        return f"http://127.0.0.1:{self.port}/{fault}/{name}"

    def request_count(self, fault: str, name: object = 0) -> int:
        """Return the number of requests for a URL."""
        return self.requests[f"/{fault}/{name}"]

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while line := await reader.readline():
                self.headers = {}
                while header := (await reader.readline()).strip():
                    name, _, value = header.decode("latin-1").partition(":")
                    self.headers[name.lower()] = value.strip()
                path = line.decode("latin-1").split()[1]
                self.requests[path] += 1
                self.times.setdefault(path, []).append(self._loop.time())
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
                try:
                    if not await self._answer(writer, path):
                        break
                finally:
                    self.under_way -= 1
        except (ConnectionError, IndexError, ValueError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, path: str) -> bool:
        """Answer one request; return whether the connection stays open."""

        async def reply(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bool:
            size = len(body) if length is None else length
            head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {size}", *headers, "", ""])
            writer.write(head.encode() + body)
            await writer.drain()
            return length is None

        _, fault, name, *_ = path.split("/")
        first_two = self.requests[path] <= 2
        match fault:
            case "ok":
                return await reply("200 OK", self.jpeg)
            case "late":
                await asyncio.sleep(self.latency)
                return await reply("200 OK", self.jpeg)
            case "etag":
                etag = f'"v{self.version}"'
                if self.headers.get("if-none-match") == etag:
                    return await reply("304 Not Modified", b"", f"ETag: {etag}")
                body = self.jpeg + bytes(self.version)
                return await reply("200 OK", body, f"ETag: {etag}", "Last-Modified: Sun, 01 Nov 2026 10:00:00 GMT")
            case "tagged":  # the name is what X-Robots-Tag says
                return await reply("200 OK", self.jpeg, f"X-Robots-Tag: {unquote(name)}")
            case "429":
                return await reply("429 Slow down", b"", "Retry-After: 3600")
            case "429_if_many" if self.under_way > 4:
                return await reply("429 Slow down", b"", "Retry-After: 0")
            case "429_if_many":
                await asyncio.sleep(0.01)
                return await reply("200 OK", self.jpeg)
            case "polyglot":
                return await reply("200 OK", self.jpeg + b"PK\x03\x04<script>alert(1)</script>")
            case "tight":
                return await reply("200 OK", saved(Image.new("1", (10_000, 10_000)), "PNG", optimize=True))
            case "redirect_to":
                return await reply("302 Found", b"", f"Location: {unquote(name)}")
            case "many_headers":
                writer.write(b"HTTP/1.1 200 OK\r\n")
                for number in range(1_000_000):
                    writer.write(b"X-%d: %s\r\n" % (number, b"x" * 4096))
                    await writer.drain()
                return False
            case "slow":
                await asyncio.sleep(0.05)
                return await reply("200 OK", self.jpeg)
            case "gzip":
                return await reply("200 OK", gzip.compress(self.jpeg), "Content-Encoding: gzip")
            case "gzip_truncated":
                return await reply("200 OK", gzip.compress(self.jpeg)[:-2000], "Content-Encoding: gzip")
            case "gzip_bomb":
                return await reply("200 OK", gzip.compress(bytes(50_000_000)), "Content-Encoding: gzip")
            case "404" | "410" | "403" | "418" | "408" | "425" | "500" | "502" | "304":
                return await reply(f"{fault} Whatever")
            case "503_then_ok" if first_two:
                return await reply("503 Busy")
            case "429_then_ok" if first_two:
                return await reply("429 Slow down", b"", "Retry-After: 1")
            case "429_for_an_hour_then_ok" if first_two:
                return await reply("429 Slow down", b"", "Retry-After: 3600")
            case "reset_then_ok" if first_two:
                return self._reset(writer)
            case "503_then_ok" | "429_then_ok" | "429_for_an_hour_then_ok" | "reset_then_ok":
                return await reply("200 OK", self.jpeg)
            case "reset":
                return self._reset(writer)
            case "reset_in_body":
                await reply("200 OK", self.jpeg[:3000], length=len(self.jpeg))
                await asyncio.sleep(0.05)
                return self._reset(writer)
            case "closed":
                return False
            case "hang":
                await asyncio.sleep(60)
                return False
            case "drip":  # a byte now and then, so that no single read takes long
                await reply("200 OK", b"", length=len(self.jpeg))
                for byte in self.jpeg:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.05)
                return False
            case "truncated":
                return await reply("200 OK", self.jpeg[: len(self.jpeg) // 3], length=len(self.jpeg))
            case "half_a_picture":  # all that was promised, but not all of the picture
                return await reply("200 OK", self.jpeg[: len(self.jpeg) // 2])
            case "chunks_truncated":
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + self.jpeg[:1024])
                await writer.drain()
                return False
            case "endless":
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    writer.write(b"10000\r\n" + bytes(65_536) + b"\r\n")
                    await writer.drain()
            case "huge":
                await reply("200 OK", self.jpeg, length=5 << 30)
                await asyncio.sleep(60)
                return False
            case "empty":
                return await reply("200 OK")
            case "html":
                return await reply("200 OK", b"<html>Product removed</html>", "Content-Type: image/jpeg")
            case "svg":
                return await reply("200 OK", b"<svg><script>alert(1)</script></svg>", "Content-Type: image/svg+xml")
            case "pixel":
                return await reply("200 OK", saved(Image.new("P", (1, 1), 0), "GIF"), "Content-Type: image/gif")
            case "white":
                return await reply("200 OK", saved(Image.new("RGB", (300, 300), "white"), "JPEG"))
            case "bomb":
                return await reply("200 OK", bomb(100_000, 100_000))
            case "redirect":
                return await reply("302 Found", b"", f"Location: /ok/{name}")
            case "redirect_loop":
                return await reply("302 Found", b"", f"Location: {path}")
            case "redirect_on":  # always further
                return await reply("302 Found", b"", f"Location: /redirect_on/{int(name) + 1}")
            case "redirect_to_file":
                return await reply("302 Found", b"", "Location: file:///etc/passwd")
            case "not_http":
                writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
                await writer.drain()
                return False
            case "long_header":
                return await reply("200 OK", self.jpeg, "X-Long: " + "x" * (1 << 20))
        raise AssertionError(f"no such fault: {fault}")

    @staticmethod
    def _reset(writer: asyncio.StreamWriter) -> bool:
        """Drop the connection so that the client sees a reset, not an end."""
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False


@pytest.fixture
def host() -> Iterator[FaultHost]:
    host = FaultHost()
    yield host
    host.stop()


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that refuses connections: bound, so that no other process takes it, but not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def configuration() -> Configuration:
    """The defaults with a short backoff and a small limit on bytes, and without processes."""
    changes = {"timeout_s": 5, "backoff_s": 0.02, "max_bytes": 1_000_000, "allow_hosts": ["127.0.0.1"], "processes": 1}
    return load(flags={"images": changes}, environ={})


@pytest.fixture
def store(tmp_path: Any) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def list_products(store: Store) -> Callable[[dict[str, list[str]]], None]:
    """A function that writes the catalogue: {product id: its image URLs}."""

    def write(products: dict[str, list[str]]) -> None:
        now = datetime.now(UTC)
        empty = dict.fromkeys(SCHEMAS["products"].names)
        rows = [
            empty
            | {"product_id": key, "position": position, "name": f"Product {key}", "image_urls": urls}
            | {"first_seen": now, "changed": now}
            for position, (key, urls) in enumerate(products.items())
        ]
        store.write("products", pa.Table.from_pylist(rows, schema=SCHEMAS["products"]))

    return write
