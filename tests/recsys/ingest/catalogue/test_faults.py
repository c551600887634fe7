"""Catalogue inputs that failed once: the correct result of each, and of others of the same class.

The folders of the shared data are read with the settings that a user wrote, and without any where the format can be
recognised.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from recsys.core.configuration import load
from recsys.core.errors import CatalogueError
from recsys.ingest.catalogue.reading import Reading, read_catalogue

FOLDERS = (
    "01_every_row_longer", "02_shopify_continuation_row", "03_optional_zero_retail_price", "04_optional_stock_word",
    "05_several_paths_in_one_cell", "06_comma_inside_image_url", "07_amp_entity_in_url", "08_protocol_relative",
    "09_long_unused_field", "11_mangled_ids", "13_xml_feed", "14_jsonl", "16_tab_advice", "17_avif", "20_currency_word",
    "21_no_price_column", "24_flipkart_table_on_another_shop", "25_wrong_image_separator",
)  # fmt: skip
HOST = "http://127.0.0.1:8977"


@pytest.fixture
def read_shared(shared_data: Path, tmp_path: Path) -> Any:
    """Read the catalogue of a folder with the settings in it, or without any."""
    if not (shared_data / "faults").is_dir():
        pytest.skip("the shared data have no folder `faults`")

    def read(folder: str, *, settings: bool) -> Reading:
        (catalogue,) = (shared_data / "faults" / folder).glob("catalogue.*")
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        (home / "recsys.toml").unlink(missing_ok=True)
        if settings:
            (home / "recsys.toml").write_bytes((catalogue.parent / "recsys.toml").read_bytes())
        return read_catalogue(str(catalogue), load(home, environ={}), tmp_path / "scratch")

    return read


def table(rows: int, image: str = "http://a.example/{}.jpg", **columns: str) -> str:
    """Return a table with the columns id, name, image and some others; `{}` is the row's number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "name", *columns, "image"])
    for number in range(1, rows + 1):
        writer.writerow(cell.replace("{}", str(number)) for cell in ("{}", "Mug {}", *columns.values(), image))
    return text.getvalue()


# --- the shared folders -------------------------------------------------------------------------------------------


def check_01(reading: Reading) -> None:
    row = reading.products.iloc[0]
    assert (row["name"], row["category_path"], row["price"]) == ("Tasse", ["Haushalt", "Tassen"], 1234.99)
    assert row["product_id"] == "00001"


def check_02(reading: Reading) -> None:
    products = reading.products.set_index("product_id")
    ring = products.loc["ring"]
    assert ring["name"]
    assert ring["category_path"]
    assert ring["price"] > 0
    assert len(ring["image_urls"]) == 2
    assert len(products) == reading.rows - 1


def check_03(reading: Reading) -> None:
    assert len(reading.products) == reading.rows
    assert reading.products["retail_price"].isna().any()


def check_04(reading: Reading) -> None:
    assert len(reading.products) == reading.rows
    assert reading.products["in_stock"].isin([True, False, None]).all()


def check_05(reading: Reading) -> None:
    assert all(path in (["Clothing", "Hoodies"], ["Clothing", "Men"]) for path in reading.products["category_path"])
    assert [sorted(paths) for paths in reading.products["further_paths"]] == [["Clothing > Men", "Sale"]] * reading.rows


def check_06(reading: Reading) -> None:
    assert reading.products["image_urls"][0] == [f"{HOST}/c/w_600,f_auto/1.jpg", f"{HOST}/c/w_600,f_auto/101.jpg"]


def check_07(reading: Reading) -> None:
    assert reading.products["image_urls"][0] == [f"{HOST}/cdn.jpg?w=600&h=600"]


def check_08(reading: Reading) -> None:
    assert reading.products["image_urls"][0] == ["https://127.0.0.1:8977/u/1.jpg"]


def check_09(reading: Reading) -> None:
    assert len(reading.products) == reading.rows > 1


def check_13(reading: Reading) -> None:
    row = reading.products.iloc[0]
    assert (row["name"], row["category_path"], row["price"]) == ("Mug", ["Home", "Mugs"], 9.9)
    assert row["currency"] == "USD"


def check_14(reading: Reading) -> None:
    row = reading.products.iloc[0]
    assert (row["product_id"], row["name"], row["category_path"], row["price"]) == ("1", "Mug", ["Home"], 9.9)


def check_16(reading: Reading) -> None:
    assert reading.products["category_path"].tolist() == [["Home", "Mugs"]] * reading.rows
    assert len(reading.products) == reading.rows > 1


def check_17(reading: Reading) -> None:
    assert reading.products["image_urls"][0] == [f"{HOST}/x.avif"]
    assert len(reading.products) == reading.rows > 1


def check_20(reading: Reading) -> None:
    assert reading.products["price"][0] == 1050
    assert reading.products["currency"][0] == "AED"


def check_21(reading: Reading) -> None:
    assert reading.products["price"].isna().all()
    assert any("no price column" in note for note in reading.notes)


def check_24(reading: Reading) -> None:
    assert {path[0] for path in reading.products["category_path"]} == {"Clothing", "Shoes", "Bags"}
    assert reading.recognition.preset.labels == ""


def check_25(reading: Reading) -> None:
    assert reading.products["image_urls"][0] == [f"{HOST}/u/1.jpg", f"{HOST}/u/101.jpg"]


CHECKS = {name: globals()[f"check_{name[:2]}"] for name in FOLDERS if name[:2] != "11"}


@pytest.mark.shared
@pytest.mark.parametrize("settings", [True, False], ids=["with its settings", "without settings"])
@pytest.mark.parametrize("folder", CHECKS)
def test_the_shared_fault_gives_the_correct_result(read_shared: Any, folder: str, settings: bool) -> None:
    reading = read_shared(folder, settings=settings)
    CHECKS[folder](reading)
    assert reading.rejected == 0


@pytest.mark.shared
@pytest.mark.parametrize("settings", [True, False], ids=["with its settings", "without settings"])
def test_the_shared_rounded_ids_are_refused_with_cause_and_remedy(read_shared: Any, settings: bool) -> None:
    with pytest.raises(CatalogueError, match=r"an id that a spreadsheet has rounded; .* import that column as text"):
        read_shared("11_mangled_ids", settings=settings)


# --- 01: rows with another number of fields than the header -------------------------------------------------------


def test_several_empty_fields_at_the_end_of_each_row_are_ignored(read: Any) -> None:
    text = table(20, price="9.90").replace(".jpg\n", ".jpg,,,\n")
    reading = read(text)
    assert len(reading.products) == 20
    assert "20 rows end with more delimiters than the header" in " ".join(reading.notes)


def test_a_text_after_the_last_column_is_rejected_with_a_hint_at_the_delimiter(read: Any) -> None:
    text = table(40, price="9.90").replace(".jpg\n", ".jpg,\n").replace("7.jpg,\n", "7.jpg,more\n", 1)
    reading = read(text)
    assert reading.rejects["line"].tolist() == [8]
    assert (
        "5 fields where the header has 4 (is a comma inside a field that is not quoted?)"
        in reading.rejects["reason"][0]
    )


def test_a_catalogue_of_which_all_rows_are_longer_is_refused_without_a_traceback(read: Any) -> None:
    text = table(20, price="9.90").replace(".jpg\n", ".jpg,more\n")
    with pytest.raises(CatalogueError, match=r"20 of 20 rows are bad .* line 2: .* 5 fields where the header has 4"):
        read(text)


# --- 02: several rows of one product ------------------------------------------------------------------------------

SHOPIFY = "Handle,Title,Type,Variant Price,Variant Compare At Price,Image Src,Option1 Value\n"


def test_rows_of_one_handle_that_are_apart_are_one_product(read: Any) -> None:
    rows = ["a,A,Mugs,5,,http://a/1.jpg,red\n", "b,B,Mugs,6,,http://a/2.jpg,\n", "a,,,4,,http://a/3.jpg,blue\n"]
    products = read(SHOPIFY + "".join(rows)).products
    assert products["product_id"].tolist() == ["a", "b"]
    assert products["image_urls"][0] == ["http://a/1.jpg", "http://a/3.jpg"]
    assert (products["name"][0], products["price"][0]) == ("A", 4)


def test_a_row_that_has_only_an_image_may_come_first(read: Any) -> None:
    rows = ["a,,,,,http://a/1.jpg,\n", "a,A,Mugs,5,0.00,http://a/2.jpg,\n", "b,B,Mugs,6,none,http://a/3.jpg,\n"]
    reading = read(SHOPIFY + "".join(rows))
    first = reading.products.iloc[0]
    assert (first["product_id"], first["name"], first["category_path"], first["price"]) == ("a", "A", ["Mugs"], 5)
    assert reading.rejects.empty


def test_a_group_column_joins_rows_of_any_shop(read: Any) -> None:
    text = "id,item_group_id,name,price,image\n1,g,Shirt,9,http://a/1.jpg\n2,g,Shirt,8,http://a/2.jpg\n3,,Hat,7,http://a/3.jpg\n"
    products = read(text).products
    assert products["product_id"].tolist() == ["g", "3"]
    assert products["price"].tolist() == [8, 7]


# --- 03, 04: an optional cell rejects nothing ---------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["0.00", "0", "", "n/a", "-1", "call us", "1e999", "9999999999999999"])
def test_an_unusable_price_before_reduction_means_none(read: Any, cell: str) -> None:
    reading = read(table(5, price="9.90", retail_price=cell))
    assert len(reading.products) == 5
    assert reading.products["retail_price"].isna().all()


def test_a_compare_at_price_of_zero_means_none_in_typed_formats_too(read: Any) -> None:
    record = {"id": "1", "name": "Mug", "price": 9.9, "compare_at_price": 0, "image": "http://a/1.jpg"}
    products = read(json.dumps([record, record | {"id": "2", "compare_at_price": 12.5}]), "c.json").products
    assert products["retail_price"].tolist()[1] == 12.5
    assert products["retail_price"].isna().tolist() == [True, False]


@pytest.mark.parametrize("cell", ["lieferbar", "ask us", "3-5 days", "?", "1e999"])
def test_an_unknown_word_for_the_stock_is_counted_in_a_note(read: Any, cell: str) -> None:
    reading = read(table(7, price="9.90", in_stock=cell))
    assert len(reading.products) == 7
    assert reading.products["in_stock"].isna().all()
    assert any("7 rows" in note and cell in note and "stock" in note for note in reading.notes)


def test_each_unknown_word_for_the_stock_has_its_own_count(read: Any) -> None:
    text = table(10, price="9.90", in_stock="in stock").replace("in stock", "soon", 3).replace("in stock", "maybe", 1)
    notes = " ".join(read(text).notes)
    assert "3 rows: in_stock 'soon'" in notes
    assert "1 row: in_stock 'maybe'" in notes


# --- 05: several category paths in a cell -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "path", "further"),
    [
        ("Home > Mugs, Home > Kitchen > Cups", ["Home", "Kitchen", "Cups"], ["Home > Mugs"]),
        ("Home > Mugs; Sale > Cups", ["Home", "Mugs"], ["Sale > Cups"]),
        ("Home > Mugs | Home > Cups", ["Home", "Mugs"], ["Home > Cups"]),
        ("Food, Beverages & Tobacco > Coffee", ["Food, Beverages & Tobacco", "Coffee"], []),
        ('["Home > Mugs", "Sale"]', ["Home", "Mugs"], ["Sale"]),
        ('[["Home", "Mugs"], ["Sale"]]', ["Home", "Mugs"], ["Sale"]),
        ('[{"name": "Home"}, {"name": "Mugs"}]', ["Home", "Mugs"], []),
    ],
)
def test_the_deepest_of_several_paths_counts(read: Any, cell: str, path: list[str], further: list[str]) -> None:
    products = read(table(5, category=cell, price="9.90"), tree_separator=">").products
    assert products["category_path"].tolist() == [path] * 5
    assert products["further_paths"].tolist() == [further] * 5


# --- 06, 07, 08, 25: image addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "urls"),
    [
        ("http://a/w_1,h_2/1.jpg", ["http://a/w_1,h_2/1.jpg"]),
        ("http://a/w_1,h_2/1.jpg,http://a/w_1,h_2/2.jpg", ["http://a/w_1,h_2/1.jpg", "http://a/w_1,h_2/2.jpg"]),
        ("http://a/1.jpg?x=a;b;//b/2.jpg", ["http://a/1.jpg?x=a;b", "https://b/2.jpg"]),
        ("http://a/1.jpg\thttp://a/2.jpg", ["http://a/1.jpg", "http://a/2.jpg"]),
        ("http://a/a b.jpg | http://a/2.jpg", ["http://a/a b.jpg", "http://a/2.jpg"]),
        ('["http://a/w_1,h_2/1.jpg", "http://a/2.jpg"]', ["http://a/w_1,h_2/1.jpg", "http://a/2.jpg"]),
        ("http://a/i?w=6&amp;h=6", ["http://a/i?w=6&h=6"]),
        ("http://a/i?copy=1&copy;=2", ["http://a/i?copy=1&copy;=2"]),
        ("http://a/i?w=6&#38;h=6", ["http://a/i?w=6&h=6"]),
        ("//a/1.jpg,//a/2.jpg", ["https://a/1.jpg", "https://a/2.jpg"]),
        ('[{"src": "http://a/1.jpg"}, {"src": "http://a/2.jpg"}]', ["http://a/1.jpg", "http://a/2.jpg"]),
    ],
)
def test_addresses_are_separated_where_the_next_one_begins(read: Any, cell: str, urls: list[str]) -> None:
    for separator in ("", ",", "|"):  # also with a setting that contradicts the data
        assert read(table(3, cell, price="9"), image_separator=separator).products["image_urls"].tolist() == [urls] * 3


def test_a_relative_path_needs_its_base_and_the_message_says_so(read: Any) -> None:
    text = table(3, "media/{}.jpg", price="9.90")
    with pytest.raises(CatalogueError, match=r"relative path.* set catalogue\.image_base to the address before it"):
        read(text)
    products = read(text, image_base="https://shop.example/").products
    assert products["image_urls"][0] == ["https://shop.example/media/1.jpg"]


def test_a_base_does_not_change_whole_addresses(read: Any) -> None:
    for image in ("https://cdn.example/{}.jpg", "HTTPS://cdn.example/{}.jpg"):
        products = read(table(3, image, price="9.90"), image_base="https://shop.example").products
        assert products["image_urls"][0] == [image.replace("{}", "1")]


# --- 09: long cells -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [131_073, 1_000_000])
@pytest.mark.parametrize("column", ["body", "brand"])
def test_a_long_cell_is_no_reason_to_reject_a_row(read: Any, column: str, length: int) -> None:
    reading = read(table(3, price="9.90", **{column: "y" * length}))
    assert len(reading.products) == 3
    assert reading.rejects.empty


# --- 11: ids that a spreadsheet has changed -----------------------------------------------------------------------


@pytest.mark.parametrize("identifier", ["8.90E+12", "8,90123E+12", "1E+15", "8.9e+12"])
def test_ids_in_scientific_notation_are_refused_in_any_format(read: Any, identifier: str) -> None:
    delimited = table(5, price="9.90").replace("\n1,", f'\n"{identifier}",')
    lines = "".join(
        json.dumps({"id": each, "name": "Mug", "image": "http://a/1.jpg"}) + "\n" for each in (identifier, "b", "c")
    )
    for content, name in ((delimited, "c.csv"), (lines, "c.jsonl")):
        reading = read(content, name, rejected_share=0.5)
        assert len(reading.rejects) == 1
        assert "an id that a spreadsheet has rounded; export again" in reading.rejects["reason"][0]


def test_a_number_with_more_digits_than_a_spreadsheet_keeps_is_no_id(read: Any) -> None:
    records = [{"id": number, "name": "Mug", "image": "http://a/1.jpg"} for number in (8.901234567890123e18, 12.0, 7)]
    reading = read(json.dumps(records), "c.json", rejected_share=0.5)
    assert reading.products["product_id"].tolist() == ["12", "7"]
    assert "rounded" in reading.rejects["reason"][0]


def test_ids_that_only_look_like_it_are_kept(read: Any) -> None:
    text = table(3, price="9.90").replace("\n1,", "\nE+12,").replace("\n2,", "\n12E,").replace("\n3,", "\n1E5,")
    assert read(text).products["product_id"].tolist() == ["E+12", "12E", "1E5"]


# --- 13, 14, 16: formats and their recognition --------------------------------------------------------------------

ITEM = "<{0}><id>{1}</id><title>Mug {1}</title><image_link>http://a/{1}.jpg</image_link><price>9.90 USD</price></{0}>"


@pytest.mark.parametrize(
    "around",
    [
        "<products>{}</products>",
        '<?xml version="1.0"?><catalog><date>2026</date><products count="3">{}</products></catalog>',
        '<feed xmlns="http://www.w3.org/2005/Atom"><title>Shop</title>{}</feed>',
        "<!-- export --><shop><a><b>{}</b></a></shop>",
    ],
)
@pytest.mark.parametrize("tag", ["product", "entry", "item", "offer"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_of_elements_is_read(read: Any, around: str, tag: str, encoding: str) -> None:
    items = "".join(ITEM.format(tag, number) for number in range(1, 4))
    reading = read(around.format(items).encode(encoding), "c.xml")
    assert reading.products["product_id"].tolist() == ["1", "2", "3"]
    assert reading.products["price"].tolist() == [9.9] * 3


RECORDS = [{"id": str(n), "title": f"Mug {n}", "image": f"http://a/{n}.jpg", "price": 9.9} for n in range(1, 4)]
LISTED = json.dumps(RECORDS)


@pytest.mark.parametrize(
    "content",
    [
        LISTED,
        json.dumps(RECORDS, indent=2),
        "\ufeff" + LISTED,
        json.dumps({"products": RECORDS}),
        json.dumps({"links": [{"rel": "self"}, {"rel": "next"}] * 300, "data": {"products": RECORDS}}),
        json.dumps([{"products": RECORDS[:1], "page": 1}, {"products": RECORDS[1:], "page": 2}]),
        "\n".join(map(json.dumps, RECORDS)),
        "\r\n\r\n".join(map(json.dumps, RECORDS)) + "\r\n\x1a",
        "\n".join(json.dumps(record, indent=1) for record in RECORDS),
        LISTED.encode("utf-16"),
        "\n".join(map(json.dumps, RECORDS)).encode("utf-16"),
        LISTED[:-1] + ",]",
        f"{LISTED[:50]}{LISTED[50:]}\n",
    ],
)
def test_json_is_read_in_any_shape(read: Any, content: str | bytes) -> None:
    reading = read(content, "c.json")
    assert reading.products["product_id"].tolist() == ["1", "2", "3"]
    assert reading.products["name"].tolist() == ["Mug 1", "Mug 2", "Mug 3"]
    assert reading.rejects.empty


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"id": "9", "title": }', "not valid JSON"),
        ('{"id": "9" "title": "x"}', "not valid JSON"),
        ("[1, 2]", "not a JSON object"),
        ("17", "not a JSON object"),
        ("null", "not a JSON object"),
    ],
)
def test_a_bad_record_of_json_is_rejected_alone(read: Any, bad: str, reason: str) -> None:
    for lines in (True, False):
        texts = [*map(json.dumps, RECORDS[:2]), bad, json.dumps(RECORDS[2])]
        reading = read("\n".join(texts) if lines else f"[{', '.join(texts)}]", "c.json", rejected_share=0.5)
        assert reading.products["product_id"].tolist() == ["1", "2", "3"]
        assert reading.rejects["line"].tolist() == [3]
        assert reason in reading.rejects["reason"][0]


def test_what_python_and_old_programs_write_as_json_is_read(read: Any) -> None:
    content = LISTED.replace("9.9", "NaN", 1).encode().replace(b"Mug 2", b"M\xfcg 2")
    reading = read(content, "c.json")
    assert reading.products["price"].isna().tolist() == [True, False, False]
    assert reading.products["name"][1] == "Müg 2"
    assert any("Windows-1252" in note for note in reading.notes)


@pytest.mark.parametrize("delimiter", ["tab", "\\t", "\t"])
def test_a_tab_can_be_written_in_any_way(read: Any, delimiter: str) -> None:
    assert len(read(table(3, price="9.90").replace(",", "\t"), delimiter=delimiter).products) == 3


# --- 17: picture formats, as far as reading goes ------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["avif", "heic", "svg", "jxl", "php?id=1", ""])
def test_the_name_of_a_picture_is_no_reason_to_reject_a_row(read: Any, ending: str) -> None:
    assert len(read(table(3, f"http://a/x.{ending}", price="9.90")).products) == 3


# --- 20: prices ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "price", "currency"),
    [
        ("Dhs 1,050.00", 1050, "AED"), ("AED1,050", 1050, "AED"), ("د.إ 1,050", 1050, "AED"), (".99", 0.99, None),
        ("299.-", 299, None), ("299,- EUR", 299, "EUR"), ("CHF 1'299.90", 1299.9, "CHF"), ("from $9.99", 9.99, "USD"),
        ("9.99 - 19.99", 9.99, None), ("$19.99 – $9.99", 9.99, "USD"), ("₹ 1,29,900/-", 129900, "INR"),
        ("1 299.00 kr", 1299, "kr"), ("9.90\u00a0€", 9.9, "EUR"), ("US$ 9.90 USD", 9.9, "USD"),
    ],
)  # fmt: skip
def test_a_price_has_one_reading(read: Any, cell: str, price: float, currency: str | None) -> None:
    products = read(table(5, price=cell), decimal=".").products
    assert products["price"].tolist() == [price] * 5
    assert products["currency"].astype(object).where(products["currency"].notna(), None).tolist() == [currency] * 5


def test_a_range_of_prices_is_a_note(read: Any) -> None:
    assert any(
        "of a range of prices, the lowest is used" in note for note in read(table(5, price="9.99 - 19.99")).notes
    )


def test_prices_that_can_be_read_in_two_ways_are_refused_with_the_setting(read: Any) -> None:
    text = table(5, price="1.299")
    with pytest.raises(CatalogueError, match=r'can be read in two ways: set catalogue.decimal = ","'):
        read(text)
    assert read(text, decimal=",").products["price"].tolist() == [1299] * 5
    assert read(text, decimal=".").products["price"].tolist() == [1.299] * 5


@pytest.mark.parametrize("cell", ["true", "12,50", "1.2.3", "9.90 or so", "1e3", "2024-01-05"])
def test_what_is_no_price_rejects_the_row_with_the_setting_to_check(read: Any, cell: str) -> None:
    text = table(40, price="9.90").replace("9.90", f'"{cell}"', 1)
    reading = read(text)
    assert reading.rejects[["line", "column", "value"]].to_numpy().tolist() == [[2, "price", cell]]
    assert "catalogue.decimal" in reading.rejects["reason"][0]


# --- 21, 24: columns that a catalogue lacks, and labels of another shop -------------------------------------------


@pytest.mark.parametrize("setting", [(), ("price",), ("cost", "amount_due")])
def test_a_catalogue_without_prices_is_read(read: Any, setting: tuple[str, ...]) -> None:
    reading = read(table(3, category="Home"), columns={"price": setting})
    assert reading.products["price"].isna().all()
    assert any("no price column" in note for note in reading.notes)


def test_a_price_column_without_a_price_is_read(read: Any) -> None:
    reading = read(table(3, category="Home", price=""))
    assert reading.products["price"].isna().all()
    assert len(reading.products) == 3


@pytest.mark.parametrize("top", ["Clothing", "Jewellery"])
def test_the_labels_of_one_export_are_not_those_of_another_shop(read: Any, top: str) -> None:
    reading = read(table(10, category=top + " >> Rings", price="9.90"))
    assert reading.recognition.preset.labels == ""
    assert {path[0] for path in reading.products["category_path"]} == {top}
