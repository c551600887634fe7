"""Turn a catalogue file into its products, the rejected rows, and a digest of the accepted rows."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.core.errors import CatalogueError
from recsys.core.text import shorten
from recsys.ingest.catalogue import cells
from recsys.ingest.catalogue.source import HTTP_TIMEOUT_S, display_name, is_parquet, plain_file
from recsys.ingest.catalogue.table import Reject, Table, read_csv, read_parquet
from recsys.storage.home import home_error
from recsys.storage.spreadsheet import write_csv

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
"""dtypes of the columns that are read from a row."""

LONGEST_ID = 256
"""Maximum length of a product id, characters."""
PRICE_BELOW = 1e12
"""Upper bound of a price, exclusive, in the shop's currency."""
DUPLICATE = "duplicate id"


@dataclass(frozen=True)
class Reading:
    """The contents of a catalogue.

    Attributes:
        products: the valid products, in the order of the file: product_id, position (int64, row of the file from 0),
            name, brand, category_path (list of str), price, retail_price (float64, null where unknown), image_urls
            (list of str), in_stock (bool, None where unknown), row_digest (of all columns but in_stock, which changes
            every hour and on which no computed result depends).
        rows: number of rows in the file.
        rejects: the rejected rows: line (int64, from 1; for Parquet the row), column (its name in the file), value
            (shortened), reason. A row with two faults is listed twice.
        digest: 32 hex digits over all products, independent of their order.
        notes: sentences for the user.
    """

    products: pd.DataFrame
    rows: int
    rejects: pd.DataFrame
    digest: str
    notes: list[str]

    @property
    def duplicates(self) -> int:
        """Number of rows that repeat the id of an earlier row."""
        return int((self.rejects["reason"] == DUPLICATE).sum())

    @property
    def rejected(self) -> int:
        """Number of bad rows, without rows that repeat an id."""
        return int(self.rejects.loc[self.rejects["reason"] != DUPLICATE, "line"].nunique())


def read_catalogue(
    source: str, configuration: Configuration, scratch: Path, *, timeout_s: float = HTTP_TIMEOUT_S
) -> Reading:
    """Read the products of a catalogue, normalised and validated.

    Bad rows are rejected while their share is at most `catalogue.rejected_share`; above it the catalogue is refused.
    Of rows with the same id the first valid one is used; the others are rejected too, but do not count as bad.

    Args:
        source: a path, a file:// or an http(s):// URL of a CSV, .csv.gz, .csv.zip or Parquet file.
        configuration: columns, separators and limits (section `catalogue`).
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
    _note_or_refuse(table, rejects, configuration, name)
    if duplicates:
        table.notes.append(
            f"{len(duplicates)} rows are rejected because they repeat an earlier id, the first at "
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
    """Write the rejected rows as CSV, safe to open in a spreadsheet; remove the file when there are none.

    Raises:
        HomeError: the file cannot be written.
    """
    try:
        if reading.rejects.empty:
            path.unlink(missing_ok=True)
            return
        write_csv(reading.rejects, path)
    except OSError as error:
        raise home_error(path.parent, error) from error


def _normalise(table: Table, configuration: Configuration) -> tuple[pd.DataFrame, list[Reject]]:
    """Return the frame of `Reading.products`, a row for each of the table's rows, and the cells that do not parse."""
    settings = configuration.catalogue
    faults: list[Reject] = []
    empty = [None] * len(table.lines)

    def parse_price(cell: Any) -> float | None:
        return cells.price(cell, settings.decimal, settings.currency)

    price_reason = f"not a price (catalogue.decimal is '{settings.decimal}')"
    stock_reason = "neither a word for in or out of stock nor a number of pieces"
    trees, images = table.columns["category_tree"], table.columns["images"]
    columns: dict[str, list[Any]] = {
        "product_id": [str(cell).strip() if cell is not None else "" for cell in table.columns["id"]],
        "name": [cells.text(cell) for cell in table.columns.get("name", empty)],
        "brand": [cells.text(cell) for cell in table.columns.get("brand", empty)],
        "category_path": [cells.category_path(cell, settings.tree_separator) for cell in trees],
        "price": _parse_column(table, "price", parse_price, price_reason, faults),
        "retail_price": _parse_column(table, "retail_price", parse_price, price_reason, faults),
        "image_urls": [cells.image_urls(cell, settings.image_separator) for cell in images],
    }
    digests = [digest([json.dumps(row)]) for row in zip(*columns.values(), strict=True)]
    frame = pd.DataFrame({name: pd.Series(column, dtype=DTYPES[name]) for name, column in columns.items()})
    frame.insert(1, "position", pd.Series(table.positions, dtype="int64"))
    in_stock = _parse_column(table, "in_stock", cells.in_stock, stock_reason, faults)
    frame["in_stock"] = pd.Series(in_stock, dtype=DTYPES["in_stock"])
    frame["row_digest"] = pd.Series(digests, dtype="str")
    return frame, faults


def _parse_column(
    table: Table, key: str, parse: Callable[[Any], T | None], reason: str, faults: list[Reject]
) -> list[T | None]:
    """Return the parsed cells of a column; append a fault with this reason for each cell that does not parse."""
    values: list[T | None] = []
    for line, cell in zip(table.lines, table.columns.get(key, [None] * len(table.lines)), strict=True):
        try:
            values.append(parse(cell))
        except (ValueError, TypeError):
            faults.append(Reject(line, key, cell, reason))
            values.append(None)
    return values


def _validate(frame: pd.DataFrame, table: Table) -> list[Reject]:
    """Return all faults of the normalised rows."""
    import pandera.pandas as pandera  # here, since it takes a second to import

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
    validated = pd.DataFrame(
        {
            "id": frame["product_id"],
            "price": frame["price"],
            "retail_price": frame["retail_price"],
            "images": frame["image_urls"].map(len).astype("int64"),
        }
    )
    try:
        schema.validate(validated, lazy=True)  # lazy: report all faults, not only the first
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        return [
            Reject(table.lines[row], key, table.columns[key][row], reason)
            for row, key, reason in zip(cases["index"], cases["column"], cases["check"], strict=True)
        ]
    return []


def _note_or_refuse(table: Table, rejects: list[Reject], configuration: Configuration, name: str) -> None:
    """Add a note with the number of bad rows and the first of them; refuse the catalogue when there are too many."""
    if not rejects:
        return
    bad = len({reject.line for reject in rejects})
    first = _first_faults(rejects, table.unit, configuration)
    share = (bad + table.lost_lines) / (table.rows + table.lost_lines)
    allowed = configuration.catalogue.rejected_share
    if share > allowed:
        raise CatalogueError(
            f"catalogue {name}: {bad} of {table.rows} rows are bad ({share:.1%}; catalogue.rejected_share allows "
            f"{allowed:.1%}): {first}"
        )
    table.notes.append(f"{bad} of {table.rows} rows are bad and rejected: {first}")


def _first_faults(rejects: list[Reject], unit: str, configuration: Configuration, count: int = 5) -> str:
    """Return `line 7, discounted_price: 'x' is not a price; ...` for the first faults."""
    names = configuration.catalogue.columns.model_dump()
    messages = []
    for reject in sorted(rejects, key=lambda reject: reject.line)[:count]:
        location = f"{unit} {reject.line}" + (f", {names[reject.key]}" if reject.key else "")
        messages.append(f"{location}: {shorten(reject.value, 60)!r} {reject.reason}")
    return "; ".join(messages) + (f"; and {len(rejects) - count} more" if len(rejects) > count else "")


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
