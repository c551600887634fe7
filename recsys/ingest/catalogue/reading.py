"""A catalogue's file becomes its products, the rows that were set aside, and a digest of what was accepted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from recsys.core.configuration import Configuration
from recsys.core.errors import CatalogueError
from recsys.core.text import shorten
from recsys.ingest.catalogue import cells
from recsys.ingest.catalogue.source import HTTP_TIMEOUT_S, display_name, is_parquet, plain_file
from recsys.ingest.catalogue.table import Reject, Table, read_csv, read_parquet
from recsys.storage.spreadsheet import write_csv
from recsys.storage.store import digest, home_error

T = TypeVar("T")

DTYPES: dict[str, Any] = {
    "product_id": "str",
    "name": "str",
    "brand": "str",
    "category_path": "object",
    "price": "float64",
    "retail_price": "float64",
    "image_urls": "object",
    "in_stock": "object",
}
"""Of what is read from a row."""

LONGEST_ID = 256  # characters
PRICE_BELOW = 1e12
DUPLICATE = "duplicate id"


@dataclass(frozen=True)
class Reading:
    """What a catalogue holds.

    Attributes:
        products: the valid products, in the order of the file: product_id, position (int64, row of the file from 0),
            name, brand, category_path (list of str), price, retail_price (float64, null where unknown), image_urls
            (list of str), in_stock (bool, None where unknown), row_digest (of all but in_stock, which changes by the
            hour and has nothing computed anew).
        rows: how many rows the file has.
        rejects: what was set aside and why: line (int64, from 1; of Parquet the row), column (the file's name for
            it), value (shortened), reason. A row with two faults is listed twice.
        digest: 32 hex digits of all products, whatever their order.
        notes: sentences for the person who runs it.
    """

    products: pd.DataFrame
    rows: int
    rejects: pd.DataFrame
    digest: str
    notes: list[str]

    @property
    def duplicates(self) -> int:
        """How many rows repeat the id of an earlier one."""
        return int((self.rejects["reason"] == DUPLICATE).sum())

    @property
    def rejected(self) -> int:
        """How many rows are bad, repeated ids apart."""
        return int(self.rejects.loc[self.rejects["reason"] != DUPLICATE, "line"].nunique())


def read_catalogue(
    source: str, configuration: Configuration, scratch: Path, *, timeout_s: float = HTTP_TIMEOUT_S
) -> Reading:
    """Return the products of a catalogue, normalised and validated.

    Bad rows are set aside while their share is at most `catalogue.rejected_share`. Of rows with one id the first
    valid one is kept; the others are set aside too, but are not counted as bad.

    Args:
        source: a path, a file:// or an http(s):// URL of a CSV, .csv.gz, .csv.zip or Parquet file.
        configuration: names the columns, separators and limits (`catalogue`).
        scratch: a folder for downloads, emptied afterwards.
        timeout_s: seconds to wait for a server.

    Raises:
        CatalogueError: the file cannot be read, lacks a column, or has too many bad rows.
        ConfigurationError: `catalogue.encoding` is unknown.
        HomeError: `scratch` cannot be written to.
    """
    name = display_name(source)
    with plain_file(source, scratch, configuration.catalogue.max_bytes, timeout_s) as path:
        read = read_parquet if is_parquet(path) else read_csv
        table = read(path, name, configuration)
    if table.rows == 0:
        raise CatalogueError(f"catalogue {name} has a header and no products; export it again")

    frame, faults = _normalise(table, configuration)
    faults += _validate(frame, table)
    bad = {reject.line for reject in faults}
    frame = frame[[line not in bad for line in table.lines]]
    repeated = frame["product_id"].duplicated()
    rejects = table.rejects + faults
    duplicates = [
        Reject(table.lines[row], "id", table.columns["id"][row], DUPLICATE) for row in frame.index[repeated].tolist()
    ]
    _tell_rejects(table, rejects, configuration, name)
    if duplicates:
        table.notes.append(
            f"rows set aside because they repeat an earlier id: {len(duplicates)}, the first at "
            f"{table.unit} {duplicates[0].line}"
        )
    frame = frame[~repeated].reset_index(drop=True)
    if frame.empty:
        raise CatalogueError(f"catalogue {name} has no valid row")
    return Reading(
        products=frame,
        rows=table.rows,
        rejects=_rejects_frame(rejects + duplicates, configuration),
        digest=digest(sorted(frame["row_digest"])),
        notes=table.notes,
    )


def write_rejects(reading: Reading, path: Path) -> None:
    """Write the rows that were set aside as CSV, safe to open in a spreadsheet; without any, remove the file.

    Raises:
        HomeError: it cannot be written.
    """
    try:
        if reading.rejects.empty:
            path.unlink(missing_ok=True)
            return
        write_csv(reading.rejects, path)
    except OSError as error:
        raise home_error(path.parent, error) from error


def _normalise(table: Table, configuration: Configuration) -> tuple[pd.DataFrame, list[Reject]]:
    """Return the frame of `Reading.products`, one row for each of the table's, and the cells that cannot be read."""
    settings = configuration.catalogue
    faults: list[Reject] = []
    nothing = [None] * len(table.lines)

    def read(key: str, parse: Callable[[Any], T | None], otherwise: str) -> list[T | None]:
        values: list[T | None] = []
        for line, cell in zip(table.lines, table.columns.get(key, nothing), strict=True):
            try:
                values.append(parse(cell))
            except (ValueError, TypeError):
                faults.append(Reject(line, key, cell, otherwise))
                values.append(None)
        return values

    def prices(key: str) -> list[float | None]:
        no_price = f"not a price (catalogue.decimal is '{settings.decimal}')"
        return read(key, lambda cell: cells.price(cell, settings.decimal, settings.currency), no_price)

    trees, images = table.columns["category_tree"], table.columns["images"]
    columns: dict[str, list[Any]] = {
        "product_id": [str(cell).strip() if cell is not None else "" for cell in table.columns["id"]],
        "name": [cells.text(cell) for cell in table.columns.get("name", nothing)],
        "brand": [cells.text(cell) for cell in table.columns.get("brand", nothing)],
        "category_path": [cells.category_path(cell, settings.tree_separator) for cell in trees],
        "price": prices("price"),
        "retail_price": prices("retail_price"),
        "image_urls": [cells.image_urls(cell, settings.image_separator) for cell in images],
    }
    digests = [digest([json.dumps(row)]) for row in zip(*columns.values(), strict=True)]
    frame = pd.DataFrame({name: pd.Series(column, dtype=DTYPES[name]) for name, column in columns.items()})
    frame.insert(1, "position", pd.Series(table.positions, dtype="int64"))
    no_stock = "neither a word for in or out of stock nor a number of pieces"
    frame["in_stock"] = pd.Series(read("in_stock", cells.in_stock, no_stock), dtype=DTYPES["in_stock"])
    frame["row_digest"] = pd.Series(digests, dtype="str")
    return frame, faults


def _validate(frame: pd.DataFrame, table: Table) -> list[Reject]:
    """Return every fault of the normalised rows (pandera, lazily: all of them and not only the first)."""
    import pandera.pandas as pandera  # a second to import, so only here

    price = pandera.Column(
        float,
        pandera.Check.in_range(
            0, PRICE_BELOW, include_min=False, include_max=False, error=f"not above 0 and below {PRICE_BELOW:.0e}"
        ),
        nullable=True,
    )
    schema = pandera.DataFrameSchema(
        {
            "id": pandera.Column(
                str,
                [
                    pandera.Check.str_length(min_value=1, error="no id"),
                    pandera.Check.str_length(max_value=LONGEST_ID, error=f"id longer than {LONGEST_ID} characters"),
                ],
            ),
            "price": price,
            "retail_price": price,
            "images": pandera.Column(int, pandera.Check.ge(1, error="no http(s) image URL")),
        }
    )
    judged = pd.DataFrame(
        {
            "id": frame["product_id"],
            "price": frame["price"],
            "retail_price": frame["retail_price"],
            "images": frame["image_urls"].map(len).astype("int64"),
        }
    )
    try:
        schema.validate(judged, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        return [
            Reject(table.lines[row], key, table.columns[key][row], reason)
            for row, key, reason in zip(cases["index"], cases["column"], cases["check"], strict=True)
        ]
    return []


def _tell_rejects(table: Table, rejects: list[Reject], configuration: Configuration, name: str) -> None:
    """Note how many rows are bad and which come first, or refuse the catalogue where they are too many."""
    if not rejects:
        return
    bad = len({reject.line for reject in rejects})
    first = _tell_first(rejects, table.unit, configuration)
    share = (bad + table.lost_lines) / (table.rows + table.lost_lines)
    allowed = configuration.catalogue.rejected_share
    if share > allowed:
        raise CatalogueError(
            f"catalogue {name}: {bad} of {table.rows} rows are bad ({share:.1%}; catalogue.rejected_share allows "
            f"{allowed:.1%}): {first}"
        )
    table.notes.append(f"{bad} of {table.rows} rows are bad and set aside: {first}")


def _tell_first(rejects: list[Reject], unit: str, configuration: Configuration, count: int = 5) -> str:
    """Return `line 7, discounted_price: 'x' is not a price; ...` for the first few."""
    names = configuration.catalogue.columns.model_dump()
    told = []
    for reject in sorted(rejects, key=lambda reject: reject.line)[:count]:
        where = f"{unit} {reject.line}" + (f", {names[reject.key]}" if reject.key else "")
        told.append(f"{where}: {shorten(reject.value, 60)!r} {reject.reason}")
    return "; ".join(told) + (f"; and {len(rejects) - count} more" if len(rejects) > count else "")


def _rejects_frame(rejects: list[Reject], configuration: Configuration) -> pd.DataFrame:
    names = {**configuration.catalogue.columns.model_dump(), "": ""}
    ordered = sorted(rejects, key=lambda reject: reject.line)
    return pd.DataFrame(
        {
            "line": pd.Series([reject.line for reject in ordered], dtype="int64"),
            "column": pd.Series([names[reject.key] for reject in ordered], dtype="str"),
            "value": pd.Series([shorten(reject.value) for reject in ordered], dtype="str"),
            "reason": pd.Series([reject.reason for reject in ordered], dtype="str"),
        }
    )
