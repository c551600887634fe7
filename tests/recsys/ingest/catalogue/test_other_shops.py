"""Exports without a preset, nearly complete ones, and several files: read as a person would, or with advice."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recsys.core import progress
from recsys.core.configuration import load
from recsys.core.errors import CatalogueError
from recsys.ingest.catalogue.advice import suggestion
from recsys.ingest.catalogue.cells import addresses, category_paths, roots_of
from recsys.ingest.catalogue.intake import take_in
from recsys.ingest.catalogue.reading import Reading, read_catalogue
from recsys.storage.store import Store
from tests.listening import Steps


def table(header: str, *rows: str) -> str:
    return "\n".join([header, *rows]) + "\n"


def first(reading: Reading) -> dict[str, Any]:
    return reading.table.slice(0, 1).to_pylist()[0]


def read_folder(folder: Path, files: dict[str, str], **catalogue: Any) -> Reading:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return read_catalogue(str(folder), load(None, {"catalogue": catalogue}, environ={}), folder.parent / "scratch")


# --- columns without a preset ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "id,name,price,salePrice,imageUrl,inStock",
        "ID,Product Name,Price,Sale Price,Image URL,In Stock",
        "sku,productName,regular_price,discount_price,image,is_in_stock",
        "productId,title,mrp,offerPrice,main_image,availability",
        "id;titre;prix;prix_promo;url_image;disponible".replace(";", ","),
        "artikelnummer,bezeichnung,preis,aktionspreis,bild,bestand",
    ],
)
def test_the_reduced_price_is_the_price_and_the_usual_one_the_price_before(read: Any, header: str) -> None:
    rows = ["1,Dress,59.90,39.90,https://x.example/1.jpg,1", "2,Shirt,29.90,,https://x.example/2.jpg,0"]
    products = read(table(header, *rows)).table.to_pylist()
    assert [product["name"] for product in products] == ["Dress", "Shirt"]
    assert [(product["price"], product["retail_price"]) for product in products] == [(39.9, 59.9), (29.9, None)]
    assert [product["in_stock"] for product in products] == [True, False]


def test_inner_records_of_a_price_a_brand_and_an_offer_are_found(read: Any) -> None:
    offer = {
        "@type": "Offer",
        "price": "19.90",
        "priceCurrency": "EUR",
        "availability": "https://schema.org/OutOfStock",
    }
    product = {"sku": "A1", "name": "Anvil", "brand": {"@type": "Brand", "name": "Acme"}, "offers": offer}
    product |= {"category": {"id": 4, "name": "Tools"}, "image": ["https://x.example/1.jpg"]}
    found = first(read(json.dumps([product]), "products.json"))
    assert (found["price"], found["currency"], found["in_stock"], found["brand"]) == (19.9, "EUR", False, "Acme")
    assert found["category_path"] == ["Tools"]


@pytest.mark.parametrize("name", ["variants", "variations", "skus"])
def test_records_with_a_list_of_variants_are_one_product_each(read: Any, name: str) -> None:
    variants = [{"sku": "T-S", "size": "S", "price": 12.5}, {"sku": "T-M", "size": "M", "price": 10}]
    product = {"id": 1, "title": "Tee", "images": [{"src": "https://x.example/1.jpg"}], name: variants}
    reading = read(json.dumps([product, {**product, "id": 2, name: []}]), "products.json")
    assert reading.grouped and reading.table["product_id"].to_pylist() == ["1", "2"]
    assert first(reading)["price"] == 10
    assert [variant["id"] for variant in first(reading)["variants"]] == ["T-S", "T-M"]


@pytest.mark.parametrize(
    ("column", "value"),
    [("visible", "false"), ("published", "0"), ("active", "0"), ("status", "Draft"), ("is_active", "No")],
)
def test_rows_that_are_not_for_sale_are_left_out_with_a_note(read: Any, column: str, value: str) -> None:
    rows = ["1,Hat,https://x.example/1.jpg,1", f"2,Cap,https://x.example/2.jpg,{value}"]
    reading = read(table(f"id,name,image,{column}", *rows))
    assert reading.table["product_id"].to_pylist() == ["1"]
    assert f"1 row is not for sale and left out: {column} is {value}" in reading.notes


def test_what_products_lack_is_counted(read: Any) -> None:
    rows = ["1,Hat,Hats,9.90,https://x.example/1.jpg", "2,,,,https://x.example/2.jpg"]
    notes = read(table("id,name,category,price,image", *rows)).notes
    assert notes == [f"1 of 2 products have no {what}" for what in ("name", "price", "category")]
    notes = read(table("id,image", "1,https://x.example/1.jpg")).notes
    assert [note.partition(":")[0] for note in notes] == [
        f"the catalogue has no {what} column" for what in ("name", "price", "category")
    ]


def test_categories_that_are_numbers_and_one_picture_of_all_are_noted(read: Any) -> None:
    rows = [f"{number},Hat,{500 + number},9.90,https://x.example/logo.png" for number in range(30)]
    notes = read(table("id,name,category,price,image", *rows)).notes
    assert any("the categories of 30 products are numbers" in note for note in notes)
    assert any("30 products have the same picture, https://x.example/logo.png" in note for note in notes)


def test_ids_that_became_decimal_numbers_are_whole(read: Any) -> None:
    rows = [f"{number}.0,Hat,https://x.example/{number}.jpg" for number in range(117073495, 117073500)]
    assert first(read(table("sku,name,image", *rows)))["product_id"] == "117073495"
    assert first(read(table("sku,name,image", *rows, "1.5,Cap,https://x.example/x.jpg")))["product_id"] == "117073495.0"


def test_prices_with_tax_and_all_numbered_images_are_read(read: Any) -> None:
    header = "id,product,price,price_vat,image,image_1,image_2,additional_imageurl"
    row = "1,Mug,100,121," + ",".join(f"https://x.example/{name}.jpg" for name in "abcd")
    found = first(read(table(header, row)))
    assert (found["name"], found["price"], found["retail_price"]) == ("Mug", 121, None)
    assert [address[-5] for address in found["image_urls"]] == list("adbc")


def test_the_kind_of_a_product_in_a_shop_system_is_no_category(read: Any) -> None:
    rows = ["1,Mug,variable,https://x.example/1.jpg", "2,Cup,Cups,https://x.example/2.jpg"]
    assert read(table("id,name,type,image", *rows)).table["category_path"].to_pylist() == [[], ["Cups"]]


def test_categories_without_levels_are_several(read: Any) -> None:
    rows = [f"{number},Set,Boys; New - Boys; Sets,https://x.example/{number}.jpg" for number in range(3)]
    found = first(read(table("id,name,categories,image", *rows)))
    assert (found["category_path"], found["further_paths"]) == (["Boys"], ["New - Boys", "Sets"])


def test_a_field_of_the_records_in_a_list_is_a_column(read: Any) -> None:
    labels = [{"code": 7, "text": {"en": "Cups"}}, {"code": 8}, "loose", {"code": 9, "text": {"en": "Sale"}}]
    product = {
        "sku": "A1",
        "name": "Cup",
        "names": [{"name": "x"}],
        "image": "https://x.example/1.jpg",
        "labels": labels,
    }
    columns = {"category_tree": "labels[].text.en", "name": "nam*"}
    found = first(read(json.dumps([product]), "products.json", columns=columns, path_separator=";"))
    assert (found["category_path"], found["further_paths"], found["name"]) == (["Cups"], ["Sale"], "Cup")


def test_an_export_without_pictures_such_as_squares_is_read_with_a_table_of_them(read: Any, tmp_path: Path) -> None:
    export = table(
        "Token,Item Name,Variation Name,SKU,Description,Categories,Price,Option Name 1,Option Value 1",
        'T1,Candle,Small,C-S,"Soy, hand-poured",Home,$12.00,Size,S',
        "T2,Candle,Large,C-L,,Home,$18.50,Size,L",
        "T3,Mug,Regular,,,Home,,,",
    )
    with pytest.raises(CatalogueError, match=r"catalogue\.image_table names a table that has"):
        read(export)
    pictures = ["T1,https://x.example/1.jpg", "T2,https://x.example/2.jpg", "T3,https://x.example/3.jpg"]
    (tmp_path / "pictures.csv").write_text(table("Token,url", *pictures))
    columns = {"id": "Token", "group": "Item Name", "variant_id": "SKU", "variant": "Variation Name"}
    products = read(export, columns=columns, image_table="pictures.csv").table.to_pylist()
    assert [(product["product_id"], product["price"]) for product in products] == [("Candle", 12.0), ("Mug", None)]
    assert products[0]["image_urls"] == ["https://x.example/1.jpg", "https://x.example/2.jpg"]
    assert [tuple(variant.values())[:3] for variant in products[0]["variants"]] == [
        ("C-S", "Small", 12.0),
        ("C-L", "Large", 18.5),
    ]


def test_the_list_of_products_is_not_the_list_of_their_variants(read: Any) -> None:
    variants = [{"sku": f"v-{number}", "name": "Denim", "price": 5} for number in range(3)]
    products = [{"key": key, "masterVariant": {"sku": key}, "variants": variants} for key in ("a", "b")]
    with pytest.raises(CatalogueError, match=r"found: key, variants.sku"):
        read(json.dumps({"results": products}), "products.json")


YML = """<?xml version="1.0"?><!DOCTYPE yml_catalog SYSTEM "shops.dtd"><yml_catalog><shop><name>Shop</name><categories>
<category id="1">Clothes</category><category id="2" parentId="1">Hats</category></categories><offers>{}</offers></shop>
</yml_catalog>"""


def test_yandex_feeds_have_category_paths_and_pictures_in_attributes(read: Any) -> None:
    fields = "<name>Hat</name><price>9</price><currencyId>RUR</currencyId><categoryId>2</categoryId>"
    offer = '<offer id="{}">' + fields + "{}</offer>"
    images = ["<picture>https://x.example/1.jpg</picture>", '<picture url="https://x.example/2.jpg"/>']
    offers = "".join(offer.format(number, image) for number, image in enumerate(images, 1))
    products = read(YML.format(offers), "feed.xml").table.to_pylist()
    assert [product["category_path"] for product in products] == [["Clothes", "Hats"]] * 2
    assert [product["image_urls"] for product in products] == [["https://x.example/1.jpg"], ["https://x.example/2.jpg"]]
    assert {product["currency"] for product in products} == {"RUR"}


@pytest.mark.parametrize(
    ("header", "row", "columns"),
    [
        (
            "id,Titel_X,Preis_EUR_VAT,Warengruppe_2",
            '{0},Hat {0},"9,90 €",Hats',
            ["Titel_X", "Preis_EUR_VAT", "Warengruppe_2"],
        ),
        ("id,vat_number,price_note,nom_long", "{0},CZ-{0},on request,Hat {0}", ["nom_long"]),
    ],
)
def test_columns_are_proposed_only_if_their_content_fits(read: Any, header: str, row: str, columns: list[str]) -> None:
    rows = [row.format(number) + f",https://x.example/{number}.jpg" for number in range(1, 9)]
    notes = read(table(header + ",image", *rows)).notes
    assert [
        note.partition("did you mean '")[2].partition("'")[0] for note in notes if "did you mean" in note
    ] == columns


# --- cells ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", ["~", "^", ", ", "|", " ", ";", "\t", "\n"])
def test_addresses_with_any_separator_are_several(separator: str) -> None:
    urls = ["https://x.example/a~1.jpg", "https://x.example/b,c.jpg?d=1", "http://x.example/e.jpg"]
    assert addresses(separator.join(urls)) == urls


def test_only_paths_are_joined_to_the_base() -> None:
    base = "https://shop.example/media/"
    assert addresses("/a/d/my photo.jpg", base=base) == ["https://shop.example/media/a/d/my photo.jpg"]
    assert addresses("manual", base=base) == ["manual"]
    assert addresses("Ski pant - front view", base=base) == ["Ski pant - front view"]


def test_a_sign_against_formulas_is_no_part_of_a_text(read: Any) -> None:
    header = "ID,Type,SKU,Name,Published,Regular price,Images"
    rows = [
        "1,simple,A,'-20% Socks,1,9.90,https://x.example/1.jpg",
        "2,simple,B,Draft,'-1,9.90,https://x.example/2.jpg",
    ]
    reading = read(table(header, *rows))
    assert reading.table["name"].to_pylist() == ["-20% Socks"]


@pytest.mark.parametrize(
    ("cell", "paths"),
    [
        ("Clothing > Hoodies, Accessories > Men", [["Clothing", "Hoodies"], ["Accessories", "Men"]]),
        ("Clothing > Lingerie, Sleep & Swimwear > Shorts", [["Clothing", "Lingerie, Sleep & Swimwear", "Shorts"]]),
        ("Clothing > Hats\tAccessories > Men > Hats", [["Accessories", "Men", "Hats"], ["Clothing", "Hats"]]),
        ("Hats, Scarves > Hats", [["Hats, Scarves", "Hats"]]),
    ],
)
def test_a_comma_separates_paths_that_begin_with_known_levels(cell: str, paths: list[list[str]]) -> None:
    roots = roots_of(["Clothing > Shirts", "Accessories > Belts", "Sleep", "Home, Garden > Pots"], " > ")
    assert roots == {"Clothing", "Accessories"}
    assert category_paths(cell, ">", roots=roots) == paths


def test_prices_of_a_preset_may_have_the_other_decimal_sign(read: Any) -> None:
    header = "Handle;Title;Variant Price;Image Src;Body (HTML)"
    rows = [f"hat-{number};Hat;1{number},99;https://x.example/{number}.jpg;Soft" for number in range(5)]
    assert read(table(header, *rows)).table["price"].to_pylist() == [10.99, 11.99, 12.99, 13.99, 14.99]
    plain = [row.replace(",99", ".99") for row in rows[1:]]
    reading = read(table(header, rows[0], *plain), rejected_share=0.5)
    assert "it is one with catalogue.decimal = ','" in reading.rejects["reason"][0]


# --- variants -------------------------------------------------------------------------------------------------------

SHOPIFY = "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price,Image Src,Status"


def shopify(price: str = "9.90") -> str:
    rows = [
        "hat,Hat,Size,S,H-S,{},https://x.example/1.jpg,active",
        "hat,,,M,H-M,{},,",
        "hat,,,,,,https://x.example/2.jpg,",
    ]
    return table(SHOPIFY, *(row.format(price) for row in rows))


def test_variants_that_two_files_repeat_are_not_doubled(tmp_path: Path) -> None:
    reading = read_folder(tmp_path / "exports", {"a.csv": shopify(), "b.csv": shopify("8.00")})
    assert [variant["options"] for variant in first(reading)["variants"]] == ["S", "M"]
    assert first(reading)["price"] == 9.9
    assert first(reading)["image_urls"] == ["https://x.example/1.jpg", "https://x.example/2.jpg"]
    assert reading.duplicates == 2
    assert any("b.csv line 2" in note for note in reading.notes)
    assert reading.rejects["file"].str.endswith("b.csv").all()


def test_all_rows_of_a_rejected_product_are_bad(read: Any) -> None:
    sizes = [f"hat,,Size,{size},H-{size},9.90,," for size in range(20)]
    text = table(SHOPIFY, *sizes, "cap,Cap,,,C,5.00,https://x.example/c.jpg,active")
    with pytest.raises(CatalogueError, match=r"20 of 21 rows are bad \(95.2%"):
        read(text)


def test_variants_without_their_product_are_noted(read: Any) -> None:
    header = "ID,Type,Name,Published,Regular price,Parent,Images,Attribute 1 value(s)"
    product = "1,variable,Hat,1,,,https://x.example/1.jpg,Red|Blue"
    variants = [
        f"{number},variation,Hat {number},1,9.90,hat-sku,https://x.example/{number}.jpg,Red" for number in (2, 3)
    ]
    notes = read(table(header, product, *variants)).notes
    assert any("2 rows name a product that the catalogue does not have, the first at line 3" in note for note in notes)
    hidden = product.replace("Hat,1", "Hat,0")
    others = [variant.replace("hat-sku", "1") for variant in variants]
    other = "4,simple,Cap,1,5,,https://x.example/4.jpg,"
    notes = read(table(header, hidden, *others, other)).notes
    assert "2 rows are left out too, as variants of products that are not for sale" in notes


def test_prices_in_another_currency_are_removed_from_variants_too(read: Any) -> None:
    header = "id,title,price,image_link,link,item_group_id,size"
    rows = [f"{number},Hat,10 USD,https://x.example/{number}.jpg,https://x.example,,," for number in range(1, 4)]
    rows += [
        "8,Cap,9 EUR,https://x.example/8.jpg,https://x.example,cap,S",
        "9,Cap,8 EUR,https://x.example/9.jpg,,cap,M",
    ]
    reading = read(table(header, *(row.removesuffix(",") if row.endswith(",,,") else row for row in rows)))
    cap = reading.table.to_pylist()[-1]
    assert cap["price"] is None and [variant["price"] for variant in cap["variants"]] == [None, None]
    mixed = read(table(header, rows[0].removesuffix(","), rows[3], rows[4].replace("8 EUR", "8 USD")))
    assert [variant["price"] for variant in mixed.table.to_pylist()[-1]["variants"]] in ([None, None], [9, None])


def test_variants_with_different_names_are_noted(read: Any) -> None:
    header = "id,title,price,image_link,link,item_group_id,color"
    names = ["Lavender Madras Shawl", "Brick Rose Swaddle"]
    rows = [f"{number},{name},9,https://x.example/{number}.jpg,,g,Red" for number, name in enumerate(names)]
    notes = read(table(header, *rows)).notes
    assert any(note.startswith("1 product has variants with different names, the first 'Lavender") for note in notes)
    sizes = [f"{n},Tee Red {size},9,https://x.example/{n}.jpg,,t,Red" for n, size in enumerate(("S", "XL", "M long"))]
    assert not any("different names" in note for note in read(table(header, *sizes)).notes)


def test_each_row_without_an_id_is_rejected_for_that(read: Any) -> None:
    rows = [f",Hat,Size,{size},H-{size},9.90,https://x.example/{size}.jpg,active" for size in "SML"]
    reading = read(table(SHOPIFY, *rows, "cap,Cap,,,C,5.00,https://x.example/c.jpg,active"), rejected_share=0.8)
    assert reading.rejects["reason"].tolist() == ["no id"] * 3
    assert (reading.rejected, reading.duplicates, len(reading.table)) == (3, 0, 1)


def test_a_parent_with_the_id_0_is_none(read: Any) -> None:
    rows = [f"{number},Hat {number},0,https://x.example/{number}.jpg" for number in range(1, 4)]
    assert read(table("id,name,parent_id,image", *rows)).table["product_id"].to_pylist() == ["1", "2", "3"]


# --- nearly known exports, several files ----------------------------------------------------------------------------


def test_an_export_without_a_required_column_is_still_recognised(read: Any) -> None:
    header = "ID,Name,Published,Sale price,Regular price,Categories,Images"
    rows = ["1,Hat,1,,20,Clothing > Hats,https://x.example/1.jpg", "2,Cap,0,5,9,Clothing,https://x.example/2.jpg"]
    reading = read(table(header, *rows))
    assert reading.recognition.preset.name == "woocommerce"
    assert reading.table["price"].to_pylist() == [20]
    magento = "sku,product_type,name,price,base_image,product_online,url_key,store_view_code,additional_attributes"
    reading = read(table(magento, "A,simple,Hat,9.90,https://x.example/1.jpg,1,hat,,"))
    assert "without attribute_set_code" in str(reading.recognition)


def test_files_of_two_kinds_are_refused(tmp_path: Path) -> None:
    woo = table("ID,Type,SKU,Name,Published,Regular price,Images", "1,simple,A,Hat,1,9,https://x.example/1.jpg")
    with pytest.raises(CatalogueError, match=r"b.csv looks like a WooCommerce .* the file before it like a Shopify"):
        read_folder(tmp_path / "exports", {"a.csv": shopify(), "b.csv": woo})


def test_image_files_are_named_by_columns_or_by_the_field(read: Any, tmp_path: Path) -> None:
    text = table("SKU,name", "A 1,Hat")
    for template in ("images/{id}.jpg", "images/{SKU}.jpg", "images/{sku}.jpg"):
        assert first(read(text, image_files=template))["image_urls"][0].endswith("/images/A%201.jpg")
    with pytest.raises(CatalogueError, match="no column 'nonsense'; found: SKU, name"):
        read(text, image_files="images/{nonsense}.jpg")
    reading = read(text, image_files="images/{id}.jpg")
    assert any("which does not exist" in note for note in reading.notes)
    (tmp_path / "images").mkdir()
    assert not any("does not exist" in note for note in read(text, image_files="images/{id}.jpg").notes)


@pytest.mark.parametrize(
    "images",
    [
        "filename,link\n1.jpg,https://x.example/1.jpg\n2.jpg,https://x.example/2.jpg\n1.jpg,https://x.example/1b.jpg\n",
        "id;url\n1;https://x.example/1.jpg\n2;https://x.example/2.jpg\n1;https://x.example/1b.jpg\n",
    ],
)
def test_images_come_from_a_second_table(read: Any, tmp_path: Path, images: str) -> None:
    (tmp_path / "images.csv").write_text(images)
    products = read(table("id,name", "1,Hat", "2,Cap"), image_table="images.csv").table.to_pylist()
    assert products[0]["image_urls"] == ["https://x.example/1.jpg", "https://x.example/1b.jpg"]
    assert products[1]["image_urls"] == ["https://x.example/2.jpg"]
    (tmp_path / "images.csv").write_text("number,note\n1,x\n")
    with pytest.raises(CatalogueError, match=r"image_table .*found: number, note"):
        read(table("id,name", "1,Hat"), image_table="images.csv")


# --- advice ---------------------------------------------------------------------------------------------------------


def test_columns_that_are_missing_are_proposed_by_their_content(read: Any) -> None:
    rows = [f"Hat,https://x.example/p/{number},https://cdn.example/{number}.webp,9.90,2024" for number in range(20)]
    text = table("label,link,shot,cost,date", *rows)
    with pytest.raises(CatalogueError, match='id = "link" and images = "shot"; found: label, link, shot') as refused:
        read(text)
    assert "section [catalogue.columns]" in str(refused.value)
    assert len(read(text, columns={"id": "link", "images": "shot"}).table) == 20


def test_a_table_without_a_header_and_an_object_per_column_are_named(read: Any) -> None:
    with pytest.raises(CatalogueError, match="first line looks like a product"):
        read(table("1001,https://x.example/1.jpg,9.90,Hat", "1002,https://x.example/2.jpg,8.90,Cap"))
    columns = {"title": {str(number): f"Hat {number}" for number in range(5)}, "cost": {str(n): n for n in range(5)}}
    with pytest.raises(CatalogueError, match=r'orient="records"'):
        read(json.dumps(columns), "products.json")


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["Wholesale price", "actual_price", "cost"], ""), (["Price now"], "Price now"), (["Tags"], "")],
)
def test_only_a_selling_price_is_suggested_as_price(names: list[str], expected: str) -> None:
    assert suggestion("price", "price", names) == (f" (did you mean '{expected}'?)" if expected else "")


def test_an_empty_id_is_refused_with_a_column_that_is_unique(read: Any) -> None:
    rows = [f",Hat {number},https://x.example/{number}.jpg,h-{number}" for number in range(9)]
    with pytest.raises(CatalogueError, match=r'no id \(9 rows\).*id = "handle_key"'):
        read(table("sku,name,image,handle_key", *rows))


def test_reading_many_rows_reports_progress(read: Any) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "name", "image"])
    writer.writerows([number, "Hat", f"https://x.example/{number}.jpg"] for number in range(45_000))
    steps = Steps()
    with progress.listen(steps):
        read(text.getvalue())
    assert steps.done == 40_000


def test_a_run_shows_the_first_products_of_a_new_home(tmp_path: Path) -> None:
    export = tmp_path / "products.csv"
    export.write_text(shopify())
    shown = []
    for _ in range(2):
        steps = Steps()
        with progress.listen(steps):
            take_in(Store(tmp_path / "home"), str(export), load(environ={}), datetime(2026, 1, 5, tzinfo=UTC))
        shown.append([sentence for sentence in steps.notes if sentence.startswith("read as product")])
    expected = "read as product hat: Hat; no category; 9.90; 2 variants; 2 images, the first https://x.example/1.jpg"
    assert shown == [[expected], []]


def test_the_variants_of_an_invisible_product_that_is_continued_below_are_left_out(read: Any) -> None:
    header = "Product ID,Product Page,Title,Option Value 1,Price,Visible,Hosted Image URLs"
    hidden = ["1,store,Shirt,S,85,No,https://x.example/1.jpg", ",,,M,85,,https://x.example/2.jpg"]
    reading = read(table(header, *hidden, "2,store,Mug,,20,Yes,https://x.example/3.jpg"))
    assert reading.recognition.preset.name == "squarespace"
    assert reading.table["product_id"].to_pylist() == ["2"]
    assert "1 row is left out too, as variants of products that are not for sale" in reading.notes


def test_a_variant_costs_its_surcharge_in_addition(read: Any) -> None:
    header = "handleId,fieldType,name,productImageUrl,price,surcharge,productOptionDescription1"
    rows = ["a,Product,Pot,1.jpg,0.0,,S;M", "a,Variant,,,,0,S", "a,Variant,,,,30.0,M", "b,Product,Bowl,2.jpg,12,,"]
    pot, bowl = read(table(header, *rows)).table.to_pylist()
    assert [variant["price"] for variant in pot["variants"]] == [None, 30.0]
    assert (pot["price"], bowl["price"]) == (30.0, 12.0)


def test_a_blank_can_be_the_delimiter(read: Any) -> None:
    text = 'id name  image\n1 "Red hat"  https://x.example/1.jpg\n2 Cap  https://x.example/2.jpg\n'
    reading = read(text.replace("  ", " "), delimiter=" ")
    assert reading.table["name"].to_pylist() == ["Red hat", "Cap"]
    with pytest.raises(CatalogueError):  # two blanks are an empty field
        read(text.replace('"Red', ' "Red'), delimiter=" ")
