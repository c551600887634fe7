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
FIRST_VARIANT = "masterVariant"
"""Field of a record with its first variant, if `variants` has only the others."""
ELEMENTS = "[]."
"""Sign between a list of records and a field of its elements, as in `variants.prices[].amount`."""


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
    if isinstance(first := record.get(FIRST_VARIANT), dict):
        others = record.get("variants")
        rest = {key: value for key, value in record.items() if key != FIRST_VARIANT}
        record = rest | {"variants": [first, *(others if isinstance(others, list) else ())]}
    for name in VARIANT_LISTS:
        variants = record.get(name)
        if isinstance(variants, list) and variants and all(isinstance(variant, dict) for variant in variants):
            shared = flatten({key: value for key, value in record.items() if key != name})
            return [shared | flatten(variant, f"{name}.") for variant in variants]
    return [flatten(record)]


def element_names(record: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the fields of the records in the lists of a flattened record, such as `prices[].amount`."""
    for name, value in record.items():
        for element in value if isinstance(value, list) else ():
            if isinstance(element, dict):
                yield from (f"{name}{ELEMENTS}{field}" for field in flatten(element) | element)


def value_of(record: dict[str, Any], name: str) -> Any:
    """Return a field of a flattened record; of `prices[].amount` the list of the values, None for each missing one."""
    if name in record or ELEMENTS not in name:
        return record.get(name)
    outer, _, inner = name.partition(ELEMENTS)
    elements = record.get(outer)
    return [_inner(element, inner) for element in elements] if isinstance(elements, list) else None


def _inner(value: Any, path: str) -> Any:
    """Return the field `outer.inner` of a record; None if it lacks one."""
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def of_record(value: Any) -> Any:
    """Return the address or name in a record such as `{"src": ...}`, None if it has none; any other value as it is."""
    if not isinstance(value, dict):
        return value
    return next((value[key] for key in RECORD_KEYS if value.get(key)), None)
