"""The HTTP client for images: one attempt at one URL, with its redirects and its limits on time and memory.

Client     the session with its connections, and the state of each host
Attempt    a URL → the bytes of an image, or a FetchError
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import SimpleNamespace
from typing import Self

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from recsys.core.configuration import Images
from recsys.core.errors import FetchError
from recsys.ingest.addresses import checked, literal, parse
from recsys.ingest.causes import fetch_error
from recsys.ingest.images.hosts import Host, Slot
from recsys.ingest.images.item import Known
from recsys.ingest.images.response import NoAnswerError, connection_error, forbids_use, retry_after, validator

CONNECT_SHARE = 0.5
"""Share of an attempt's time-out that is allowed for the connection."""

KEEP_ALIVE_S = 4.0
"""Seconds until an idle connection is closed: before the server does so (Apache and Node.js: 5 s), which would break
the next request."""

LARGE_BODY = 1 << 20
LARGE_BODIES = 4
"""Size in bytes above which a body is large, and the number of large bodies in memory. Others wait, so that memory is
bounded."""

REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True)
class Download:
    """The body of a good answer, and the host's names for this version of it."""

    body: bytes
    etag: str | None
    last_modified: str | None


class Deadline:
    """The seconds that a product has left for all its URLs, attempts and waits; they run while the context is entered.

    The wait for a slot of the host does not count.
    """

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    def __enter__(self) -> None:
        self.left += time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.left -= time.monotonic()


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only; aiohttp connects to the addresses that it returns."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = tuple(allowed)
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host that a connection is allowed to. Errors as `require_public`, and OSError."""
        results = await self._resolver.resolve(host, port, family)
        public = checked(host, port, [result["host"] for result in results], self._allowed)
        return [result for result in results if result["host"] in public]

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()


class Client:
    """The connections to all hosts, and the state of each host. Use it as a context, in one event loop.

    Attributes:
        connections: a semaphore for the requests in flight over all hosts.
        large_bodies: a semaphore for the large bodies in memory.
    """

    def __init__(self, settings: Images) -> None:
        self.settings = settings
        self.connections = asyncio.Semaphore(settings.connections)
        self.large_bodies = asyncio.Semaphore(LARGE_BODIES)
        self.hosts: dict[tuple[str | None, int | None], Host] = {}
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_start_patience)
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # the semaphore and the hosts' slots limit
                keepalive_timeout=KEEP_ALIVE_S,
                resolver=PublicResolver(settings.allow_hosts),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": settings.user_agent, "Accept": "image/*,*/*;q=0.8", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, connect=settings.timeout_s * CONNECT_SHARE),
            middlewares=(self._guard,),
            trace_configs=[trace],
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    def host(self, address: URL) -> Host:
        """Return the state of the host and port of an address."""
        key = (address.host, address.port)
        if key not in self.hosts:
            self.hosts[key] = Host(self.settings)
        return self.hosts[key]

    def knows(self, address: URL) -> bool:
        """Return whether there is a state of the host and port of an address already."""
        return (address.host, address.port) in self.hosts

    async def _guard(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Check an address that needs no resolver, and raise a lost connection in a way that aiohttp does not repeat.

        aiohttp sends a request a second time when a connection is lost, outside of our budget of attempts, and has no
        setting for it: https://github.com/aio-libs/aiohttp/issues/10790
        """
        host = str(request.url.host)
        if literal(host):
            checked(host, request.url.port or 0, [host], self.settings.allow_hosts)
        try:
            return await handler(request)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise  # not repeated
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise connection_error(error, self.host(request.url)) from error

    async def probe(self, address: URL, host: Host) -> None:
        """Find out whether a host that leaves every request without an answer answers `HEAD /`."""
        async with host.probe_lock:
            if not host.seems_down or host.is_down:
                return
            start = time.monotonic()
            try:
                async with (
                    asyncio.timeout(self.settings.timeout_s * CONNECT_SHARE),
                    self.session.head(address.origin(), allow_redirects=False) as response,
                ):
                    host.answered(time.monotonic() - start, response.status, None)
            except (TimeoutError, aiohttp.ClientConnectorError):
                host.mark_down()
                return
            except (aiohttp.ClientError, OSError, ValueError, FetchError):
                pass  # no good answer, but a sign of life
            host.mark_alive()


@dataclass
class Attempt:
    """One attempt at one URL of a product.

    Two limits of time: `images.timeout_s` or the product's deadline for the whole attempt, and the patience of the host
    for the head of each answer.

    Attributes:
        client: the connections.
        number: attempts at this URL before, in this batch.
        slot: of the host, kept when an answer comes in time.
        deadline: of the product.
        known: the stored image of this URL, for a conditional request.
        was_silent: whether an attempt before got no answer.
        memory: what the attempt needs for a large body; the caller closes it when the body is no longer needed.
    """

    client: Client
    number: int
    slot: Slot
    deadline: Deadline
    known: Known | None
    was_silent: bool
    memory: contextlib.AsyncExitStack
    _waits_for: Host | None = None  # has the request and has not begun to answer
    _sent_at: float = 0.0
    _is_large: bool = False

    async def run(self, address: URL) -> Download | None:
        """Return the download; None when the image is unchanged.

        Raises:
            NoAnswerError: no sign of life of the host.
            TransientFetchError: another failure that may pass.
            PermanentFetchError: a failure that will not pass.
        """
        seconds = min(self.client.settings.timeout_s, max(0.0, self.deadline.left))
        self._end = asyncio.get_running_loop().time() + seconds
        try:
            with self.deadline:
                async with asyncio.timeout_at(self._end) as self._timeout:
                    return await self._follow(address)
        except TimeoutError as error:
            if self._waits_for is None:
                raise fetch_error("timeout", f"no complete answer in {seconds:g} s") from error
            self._waits_for.silent(self.was_silent)
            raise NoAnswerError(self._waits_for, "timeout", "no answer in time") from error

    async def _follow(self, address: URL) -> Download | None:
        """Follow redirects, each of whose addresses is checked, to the answer."""
        visited = {address}
        while True:
            async with await self._request(address) as response:
                if response.status not in REDIRECTS or "Location" not in response.headers:
                    return await self._read(response)
                code, location = response.status, response.headers["Location"]
            address = parse(location, address)
            if address in visited or len(visited) > self.client.settings.max_redirects:
                raise fetch_error("redirect_loop", f"redirected {len(visited)} times, to {address}", code)
            visited.add(address)

    async def _request(self, address: URL) -> ClientResponse:
        """Return the response as soon as its head has come."""
        self._waits_for = host = self.client.host(address)
        headers = self.known.conditions() if self.known else None
        try:
            response = await self.client.session.get(
                address, allow_redirects=False, headers=headers, trace_request_ctx=self
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = connection_error(error, host)
            if isinstance(failure, NoAnswerError):
                host.refused()
            raise failure from error
        self.slot.keep()
        self._waits_for = None
        self._timeout.reschedule(self._end)
        host.answered(time.monotonic() - self._sent_at, response.status, retry_after(response))
        return response

    def start_patience(self) -> None:
        """Limit the wait for the head of the answer: the request has been sent."""
        if self._waits_for is not None:
            self._sent_at = time.monotonic()
            patience = self._waits_for.patience(self.number)
            self._timeout.reschedule(min(self._end, asyncio.get_running_loop().time() + patience))

    async def _read(self, response: ClientResponse) -> Download | None:
        """Return the download of a good answer, None when the image is unchanged."""
        code = response.status
        if code == HTTPStatus.NOT_MODIFIED and self.known:
            return None
        if not 200 <= code < 300:
            raise fetch_error(f"http_{code}", f"the host answers {code}", code, retry_after(response))
        if self.client.settings.obey_robots_tag and forbids_use(response, self.client.settings.user_agent):
            raise fetch_error("opted_out", "the host forbids this use of the picture (X-Robots-Tag)", code)
        try:
            body = await self._read_body(response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise connection_error(error, self.client.host(response.url)) from error
        return Download(body, validator(response, "ETag"), validator(response, "Last-Modified"))

    async def _read_body(self, response: ClientResponse) -> bytes:
        body, limit = bytearray(), self.client.settings.max_bytes
        if (response.content_length or 0) <= limit:
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > limit:
                    break
                if len(body) > LARGE_BODY and not self._is_large:
                    await self._wait_for_memory()
            else:
                return bytes(body)
        raise fetch_error("too_large", f"the image has more than {limit:,} bytes", response.status)

    async def _wait_for_memory(self) -> None:
        """Wait until another large body may be held; the time does not count."""
        start = time.monotonic()
        self._timeout.reschedule(None)
        await self.memory.enter_async_context(self.client.large_bodies)
        self._is_large = True
        waited = time.monotonic() - start
        self._end += waited
        self.deadline.left += waited
        self._timeout.reschedule(self._end)


async def _start_patience(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    if isinstance(context.trace_request_ctx, Attempt):
        context.trace_request_ctx.start_patience()
