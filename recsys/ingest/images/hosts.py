"""The rules for one host: how many requests at once, how long to wait for an answer, when it counts as down.

Concurrency   starts at 8 requests, doubles after each window of good answers until the host answers 429 or 503 too
              often, then grows by an eighth per window. It shrinks by a third when too many answers of a window are
              429 or 503, or when most requests of a window get no answer.
Patience      the time that an answer may take to begin. It is learned from the host as TCP learns its time-out
              (RFC 6298): the smoothed mean of the response times plus four times their deviation, at least 0.5 s,
              doubled with each attempt at a URL, at most `images.timeout_s`. With `images.attempts = 1` an answer has
              the whole `images.timeout_s`, because no other attempt corrects a patience that was too short.
Slots         a request that gets no answer in the usual time gives its slot to another request while it waits. A
              request for a URL that stayed without an answer before does so at once.
Pace          `images.rate_per_host`, and the Retry-After of a host that answers 429 or 503 too often.
Down          after 10 attempts in a row without a sign of life, the host gets no request until the next batch.
"""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass

from recsys.core.configuration import Images

START = 8
"""Concurrency of a host at first, requests."""

SHRINK = 2 / 3
"""Factor of the concurrency when the host is overloaded."""

OBJECTION_SHARE = 0.1
OBJECTIONS = 2
"""Share and number of 429 and 503 among the answers of a window, above which the host is overloaded. Below, only single
URLs answer so: with one such URL in fifty, a window has more than this once in some hundred windows."""

SILENCE_SHARE = 0.5
"""Share of requests without an answer in a window, above which the host is slow and not some of its URLs dead."""

KNOWN_AFTER = 8
"""Answers before the usual response time of a host is used."""

LEAST_PATIENCE_S = 0.5
"""Shortest patience, seconds: a short pause of the host or of this machine is no failure. RFC 6298, 2.4 has 1 s, and
notes that it is conservative."""

DOWN_AFTER = 10
"""Attempts in a row without a sign of life, after which a host may be down."""


class ResponseTime:
    """The usual time from a request to the head of its answer (RFC 6298, 2)."""

    def __init__(self) -> None:
        self._answers = 0
        self._mean = self._deviation = 0.0

    def add(self, seconds: float) -> None:
        """Learn from one answer."""
        if self._answers:
            self._deviation += (abs(seconds - self._mean) - self._deviation) / 4
            self._mean += (seconds - self._mean) / 8
        else:
            self._mean, self._deviation = seconds, seconds / 2
        self._answers += 1

    @property
    def usual(self) -> float | None:
        """The seconds within which answers usually begin; None before the first 8 answers."""
        return None if self._answers < KNOWN_AFTER else self._mean + 4 * self._deviation


class Slots:
    """A concurrency limit that can change. Waiting requests enter by priority, lowest first, then in order of arrival.

    Attributes:
        limit: requests that may be in flight; its fraction only matters to further changes.
    """

    def __init__(self, limit: float) -> None:
        self.limit = float(limit)
        self._in_flight = 0
        self._queue: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = itertools.count()

    @property
    def has_queue(self) -> bool:
        """Whether requests wait, so that a higher limit is of use."""
        return bool(self._queue)

    async def acquire(self, priority: int) -> None:
        """Wait for a slot."""
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (priority, next(self._arrivals), admitted))
        self._admit()
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give a slot back."""
        self._in_flight -= 1
        self._admit()

    def resize(self, limit: float) -> None:
        """Change the limit; requests in flight go on."""
        self.limit = limit
        self._admit()

    def _admit(self) -> None:
        while self._queue and self._in_flight < int(self.limit):
            _, _, admitted = heapq.heappop(self._queue)
            if not admitted.done():  # else its request was cancelled
                self._in_flight += 1
                admitted.set_result(None)


class Slot:
    """One acquired slot, released at the end of its request, or earlier when the answer is late."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._is_held = True
        self._timer: asyncio.TimerHandle | None = None

    def release_after(self, seconds: float) -> None:
        """Release the slot after a time, unless `keep` is called before."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self.release)

    def keep(self) -> None:
        """Keep the slot to the end of the request: its answer has come."""
        if self._timer is not None:
            self._timer.cancel()

    def release(self) -> None:
        """Release the slot, if it is still held."""
        self.keep()
        if self._is_held:
            self._is_held = False
            self._slots.release()


@dataclass
class Window:
    """The requests that ended since the last decision about the concurrency.

    Attributes:
        ended: requests, of these objections were answered with 429 or 503, and silences not at all.
        retry_after: the longest Retry-After of the objections, seconds.
    """

    ended: int = 0
    objections: int = 0
    silences: int = 0
    retry_after: float = 0.0


class Host:
    """The state of one host and port, shared by all batches.

    Attributes:
        is_down: the host gets no request.
        times_down: how many times it went down.
        probe_lock: held while the client checks whether the host answers at all.
    """

    def __init__(self, settings: Images) -> None:
        self.is_down = False
        self.times_down = 0
        self.probe_lock = asyncio.Lock()
        self._settings = settings
        self._slots = Slots(min(START, settings.concurrency_per_host))
        self._response_time = ResponseTime()
        self._patience_factor = 1.0  # above 1 while most requests get no answer
        self._next_request_at = 0.0  # loop time
        self._window = Window()
        self._has_objected = False
        self._failures = 0  # attempts in a row without a sign of life

    @property
    def limit(self) -> float:
        """The present concurrency, requests."""
        return self._slots.limit

    @contextlib.asynccontextmanager
    async def slot(self, priority: int, was_silent: bool = False) -> AsyncIterator[Slot]:
        """Hold one of the host's slots, after a wait for it and for the pace.

        Args:
            priority: of the requests that wait, the lowest comes first.
            was_silent: whether the URL stayed without an answer before; it will mostly do so again.
        """
        await self._slots.acquire(priority)
        slot = Slot(self._slots)
        try:
            await self._keep_pace()
            if (usual := self._response_time.usual) is not None:
                slot.release_after(0.0 if was_silent else usual)
            yield slot
        finally:
            slot.release()

    async def _keep_pace(self) -> None:
        now = asyncio.get_running_loop().time()
        start = max(now, self._next_request_at)
        if self._settings.rate_per_host:
            self._next_request_at = start + 1 / self._settings.rate_per_host
        if start > now and not self.is_down:
            await asyncio.sleep(start - now)

    def patience(self, attempt: int) -> float:
        """Return the seconds that the answer to the n-th attempt (from 0) at a URL may take to begin."""
        usual = self._response_time.usual
        if usual is None or self._settings.attempts == 1:
            return self._settings.timeout_s
        return min(self._settings.timeout_s, max(LEAST_PATIENCE_S, usual) * self._patience_factor * 2**attempt)

    def answered(self, seconds: float, code: int, retry_after: float | None) -> None:
        """Record an answer: the seconds until its head came, its status code and its Retry-After."""
        self._failures = 0
        self._response_time.add(seconds)
        if code in (429, 503):
            self._window.objections += 1
            self._window.retry_after = max(self._window.retry_after, retry_after or 0.0)
        self._window.ended += 1
        self._adapt()

    def silent(self, was_silent: bool = False) -> None:
        """Record a request without an answer in time.

        Args:
            was_silent: whether the URL stayed without an answer before. Then it says nothing new about the host's
                speed: such requests hold no slots, so many can end together.
        """
        self._failures += 1
        if not was_silent:
            self._window.silences += 1
            self._window.ended += 1
            self._adapt()

    def refused(self) -> None:
        """Record a connection that failed."""
        self._failures += 1
        if self.seems_down:
            self.mark_down()

    @property
    def seems_down(self) -> bool:
        """Whether the last 10 attempts gave no sign of life."""
        return self._failures >= DOWN_AFTER

    def mark_down(self) -> None:
        """Send no more requests."""
        if not self.is_down:
            self.is_down = True
            self.times_down += 1

    def mark_alive(self) -> None:
        """Mark the host as reachable: only some of its URLs get no answer."""
        self._failures = 0
        self._patience_factor = 1.0
        self._window = Window()

    def suspect(self) -> None:
        """Send requests again, until the first refusal."""
        self.is_down = False
        self._failures = DOWN_AFTER - 1

    def _adapt(self) -> None:
        """Change the concurrency at the end of a window, or earlier when the host objects too often."""
        window, limit = self._window, self._slots.limit
        is_complete = window.ended >= max(limit, START)
        if window.objections > max(OBJECTIONS, OBJECTION_SHARE * max(limit, window.ended)):
            self._slow_down()
            wait = min(window.retry_after, self._settings.retry_after_max_s)
            self._next_request_at = max(self._next_request_at, asyncio.get_running_loop().time() + wait)
        elif not is_complete:
            return
        elif window.silences > SILENCE_SHARE * window.ended:
            self._slow_down()
            self._patience_factor *= 2
        else:
            self._patience_factor = 1.0
            if self._slots.has_queue:
                growth = 9 / 8 if self._has_objected else 2
                self._slots.resize(min(self._settings.concurrency_per_host, limit * growth))
        self._window = Window()

    def _slow_down(self) -> None:
        self._has_objected = True
        self._slots.resize(max(1.0, self._slots.limit * SHRINK))
