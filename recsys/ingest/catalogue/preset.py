"""Presets: how the exports of common shop systems are written, one TOML file each in `presets/`.

    requires    columns that identify the export; `a|b` is either of them
    typical     further columns of it, which show how sure the recognition is
    columns     as `catalogue.columns` of the configuration
    settings    as the other keys of `catalogue`
    skip        column: values of rows that are not for sale, such as drafts; nor are their variants
    only_if     column: conditions (column: values) under which it counts, such as a sale price that can be switched off
    discount    columns with the kind (PERCENT or AMOUNT) and the size of a reduction of the price
    minor_unit  column of prices in the smallest unit: column with the number of their decimal digits
    elements    column with a list of prices: the field with the currency, and fields with a condition, see `Element`
    price_currency  regular expression that finds the currency in the name of a price column; others are not read
    untracked   column: values of rows whose quantity is not counted, so that 0 does not mean out of stock
    no_category names of categories that say nothing, such as `Uncategorized`; left out at the start of a path
    parent      column that names another row's id or SKU, whose variant the row is; or a row's kind, see `Rows`
    limits      what the preset cannot do, for the documentation

A shop's own preset is the same kind of file: `catalogue.preset = "my-shop.toml"`.
"""

from __future__ import annotations

import fnmatch
import functools
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recsys.core.configuration import Catalogue, Columns, Names
from recsys.core.errors import CatalogueError, ConfigurationError
from recsys.core.text import shorten
from recsys.ingest.catalogue.formats.table import ELEMENTS, folded

FOLDER = Path(__file__).parent / "presets"
OWN_COLUMNS = 3
"""Number of columns of its own by which a preset is recognised although a required one is missing."""
GENERIC = "generic"
"""Name of the preset that knows only common names of columns; used if no other one fits."""


class Rows(BaseModel):
    """How the rows of one product belong together, if not by `columns.group`.

    Attributes:
        parent: column with the id of the row's parent, or its names in several languages; `parent_keys` are the columns
            that it may refer to.
        members: column of the parent with the ids of its variants, found by `members_pattern`.
        members_pattern: its first group is an id, its second one, if any, the options of that variant.
        options_pattern: finds the options in a text such as `Name=Size|Value=M`; its group is one of them.
        kind: column with the kind of a row; a row whose kind is not in `first_kinds` belongs to the one above it.
        continued: whether a row without an id belongs to the row above it.
        head_decides: whether only the first row of a product, or the parent, says that it is not for sale.
        surcharge: column with what a variant costs in addition to its product.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parent: Names = ()
    parent_keys: tuple[str, ...] = ()
    members: str = ""
    members_pattern: str = ""
    options_pattern: str = ""
    kind: str = ""
    first_kinds: tuple[str, ...] = ()
    ignored_kinds: tuple[str, ...] = ()
    continued: bool = False
    head_decides: bool = False
    surcharge: str = ""


class Discount(BaseModel):
    """Columns of a reduction of the price.

    Attributes:
        mode: column with `PERCENT` or `AMOUNT`.
        value: column with its size.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: str
    value: str


class Element(BaseModel):
    """The record that counts in a list of records: the first one without a condition, in the shop's currency.

    Attributes:
        currency: field with its currency.
        conditions: fields that are empty unless it counts only for some orders, such as those from one country.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: str
    conditions: tuple[str, ...] = ()


class Preset(BaseModel):
    """A known kind of export; for the fields see the module."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    documentation: str = ""
    requires: tuple[str, ...] = ()
    typical: tuple[str, ...] = ()
    columns: Columns = Columns()
    settings: Catalogue = Catalogue()
    skip: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    only_if: Mapping[str, Mapping[str, tuple[str, ...]]] = Field(default_factory=dict)
    discount: Discount | None = None
    minor_unit: Mapping[str, str] = Field(default_factory=dict)
    elements: Mapping[str, Element] = Field(default_factory=dict)
    price_currency: str = ""
    untracked: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    no_category: tuple[str, ...] = ()
    rows: Rows = Rows()
    labels: str = ""
    """Built-in merge table of labels: `original`, or none."""
    limits: tuple[str, ...] = ()

    @functools.cached_property
    def column_names(self) -> frozenset[str]:
        """Names of all columns that the preset mentions, folded."""
        fields = [name for names in self.columns.model_dump().values() for name in names]
        usual = [name for names in (*self.requires, *self.typical) for name in names.split("|")]
        names = (*usual, *fields)
        return frozenset(folded(part) for name in names for part in name.split(" + "))

    @functools.cached_property
    def element_columns(self) -> tuple[str, ...]:
        """Fields of the records in `elements` that are read."""
        fields = [name for names in self.columns.model_dump().values() for name in names]
        fields += self.minor_unit.values()
        for column, element in self.elements.items():
            fields += [f"{column}{ELEMENTS}{field}" for field in (element.currency, *element.conditions)]
        return tuple(name for name in fields if name.partition(ELEMENTS)[0] in self.elements and ELEMENTS in name)


@dataclass(frozen=True)
class Recognition:
    """Result of recognising an export.

    Attributes:
        preset: the preset.
        share: share of the preset's required and typical columns that the file has, 0 to 1.
        missing: required columns that it lacks.
    """

    preset: Preset
    share: float
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.preset.name == GENERIC:
            return "no known export; its columns were found by their names"
        lacks = f", without {' and '.join(self.missing)}" if self.missing else ""
        return f"{self.preset.title} ({self.share:.0%} of its usual columns{lacks})"


@functools.cache
def presets() -> tuple[Preset, ...]:
    """Return the built-in presets, by name."""
    return tuple(read_preset(file) for file in sorted(FOLDER.glob("*.toml")))


@functools.cache
def known_names() -> frozenset[str]:
    """Return the column names of all built-in presets, folded; they identify a header."""
    return frozenset(name for preset in presets() for name in preset.column_names if "*" not in name)


def read_preset(file: Path) -> Preset:
    """Return the preset in a file.

    Raises:
        ConfigurationError: the file cannot be read, or is not a preset.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        return Preset.model_validate({"name": file.stem, **content})
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"catalogue.preset: {file} cannot be read ({shorten(error, 200)})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"catalogue.preset: {file}, key '{key}': {first['msg']}") from error


def recognise(columns: Sequence[str], settings: Catalogue, name: str) -> Recognition:
    """Return the preset of a file with these columns.

    Args:
        columns: names of the file's columns.
        settings: `preset`, which selects one; empty recognises it.
        name: the catalogue's name for messages.

    Raises:
        CatalogueError: two presets fit equally well; the message has the setting that decides.
        ConfigurationError: there is no such preset.
    """
    present = frozenset(map(folded, columns))
    if settings.preset:
        return _selected(settings.preset, present)
    fitting = [preset for preset in presets() if preset.requires and _requirements_met(preset, present)]
    if not fitting:
        return _nearest(present) or Recognition(named_preset(GENERIC), 0.0)

    def rank(preset: Preset) -> tuple[int, int]:
        return len(preset.column_names & present), len(preset.requires)

    best = max(fitting, key=rank)
    rivals = [preset for preset in fitting if preset is not best and rank(preset) == rank(best)]
    if rivals:
        choices = " or ".join(f'catalogue.preset = "{preset.name}" ({preset.title})' for preset in (best, *rivals))
        raise CatalogueError(f"catalogue {name} can be one of several exports: set {choices}")
    return Recognition(best, _share(best, present))


def _nearest(present: frozenset[str]) -> Recognition | None:
    """Return the preset of which a file has at least three columns that no other preset has, though not all required.

    Choosing columns is a usual step of an export: read by names alone, its drafts and variants would be products.
    """
    best = max(presets(), key=lambda preset: len(_own_names()[preset.name] & present))
    if len(_own_names()[best.name] & present) < OWN_COLUMNS:
        return None
    missing = tuple(names.split("|")[0] for names in best.requires if not _is_present(names, present))
    if len(missing) > 0.4 * len(best.requires):
        return None
    return Recognition(best, _share(best, present), missing)


@functools.cache
def _own_names() -> dict[str, frozenset[str]]:
    """Return the names of columns that only one preset has, by its name."""
    counts = Counter(name for preset in presets() for name in preset.column_names)
    return {
        preset.name: frozenset(name for name in preset.column_names if counts[name] == 1 and preset.requires)
        for preset in presets()
    }


def matching(pattern: str, columns: Sequence[str]) -> list[str]:
    """Return the columns that a name or a pattern matches, folded; those with numbers in their order.

    In a pattern `*` is any text, and `#` a number; a field of the records in a list matches only a pattern with `[]`.
    """
    exact = [column for column in columns if column == pattern]
    matches = exact or [column for column in columns if folded(column) == folded(pattern)]
    if not matches and ("*" in pattern or "#" in pattern):
        expression = re.escape(folded(pattern)).replace(r"\*", ".*").replace(r"\#", r"\d+")
        possible = columns if ELEMENTS in pattern else [column for column in columns if ELEMENTS not in column]
        matches = [column for column in possible if re.fullmatch(expression, folded(column))]
        matches.sort(key=lambda column: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", column)])
    return matches


def _selected(name: str, present: frozenset[str]) -> Recognition:
    if name == "none":
        return Recognition(Preset(name="none", title="only the configured columns"), 1.0)
    preset = read_preset(Path(name)) if name.endswith(".toml") else named_preset(name)
    return Recognition(preset, _share(preset, present))


def named_preset(name: str) -> Preset:
    """Return a built-in preset.

    Raises:
        ConfigurationError: there is no such preset.
    """
    for preset in presets():
        if preset.name == name:
            return preset
    names = ", ".join(preset.name for preset in presets())
    raise ConfigurationError(
        f"catalogue.preset: unknown preset '{name}'; known are {names}, or the path of a .toml file"
    )


def _requirements_met(preset: Preset, present: frozenset[str]) -> bool:
    return all(_is_present(names, present) for names in preset.requires)


def _is_present(names: str, present: frozenset[str]) -> bool:
    return any(
        folded(name) in present or ("*" in name and bool(fnmatch.filter(present, folded(name))))
        for name in names.split("|")
    )


def _share(preset: Preset, present: frozenset[str]) -> float:
    usual = (*preset.requires, *preset.typical)
    return sum(_is_present(names, present) for names in usual) / len(usual) if usual else 1.0
