"""The catalogue: reading, rejected rows, refused files and their messages, and the merge into the store."""

from __future__ import annotations

import csv
import gzip
import io
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from recsys.core.configuration import Configuration, load
from recsys.core.errors import CatalogueError, ConfigurationError, HomeError
from recsys.ingest.catalogue import cells
from recsys.ingest.catalogue import source as catalogue_source
from recsys.ingest.catalogue.products import active_products, update_products
from recsys.ingest.catalogue.reading import Reading, read_catalogue, write_rejects
from recsys.storage.store import Store
from tests.recsys.ingest.catalogue.conftest import zipped

HEADER = ["uniq_id", "product_name", "product_category_tree", "retail_price", "discounted_price", "image", "brand"]
PRINTABLE = st.characters(exclude_categories=("Cs", "Cc", "Cf", "Cn"))
MONDAY, TUESDAY, WEDNESDAY = (datetime(2026, 1, day, tzinfo=UTC) for day in (5, 6, 7))


def row(number: int, **changes: str) -> dict[str, str]:
    return {
        "uniq_id": f"id-{number}",
        "product_name": f"Shirt {number}",
        "product_category_tree": '["Clothing >> Shirts"]',
        "retail_price": "999",
        "discounted_price": str(100 + number),
        "image": f'["http://shop.example/{number}.jpg"]',
        "brand": "Acme",
        **changes,
    }


def csv_text(rows: list[dict[str, str]], header: list[str] = HEADER, delimiter: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, header, delimiter=delimiter, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def settings(**catalogue: Any) -> Configuration:
    return load(None, {"catalogue": catalogue}, environ={})


def ten(**changes_of_first: str) -> list[dict[str, str]]:
    return [row(0, **changes_of_first), *(row(number) for number in range(1, 10))]


# --- reading ---------------------------------------------------------------------------------------------------


def test_a_row_comes_out_normalised(read: Any) -> None:
    reading = read(
        csv_text(
            [
                row(
                    1,
                    product_name="  Salt &amp;  Pepper\u00a0Mill ",
                    product_category_tree='["Kitchen >> Mills >>  >> Salt &amp; Pepper"]',
                    discounted_price="₹ 1,299.00",
                    retail_price="",
                    image='["http://a/1.jpg", "https://a/2.jpg", "http://a/1.jpg"]',
                    brand="",
                )
            ]
        )
    )
    product = reading.products.iloc[0]
    assert product["product_id"] == "id-1"
    assert product["position"] == 0
    assert product["name"] == "Salt & Pepper Mill"
    assert product["category_path"] == ["Kitchen", "Mills", "Salt & Pepper"]
    assert product["price"] == 1299.0
    assert pd.isna(product["retail_price"])
    assert pd.isna(product["brand"])
    assert product["image_urls"] == ["http://a/1.jpg", "https://a/2.jpg"]
    assert reading.rows == 1
    assert reading.rejects.empty
    assert reading.notes == []


def test_name_brand_and_retail_price_may_be_absent(read: Any) -> None:
    header = ["uniq_id", "product_category_tree", "discounted_price", "image"]
    products = read(csv_text(ten(), header)).products
    assert len(products) == 10
    assert products[["name", "brand", "retail_price"]].isna().all(axis=None)


def test_the_export_of_another_shop_is_read_with_configured_columns(read: Any) -> None:
    text = (
        "Artikel;Titel;Warengruppe;Preis;Bilder;Marke\n"
        "A-1;Regenjacke;Mode/Jacken;1.299,50 €;https://b.example/1.jpg|https://b.example/2.jpg;Über\n"
        "A-2;Mütze;Mode / Mützen;9,9;https://b.example/3.jpg;\n"
    )
    columns = {"id": "Artikel", "name": "Titel", "category_tree": "Warengruppe", "price": "Preis", "images": "Bilder"}
    reading = read(text, columns={**columns, "brand": "Marke"}, delimiter=";", decimal=",", tree_separator="/")
    assert reading.products["product_id"].tolist() == ["A-1", "A-2"]
    assert reading.products["price"].tolist() == [1299.5, 9.9]
    assert reading.products["category_path"].tolist() == [["Mode", "Jacken"], ["Mode", "Mützen"]]
    assert reading.products["image_urls"][0] == ["https://b.example/1.jpg", "https://b.example/2.jpg"]
    assert reading.products["name"].tolist() == ["Regenjacke", "Mütze"]


def parquet(frame: pd.DataFrame) -> bytes:
    packed = io.BytesIO()
    frame.to_parquet(packed)
    return packed.getvalue()


@pytest.mark.parametrize("name", ["catalogue.csv.gz", "catalogue.csv.zip", "catalogue.parquet", "no-suffix-at-all"])
def test_compressed_files_give_the_products_of_the_csv_under_any_name(read: Any, name: str) -> None:
    text = csv_text(ten(discounted_price=""))
    expected = read(text)
    frame = pd.DataFrame(ten())
    frame["discounted_price"] = [None, *(float(100 + number) for number in range(1, 10))]
    frame["product_category_tree"] = [["Clothing >> Shirts"]] * 10
    frame["image"] = [[f"http://shop.example/{number}.jpg"] for number in range(10)]
    for content in (
        gzip.compress(text.encode()),
        zipped({"export.csv": text.encode(), "__MACOSX/._export.csv": b"\0"}),
        parquet(frame),
    ):
        assert read(content, name).digest == expected.digest


def test_a_file_url_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mit leerzeichen.csv"
    path.write_text(csv_text(ten()))
    assert read_catalogue(path.as_uri(), Configuration(), tmp_path / "scratch").rows == 10


def test_a_byte_order_mark_does_not_hide_the_first_column(read: Any) -> None:
    assert read("\ufeff" + csv_text(ten())).rows == 10


def test_a_utf_16_export_with_a_byte_order_mark_is_read(read: Any) -> None:
    assert read(csv_text(ten(product_name="Mütze")).encode("utf-16")).products["name"][0] == "Mütze"


def test_bytes_that_are_not_utf_8_are_read_as_windows_1252_and_the_note_says_so(read: Any) -> None:
    rows = [row(0, product_name="Crème – “Noir”"), row(1)]
    content = csv_text(rows).encode("cp1252") + csv_text([row(2, product_name="शुभ")]).split("\r\n")[1].encode()
    reading = read(content)
    assert reading.products["name"].tolist() == ["Crème – “Noir”", "Shirt 1", "शुभ"]
    assert "Windows-1252" in reading.notes[0]
    assert "catalogue.encoding" in reading.notes[0]


def test_a_configured_encoding_is_used(read: Any) -> None:
    reading = read(csv_text(ten(product_name="жакет")).encode("cp1251"), encoding="cp1251")
    assert reading.products["name"][0] == "жакет"
    assert reading.notes == []


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_system_are_read(read: Any, line_end: str) -> None:
    assert read(csv_text(ten()).replace("\r\n", line_end)).rows == 10


def test_the_digest_is_independent_of_the_order_of_products(read: Any) -> None:
    rows = ten()
    first = read(csv_text(rows))
    assert read(csv_text(rows[::-1])).digest == first.digest
    assert read(csv_text(ten(discounted_price="1"))).digest != first.digest
    changed = read(csv_text(ten(discounted_price="1"))).products["row_digest"] != first.products["row_digest"]
    assert changed.tolist() == [True] + [False] * 9


# --- cells ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "decimal", "amount"),
    [
        ("1299", ".", 1299.0), ("1299.", ".", 1299.0), ("₹ 1,299.00", ".", 1299.0), ("Rs. 1,299", ".", 1299.0),
        ("Rs.1,29,900/-", ".", 129900.0), ("US$ 12.50", ".", 12.5), ("EUR 1'299.00", ".", 1299.0),
        ("1.299,50 €", ",", 1299.5), ("1\u202f299,50", ",", 1299.5), ("12,5", ",", 12.5), ("-5", ".", -5.0),
        ("₹-5", ".", -5.0), ("", ".", None), (" ", ".", None), ("NaN", ".", None), ("N/A", ".", None),
        (None, ".", None), (float("nan"), ".", None), (12.5, ",", 12.5), (12, ".", 12.0),
    ],
)  # fmt: skip
def test_prices_are_read_as_shops_write_them(cell: Any, decimal: str, amount: float | None) -> None:
    assert cells.price(cell, decimal, "₹") == amount


@pytest.mark.parametrize(
    ("cell", "decimal"),
    [("12,50", "."), ("1.299,50", "."), ("1299.50", ","), ("1299-", "."), ("20%", "."), ("ask us", "."),
     ("1e3", "."), ("(5.00)", "."), ("1,29", "."), ("99 from", "."), ("9" * 100, "."), ("٫", "."),
     (".-", "."), (",–", ",")],
)  # fmt: skip
def test_a_cell_that_is_not_a_price_is_an_error(cell: str, decimal: str) -> None:
    with pytest.raises(ValueError, match="not a price"):
        cells.price(cell, decimal, "₹")


def test_a_configured_currency_sign_is_accepted() -> None:
    assert cells.price("fl 1.299,00", ",", "fl") == 1299.0
    with pytest.raises(ValueError, match="not a price"):
        cells.price("fl 1.299,00", ",", "₹")


@examples(deadline=None, max_examples=60)  # a busy machine is no failure
@given(
    cents=st.integers(0, 10**11),
    decimal=st.sampled_from([".", ","]),
    blank=st.sampled_from(["", " ", "\u00a0"]),
    sign=st.sampled_from(["", "₹", "Rs.", "EUR"]),
    behind=st.booleans(),
    grouped=st.booleans(),
)
def test_a_price_in_any_style_is_parsed_to_its_amount(
    cents: int, decimal: str, blank: str, sign: str, behind: bool, grouped: bool
) -> None:
    whole, fraction = divmod(cents, 100)
    cell = f"{whole:,}" if grouped else str(whole)
    cell = cell.replace(",", "," if decimal == "." else ".") + f"{decimal}{fraction:02d}"
    cell = f"{cell}{blank}{sign}" if behind else f"{sign}{blank}{cell}"
    assert cells.price(cell, decimal, "₹") == float(f"{whole}.{fraction:02d}")


@pytest.mark.parametrize(
    ("tree", "path"),
    [
        ('["A >> B >> C"]', ["A", "B", "C"]), ("A >> B", ["A", "B"]), ('["A", "B"]', ["A", "B"]), ("A", ["A"]),
        ('["A >> B", "X >> Y"]', ["A", "B"]), ('["A >> B >> Cut o...', ["A", "B", "Cut o..."]),
        ('["A >> 5" pipe"]', ["A", '5" pipe']), ("['A >> B']", ["A", "B"]), (">> A >>  >> ", ["A"]), ("", []),
        ("[]", []), ("[null]", []), (None, []), (["A >> B"], ["A", "B"]), ("A &gt;&gt; B &amp; C", ["A", "B & C"]),
        ('["\\ud800 >> B"]', ["?", "B"]), ("[" * 100_000, ["[" * 99_999]),
    ],
)  # fmt: skip
def test_category_trees_are_read_as_shops_write_them(tree: Any, path: list[str]) -> None:
    assert cells.category_path(tree) == path


@examples(deadline=None, max_examples=60)  # a busy machine is no failure
@given(st.lists(st.text(PRINTABLE).map(lambda part: part.replace("&", "")), min_size=1, max_size=6))
def test_a_tree_is_read_back_from_its_json(parts: list[str]) -> None:
    expected = [part for part in (" ".join(part.split()) for part in " >> ".join(parts).split(">>")) if part]
    expected = [part for part in expected if part.lower() not in cells.NULL_WORDS]
    assert cells.category_path(json.dumps([" >> ".join(parts)])) == expected


@examples(deadline=None, max_examples=60)  # a busy machine is no failure
@given(st.text())
def test_no_cell_raises_an_unexpected_error(cell: str) -> None:
    assert all(cells.category_path(cell))
    assert all(cells.addresses(cell))
    cells.text(cell)


def test_only_http_urls_are_image_urls(read: Any) -> None:
    def images(cell: str) -> list[str]:
        products = read(csv_text([row(0, image=cell), row(1)]), rejected_share=0.5).products
        urls = products.loc[products["product_id"] == "id-0", "image_urls"]
        return urls.iloc[0] if len(urls) else []

    assert images("no picture") == []
    assert images("ftp://a/1.jpg | HTTP://a/2.jpg |") == ["HTTP://a/2.jpg"]
    assert images("['http://a/1.jpg', 'http://a/2.jpg']") == ["http://a/1.jpg", "http://a/2.jpg"]
    assert images('["http://a/1.jpg", "http://a/2.j') == ["http://a/1.jpg", "http://a/2.j"]


# --- rejected rows ----------------------------------------------------------------------------------------------


def test_bad_rows_are_rejected_with_line_column_value_and_reason(read: Any) -> None:
    rows = [
        row(0, product_name="two\nlines"),  # lines 2 and 3
        row(1, discounted_price="cheap"),  # line 4
        row(2, discounted_price="-5", image=""),
        row(3, uniq_id=" "),
        row(4, uniq_id="x" * 257),
        row(5, uniq_id="8.90E+12"),
        row(6, discounted_price="1000000000000"),
        row(7),
    ]
    reading = read(csv_text(rows) + "only,three,fields\r\n", rejected_share=1)
    rejected = [tuple(reject) for reject in reading.rejects[["line", "column", "value"]].itertuples(index=False)]
    assert rejected == [
        (4, "discounted_price", "cheap"),
        (5, "discounted_price", "-5"),
        (5, "image", ""),
        (6, "uniq_id", ""),
        (7, "uniq_id", "x" * 79 + "…"),
        (8, "uniq_id", "8.90E+12"),
        (9, "discounted_price", "1000000000000"),
        (11, "", "only,three,fields"),
    ]
    reasons = reading.rejects["reason"].tolist()
    assert reasons[0] == "not a price (catalogue.decimal is '.')"
    assert reasons[2:5] == ["no http(s) image URL", "no id", "id longer than 256 characters"]
    assert "a spreadsheet has rounded" in reasons[5]
    assert reasons[6] == "not above 0 and below 1e+12"
    assert reasons[7] == "3 fields where the header has 7"
    assert reading.products["product_id"].tolist() == ["id-0", "id-7"]
    assert reading.products["position"].tolist() == [0, 7]
    assert (reading.rows, reading.rejected, reading.duplicates) == (9, 7, 0)
    assert "7 of 9 rows are bad and rejected: line 4, discounted_price: 'cheap' not a price" in reading.notes[0]


def test_line_numbers_include_blank_lines_and_newlines_in_cells(read: Any) -> None:
    rows = ten(product_name="a\nb\r\nc")
    text = csv_text(rows).replace("id-3", "\r\n\r\nid-3").replace("105", "free")
    # header 1, first row 2-4, rows 1 and 2 on 5 and 6, two blank lines, row 3 on 9, row 4 on 10, row 5 on 11
    assert read(text, rejected_share=0.1).rejects["line"].tolist() == [11]


def test_of_two_rows_with_one_id_the_first_is_used_and_the_second_is_not_bad(read: Any) -> None:
    rows = [
        row(0),
        row(1, uniq_id="id-0"),
        row(2, discounted_price="x"),
        row(3, uniq_id="id-2"),
        row(4, uniq_id="id-0"),
    ]
    reading = read(csv_text(rows), rejected_share=0.2)
    assert reading.products["product_id"].tolist() == ["id-0", "id-2"]
    assert reading.products["name"].tolist() == ["Shirt 0", "Shirt 3"]
    assert reading.rejects["line"].tolist() == [3, 4, 6]
    assert reading.rejects["reason"].tolist()[::2] == ["duplicate id", "duplicate id"]
    assert (reading.rejected, reading.duplicates) == (1, 2)
    assert "2 rows are rejected because they repeat an earlier id, the first at line 3" in reading.notes


def test_too_many_bad_rows_refuse_the_catalogue_and_name_the_first(read: Any) -> None:
    rows = ten(discounted_price="12,50")
    with pytest.raises(CatalogueError) as refused:
        read(csv_text(rows))
    message = str(refused.value)
    assert "1 of 10 rows are bad (10.0%; catalogue.rejected_share allows 5.0%)" in message
    assert "line 2, discounted_price: '12,50' not a price (catalogue.decimal is '.')" in message
    assert "\n" not in message
    assert read(csv_text(rows), rejected_share=0.1).rejected == 1


def test_an_open_quote_loses_only_its_own_line(read: Any) -> None:
    plain = {"product_category_tree": "Clothing >> Shirts", "image": "http://shop.example/1.jpg"}
    rows = [row(number, **plain) for number in range(40)]
    text = csv_text(rows).replace("Shirt 20,", '"Shirt 20,')
    reading = read(text)
    assert reading.rejects[["line", "column"]].to_numpy().tolist() == [[22, ""]]
    assert "a quote is left open" in reading.rejects["reason"][0]
    assert len(reading.products) == 39


def test_a_long_field_is_read_and_an_oversized_one_is_one_bad_row(read: Any) -> None:
    assert len(read(csv_text([row(0), row(1, product_name="x" * 200_000)])).products) == 2
    rows = [row(0), row(1, product_name="x" * (17 << 20)), row(2)]
    reading = read(csv_text(rows), rejected_share=0.5)
    assert reading.products["product_id"].tolist() == ["id-0", "id-2"]
    assert reading.rejects["line"].tolist() == [3]
    assert "field larger than field limit" in reading.rejects["reason"][0]


def test_bad_rows_of_parquet_are_reported_by_row_number(read: Any) -> None:
    frame = pd.DataFrame(ten())
    frame["discounted_price"] = [-1.0, float("inf"), *([None] * 8)]
    reading = read(parquet(frame), rejected_share=0.2)
    assert reading.rejects["line"].tolist() == [1, 2]
    assert "row 1, discounted_price: '-1.0' not above 0" in reading.notes[0]


def test_the_rejects_file_is_safe_in_a_spreadsheet_and_removed_without_rejects(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "home" / "rejects.csv"
    write_rejects(read(csv_text(ten(discounted_price='=HYPERLINK("http://x")')), rejected_share=0.1), path)
    with path.open(newline="") as file:
        rejects = list(csv.DictReader(file))
    assert rejects == [
        {
            "file": "",
            "line": "2",
            "column": "discounted_price",
            "value": '\'=HYPERLINK("http://x")',
            "reason": "not a price (catalogue.decimal is '.')",
        }
    ]
    write_rejects(read(csv_text(ten())), path)
    assert not path.exists()
    write_rejects(read(csv_text(ten())), path)


# --- refused files ------------------------------------------------------------------------------------------------

GZIPPED = gzip.compress(csv_text(ten()).encode())
REFUSED: dict[str, tuple[str | bytes, str, str]] = {
    "empty": ("", "c.csv", "is empty"),
    "blank lines": ("\n\n  \n".replace(" ", ""), "c.csv", "is empty"),
    "header only": (csv_text([]), "c.csv", "has a header and no products"),
    "nul bytes": (csv_text(ten()).replace("Acme", "Ac\0me"), "c.csv", "is not a text file .*NUL"),
    "jpeg": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)) * 9, "c.csv", "is not a text file"),
    "not utf-16": (b"\xff\xfe\xfd", "c.csv", "has no column"),
    "web page": ("<!DOCTYPE html><html>, sign in</html>", "c.csv", "is a web page"),
    "gzip cut off": (GZIPPED[:-20], "c.csv.gz", "is a damaged compressed file"),
    "gzip spoilt": (GZIPPED[:30] + b"xxxx" + GZIPPED[34:], "c.csv.gz", "is a damaged compressed file"),
    "gzip of nothing": (gzip.compress(b""), "c.csv.gz", "is empty"),
    "zip of two": (zipped({"a.csv": b"a", "b.csv": b"b"}), "c.zip", "archive with 2 tables in it; put exactly one"),
    "zip of none": (zipped({"a.jpg": b"a"}), "c.zip", "archive with 0 tables"),
    "zip, empty": (zipped({}), "c.zip", "archive with 0 tables"),
    "zip cut off": (zipped({"a.csv": b"abc" * 99})[:60], "c.csv.zip", "zip file that cannot be unpacked"),
    "excel": (zipped({"[Content_Types].xml": b"", "xl/a.csv": b""}), "c.xlsx", "cannot be read .*; save it as CSV"),
    "word": (zipped({"[Content_Types].xml": b"", "word/a.xml": b""}), "c.docx", "office document without a table"),
    "parquet cut off": (parquet(pd.DataFrame(ten()))[:-30], "c.parquet", "is a damaged Parquet file"),
    "parquet without a row": (parquet(pd.DataFrame(ten())[:0]), "c.parquet", "has a header and no products"),
    "parquet of another": (parquet(pd.DataFrame({"a": [1]})), "c.parquet", "has no column for 'id' and 'images'"),
    "column twice": ("image," + csv_text(ten()), "c.csv", r"has the column 'image' \(catalogue.columns.images\) twice"),
    "nothing valid": (csv_text([row(1, image="")]), "c.csv", "1 of 1 rows are bad"),
}


@pytest.mark.parametrize(("content", "name", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_is_not_a_catalogue_is_refused_in_one_line(
    read: Any, content: str | bytes, name: str, message: str
) -> None:
    with pytest.raises(CatalogueError, match=message) as refused:
        read(content, name)
    assert "\n" not in str(refused.value)
    assert name in str(refused.value)


def test_a_missing_column_is_reported_with_key_found_columns_and_suggestion(read: Any) -> None:
    header = [{"discounted_price": "Price now", "image": "img"}.get(name, name) for name in HEADER]
    with pytest.raises(CatalogueError) as refused:
        read(csv_text([], header))
    message = str(refused.value)
    assert "no column 'image' (did you mean 'img'?): set catalogue.columns.images" in message
    assert "found: uniq_id, product_name, product_category_tree, retail_price, Price now, img, brand" in message


def test_a_missing_price_column_is_a_note_with_a_suggestion(read: Any) -> None:
    reading = read(csv_text(ten()).replace("discounted_price", "price_discounted"))
    assert reading.products["price"].isna().all()
    assert any("no price column (did you mean 'price_discounted'?)" in note for note in reading.notes)


def test_a_catalogue_of_only_bad_rows_is_refused_at_any_allowed_share(read: Any) -> None:
    with pytest.raises(CatalogueError, match="has no product for sale: 1 of 1 rows are bad"):
        read(csv_text([row(1, image="")]), rejected_share=1)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{}/missing.csv", "does not exist"),
        ("{}", "is a directory"),
        ("file://{}/missing.csv", "does not exist"),
        ("file://elsewhere/c.csv", "names the host 'elsewhere'"),
        ("ftp://bucket/c.csv", "ftp:// is not read"),
        ("http://[::1/c.csv", "is not a URL"),
        ("/dev/null", "is not a regular file"),
        ("x" * 5000, "cannot be read|does not exist"),
    ],
)
def test_a_source_that_is_not_a_file_is_refused(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        read_catalogue(source.format(tmp_path), Configuration(), tmp_path / "scratch")


def test_an_unknown_encoding_is_a_configuration_error(read: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"catalogue.encoding: 'utf-99'"):
        read(csv_text(ten()), encoding="utf-99")


@pytest.mark.parametrize("name", ["c.csv", "c.csv.gz", "c.csv.zip", "c.parquet"])
def test_a_catalogue_larger_than_allowed_once_unpacked_is_refused(read: Any, tmp_path: Path, name: str) -> None:
    text = csv_text([row(1, product_name="x" * 100_000), row(2)]).encode()
    content = {
        "c.csv": text,
        "c.csv.gz": gzip.compress(text),
        "c.csv.zip": zipped({"c.csv": text}),
        "c.parquet": parquet(pd.concat([pd.DataFrame([row(1)])] * 5000)),
    }[name]
    with pytest.raises(CatalogueError, match=r"catalogue.max_bytes"):
        read(content, name, max_bytes=10_000)
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_while_decompressing_is_a_home_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.csv.gz"
    path.write_bytes(GZIPPED)
    write = catalogue_source._write
    monkeypatch.setattr(catalogue_source, "_write", lambda chunks, path, *rest: write(chunks, Path("/dev/full"), *rest))
    with pytest.raises(HomeError, match="full"):
        read_catalogue(str(path), Configuration(), tmp_path / "scratch")


# --- over HTTP ------------------------------------------------------------------------------------------------------


class Shop(BaseHTTPRequestHandler):
    """Answers each path with one behaviour of a shop's server; counts the requests."""

    requests: dict[str, int]
    released: threading.Event
    content = csv_text(ten()).encode()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.requests[path] = self.requests.get(path, 0) + 1
        if path == "/404.csv":
            self.send_error(404)
        elif path == "/busy-once.csv" and self.requests[path] == 1:
            self.send_error(503)
        elif path == "/hangs.csv":
            self.released.wait(20)
        elif path == "/moved.csv":
            self.send_response(302)
            self.send_header("Location", "/ok.csv")
            self.end_headers()
        else:
            packed = path in ("/ok.csv.gz", "/encoded.csv")
            content = gzip.compress(self.content) if packed else self.content
            self.send_response(200)
            if path == "/encoded.csv":
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(content) * (2 if path in ("/short.csv", "/stalls.csv") else 1)))
            self.end_headers()
            self.wfile.write(content)
            if path == "/stalls.csv":
                self.wfile.flush()
                self.released.wait(20)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, int]]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(catalogue_source, "HTTP_RETRIES", 1)
    requests: dict[str, int] = {}
    released = threading.Event()
    handler = type("Handler", (Shop,), {"requests": requests, "released": released})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
        released.set()
        server.shutdown()


@pytest.mark.parametrize("path", ["/ok.csv", "/ok.csv.gz", "/encoded.csv", "/moved.csv", "/ok.csv?token=1"])
def test_a_catalogue_is_read_over_http_and_the_download_is_deleted(shop: Any, tmp_path: Path, path: str) -> None:
    reading = read_catalogue(shop[0] + path, Configuration(), tmp_path / "scratch")
    assert reading.rows == 10
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_temporary_server_error_is_retried(shop: Any, tmp_path: Path) -> None:
    assert read_catalogue(f"{shop[0]}/busy-once.csv", Configuration(), tmp_path).rows == 10
    assert shop[1] == {"/busy-once.csv": 2}


def test_a_404_is_reported_and_not_retried(shop: Any, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"/404.csv was answered with 404 Not Found; check the URL"):
        read_catalogue(f"{shop[0]}/404.csv", Configuration(), tmp_path)
    assert shop[1] == {"/404.csv": 1}


def test_a_message_never_shows_the_credentials_of_a_url(shop: Any, tmp_path: Path) -> None:
    url = shop[0].replace("//", "//user:secret@") + "/404.csv?signature=hush"
    with pytest.raises(CatalogueError) as refused:
        read_catalogue(url, Configuration(), tmp_path)
    assert "secret" not in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("path", ["/hangs.csv", "/stalls.csv"])
def test_a_hanging_server_fails_after_the_timeout(shop: Any, tmp_path: Path, path: str) -> None:
    start = time.monotonic()
    with pytest.raises(CatalogueError, match=r"cannot be fetched \(no answer within 0.3 s\)"):
        read_catalogue(shop[0] + path, Configuration(), tmp_path, timeout_s=0.3)
    assert time.monotonic() - start < 5


def test_a_truncated_download_is_an_error(shop: Any, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="cannot be fetched"):
        read_catalogue(f"{shop[0]}/short.csv", Configuration(), tmp_path, timeout_s=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["/ok.csv", "/encoded.csv"])
def test_a_download_larger_than_allowed_is_stopped(shop: Any, tmp_path: Path, path: str) -> None:
    with pytest.raises(CatalogueError, match=r"larger than catalogue.max_bytes \(500 bytes\)"):
        read_catalogue(shop[0] + path, settings(max_bytes=500), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_is_reported(tmp_path: Path, shop: Any) -> None:
    with pytest.raises(CatalogueError, match=r"cannot be fetched \(.*[Rr]efused"):
        read_catalogue("http://127.0.0.1:9/c.csv", Configuration(), tmp_path)


# --- the products table ---------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def versions(store: Store) -> int:
    return len(store._db.open_table("products").list_versions())


def stored(store: Store) -> pd.DataFrame:
    return store.read("products").to_pandas().set_index("product_id").sort_index()


def test_a_first_catalogue_is_stored_whole_and_in_its_order(read: Any, store: Store) -> None:
    reading = read(csv_text([row(3), row(1, brand="", discounted_price=""), row(2)]))
    change = update_products(store, reading, MONDAY)
    assert (change.new, change.written) == (3, 3)
    products = active_products(store)
    assert products["product_id"].tolist() == ["id-3", "id-1", "id-2"]
    pd.testing.assert_frame_equal(products[reading.products.columns.tolist()], reading.products)
    assert (products["first_seen"] == pd.Timestamp(MONDAY)).all()
    assert (products["changed"] == pd.Timestamp(MONDAY)).all()
    assert products["price"].isna().tolist() == [False, True, False]
    assert store.count("products", "price IS NULL") == 1  # and not NaN
    assert store.count("products", "brand IS NULL") == 1


def test_only_the_selected_columns_are_read(read: Any, store: Store) -> None:
    update_products(store, read(csv_text(ten())), MONDAY)
    assert active_products(store, ["image_urls", "price"]).columns.tolist() == ["image_urls", "price"]
    assert active_products(store, ["category_path"])["category_path"][0] == ["Clothing", "Shirts"]


def test_an_empty_store_has_no_active_products(store: Store) -> None:
    assert active_products(store).empty
    assert active_products(store, ["product_id", "category_path"]).columns.tolist() == ["product_id", "category_path"]


def test_the_same_catalogue_again_writes_nothing(read: Any, store: Store) -> None:
    update_products(store, read(csv_text(ten())), MONDAY)
    before = versions(store)
    change = update_products(store, read(csv_text(ten()[::-1])), TUESDAY)  # in another order, too
    assert (change.unchanged, change.written) == (10, 0)
    assert versions(store) == before


def test_new_changed_and_removed_products_are_counted_in_one_commit(read: Any, store: Store) -> None:
    update_products(store, read(csv_text([row(0), row(1), row(2)])), MONDAY)
    before = versions(store)
    change = update_products(store, read(csv_text([row(3), row(0), row(1, discounted_price="5")])), TUESDAY)
    assert (change.new, change.changed, change.unchanged, change.removed, change.returned) == (1, 1, 1, 1, 0)
    assert versions(store) == before + 1
    table = stored(store)
    assert table["first_seen"].dt.day.tolist() == [5, 5, 5, 6]
    assert table["changed"].dt.day.tolist() == [5, 6, 5, 6]
    assert table.loc["id-2", "removed"] == pd.Timestamp(TUESDAY)
    assert table.loc["id-2", "name"] == "Shirt 2"
    assert table.loc["id-1", "price"] == 5.0
    assert table.loc["id-3", "position"] == 0
    assert active_products(store)["product_id"].tolist() == ["id-0", "id-3", "id-1"]


def test_a_returned_product_has_its_history(read: Any, store: Store) -> None:
    update_products(store, read(csv_text([row(0), row(1), row(2)])), MONDAY)
    assert update_products(store, read(csv_text([row(0)])), TUESDAY).removed == 2
    assert update_products(store, read(csv_text([row(0)])), TUESDAY).written == 0  # gone already
    change = update_products(store, read(csv_text([row(0), row(1), row(2, discounted_price="5")])), WEDNESDAY)
    assert (change.returned, change.changed, change.new, change.unchanged) == (2, 0, 0, 1)
    table = stored(store)
    assert table["removed"].isna().all()
    assert table["first_seen"].dt.day.tolist() == [5, 5, 5]
    assert table["changed"].dt.day.tolist() == [5, 5, 7]
    assert table.loc["id-2", "price"] == 5.0


def test_a_product_whose_row_became_bad_is_no_longer_listed(read: Any, store: Store) -> None:
    update_products(store, read(csv_text(ten())), MONDAY)
    change = update_products(store, read(csv_text(ten(image="")), rejected_share=0.1), TUESDAY)
    assert (change.removed, change.unchanged) == (1, 9)


def test_a_stock_change_is_stored_and_is_not_a_content_change(read: Any, store: Store) -> None:
    def stocked(*cells: str) -> Reading:
        return read(csv_text([row(n, in_stock=cell) for n, cell in enumerate(cells)], [*HEADER, "in_stock"]))

    first = stocked("in stock", "out_of_stock", "https://schema.org/InStock", "0", "17", "")
    assert update_products(store, first, MONDAY).new == 6
    assert active_products(store)["in_stock"].tolist() == [True, False, True, False, True, None]
    change = update_products(store, stocked("no", "out_of_stock", "yes", "3", "0.0", "sold out"), TUESDAY)
    assert (change.restocked, change.changed, change.unchanged, change.written) == (4, 0, 2, 4)
    assert active_products(store)["in_stock"].tolist() == [False, False, True, True, False, False]
    assert (stored(store)["changed"] == pd.Timestamp(MONDAY)).all()  # so no training waits for it


def test_an_unknown_stock_word_is_noted_and_rejects_nothing(read: Any) -> None:
    rows = [row(n, in_stock=cell) for n, cell in enumerate(["yes", "perhaps", "inf"])]
    reading = read(csv_text(rows, [*HEADER, "in_stock"]))
    assert reading.products["in_stock"].tolist() == [True, None, None]
    assert reading.notes == [
        "1 row: in_stock 'perhaps' is not known: the stock is unknown (line 3)",
        "1 row: in_stock 'inf' is not known: the stock is unknown (line 4)",
    ]


def test_ids_with_quotes_and_other_scripts_survive_the_store(read: Any, store: Store) -> None:
    ids = ["o'neill", 'a"b', "x; DROP TABLE", "शुभ", "a\\b", "%"]
    update_products(store, read(csv_text([row(number, uniq_id=name) for number, name in enumerate(ids)])), MONDAY)
    assert active_products(store)["product_id"].tolist() == ids
    assert update_products(store, read(csv_text([row(0, uniq_id="%")])), TUESDAY).removed == 5


# --- real data ------------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_real_20000_rows_are_read_whole(tmp_path: Path, shared_data: Path) -> None:
    reading = read_catalogue(str(shared_data / "flipkart-20k" / "catalogue.csv"), Configuration(), tmp_path)
    assert (reading.rows, len(reading.products), len(reading.rejects)) == (20_000, 20_000, 0)
    assert reading.products["price"].isna().sum() == 78
    assert reading.products["image_urls"].map(len).eq(1).all()
    assert reading.notes == ["78 of 20,000 products have no price"]
