"""One cell of a catalogue, as a shop writes it, becomes a text, a price, a category path or a list of image URLs.

A cell is a string (CSV) or whatever a Parquet column holds: None, a number, a list.
"""

from __future__ import annotations

import html
import json
import math
import re
import sys
from functools import lru_cache
from typing import Any

UNKNOWN = frozenset({"", "-", "nan", "null", "none", "na", "n/a"})
"""How shops write that there is no price."""

LONGEST_PRICE = 64  # characters

IN_STOCK = frozenset({"true", "yes", "y", "in stock", "instock", "available", "limited availability"})
OUT_OF_STOCK = frozenset(
    {"false", "no", "n", "out of stock", "outofstock", "sold out", "soldout", "unavailable", "discontinued"}
    | {"preorder", "pre order", "backorder", "back order"}
)
"""How shops and product feeds (Google's, schema.org's) write whether a product can be had now."""


def text(cell: Any) -> str | None:
    """Return a text with HTML entities resolved and each run of white space one blank; None where nothing is left."""
    if cell is None:
        return None
    return " ".join(html.unescape(str(cell)).split()) or None


def price(cell: Any, decimal: str = ".", currency: str = "") -> float | None:
    """Return an amount such as `₹ 1,299.00`, `Rs. 1,299/-`, `1 299,00 EUR` or `-5`; None where there is none.

    A thousands separator is any of `, . '` and blank that is not the decimal sign, and three digits must follow the
    last one: so `12,50` is refused where the decimal sign is `.`, and not read as 1250.

    Args:
        cell: a string, a number or None.
        decimal: the decimal sign, `.` or `,`.
        currency: the shop's currency sign; common signs and codes of three capitals are known anyway.

    Raises:
        ValueError: it is not a price. Negative amounts are returned, for the caller to refuse.
    """
    if cell is None:
        return None
    if not isinstance(cell, str):
        number = float(cell)
        return None if math.isnan(number) else number
    written = cell.strip()
    if written.isascii() and written.isdecimal() and len(written) <= LONGEST_PRICE:
        return float(written)
    if written.lower() in UNKNOWN:
        return None
    match = _price_pattern(decimal, currency).fullmatch(written) if len(written) <= LONGEST_PRICE else None
    if match is None:
        raise ValueError("not a price")
    digits = re.sub(r"[^\d.]", "", match["whole"].replace(".", "")) + "." + (match["fraction"] or "0")
    return -float(digits) if match["sign"] or match["inner_sign"] else float(digits)


@lru_cache(maxsize=16)
def _price_pattern(decimal: str, currency: str) -> re.Pattern[str]:
    separator = r"[,'’\s]" if decimal == "." else r"[.'’\s]"
    own = f"{re.escape(currency)}|" if currency else ""
    sign = rf"(?:{own}Rs\.?|[A-Z]{{2,3}}|[$€£¥₹₽₩₺₫฿₦₴₪])\s*"
    return re.compile(
        rf"(?P<sign>[-−]?)\s*(?:{sign}){{0,2}}(?P<inner_sign>[-−]?)\s*"
        rf"(?P<whole>\d{{1,3}}(?:{separator}\d{{2,3}})*{separator}\d{{3}}|\d+)"  # 1,299 and the Indian 1,29,900
        rf"(?:{re.escape(decimal)}(?P<fraction>\d*))?"
        rf"\s*(?:/-)?\s*(?:{sign})?"
    )


def in_stock(cell: Any) -> bool | None:
    """Return whether a product can be had: of a word, or of a number that says how many there are; None: not known.

    Raises:
        ValueError: it is neither.
    """
    if cell is None or isinstance(cell, bool):
        return cell
    if isinstance(cell, str):
        written = cell.strip().casefold()
        if written in UNKNOWN:
            return None
        words = " ".join(re.split(r"[\s_-]+", written.rpartition("schema.org/")[2]))
        if words in IN_STOCK or words in OUT_OF_STOCK:
            return words in IN_STOCK
        cell = written
    number = float(cell)
    if math.isinf(number):
        raise ValueError("not a number of pieces")
    return None if math.isnan(number) else number > 0


def category_path(cell: Any, separator: str = ">>") -> list[str]:
    """Return the parts of a category tree, the broadest first: `["A >> B"]`, `A >> B` and `["A", "B"]` are one.

    Of several trees in a list the first is taken.
    """
    trees = _elements(cell)
    if not trees:
        return []
    first = html.unescape(trees[0])
    parts = first.split(separator) if len(trees) == 1 or separator in first else trees
    return [sys.intern(part) for part in map(text, parts) if part]  # a catalogue says the upper ones over and over


def image_urls(cell: Any, separator: str = "|") -> list[str]:
    """Return the http(s) URLs of a JSON list or a separated string, each once, in their order."""
    urls = (url.strip() for url in _elements(cell, separator))
    return list(dict.fromkeys(url for url in urls if url[:8].lower().startswith(("http://", "https://"))))


def _elements(cell: Any, separator: str | None = None) -> list[str]:
    """Return the strings of a list, of a JSON list (also a cut-off or loosely quoted one), or of a separated string."""
    if cell is None:
        return []
    if isinstance(cell, str):
        written = cell.strip()
        if not written.startswith("["):
            return written.split(separator) if separator else [written]
        try:
            cell = json.loads(written)
        except (ValueError, RecursionError):
            return _loose_list(written)
    strings = (element if isinstance(element, str) else str(element) for element in cell if element is not None)
    return [string.encode("utf-8", "replace").decode() for string in strings]  # JSON can hold half a surrogate pair


def _loose_list(written: str) -> list[str]:
    """Return the elements of `["a", "b` or `['a', 'b']`: exports cut lists off, and write quotes inside of quotes."""
    inner = written.removeprefix("[").removesuffix("]").strip()
    quote = inner[:1]
    if quote not in ("'", '"'):
        return [inner]
    return re.split(rf"{quote}\s*,\s*{quote}", inner.removeprefix(quote).removesuffix(quote))
