"""Read the records of delimited text; after a bad one, go on at the next line."""

import csv
import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import IO, Any

MAX_RECORD_LINES = 5_000
"""Lines of one record; a quote that is still open after as many counts as a fault of its first line."""
MAX_FIELD = 16 << 20
"""Maximum length of a field, characters."""
MAX_RECORD = 2 * MAX_FIELD
"""Maximum length of a record, and of a line, characters."""
MAX_SHOWN = 1_000
"""Length of the part of a line that is kept if it is too long, characters."""
STRAY_QUOTE = "a stray quote"
OPEN_QUOTE = "a quote is left open"

_PADDING = re.compile(r"\0+(?=[\0\"'\s,;|^~]|$)")
"""NUL characters at the end of a cell, with which databases fill columns of a fixed width."""
_BACKSLASH = re.compile(r"\\(.)", re.DOTALL)
_TYPICAL = re.compile(r"[\"']?\s*(?:(?:https?:)?//|file://|[\d.,]+[\"']?\s*$)")
"""Start of a URL, or a number."""


def records(
    file: IO[str],
    arguments: Mapping[str, Any],
    lengths: Collection[int] = (),
    *,
    first_line: int = 1,
    paired_quotes: bool = False,
) -> Iterator[tuple[int, int, list[str], str]]:
    """Yield (first line, last line, fields, fault) of each record.

    After a record with a fault, or with more than one line and another number of fields than usual, its lines are read
    again from the second one: a quote that is left open loses only its own line.

    Args:
        file: the text, opened with `newline=""`.
        arguments: of `csv.reader`.
        lengths: usual numbers of fields; empty if they are not known.
        first_line: line at which to begin, from 1.
        paired_quotes: whether a record with an odd number of quotes is a fault.
    """
    csv.field_size_limit(MAX_FIELD)
    lines = _Lines(file, arguments, first_line)
    quote = arguments["quotechar"] if paired_quotes else None
    reader = csv.reader(lines, strict=True, **arguments)
    while True:
        first = lines.number + 1
        lines.current = []
        fault, record = "", []
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = _fault(error, lines.number - first)
        last = lines.number
        if last > first:
            if not fault and lengths:
                fault = _fault_of_joined_lines(lines.current, record, lengths, arguments["delimiter"], last)
            if fault:
                lines.restart_after_first()
                reader = csv.reader(lines, strict=True, **arguments)
                last = first
        if not fault and quote and lines.current[0].count(quote) % 2 and sum(map(_counter(quote), lines.current)) % 2:
            fault = f"{STRAY_QUOTE}: it is neither around a field nor doubled"
        if fault:
            record = [lines.first()]
        yield first, last, record, fault


def _fault(error: csv.Error, further_lines: int) -> str:
    reason = str(error).removesuffix(".")
    if "unexpected end" in reason or OPEN_QUOTE in reason:
        return OPEN_QUOTE
    if "expected after" in reason:
        return OPEN_QUOTE if further_lines else "a quote inside a quoted field is not doubled"
    return f"unreadable: {reason}"


def _fault_of_joined_lines(
    lines: list[str], record: list[str], lengths: Collection[int], delimiter: str, last: int
) -> str:
    """Return the fault of a record of several lines if a quote that is left open has joined them."""
    if len(record) not in lengths:
        return f"{len(record)} fields where the header has {min(lengths)} (up to line {last}: is a quote left open?)"
    if lines[0].count(delimiter) + 1 not in lengths:
        return ""
    split = [line.rstrip("\r\n").split(delimiter) for line in lines if line.strip()]
    whole = [fields for fields in split if len(fields) in lengths]
    # Lines are records of their own if they have all fields, and a URL or a number where the others have one.
    are_records = len(whole) >= max(2, 0.8 * len(split)) and any(
        all(map(_TYPICAL.match, column)) for column in zip(*whole, strict=False)
    )
    return OPEN_QUOTE if are_records else ""


def _counter(quote: str) -> Any:
    return lambda line: line.count(quote)


class _LongLine(str):
    """Start of a line that is too long."""

    __slots__ = ()


class _Lines:
    """Lines of a file without byte order marks and padding; those of the current record can be read again.

    Attributes:
        number: line that was read last, from 1.
        current: lines of the current record.
    """

    def __init__(self, file: IO[str], arguments: Mapping[str, Any], first_line: int) -> None:
        self._next = partial(file.readline, MAX_RECORD)
        self._again = deque[str]()
        self._length = 0
        special = "\\\r\n" + arguments["delimiter"] + (arguments["quotechar"] or '"')
        self._escapes = special if arguments["escapechar"] else ""
        self.number = 0
        self.current: list[str] = []
        for self.number in range(1, first_line):
            self._read()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        current = self.current
        if current:
            self._length += len(current[-1])
            if len(current) > MAX_RECORD_LINES or self._length > MAX_RECORD:
                raise csv.Error(OPEN_QUOTE)
        else:
            self._length = 0
        line = self._again.popleft() if self._again else self._read()
        if not line:
            raise StopIteration
        self.number += 1
        current.append(line)
        if type(line) is _LongLine:
            raise csv.Error(f"a line of more than {MAX_RECORD:,} characters")
        if self._escapes and "\\" in line:
            return _BACKSLASH.sub(self._escaped, line)
        return line

    def _read(self) -> str:
        line = self._next()
        if len(line) == MAX_RECORD and line[-1] not in "\r\n":
            while len(rest := self._next()) == MAX_RECORD and rest[-1] not in "\r\n":
                pass
            return _LongLine(line[:MAX_SHOWN])
        if "\ufeff" in line:
            line = line.replace("\ufeff", "")
        if "\0" in line:
            line = _PADDING.sub("", line)
        return line

    def _escaped(self, match: re.Match[str]) -> str:
        """Double a backslash that escapes nothing, as in `C:\\new`, so that the reader keeps it."""
        return match[0] if match[1] in self._escapes else f"\\{match[0]}"

    def first(self) -> str:
        """Return the first line of the current record."""
        return self.current[0].rstrip("\r\n") if self.current else ""

    def restart_after_first(self) -> None:
        """Give back all lines of the current record but the first."""
        self._again.extendleft(reversed(self.current[1:]))
        self.number -= len(self.current) - 1
        del self.current[1:]
