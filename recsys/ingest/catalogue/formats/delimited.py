"""Read delimited text row by row; a bad row is rejected and the next one is read from its own line."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import IO

from recsys.core.errors import CatalogueError
from recsys.core.text import counted
from recsys.ingest.catalogue.formats.csv_records import records
from recsys.ingest.catalogue.formats.dialect import detect
from recsys.ingest.catalogue.formats.encoding import NOT_TEXT, WINDOWS_1252
from recsys.ingest.catalogue.formats.table import Layout, RawTable, Row

SHOWN = 1_000
"""Length of the part of a bad row that is kept, characters."""
_NOT_BLANK = re.compile(r"[^\x00-\x20\x7f-\xa0]")


class DelimitedTable(RawTable):
    """Delimited text."""

    def __init__(self, path: Path, name: str, layout: Layout) -> None:
        super().__init__()
        self._path, self._name = path, name
        self.dialect = dialect = detect(path, name, layout)
        self.names, self.unit = list(dialect.header), "line"
        self.format = f"text delimited by {dialect.delimiter_name}"
        self.notes += dialect.notes
        self._has_faulty_characters = dialect.has_nul or dialect.errors == WINDOWS_1252

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        dialect, width, names = self.dialect, len(self.names), set(self.names)
        indexes = [self.names.index(column) for column in columns]
        pick = itemgetter(*indexes) if len(indexes) > 1 else (lambda record: (record[indexes[0]],))
        repeated_headers = longer = 0
        with self._open() as file:
            for first, last, record, fault in records(
                file,
                dialect.csv_arguments,
                dialect.lengths,
                first_line=dialect.first_row,
                paired_quotes=dialect.paired_quotes,
            ):
                if not fault:
                    cell = record[0].strip() if record else ""
                    if not cell and not _NOT_BLANK.search("".join(record)):
                        continue
                    if cell in names and self._is_header(record, first):
                        repeated_headers += 1
                        continue
                    fault = self._fault(record, first, last)
                if fault:
                    if len(record) > 1 or _NOT_BLANK.search("".join(record)):
                        yield Row(first, (), fault, dialect.delimiter.join(record)[:SHOWN])
                    continue
                longer += len(record) > width
                yield Row(first, pick(record))
        if longer:
            ends = counted(longer, "row ends", "rows end")
            self.notes.append(f"{ends} with more delimiters than the header; the empty fields are ignored")
        if repeated_headers:
            repeats = "row repeats the header and is" if repeated_headers == 1 else "rows repeat the header and are"
            self.notes.append(f"{repeated_headers:,} {repeats} ignored")

    @contextlib.contextmanager
    def _open(self) -> Iterator[IO[str]]:
        try:
            with self._path.open(encoding=self.dialect.encoding, errors=self.dialect.errors, newline="") as file:
                yield file
        except UnicodeError as error:
            raise CatalogueError(
                f"catalogue {self._name} is not a text file in {self.dialect.encoding}; set catalogue.encoding"
            ) from error

    def _is_header(self, record: list[str], line: int) -> bool:
        """Return whether a record repeats the header.

        Raises:
            CatalogueError: it is the header of another table.
        """
        names = [cell.strip() for cell in record]
        if names[: len(self.names)] == self.names and not any(names[len(self.names) :]):
            return True
        if len(set(names) & set(filter(None, self.names))) > max(1, len(self.names) // 2):
            raise CatalogueError(
                f"catalogue {self._name}: line {line} is another header; put each table into a file of its own"
            )
        return False

    def _fault(self, record: list[str], first: int, last: int) -> str:
        """Return why a record cannot be used; empty if it can."""
        width = len(self.names)
        if len(record) not in self.dialect.lengths or (len(record) > width and any(map(str.strip, record[width:]))):
            if len(record) < width:
                hint = f" (up to line {last}: is a quote left open?)" if last > first else ""
            else:
                hint = f" (is {self.dialect.delimiter_name} inside a field that is not quoted?)"
            return f"{len(record)} fields where the header has {width}{hint}"
        if self._has_faulty_characters:
            if any("\0" in cell for cell in record):
                return "a NUL character inside a field"
            if any(NOT_TEXT.search(cell) for cell in record):
                return f"a byte that is no character in {self.dialect.encoding} and Windows-1252"
        return ""
