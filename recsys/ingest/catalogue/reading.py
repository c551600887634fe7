"""Turn a catalogue into its products, the rejected rows, and a digest of the accepted rows."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from recsys.core.configuration import Catalogue, Configuration
from recsys.core.digests import digest
from recsys.core.errors import CatalogueError
from recsys.core.text import shorten
from recsys.ingest.catalogue.formats import Layout, RawTable, open_table
from recsys.ingest.catalogue.formats.table import folded
from recsys.ingest.catalogue.joining import Product, join_rows
from recsys.ingest.catalogue.mapping import ColumnMapping, map_columns, suggestion
from recsys.ingest.catalogue.preset import Preset, Recognition, known_names, matching, recognise
from recsys.ingest.catalogue.rows import CatalogueRow, Reject, RowReader, id_faults, image_faults
from recsys.ingest.catalogue.source import HTTP_TIMEOUT_S, Input, display_name, inputs
from recsys.storage.home import home_error
from recsys.storage.spreadsheet import write_csv

DUPLICATE = "duplicate id"
DTYPES: dict[str, Any] = {
    **dict.fromkeys(("product_id", "name", "brand", "currency", "row_digest"), "str"),
    **dict.fromkeys(("price", "retail_price"), "float64"),
    **dict.fromkeys(
        ("category_path", "image_urls", "in_stock", "further_paths", "variants", "attributes"),
        "object",
    ),
    "position": "int64",
}
"""dtypes of `Reading.products`."""


@dataclass(frozen=True)
class Reading:
    """Contents of a catalogue.

    Attributes:
        products: the valid products, in the order of the file: product_id, position (int64, its first row from 0),
            name, brand, category_path (list of str), price, retail_price (float64, null where unknown), image_urls
            (list of str), in_stock (bool, None where unknown), currency (of the price, null where unknown),
            further_paths (list of str), variants (list of dict: id, options, price, in_stock), attributes (list of
            dict: name, value), row_digest (of all columns but stock, which changes every hour and on which no computed
            result depends).
        rows: number of rows.
        rejects: the rejected rows: line (int64, from 1; of a format without lines the row), column (its name in the
            file), value (shortened), reason. A row with two faults is listed twice.
        digest: 32 hex digits over all products, independent of their order.
        notes: sentences for the user.
        recognition: the preset.
        format: the format of the file, in words.
        settings: settings of the cells, those included that were detected.
        columns: columns of the file by field.
        currency: code or sign of most prices; empty if they have none.
        grouped: whether the catalogue says which rows are variants of one product.
        image_folder: folder of the image files; empty if the catalogue has URLs.
    """

    products: pd.DataFrame
    rows: int
    rejects: pd.DataFrame
    digest: str
    notes: list[str]
    recognition: Recognition
    format: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    currency: str = ""
    grouped: bool = False
    image_folder: str = ""

    @property
    def duplicates(self) -> int:
        """Number of rows that repeat the id of an earlier row."""
        return int((self.rejects["reason"] == DUPLICATE).sum())

    @property
    def rejected(self) -> int:
        """Number of bad rows, without rows that repeat an id."""
        return int(self.rejects.loc[self.rejects["reason"] != DUPLICATE, "line"].nunique())


def read_catalogue(
    source: str,
    configuration: Configuration,
    scratch: Path,
    *,
    timeout_s: float = HTTP_TIMEOUT_S,
    max_rows: int | None = None,
) -> Reading:
    """Read the products of a catalogue, normalised and validated.

    Bad rows are rejected while their share is at most `catalogue.rejected_share`; above it the catalogue is refused.
    Of rows with the same id the first valid one is used; the others are rejected too, but do not count as bad.

    Args:
        source: see `source.inputs`; several files are one catalogue.
        configuration: section `catalogue`.
        scratch: a folder for downloads, emptied afterwards.
        timeout_s: time limit of a server, seconds.
        max_rows: number of rows after which to stop (default: read all).

    Raises:
        CatalogueError: a file cannot be read, lacks a column, or has too many bad rows.
        ConfigurationError: `catalogue.encoding` or `catalogue.preset` is unknown.
        HomeError: `scratch` cannot be written to.
    """
    settings = configuration.catalogue
    reader = _CatalogueReader(source, settings, max_rows)
    with inputs(source, scratch, settings.max_bytes, timeout_s) as files:
        products, repeated = join_rows(reader.rows(files), reader.preset.rows, grouped=reader.grouped)
    return reader.result(products, repeated)


class _CatalogueReader:
    """Reads all files of a catalogue; the preset of the first one applies to all."""

    def __init__(self, source: str, settings: Catalogue, max_rows: int | None) -> None:
        self.name, self.settings, self._max_rows = display_name(source), settings, max_rows
        self._readers: list[RowReader] = []
        self._format = ""
        self._recognition: Recognition | None = None
        self._image_folder = ""

    def rows(self, files: Iterator[Input]) -> Iterator[CatalogueRow]:
        """Return the valid rows of all files; the first one is opened at once."""
        first = self._open(next(files))
        return self._all(first, files)

    def _all(self, reader: RowReader, files: Iterator[Input]) -> Iterator[CatalogueRow]:
        yield from self._read(reader)
        for file in files:
            yield from self._read(self._open(file))

    def _read(self, reader: RowReader) -> Iterator[CatalogueRow]:
        limit = None if self._max_rows is None else max(0, self._max_rows - reader.first_position)
        return islice(reader.read(), limit)

    def _count(self) -> int:
        return sum(reader.rows for reader in self._readers)

    def _open(self, file: Input) -> RowReader:
        settings = self.settings
        layout = Layout(
            settings.delimiter,
            settings.encoding,
            settings.query,
            known_names() | self._configured(),
            settings.max_bytes,
        )
        table = self._table(file, layout)
        recognition = self._recognition or recognise(table.names, settings, self.name)
        mapping = map_columns(table.names, recognition, settings, file.name)
        self._recognition, self._format = recognition, table.format
        reader = RowReader(table, mapping, self._folder_url(file, mapping), first_position=self._count())
        self._readers.append(reader)
        reader.is_product = not self.grouped
        return reader

    def _table(self, file: Input, layout: Layout) -> RawTable:
        return database_table(file, layout) if file.path is None else open_table(file.path, file.name, layout)

    def _configured(self) -> frozenset[str]:
        return frozenset(folded(name) for names in self.settings.columns.model_dump().values() for name in names)

    def _folder_url(self, file: Input, mapping: ColumnMapping) -> str:
        """Return the file:// URL of the folder with the image files; empty if images are not files."""
        folder = Path(self.settings.image_folder).absolute() if self.settings.image_folder else file.folder
        if mapping.settings["image_files"] and folder is not None:
            first = mapping.settings["image_files"].partition("{")[0].rpartition("/")[0]
            self._image_folder = str(folder / first)
            return folder.as_uri()
        self._image_folder = str(folder) if self.settings.image_folder else ""
        return ""

    @property
    def preset(self) -> Preset:
        """Preset of the first file; known once `rows` was called."""
        assert self._recognition is not None
        return self._recognition.preset

    @property
    def grouped(self) -> bool:
        """Whether rows may belong together."""
        mapping, rules = self._readers[0].mapping, self.preset.rows
        return "group" in mapping.fields or any(
            matching(column, mapping.columns) for column in (rules.parent, rules.members, rules.kind) if column
        )

    def result(self, products: list[Product], repeated: list[CatalogueRow]) -> Reading:
        """Return the reading; refuse the catalogue if too many rows are bad."""
        rows = self._count()
        if rows == 0:
            raise CatalogueError(f"catalogue {self.name} has a header and no products; export it again")
        rejects = [reject for reader in self._readers for reject in reader.rejects]
        mapping = self._readers[0].mapping
        valid, faults = _validated(products, mapping) if self.grouped else (products, [])  # rows are validated
        rejects += faults
        id_column = mapping.name_of("id")
        duplicates = [Reject(row.line, id_column, row.id, DUPLICATE) for row in repeated]
        notes = [note for reader in self._readers for note in (*reader.table.notes, *reader.mapping.notes)]
        notes += _note_or_refuse(rejects, rows, self.settings, self.name, self._readers[0].table.unit)
        notes += [note for reader in self._readers for note in reader.warnings.notes()]
        notes += self._skipped() + self._on_duplicates(duplicates)
        currency, currency_notes = _one_currency(valid)
        if not valid:
            raise CatalogueError(f"catalogue {self.name} has no valid row")
        frame = _frame(valid)
        if not mapping.fields.get("price"):
            hint = suggestion(next(iter(self.preset.columns.price), "price"), "price", self._readers[0].table.names)
            notes.append(f"the catalogue has no price column{hint}: price levels are neutral, and no price is shown")
        if not (mapping.fields.get("category_tree") or mapping.fields.get("category_levels")):
            notes.append(
                "the catalogue has no category column: products have no label (see catalogue.columns.category_tree)"
            )
        settings = dict(mapping.settings)
        settings |= {"decimal": self._readers[0].decimal, "tree_separator": self._readers[0].tree_separator}
        return Reading(
            products=frame,
            rows=rows,
            rejects=_rejects_frame(rejects + duplicates),
            digest=digest(sorted(frame["row_digest"])),
            notes=notes + currency_notes,
            recognition=self._recognition or Recognition(self.preset, 0.0),
            format=self._format,
            settings=settings,
            columns={key: mapping.name_of(key) for key in mapping.fields},
            currency=self.settings.currency or self.preset.settings.currency or currency,
            grouped=self.grouped,
            image_folder=self._image_folder,
        )

    def _skipped(self) -> list[str]:
        skipped = sum((reader.skipped for reader in self._readers), Counter[str]())
        return [
            f"{count:,} {'row is' if count == 1 else 'rows are'} not for sale and left out: {value}"
            for value, count in skipped.items()
        ]

    def _on_duplicates(self, duplicates: list[Reject]) -> list[str]:
        if not duplicates:
            return []
        unit = self._readers[0].table.unit
        return [
            f"{len(duplicates)} rows are rejected because they repeat an earlier id, the first at {unit} "
            f"{duplicates[0].line}"
        ]


def digest_of(source: str, configuration: Configuration, scratch: Path) -> str:
    """Return a digest of the content of a catalogue, without reading its products. Errors as `read_catalogue`."""
    settings = configuration.catalogue
    hasher = hashlib.sha256()
    with inputs(source, scratch, settings.max_bytes) as files:
        for file in files:
            if file.path is not None:
                with file.path.open("rb") as content:
                    hasher.update(hashlib.file_digest(content, "sha256").digest())
            else:
                table = database_table(file, Layout(query=settings.query))
                for row in table.rows(table.names):
                    hasher.update(repr(row.cells).encode())
    return hasher.hexdigest()


def database_table(file: Input, layout: Layout) -> RawTable:
    """Return the table of a database."""
    from recsys.ingest.catalogue.formats.database import DatabaseTable

    return DatabaseTable(file.url, file.name, layout)


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


def _validated(products: Iterable[Product], mapping: ColumnMapping) -> tuple[list[Product], list[Reject]]:
    """Return the valid products and the faults of the others."""
    valid, rejects = [], []
    for product in products:
        faults = id_faults(product.id, mapping) + image_faults(product.row, mapping)
        rejects += [Reject(product.row.line, *fault) for fault in faults]
        if not faults:
            valid.append(product)
    return valid, rejects


def _one_currency(products: list[Product]) -> tuple[str, list[str]]:
    """Return the most frequent currency; remove the prices in others, which cannot be compared, with a note."""
    counts = Counter(product.row.currency for product in products if product.row.price is not None)
    named = Counter({code: count for code, count in counts.items() if code})
    if not named:
        return "", []
    main = named.most_common(1)[0][0]
    others = {code: count for code, count in named.items() if code != main}
    for product in products:
        if product.row.currency in others:
            product.row.price = product.row.retail_price = None
    if not others:
        return main, []
    listed = ", ".join(f"{count:,} in {code}" for code, count in others.items())
    return main, [f"most prices are in {main}; those in another currency are left empty: {listed}"]


def _frame(products: list[Product]) -> pd.DataFrame:
    """Return the frame of `Reading.products`."""
    rows = [product.row for product in products]
    columns: dict[str, list[Any]] = {
        "product_id": [product.id for product in products],
        "position": [row.position for row in rows],
        "name": [row.name for row in rows],
        "brand": [row.brand for row in rows],
        "category_path": [row.paths[0] if row.paths else [] for row in rows],
        "price": [row.price for row in rows],
        "retail_price": [row.retail_price for row in rows],
        "image_urls": [row.images for row in rows],
        "in_stock": [row.in_stock for row in rows],
        "row_digest": [_row_digest(product) for product in products],
        "currency": [row.currency or None for row in rows],
        "further_paths": [[" > ".join(path) for path in row.paths[1:]] if len(row.paths) > 1 else [] for row in rows],
        "variants": [product.variants for product in products],
        "attributes": [_named(row.attributes) if row.attributes else [] for row in rows],
    }
    frame = pd.DataFrame({name: pd.Series(values, dtype=DTYPES[name]) for name, values in columns.items()})
    return frame.sort_values("position", ignore_index=True)


def _named(attributes: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in attributes]


def _row_digest(product: Product) -> str:
    """Return the digest of a product's content; it has no more parts than a catalogue of one row per product gives."""
    row = product.row
    path = row.paths[0] if row.paths else []
    parts: list[Any] = [product.id, row.name, row.brand, path, row.price, row.retail_price, row.images]
    variants = [[variant["id"], variant["options"], variant["price"]] for variant in product.variants]
    extra = [variants, row.attributes, row.paths[1:]]
    return digest([json.dumps([*parts, *extra] if any(extra) else parts)])


def _note_or_refuse(rejects: list[Reject], rows: int, settings: Catalogue, name: str, unit: str) -> list[str]:
    """Return a note with the number of bad rows and the first of them; refuse the catalogue when there are too many."""
    if not rejects:
        return []
    bad = len({reject.line for reject in rejects})
    first = _first_faults(rejects, unit)
    if bad / rows > settings.rejected_share:
        raise CatalogueError(
            f"catalogue {name}: {bad} of {rows} rows are bad ({bad / rows:.1%}; catalogue.rejected_share allows "
            f"{settings.rejected_share:.1%}): {first}"
        )
    return [f"{bad} of {rows} rows are bad and rejected: {first}"]


def _first_faults(rejects: list[Reject], unit: str, count: int = 5) -> str:
    """Return `line 7, discounted_price: 'x' not a price (3 rows); ...`: the first row of each of the first faults."""
    numbers = Counter((reject.column, reject.reason) for reject in rejects)
    first: dict[tuple[str, str], Reject] = {}
    for reject in sorted(rejects, key=lambda reject: reject.line):
        first.setdefault((reject.column, reject.reason), reject)
    messages = []
    for key, reject in list(first.items())[:count]:
        location = f"{unit} {reject.line}" + (f", {reject.column}" if reject.column else "")
        rows = f" ({numbers[key]:,} rows)" if numbers[key] > 1 else ""
        messages.append(f"{location}: {shorten(reject.value, 60)!r} {reject.reason}{rows}")
    return "; ".join(messages) + (f"; and {len(first) - count} other faults" if len(first) > count else "")


def _rejects_frame(rejects: list[Reject]) -> pd.DataFrame:
    ordered = sorted(rejects, key=lambda reject: reject.line)
    return pd.DataFrame(
        {
            "line": pd.Series([reject.line for reject in ordered], dtype="int64"),
            "column": pd.Series([reject.column for reject in ordered], dtype="str"),
            "value": pd.Series([shorten(reject.value) for reject in ordered], dtype="str"),
            "reason": pd.Series([reject.reason for reject in ordered], dtype="str"),
        }
    )
