"""Turn the rows of a file into values: one `CatalogueRow` each, and the faults of their cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from itertools import islice
from typing import Any
from urllib.parse import quote

from recsys.core.errors import CatalogueError
from recsys.ingest.catalogue import cells
from recsys.ingest.catalogue.cell_warnings import Warnings
from recsys.ingest.catalogue.elements import ElementChoice
from recsys.ingest.catalogue.formats import RawTable, Row
from recsys.ingest.catalogue.mapping import ColumnMapping
from recsys.ingest.catalogue.prices import CellError, PriceReader
from recsys.ingest.catalogue.table_columns import TableColumns

SAMPLE_ROWS = 4_000
"""Rows from which the decimal sign and the separators are detected."""
MAX_REJECTS = 500_000
"""Number of bad rows of a file after which it is refused at any allowed share."""
NO_PARENT = "0"
"""Id of a parent or a group with which shop systems say that a product has none."""
LONGEST_ID = 256
"""Maximum length of a product id, characters."""


@dataclass(frozen=True)
class Reject:
    """One fault of one row.

    Attributes:
        line: line or row, from 1.
        column: column of the file; empty for a fault of the whole row.
        value: content of the cell.
        reason: what is wrong.
    """

    line: int
    column: str
    value: Any
    reason: str


@dataclass(slots=True)
class CatalogueRow:
    """Values of one row.

    Attributes:
        line: its first line, or its number.
        file: index of its file among those of the catalogue.
        position: its index among all rows, from 0.
        id, group, parent: ids; empty if the row has none.
        aliases: other ids by which a variant may name it as its parent, such as its SKU.
        variant_id: id of the variant, such as its SKU; empty if it has none of its own.
        kind: its kind, see `preset.Rows`.
        members: ids of its variants, with the options of each.
        name, brand: texts.
        paths: category paths, the deepest first.
        price, retail_price: amounts in `currency`.
        images: addresses.
        in_stock: None if not known.
        options: what distinguishes it from the other variants of its product.
        attributes: further columns by name.
        for_sale: False for a draft and the like, and for a row with a fault; its variants are not for sale either.
        surcharge: what a variant costs in addition to its product.
        tracked: False if the shop does not count its pieces.
    """

    line: int
    position: int
    file: int = 0
    id: str = ""
    group: str = ""
    parent: str = ""
    aliases: tuple[str, ...] = ()
    variant_id: str = ""
    kind: str = ""
    members: tuple[tuple[str, str], ...] = ()
    name: str | None = None
    brand: str | None = None
    paths: list[list[str]] = field(default_factory=list)
    price: float | None = None
    retail_price: float | None = None
    currency: str = ""
    images: list[str] = field(default_factory=list)
    in_stock: bool | None = None
    options: tuple[tuple[str, str], ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    for_sale: bool = True
    surcharge: float = 0.0
    tracked: bool = True


@dataclass
class RowReader:
    """Reads the rows of one table.

    Attributes:
        table: the table.
        mapping: its columns.
        name: name of its file.
        file: index of its file.
        image_folder: folder for `image_files`, as a file:// URL; empty if there is none.
        more_images: addresses by the id of a product or a variant, from another table.
        first_position: index of its first row among all rows of the catalogue.
        rejects: faults, complete after the rows are read.
        warnings: as `rejects`.
        tree_separator: separator of category levels; known once the rows are read.
        is_product: whether a row is a product; if not, several may be, and a row may lack an image.
        rows: number of rows so far.
        skipped: number of rows that are not for sale, by the value that says so.
    """

    table: RawTable
    mapping: ColumnMapping
    name: str = ""
    file: int = 0
    image_folder: str = ""
    more_images: Mapping[str, Sequence[str]] = field(default_factory=dict)
    first_position: int = 0
    tree_separator: str = field(default="", init=False)
    is_product: bool = True
    rejects: list[Reject] = field(default_factory=list)
    warnings: Warnings = field(default_factory=Warnings)
    rows: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.warnings.unit = self.table.unit
        preset, settings = self.mapping.recognition.preset, self.mapping.settings
        self._columns = columns = TableColumns(self.mapping)
        self._prices = PriceReader(columns, self.warnings)
        self._trees, self._image_columns = columns.of("category_tree"), columns.of("images")
        self._image_separator, self._image_base = settings["image_separator"], settings["image_base"]
        self._path_separator = settings["path_separator"]
        self._roots: frozenset[str] = frozenset()
        self._fraction = ""
        self._skip, self._untracked = columns.words(preset.skip), columns.words(preset.untracked)
        self._rules = rules = preset.rows
        self._parent, self._members = columns.index(*rules.parent), columns.index(rules.members)
        self._kind = columns.index(rules.kind)
        self._aliases = [index for name in rules.parent_keys if (index := columns.index(name)) is not None]
        self._member_pattern = re.compile(rules.members_pattern or r"[^,;|]+")
        self._options_pattern = re.compile(rules.options_pattern) if rules.options_pattern else None
        self._no_category = frozenset(preset.no_category)
        self._parsers = tuple((name, parse) for name, parse in self._parsers_by_field().items() if parse is not None)

    def _parsers_by_field(self) -> dict[str, Callable[[Row], Any] | None]:
        """Return a function for each field of a row, except its prices; None if the table has no column for it."""
        known = self._columns.getters
        return {
            "id": self._identifier("id"),
            "group": self._group_of if self._columns.of("group") else None,
            "parent": self._parent_of if self._parent is not None else None,
            "aliases": self._aliases_of if self._aliases else None,
            "variant_id": self._identifier("variant_id"),
            "kind": (lambda row: self._kind_of(row.cells)) if self._kind is not None else None,
            "members": self._members_of if self._members is not None else None,
            "name": self._text("name"),
            "brand": self._text("brand"),
            "paths": self._paths if {"category_levels", "category_tree"} & known.keys() else None,
            "currency": self._currency if "currency" in known else None,
            "images": self._images,
            "tracked": (lambda row: self._is_tracked(row.cells)) if self._untracked else None,
            "surcharge": self._prices.surcharge if self._prices.has_surcharge else None,
            "in_stock": self._in_stock if "in_stock" in known else None,
            "options": self._options if "variant" in known else None,
            "attributes": (lambda row: self._named(row.cells, "attributes")) if "attributes" in known else None,
        }

    def _identifier(self, key: str) -> Callable[[Row], str] | None:
        if not self._columns.of(key):
            return None
        return lambda row: cells.identifier(self._columns.first(row.cells, key)).removesuffix(self._fraction)

    def _text(self, key: str) -> Callable[[Row], str | None] | None:
        getters = self._columns.of(key)
        if len(getters) == 1:
            get = getters[0][1]
            return lambda row: cells.text(get(row.cells))
        return (lambda row: cells.text(self._columns.first(row.cells, key))) if getters else None

    @property
    def decimal(self) -> str:
        """Decimal sign of the prices; known once the rows are read."""
        return self._prices.decimal

    def read(self) -> Iterator[CatalogueRow]:
        """Yield the valid rows.

        Raises:
            CatalogueError: the rest of the file cannot be read, or the decimal sign of its prices is not clear.
        """
        rows = ElementChoice(self.mapping, self.warnings).chosen(self.table.rows(self.mapping.columns))
        sample = list(islice(rows, SAMPLE_ROWS))
        self._detect([row.cells for row in sample if not row.fault])
        for row in _chain(sample, rows):
            position = self.first_position + self.rows
            self.rows += 1
            if row.fault:
                self.rejects.append(Reject(row.number, "", row.content, row.fault))
                if len(self.rejects) > MAX_REJECTS:
                    raise CatalogueError(
                        f"more than {MAX_REJECTS:,} rows are bad, the last at line {row.number}: {row.fault}"
                    )
            elif self._is_of_ignored_kind(row.cells):
                continue
            elif self._is_skipped(row.cells):
                if not self.is_product:
                    yield self._values(row, position, for_sale=False)
            elif parsed := self._parse(row, position):
                yield parsed

    def _detect(self, sample: Sequence[Sequence[Any]]) -> None:
        """Choose the decimal sign and the separators of categories, if they are not set."""
        self._prices.detect(sample)
        ids = [cells.identifier(self._columns.first(row, "id")) for row in sample]
        if ids and all(re.fullmatch(r"\d+\.0", identifier) for identifier in ids):
            self._fraction = ".0"  # of a column of numbers in which some were missing
        trees = [tree for row in sample if (tree := self._columns.first(row, "category_tree"))]
        self.tree_separator = self.mapping.settings["tree_separator"].strip() or cells.tree_separator(trees)
        self._roots = cells.roots_of(trees, self.tree_separator)

    def _is_of_ignored_kind(self, row: Sequence[Any]) -> bool:
        if self._kind is None:
            return False
        kind, rules = self._kind_of(row), self._rules
        return bool(kind) and kind not in rules.first_kinds and any(fnmatch(kind, word) for word in rules.ignored_kinds)

    def _kind_of(self, row: Sequence[Any]) -> str:
        return cells.word(row[self._kind]) if self._kind is not None else ""

    def _is_skipped(self, row: Sequence[Any]) -> bool:
        rules = self._rules
        if rules.head_decides:
            parent = self._parent is not None and cells.identifier(row[self._parent]) not in ("", NO_PARENT)
            if parent or (rules.kind and self._kind_of(row) not in rules.first_kinds):
                return False
        for column, values in self._skip.items():
            value = cells.word(row[column])
            if value.lower() in values:
                self.skipped[f"{self.mapping.columns[column]} is {value or 'empty'}"] += 1
                return True
        return False

    def _parse(self, row: Row, position: int) -> CatalogueRow | None:
        """Return the values of a row; None if one of its cells has a fault and the row is a product.

        Of a product with several rows, a faulty one is not for sale: without its first row it has no name.
        """
        parsed = self._values(row, position)
        faults: list[Fault] = []
        try:
            parsed.price, currency = self._prices.price(row)
            parsed.currency = currency or parsed.currency
        except CellError as fault:
            faults.append((fault.column, fault.value, fault.reason))
        parsed.retail_price = self._prices.retail_price(row, parsed.price)
        if self.is_product or cells.is_rounded(parsed.id):
            faults += id_faults(parsed.id, self.mapping)
        if self.is_product:
            faults += image_faults(parsed, self.mapping)
        if faults:
            self.rejects += [Reject(row.number, *fault) for fault in faults]
            parsed.for_sale = False
        return None if faults and self.is_product else parsed

    def _values(self, row: Row, position: int, *, for_sale: bool = True) -> CatalogueRow:
        """Return the values of a row without its prices."""
        parsed = CatalogueRow(row.number, position, self.file, for_sale=for_sale)
        for name, parse in self._parsers:
            setattr(parsed, name, parse(row))
        return parsed

    def _group_of(self, row: Row) -> str:
        group = cells.identifier(self._columns.first(row.cells, "group")).removesuffix(self._fraction)
        return "" if group == NO_PARENT else group

    def _parent_of(self, row: Row) -> str:
        assert self._parent is not None
        parent = cells.identifier(row.cells[self._parent]).removeprefix("id:")
        return "" if parent == NO_PARENT else parent

    def _aliases_of(self, row: Row) -> tuple[str, ...]:
        return tuple([cells.identifier(row.cells[column]) for column in self._aliases])

    def _currency(self, row: Row) -> str:
        return cells.currency_code(cells.text(self._columns.first(row.cells, "currency")))

    def _is_tracked(self, row: Sequence[Any]) -> bool:
        """Return whether the pieces in stock are counted."""
        return not any(cells.word(row[column]).lower() in words for column, words in self._untracked.items())

    def _in_stock(self, row: Row) -> bool | None:
        if self._untracked and not self._is_tracked(row.cells):
            return None
        cell = cells.scalar(self._columns.first(row.cells, "in_stock"))
        try:
            return cells.in_stock(cell)
        except (ValueError, TypeError):
            word = f"{self.mapping.name_of('in_stock')} '{str(cell)[:30]}' is not known: the stock is unknown"
            self.warnings.add(word, row.number)
            return None

    def _paths(self, row: Row) -> list[list[str]]:
        if self._columns.of("category_levels"):
            texts = (cells.text(cell) for _, cell in self._columns.named(row.cells, "category_levels"))
            path = [text for text in texts if text]
            return [path] if path else []
        for _, get in self._trees:
            paths = cells.category_paths(get(row.cells), self.tree_separator, self._path_separator, self._roots)
            if self._no_category:
                paths = [path for path in (path[path[0] in self._no_category :] for path in paths) if path]
            if paths:
                return paths
        return []

    def _images(self, row: Row) -> list[str]:
        images: list[str] = []
        for _, get in self._image_columns:
            images += cells.addresses(get(row.cells), self._image_separator, self._image_base)
        if self.more_images:
            ids = dict.fromkeys(cells.identifier(self._columns.first(row.cells, key)) for key in ("id", "variant_id"))
            images += [address for one in ids for address in self.more_images.get(one, ())]
        if not images and self.image_folder:
            return [f"{self.image_folder}/{self._image_file(row.cells)}"]
        return list(dict.fromkeys(images)) if len(images) > 1 else images

    def _image_file(self, row: Sequence[Any]) -> str:
        """Return the path of a product's image file, with a safe name for each part of `image_files`."""

        def fill(match: re.Match[str]) -> str:
            index = self._columns.index(match["column"])
            value = "" if index is None else cells.identifier(row[index])
            return quote(value[: int(match["length"] or len(value))].lstrip("."), safe="")

        return re.sub(r"{(?P<column>[^}:]+)(?::(?P<length>\d+))?}", fill, self.mapping.settings["image_files"])

    def _named(self, row: Sequence[Any], key: str) -> tuple[tuple[str, str], ...]:
        named = ((column, cells.text(cell)) for column, cell in self._columns.named(row, key))
        return tuple((name, text) for name, text in named if text)

    def _options(self, row: Row) -> tuple[tuple[str, str], ...]:
        named = ((name, self._option_texts(text)) for name, text in self._named(row.cells, "variant"))
        return tuple((name, text) for name, text in named if text)

    def _option_texts(self, text: str) -> str:
        return " / ".join(self._options_pattern.findall(text)) if self._options_pattern else text

    def _members_of(self, row: Row) -> tuple[tuple[str, str], ...]:
        assert self._members is not None
        cell = row.cells[self._members]
        matches = self._member_pattern.findall(cell) if isinstance(cell, str) else []
        pairs = (part if isinstance(part, tuple) else (part, "") for part in matches)
        return tuple((member.strip(), self._option_texts(options)) for member, options in pairs)


Fault = tuple[str, Any, str]
"""Column, value and reason of a fault."""


def id_faults(identifier: str, mapping: ColumnMapping) -> list[Fault]:
    """Return what is wrong with an id."""
    column = mapping.name_of("id")
    if not identifier:
        return [(column, identifier, "no id")]
    if len(identifier) > LONGEST_ID:
        return [(column, identifier, f"id longer than {LONGEST_ID} characters")]
    if cells.is_rounded(identifier):
        reason = "an id that a spreadsheet has rounded; export again, and import that column as text"
        return [(column, identifier, reason)]
    return []


def image_faults(row: CatalogueRow, mapping: ColumnMapping) -> list[Fault]:
    """Return what is wrong with the images of a product; keep only the addresses that can be fetched."""
    first = next(iter(row.images), "")
    row.images = [image for image in row.images if cells.is_web_address(image) or image.startswith("file://")]
    if row.images:
        return []
    reason = "no http(s) image URL"
    if first and ":" not in first and not mapping.settings["image_base"] and re.search(r"[./]", first):
        limits = mapping.recognition.preset.limits
        usual = "if it is a relative path, set catalogue.image_base to the address before it"
        reason += f"; {next((limit.rstrip('.') for limit in limits if 'image_base' in limit), usual)}"
    return [(mapping.name_of("images"), first, reason)]


def _chain(sample: list[Row], rest: Iterator[Row]) -> Iterator[Row]:
    """Yield the sample, which is released as it is read, and the rest."""
    sample.reverse()
    while sample:
        yield sample.pop()
    yield from rest
