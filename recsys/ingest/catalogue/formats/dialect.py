"""Detect how a delimited text is written: encoding, delimiter, quotes, lines before the header, the header.

Each pair of a delimiter and a quote rule is tried on the first lines. Of those that fit most rows the one is chosen
whose header has the most names of known exports; among equals, the one with the largest share of records of one length,
then the longest records.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from recsys.core.errors import CatalogueError
from recsys.core.text import counted, shorten
from recsys.ingest.catalogue.formats.csv_records import STRAY_QUOTE, records
from recsys.ingest.catalogue.formats.encoding import detect_encoding
from recsys.ingest.catalogue.formats.table import Layout, folded

DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar", "^": "a caret", "~": "a tilde"}
SAMPLE = 128 << 10
"""Length of the sample, characters."""
SAMPLE_RECORDS = 200
PREAMBLE = 50
"""Maximum number of lines before the header."""
CERTAIN = 3
"""Number of known names from which a header is certain, if all rows fit."""
MOST = 0.5
"""Share of rows that must fit; a reading with fewer is the last choice, whatever its header has."""
USUAL = 0.1
"""Smallest share of the sample in which a number of fields is a usual one."""


class QuoteRule(NamedTuple):
    """How fields are quoted.

    Attributes:
        quote: character around a field; empty if no field is quoted, so that quotes are text.
        escape: character before a quote inside a quoted field; empty if such a quote is doubled.
        skip_blanks: whether blanks between a delimiter and a quote are ignored.
    """

    quote: str = '"'
    escape: str = ""
    skip_blanks: bool = False


@dataclass(frozen=True)
class Dialect:
    """How a delimited text is written.

    Attributes:
        encoding, errors: as of `open`.
        has_nul: whether it has NUL characters.
        delimiter: one character.
        quotes: how fields are quoted.
        header: names of the columns.
        lengths: usual numbers of fields: that of the header, and larger ones whose last fields are always empty.
        paired_quotes: whether each record has an even number of quotes.
        first_row: line of the first row after the header, from 1.
        notes: sentences for the user.
    """

    encoding: str
    errors: str
    has_nul: bool
    delimiter: str
    quotes: QuoteRule
    header: tuple[str, ...]
    lengths: frozenset[int]
    paired_quotes: bool
    first_row: int
    notes: list[str] = field(default_factory=list)

    @property
    def csv_arguments(self) -> dict[str, Any]:
        """Arguments of `csv.reader`."""
        return _csv_arguments(self.delimiter, self.quotes)

    @property
    def delimiter_name(self) -> str:
        """The delimiter in words."""
        return DELIMITERS.get(self.delimiter, repr(self.delimiter))


def detect(path: Path, name: str, layout: Layout) -> Dialect:
    """Return the dialect of a delimited text.

    Args:
        path: the file.
        name: the catalogue's name for messages.
        layout: `delimiter` and `encoding`, used if they are not empty.

    Raises:
        CatalogueError: the file is not a delimited text, or `catalogue.delimiter` is not its delimiter.
        ConfigurationError: `catalogue.encoding` is unknown.
    """
    if layout.delimiter and layout.delimiter in "\"'\\\r\n\0":
        raise CatalogueError(
            f"catalogue.delimiter is {json.dumps(layout.delimiter)}, which cannot be one; remove the setting"
        )
    encoding = detect_encoding(path, name, layout.encoding, layout.delimiter)
    with path.open(encoding=encoding.name, errors=encoding.errors, newline="") as file:
        sample = file.read(SAMPLE)
    lines = sample.replace("\ufeff", "").splitlines(keepends=True)
    if len(sample) == SAMPLE and len(lines) > 1:
        lines.pop()  # may be incomplete
    if not any(line.strip("\0\x1a \t\r\n") for line in lines):
        raise CatalogueError(f"catalogue {name} is empty; export it again")
    stated = re.match(r'"?sep=(.)"?\s*$', lines[0], re.IGNORECASE)
    skipped = int(stated is not None)
    text = "".join(lines[skipped:])
    best = _best(text, layout.delimiter, stated[1] if stated else "", layout.known_names, name)
    notes = list(encoding.notes)
    if best.first_line:
        preamble = counted(best.first_line, "line before the header is", "lines before the header are")
        notes.append(f"{preamble} ignored")
    if not best.quotes.quote:
        notes.append(f"{name}: no field is quoted, so quotes are part of the texts")
    return Dialect(
        encoding.name,
        encoding.errors,
        encoding.has_nul,
        best.delimiter,
        best.quotes,
        best.header,
        best.lengths,
        _has_paired_quotes(text, best),
        first_row=skipped + best.last_line + 1,
        notes=notes,
    )


@dataclass(frozen=True)
class _Candidate:
    """A possible reading of the sample: its header is in the lines first_line + 1 to last_line."""

    delimiter: str
    quotes: QuoteRule
    header: tuple[str, ...]
    lengths: frozenset[int]
    first_line: int
    last_line: int
    known: int
    share: float
    stray: int

    @property
    def score(self) -> tuple[float, ...]:
        """The largest one is best."""
        return self.share >= MOST, self.known, round(self.share, 1), len(self.header), self.share, -self.stray

    @property
    def is_certain(self) -> bool:
        """Whether no other reading can be better: known names, and all rows fit without a quote left over."""
        return self.known >= CERTAIN and self.share == 1 and self.stray == 0


def _best(text: str, configured: str, stated: str, known_names: frozenset[str], name: str) -> _Candidate:
    """Return the best reading, with the configured delimiter, else the one that a `sep=` line states, if it fits."""
    first = configured or stated
    best = _best_of(text, [first] if first else list(DELIMITERS), known_names)
    if first and (best is None or len(best.header) < 2 or best.known == 0):
        other = _best_of(text, [sign for sign in DELIMITERS if sign != first], known_names)
        if other is not None and len(other.header) > 1 and (best is None or len(best.header) < 2 or other.known > 1):
            if configured:
                raise CatalogueError(
                    f"catalogue {name} is delimited by {DELIMITERS[other.delimiter]}, and catalogue.delimiter is "
                    f"{_toml(configured)}; set catalogue.delimiter = {_toml(other.delimiter)}, or remove the setting"
                )
            best = other
    if best is None:
        raise CatalogueError(f"catalogue {name} is not a table: no line of it looks like a header; check the file")
    return best


def _best_of(text: str, delimiters: list[str], known_names: frozenset[str]) -> _Candidate | None:
    best: _Candidate | None = None
    for delimiter in delimiters:
        for quotes in _quote_rules(text, delimiter):
            candidate = _candidate(text, delimiter, quotes, known_names)
            if candidate is not None and (best is None or candidate.score > best.score):
                best = candidate
            if best is not None and best.is_certain:
                return best
    return best


def _quote_rules(text: str, delimiter: str) -> Iterable[QuoteRule]:
    """Yield the ways in which a text may be quoted; among equally good ones, the first is used."""
    sign = re.escape(delimiter)
    yield QuoteRule()
    if escapes := re.search(rf"\\[\"\r\n{sign}]", text):
        yield QuoteRule(escape="\\")
    blank = r"[ \t]" if delimiter != "\t" else " "
    if delimiter != " " and re.search(rf'{sign}{blank}+"', text):
        yield QuoteRule(skip_blanks=True)
    if re.search(rf"(^|{sign})'", text, re.MULTILINE) and re.search(rf"'({sign}|\r|$)", text, re.MULTILINE):
        yield QuoteRule("'")
        if "\\'" in text:
            yield QuoteRule("'", "\\")
    if _has_literal_quotes(text, sign):
        yield QuoteRule("", "\\" if escapes else "")


def _has_literal_quotes(text: str, sign: str) -> bool:
    """Return whether more fields begin with a quote that is text than with one around them."""
    starts = re.findall(rf'(?:^|{sign})"(?=([^{sign}\r\n]*))', text[: SAMPLE // 4], re.MULTILINE)
    quoted = sum(start.endswith('"') and start.count('"') % 2 == 1 for start in starts)
    return len(starts) - quoted >= max(3, 3 * quoted)


def _candidate(text: str, delimiter: str, quotes: QuoteRule, known_names: frozenset[str]) -> _Candidate | None:
    """Return a reading of the sample, with its header; None if it has none."""
    numbered: list[tuple[int, int, list[str]]] = []
    faults = 0
    for first, last, record, fault in records(io.StringIO(text, newline=""), _csv_arguments(delimiter, quotes)):
        faults += bool(fault)
        if not fault and any(cell.strip() for cell in record):
            numbered.append((first, last, [cell.strip() for cell in record]))
        if len(numbered) >= SAMPLE_RECORDS:
            break
    if not numbered:
        return None
    counts = Counter(len(record) for _, _, record in numbered[1:]) or Counter(len(record) for _, _, record in numbered)
    header_at = _header_index([record for _, _, record in numbered], counts, known_names)
    first, last, header = numbered[header_at]
    rows = [record for _, _, record in numbered[header_at + 1 :]]
    header = _without_empty_end(header, rows)
    width = len(header)
    lengths = _usual_lengths(width, rows)
    fits = sum(len(record) in lengths for record in rows)
    share = fits / (len(rows) + faults) if rows or faults else 1.0
    known = len({folded(name) for name in header} & known_names)
    if width == 1:
        share = 0.0  # one column is the last choice
    stray = _stray(rows[:50])
    return _Candidate(
        delimiter,
        quotes,
        tuple(header),
        lengths,
        first - 1,
        last,
        known,
        share,
        stray,
    )


def _stray(rows: list[list[str]]) -> int:
    """Return the number of characters in some records that look like quotes of another rule."""
    cells = [cell for row in rows for cell in row]
    signs = sum(cell.count('"') + cell.count('\\"') for cell in cells)
    around = sum(len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in cells)
    return signs + (2 * around if around >= max(3, len(rows) // 4) else 0)


def _without_empty_end(header: list[str], rows: list[list[str]]) -> list[str]:
    """Return a header without the empty names at its end, unless most rows have a text there."""
    while len(header) > 1 and not header[-1]:
        if 2 * sum(len(row) >= len(header) and bool(row[len(header) - 1]) for row in rows) > len(rows):
            break
        header = header[:-1]
    return header


def _usual_lengths(width: int, rows: list[list[str]]) -> frozenset[int]:
    """Return the header's length, and larger ones that many rows have, mostly with nothing after its last column."""
    lengths = {width}
    for length, count in Counter(map(len, rows)).items():
        empty = sum(len(row) == length and not any(row[width:]) for row in rows)
        if length > width and count >= USUAL * len(rows) and 2 * empty > count:
            lengths.add(length)
    return frozenset(lengths)


def _has_paired_quotes(text: str, best: _Candidate) -> bool:
    """Return whether the sample has quotes, and nearly all of them are around a field or doubled."""
    if best.quotes != QuoteRule():
        return False
    file = io.StringIO(text, newline="")
    arguments = _csv_arguments(best.delimiter, best.quotes)
    faults = [fault for *_, fault in records(file, arguments, best.lengths, paired_quotes=True)]
    stray = sum(fault.startswith(STRAY_QUOTE) for fault in faults)
    return sum('"' in line for line in text.splitlines()) > 4 * stray


def _header_index(sample: list[list[str]], counts: Counter[int], known_names: frozenset[str]) -> int:
    """Return which record is the header: the one with the most known names, else the first of the usual length."""
    top = sample[:PREAMBLE]
    known = [len({folded(cell) for cell in record} & known_names) for record in top]
    if max(known) >= 2:
        return known.index(max(known))
    usual = max(counts, key=lambda length: (counts[length], length))
    if usual > 1:
        for index, record in enumerate(top):
            if usual - 1 <= len(record) <= usual + 1 and sum(map(bool, record)) >= max(2, len(record) // 2):
                return index
    return 0


def _csv_arguments(delimiter: str, quotes: QuoteRule) -> dict[str, Any]:

    return {
        "delimiter": delimiter,
        "quotechar": quotes.quote or None,
        "quoting": csv.QUOTE_MINIMAL if quotes.quote else csv.QUOTE_NONE,
        "escapechar": quotes.escape or None,
        "doublequote": not quotes.escape,
        "skipinitialspace": quotes.skip_blanks,
    }


def _toml(sign: str) -> str:
    """Return a delimiter as it is written in recsys.toml."""
    return '"tab"' if sign == "\t" else json.dumps(shorten(sign, 5) or sign)
