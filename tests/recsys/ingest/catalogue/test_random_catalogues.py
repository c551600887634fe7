"""Random cells and files: no unexpected error, and never a wrong value.

The number of examples is that of the variable CATALOGUE_EXAMPLES, 200 by default; a fifth of it for files.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from recsys.core.configuration import load
from recsys.core.errors import CatalogueError, RecsysError
from recsys.ingest.catalogue import cells
from recsys.ingest.catalogue.reading import Reading, read_catalogue

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("CATALOGUE_EXAMPLES", "200"))
CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much]
examples = settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=CHECKS)
file_examples = settings(deadline=None, max_examples=EXAMPLES // 5, suppress_health_check=CHECKS)
SECONDS = 0.5
"""Largest accepted time for one cell, on a busy machine."""

# --- cells --------------------------------------------------------------------------------------------------------

CHARACTERS = "0123456789.,-–'’ /|;:>&[]{}\"\\#%*+=()\u00a0\u202f\ufeff\0\x01\t\n\ud800٣½$€₹"
STRINGS = (
    "Rs.", "EUR", "kr", "from", "ab", "to", "bis", "1,299", "9.90", "1e9", "E+12", "NaN", "null", "inf", "http://",
    "https://a/1.jpg", "//a/2.jpg", "data:image/png;base64,AA", "file:///etc", "&amp;", "&#0;", "&#xD800;", " > ", ">>",
    "→", "::", "A", "Küche", "in stock", "onbackorder", "true", '["', '"]', '{"src":', "['", "\\n", "][",
)  # fmt: skip
PIECES = st.sampled_from([*CHARACTERS, *STRINGS])
TEXTS = st.one_of(st.text(st.characters(codec=None), max_size=80), st.lists(PIECES, max_size=25).map("".join))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.decimals(), st.dates(), st.binary(), TEXTS)
CELLS = st.one_of(
    TEXTS,
    SCALARS,
    st.integers(min_value=10**300, max_value=10**320),
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=8,
    ).map(json.dumps),
)


def is_clean(text: str) -> bool:
    """Return whether a text is printable apart from blanks, has no blanks around it, and can be stored."""
    text.encode()
    return text == text.strip() and not any(ord(char) < 28 or 127 <= ord(char) < 160 for char in text)


def within_time(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return a function's result, None after an error that it documents."""
    started = time.process_time()
    try:
        return function(*arguments)
    except (ValueError, TypeError):
        return None
    finally:
        assert time.process_time() - started < SECONDS


@examples
@given(CELLS)
def test_a_text_is_clean(cell: Any) -> None:
    text = within_time(cells.text, cell)
    assert text is None or (text and is_clean(text) and "  " not in text)
    assert text is None or "&" in text or cells.text(text) == text


@examples
@given(CELLS)
def test_an_id_is_clean(cell: Any) -> None:
    identifier = cells.identifier(cell)
    assert is_clean(identifier)
    if isinstance(cell, int) and not isinstance(cell, bool):
        assert identifier == str(cell)
    if isinstance(cell, float) and math.isfinite(cell) and not cells.is_rounded(identifier):
        assert float(identifier) == cell


@examples
@given(CELLS, st.sampled_from([".", ","]), st.sampled_from(["", "Fr.", "$", "(", "]"]))
def test_a_price_has_the_digits_of_its_cell(cell: Any, decimal: str, currency: str) -> None:
    parsed = within_time(cells.amount, cell, decimal, currency)
    if parsed is None or not isinstance(cell, str):
        return
    written = "".join(str(int(char)) for char in cell if char.isdecimal())
    ends = (
        {written} if not parsed.is_range else {written[a:b] for a in range(len(written)) for b in range(a + 1, a + 20)}
    )
    assert any(
        math.isclose(abs(parsed.value), int(digits) / 10**fraction) for digits in ends if digits
        for fraction in range(len(digits) + 1)
    )  # fmt: skip


@examples
@given(
    st.integers(0, 10**9), st.integers(0, 99), st.sampled_from([".", ","]), st.booleans(),
    st.sampled_from(["", "$", "€ ", "Rs. ", "USD ", "Dhs ", "from $", "ab € "]),
    st.sampled_from(["", " €", " EUR", "/-", " kr", "\u00a0CHF", "*"]),
    st.sampled_from(["", "\0", "\u200b", " "]),
)  # fmt: skip
def test_a_price_is_read_in_any_style(
    whole: int, cents: int, decimal: str, grouped: bool, before: str, after: str, end: str
) -> None:
    number = f"{whole:,}" if grouped else str(whole)
    number = f"{number.replace(',', '.' if decimal == ',' else ',')}{decimal}{cents:02}"
    parsed = cells.amount(f"{before}{number}{after}{end}", decimal)
    assert parsed is not None
    assert math.isclose(parsed.value, whole + cents / 100)


@examples
@given(st.lists(CELLS, max_size=20))
def test_decimal_sign_and_separator_are_found_in_any_cells(column: list[Any]) -> None:
    assert within_time(cells.decimal_sign, column) in (".", ",", "", "?")
    assert within_time(cells.tree_separator, column) in ("", *cells.TREE_SEPARATORS)


@examples
@given(CELLS)
def test_the_stock_is_known_or_not(cell: Any) -> None:
    assert within_time(cells.in_stock, cell) in (True, False, None)


@examples
@given(CELLS, st.sampled_from(["", ">>", " > ", "/", ",", "|"]), st.sampled_from(["", ",", ";", "|", "\\"]))
def test_category_paths_are_clean_and_the_deepest_is_first(cell: Any, separator: str, path_separator: str) -> None:
    paths = within_time(cells.category_paths, cell, separator, path_separator)
    assert all(path and all(level and is_clean(level) for level in path) for path in paths)
    assert [len(path) for path in paths] == sorted((len(path) for path in paths), reverse=True)
    assert len({tuple(path) for path in paths}) == len(paths)


@examples
@given(CELLS, st.sampled_from(["", ",", "|", ";"]), st.sampled_from(["", "https://shop.example/media/"]))
def test_addresses_are_clean_and_different(cell: Any, separator: str, base: str) -> None:
    addresses = within_time(cells.addresses, cell, separator, base)
    assert len(set(addresses)) == len(addresses)
    for address in addresses:
        address.encode()
        assert address
        assert "\0" not in address
        assert not address.startswith("//")
        assert not address.lower().startswith("data:")


# --- files --------------------------------------------------------------------------------------------------------

HEADER = ["id", "name", "brand", "category", "price", "image"]
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12)
NAMES = st.lists(
    WORDS | st.sampled_from(['"', "'", ",", ";", "|", "\t", "\n", "\\", "^", "~", '""', '19"', "&amp;"]), max_size=6
).map("".join)


@st.composite
def tables(draw: st.DrawFn, text: st.SearchStrategy[str] = NAMES) -> list[list[str]]:
    return [
        [
            f"A-{number}",
            draw(text),
            draw(text),
            draw(st.sampled_from(["Home > Mugs", "Home", "Büro > Stifte > Blau"])),
            draw(st.integers(1, 10**6).map(lambda cents: f"{cents // 100}.{cents % 100:02}")),
            f"https://a.example/{number}.jpg",
        ]
        for number in range(draw(st.integers(1, 12)))
    ]


def read(content: bytes, name: str = "catalogue.csv") -> Reading:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        chosen = {"rejected_share": 1.0, "decimal": ".", "tree_separator": " > "}
        return read_catalogue(str(path), load(None, {"catalogue": chosen}, environ={}), Path(folder) / "scratch")


def products(reading: Reading) -> dict[str, list[Any]]:
    columns = ["name", "brand", "category_path", "price", "image_urls"]
    rows = reading.products[["product_id", *columns]].astype(object).to_numpy().tolist()
    return {
        identifier: [None if isinstance(cell, float) and math.isnan(cell) else cell for cell in row]
        for identifier, *row in rows
    }


def expected(rows: list[list[str]]) -> dict[str, list[Any]]:
    return {
        row[0]: [cells.text(row[1]), cells.text(row[2]), row[3].split(" > "), float(row[4]), [row[5]]] for row in rows
    }


def written(rows: list[list[str]], **options: Any) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, **options)
    writer.writerow(HEADER)
    writer.writerows(rows)
    return text.getvalue()


@file_examples
@given(
    tables(),
    st.sampled_from([",", ";", "\t", "|", "^", "~"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["", "Export\n", "Export 2026\n\n", "\n\n"]),
)
def test_a_table_in_a_usual_dialect_is_read_as_it_is(
    rows: list[list[str]], delimiter: str, quoting: Any, end: str, encoding: str, preamble: str
) -> None:
    rows = [[cell.replace("\n", end) for cell in row] for row in rows]
    text = preamble + written(rows, delimiter=delimiter, quoting=quoting, lineterminator=end)
    reading = read(text.encode(encoding))
    assert products(reading) == expected(rows)
    assert reading.rejects.empty


@file_examples
@given(
    tables(),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(['"', "'"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONE]),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-16-le", "utf-32", "cp1252", "gb18030"]),
)
def test_a_table_in_an_unusual_dialect_has_no_wrong_value(
    rows: list[list[str]], delimiter: str, quote: str, quoting: Any, doubled: bool, encoding: str
) -> None:
    options: dict[str, Any] = {"delimiter": delimiter, "quoting": quoting, "quotechar": quote, "lineterminator": "\n"}
    if quoting == csv.QUOTE_NONE or not doubled:
        options |= {"doublequote": False, "escapechar": "\\"}
        rows = [[cell.replace("\\", "/") for cell in row] for row in rows]  # two backslashes alone show no rule
    if quote == "'":  # a few quotes in cells look like quotes around them
        rows = [[cell.replace('"', "″").replace("'", "′") for cell in row] for row in rows]
    try:
        content = written(rows, **options).encode(encoding)
    except UnicodeEncodeError:
        assume(False)
    try:
        reading = read(content)
    except CatalogueError:
        return
    right = expected(rows)
    wrong = {key: row for key, row in products(reading).items() if row != right.get(key)}
    assert not wrong or any("set catalogue.encoding" in note for note in reading.notes)


@file_examples
@given(
    tables(st.text("abc äé", max_size=8)),
    st.integers(0, 10**6),
    st.sampled_from(['"', ",", "\n", "\0", "x", "", "\ufeff"]),
    st.integers(0, 3),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_a_changed_character_changes_only_its_own_row(
    rows: list[list[str]], at: int, inserted: str, removed: int, quoting: Any
) -> None:
    text = written(rows, quoting=quoting, lineterminator="\n")
    start = text.index("\n") + 1
    at = start + at % (len(text) - start)
    first, last = (text.count("\n", start, place) for place in (at, at + removed))
    try:
        reading = read((text[:at] + inserted + text[at + removed :]).encode())
    except CatalogueError:
        return
    found, right = products(reading), expected(rows)
    untouched = [row[0] for number, row in enumerate(rows) if not first <= number <= last]
    assert [found.get(key) for key in untouched] == [right[key] for key in untouched]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*HEADER, "x"]) | st.text(max_size=3), inner)
    ),
    max_leaves=20,
)
XML = st.recursive(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=8).map(escape),
    lambda inner: st.tuples(st.sampled_from([*HEADER, "item", "entry", "g:id"]), st.lists(inner, max_size=4)).map(
        lambda element: f"<{element[0]}>{''.join(element[1])}</{element[0]}>"
    ),
    max_leaves=20,
)
FILES = st.one_of(
    st.binary(max_size=400),
    st.text(st.characters(codec="utf-8"), max_size=200).map(str.encode),
    st.lists(PIECES, max_size=60).map(lambda pieces: "".join(pieces).encode("utf-8", "surrogatepass")),
    st.lists(PIECES, max_size=60).map(lambda pieces: b"id,name,image\n" + "".join(pieces).encode("utf-16", "replace")),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.lists(JSON, max_size=4).map(lambda values: "\n".join(map(json.dumps, values)).encode()),
    st.lists(JSON, max_size=4).map(lambda values: json.dumps({"a": {"products": values}}, indent=1).encode()),
    XML.map(lambda text: f"<rss>{text}</rss>".encode()),
    st.tuples(JSON, st.integers(0, 400), st.binary(max_size=3)).map(
        lambda parts: json.dumps([parts[0]] * 2).encode()[: parts[1]] + parts[2] + json.dumps(parts[0]).encode()
    ),
)


@file_examples
@given(FILES)
def test_any_file_is_read_or_refused(content: bytes) -> None:
    try:
        reading = read(content)
    except RecsysError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 3_000
        return
    assert reading.products["product_id"].map(bool).all()
    for column in ("product_id", "name", "brand"):
        for text in reading.products[column].dropna():
            assert is_clean(text)


@file_examples
@given(tables(), st.booleans())
def test_json_is_read_as_it_is(rows: list[list[str]], lines: bool) -> None:
    records = [dict(zip(HEADER, row, strict=True)) for row in rows]
    text = "\n".join(map(json.dumps, records)) if lines else json.dumps({"products": records})
    assert products(read(text.encode(), "c.json")) == expected(rows)


@file_examples
@given(tables())
def test_xml_is_read_as_it_is(rows: list[list[str]]) -> None:
    items = "".join(
        "<item>"
        + "".join(f"<{name}>{escape(cell)}</{name}>" for name, cell in zip(HEADER, row, strict=True))
        + "</item>"
        for row in rows
    )
    assert products(read(f"<rss><channel>{items}</channel></rss>".encode(), "c.xml")) == expected(rows)
