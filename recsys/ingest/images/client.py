"""The HTTP client of one process.

All batches that it fetches at the same time share one event loop, its connections (kept alive), and what it has learned
of each host (`hosts`). A batch that only waits for its last slow links costs nothing, so others go on meanwhile.

The rules: a permanent fault is final, a passing one is retried with exponential backoff until the URL's budget of
attempts is spent, and the next URL of the product is tried when one is broken. A host that is down as a whole
spends nobody's budget: it is asked no more and its items stay pending. A product whose deadline has passed stays
pending too, with what it has spent.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
import cv2
from aiohttp import ClientRequest
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.tracing import Trace
from yarl import URL

from recsys.core.configuration import Images
from recsys.core.errors import FetchError, PermanentFetchError, TransientFetchError
from recsys.ingest.addresses import checked, literal, parse
from recsys.ingest.causes import Status, fetch_error
from recsys.ingest.images.hosts import Host
from recsys.ingest.images.item import Item, Known, Outcome
from recsys.vision.square import SquaredImage, square_image

CONNECT_SHARE = 0.5
"""Of an attempt's time-out, for connecting: a host that takes longer to pick up is not answering."""

KEEP_ALIVE_S = 4.0
"""An idle connection is given up before the server does so (Apache and Node.js: 5 s) and breaks the next request."""

READ_BUFFER = 1 << 17
"""Bytes that a connection takes in before it has to be read: most images as a whole."""

LARGE_BODY = 1 << 20
LARGE_BODIES = 4
"""Bodies over a megabyte that are held at once; others wait for their turn, so that memory has a bound."""

JPEG = b"\xff\xd8\xff"
SMALL_JPEG = 1 << 18
"""Bytes, up to which a JPEG is squared in a few milliseconds, whatever it holds."""

DECODERS = 2
"""Threads for all other pictures, so that none keeps the loop from the network."""

PLACES = 12
"""Times its connections that a process has products under way, those included that wait to be squared."""

AHEAD = 112 << 20
"""Bytes of small JPEGs that may wait to be squared. So the network runs seconds ahead of the decoder, and a batch's
links that stay silent have had most of their time when its last picture is squared."""

REDIRECTS = {301, 302, 303, 307, 308}

OPT_OUT = {"noai", "noimageai", "noindex", "noimageindex", "none"}
"""Directives of X-Robots-Tag that forbid what we do with a picture."""


class _NoLifeError(TransientFetchError):
    """The host gave no sign of life: it may be the host's fault as a whole, and not this URL's."""

    def __init__(self, host: Host, cause: str, message: str) -> None:
        super().__init__(cause, message)
        self.host, self.times_down = host, host.times_down - host.down

    @property
    def host_went_down(self) -> bool:
        """Whether the host turned out to be down, then or since."""
        return self.host.times_down > self.times_down


@dataclass
class _Trial:
    """What one URL came to: an image, an unchanged one, or an error.

    Attributes:
        attempts: that failed for a passing cause, over all runs, and count.
        unanswered: attempts of this batch without a sign of life; they count unless the host is down.
        late: whether the product's deadline ended it.
    """

    url: str
    attempts: int = 0
    unanswered: int = 0
    late: bool = False
    unchanged: bool = False
    placeholder: str | None = None
    image: SquaredImage | None = None
    error: FetchError | None = None
    ended: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def host_is_down(self) -> bool:
        """Whether the host is to blame, all of it, and not this URL."""
        return isinstance(self.error, _NoLifeError) and self.error.host_went_down

    @property
    def spent(self) -> int:
        """The attempts that count."""
        return self.attempts + (0 if self.host_is_down else self.unanswered)


@dataclass(frozen=True)
class _Answer:
    body: bytes
    etag: str | None
    last_modified: str | None


class _Deadline:
    """The seconds that a product has for all its URLs, attempts and waits, which run while this context is entered.

    The wait for a slot is not its own.
    """

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    def __enter__(self) -> None:
        self.left += time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.left -= time.monotonic()


class _Resolver(AbstractResolver):
    """Resolves names for aiohttp, which then connects to just these addresses.

    aiohttp does not resolve what is an IP address already: give those to `checked`.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = tuple(allowed)
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host that may be connected to. Errors as `require_public`, and OSError."""
        found = await self._resolver.resolve(host, port, family)
        good = checked(host, port, [entry["host"] for entry in found], self._allowed)
        return [entry for entry in found if entry["host"] in good]

    async def close(self) -> None:
        """Let go of the resolver."""
        await self._resolver.close()


class _Connector(aiohttp.TCPConnector):
    """Tells whoever asks when the connection is there, new or kept alive; aiohttp's own traces cost a tenth more."""

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        connection = await super().connect(req, traces, timeout)
        if told := _connected.get():
            told()
        return connection


_connected: ContextVar[Callable[[], None] | None] = ContextVar("_connected", default=None)


class _Backlog:
    """Bytes that wait for their turn. Who brings more than there is room for waits, in the order of arrival."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self, size: int) -> None:
        if self._room <= 0:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self.leave(0)  # if it was its turn, it is the next one's
                raise
        self._room -= size

    def leave(self, size: int) -> None:
        self._room += size
        while self._waiting and self._room > 0:
            turn = self._waiting.popleft()
            if not turn.done():  # else its batch was given up
                turn.set_result(None)
                break


class Client:
    """The event loop in a thread of its own, its connections, and the threads that decode what takes long."""

    ended = False  # it lasts until it is closed

    def __init__(self, settings: Images) -> None:
        self.settings = settings
        self.hosts: dict[str, Host] = {}
        self.batches = 0
        cv2.setNumThreads(1)  # for a square of 256 pixels, threads cost more than they bring
        self.decoders = ThreadPoolExecutor(DECODERS, "decode")
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)
        self._thread.start()
        self._started.result()

    def submit(
        self, items: Sequence[Item], on_progress: Callable[[str], None], placeholders: frozenset[str]
    ) -> Future[list[Outcome]]:
        """Begin to fetch; the result is the outcome of each item, in their order. Safe to call from many threads.

        Args:
            items: what to fetch.
            on_progress: called with the status of each item as it ends, from another thread.
            placeholders: digests of pictures that stand for "no image available".
        """
        return asyncio.run_coroutine_threadsafe(self._fetch_all(items, on_progress, placeholders), self.loop)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    def close(self) -> None:
        """Close the connections and end the thread."""
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        settings = self.settings
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.open = asyncio.Semaphore(settings.connections)
        self.admission = asyncio.Lock()  # batches begin one after the other, as their places come free
        self.places = asyncio.Semaphore(PLACES * settings.connections)
        self.ahead = _Backlog(AHEAD)
        self.decoding = asyncio.Lock()  # one picture between two looks at the network
        self.large = asyncio.Semaphore(LARGE_BODIES)
        connector = _Connector(
            limit=0,  # the slots limit
            keepalive_timeout=KEEP_ALIVE_S,
            resolver=_Resolver(settings.allow_hosts),
        )
        self.session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": settings.user_agent, "Accept": "image/*,*/*;q=0.8", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, connect=settings.timeout_s * CONNECT_SHARE),
            read_bufsize=READ_BUFFER,
        )
        self.session._retry_connection = False  # aiohttp would ask twice in one attempt, past the budget
        async with self.session:
            self._started.set_result(None)
            await self._stop.wait()
        self.decoders.shutdown(wait=False, cancel_futures=True)

    # -- a batch --------------------------------------------------------------------------------------------------

    async def _fetch_all(
        self, items: Sequence[Item], on_progress: Callable[[str], None], placeholders: frozenset[str]
    ) -> list[Outcome]:
        """Return the outcome of each item, in their order."""
        self._ask_anew(items)
        batch, self.batches = self.batches, self.batches + 1

        async def fetch(item: Item) -> list[_Trial]:
            trials = await self._fetch(item, batch, placeholders)
            on_progress(_status(trials))
            return trials

        tasks: list[asyncio.Task[list[_Trial]]] = []
        try:
            async with self.admission:
                for item in items:
                    await self.places.acquire()
                    tasks.append(task := asyncio.create_task(fetch(item)))
                    task.add_done_callback(lambda _: self.places.release())
            trials = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        # Judged when all is over: a host may turn out to be down after an item's last attempt.
        return [_judge(item, its) for item, its in zip(items, trials, strict=True)]

    def _ask_anew(self, items: Sequence[Item]) -> None:
        """Give hosts that are down another chance, but no long one."""
        for host in self.hosts.values():
            if host.down:
                host.suspect()
        for item in items:
            if item.host_was_down and item.urls:
                with contextlib.suppress(FetchError):
                    address = parse(item.urls[0])
                    if _key(address) not in self.hosts:
                        self.host(address).suspect()

    def host(self, address: URL) -> Host:
        """Return what is known of the host and port of an address."""
        key = _key(address)
        if key not in self.hosts:
            self.hosts[key] = Host(self.settings)
        return self.hosts[key]

    async def _fetch(self, item: Item, batch: int, placeholders: frozenset[str]) -> list[_Trial]:
        """Try the URLs of an item until one gives an image; the last trial has it, if any has."""
        trials: list[_Trial] = []
        deadline = _Deadline(self.settings.deadline_s)
        for number, url in enumerate(item.urls):
            trial = _Trial(url, attempts=item.attempts if number == 0 else 0)
            trials.append(trial)
            if deadline.left <= 0:
                trial.late, trial.error = True, fetch_error("timeout", "the product's time was over before it")
                break
            known = item.known if item.known and item.known.url == url else None
            await self._try(trial, batch, deadline, known, placeholders)
            trial.ended = datetime.now(UTC)
            if trial.image or trial.unchanged or trial.late:
                break
        return trials

    async def _try(
        self, trial: _Trial, batch: int, deadline: _Deadline, known: Known | None, placeholders: frozenset[str]
    ) -> None:
        """Ask for one URL until it succeeds, fails for good, its budget is spent or its host is down."""
        for retry in range(self.settings.attempts):
            try:
                attempt = _Attempt(self, trial.url, retry, deadline, known, silent_before=trial.unanswered > 0)
                download = await attempt.run(batch)
                if download is None:
                    trial.unchanged, trial.error = True, None
                elif download.digest in placeholders:
                    trial.placeholder = download.digest
                    raise fetch_error("placeholder", "many other products have the same picture", 200)
                else:
                    trial.image, trial.error = download, None
                return
            except PermanentFetchError as error:
                trial.error = error
                return
            except _NoLifeError as error:
                trial.error = error
                trial.unanswered += 1
            except TransientFetchError as error:
                trial.error = error
                trial.attempts += 1
            if trial.host_is_down or trial.attempts + trial.unanswered >= self.settings.attempts:
                return
            # Where the host left us waiting for an answer, that was the wait.
            wait = 0.0 if trial.error.cause == "timeout" else self._backoff(retry, trial.error)
            if wait >= deadline.left:
                trial.late = True
                return
            with deadline:
                await asyncio.sleep(wait)

    def _backoff(self, retry: int, error: FetchError) -> float:
        """Return the seconds before the next attempt: what the host asked for, else doubling, with jitter."""
        if error.retry_after is not None:
            return min(error.retry_after, self.settings.retry_after_max_s)
        return self.settings.backoff_s * 2**retry * random.uniform(0.5, 1.5)

    async def lives(self, address: URL, host: Host) -> bool:
        """Return whether a host that leaves every request alone answers any: URLs may hang, hosts be down."""
        async with host.checking:
            if not host.seems_down or host.down:
                return not host.down
            began = self.loop.time()
            try:
                async with (
                    asyncio.timeout(self.settings.timeout_s * CONNECT_SHARE),
                    self.session.head(address.origin(), allow_redirects=False) as response,
                ):
                    host.answered(self.loop.time() - began, response.status, None)
            except (TimeoutError, aiohttp.ClientConnectorError):
                host.is_down()
                return False
            except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, FetchError):
                pass  # no good answer, but a sign of life
            host.lives()
            return True


class _Attempt:
    """One request for one URL, with the redirects that it takes."""

    def __init__(
        self, client: Client, url: str, number: int, deadline: _Deadline, known: Known | None, silent_before: bool
    ) -> None:
        self.client, self.settings = client, client.settings
        self.url, self.number, self.deadline, self.known = url, number, deadline, known
        self.silent_before = silent_before
        self.has_large = False
        self.unanswered: Host | None = None  # that was asked and has not begun to answer
        self.asked = 0.0  # loop time

    async def run(self, order: int) -> SquaredImage | None:
        """Return the image; None where it is unchanged.

        A slot of the host is held until the image is squared or has a place in the backlog, which bounds what waits in
        memory.
        """
        address = parse(self.url)
        host = self.client.host(address)
        async with host.slot(order, self.silent_before) as self.slot, self.client.open:
            if host.down:
                raise _NoLifeError(host, "host_down", f"{address.host} is down")
            try:
                answer = await self._download(address)
                if answer is None:
                    return None
                small = len(answer.body) <= SMALL_JPEG and answer.body.startswith(JPEG)
                if small:
                    await self.client.ahead.enter(len(answer.body))
                else:
                    image = await self._squared_aside(answer.body)
            except _NoLifeError as error:
                if error.host.seems_down:
                    await self.client.lives(address, error.host)
                raise
            finally:
                if self.has_large:
                    self.client.large.release()
        if small:
            image = await self._squared_here(answer.body)
        return replace(image, etag=answer.etag, last_modified=answer.last_modified)

    async def _squared_aside(self, body: bytes) -> SquaredImage:
        """Return a picture squared by a thread."""
        return await self.client.loop.run_in_executor(self.client.decoders, square_image, body, self.settings)

    async def _squared_here(self, body: bytes) -> SquaredImage:
        """Return a picture of the backlog squared in the loop, since handing a small one to a thread costs as much."""
        try:
            async with self.client.decoding:
                await asyncio.sleep(0)
                return square_image(body, self.settings)
        finally:
            self.client.ahead.leave(len(body))

    async def _download(self, address: URL) -> _Answer | None:
        """Return a good answer; None where the image is unchanged.

        One clock runs: to the end of the attempt, but while the head of an answer is waited for, to the end of the
        patience that the host has earned.
        """
        limit = min(self.settings.timeout_s, max(0.0, self.deadline.left))
        self.ends = self.client.loop.time() + limit
        try:
            with self.deadline:
                async with asyncio.timeout_at(self.ends) as self.clock:
                    return await self._get(address)
        except TimeoutError as error:
            if self.unanswered is not None:
                raise self._silence(self.unanswered) from error
            raise fetch_error("timeout", f"no complete answer in {limit:g} s") from error

    async def _get(self, address: URL) -> _Answer | None:
        """Return the answer at an address, following redirects by hand so that each target is checked."""
        seen = {address}
        while True:
            async with await self._ask(address) as response:
                if response.status not in REDIRECTS or "Location" not in response.headers:
                    return await self._answer(response)
                code, target = response.status, response.headers["Location"]
            address = parse(target, address)
            if address in seen or len(seen) > self.settings.max_redirects:
                raise fetch_error("redirect_loop", f"redirected {len(seen)} times, to {address}", code)
            seen.add(address)

    async def _ask(self, address: URL) -> aiohttp.ClientResponse:
        """Return an answer whose head has come, within what the host usually takes."""
        self.unanswered = host = self.client.host(address)
        if literal(str(address.host)):  # names are checked as they are resolved
            checked(str(address.host), address.port or 0, [str(address.host)], self.settings.allow_hosts)
        asking = _connected.set(self._connected)
        try:
            response = await self.client.session.get(
                address, allow_redirects=False, headers=self.known.conditions() if self.known else None
            )
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as error:
            self.unanswered = None
            failure = _failure(error, host)
            if isinstance(failure, _NoLifeError):
                host.refused()
            raise failure from error
        finally:
            _connected.reset(asking)
        self.unanswered = None
        self.slot.answered()
        self.clock.reschedule(self.ends)
        host.answered(self.client.loop.time() - self.asked, response.status, _retry_after(response))
        return response

    def _connected(self) -> None:
        """Begin to wait for the answer, now that the connection is there, a new one or one kept alive."""
        if self.unanswered is not None:
            self.asked = self.client.loop.time()
            self.clock.reschedule(min(self.ends, self.asked + self.unanswered.patience(self.number)))

    def _silence(self, host: Host) -> FetchError:
        host.silent(again=self.silent_before)
        return _NoLifeError(host, "timeout", "no answer in time")

    async def _answer(self, response: aiohttp.ClientResponse) -> _Answer | None:
        """Return a good answer, None where the image is unchanged; raise what any other answer means."""
        code, headers = response.status, response.headers
        if code == HTTPStatus.NOT_MODIFIED and self.known:
            return None
        if not 200 <= code < 300:
            raise fetch_error(f"http_{code}", f"the host answers {code}", code, _retry_after(response))
        if self.settings.obey_robots_tag and _opts_out(headers.getall("X-Robots-Tag", []), self.settings.user_agent):
            raise fetch_error("opted_out", "the host forbids this use of the picture (X-Robots-Tag)", code)
        try:
            body = await self._body(response)
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as error:
            raise _failure(error, self.client.host(response.url)) from error
        return _Answer(body, _validator(headers.get("ETag")), _validator(headers.get("Last-Modified")))

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body, limit = bytearray(), self.settings.max_bytes
        if (response.content_length or 0) <= limit:
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > limit:
                    break
                if len(body) > LARGE_BODY and not self.has_large:
                    await self._wait_for_large()
            else:
                return bytes(body)
        raise fetch_error("too_large", f"it has more than {limit:,} bytes", response.status)

    async def _wait_for_large(self) -> None:
        """Wait until another large body may be held; the clocks stand still meanwhile."""
        began = self.client.loop.time()
        self.clock.reschedule(None)
        await self.client.large.acquire()
        self.has_large = True
        waited = self.client.loop.time() - began
        self.ends += waited
        self.clock.reschedule(self.ends)
        self.deadline.left += waited


def _status(trials: Sequence[_Trial]) -> Status:
    """Return what an item came to: ok by the URL that won, pending while its host or its deadline is to blame."""
    if trials and (trials[-1].image or trials[-1].unchanged):
        return "ok"
    return "pending" if any(trial.host_is_down or trial.late for trial in trials) else "broken"


def _judge(item: Item, trials: Sequence[_Trial]) -> Outcome:
    """Return the outcome of an item: that of the URL that won, else that is pending, else that failed last."""
    if not trials:
        return Outcome(item.product_id, "broken", "no_url", None, 0, datetime.now(UTC), None)
    status, last = _status(trials), trials[-1]
    if status == "ok":
        code = 304 if last.unchanged else 200
        return Outcome(item.product_id, status, None, code, last.spent, last.ended, last.url, last.image)
    for trial in trials:
        if trial.host_is_down:
            return Outcome(item.product_id, status, "host_down", None, trial.spent, trial.ended, trial.url)
    error = last.error
    assert error is not None
    return Outcome(
        product_id=item.product_id,
        status=status,
        cause=error.cause,
        http_code=error.http_code,
        attempts=last.spent,
        checked_at=last.ended,
        url=last.url,
        placeholder=last.placeholder,
    )


def _key(address: URL) -> str:
    return f"{address.host}:{address.port}"


def _failure(error: Exception, host: Host) -> FetchError:
    """Return what an error of the connection to a host means."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return fetch_error("tls", f"no valid certificate: {error}")
        case aiohttp.ClientConnectorDNSError():
            return _NoLifeError(host, "dns", f"the host's name does not resolve: {error}")
        case aiohttp.ClientConnectorError():
            return _NoLifeError(host, "refused", f"the host takes no connection: {error}")
        case aiohttp.ConnectionTimeoutError():
            return _NoLifeError(host, "timeout", f"the host does not pick up: {error}")
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
    if not value:
        return None
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _opts_out(values: Sequence[str], user_agent: str) -> bool:
    """Return whether X-Robots-Tag forbids our use; what it tells another robot by name is not for us."""
    for value in values:
        name, colon, directives = value.partition(":")
        if not colon or "," in name or name.strip().lower() == "unavailable_after":
            directives = value
        elif name.strip().lower() != user_agent.partition("/")[0].strip().lower():
            continue
        if OPT_OUT & {directive.strip().lower() for directive in directives.split(",")}:
            return True
    return False


def _validator(value: str | None) -> str | None:
    """Return an ETag or a date to send back later; None for what is no plain text, or too long to be one."""
    return value if value and value.isascii() and value.isprintable() and len(value) <= 512 else None
