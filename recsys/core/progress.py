"""Progress of long work, told to whoever listens: a bar in a terminal, a line in a log, nobody in a notebook."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Protocol


class Listener(Protocol):
    """What wants to know; its methods are called from several threads."""

    def begin(self, stage: str, total: int) -> None:
        """A stage starts that has `total` items to do."""

    def advance(self, stage: str, items: int = 1, outcome: str = "") -> None:
        """Some more of its items are done; `outcome` says how they ended, where that differs."""

    def finish(self, stage: str, outcome: str) -> None:
        """The stage is over; `outcome` says in a few words what it did."""

    def note(self, sentence: str) -> None:
        """Something that the person who runs this should know."""


class Tally:
    """A listener that counts how the items of one stage ended; as text ', 9 ok, 1 broken'."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._lock = threading.Lock()

    def begin(self, stage: str, total: int) -> None:
        """Ignored."""

    def advance(self, stage: str, items: int = 1, outcome: str = "") -> None:
        """Count."""
        if outcome:
            with self._lock:
                self.outcomes[outcome] += items

    def finish(self, stage: str, outcome: str) -> None:
        """Ignored."""

    def note(self, sentence: str) -> None:
        """Ignored."""

    def __str__(self) -> str:
        return "".join(
            f", {number:,} {outcome}" for outcome, number in sorted(self.outcomes.copy().items(), reverse=True)
        )


_listeners: list[Listener] = []


@contextlib.contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Tell `listener` of all progress in this process while the context lasts."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def begin(stage: str, total: int) -> None:
    """Say that a stage starts."""
    for listener in _listeners:
        listener.begin(stage, total)


def advance(stage: str, items: int = 1, outcome: str = "") -> None:
    """Say that items of a stage are done."""
    for listener in _listeners:
        listener.advance(stage, items, outcome)


def finish(stage: str, outcome: str) -> None:
    """Say that a stage is over."""
    for listener in _listeners:
        listener.finish(stage, outcome)


def note(sentence: str) -> None:
    """Say something that the person who runs this should know."""
    for listener in _listeners:
        listener.note(sentence)
