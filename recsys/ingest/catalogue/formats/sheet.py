"""Read the first sheet with a table of an Excel workbook.

Formulas give their stored results, and links to other workbooks are not followed.
"""

import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from recsys.core.errors import CatalogueError
from recsys.ingest.catalogue.formats.table import Layout, RawTable, Row, folded

MAX_WORKBOOK = 1 << 30
"""Maximum unpacked size of a workbook, bytes: the library holds a whole sheet in memory."""
HEADER_ROWS = 50
"""Rows among which the header is looked for."""


class SheetTable(RawTable):
    """Sheet of a workbook."""

    def __init__(self, path: Path, name: str, layout: Layout) -> None:
        super().__init__()
        self._name = name
        self.unit, self.format = "row", "Excel"
        self._rows, self._first = self._table(path, layout)
        self.names = [_text(cell) for cell in self._rows[self._first]]
        while self.names and not self.names[-1]:
            self.names.pop()

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        indexes = [self.names.index(column) for column in columns]
        for number, cells in enumerate(self._rows[self._first + 1 :], start=self._first + 2):
            if any(cell not in ("", None) for cell in cells):
                yield Row(number, [_cell(cells[index]) if index < len(cells) else None for index in indexes])

    def _table(self, path: Path, layout: Layout) -> tuple[list[list[Any]], int]:
        """Return the rows of the first sheet that has a header, and the header's index."""
        import python_calamine

        self._check_size(path, min(MAX_WORKBOOK, layout.max_bytes))
        try:
            workbook = python_calamine.CalamineWorkbook.from_path(str(path))
            for sheet in workbook.sheet_names:
                rows = workbook.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
                header = _header_index(rows, layout.known_names)
                if header is not None:
                    if len(workbook.sheet_names) > 1:
                        self.notes.append(f"{self._name}: the sheet '{sheet}' is read")
                    return rows, header
        except (python_calamine.CalamineError, OSError, ValueError) as error:
            raise CatalogueError(
                f"catalogue {self._name} is a workbook that cannot be read ({error}); save it as CSV UTF-8"
            ) from error
        raise CatalogueError(f"catalogue {self._name} has no sheet with a table; check the file")

    def _check_size(self, path: Path, limit: int) -> None:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        if not any(member.filename.startswith(("xl/", "content.xml")) for member in members):
            raise CatalogueError(f"catalogue {self._name} is an office document without a table; save it as CSV")
        if sum(member.file_size for member in members) > limit:
            raise CatalogueError(f"catalogue {self._name} unpacks to more than {limit:,} bytes; save it as CSV")


def _header_index(rows: list[list[Any]], known_names: frozenset[str]) -> int | None:
    """Return the row with the most known names, else the first with at least two texts; None if there is none."""
    top = [[_text(cell) for cell in row] for row in rows[:HEADER_ROWS]]
    known = [len({folded(cell) for cell in row} & known_names) for row in top]
    if known and max(known) >= 2:
        return known.index(max(known))
    return next((index for index, row in enumerate(top) if sum(map(bool, row)) >= 2), None)


def _text(cell: Any) -> str:
    return str(cell).strip() if cell is not None else ""


def _cell(value: Any) -> Any:
    """Return a cell; a whole number, such as an id, without the `.0` that Excel stores."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, (date, datetime, time, timedelta)):
        return str(value)
    return None if value == "" else value
