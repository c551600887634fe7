"""Progress of long work, told to whoever listens: a bar in a terminal, a line in a log, nobody in a notebook."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol


class Listener(Protocol):
    """What wants to know; its methods are called from several threads."""

    def begin(self, stage: str, total: int) -> None:
        """A stage starts that has `total` items to do."""

    def advance(self, stage: str, items: int = 1) -> None:
        """Some more of its items are done."""

    def finish(self, stage: str, outcome: str) -> None:
        """The stage is over; `outcome` says in a few words what it did."""

    def note(self, sentence: str) -> None:
        """Something that the person who runs this should know."""


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


def advance(stage: str, items: int = 1) -> None:
    """Say that items of a stage are done."""
    for listener in _listeners:
        listener.advance(stage, items)


def finish(stage: str, outcome: str) -> None:
    """Say that a stage is over."""
    for listener in _listeners:
        listener.finish(stage, outcome)


def note(sentence: str) -> None:
    """Say something that the person who runs this should know."""
    for listener in _listeners:
        listener.note(sentence)
