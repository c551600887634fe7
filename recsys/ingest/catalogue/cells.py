"""Parse one cell of a catalogue into a text, a price, a stock flag, a category path or a list of image URLs.

A cell is a string (CSV) or the value of a Parquet column: None, a number, a list.
"""

import html
import json
import math
import re
import sys
from functools import lru_cache
from typing import Any

NULL_WORDS = frozenset({"", "-", "nan", "null", "none", "na", "n/a"})
"""Words for a missing price, in lower case."""

LONGEST_PRICE = 64
"""Maximum length of a price cell, characters."""

IN_STOCK = frozenset({"true", "yes", "y", "in stock", "instock", "available", "limited availability"})
OUT_OF_STOCK = frozenset(
    {"false", "no", "n", "out of stock", "outofstock", "sold out", "soldout", "unavailable", "discontinued"}
    | {"preorder", "pre order", "backorder", "back order"}
)
"""Words for stock in shops' exports and product feeds (Google's, schema.org's), in lower case."""


def text(cell: Any) -> str | None:
    """Return a text with HTML entities decoded and white space collapsed; None when it is empty."""
    if cell is None:
        return None
    return " ".join(html.unescape(str(cell)).split()) or None


def price(cell: Any, decimal: str = ".", currency: str = "") -> float | None:
    """Parse an amount such as `₹ 1,299.00`, `Rs. 1,299/-`, `1 299,00 EUR` or `-5`; return None for a missing one.

    The thousands separator is any of `, . '` and blank, except the decimal sign. Three digits must follow the last
    separator: with decimal sign `.`, `12,50` is an error and not 1250.

    Args:
        cell: a string, a number or None.
        decimal: the decimal sign, `.` or `,`.
        currency: the shop's currency sign; common signs and codes of three capitals are accepted without it.

    Raises:
        ValueError: the cell is not a price. Negative amounts are returned; the caller rejects them.
    """
    if cell is None:
        return None
    if not isinstance(cell, str):
        number = float(cell)
        return None if math.isnan(number) else number
    stripped = cell.strip()
    if stripped.isascii() and stripped.isdecimal() and len(stripped) <= LONGEST_PRICE:
        return float(stripped)
    if stripped.lower() in NULL_WORDS:
        return None
    match = _price_pattern(decimal, currency).fullmatch(stripped) if len(stripped) <= LONGEST_PRICE else None
    if match is None:
        raise ValueError("not a price")
    digits = re.sub(r"[^\d.]", "", match["whole"].replace(".", "")) + "." + (match["fraction"] or "0")
    return -float(digits) if match["sign"] or match["inner_sign"] else float(digits)


@lru_cache(maxsize=16)
def _price_pattern(decimal: str, currency: str) -> re.Pattern[str]:
    separator = r"[,'’\s]" if decimal == "." else r"[.'’\s]"
    shop_sign = f"{re.escape(currency)}|" if currency else ""
    sign = rf"(?:{shop_sign}Rs\.?|[A-Z]{{2,3}}|[$€£¥₹₽₩₺₫฿₦₴₪])\s*"
    return re.compile(
        rf"(?P<sign>[-−]?)\s*(?:{sign}){{0,2}}(?P<inner_sign>[-−]?)\s*"
        rf"(?P<whole>\d{{1,3}}(?:{separator}\d{{2,3}})*{separator}\d{{3}}|\d+)"  # 1,299 and the Indian 1,29,900
        rf"(?:{re.escape(decimal)}(?P<fraction>\d*))?"
        rf"\s*(?:/-)?\s*(?:{sign})?"
    )


def in_stock(cell: Any) -> bool | None:
    """Parse whether a product is in stock from a word or a number of pieces; return None when it is unknown.

    Raises:
        ValueError: the cell is neither a known word nor a number.
    """
    if cell is None or isinstance(cell, bool):
        return cell
    if isinstance(cell, str):
        folded = cell.strip().casefold()
        if folded in NULL_WORDS:
            return None
        words = " ".join(re.split(r"[\s_-]+", folded.rpartition("schema.org/")[2]))
        if words in IN_STOCK or words in OUT_OF_STOCK:
            return words in IN_STOCK
        cell = folded
    number = float(cell)
    if math.isinf(number):
        raise ValueError("not a number of pieces")
    return None if math.isnan(number) else number > 0


def category_path(cell: Any, separator: str = ">>") -> list[str]:
    """Return the levels of a category tree, broadest first: `["A >> B"]`, `A >> B` and `["A", "B"]` are equal.

    From a list of several trees the first one is used.
    """
    trees = _elements(cell)
    if not trees:
        return []
    first = html.unescape(trees[0])
    parts = first.split(separator) if len(trees) == 1 or separator in first else trees
    return [sys.intern(part) for part in map(text, parts) if part]  # upper levels repeat in most rows


def image_urls(cell: Any, separator: str = "|") -> list[str]:
    """Return the http(s) URLs of a JSON list or a separated string, without repetitions, in order."""
    urls = (url.strip() for url in _elements(cell, separator))
    return list(dict.fromkeys(url for url in urls if url[:8].lower().startswith(("http://", "https://"))))


def _elements(cell: Any, separator: str | None = None) -> list[str]:
    """Return the strings of a list, a JSON list (also a truncated or loosely quoted one) or a separated string."""
    if cell is None:
        return []
    if isinstance(cell, str):
        stripped = cell.strip()
        if not stripped.startswith("["):
            return stripped.split(separator) if separator else [stripped]
        try:
            cell = json.loads(stripped)
        except (ValueError, RecursionError):
            return _loose_list(stripped)
    strings = (element if isinstance(element, str) else str(element) for element in cell if element is not None)
    return [string.encode("utf-8", "replace").decode() for string in strings]  # JSON can hold half a surrogate pair


def _loose_list(cell: str) -> list[str]:
    """Return the elements of `["a", "b` or `['a', 'b']`: exports truncate lists and nest quotes without escapes."""
    inner = cell.removeprefix("[").removesuffix("]").strip()
    quote = inner[:1]
    if quote not in ("'", '"'):
        return [inner]
    return re.split(rf"{quote}\s*,\s*{quote}", inner.removeprefix(quote).removesuffix(quote))
