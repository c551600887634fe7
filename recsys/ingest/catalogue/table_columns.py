"""The columns of one table by field, and the cells of a row in them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from recsys.ingest.catalogue import cells
from recsys.ingest.catalogue.mapping import ColumnMapping, Spec
from recsys.ingest.catalogue.preset import matching

Cells = Sequence[Any]
"""Cells of a row, in the order of `ColumnMapping.columns`."""
Getter = Callable[[Cells], Any]


class TableColumns:
    """Columns of a table.

    Attributes:
        mapping: columns by field.
        getters: name of the column and function that returns its cell of a row, for each column of a field.
    """

    def __init__(self, mapping: ColumnMapping) -> None:
        self.mapping = mapping
        self._index = {column: number for number, column in enumerate(mapping.columns)}
        self.getters: dict[str, tuple[tuple[str, Getter], ...]] = {
            key: tuple((spec[0], self._getter(spec)) for spec in specs) for key, specs in mapping.fields.items()
        }

    def of(self, field: str) -> tuple[tuple[str, Getter], ...]:
        """Return the columns of a field; empty if the table has none."""
        return self.getters.get(field, ())

    def named(self, row: Cells, field: str) -> Iterator[tuple[str, Any]]:
        """Yield name and cell of each column of a field."""
        for column, get in self.of(field):
            yield column, get(row)

    def first(self, row: Cells, field: str) -> Any:
        """Return the first cell of a field that is not empty."""
        for _, get in self.of(field):
            if not cells.is_empty(cell := get(row)):
                return cell
        return None

    def index(self, *names: str) -> int | None:
        """Return the index of the first of some columns, of which each may also be a pattern; None without one."""
        return next((self._index[column] for name in names if (column := self.column(name))), None)

    def column(self, name: str) -> str | None:
        """Return the column with a name or pattern; None if there is none."""
        return next(iter(matching(name, self.mapping.columns)), None) if name else None

    def words(self, words: Mapping[str, Sequence[str]]) -> dict[int, set[str]]:
        """Return words of a preset by the index of their column, in lower case."""
        by_index = {self.index(name): {value.lower() for value in values} for name, values in words.items()}
        return {index: values for index, values in by_index.items() if index is not None}

    def _getter(self, spec: Spec) -> Getter:
        """Return a function that returns the cell of one column of a row, or the joined cells of several."""
        indexes = [self._index[name] for name in spec]
        if len(indexes) == 1:
            return itemgetter(indexes[0])

        def joined(row: Cells) -> str | None:
            parts = [row[index] for index in indexes]
            return None if any(map(cells.is_empty, parts)) else "-".join(map(cells.identifier, parts))

        return joined
