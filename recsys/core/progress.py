"""Progress of long work, sent to listeners: a bar in a terminal, lines in a log, none in a notebook."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Protocol


class Listener(Protocol):
    """Receiver of progress; its methods are called from several threads."""

    def begin(self, stage: str, total: int | None) -> None:
        """A stage with `total` items starts; None if their number is not known."""

    def advance(self, stage: str, items: int = 1, outcome: str = "") -> None:
        """Some of its items are done; `outcome` is their result, if there are several kinds."""

    def finish(self, stage: str, outcome: str) -> None:
        """The stage has ended; `outcome` is a summary of a few words."""

    def note(self, sentence: str) -> None:
        """A sentence for the user."""


class Tally:
    """A listener that counts the outcomes of one stage; as text ', 9 ok, 1 broken'."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._lock = threading.Lock()

    def begin(self, stage: str, total: int | None) -> None:
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
    """Send all progress of this process to `listener` while the context lasts."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def begin(stage: str, total: int | None) -> None:
    """Report the start of a stage."""
    for listener in _listeners:
        listener.begin(stage, total)


def advance(stage: str, items: int = 1, outcome: str = "") -> None:
    """Report finished items of a stage."""
    for listener in _listeners:
        listener.advance(stage, items, outcome)


def finish(stage: str, outcome: str) -> None:
    """Report the end of a stage."""
    for listener in _listeners:
        listener.finish(stage, outcome)


def note(sentence: str) -> None:
    """Report a sentence for the user."""
    for listener in _listeners:
        listener.note(sentence)
