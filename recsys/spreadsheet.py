"""CSV for people: a spreadsheet that opens it runs no cell of it, whatever the catalogue's cells hold."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that starts so is run by a spreadsheet; an apostrophe in front makes it text."""


def write_csv(frame: pd.DataFrame, path: Path, encoding: str = "utf-8") -> None:
    """Write a frame without its index, missing values as empty cells.

    Args:
        frame: any columns.
        path: its folder is made where there is none.
        encoding: `utf-8-sig` for a table to be edited: by its byte order mark a spreadsheet knows other scripts.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(frame.columns)
        for row in frame.itertuples(index=False):
            writer.writerow(_cell(value) for value in row)


def unguarded(cell: str) -> str:
    """Return a cell as it was before `write_csv` made text of it."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def _cell(value: object) -> object:
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
