"""Serve the images of the sample shop: a small HTTP/1.1 server with the faults that the shop's plan lists.

    GET /                     a page that describes the host
    GET /catalogue.csv        the catalogue, with image URLs of this host
    GET /images/<name>        a picture, or the fault planned for it
    GET /faults.json          {image name: fault}
    GET /stats.json           {image name: requests}

The host also serves a marketplace to scrape, see `sample_shop.marketplace`.

The server uses asyncio streams because some faults need the raw connection: a reset, a short body, no answer.
"""

import asyncio
import contextlib
import errno
import hashlib
import html
import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Self

from recsys.core.errors import ServerError
from sample_shop.faults import FAILURES_BEFORE_OK
from sample_shop.marketplace import FAULTS, Marketplace, SearchFault
from sample_shop.shop import load_shop

HEADER_LIMIT = 16 * 1024  # bytes of request line and headers
IDLE_S = 30.0  # seconds without a complete request until a connection is closed
WRITE_S = 30.0  # seconds until a connection that does not read its answer is closed
CONNECTIONS = 1024  # concurrent connections; further ones are closed

TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif"}
REASONS = {
    200: "OK", 302: "Found", 304: "Not Modified", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 410: "Gone", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip
REQUEST_LINE = re.compile(r"([A-Z]{1,10}) (/[!-~]*) HTTP/1\.([01])")


class SampleHost:
    """Serve the folder of a sample shop over loopback, in a separate thread.

        with SampleHost(folder) as host:
            requests.get(f"{host.url}/images/{name}")

    Args:
        folder: output folder of `draw_shop`.
        host: address to listen on.
        port: port to listen on; 0 selects a free port.
        hang_s: seconds that a hanging image keeps its client waiting before the connection is closed.
        latency_ms: milliseconds before each answer, to simulate a distant host.
        searches: faults of the marketplace, by keyword.

    Raises:
        ServerError: on entering, when the port is taken or not allowed.
    """

    url: str
    port: int

    def __init__(
        self,
        folder: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        hang_s: float = 30,
        latency_ms: float = 0,
        searches: Mapping[str, SearchFault] = FAULTS,
    ) -> None:
        self.shop = load_shop(folder)
        self.marketplace = Marketplace(self.shop.seed + 1, searches)
        self.host, self.port = host, port
        self.url = f"http://{host}:{port}"
        self.hang_s, self.latency_s = hang_s, latency_ms / 1000
        self._files = {path.name: path for path in (self.shop.folder / "images").iterdir() if path.suffix[1:] in TYPES}
        self._etags: dict[str, tuple[int, str]] = {}  # name: (mtime in ns, entity tag)
        self._requests: Counter[str] = Counter()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None

    # -- life cycle ----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        listener = self._listen()
        self.port = listener.getsockname()[1]
        self.url = f"http://{self.host}:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(listener,), name="sample-host", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None

    def serve_forever(self) -> None:
        """Serve until interrupted (Ctrl-C)."""
        with contextlib.nullcontext() if self._thread else self, contextlib.suppress(KeyboardInterrupt):
            while self._thread is not None:
                self._thread.join(timeout=1.0)

    def stats(self) -> dict[str, int]:
        """Return the number of requests of each image, by name; images without requests are absent."""
        return dict(self._requests)

    def _listen(self) -> socket.socket:
        try:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            return socket.create_server((self.host, self.port), family=family, backlog=512)
        except (OSError, OverflowError) as error:
            reason = "is taken" if getattr(error, "errno", 0) == errno.EADDRINUSE else f"cannot be used: {error}"
            raise ServerError(
                f"The sample shop's host cannot start: port {self.port} of {self.host} {reason}. Choose another port."
            ) from None

    def _run(self, listener: socket.socket) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve(listener))
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()

    async def _serve(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(self._connected, sock=listener, limit=HEADER_LIMIT)
        await self._stop.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    # -- one connection ------------------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        if connection is None or len(self._connections) >= CONNECTIONS or self._stop.is_set():
            writer.transport.abort()
            return
        self._connections.add(connection)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError, asyncio.CancelledError):
            pass  # the client disconnected or timed out, or the host is closing
        finally:
            self._connections.discard(connection)
            writer.transport.abort() if self._stop.is_set() else writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read one request and answer it; return whether the connection stays open."""
        try:
            async with asyncio.timeout(IDLE_S):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.LimitOverrunError:
            return await self._reply(writer, 431, b"too many headers", keep=False)
        request_line, *lines = head.split("\r\n")
        request = REQUEST_LINE.fullmatch(request_line)
        if request is None:
            return await self._reply(writer, 400, b"not an HTTP/1 request", keep=False)
        method, target, minor = request.groups()
        headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        if method not in ("GET", "HEAD") or headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            return await self._reply(writer, 405, b"only GET and HEAD", keep=False, extra={"Allow": "GET, HEAD"})
        connection = headers.get("connection", "").lower()
        keep = connection == "keep-alive" if minor == "0" else "close" not in connection
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        return await self._route(writer, target, headers, method == "HEAD", keep)

    async def _route(
        self, writer: asyncio.StreamWriter, target: str, headers: dict[str, str], bare: bool, keep: bool
    ) -> bool:
        path = target.partition("?")[0]
        match path:
            case "/":
                return await self._reply(writer, 200, self._page(), "text/html; charset=utf-8", keep=keep, bare=bare)
            case "/faults.json":
                body = json.dumps(self.shop.faults).encode()
                return await self._reply(writer, 200, body, "application/json", keep=keep, bare=bare)
            case "/stats.json":
                body = json.dumps(self.stats()).encode()
                return await self._reply(writer, 200, body, "application/json", keep=keep, bare=bare)
            case "/catalogue.csv":
                body = self.shop.catalogue.read_bytes().replace(self.shop.base_url.encode(), self.url.encode())
                return await self._reply(writer, 200, body, "text/csv; charset=utf-8", keep=keep, bare=bare)
        name = path.removeprefix("/images/")
        if name == path and (answer := await asyncio.to_thread(self.marketplace.answer, target)):  # it draws
            return await self._reply(writer, answer.status, answer.body, answer.kind, keep=keep, bare=bare)
        if name == path or name not in self._files:
            return await self._reply(writer, 404, b"no such page", keep=keep, bare=bare)
        self._requests[name] += 1
        return await self._image(writer, name, headers, bare, keep)

    async def _image(
        self, writer: asyncio.StreamWriter, name: str, headers: dict[str, str], bare: bool, keep: bool
    ) -> bool:
        fault = self.shop.faults.get(name, "")
        if fault.endswith("_then_ok"):
            fault = fault.removesuffix("_then_ok") if self._requests[name] <= FAILURES_BEFORE_OK else ""
        match fault:
            case "":
                return await self._picture(writer, name, headers, bare, keep)
            case "hang":
                await asyncio.sleep(self.hang_s)
                return False
            case "reset":
                return self._reset(writer)
            case "truncated":
                body = self._files[name].read_bytes()
                await self._reply(
                    writer, 200, body[: len(body) // 2], _type(name), length=len(body), keep=keep, bare=bare
                )
                return bare and keep
            case "empty":
                return await self._reply(writer, 200, b"", _type(name), keep=keep)
            case "not_an_image":
                page = b"<!doctype html><title>Gone</title><p>This product is no longer sold."
                return await self._reply(writer, 200, page, "text/html; charset=utf-8", keep=keep, bare=bare)
            case "redirect_loop":
                return await self._reply(writer, 302, b"", keep=keep, extra={"Location": f"/images/{name}"})
            case "429":
                return await self._reply(writer, 429, b"slow down", keep=keep, bare=bare, extra={"Retry-After": "1"})
            case _:
                return await self._reply(writer, int(fault), b"no image", keep=keep, bare=bare)

    async def _picture(
        self, writer: asyncio.StreamWriter, name: str, headers: dict[str, str], bare: bool, keep: bool
    ) -> bool:
        path = self._files[name]
        modified = path.stat().st_mtime_ns
        body = b""
        if self._etags.get(name, (0, ""))[0] != modified:
            body = path.read_bytes()
            self._etags[name] = modified, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        etag = self._etags[name][1]
        extra = {"ETag": etag, "Last-Modified": formatdate(modified // 10**9, usegmt=True)}
        known = headers.get("if-none-match")
        unchanged = etag in known if known is not None else headers.get("if-modified-since") == extra["Last-Modified"]
        if unchanged:
            return await self._reply(writer, 304, b"", keep=keep, bare=True, extra=extra)
        return await self._reply(writer, 200, body or path.read_bytes(), _type(name), keep=keep, bare=bare, extra=extra)

    # -- answers -------------------------------------------------------------------------------------------------

    @staticmethod
    async def _reply(
        writer: asyncio.StreamWriter,
        status: int,
        body: bytes,
        kind: str = "text/plain; charset=utf-8",
        *,
        keep: bool,
        bare: bool = False,
        length: int | None = None,
        extra: dict[str, str] | None = None,
    ) -> bool:
        """Send an answer; `bare` omits the body, `length` sets a Content-Length other than the real one."""
        fields = {
            "Content-Type": kind,
            "Content-Length": str(len(body) if length is None else length),
            "Connection": "keep-alive" if keep else "close",
            **(extra or {}),
        }
        if status == 304:
            del fields["Content-Type"], fields["Content-Length"]
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())
        writer.write(head.encode("latin-1") + b"\r\n" + (b"" if bare else body))
        async with asyncio.timeout(WRITE_S):
            await writer.drain()
        return keep

    @staticmethod
    def _reset(writer: asyncio.StreamWriter) -> bool:
        """Drop the connection so that the client gets a reset, not an end of stream."""
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False

    def _page(self) -> bytes:
        causes = Counter(self.shop.faults.values())
        faults = "".join(f"<li>{html.escape(fault)}: {count}" for fault, count in sorted(causes.items()))
        healthy = [name for name in sorted(self._files) if name not in self.shop.faults][:60]
        images = "".join(f'<img src="/images/{name}" alt="" loading="lazy">' for name in healthy)
        return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>The sample shop</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}}
img{{width:9rem;height:9rem;object-fit:contain;margin:.25rem;border:1px solid #ddd}}</style>
<h1>The sample shop</h1>
<p>{self.shop.products} products, {self.shop.images} images, seed {self.shop.seed}.
<a href="/catalogue.csv">catalogue.csv</a> · <a href="/faults.json">faults.json</a> ·
<a href="/stats.json">stats.json</a>
<p>{images}<h2>Broken on purpose</h2><ul>{faults}</ul></html>
""".encode()


def _type(name: str) -> str:
    return TYPES[name.rpartition(".")[2]]
