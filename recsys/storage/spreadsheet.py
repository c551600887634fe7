"""CSV for spreadsheets: written so that no cell is run as a formula, read in all variants that spreadsheets save."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from recsys.core.errors import RecsysError
from recsys.core.text import shorten

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Starts of cells that a spreadsheet runs as a formula; an apostrophe before them makes them text."""

DELIMITERS = ",;\t"  # depending on the country of the spreadsheet
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods, .xls


def write_csv(frame: pd.DataFrame, path: Path, encoding: str = "utf-8") -> None:
    """Write a frame without its index, missing values as empty cells.

    Args:
        frame: any columns.
        path: file; its folder is created if missing.
        encoding: `utf-8-sig` for a table to be edited: spreadsheets recognise UTF-8 by the byte order mark.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(frame.columns)
        for row in frame.itertuples(index=False):
            writer.writerow(_cell(value) for value in row)


def read_csv(
    path: Path, required: Sequence[str], name: str, error: type[RecsysError], if_empty: str
) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Return the names of the columns, in lower case, and the rows that are not empty with the line each starts on.

    Args:
        path: a CSV with the separator and byte order mark of any spreadsheet.
        required: columns that it must have, each once.
        name: what the file is, for error messages.
        error: raised if the file is not valid, also while the rows are read.
        if_empty: remedy for an empty file.
    """

    try:
        content = path.read_bytes()
    except OSError as cause:
        raise error(f"{name} {path} cannot be read: {cause.strerror or cause}") from cause
    if content.startswith(WORKBOOKS):
        raise error(f"{name} {path} is a workbook, not a CSV; save the sheet as 'CSV UTF-8'")
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = content.decode(encoding, "surrogateescape" if encoding == "utf-8-sig" else "replace")
    if "\0" in text:
        raise error(f"{name} {path} is not a text file (it contains NUL bytes); use a CSV")
    start = next((line for line in text.splitlines() if line.strip()), None)
    if start is None:
        raise error(f"{name} {path} is empty; {if_empty}")
    delimiter = max(DELIMITERS, key=start.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records = _records(reader, f"{name} {path}", error)
    header = [column.strip().lower() for column in next(records)[1]]
    for column in required:
        if header.count(column) != 1:
            columns = ", ".join(shorten(each, 40) for each in header[:20])
            fault = f"has the column '{column}' twice" if column in header else f"has no column '{column}'"
            raise error(f"{name} {path} {fault}; it has: {columns}")
    return header, records


def _records(reader: Iterator[list[str]], named: str, error: type[RecsysError]) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the fields of each record that is not empty."""
    while True:
        first = reader.line_num + 1  # type: ignore[attr-defined]
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as cause:
            raise error(f"{named}: line {first} is not CSV ({cause}); is a quote left open?") from cause
        if any(record):
            yield first, record


def cell(record: Sequence[str], index: int) -> str:
    """Return a cell, with white space as one blank; spreadsheets omit empty cells at the end of a row."""
    written = _unguarded(record[index].strip()) if index < len(record) else ""
    return " ".join(written.split())


def _unguarded(written: str) -> str:
    """Remove the apostrophe that `write_csv` adds to formulas."""
    return written[1:] if written.startswith("'") and written[1:].startswith(FORMULA) else written


def _cell(value: object) -> object:
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
