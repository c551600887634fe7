"""What all formats have in common: a table's column names and its rows, read one after the other."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

RECORD_KEYS = ("src", "url", "link", "href", "name", "value", "title")
"""Fields of a record in a list that stand for it."""


VARIANT_LISTS = ("variants", "variations", "skus", "offers")
"""Fields of a record with a list of its variants; each variant becomes a row with columns such as `variants.price`."""
VARIANT_PREFIXES = tuple(f"{name}." for name in VARIANT_LISTS)


@dataclass(frozen=True)
class Layout:
    """Settings of a file; an empty value means that it is detected.

    Attributes:
        delimiter: delimiter of a delimited text.
        encoding: its encoding.
        query: SQL query of a database.
        known_names: names of columns of known exports, folded (see `folded`); they identify the header's row.
        max_bytes: maximum size of the unpacked content.
    """

    delimiter: str = ""
    encoding: str = ""
    query: str = ""
    known_names: frozenset[str] = frozenset()
    max_bytes: int = 8 << 30


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        number: its first line, or its number in a format without lines; both from 1.
        cells: cells in the order of the requested columns; empty if the row has a fault.
        fault: why the row cannot be used; empty if it can.
        content: shown with the fault.
    """

    number: int
    cells: Sequence[Any]
    fault: str = ""
    content: str = ""


@dataclass
class RawTable(ABC):
    """Rows of one file.

    Attributes:
        names: names of the columns; of a format with records, of those in the first records.
        unit: what `Row.number` counts: line, row, record or item.
        format: the format, in words for the user.
        notes: sentences for the user; complete after the rows are read.
    """

    names: list[str] = field(default_factory=list, init=False)
    unit: str = field(default="row", init=False)
    format: str = field(default="", init=False)
    notes: list[str] = field(default_factory=list, init=False)

    @abstractmethod
    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """Yield the rows that are not empty.

        Args:
            columns: names of the columns to read; each exists once in `names`.

        Raises:
            CatalogueError: the rest of the file cannot be read.
        """


def folded(name: str) -> str:
    """Return the name of a column without regard to case, blanks, hyphens and underscores, as in `salePrice`."""
    return re.sub(r"[\s_-]+", "", name.casefold())


def flatten(record: dict[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Return a record with the fields of inner records as `outer.inner`; deeper than three levels they are left out."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            if depth < 3:
                flat |= flatten(value, f"{prefix}{key}.", depth + 1)
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def variant_records(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a record for each of its variants, flattened; one record if it has no list of variants."""
    for name in VARIANT_LISTS:
        variants = record.get(name)
        if isinstance(variants, list) and variants and all(isinstance(variant, dict) for variant in variants):
            shared = flatten({key: value for key, value in record.items() if key != name})
            return [shared | flatten(variant, f"{name}.") for variant in variants]
    return [flatten(record)]


def of_record(value: Any) -> Any:
    """Return the address or name in a record such as `{"src": ...}`, None if it has none; any other value as it is."""
    if not isinstance(value, dict):
        return value
    return next((value[key] for key in RECORD_KEYS if value.get(key)), None)
