"""Read the configured columns of a plain CSV or Parquet file, with the line number of each row."""

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
"""Rows decoded at once; bounds the memory that a Parquet bomb can take before the size check stops it."""


@dataclass(frozen=True)
class Reject:
    """One fault of one row; `key` is a key of `catalogue.columns`, or empty for a fault of the whole row."""

    line: int
    key: str
    value: Any
    reason: str


@dataclass
class Table:
    """The configured cells of a file; malformed rows are in `rejects`.

    Attributes:
        lines: the first line of each row, from 1.
        positions: the index of each row among all rows of the file, from 0.
        columns: cells by key of `catalogue.columns`.
        rejects: malformed rows.
        rows: number of rows in the file, malformed ones included.
        lost_lines: lines inside malformed rows, as after a quote that is never closed.
        unit: what `lines` counts: "line" (CSV) or "row" (Parquet).
        notes: sentences for the user.
    """

    lines: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    columns: dict[str, list[Any]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    rows: int = 0
    lost_lines: int = 0
    unit: str = "line"
    notes: list[str] = field(default_factory=list)


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Decode invalid bytes as Windows-1252: exports often mix it with UTF-8 in one file."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("windows-1252", _as_windows_1252)


def _text_encoding(path: Path, name: str, encoding: str) -> tuple[str, str]:
    """Return the encoding of a file and the error handler for bytes that are invalid in it.

    A byte order mark takes precedence over the configured encoding.
    """
    with path.open("rb") as file:
        prefix = file.read(3)
    if prefix == codecs.BOM_UTF8:
        encoding = "utf-8-sig"
    elif prefix[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
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
            raise ConfigurationError(f"catalogue.encoding: '{encoding}' is not a text encoding; try utf-8") from error
        except UnicodeError:
            continue
    raise CatalogueError(f"catalogue {name} is not a text file in {encoding}; set catalogue.encoding")


def read_csv(path: Path, name: str, configuration: Configuration) -> Table:
    """Read the configured cells of a CSV; reject rows whose number of fields differs from the header's."""
    settings = configuration.catalogue
    table = Table()
    encoding, errors = _text_encoding(path, name, settings.encoding)
    if errors != "strict":
        table.notes.append(
            f"{name} is not valid {encoding}: the invalid bytes were read as Windows-1252; "
            "set catalogue.encoding if names look wrong"
        )
    picked: list[tuple[str, ...]] = []
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
                    picked.append(pick(record))
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
    table.columns = {key: [row[index] for row in picked] for index, key in enumerate(indexes)}
    return table


def _records(reader: Any) -> Iterator[tuple[int, int, list[str] | str]]:
    """Yield (first line, last line, fields) of each record; instead of fields, the error message of a bad one."""
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
    """Read the configured cells of a Parquet file; rows are counted from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = Table(unit="row")
    unpacked = 0  # bytes; the sizes in the metadata do not include what dictionary encoding expands to
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
    """Return the file's index of each column of `catalogue.columns`; optional ones may be absent."""
    settings = configuration.catalogue
    configured = settings.columns.model_dump()
    missing = [key for key in REQUIRED if configured[key] not in names]
    if missing:
        listed = [shorten(column, 40) for column in names[:40]]
        if names and names[0].lstrip().startswith("<"):
            raise CatalogueError(f"catalogue {name} is a web page, not a table; check the address")
        other = next((sign for sign in ";\t|," if len(names) == 1 and sign in names[0]), None)
        if other:
            raise CatalogueError(
                f"catalogue {name} has one column with {other!r} in its name: is that the separator? "
                f"Set catalogue.delimiter to {other!r} (it is {settings.delimiter!r})"
            )
        lacking = ", ".join(f"'{configured[key]}'{_suggestion(configured[key], key, names)}" for key in missing)
        keys = ", ".join(f"catalogue.columns.{key}" for key in missing)
        raise CatalogueError(f"catalogue {name} has no column {lacking}; set {keys}; found: {', '.join(listed)}")
    used = {key: column for key, column in configured.items() if column in names}
    for key, column in used.items():
        if names.count(column) > 1:
            raise CatalogueError(f"catalogue {name} has the column '{column}' (catalogue.columns.{key}) twice")
    return {key: names.index(used[key]) for key in chain(REQUIRED, OPTIONAL) if key in used}


def _suggestion(column: str, key: str, names: list[str]) -> str:
    """Return ` (did you mean 'x'?)` with the name nearest to the configured column or to its key, else nothing."""
    folded = {name.casefold().replace(" ", "_"): name for name in names}
    close = difflib.get_close_matches(column.casefold(), folded, 1) or difflib.get_close_matches(key, folded, 1)
    return f" (did you mean '{shorten(folded[close[0]], 40)}'?)" if close else ""
