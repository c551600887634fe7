"""Read the first sheet with a table of an Excel workbook.

Formulas give their stored results, and links to other workbooks are not followed.
"""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from recsys.core.errors import CatalogueError
from recsys.core.text import shorten
from recsys.ingest.catalogue.formats.table import Layout, RawTable, Row, folded
from recsys.ingest.catalogue.formats.workbook_check import WorkbookError, check_workbook

MAX_WORKBOOK = 1 << 30
"""Maximum unpacked size of a workbook, bytes: the library holds a whole sheet in memory."""
HEADER_ROWS = 50
"""Rows among which the header is looked for."""


class SheetTable(RawTable):
    """Sheet of a workbook: the first one whose header has known names of columns, else the first one with a table."""

    def __init__(self, path: Path, name: str, layout: Layout) -> None:
        super().__init__()
        self._name = name
        self.unit, self.format = "row", "Excel"
        self._check(path, min(MAX_WORKBOOK, layout.max_bytes))
        self._sheet, self._first, self.names = self._table(path, layout)

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        indexes = [self.names.index(column) for column in columns]
        for number, cells in _numbered(self._sheet):
            if number > self._first and any(cell not in ("", None) for cell in cells):
                yield Row(number, [_cell(cells[index]) if index < len(cells) else None for index in indexes])

    def _table(self, path: Path, layout: Layout) -> tuple[Any, int, list[str]]:
        """Return the sheet with the products, the number of its header's row, and the header."""
        import python_calamine

        first = None
        try:
            workbook = python_calamine.CalamineWorkbook.from_path(str(path))
            for name in workbook.sheet_names:
                sheet = workbook.get_sheet_by_name(name)
                candidate = _header(list(islice(_numbered(sheet), HEADER_ROWS)), layout.known_names)
                if candidate is not None and (first is None or candidate[2]):
                    first = (name, sheet, candidate)
                    if candidate[2]:
                        break
        except (python_calamine.CalamineError, OSError, ValueError) as error:
            raise self._unreadable(error) from error
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # an Exception in no library
                raise self._unreadable(error) from error
            raise
        if first is None:
            raise CatalogueError(f"catalogue {self._name} has no sheet with a table; check the file")
        sheet_name, sheet, (number, header, _) = first
        if len(workbook.sheet_names) > 1:
            self.notes.append(f"{self._name}: the sheet '{shorten(sheet_name, 40)}' is read")
        return sheet, number, header

    def _check(self, path: Path, limit: int) -> None:
        if not zipfile.is_zipfile(path):
            return
        try:
            empty = check_workbook(path, limit)
        except WorkbookError as error:
            raise CatalogueError(f"catalogue {self._name} {error}") from error
        except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise self._unreadable(error) from error
        if empty:
            what = "cells have a formula without a stored result, or an error, and are empty here"
            self.notes.append(f"{self._name}: {empty:,} {what}; open the workbook in Excel and save it again")

    def _unreadable(self, error: BaseException) -> CatalogueError:
        reason = shorten(error, 100)
        return CatalogueError(
            f"catalogue {self._name} is a workbook that cannot be read ({reason}); save it as CSV UTF-8"
        )


def _numbered(sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    """Yield the number of each row, from 1, and its cells from the first column in use on."""
    return enumerate(sheet.iter_rows(), start=1)


def _header(rows: list[tuple[int, list[Any]]], known_names: frozenset[str]) -> tuple[int, list[str], bool] | None:
    """Return number and names of the row with the most known names, else of the first with at least two texts.

    The last value is whether it has known names; None if there is no such row.
    """
    top = [[_text(cell) for cell in cells] for _, cells in rows]
    known = [len({folded(cell) for cell in row} & known_names) for row in top]
    if known and max(known) >= 2:
        at = known.index(max(known))
    else:
        at = next((index for index, row in enumerate(top) if sum(map(bool, row)) >= 2), -1)
    if at < 0:
        return None
    names = top[at]
    while names and not names[-1]:
        names.pop()
    return rows[at][0], names, max(known) >= 2


def _text(cell: Any) -> str:
    return str(cell).strip() if cell is not None else ""


def _cell(value: Any) -> Any:
    """Return a cell; a whole number, such as an id, without the `.0` that Excel stores."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, (date, datetime, time, timedelta)):
        return str(value)
    return None if value == "" else value
