"""Turn a catalogue into its products, the rejected rows, and a digest of the accepted rows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys.core import progress
from recsys.core.configuration import Catalogue, Configuration
from recsys.core.digests import digest
from recsys.core.errors import CatalogueError
from recsys.core.text import counted, shorten
from recsys.ingest.catalogue.advice import advice
from recsys.ingest.catalogue.formats import Layout, RawTable, open_table
from recsys.ingest.catalogue.formats.table import folded
from recsys.ingest.catalogue.image_table import images_by_id
from recsys.ingest.catalogue.joining import Product, RowJoiner
from recsys.ingest.catalogue.mapping import ColumnMapping, map_columns
from recsys.ingest.catalogue.notes import notes_on_content, notes_on_gaps, notes_on_variants
from recsys.ingest.catalogue.preset import GENERIC, Preset, Recognition, known_names, matching, recognise
from recsys.ingest.catalogue.product_table import product_table
from recsys.ingest.catalogue.rows import CatalogueRow, Reject, RowReader, id_faults, image_faults
from recsys.ingest.catalogue.source import HTTP_TIMEOUT_S, Input, display_name, inputs
from recsys.storage.frames import frame_of
from recsys.storage.home import home_error
from recsys.storage.spreadsheet import write_csv

DUPLICATE = "duplicate id"
PROGRESS_ROWS = 20_000
"""Number of rows from which progress is reported, and after which it is reported again."""


@dataclass(frozen=True)
class Reading:
    """Contents of a catalogue.

    Attributes:
        table: the valid products in the order of the file, with the columns of `product_table.SCHEMA`: position (its
            first row, from 0), price and currency (null where unknown), in_stock (null where unknown), row_digest (of
            all columns but stock, which changes every hour and on which no computed result depends), and others.
        rows: number of rows.
        rejects: the rejected rows: file (empty if the catalogue is one file), line (int64, from 1; of a format without
            lines the row), column (its name in the file), value (shortened), reason. A row with two faults is listed
            twice.
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

    table: pa.Table
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

    @cached_property
    def products(self) -> pd.DataFrame:
        """The table as a frame, with Python lists in the columns of lists."""
        return frame_of(self.table)

    @property
    def variants(self) -> int:
        """Number of variants of all products."""
        return pc.sum(pc.list_value_length(self.table["variants"])).as_py() or 0

    @property
    def duplicates(self) -> int:
        """Number of rows that repeat the id of an earlier row."""
        return int((self.rejects["reason"] == DUPLICATE).sum())

    @property
    def rejected(self) -> int:
        """Number of bad rows, without rows that repeat an id."""
        bad = self.rejects["reason"] != DUPLICATE
        return len(self.rejects.loc[bad, ["file", "line"]].drop_duplicates())


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
    reader = _CatalogueReader(source, settings, scratch, timeout_s, max_rows)
    with inputs(source, scratch, settings.max_bytes, timeout_s) as files:
        return reader.read(files)


class _CatalogueReader:
    """Reads all files of a catalogue; the preset of the first one applies to all."""

    def __init__(self, source: str, settings: Catalogue, scratch: Path, timeout_s: float, max_rows: int | None) -> None:
        self.name, self.settings, self._max_rows = display_name(source), settings, max_rows
        self._scratch, self._timeout_s = scratch, timeout_s
        self._readers: list[RowReader] = []
        self._format = ""
        self._recognition: Recognition | None = None
        self._image_folder = ""
        self._images: Mapping[str, Sequence[str]] = {}
        self._notes: list[str] = []
        self._rows_of_rejected = 0  # besides the row that is named

    def read(self, files: Iterator[Input]) -> Reading:
        """Return the content of all files."""
        first = self._open(next(files))
        rows = self._with_progress(self._rows(first, files))
        joiner = RowJoiner(self.preset.rows, self.grouped)
        products = joiner.products(rows)
        if self.grouped:  # other rows were validated as they were read
            products = self._valid(products)
        table, currency, notes = product_table(products)
        return self._result(table, currency, notes, joiner)

    def _rows(self, reader: RowReader, files: Iterator[Input]) -> Iterator[CatalogueRow]:
        """Yield the valid rows of all files, of which the first one is open."""
        yield from self._rows_of(reader)
        for file in files:
            yield from self._rows_of(self._open(file))

    def _rows_of(self, reader: RowReader) -> Iterator[CatalogueRow]:
        limit = None if self._max_rows is None else max(0, self._max_rows - reader.first_position)
        return islice(reader.read(), limit)

    @staticmethod
    def _with_progress(rows: Iterator[CatalogueRow]) -> Iterator[CatalogueRow]:
        """Yield the rows; report progress if they are many."""
        count = 0
        for count, row in enumerate(rows, 1):
            if count == PROGRESS_ROWS:
                progress.begin("catalogue rows", None)
            if count % PROGRESS_ROWS == 0:
                progress.advance("catalogue rows", PROGRESS_ROWS)
            yield row
        if count >= PROGRESS_ROWS:
            progress.finish("catalogue rows", f"{count:,} valid rows")

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
        recognition = self._recognition_of(table, file)
        mapping = map_columns(table, recognition, settings, file.name)
        self._recognition, self._format = recognition, table.format
        reader = RowReader(
            table,
            mapping,
            name=file.name,
            file=len(self._readers),
            image_folder=self._folder_url(file, mapping),
            more_images=self._more_images(file),
            first_position=self._count(),
        )
        self._readers.append(reader)
        reader.is_product = not self.grouped
        return reader

    def _recognition_of(self, table: RawTable, file: Input) -> Recognition:
        """Return the preset of the first file; refuse another file if it is of another known kind."""
        if self._recognition is None:
            return recognise(table.names, self.settings, self.name)
        own = recognise(table.names, self.settings, file.name).preset
        if own.name not in (GENERIC, self.preset.name):
            raise CatalogueError(
                f"catalogue {file.name} looks like a {own.title}, and the file before it like a {self.preset.title}: "
                "keep the files of each kind in a folder of their own"
            )
        return self._recognition

    def _table(self, file: Input, layout: Layout) -> RawTable:
        return database_table(file, layout) if file.path is None else open_table(file.path, file.name, layout)

    def _configured(self) -> frozenset[str]:
        return frozenset(folded(name) for names in self.settings.columns.model_dump().values() for name in names)

    def _more_images(self, file: Input) -> Mapping[str, Sequence[str]]:
        if self.settings.image_table and not self._images:
            self._images = images_by_id(self.settings, file.folder, self._scratch, self._timeout_s)
        return self._images

    def _folder_url(self, file: Input, mapping: ColumnMapping) -> str:
        """Return the file:// URL of the folder with the image files; empty if images are not files."""
        folder = Path(self.settings.image_folder).absolute() if self.settings.image_folder else file.folder
        if mapping.settings["image_files"] and folder is not None:
            first = mapping.settings["image_files"].partition("{")[0].rpartition("/")[0]
            self._image_folder = str(folder / first)
            if not (folder / first).is_dir():
                self._notes.append(f"the images are files in {folder / first}, which does not exist")
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
        return (
            "group" in mapping.fields
            or rules.continued
            or any(matching(column, mapping.columns) for column in (*rules.parent, rules.members, rules.kind) if column)
        )

    def _valid(self, products: Iterable[Product]) -> Iterator[Product]:
        """Yield the valid products; reject the others."""
        for product in products:
            reader = self._readers[product.row.file]
            faults = id_faults(product.id, reader.mapping) + image_faults(product.row, reader.mapping)
            reader.rejects += [Reject(product.row.line, *fault) for fault in faults]
            if not faults:
                yield product
            else:
                self._rows_of_rejected += product.rows - 1

    def _result(self, table: pa.Table, currency: str, notes: list[str], joiner: RowJoiner) -> Reading:
        """Return the reading; refuse the catalogue if too many rows are bad."""
        rows = self._count()
        if rows == 0:
            raise CatalogueError(f"catalogue {self.name} has a header and no products; export it again")
        mapping = self._readers[0].mapping
        rejects = [(reader.name, reject) for reader in self._readers for reject in reader.rejects]
        duplicates = []
        for row in joiner.repeated:
            reader = self._readers[row.file]
            duplicates.append((reader.name, Reject(row.line, reader.mapping.name_of("id"), row.id, DUPLICATE)))
        if len(self._readers) == 1:  # a file needs no name
            rejects, duplicates = ([("", reject) for _, reject in listed] for listed in (rejects, duplicates))
        notes = [
            *self._notes,
            *(note for reader in self._readers for note in (*reader.table.notes, *reader.mapping.notes)),
            *self._note_or_refuse(rejects, rows),
            *(note for reader in self._readers for note in reader.warnings.notes()),
            *self._skipped(),
            *notes_on_variants(joiner, self._readers[0].table.unit),
            *self._on_duplicates(duplicates),
            *notes,
        ]
        if not table.num_rows:
            reasons = "; ".join(notes) or "all its rows are empty"
            raise CatalogueError(f"catalogue {self.name} has no product for sale: {reasons}")

        notes += [*notes_on_gaps(table, mapping, self._readers[0].table), *notes_on_content(table)]
        settings = dict(mapping.settings)
        settings |= {"decimal": self._readers[0].decimal, "tree_separator": self._readers[0].tree_separator}
        return Reading(
            table=table,
            rows=rows,
            rejects=_rejects_frame(rejects + duplicates),
            digest=digest(sorted(table["row_digest"].to_pylist())),
            notes=notes,
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
            f"{counted(count, 'row is', 'rows are')} not for sale and left out: {value}"
            for value, count in skipped.items()
        ]

    def _on_duplicates(self, duplicates: list[tuple[str, Reject]]) -> list[str]:
        if not duplicates:
            return []
        location = _place(*duplicates[0], self._readers[0].table.unit)
        repeat = "is rejected because it repeats" if len(duplicates) == 1 else "are rejected because they repeat"
        return [f"{counted(len(duplicates), 'row')} {repeat} an earlier id, the first at {location}"]

    def _note_or_refuse(self, rejects: list[tuple[str, Reject]], rows: int) -> list[str]:
        """Return a note with the number of bad rows and the first of them.

        Args:
            rejects: name of the file and fault.
            rows: number of rows.

        Raises:
            CatalogueError: the share of bad rows is too large; the rows of a rejected product are bad too.
        """
        if not rejects:
            return []
        table = self._readers[0].table
        bad = len({(file, reject.line) for file, reject in rejects}) + self._rows_of_rejected
        first = _first_faults(rejects, table.unit)
        allowed = self.settings.rejected_share
        if bad / rows > allowed:
            hint = f"; {advice(table, ['id'])}" if any(reject.reason == "no id" for _, reject in rejects) else ""
            hint += "".join(f"; note: {note}" for note in table.notes)
            raise CatalogueError(
                f"catalogue {self.name}: {bad} of {rows:,} rows are bad ({bad / rows:.1%}; "
                f"catalogue.rejected_share allows {allowed:.1%}): {first}{hint}"
            )
        return [f"{bad} of {rows:,} rows are bad and rejected: {first}"]


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


def _first_faults(rejects: list[tuple[str, Reject]], unit: str, count: int = 5) -> str:
    """Return `line 7, discounted_price: 'x' not a price (3 rows); ...`: the first row of each of the first faults."""
    numbers = Counter((reject.column, reject.reason) for _, reject in rejects)
    first: dict[tuple[str, str], tuple[str, Reject]] = {}
    for file, reject in sorted(rejects, key=lambda pair: pair[1].line):
        first.setdefault((reject.column, reject.reason), (file, reject))
    messages = []
    for key, (file, reject) in list(first.items())[:count]:
        location = _place(file, reject, unit) + (f", {reject.column}" if reject.column else "")
        rows = f" ({numbers[key]:,} rows)" if numbers[key] > 1 else ""
        messages.append(f"{location}: {shorten(reject.value, 60)!r} {reject.reason}{rows}")
    return "; ".join(messages) + (f"; and {len(first) - count} other faults" if len(first) > count else "")


def _place(file: str, reject: Reject, unit: str) -> str:
    return f"{file} {unit} {reject.line}".lstrip()


def _rejects_frame(rejects: list[tuple[str, Reject]]) -> pd.DataFrame:
    ordered = sorted(rejects, key=lambda pair: (pair[0], pair[1].line))
    return pd.DataFrame(
        {
            "file": pd.Series([file for file, _ in ordered], dtype="str"),
            "line": pd.Series([reject.line for _, reject in ordered], dtype="int64"),
            "column": pd.Series([reject.column for _, reject in ordered], dtype="str"),
            "value": pd.Series([shorten(reject.value) for _, reject in ordered], dtype="str"),
            "reason": pd.Series([reject.reason for _, reject in ordered], dtype="str"),
        }
    )
