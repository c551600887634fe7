"""Output to a terminal or a log: progress, tables, JSON, and text that cannot control the terminal."""

from __future__ import annotations

import json
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from recsys.core import progress

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

LINE_INTERVAL_S = 10.0
"""Interval between progress lines where there is no terminal, seconds."""

UNBROKEN_CHARACTERS = 32
"""Longest word, in characters, that a table column is made wide enough for; product ids have 32."""


def printable(text: Any) -> str:
    """Return a text without control characters, so that a catalogue cannot control the terminal."""
    return "".join(c if unicodedata.category(c)[0] != "C" or c == "\n" else " " for c in str(text))


def megabytes(size: int) -> str:
    """Return bytes as megabytes with one decimal."""
    return f"{size / 1e6:,.1f}"


def print_json(data: Any) -> None:
    """Print data as JSON; values of other types become strings."""
    out.print_json(json.dumps(data, default=str))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> Table:
    """Return a table of plain text; the columns named in `right` are aligned to the right."""
    text = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        words = (word for row in rows for word in str(row[index]).split())
        text.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=column in right,
            overflow="fold",
            min_width=max((len(word) for word in words if len(word) <= UNBROKEN_CHARACTERS), default=0),
        )
    for row in rows:
        text.add_row(*(Text(printable(cell)) for cell in row))
    return text


@contextmanager
def show_progress() -> Iterator[None]:
    """Show the progress of this process on standard error: bars in a terminal, plain lines elsewhere."""
    if err.is_terminal:
        with Bars() as bars, progress.listen(bars):
            yield
    else:
        with progress.listen(Lines()):
            yield


class Bars:
    """Show one bar per stage, with rate and remaining time."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}{task.fields[tally]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._progress = Progress(*columns, console=err)
        self._tasks: dict[str, TaskID] = {}
        self._tallies: dict[str, progress.Tally] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, stage: str, total: int | None) -> None:
        """Add a bar."""
        self._tasks[stage] = self._progress.add_task(stage, total=total, rate="", tally="")
        self._tallies[stage] = progress.Tally()

    def advance(self, stage: str, items: int = 1, outcome: str = "") -> None:
        """Advance a bar."""
        if stage in self._tasks:
            self._tallies[stage].advance(stage, items, outcome)
            task = self._progress.tasks[self._tasks[stage]]
            rate = f"{task.speed:,.0f}/s" if task.speed else ""
            self._progress.update(self._tasks[stage], advance=items, rate=rate, tally=str(self._tallies[stage]))

    def finish(self, stage: str, outcome: str) -> None:
        """Remove the rate from a bar."""
        if stage in self._tasks:
            self._progress.update(self._tasks[stage], rate="")

    def note(self, sentence: str) -> None:
        """Print a sentence above the bars."""
        self._progress.console.print(Text(printable(f"note: {sentence}")))


@dataclass
class _StageProgress:
    total: int | None
    started: float = field(default_factory=time.monotonic)
    done: int = 0
    tally: progress.Tally = field(default_factory=progress.Tally)


class Lines:
    """Print a line when a stage starts, one every `LINE_INTERVAL_S` seconds, and one when it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, _StageProgress] = {}
        self._printed_at = 0.0

    def begin(self, stage: str, total: int | None) -> None:
        """Print how many items the stage has."""
        with self._lock:
            self._stages[stage] = _StageProgress(total)
            if total is not None:
                self._print(f"{stage}: {total:,} to do")

    def advance(self, stage: str, items: int = 1, outcome: str = "") -> None:
        """Count items, and print the progress if the last line is old enough."""
        with self._lock:
            if stage not in self._stages:
                return
            state = self._stages[stage]
            state.done += items
            state.tally.advance(stage, items, outcome)
            timestamp = time.monotonic()
            if timestamp - self._printed_at > LINE_INTERVAL_S:
                rate = state.done / (timestamp - state.started)
                line = f"{stage}: {state.done:,}, {rate:,.0f}/s{state.tally}"
                if state.total is not None:
                    remaining = (state.total - state.done) / rate if rate else 0.0
                    line = (
                        f"{stage}: {state.done:,} of {state.total:,}, {rate:,.0f}/s, "
                        f"about {remaining:,.0f} s left{state.tally}"
                    )
                self._print(line)

    def finish(self, stage: str, outcome: str) -> None:
        """Print what the stage did and how long it took."""
        with self._lock:
            state = self._stages.get(stage)
            seconds = time.monotonic() - state.started if state else 0.0
            self._print(f"{stage}: {outcome}, {seconds:.1f} s")

    def note(self, sentence: str) -> None:
        """Print a sentence."""
        with self._lock:
            self._print(printable(f"note: {sentence}"))

    def _print(self, line: str) -> None:
        self._printed_at = time.monotonic()
        print(line, file=sys.stderr, flush=True)
