"""Parse one cell of a catalogue into a text, a price, a stock flag, category paths or image addresses.

A cell is a string (CSV, XML), or the value of a typed format: None, a number, a list.
"""

import html
import json
import math
import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from recsys.ingest.catalogue.formats.table import of_record

NULL_WORDS = frozenset({"", "-", "--", "nan", "null", "none", "n/a", "#n/a", "\\n"})
"""Words for a missing value, in lower case."""
LONGEST_NULL_WORD = max(map(len, NULL_WORDS))
NO_PRICE = NULL_WORDS | {"na"}
NO_IMAGE = NULL_WORDS | {"no_selection"}

ESCAPED = ("=", "+", "-", "@")
"""First characters of a text that a spreadsheet takes for a formula."""

EXACT = 1e15
"""Lower bound of the numbers in which a spreadsheet, which keeps 15 digits, rounds the last digit."""
LONGEST_PRICE = 64
"""Maximum length of a price cell, characters."""

IN_STOCK = frozenset(
    {"true", "yes", "y", "si", "sí", "oui", "ja", "in stock", "instock", "available", "limited availability"}
    | {"available for order", "active", "unlimited"}
)
OUT_OF_STOCK = frozenset(
    {"false", "no", "n", "non", "nein", "nee", "out of stock", "outofstock", "sold out", "soldout", "unavailable"}
    | {"discontinued", "preorder", "pre order", "backorder", "back order", "on backorder", "onbackorder"}
)
"""Words for stock in shops' exports and product feeds (Google's, schema.org's), in lower case."""

CURRENCIES = {
    "$": "USD", "US$": "USD", "C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD", "NZ$": "NZD", "HK$": "HKD",
    "S$": "SGD", "NT$": "TWD", "R$": "BRL", "MX$": "MXN", "€": "EUR", "£": "GBP", "¥": "JPY", "円": "JPY", "元": "CNY",
    "₹": "INR", "RS": "INR", "RS.": "INR", "₽": "RUB", "РУБ": "RUB", "РУБ.": "RUB", "Р.": "RUB", "₩": "KRW",
    "원": "KRW", "₺": "TRY", "TL": "TRY",
    "₫": "VND", "฿": "THB", "₦": "NGN", "₴": "UAH", "ГРН": "UAH", "₪": "ILS", "DHS": "AED",
    "DHS.": "AED", "DH": "AED", "د.إ": "AED", "ر.س": "SAR", "SR": "SAR", "KR": "kr", "KR.": "kr", "KČ": "CZK",
    "ZŁ": "PLN", "FT": "HUF", "ЛВ": "BGN", "ЛВ.": "BGN", "LEI": "RON", "RP": "IDR", "RM": "MYR", "FR": "CHF",
    "FR.": "CHF", "SFR.": "CHF", "R": "ZAR", "S/": "PEN", "S/.": "PEN", "₱": "PHP", "₡": "CRC", "₲": "PYG", "₸": "KZT",
    "₼": "AZN", "₾": "GEL", "৳": "BDT", "KM": "BAM", "DIN": "RSD", "DIN.": "RSD",
}  # fmt: skip
"""Code of each sign or word of a currency, in capitals; codes of three letters stand for themselves. The krona and the
krone share `kr`."""

FROM_WORDS = r"from|starting at|as low as|ab|von|à partir de|a partir de|desde|vanaf|da|od"
_WORDS = "|".join(sorted(map(re.escape, CURRENCIES), key=len, reverse=True))
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u200b\u200e\u200f\u2060\ufeff\ufffe\uffff]")
_ROUNDED = re.compile(r"-?\d(?:[.,]\d+)?E\+\d{1,3}", re.IGNORECASE)
_PLAIN_PRICE = re.compile(r"\d{1,15}(?:\.\d{1,2})?", re.ASCII)
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});")
_URL_START = r"(?:https?:)?//|data:|file://"
_RELATIVE = re.compile(r"(?![a-zA-Z][a-zA-Z0-9+.-]*:)(?:\S.*)?[./]\S*")
"""A relative path: it has a slash, or a dot before its last blank; `TRUE` and `front view` are no files."""
_FIRST_URL = re.compile(_URL_START, re.IGNORECASE)
_ONE_URL = re.compile(r"https?://[^\s,;|&\"'~^]+")
_NEXT_URL = re.compile(rf"[\s,;|~^]+(?={_URL_START})", re.IGNORECASE)
TREE_SEPARATORS = (">>", "›", "→", "»", ">", "::", "|", "/")
"""Separators of category levels that are detected; in a cell the first one that occurs most often counts."""


class Amount(NamedTuple):
    """A price.

    Attributes:
        value: the amount; of a range, its lower end.
        currency: code of its currency; empty if the cell has none.
        is_range: whether the cell has a range, or a price from which on the product is sold.
    """

    value: float
    currency: str = ""
    is_range: bool = False


def text(cell: Any) -> str | None:
    """Return a text with HTML entities decoded, without control characters, with single blanks; None if empty."""
    if cell is None:
        return None
    if isinstance(cell, list):
        cell = ", ".join(_strings(cell))
    plain = str(cell)
    if "&" in plain or not plain.isprintable():
        plain = _without_control(_unescaped(plain))
    plain = without_escape(" ".join(plain.split()))
    return None if len(plain) <= LONGEST_NULL_WORD and plain.lower() in NULL_WORDS else plain


def without_escape(text: str) -> str:
    """Return a text without the `'` that exports write before one which a spreadsheet would take for a formula."""
    return text[1:] if text[:1] == "'" and text[1:2] in ESCAPED else text


def word(cell: Any) -> str:
    """Return a cell as a word, such as of a kind or a status."""
    return "" if cell is None else without_escape(str(cell).strip())


def scalar(cell: Any) -> Any:
    """Return the first element of a list, such as of a repeated XML element; any other cell as it is."""
    return next(iter(cell), None) if isinstance(cell, list) else cell


def is_empty(cell: Any) -> bool:
    """Return whether a cell has no value."""
    if isinstance(cell, str):
        return not cell or (len(cell) < 16 and cell.strip().lower() in NULL_WORDS) or cell.isspace()
    return cell is None or cell == [] or (isinstance(cell, float) and cell != cell)


def identifier(cell: Any) -> str:
    """Return an id: a text without surrounding white space; a whole number without a fraction.

    A number of more digits than a spreadsheet keeps is returned as `is_rounded` recognises it.
    """
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell) if abs(cell) < EXACT else f"{cell:.14e}"
    plain = cell if isinstance(cell, str) else str(cell)
    return without_escape(plain.strip() if plain.isprintable() else " ".join(_without_control(plain).split()))


def is_rounded(identifier: str) -> bool:
    """Return whether a spreadsheet has replaced an id by a rounded number, such as 8.90E+12."""
    return "+" in identifier and _ROUNDED.fullmatch(identifier) is not None


def price(cell: Any, decimal: str = ".", currency: str = "") -> float | None:
    """Return the value of `amount`."""
    parsed = amount(cell, decimal, currency)
    return None if parsed is None else parsed.value


def amount(cell: Any, decimal: str = ".", currency: str = "") -> Amount | None:
    """Parse a price such as `₹ 1,299.00`, `Rs. 1,299/-`, `1 299,00 EUR`, `299,-`, `from $9.99` or `9.99 - 19.99`.

    The thousands separator is any of `, . '` and blank, except the decimal sign. Three digits must follow the last
    separator: with decimal sign `.`, `12,50` is an error and not 1250. Of a range the lower price counts.

    Args:
        cell: a string, a number or None.
        decimal: the decimal sign, `.` or `,`.
        currency: the shop's currency sign, besides those of `CURRENCIES` and codes of three letters.

    Returns:
        None if the price is missing. Negative amounts are returned; the caller rejects them.

    Raises:
        ValueError: the cell is not a price.
    """
    if cell is None:
        return None
    if not isinstance(cell, str):
        number = _number(cell)
        return None if math.isnan(number) else Amount(number)
    if decimal == "." and _PLAIN_PRICE.fullmatch(cell):
        return Amount(float(cell))
    stripped = without_escape(" ".join(_without_control(cell).split()))
    if stripped.lower() in NO_PRICE:
        return None
    match = _price_pattern(decimal, currency).fullmatch(stripped) if len(stripped) <= LONGEST_PRICE else None
    fraction = "" if match is None else (match["fraction"] or "").strip("-–—")
    if match is None or not (match["whole"] or fraction):
        raise ValueError("not a price")
    value = float(re.sub(r"\D", "", match["whole"] or "0") + "." + (fraction or "0"))
    sign = next((match[name] for name in ("before", "after", "between", "last") if match[name]), "")
    is_range = bool(match["from"] or match["upper"])
    if match["upper"]:
        value = min(value, _upper(match["upper"], decimal, currency))
    negative = match["sign"] or match["inner_sign"]
    return Amount(-value if negative else value, currency_code(sign, currency), is_range)


def _upper(end: str, decimal: str, currency: str) -> float:
    """Return the price after the sign or word of a range."""
    upper = amount(re.sub(r"^\s*(?:[-–—]|to|bis)\s*", "", end, flags=re.IGNORECASE), decimal, currency)
    return math.inf if upper is None else upper.value


def _number(cell: Any) -> float:
    """Return a typed cell as a number.

    Raises:
        ValueError, TypeError: it is not a number.
    """
    if isinstance(cell, bool):
        raise ValueError("true and false are not numbers")
    try:
        return float(cell)
    except OverflowError:
        return math.inf if cell > 0 else -math.inf


def _without_control(text: str) -> str:
    """Return a text without control characters and surrounding white space; half a surrogate pair becomes `?`."""
    if not text.isprintable():
        text = _CONTROL.sub("", text).encode("utf-8", "replace").decode()
    return text.strip()


def currency_code(sign: str | None, shop_currency: str = "") -> str:
    """Return the code of a currency's sign or word; the shop's own sign and an unknown one stand for themselves."""
    stripped = (sign or "").strip()
    if stripped and stripped == shop_currency:
        return stripped
    return CURRENCIES.get(stripped.upper(), stripped.upper())


def decimal_sign(cells: Iterable[Any]) -> str:
    """Return the decimal sign that prices show: `.` or `,`; empty if none does; `?` if they show both.

    `1,299.00`, `9.9` and `0.990` show one; `1.299` and `1,299` do not, since the sign may separate thousands.
    """
    counts = {".": 0, ",": 0}
    for cell in cells:
        for number in re.findall(r"\d[\d.,'’\s]*|[.,]\d+", cell[:LONGEST_PRICE]) if isinstance(cell, str) else ():
            if sign := _decimal_sign_of(number.strip()):
                counts[sign] += 1
    most = max(counts.values())
    if min(counts.values()) > max(0.02 * most, most >= 20):  # a single bad price among many rejects its row
        return "?"
    return max(counts, key=lambda sign: counts[sign]) if any(counts.values()) else ""


def _decimal_sign_of(number: str) -> str:
    number = number.rstrip(".,'’ ")
    last = max(number.rfind("."), number.rfind(","))
    if last < 0:
        return ""
    sign = number[last]
    other = "," if sign == "." else "."
    if number.count(sign) > 1:
        return other if other in number else ""  # 1.299.000 shows only that `.` is no decimal sign
    digits = len(number) - last - 1
    thousands = digits == 3 and last >= 1 and not number.startswith("0") and other not in number
    return "" if thousands else sign


@lru_cache(maxsize=16)
def _price_pattern(decimal: str, currency: str) -> re.Pattern[str]:
    separator = r"[,'’\s]" if decimal == "." else r"[.'’\s]"
    shop_sign = f"{re.escape(currency)}|" if currency else ""
    sign = rf"(?:{shop_sign}{_WORDS}|(?-i:[A-Z]{{3}})|\p{{Sc}})".replace(r"\p{Sc}", "[$¢-¥֏؋৲৳₠-⃀]")
    number = (
        rf"(?P<whole>\d{{1,3}}(?:{separator}\d{{2,3}})*{separator}\d{{3}}|\d+)?"  # 1,299 and the Indian 1,29,900
        rf"(?:{re.escape(decimal)}(?P<fraction>\d+|[-–—])?)?"
        r"(?:[.,][-–—])?"
    )
    upper = re.sub(r"\?P<\w+>", "?:", number)
    return re.compile(
        rf"(?:(?P<from>{FROM_WORDS})[:\s]+)?(?P<sign>[-−]?)\s*(?P<before>{sign})?\s*(?:{sign})?\s*(?P<inner_sign>[-−]?)\s*"
        rf"{number}\s*(?:/-)?\s*(?P<after>{sign})?\s*\*?"
        rf"(?P<upper>\s*(?:[-–—]|to|bis)\s*(?P<between>{sign})?\s*(?=[\d.,]){upper}\s*(?:/-)?\s*(?P<last>{sign})?)?",
        re.IGNORECASE,
    )


def in_stock(cell: Any) -> bool | None:
    """Parse whether a product is in stock from a word or a number of pieces; return None when it is empty.

    Raises:
        ValueError: the cell is neither a known word nor a number.
    """
    if cell is None or isinstance(cell, bool):
        return cell
    if isinstance(cell, str):
        folded = cell.strip().casefold()
        if folded in NO_PRICE or folded == "unknown":
            return None
        words = " ".join(re.split(r"[\s_-]+", folded.rpartition("schema.org/")[2]))
        if words in IN_STOCK or words in OUT_OF_STOCK:
            return words in IN_STOCK
        cell = folded
    number = _number(cell)
    if math.isinf(number):
        raise ValueError("not a number of pieces")
    return None if math.isnan(number) else number > 0


def category_paths(
    cell: Any, separator: str = ">>", path_separator: str = "", roots: frozenset[str] = frozenset()
) -> list[list[str]]:
    """Return the category paths in a cell, the deepest first, the levels of each broadest first.

    `["A >> B"]`, `A >> B`, `["A", "B"]` and `[["A", "B"]]` are equal. A cell has several paths where `path_separator`
    separates them; with that setting the elements of a list are paths too. Without it a tab, a line end, `;` and `|`
    separate paths if two of the parts have levels, and a comma does if two of the parts begin with the same level, or
    with one of `roots`: `Hats, Scarves >> Hats` is one path. Shared objects; treat the paths as read-only.
    """
    if isinstance(cell, str):
        return list(_paths_in(cell, separator, path_separator, roots))
    return _category_paths(cell, separator, path_separator, roots)


@lru_cache(maxsize=1 << 14)  # products share their paths
def _paths_in(cell: str, separator: str, path_separator: str, roots: frozenset[str]) -> tuple[list[str], ...]:
    return tuple(_category_paths(cell, separator, path_separator, roots))


def _category_paths(cell: Any, separator: str, path_separator: str, roots: frozenset[str]) -> list[list[str]]:
    parts = _parts(cell)
    if parts and all(isinstance(part, list) for part in parts):
        return _deepest_first([_levels(map(_unescaped, _strings(part))) for part in parts])
    trees = _strings(parts)
    if not trees:
        return []
    is_list = isinstance(cell, list) or str(cell).lstrip().startswith("[")
    if len(trees) > 1:
        if not path_separator and not any(separator and separator in tree for tree in trees):
            return [path] if (path := _levels(trees)) else []
        cells = trees
    elif is_list and not path_separator:
        cells = trees  # a list has one path per element
    else:
        cells = _several_paths(_unescaped(trees[0]), separator, path_separator, roots)
    return _deepest_first([_levels(_unescaped(part).split(separator) if separator else [part]) for part in cells])


def _unescaped(text: str) -> str:
    return html.unescape(text) if "&" in text else text


def _deepest_first(paths: Iterable[list[str]]) -> list[list[str]]:
    listed = [path for path in paths if path]
    if len(listed) < 2:
        return listed
    return sorted(map(list, dict.fromkeys(map(tuple, listed))), key=len, reverse=True)


def category_path(cell: Any, separator: str = ">>", path_separator: str = "") -> list[str]:
    """Return the deepest of `category_paths`."""
    return next(iter(category_paths(cell, separator, path_separator)), [])


def tree_separator(cells: Iterable[Any]) -> str:
    """Return the separator of category levels that most cells have; empty if most have none."""
    texts = [html.unescape(tree) for cell in cells for tree in _elements(cell)[:1]]
    for separator in TREE_SEPARATORS:
        share = sum(separator in text for text in texts) / max(len(texts), 1)
        if share >= (0.5 if separator in "/|" else 0.1):
            return separator
    return ""


def roots_of(cells: Iterable[Any], separator: str) -> frozenset[str]:
    """Return the first levels of the category paths in cells that have no comma."""
    if not separator:
        return frozenset()
    texts = (_unescaped(tree) for cell in cells for tree in _elements(cell)[:1])
    return frozenset(tree.partition(separator)[0].strip() for tree in texts if "," not in tree and separator in tree)


def _several_paths(tree: str, separator: str, path_separator: str, roots: frozenset[str]) -> list[str]:
    if path_separator:
        parts = re.split(rf"(?<!\\){re.escape(path_separator)}", tree)
        return [part.replace(f"\\{path_separator}", path_separator) for part in parts]
    if not separator and ";" in tree:
        return tree.split(";")
    for sign in (",", ";", "|", "\t", "\n"):
        parts = tree.split(sign)
        if not separator or sign in separator or separator not in tree or len(parts) == 1:
            continue
        firsts = [first for part in parts if (first := part.partition(separator)[0].strip())]
        several = sum(separator in part for part in parts) > 1
        if sign != ",":
            if several:
                return parts
        elif len(set(firsts)) < len(firsts) or (several and roots.issuperset(firsts)):
            return parts
    return [tree]


def _levels(parts: Iterable[str]) -> list[str]:
    return [sys.intern(part) for part in map(text, parts) if part]  # upper levels repeat in most rows


def addresses(cell: Any, separator: str = "", base: str = "") -> list[str]:
    """Return the image addresses in a cell, in order, without repetitions.

    A list, a JSON list, or a text: one address ends where the next one begins like a URL, so a comma inside a URL does
    not end it. `//host/x` becomes `https://host/x`. A relative path is joined to `base`; without a base it is returned
    as it is.

    Args:
        cell: the cell.
        separator: separator of relative paths; empty detects `|`, `;` and `,`.
        base: address before relative paths.
    """
    unique: dict[str, None] = {}
    for element in _elements(cell):
        if _ONE_URL.fullmatch(element):
            unique[element] = None
            continue
        if "&" in element:
            element = _ENTITY.sub(lambda match: html.unescape(match[0]), element)
        for part in _split_addresses(element, separator):
            address = part.strip()
            if address[:1] in ('"', "'"):
                address = address.strip("\"'")
            if address.lower() in NO_IMAGE or address[:5].lower() == "data:":
                continue
            if address.startswith("//"):
                address = f"https:{address}"
            elif base and _RELATIVE.fullmatch(address):
                address = f"{base.rstrip('/')}/{address.lstrip('/')}"
            unique[address] = None
    return list(unique)


def is_web_address(address: str) -> bool:
    """Return whether an address is an http or https URL."""
    return address[:8].lower().startswith(("http://", "https://"))


def _split_addresses(element: str, separator: str) -> list[str]:
    element = element.strip()
    if _FIRST_URL.match(element):
        return [part.rstrip(" ,;|") for part in _NEXT_URL.split(element)]
    if separator:
        return element.split(separator)
    return re.split(r"\s*[|;,]\s*", element)


def _elements(cell: Any) -> list[str]:
    """Return the strings of a list, a JSON list (also a truncated or loosely quoted one) or a single string."""
    return _strings(_parts(cell))


def _parts(cell: Any) -> list[Any]:
    """Return the elements of a list, a JSON list (also a truncated or loosely quoted one) or a single value."""
    if cell is None:
        return []
    if isinstance(cell, str):
        stripped = _without_control(cell)
        if not stripped.startswith("["):
            return [stripped] if stripped.lower() not in NULL_WORDS else []
        try:
            cell = orjson.loads(stripped)
        except ValueError:
            return _lenient_list(stripped)
    return cell if isinstance(cell, list) else [cell]


def _lenient_list(cell: str) -> list[Any]:
    """Return the elements of a list that is not strict JSON."""
    try:
        parsed = json.loads(cell)  # with half surrogate pairs and NaN
    except (ValueError, RecursionError):
        return _loose_list(cell)
    return parsed if isinstance(parsed, list) else [parsed]


def _strings(parts: Iterable[Any]) -> list[str]:
    """Return the elements of a list as strings; of a record, such as `{"src": ...}`, its address or name."""
    strings = []
    for part in parts:
        if isinstance(part, str):
            strings.append(_without_control(part))
        elif (value := of_record(part)) is not None:
            strings.append(_without_control(str(value)))
    return strings


def _loose_list(cell: str) -> list[str]:
    """Return the elements of `["a", "b` or `['a', 'b']`: exports truncate lists and nest quotes without escapes."""
    inner = cell.removeprefix("[").removesuffix("]").strip()
    quote = inner[:1]
    if quote not in ("'", '"'):
        return [inner]
    return re.split(rf"{quote}\s*,\s*{quote}", inner.removeprefix(quote).removesuffix(quote))
