"""A plain CSV or Parquet file becomes the cells that the configuration asks for, each row knowing its line."""

from __future__ import annotations

import codecs
import csv
import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

from recsys.core.configuration import Configuration
from recsys.core.errors import CatalogueError, ConfigurationError
from recsys.core.text import shorten
from recsys.ingest.catalogue.source import CHUNK, too_large

REQUIRED = ("id", "category_tree", "price", "images")
OPTIONAL = ("name", "brand", "retail_price", "in_stock")
"""Keys of `catalogue.columns`."""

PARQUET_BATCH = 1024
"""Rows unfolded at once: what a Parquet bomb gets to before it is stopped."""


@dataclass(frozen=True)
class Reject:
    """One fault of one row; `key` is that of `catalogue.columns`, or empty where the row as a whole is meant."""

    line: int
    key: str
    value: Any
    reason: str


@dataclass
class Table:
    """The cells of a file that the configuration asks for, rows that are none already apart."""

    lines: list[int] = field(default_factory=list)  # of each row: where it starts, from 1
    positions: list[int] = field(default_factory=list)  # of each row: its number among all, from 0
    columns: dict[str, list[Any]] = field(default_factory=dict)  # key of catalogue.columns -> cells
    rejects: list[Reject] = field(default_factory=list)
    rows: int = 0
    lost_lines: int = 0  # swallowed by a quote that is never closed
    unit: str = "line"
    notes: list[str] = field(default_factory=list)


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Decode the bytes that an encoding refuses as Windows-1252: exports mix the two, often within one file."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("windows-1252", _as_windows_1252)


def _text_encoding(path: Path, name: str, encoding: str) -> tuple[str, str]:
    """Return the encoding to read a file in, and what to do with bytes that are not valid in it.

    A byte order mark outranks the configured encoding.
    """
    with path.open("rb") as file:
        start = file.read(3)
    if start == codecs.BOM_UTF8:
        encoding = "utf-8-sig"
    elif start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        encoding = "utf-16"
    for errors in ("strict", "windows-1252"):
        try:
            with path.open(encoding=encoding, errors=errors, newline="") as file:
                while chunk := file.read(CHUNK):
                    if "\0" in chunk:
                        raise CatalogueError(
                            f"catalogue {name} is not a text file (it holds NUL bytes); give a CSV or a Parquet file"
                        )
            return encoding, errors
        except LookupError as error:
            raise ConfigurationError(f"catalogue.encoding: '{encoding}' is no text encoding; try utf-8") from error
        except UnicodeError:
            continue
    raise CatalogueError(f"catalogue {name} is not a text file in {encoding}; set catalogue.encoding")


def read_csv(path: Path, name: str, configuration: Configuration) -> Table:
    """Return the cells of a CSV; a row with another number of fields than the header is set aside."""
    settings = configuration.catalogue
    table = Table()
    encoding, errors = _text_encoding(path, name, settings.encoding)
    if errors != "strict":
        table.notes.append(
            f"{name} is not valid {encoding}: what is not was read as Windows-1252; "
            "set catalogue.encoding if names look odd"
        )
    kept: list[tuple[str, ...]] = []
    with path.open(encoding=encoding, errors=errors, newline="") as file:
        records = _records(csv.reader(file, delimiter=settings.delimiter))
        header = next((record for _, _, record in records if not isinstance(record, str) and any(record)), None)
        if header is None:
            raise CatalogueError(f"catalogue {name} is empty; export it again")
        names = [column.strip() for column in header]
        indexes = _column_indexes(names, name, configuration)
        pick = itemgetter(*indexes.values())
        for first, last, record in records:
            if not isinstance(record, str):
                if not any(record):  # an empty line
                    continue
                if len(record) == len(names):
                    kept.append(pick(record))
                    table.lines.append(first)
                    table.positions.append(table.rows)
                    table.rows += 1
                    continue
                reason = f"{len(record)} fields where the header has {len(names)}"
                record = settings.delimiter.join(record)
                if last > first:
                    reason += f" (up to line {last}: is a quote left open?)"
            else:
                record, reason = "", record
            table.rejects.append(Reject(first, "", record, reason))
            table.rows += 1
            table.lost_lines += last - first
    table.columns = {key: [row[place] for row in kept] for place, key in enumerate(indexes)}
    return table


def _records(reader: Any) -> Iterator[tuple[int, int, list[str] | str]]:
    """Yield (first line, last line, fields) of each record; a string in place of the fields says what is wrong."""
    while True:
        first = reader.line_num + 1
        try:
            record: list[str] | str = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            record = f"unreadable: {error}"
        yield first, reader.line_num, record


def read_parquet(path: Path, name: str, configuration: Configuration) -> Table:
    """Return the cells of a Parquet file; its rows are counted from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = Table(unit="row")
    unpacked = 0  # bytes; the sizes in the file's metadata say nothing of what its dictionaries unfold to
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            indexes = _column_indexes(names, name, configuration)
            columns: dict[str, list[Any]] = {key: [] for key in indexes}
            for batch in file.iter_batches(PARQUET_BATCH, columns=[names[index] for index in indexes.values()]):
                unpacked += batch.nbytes
                if unpacked > configuration.catalogue.max_bytes:
                    raise too_large(name, configuration.catalogue.max_bytes)
                for key, index in indexes.items():
                    columns[key] += batch.column(names[index]).to_pylist()
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CatalogueError(f"catalogue {name} is a damaged Parquet file ({reason}); export it again") from error
    table.columns = {
        key: [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell for cell in column]
        for key, column in columns.items()
    }
    table.rows = len(columns["id"])
    table.lines, table.positions = list(range(1, table.rows + 1)), list(range(table.rows))
    return table


def _column_indexes(names: list[str], name: str, configuration: Configuration) -> dict[str, int]:
    """Return where each column of `catalogue.columns` stands in the file; optional ones may be absent."""
    settings = configuration.catalogue
    wanted = settings.columns.model_dump()
    missing = [key for key in REQUIRED if wanted[key] not in names]
    if missing:
        shown = [shorten(column, 40) for column in names[:40]]
        if names and names[0].lstrip().startswith("<"):
            raise CatalogueError(f"catalogue {name} is a web page, not a table; check the address")
        other = next((sign for sign in ";\t|," if len(names) == 1 and sign in names[0]), None)
        if other:
            raise CatalogueError(
                f"catalogue {name} has one column with {other!r} in its name: is that the separator? "
                f"Set catalogue.delimiter to {other!r} (it is {settings.delimiter!r})"
            )
        lacking = ", ".join(f"'{wanted[key]}'{_suggestion(wanted[key], key, names)}" for key in missing)
        keys = ", ".join(f"catalogue.columns.{key}" for key in missing)
        raise CatalogueError(f"catalogue {name} has no column {lacking}; set {keys}; found: {', '.join(shown)}")
    used = {key: column for key, column in wanted.items() if column in names}
    for key, column in used.items():
        if names.count(column) > 1:
            raise CatalogueError(f"catalogue {name} has the column '{column}' (catalogue.columns.{key}) twice")
    return {key: names.index(used[key]) for key in chain(REQUIRED, OPTIONAL) if key in used}


def _suggestion(wanted: str, key: str, names: list[str]) -> str:
    """Return ` (did you mean 'x'?)`, by the likeness of the names or the key's own."""
    folded = {name.casefold().replace(" ", "_"): name for name in names}
    close = difflib.get_close_matches(wanted.casefold(), folded, 1) or difflib.get_close_matches(key, folded, 1)
    return f" (did you mean '{shorten(folded[close[0]], 40)}'?)" if close else ""
