"""CSV for people: a spreadsheet that opens it runs no cell of it, whatever the catalogue's cells hold."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that starts so is run by a spreadsheet; an apostrophe in front makes it text."""


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame without its index, missing values as empty cells.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(frame.columns)
        for row in frame.itertuples(index=False):
            writer.writerow(_cell(value) for value in row)


def _cell(value: object) -> object:
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
