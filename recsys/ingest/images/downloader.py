"""From products to outcomes: batches, the URLs of a product in turn, and the budget of attempts of each URL.

The rules: a permanent failure is final. A failure that may pass is retried with exponential backoff until the URL's
budget of attempts is spent. Then the next URL of the product is tried. A host that is down as a whole spends no budget:
it gets no more requests and its products stay pending. A product whose deadline has passed stays pending too.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from recsys.core.errors import FetchError, PermanentFetchError, TransientFetchError
from recsys.ingest.addresses import parse
from recsys.ingest.causes import Status, fetch_error
from recsys.ingest.images.client import Attempt, Client, Deadline
from recsys.ingest.images.files import is_file, read_image_file
from recsys.ingest.images.item import Item, Known, Outcome
from recsys.ingest.images.pool import SquaringPool
from recsys.ingest.images.response import NoAnswerError
from recsys.vision.square import SquaredImage

ITEMS_PER_CONNECTION = 12
"""Products in progress per connection, those included that wait for a slot, for a retry or to be squared."""


@dataclass
class Trial:
    """The attempts at one URL, and the result: an image, an unchanged image, or an error.

    Attributes:
        attempts: over all runs, that failed for a cause that may pass and that count.
        unanswered: attempts of this batch without a sign of life; they count unless the whole host is down.
        is_late: the product's deadline ended the attempts.
        placeholder: digest of the picture, when it is one that stands for "no image available".
    """

    url: str
    attempts: int = 0
    unanswered: int = 0
    is_late: bool = False
    is_unchanged: bool = False
    placeholder: str | None = None
    image: SquaredImage | None = None
    error: FetchError | None = None
    ended_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def host_is_down(self) -> bool:
        """Whether the failure is that of the whole host."""
        return isinstance(self.error, NoAnswerError) and self.error.host_went_down

    @property
    def is_ok(self) -> bool:
        """Whether the URL has an image."""
        return self.is_unchanged or self.image is not None

    @property
    def attempts_that_count(self) -> int:
        """Attempts to store in the ledger."""
        return self.attempts + (0 if self.host_is_down else self.unanswered)

    def succeed(self, image: SquaredImage | None) -> None:
        """Record an image; None stands for an unchanged one."""
        self.image, self.is_unchanged, self.error = image, image is None, None

    def fail(self, error: FetchError) -> None:
        """Record a failed attempt."""
        self.error = error
        if isinstance(error, NoAnswerError):
            self.unanswered += 1
        elif isinstance(error, TransientFetchError):
            self.attempts += 1

    def is_over(self, budget: int) -> bool:
        """Return whether a failed URL gets no further attempt."""
        is_permanent = isinstance(self.error, PermanentFetchError)
        return is_permanent or self.host_is_down or self.attempts + self.unanswered >= budget


class Downloader:
    """Downloads and squares the images of products. All batches share the client and the pool."""

    def __init__(self, client: Client, pool: SquaringPool) -> None:
        self._client, self._pool = client, pool
        self._batches = 0
        self._admission = asyncio.Lock()  # batches start one after another
        self._room = asyncio.Semaphore(ITEMS_PER_CONNECTION * client.settings.connections)

    async def fetch_batch(
        self, items: Sequence[Item], on_progress: Callable[[str], None], placeholders: frozenset[str], folder: str
    ) -> list[Outcome]:
        """Return the outcome of each item, in their order. Arguments as `fetch_images`."""
        self._recheck_hosts(items)
        batch = Batch(self._client, self._pool, self._batches, on_progress, placeholders, folder)
        self._batches += 1
        tasks: list[asyncio.Task[list[Trial]]] = []
        try:
            async with self._admission:
                for item in items:
                    await self._room.acquire()
                    tasks.append(task := asyncio.create_task(batch.fetch(item)))
                    task.add_done_callback(lambda _: self._room.release())
            trials = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        # Only now, because a host can turn out to be down after the last attempt at an item.
        return [outcome(item, trials_of_item) for item, trials_of_item in zip(items, trials, strict=True)]

    def _recheck_hosts(self, items: Sequence[Item]) -> None:
        """Give the hosts that are down, or were in an earlier run, one more chance."""
        for host in self._client.hosts.values():
            if host.is_down:
                host.suspect()
        for item in items:
            if item.host_was_down and item.urls:
                with contextlib.suppress(FetchError):
                    address = parse(item.urls[0])
                    if not self._client.knows(address):
                        self._client.host(address).suspect()


@dataclass(frozen=True)
class Batch:
    """The items of one call of `fetch_images`.

    Attributes:
        number: earlier batches get a host's slots first.
        folder: folder whose files may be used.
    """

    client: Client
    pool: SquaringPool
    number: int
    on_progress: Callable[[str], None]
    placeholders: frozenset[str]
    folder: str

    async def fetch(self, item: Item) -> list[Trial]:
        """Try the URLs of an item until one has an image; return the trials, the last of which has it."""
        trials: list[Trial] = []
        deadline = Deadline(self.client.settings.deadline_s)
        for number, url in enumerate(item.urls):
            trial = Trial(url, attempts=item.attempts if number == 0 else 0)
            trials.append(trial)
            if deadline.left <= 0:
                trial.is_late, trial.error = True, fetch_error("timeout", "the product's deadline passed before")
                break
            known = item.known if item.known and item.known.url == url else None
            await self._try(trial, deadline, known)
            trial.ended_at = datetime.now(UTC)
            if trial.is_ok or trial.is_late:
                break
        self.on_progress(status_of(trials))
        return trials

    async def _try(self, trial: Trial, deadline: Deadline, known: Known | None) -> None:
        """Attempt a URL until it succeeds, fails for good, has spent its budget or the deadline passes."""
        for number in range(self.client.settings.attempts):
            try:
                image = await self._attempt(trial, number, deadline, known)
                trial.succeed(image)
                return
            except FetchError as error:
                trial.fail(error)
            if trial.is_over(self.client.settings.attempts):
                return
            wait = self._backoff(number, trial.error)
            if wait >= deadline.left:
                trial.is_late = True
                return
            with deadline:
                await asyncio.sleep(wait)

    def _backoff(self, number: int, error: FetchError | None) -> float:
        """Return the seconds before the next attempt: the Retry-After of the host, else doubling with jitter."""
        if error is not None and error.cause == "timeout":
            return 0.0  # the host was waited for already
        if error is not None and error.retry_after is not None:
            return min(error.retry_after, self.client.settings.retry_after_max_s)
        return self.client.settings.backoff_s * 2**number * random.uniform(0.5, 1.5)

    async def _attempt(self, trial: Trial, number: int, deadline: Deadline, known: Known | None) -> SquaredImage | None:
        """Return the squared image of one attempt; None when it is unchanged.

        The host's slot is held until the picture has its place in the pool's queue, which bounds what waits in memory.
        """
        if self.folder and is_file(trial.url):
            return await self._read_file(trial)
        address = parse(trial.url)
        host = self.client.host(address)
        was_silent = trial.unanswered > 0
        async with contextlib.AsyncExitStack() as memory:
            async with host.slot(self.number, was_silent) as slot, self.client.connections:
                if host.is_down:
                    raise NoAnswerError(host, "host_down", f"{address.host} is down")
                attempt = Attempt(self.client, number, slot, deadline, known, was_silent, memory)
                try:
                    download = await attempt.run(address)
                except NoAnswerError as error:
                    await self.client.probe(address, error.host)
                    raise
                if download is None:
                    return None
                squared = await self.pool.put(download.body)
            image = await squared
        self._require_no_placeholder(trial, image)
        return replace(image, etag=download.etag, last_modified=download.last_modified)

    async def _read_file(self, trial: Trial) -> SquaredImage:
        """Return the squared image of a file of the catalogue's image folder."""
        settings = self.client.settings
        async with self.client.connections:
            body = await asyncio.to_thread(read_image_file, trial.url, self.folder, settings.max_bytes)
            squared = await self.pool.put(body)
        image = await squared
        self._require_no_placeholder(trial, image)
        return image

    def _require_no_placeholder(self, trial: Trial, image: SquaredImage) -> None:
        if image.digest in self.placeholders:
            trial.placeholder = image.digest
            raise fetch_error("placeholder", "many other products have the same picture", 200)


def status_of(trials: Sequence[Trial]) -> Status:
    """Return the status of an item: pending while the whole host or the deadline is the reason of a failure."""
    if trials and trials[-1].is_ok:
        return "ok"
    return "pending" if any(trial.host_is_down or trial.is_late for trial in trials) else "broken"


def outcome(item: Item, trials: Sequence[Trial]) -> Outcome:
    """Return the outcome of an item: that of the URL with an image, else of the first at a host that is down, else of
    the last."""
    if not trials:
        return Outcome(item.product_id, "broken", "no_url", None, 0, datetime.now(UTC), None)
    status, trial = status_of(trials), trials[-1]
    cause: str | None = None
    http_code: int | None = 304 if trial.is_unchanged else 200
    if status != "ok":
        if at_down_host := [trial for trial in trials if trial.host_is_down]:
            trial, cause, http_code = at_down_host[0], "host_down", None
        elif trial.error:
            cause, http_code = trial.error.cause, trial.error.http_code
    return Outcome(
        product_id=item.product_id,
        status=status,
        cause=cause,
        http_code=http_code,
        attempts=trial.attempts_that_count,
        checked_at=trial.ended_at,
        url=trial.url,
        image=trial.image,
        placeholder=trial.placeholder,
    )
