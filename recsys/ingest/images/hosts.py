"""How one host is treated: as fast as it answers well, more gently when it does not, left alone when it is down.

Concurrency   starts at 8 requests at once, doubles with each window of good answers until the host first objects,
              grows by an eighth of itself after that, and shrinks by a third when the host says 429 or 503 or when
              most requests stay without an answer.
Patience      how long an answer may take to begin is learned from the host as TCP learns its time-out (RFC 6298): the
              smoothed mean of its response times plus four times their deviation, at least half a second, doubled with
              each attempt at a URL, at most `images.timeout_s`. A host that answers in 0.2 s is not waited for 10 s.
              A request that takes longer than usual gives its slot to another while it waits, and one for a URL that
              stayed without an answer before does so at once.
Pace          `images.rate_per_host`, where set, and Retry-After of a host that objects to many requests.
Down          a host that gave no sign of life so many times on end is asked no more until another batch begins.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools

from recsys.core.configuration import Images

START = 8
"""Requests at once to a host that nothing is known of."""

SLOWER = 2 / 3
"""What is left of the concurrency when a host objects."""

OBJECTIONS = 0.05
"""Share of 429 and 503 among a window's answers, from which on the host means us and not one URL."""

BY_CHANCE = 2.0
"""Standard deviations above that share, which a window of few answers must pass: with one URL in fifty that objects, a
window of 42 would else have three of them every twentieth time, and each pause costs a second."""

SILENCES = 0.5
"""Share of requests without an answer, from which on the host is slow and not a few of its URLs dead."""

KNOWN_AFTER = 8
"""Answers, before the host's usual response time is trusted."""

LEAST_PATIENCE_S = 0.5
"""A host that answers at once may have a hiccup of its own, or this machine one. RFC 6298, 2.4 has a second and says
that it is much; Linux has a fifth. Over three attempts it makes 3.5 s without a sign of life."""

DOWN_AFTER = 10
"""Attempts on end that a host must leave without a sign of life to count as down."""


class Host:
    """What is known of one host and port, shared by all batches of a process that ask it.

    Attributes:
        limit: requests that it may have under way at once.
        down: whether it is asked no more.
        times_down: how many times it went down.
    """

    def __init__(self, settings: Images) -> None:
        self._settings = settings
        self.limit = float(min(START, settings.concurrency_per_host))
        self.down = False
        self.times_down = 0
        self.checking = asyncio.Lock()  # whether it is down
        self._active = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []  # a heap, the earliest order first
        self._arrival = itertools.count()
        self._not_before = 0.0  # loop time of the next request
        self._mean: float | None = None  # seconds from the request to the head of its answer
        self._deviation = 0.0
        self._answers = 0
        self._stretch = 1.0  # of the patience, while most requests stay without an answer
        self._without_life = 0  # attempts on end
        self._objected = False  # ever
        self._asked_to_wait = 0.0  # seconds, the longest Retry-After of the window
        self._window()

    # -- slots ----------------------------------------------------------------------------------------------------

    def slot(self, order: int, silent_before: bool = False) -> Slot:
        """Return a context that holds one of the host's slots; of those who wait, the lowest order comes first.

        While it waits for an answer for longer than the host usually takes, another may have it; at once where the URL
        has stayed without an answer before, as it mostly will again.
        """
        return Slot(self, order, silent_before)

    async def enter(self, order: int) -> None:
        """Wait for a slot, and for the host's pace."""
        loop = asyncio.get_running_loop()
        if self._waiting or self._active >= int(self.limit):
            turn: asyncio.Future[None] = loop.create_future()
            heapq.heappush(self._waiting, (order, next(self._arrival), turn))
            self._admit()
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.leave()
                raise
        else:
            self._active += 1
        start = max(loop.time(), self._not_before)
        if self._settings.rate_per_host:
            self._not_before = start + 1 / self._settings.rate_per_host
        if start > loop.time() and not self.down:
            try:
                await asyncio.sleep(start - loop.time())
            except asyncio.CancelledError:
                self.leave()
                raise

    def leave(self) -> None:
        """Give a slot back."""
        self._active -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._active < int(self.limit):
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._active += 1
                turn.set_result(None)

    # -- patience -------------------------------------------------------------------------------------------------

    @property
    def usual(self) -> float | None:
        """The seconds within which its answers usually begin; None while too few have come."""
        return None if self._mean is None or self._answers < KNOWN_AFTER else self._mean + 4 * self._deviation

    def patience(self, attempt: int) -> float:
        """Return the seconds that the answer to the n-th attempt (from 0) at a URL may take to begin."""
        most = self._settings.timeout_s
        if self.usual is None:
            return most
        return min(most, max(LEAST_PATIENCE_S, self.usual) * self._stretch * 2**attempt)

    # -- what comes back ------------------------------------------------------------------------------------------

    def answered(self, seconds: float, code: int, retry_after: float | None) -> None:
        """Take note of an answer: its head came after so many seconds, with this status code."""
        self._without_life = 0
        self._answers += 1
        if self._mean is None:
            self._mean, self._deviation = seconds, seconds / 2
        else:
            self._deviation += (abs(seconds - self._mean) - self._deviation) / 4
            self._mean += (seconds - self._mean) / 8
        if code in (429, 503):
            self._objections += 1
            self._asked_to_wait = max(self._asked_to_wait, retry_after or 0.0)
        self._ended += 1
        self._adapt()

    def silent(self, again: bool = False) -> None:
        """Take note of a request whose answer did not begin in time; `again`: as that URL's before.

        That says nothing new of how fast the host is: such requests hold no slots, so many may end together.
        """
        self._without_life += 1
        if again:
            return
        self._silences += 1
        self._ended += 1
        self._adapt()

    def refused(self) -> None:
        """Take note of a connection that did not come about."""
        self._without_life += 1
        if self._without_life >= DOWN_AFTER:
            self.is_down()

    @property
    def seems_down(self) -> bool:
        """Whether it gave no sign of life for long enough to ask whether it lives at all."""
        return self._without_life >= DOWN_AFTER

    def is_down(self) -> None:
        """Ask it no more."""
        if not self.down:
            self.down = True
            self.times_down += 1

    def lives(self) -> None:
        """Take note that it lives, and that the silence is that of a few URLs."""
        self._without_life = 0
        self._stretch = 1.0
        self._window()

    def suspect(self) -> None:
        """Ask it once more, and take it for down at the first refusal."""
        self.down = False
        self._without_life = DOWN_AFTER - 1

    # -- concurrency ----------------------------------------------------------------------------------------------

    def _window(self) -> None:
        self._ended = self._objections = self._silences = 0
        self._asked_to_wait = 0.0

    def _adapt(self) -> None:
        """At the end of a window, as many requests as may be under way at once: more, or less."""
        many = self._ended >= max(self.limit, START)
        expected = OBJECTIONS * max(self.limit, self._ended)
        if self._objections > max(2.0, expected + BY_CHANCE * expected**0.5):
            self._slow_down()
            loop = asyncio.get_running_loop()
            wait = min(self._asked_to_wait, self._settings.retry_after_max_s)
            self._not_before = max(self._not_before, loop.time() + wait)
        elif many and self._silences > SILENCES * self._ended:
            self._slow_down()
            self._stretch *= 2
        elif many:
            self._stretch = 1.0
            if self._waiting:  # else more would be of no use
                most = self._settings.concurrency_per_host
                self.limit = min(most, self.limit * (9 / 8 if self._objected else 2))
                self._admit()
        else:
            return
        self._window()

    def _slow_down(self) -> None:
        self._objected = True
        self.limit = max(1.0, self.limit * SLOWER)


class Slot:
    """One slot of a host, given back at the end, or sooner when no answer has come in the usual time."""

    def __init__(self, host: Host, order: int, silent_before: bool) -> None:
        self._host, self._order, self._silent_before = host, order, silent_before
        self._held = False
        self._overdue: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Slot:
        await self._host.enter(self._order)
        self._held = True
        if (usual := self._host.usual) is not None:
            wait = 0.0 if self._silent_before else usual
            self._overdue = asyncio.get_running_loop().call_later(wait, self._leave)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.answered()
        self._leave()

    def answered(self) -> None:
        """Keep it to the end: the answer has come."""
        if self._overdue is not None:
            self._overdue.cancel()

    def _leave(self) -> None:
        if self._held:
            self._held = False
            self._host.leave()
