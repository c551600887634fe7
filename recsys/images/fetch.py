"""Fetching the images of a batch of products over HTTP: each ends ok, broken or pending, none by an exception.

    Item           a product, its image URLs, and what the ledger knows of earlier attempts
    Outcome        what became of it, with its cause and, when ok, its squared image
    fetch_images   items → outcomes

One batch is one asyncio loop with its own connections (kept alive, so many per host and so many in all), and two
threads that decode and square, so that the loop is never kept from the network.

The rules: a permanent fault is final, a passing one is retried with exponential backoff until the URL's budget of
attempts is spent, and the next URL of the product is tried when one is broken. A host that is down as a whole
spends nobody's budget: once it has refused `DOWN_AFTER` attempts on end it is asked no more and its items stay
pending.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import aiohttp
import cv2
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from recsys.configuration import Images
from recsys.errors import FetchError, PermanentFetchError, TransientFetchError
from recsys.images.causes import Status, fetch_error
from recsys.images.square import PictureError, decode, encode

DECODERS = 2
"""Threads that decode and square; OpenCV and Pillow let go of the GIL meanwhile."""

DOWN_AFTER = 10
"""Attempts on end that a host must refuse, none getting through, to count as down."""

CONNECT_SHARE = 0.5
"""Of an attempt's time-out, for connecting: a host that takes longer to pick up is not answering."""

KEEP_ALIVE_S = 4.0
"""An idle connection is given up before the server does so (Apache and Node.js: 5 s) and breaks the next request."""

REDIRECTS = {301, 302, 303, 307, 308}

T = TypeVar("T")


@dataclass(frozen=True)
class Item:
    """One product to fetch an image for.

    Attributes:
        urls: its image URLs in the catalogue's order; the first good one wins.
        attempts: that earlier runs spent at the first of them.
        host_was_down: when it was last asked for.
    """

    product_id: str
    urls: tuple[str, ...]
    attempts: int = 0
    host_was_down: bool = False


@dataclass(frozen=True)
class SquaredImage:
    """A fetched image as the store keeps it.

    Attributes:
        digest: of the bytes that the host sent (BLAKE2b-128, hex).
        size: how many bytes.
        width, height: of the original, in pixels.
        format: of the original: JPEG, PNG, ...
        jpeg: the squared image.
    """

    digest: str
    size: int
    width: int
    height: int
    format: str
    jpeg: bytes


@dataclass(frozen=True)
class Outcome:
    """What became of an item; the fields are those of the ledger, see `recsys.store.SCHEMAS["images"]`."""

    product_id: str
    status: Status
    cause: str | None
    http_code: int | None
    attempts: int
    checked_at: datetime
    url: str | None
    image: SquaredImage | None = None


def fetch_images(
    items: Sequence[Item], settings: Images, on_progress: Callable[[str], None] | None = None
) -> list[Outcome]:
    """Return the outcome of each item, in their order; blocks until all are known.

    Args:
        items: the products of one shard.
        settings: limits, time-outs and budgets.
        on_progress: called with the status of each item as it ends.
    """
    return _run(_fetch_all(items, settings, on_progress or (lambda status: None)))


def square_image(data: bytes, settings: Images) -> SquaredImage:
    """Return the image in these bytes as the store keeps it.

    Raises:
        PermanentFetchError: the bytes are no usable picture.
    """
    try:
        picture = decode(data, settings.max_pixels, settings.side)
    except PictureError as error:
        raise PermanentFetchError(error.cause, str(error), 200) from error
    return SquaredImage(
        digest=hashlib.blake2b(data, digest_size=16).hexdigest(),
        size=len(data),
        width=picture.width,
        height=picture.height,
        format=picture.format,
        jpeg=encode(picture.square(settings.side), settings.jpeg_quality),
    )


@dataclass
class _Host:
    """What one batch knows of one host.

    Attributes:
        slots: requests that it may have under way at once.
        refusals: attempts on end that did not get through.
    """

    slots: asyncio.Semaphore
    refusals: int = 0
    down: bool = False

    def refused(self) -> None:
        self.refusals += 1
        self.down = self.down or self.refusals >= DOWN_AFTER

    def answered(self) -> None:
        self.refusals = 0


class _UnreachableError(TransientFetchError):
    """The host took no connection: a fault of the host, not of the URL."""

    def __init__(self, host: _Host, cause: str, message: str) -> None:
        super().__init__(cause, message)
        self.host = host


@dataclass
class _Trial:
    """What one URL came to: an image or an error.

    Attributes:
        attempts: that failed for a passing cause, over all runs, and count.
        refusals: attempts of this batch that did not get through; they count unless the host is down.
    """

    url: str
    attempts: int = 0
    refusals: int = 0
    image: SquaredImage | None = None
    error: FetchError | None = None
    ended: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def pending(self) -> bool:
        """Whether the host is to blame, all of it, and not this URL."""
        return isinstance(self.error, _UnreachableError) and self.error.host.down


class _Client:
    """The connections and the decoding threads of one batch."""

    def __init__(self, session: aiohttp.ClientSession, decoders: ThreadPoolExecutor, settings: Images) -> None:
        self.session, self.decoders, self.settings = session, decoders, settings
        self.slots = asyncio.Semaphore(settings.concurrency)
        self.hosts: dict[str, _Host] = {}

    def host(self, address: URL) -> _Host:
        """Return what is known of the host and port of an address."""
        key = f"{address.host}:{address.port}"
        if key not in self.hosts:
            self.hosts[key] = _Host(asyncio.Semaphore(self.settings.concurrency_per_host))
        return self.hosts[key]

    def suspect(self, url: str) -> None:
        """Take the host for down at its first refusal, as it was when it was last asked."""
        self.host(_address(url)).refusals = DOWN_AFTER - 1

    async def fetch(self, item: Item) -> list[_Trial]:
        """Try the URLs of an item until one gives an image; the last trial has it, if any has."""
        trials: list[_Trial] = []
        for number, url in enumerate(item.urls):
            trial = _Trial(url, attempts=item.attempts if number == 0 else 0)
            await self._try(trial)
            trial.ended = datetime.now(UTC)
            trials.append(trial)
            if trial.image is not None:
                break
        return trials

    async def _try(self, trial: _Trial) -> None:
        """Ask for one URL until it succeeds, fails for good, its budget is spent or its host is down."""
        retry = 0
        while True:
            try:
                trial.image = await self._attempt(_address(trial.url))
                trial.error = None
                return
            except PermanentFetchError as error:
                trial.error = error
                return
            except _UnreachableError as error:
                trial.error = error
                trial.refusals += 1
            except TransientFetchError as error:
                trial.error = error
                trial.attempts += 1
            if trial.pending or trial.attempts + trial.refusals >= self.settings.attempts:
                return
            await asyncio.sleep(self._backoff(retry, trial.error))
            retry += 1

    def _backoff(self, retry: int, error: FetchError) -> float:
        """Return the seconds before the next attempt: what the host asked for, else doubling, with jitter."""
        if error.retry_after is not None:
            return min(error.retry_after, self.settings.retry_after_max_s)
        return self.settings.backoff_s * 2**retry * random.uniform(0.5, 1.5)

    async def _attempt(self, address: URL) -> SquaredImage:
        """Ask for the image once; a slot is held until it is squared, which bounds what waits in memory."""
        host = self.host(address)
        async with host.slots, self.slots:
            if host.down:
                raise _UnreachableError(host, "host_down", f"{address.host} is down")
            try:
                async with asyncio.timeout(self.settings.timeout_s):
                    body = await self._get(address)
            except TimeoutError as error:
                raise fetch_error("timeout", f"no complete answer in {self.settings.timeout_s:g} s") from error
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.decoders, square_image, body, self.settings)

    async def _get(self, address: URL) -> bytes:
        """Return the body at an address, following redirects by hand so that each target is checked."""
        seen = {address}
        while True:
            host = self.host(address)
            try:
                async with self.session.get(address, allow_redirects=False) as response:
                    host.answered()
                    if response.status not in REDIRECTS or "Location" not in response.headers:
                        return await self._body(response)
                    code, target = response.status, response.headers["Location"]
            except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as error:
                failure = _failure(error, host)
                if isinstance(failure, _UnreachableError):
                    host.refused()
                raise failure from error
            address = _address(target, address)
            if address in seen or len(seen) > self.settings.max_redirects:
                raise fetch_error("redirect_loop", f"redirected {len(seen)} times, to {address}", code)
            seen.add(address)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body of a good answer, raise what any other means."""
        code = response.status
        if not 200 <= code < 300:
            raise fetch_error(f"http_{code}", f"the host answers {code}", code, _retry_after(response))
        body, limit = bytearray(), self.settings.max_bytes
        if (response.content_length or 0) <= limit:
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > limit:
                    break
            else:
                return bytes(body)
        raise fetch_error("too_large", f"it has more than {limit:,} bytes", code)


async def _fetch_all(items: Sequence[Item], settings: Images, on_progress: Callable[[str], None]) -> list[Outcome]:
    decoders = ThreadPoolExecutor(DECODERS, "decode", initializer=cv2.setNumThreads, initargs=(1,))
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)  # the slots limit
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": settings.user_agent, "Accept": "image/*,*/*;q=0.8", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None, connect=settings.timeout_s * CONNECT_SHARE),
    )
    session._retry_connection = False  # aiohttp would ask twice in one attempt, past the budget
    try:
        async with session:
            client = _Client(session, decoders, settings)
            for item in items:
                if item.host_was_down and item.urls:
                    client.suspect(item.urls[0])

            async def fetch(item: Item) -> list[_Trial]:
                trials = await client.fetch(item)
                on_progress(_judge(item, trials).status)
                return trials

            trials = await asyncio.gather(*(fetch(item) for item in items))
    finally:
        decoders.shutdown(wait=False, cancel_futures=True)
    # Judged when all is over: a host may turn out to be down after an item's last attempt.
    return [_judge(item, its) for item, its in zip(items, trials, strict=True)]


def _judge(item: Item, trials: Sequence[_Trial]) -> Outcome:
    """Return the outcome of an item: that of the URL that won, else that is pending, else that failed last."""
    if not trials:
        return Outcome(item.product_id, "broken", "no_url", None, 0, datetime.now(UTC), None)
    last = trials[-1]
    if last.image is not None:
        return Outcome(
            item.product_id, "ok", None, 200, last.attempts + last.refusals, last.ended, last.url, last.image
        )
    for trial in trials:
        if trial.pending:
            return Outcome(item.product_id, "pending", "host_down", None, trial.attempts, trial.ended, trial.url)
    assert last.error is not None
    attempts = last.attempts + last.refusals
    return Outcome(item.product_id, "broken", last.error.cause, last.error.http_code, attempts, last.ended, last.url)


def _address(url: str, base: URL | None = None) -> URL:
    """Return a URL, or a redirect's target relative to `base`, parsed.

    Raises:
        PermanentFetchError: it is not a complete http or https address.
    """
    try:
        address = URL(url.strip())
        address = (base.join(address) if base else address).with_fragment(None)
        if address.scheme in ("http", "https") and address.host and address.port:
            return address
    except ValueError:
        pass
    raise fetch_error("bad_url", f"{url[:200]!r} is not a complete http or https address")


def _failure(error: Exception, host: _Host) -> FetchError:
    """Return what an error of the connection to a host means."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return fetch_error("tls", f"no valid certificate: {error}")
        case aiohttp.ClientConnectorDNSError():
            return _UnreachableError(host, "dns", f"the host's name does not resolve: {error}")
        case aiohttp.ClientConnectorError():
            return _UnreachableError(host, "refused", f"the host takes no connection: {error}")
        case aiohttp.ConnectionTimeoutError():
            return _UnreachableError(host, "timeout", f"the host does not pick up: {error}")
        case TimeoutError():
            return fetch_error("timeout", "no complete answer in time")
        case aiohttp.ClientPayloadError() if "ConnectionResetError" not in str(error):
            return fetch_error("truncated", "the answer is shorter than it promised, or damaged", 200)
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return fetch_error("bad_answer", f"not valid HTTP: {error.message[:200]}")
        case aiohttp.InvalidURL() | ValueError():
            return fetch_error("bad_url", f"not a complete http or https address: {error}")
        case _:
            return fetch_error("reset", f"the connection broke off: {error}")


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Return the seconds that a host asks to wait, given as seconds or as a date; None where it does not."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, from a notebook too, whose thread already runs a loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
