"""Advise which columns to set where a file's own names do not show it: by the content of its first rows."""

import difflib
import json
import re
from collections.abc import Callable, Sequence
from itertools import islice

from recsys.core.text import shorten
from recsys.ingest.catalogue import cells
from recsys.ingest.catalogue.formats import RawTable
from recsys.ingest.catalogue.formats.table import folded

SAMPLE_ROWS = 200
SHOWN_COLUMNS = 40
CLOSE = 0.65
"""Likeness from which a name is suggested, of `difflib`."""
_OTHER_PRICE = re.compile("cost|wholesale|purchase|tax|ship|channel|actual|original|old|was|list|mrp|rrp", re.I)
_ID_NAME = re.compile(r"id$|sku|code|handle|slug|number|link|url|ean|gtin|asin|ref", re.IGNORECASE)
_NO_ID_NAME = re.compile(r"user|date|time|brand|price|desc|size|rating|review", re.IGNORECASE)
UNIQUE = 0.9
"""Share of different cells from which a column is proposed as id; the rows that repeat one are reported."""
_IMAGE = re.compile(r"\.(?:jpe?g|png|webp|avif|gif|heic)\b|ima?ge?s?\b|photo|picture|thumb|media|bild", re.IGNORECASE)
_DATA = re.compile(r"https?://|^[\d.,]+$|^[\[{]|\d.*\d.*\d.*\d|^.{60}")
_NOTHING_FITS = {
    "id": "no column is unique",
    "images": "no column has addresses of pictures; catalogue.image_table names a table that has",
}


def advice(table: RawTable, fields: Sequence[str]) -> str:
    """Return what to write to recsys.toml for these fields, with the columns whose content fits; else its columns.

    Args:
        table: the table; its first rows are read.
        fields: keys of `catalogue.columns`.
    """
    names = _names(table)
    if len(names) > 2 and sum(bool(_DATA.search(name)) for name in names) > len(names) / 3:
        return f"its first line looks like a product ({_listed(names[:5])}): write a line with the names above it"
    if sum(bool(re.search(r"\.\d+$", name)) for name in names) > len(names) / 2:
        return 'it has an object per column: write one object per product (in pandas: to_json(orient="records"))'
    columns = _sample(table, names)
    columns_by_field = {field: next(iter(_fitting(field, columns)), None) for field in fields}
    lines = " and ".join(
        f"{field} = {json.dumps(name, ensure_ascii=False)}" for field, name in columns_by_field.items() if name
    )
    setting = "set in recsys.toml, section [catalogue.columns] (or try 'recsys catalogue check --column FIELD=COLUMN')"
    parts = [f"{setting}: {lines}"] if lines else []
    for field in (field for field, name in columns_by_field.items() if not name):
        reason = f" ({_NOTHING_FITS[field]})" if any(columns.values()) and field in _NOTHING_FITS else ""
        parts.append(f"set catalogue.columns.{field}{reason}")
    return "; ".join([*parts, f"found: {_listed(names[:SHOWN_COLUMNS])}"])


def hint(table: RawTable, field: str, used: Sequence[str]) -> str:
    """Return ` (did you mean 'x'?)` with the column whose name and content fit a field, else nothing.

    Args:
        table: the table; its first rows are read.
        field: key of `catalogue.columns`.
        used: columns that have another field.
    """
    columns = _sample(table, [name for name in _names(table) if name not in used])
    best = next(iter(_fitting(field, columns)), None)
    return f" (did you mean '{shorten(best, 40)}'?)" if best else ""


def suggestion(column: str, field: str, names: Sequence[str]) -> str:
    """Return ` (did you mean 'x'?)` with the name nearest to the wanted column or to its field, else nothing."""
    by_folded = {folded(name): name for name in names if not (field == "price" and _OTHER_PRICE.search(name))}
    close = difflib.get_close_matches(folded(column), by_folded, 1, CLOSE)
    close = close or difflib.get_close_matches(folded(field), by_folded, 1, CLOSE)
    return f" (did you mean '{shorten(by_folded[close[0]], 40)}'?)" if close else ""


def _names(table: RawTable) -> list[str]:
    """Return the names of the columns that exist once."""
    return [name for name in table.names if name and table.names.count(name) == 1]


def _sample(table: RawTable, names: Sequence[str]) -> dict[str, list[object]]:
    """Return the first cells of these columns."""
    rows = [row.cells for row in islice(table.rows(names), SAMPLE_ROWS) if not row.fault] if names else []
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


def _fitting(field: str, columns: dict[str, list[object]]) -> list[str]:
    """Return the columns whose content fits a field, the best first."""
    if field == "id":
        unique = [name for name, content in columns.items() if not _NO_ID_NAME.search(name) and _is_unique(content)]
        return sorted(unique, key=lambda name: not _ID_NAME.search(name))
    if field == "images":
        shares = {name: _share_of_images(name, content) for name, content in columns.items()}
        return sorted((name for name in shares if shares[name] >= 0.5), key=lambda name: -shares[name])
    pattern, fits = _WORDS[field]
    return [name for name, content in columns.items() if pattern.search(name) and fits(name, content)]


def _is_price(name: str, content: list[object]) -> bool:
    filled = [cell for cell in content if not cells.is_empty(cell)]
    return bool(filled) and not _OTHER_PRICE.search(name) and sum(map(_has_amount, filled)) >= 0.8 * len(filled)


def _has_amount(cell: object) -> bool:
    for decimal in (".", ","):
        try:
            return cells.amount(cell, decimal) is not None
        except (ValueError, TypeError):
            continue
    return False


def _is_text(name: str, content: list[object]) -> bool:
    """Return whether most cells are words, neither numbers nor addresses."""
    words = [cell for cell in content if isinstance(cell, str) and re.search(r"[^\W\d_]{2}", cell)]
    return 2 * sum("://" not in cell for cell in words) > len(content) > 0


_WORDS: dict[str, tuple[re.Pattern[str], Callable[[str, list[object]], bool]]] = {
    "price": (re.compile("pri[cxsj]|preis|precio|preço|prezzo|cena|цена|vat|tarif", re.IGNORECASE), _is_price),
    "name": (re.compile("name|tit[eruol]|produ[ck]t|bezeichn|nombre|nome|nom_|naam|назв", re.IGNORECASE), _is_text),
    "category_tree": (
        re.compile("categ|kateg|catég|rubri|warengr|group|depart|breadcrumb|taxonomy|катег", re.IGNORECASE),
        _is_text,
    ),
}
"""Words in the name of a column that has a field, and what its content must be."""


def _is_unique(content: list[object]) -> bool:
    ids = [cells.identifier(cell) if isinstance(cell, str | int) else "" for cell in content]
    is_complete = bool(ids) and all(0 < len(one) <= 256 for one in ids)
    return is_complete and len(set(ids)) >= UNIQUE * len(ids) and not any(map(_is_image, ids))


def _share_of_images(name: str, content: list[object]) -> float:
    """Return the share of the cells that are the address of a picture."""
    filled = [cell for cell in content if not cells.is_empty(cell)]
    named = bool(_IMAGE.search(name))
    fitting = [cell for cell in filled if any(named or _is_image(one) for one in _web_addresses(cell))]
    return len(fitting) / len(filled) if filled else 0.0


def _web_addresses(cell: object) -> list[str]:
    return [address for address in cells.addresses(cell) if cells.is_web_address(address)]


def _is_image(address: str) -> bool:
    return cells.is_web_address(address) and _IMAGE.search(address) is not None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(shorten(name, 40) for name in names)
