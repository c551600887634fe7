"""Read the prices of the rows of one table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from recsys.core.errors import CatalogueError
from recsys.ingest.catalogue import cells
from recsys.ingest.catalogue.cell_warnings import Warnings
from recsys.ingest.catalogue.formats import Row
from recsys.ingest.catalogue.table_columns import Cells, TableColumns

SEVERAL_CURRENCIES = "of prices in several currencies, the one in {} is used; catalogue.currency selects another"
PRICE_BELOW = 1e12
"""Upper bound of a price, exclusive."""


class CellError(Exception):
    """A cell has a fault, for which its row is rejected."""

    def __init__(self, column: str, value: Any, reason: str) -> None:
        super().__init__(reason)
        self.column, self.value, self.reason = column, value, reason


class PriceReader:
    """Reads the prices of the rows.

    Attributes:
        decimal: the decimal sign; known once `detect` was called.
        has_surcharge: whether variants may cost more than their product.
    """

    def __init__(self, columns: TableColumns, warnings: Warnings) -> None:
        self._mapping, self._warnings = columns.mapping, warnings
        self._prices, self._retail_prices = columns.of("price"), columns.of("retail_price")
        self._currency = self._mapping.settings["currency"]
        preset = self._mapping.recognition.preset
        self._conditions = {
            column: columns.words(conditions)
            for name, conditions in preset.only_if.items()
            if (column := columns.column(name))
        }
        self._minor_units = {
            column: columns.index(unit) for name, unit in preset.minor_unit.items() if (column := columns.column(name))
        }
        discount = preset.discount
        self._discount_mode = columns.index(discount.mode) if discount else None
        self._discount_value = columns.index(discount.value) if discount else None
        self._surcharge = columns.index(preset.rows.surcharge)
        self.has_surcharge = self._surcharge is not None
        self._codes = {
            column: match[1]
            for column, _ in self._prices
            if preset.price_currency and (match := re.fullmatch(preset.price_currency, column))
        }
        if shop_currency := cells.currency_code(self._currency):
            others = {column for column, code in self._codes.items() if code != shop_currency}
            self._prices = tuple(pair for pair in self._prices if pair[0] not in others)
        self._retail_is_price = bool(
            set(self._mapping.fields.get("retail_price", ())) & set(self._mapping.fields.get("price", ()))
        )
        self.decimal = "."

    def detect(self, sample: Sequence[Cells]) -> None:
        """Choose the decimal sign, if it is not set.

        Raises:
            CatalogueError: it is not clear.
        """
        if self._codes:
            filled = Counter(column for row in sample for column, get in self._prices if not cells.is_empty(get(row)))
            self._prices = tuple(sorted(self._prices, key=lambda pair: -filled[pair[0]]))
        columns = dict(self._prices + self._retail_prices).values()
        prices = [get(row) for row in sample for get in columns]
        self.decimal = self._mapping.settings["decimal"] or self._decimal_of(prices)

    def _decimal_of(self, prices: list[Any]) -> str:
        """Return the decimal sign that the prices show, else the one that is usual in such exports."""
        sign = cells.decimal_sign(prices)
        if usual := self._mapping.recognition.preset.settings.decimal:
            filled = [str(cell) for cell in prices if not cells.is_empty(cell)]
            is_other = sign in (".", ",") and 2 * sum(sign in cell for cell in filled) >= len(filled) > 0
            return sign if is_other else usual
        if sign in (".", ","):
            return sign
        ambiguous = next((cell for cell in prices if isinstance(cell, str) and re.search(r"\d\.\d{3}\b", cell)), None)
        if sign == "?" or ambiguous:
            what = (
                "have both '.' and ',' as decimal sign"
                if sign == "?"
                else f"such as '{ambiguous}' can be read in two ways"
            )
            raise CatalogueError(
                f"the prices in {self._mapping.name_of('price')} {what}: set catalogue.decimal = \",\" if ',' is the "
                'decimal sign (1.299 is 1299), or catalogue.decimal = "."'
            )
        return "."

    def price(self, row: Row) -> tuple[float | None, str]:
        """Return the first price that is not empty; a 0 counts as empty if there is another one."""
        others = len(self._prices)
        for column, get in self._prices:
            others -= 1
            cell = get(row.cells)
            if self._conditions and not self._is_met(column, row.cells):
                continue
            try:
                parsed = cells.amount(cells.scalar(cell), self.decimal, self._currency)
            except (ValueError, TypeError) as error:
                reason = f"not a price (catalogue.decimal is '{self.decimal}')" + self._other_decimal(cell)
                if isinstance(cell, str) and re.search(r"\d", cell) and re.search(r"[^\W\d_]", cell):
                    reason += "; catalogue.currency can name the word of a currency"
                raise CellError(column, cell, reason) from error
            if parsed is None or (parsed.value == 0 and (others or self._surcharge is not None)):
                continue
            if not 0 < parsed.value < PRICE_BELOW:
                raise CellError(column, cell, f"not above 0 and below {PRICE_BELOW:.0e}")
            if parsed.is_range:
                self._warnings.add("of a range of prices, the lowest is used", row.number, cell)
            value = self._in_major_unit(parsed.value, column, row)
            if code := self._codes.get(column, ""):
                self._note_other_currencies(code, row)
            return self._reduced(value, row), parsed.currency or code
        return None, ""

    def _note_other_currencies(self, code: str, row: Row) -> None:
        """Count a row that has prices in other currencies too."""
        priced = {self._codes.get(column) for column, get in self._prices if not cells.is_empty(get(row.cells))}
        if priced - {code, None}:
            self._warnings.add(SEVERAL_CURRENCIES.format(code), row.number)

    def _in_major_unit(self, value: float, column: str, row: Row) -> float:
        """Return a price that a file states in its smallest unit, such as cents.

        Raises:
            CellError: the number of decimal digits is missing, so that the price may be cents or not.
        """
        if column not in self._minor_units:
            return value
        index = self._minor_units[column]
        digits = "" if index is None else cells.word(row.cells[index])
        if not (digits.isdecimal() and len(digits) == 1):
            raise CellError(column, value, "a price without the number of its decimal digits")
        return value / 10 ** int(digits)

    def surcharge(self, row: Row) -> float:
        """Return what a variant costs in addition to its product."""
        if self._surcharge is None:
            return 0.0
        try:
            return cells.price(cells.scalar(row.cells[self._surcharge]), self.decimal) or 0.0
        except (ValueError, TypeError):
            self._warnings.add("a surcharge that is not a price is ignored", row.number)
            return 0.0

    def _is_met(self, column: str, row: Cells) -> bool:
        """Return whether a price column counts in a row."""
        conditions = self._conditions.get(column, {}).items()
        return all(cells.word(row[other]).lower() in values for other, values in conditions)

    def _reduced(self, price: float, row: Row) -> float:
        """Return a price after the reduction that other columns state."""
        if self._discount_mode is None or self._discount_value is None:
            return price
        mode, size = row.cells[self._discount_mode], row.cells[self._discount_value]
        try:
            reduction = cells.price(cells.scalar(size), self.decimal) or 0.0
        except (ValueError, TypeError):
            self._warnings.add("a discount that is not a number is ignored", row.number, size)
            return price
        reduced = price * (1 - reduction / 100) if cells.word(mode).upper() == "PERCENT" else price - reduction
        return round(reduced, 2) if reduced > 0 else price

    def _other_decimal(self, cell: Any) -> str:
        """Return a remark if a cell is a price with the other decimal sign."""
        other = "," if self.decimal == "." else "."
        try:
            return f"; it is one with catalogue.decimal = '{other}'" if cells.amount(cell, other) else ""
        except (ValueError, TypeError):
            return ""

    def retail_price(self, row: Row, price: float | None) -> float | None:
        """Return the price before a reduction; None if there is none, or it cannot be read."""
        for column, get in self._retail_prices:
            cell = cells.scalar(get(row.cells))
            try:
                parsed = cells.amount(cell, self.decimal, self._currency)
            except (ValueError, TypeError):
                self._warnings.add(f"{column} is no price and is ignored", row.number, cell)
                continue
            if parsed is not None and 0 < parsed.value < PRICE_BELOW:
                try:
                    value = self._in_major_unit(parsed.value, column, row)
                except CellError:
                    return None
                return None if self._retail_is_price and value <= (price or 0) else value
        return None
