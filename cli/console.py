"""What people see in a terminal or a log: progress, tables, and text that cannot forge either."""

from __future__ import annotations

import sys
import threading
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from recsys.core import progress

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

LINE_EVERY_S = 10.0


def clean(text: Any) -> str:
    """Return a catalogue's string with control characters taken out, so that it cannot steer the terminal."""
    return "".join(c if unicodedata.category(c)[0] != "C" or c == "\n" else " " for c in str(text))


def megabytes(size: int) -> str:
    """Return bytes as megabytes, for people."""
    return f"{size / 1e6:,.1f}"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> Table:
    """Return a table of plain cells; columns named in `right` are aligned to the right, and no id is broken."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for at, column in enumerate(columns):
        number = column in right
        made.add_column(
            column,
            justify="right" if number else "left",
            no_wrap=number,
            overflow="fold",
            min_width=max((len(part) for row in rows for part in str(row[at]).split() if len(part) <= 32), default=0),
        )
    for row in rows:
        made.add_row(*(Text(clean(cell)) for cell in row))
    return made


@contextmanager
def progress_shown() -> Iterator[None]:
    """Show the progress of this process on standard error: bars in a terminal, plain lines elsewhere."""
    if err.is_terminal:
        with Bars() as bars, progress.listen(bars):
            yield
    else:
        with progress.listen(Lines()):
            yield


class Bars:
    """A bar a stage, with its rate and the time left."""

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

    def begin(self, stage: str, total: int) -> None:
        """Add a bar."""
        self._tasks[stage] = self._progress.add_task(stage, total=total, rate="", tally="")
        self._tallies[stage] = progress.Tally()

    def advance(self, stage: str, items: int = 1, outcome: str = "") -> None:
        """Move a bar."""
        if stage in self._tasks:
            self._tallies[stage].advance(stage, items, outcome)
            task = self._progress.tasks[self._tasks[stage]]
            rate = f"{task.speed:,.0f}/s" if task.speed else ""
            self._progress.update(self._tasks[stage], advance=items, rate=rate, tally=str(self._tallies[stage]))

    def finish(self, stage: str, outcome: str) -> None:
        """Leave the bar as it ended."""
        if stage in self._tasks:
            self._progress.update(self._tasks[stage], rate="")

    def note(self, sentence: str) -> None:
        """Say it above the bars."""
        self._progress.console.print(Text(clean(f"note: {sentence}")))


class Lines:
    """A line when a stage starts, one every few seconds, and one when it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, tuple[int, float]] = {}  # total, start
        self._done: dict[str, int] = {}
        self._tallies: dict[str, progress.Tally] = {}
        self._said = 0.0

    def begin(self, stage: str, total: int) -> None:
        """Say what there is to do."""
        with self._lock:
            self._stages[stage] = (total, time.monotonic())
            self._done[stage] = 0
            self._tallies[stage] = progress.Tally()
            self._say(f"{stage}: {total:,} to do")

    def advance(self, stage: str, items: int = 1, outcome: str = "") -> None:
        """Say how far it is, now and then."""
        with self._lock:
            if stage not in self._stages:
                return
            self._done[stage] += items
            tally = self._tallies[stage]
            tally.advance(stage, items, outcome)
            total, start = self._stages[stage]
            now = time.monotonic()
            if now - self._said > LINE_EVERY_S:
                done, rate = self._done[stage], self._done[stage] / (now - start)
                left = (total - done) / rate if rate else 0.0
                self._say(f"{stage}: {done:,} of {total:,}, {rate:,.0f}/s, about {left:,.0f} s left{tally}")

    def finish(self, stage: str, outcome: str) -> None:
        """Say what it did."""
        with self._lock:
            now = time.monotonic()
            seconds = now - self._stages.get(stage, (0, now))[1]
            self._say(f"{stage}: {outcome}, {seconds:.1f} s")

    def note(self, sentence: str) -> None:
        """Say it."""
        with self._lock:
            self._say(clean(f"note: {sentence}"))

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        print(line, file=sys.stderr, flush=True)
