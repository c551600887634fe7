"""Fetching the images of a batch of products over HTTP: each ends ok, broken or pending, none by an exception.

    fetch_images   items → outcomes
    stand_down     when there will be no more for a while

The items of all batches under way are shared among processes (`images.processes`), since decoding takes most of the
time; and what a stranger sends is not decoded where the store is open.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from recsys.core.configuration import Images
from recsys.ingest.images.item import Item, Outcome
from recsys.ingest.images.processes import FetchingProcess, start, tuning

if TYPE_CHECKING:
    from recsys.ingest.images.client import Client

MOST_PROCESSES = 8
"""More than these would wait for the one that writes."""

PART = 64
"""Items of a batch that go to one process: so few that in the end none has much left when the others are done."""

LINGER_S = 10.0
"""Between two batches, as long as all are being written."""


def fetch_images(
    items: Sequence[Item],
    settings: Images,
    on_progress: Callable[[str], None] | None = None,
    placeholders: Collection[str] = (),
) -> list[Outcome]:
    """Return the outcome of each item, in their order; blocks until all are known. Safe to call from many threads.

    Args:
        items: the products of one shard.
        settings: limits, time-outs and budgets.
        on_progress: called with the status of each item as it ends, from another thread.
        placeholders: digests of pictures that stand for "no image available".

    Raises:
        ChildProcessError: the process that fetched them came to an end; nothing of the batch is known.
    """
    with _crew(settings) as crew:
        return crew.fetch(items, on_progress or (lambda status: None), frozenset(placeholders))


def stand_down() -> None:
    """End the processes that wait for another batch, since none is to come soon; what they hold others need."""
    with _opening:
        idle = [(settings, crew) for settings, crew in _crews.items() if not crew.users]
    for settings, crew in idle:
        _close(settings, crew, crew.turns)


class _Crew:
    """Those who fetch with the same settings, and how many items each has to do.

    Attributes:
        users: batches that use it.
        turns: batches that have used it.
        lingers: it is kept for a while after the last one, since starting processes takes seconds.
    """

    def __init__(self, settings: Images) -> None:
        self.users = self.turns = 0
        self.lingers = _processes(settings) > 1
        self._settings = settings
        self._started: list[subprocess.Popen[bytes]] = []
        self._to_do: dict[Client | FetchingProcess, int] = {}
        self._lock = threading.Lock()

    def fetch(
        self, items: Sequence[Item], on_progress: Callable[[str], None], placeholders: frozenset[str]
    ) -> list[Outcome]:
        """Have a batch fetched, each part of it by the one that has the least to do."""
        parts = [items[at : at + PART] for at in range(0, len(items), PART)]
        with self._lock:
            if all(one.ended for one in self._to_do):
                self._start()
            outcomes = [self._submit(part, on_progress, placeholders) for part in parts]
        try:
            return [outcome for part in outcomes for outcome in part.result()]
        except BaseException:  # Ctrl-C as well
            for part in outcomes:
                part.cancel()
            raise

    def _submit(
        self, items: Sequence[Item], on_progress: Callable[[str], None], placeholders: frozenset[str]
    ) -> Future[list[Outcome]]:
        chosen = min((one for one in self._to_do if not one.ended), key=self._to_do.__getitem__)
        self._to_do[chosen] += len(items)

        def ended(status: str) -> None:
            with self._lock:
                self._to_do[chosen] -= 1
            on_progress(status)

        return chosen.submit(items, ended, placeholders)

    def close(self) -> None:
        """End them all."""
        for one in self._to_do:
            one.close()
        for process in self._started:
            process.wait()

    def _start(self) -> None:
        number = _processes(self._settings)
        if number == 1:
            from recsys.ingest.images.client import Client  # only where this process is the one that fetches

            self._to_do[Client(self._settings)] = 0
            return
        process, members = start(_share(self._settings, number), number)
        self._started.append(process)
        self._to_do |= dict.fromkeys(members, 0)


@contextlib.contextmanager
def _crew(settings: Images) -> Iterator[_Crew]:
    """Use the process's crew for these settings; the first user makes it, and it is closed after the last one."""
    with _opening:
        if not _crews:
            _tuned.enter_context(tuning())
        crew = _crews.get(settings) or _crews.setdefault(settings, _Crew(settings))
        crew.users += 1
        crew.turns += 1
    try:
        yield crew
    finally:
        with _opening:
            crew.users -= 1
            if crew.lingers and not crew.users:
                later = threading.Timer(LINGER_S, _close, (settings, crew, crew.turns))
                later.daemon = True
                later.start()
        if not crew.lingers:
            _close(settings, crew, crew.turns)


def _close(settings: Images, crew: _Crew, turn: int) -> None:
    """Close a crew that nobody uses, nor has used since that turn."""
    with _opening:
        if not crew.users and crew.turns == turn and _crews.get(settings) is crew:
            del _crews[settings]
            crew.close()
        if not _crews:
            _tuned.close()


_crews: dict[Images, _Crew] = {}
_opening = threading.Lock()
_tuned = contextlib.ExitStack()


def _processes(settings: Images) -> int:
    """Return how many processes fetch at most; one, this one, where a host is asked at a pace."""
    if settings.rate_per_host or os.name != "posix":
        return 1
    return settings.processes or min(MOST_PROCESSES, max(2, os.cpu_count() or 1))


def _share(settings: Images, processes: int) -> Images:
    """Return the settings of each process: its share in what a host and this machine are asked for at once."""
    limits = {name: max(1, getattr(settings, name) // processes) for name in ("connections", "concurrency_per_host")}
    return settings.model_copy(update=limits)
