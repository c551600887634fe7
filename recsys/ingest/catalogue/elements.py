"""Choose the record that counts in a list of records, such as one of a product's prices in several currencies."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from recsys.ingest.catalogue import cells
from recsys.ingest.catalogue.cell_warnings import Warnings
from recsys.ingest.catalogue.formats import Row
from recsys.ingest.catalogue.formats.table import ELEMENTS
from recsys.ingest.catalogue.mapping import ColumnMapping
from recsys.ingest.catalogue.prices import SEVERAL_CURRENCIES

ONLY_CONDITIONS = "all prices have a condition, such as a country or a quantity: none is read"
SEVERAL_PRICES = "of several prices in {} without a condition, the first one is used"
SAMPLE_ROWS = 4_000
"""Rows from which the currency is chosen."""


@dataclass(frozen=True)
class _List:
    """Indexes of the columns of a list: all of them, the one with the currency, and those with a condition."""

    columns: tuple[int, ...]
    currency: int
    conditions: tuple[int, ...]


class ElementChoice:
    """Replaces the values of the records in a list by those of the one that counts.

    It is the first one without a condition, in the currency of the configuration; without that setting, in the currency
    in which most rows have one, else in any.
    """

    def __init__(self, mapping: ColumnMapping, warnings: Warnings) -> None:
        index = {column: number for number, column in enumerate(mapping.columns)}
        self._lists = [
            _List(
                columns=tuple(index[column] for column in index if column.startswith(f"{name}{ELEMENTS}")),
                currency=index[f"{name}{ELEMENTS}{element.currency}"],
                conditions=tuple(index[f"{name}{ELEMENTS}{field}"] for field in element.conditions),
            )
            for name, element in mapping.recognition.preset.elements.items()
            if f"{name}{ELEMENTS}{element.currency}" in index
        ]
        prices = [column for spec in mapping.fields.get("price", ()) for column in spec if ELEMENTS not in column]
        self._single_prices = [index[column] for column in prices]
        self._shop_currency = cells.currency_code(mapping.settings["currency"])
        self._warnings = warnings

    def chosen(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield the rows."""
        if not self._lists:
            yield from rows
            return
        sample = list(islice(rows, SAMPLE_ROWS))
        currency = {listed: self._shop_currency or self._most_frequent(listed, sample) for listed in self._lists}
        for row in chain(sample, rows):
            if not row.fault:
                for listed in self._lists:
                    row = row._replace(cells=self._of_one_record(listed, currency[listed], row))
            yield row

    def _of_one_record(self, listed: _List, currency: str, row: Row) -> list[Any]:
        """Return the cells of a row, those of a list as the values of one record; None without one that counts."""
        codes = _unconditional(listed, row)
        number = next((number for number, code in codes.items() if code == currency), None)
        if number is None and not self._shop_currency:
            number = next(iter(codes), None)
        if all(cells.is_empty(row.cells[column]) for column in self._single_prices):
            self._note(listed, codes, number, row)
        chosen = list(row.cells)
        for column in listed.columns:
            chosen[column] = None if number is None else _value(row, column, number)
        return chosen

    def _note(self, listed: _List, codes: dict[int, str], number: int | None, row: Row) -> None:
        """Count a row with several prices that may count, or without one although its list has some."""
        if number is None:
            if codes:
                self._warnings.add(f"no price in {self._shop_currency}, which is catalogue.currency", row.number)
            elif row.cells[listed.currency]:
                self._warnings.add(ONLY_CONDITIONS, row.number)
            return
        if list(codes.values()).count(codes[number]) > 1:
            self._warnings.add(SEVERAL_PRICES.format(codes[number]), row.number)
        if len(set(codes.values())) > 1 and not self._shop_currency:
            self._warnings.add(SEVERAL_CURRENCIES.format(codes[number]), row.number)

    @staticmethod
    def _most_frequent(listed: _List, sample: list[Row]) -> str:
        rows = (row for row in sample if not row.fault)
        counts = Counter(code for row in rows for code in dict.fromkeys(_unconditional(listed, row).values()))
        return max(counts, key=lambda code: counts[code], default="")


def _unconditional(listed: _List, row: Row) -> dict[int, str]:
    """Return the currency of each record that has one, and no condition, by its number."""
    currencies = row.cells[listed.currency]
    numbers = range(len(currencies)) if isinstance(currencies, list) else ()
    codes = {number: cells.currency_code(cells.text(currencies[number])) for number in numbers}
    return {number: code for number, code in codes.items() if code and not _has_condition(listed, row, number)}


def _has_condition(listed: _List, row: Row, number: int) -> bool:
    values = (_value(row, column, number) for column in listed.conditions)
    return not all(cells.is_empty(value) or value in ({}, 0) for value in values)


def _value(row: Row, column: int, number: int) -> Any:
    """Return the value of a column in one record of a list."""
    values = row.cells[column]
    return values[number] if isinstance(values, list) and number < len(values) else None
