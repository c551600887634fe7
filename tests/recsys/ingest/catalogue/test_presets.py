"""Each preset reads a small export of its shop system without settings; the files are in `exports/`."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from recsys.core.configuration import load
from recsys.core.errors import CatalogueError
from recsys.ingest.catalogue import cells
from recsys.ingest.catalogue.preset import GENERIC, presets
from recsys.ingest.catalogue.reading import Reading, read_catalogue

EXPORTS = Path(__file__).parent / "exports"
DOCUMENTATION = Path(__file__).parents[4] / "docs" / "catalogue.md"
Variant = tuple[str, str | None, float | None, bool | None]
"""Id, options, price and stock of a variant."""


@dataclass(frozen=True)
class Expected:
    """A product: `path` has its levels, `images` all addresses, after the base of the export."""

    name: str
    path: str
    price: float | None
    images: str
    retail: float | None = None
    brand: str | None = None
    in_stock: bool | None = None
    variants: tuple[Variant, ...] = ()
    further: tuple[str, ...] = ()


@dataclass(frozen=True)
class Export:
    """An export and its expected reading.

    Attributes:
        file: its name; `place` renames it where images are beside it.
        preset: name of the preset that must be recognised.
        base: start of the addresses of its images.
        products: by id, in their order.
        notes: parts of the notes, in their order.
        currency: of the prices.
    """

    file: str
    preset: str
    base: str
    products: dict[str, Expected]
    notes: tuple[str, ...] = ()
    currency: str = ""
    settings: dict[str, Any] = field(default_factory=dict)


LEFT_OUT = "{} left out too, as variants of products that are not for sale"
NO_PRICE = "1 of {} products have no price"
DRESS: tuple[Variant, ...] = (("DRS-1-S", "Sage / S", 69.0, True), ("DRS-1-M", "Sage / M", 89.0, False))
WRAP_DRESSES = "Home > Women > Dresses > Wrap Dresses"
HATS = "Accessories > Hats, Scarves & Gloves > Hats"
HANDBAGS = "Apparel & Accessories > Handbags, Wallets & Cases > Handbags"
COOKWARE = "Home & Garden > Kitchen & Dining > Cookware"
PIXEL = "G/01/x-locale/common/transparent-pixel.jpg"
MARISOL = {
    "DRS-1": Expected(
        *(
            "Wrap Dress - S",
            WRAP_DRESSES,
            69.0,
            "DRS-1-S.jpg DRS-1-S-b.jpg DRS-1-S-c.jpg?a=1&b=2",
            89.0,
            "Marisol",
            True,
        ),
        variants=DRESS,
    ),
    "HAT-7": Expected("Straw Hat", HATS, 1049.0, "HAT-7.jpg", None, "Marisol", False),
    "BAG-3": Expected("Basket Bag", HANDBAGS, 45.0, "BAG-3.jpg", None, None, False),
    "SOC-9": Expected("Socks", "Home > Women > Socks", 9.5, "SOC-9.jpg", None, "Marisol", True),
}


def hearth(images: str) -> dict[str, Expected]:
    """Return the products of BigCommerce's older exports."""
    mug, side, kettle = (images.format(name) for name in ("mug", "mug_side", "kettle"))
    return {
        "97": Expected(
            *("Enamel Mug", "Kitchen > Mugs", 12.0, f"{mug} {side}", 15.0, "Hearth", True),
            variants=(("MUG-BLUE", "Blue / 350 ml", 12.0, True), ("MUG-CREAM", "Cream / 350 ml", 12.0, False)),
            further=("Shop All",),
        ),
        "98": Expected("Kettle", "Kitchen > Kettles", 64.0, kettle, 80.0, "Hearth"),
    }


TABLE_LAMP = Expected(
    *("Tischlampe, Messing", "Leuchten", 99.5, "lamp.jpg lamp-side.jpg lamp-on.jpg lamp-large.jpg", 119.0, None, True),
    variants=(("LMP-S", "LMP-S", 99.5, True), ("LMP-L", "LMP-L", 159.0, False)),
    further=("Neu / Sale",),
)
TEE = Expected(
    *("Medusa T-Shirt", "Shirts", 10.0, "tee-black.png tee-back.png tee-white.png", None, None, True),
    variants=(("TEE-S-B", "S, Black", 10.95, True), ("TEE-M-W", "M, White", 10.0, False)),
    further=("Sale / Merch",),
)
LINEN_SHIRT = Expected(
    *("Leinenhemd; weiß", "c1" * 16, 49.95, "ab/12/hemd.jpg?ts=1700000001 ab/13/hemd-blau.jpg?ts=1700000002"),
    *(None, "Birke & Söhne", True),
    variants=(("SW10001.1", "SW10001.1", 49.95, True), ("SW10001.2", "SW10001.2", 54.95, False)),
    further=("c2" * 16,),
)
SEVERAL_CURRENCIES = "of prices in several currencies, the one in EUR is used; catalogue.currency selects another"
ONLY_CONDITIONS = "1 row: all prices have a condition, such as a country or a quantity: none is read (record 3)"


CASES = [
    Export(
        *("commercetools.json", "commercetools", "https://images.ct.example/p/"),
        currency="EUR",
        products={
            "6f1a": TABLE_LAMP,
            "7b2c": Expected("Wood Glue", "c-9", 1.2375, "glue.jpg"),
            "8d3e": Expected("Stuhl", "", None, "chair.jpg"),
            "9e4f": Expected("Vase", "Vasen", None, "vase.jpg"),
        },
        notes=(
            f"1 row: {SEVERAL_CURRENCIES} (record 1)",
            ONLY_CONDITIONS,
            "1 row is not for sale and left out: published is False",
            "most prices are in EUR; those in another currency are left empty: 1 in USD",
            "2 of 4 products have no price",
            "1 of 4 products have no category",
        ),
    ),
    Export(
        *("medusa_json.json", "medusa_json", "https://cdn.medusa.example/static/"),
        currency="EUR",
        products={
            "prod_01": TEE,
            "prod_02": Expected("Poster", "", None, "poster.png"),
            "prod_03": Expected("Sticker “M”", "Merch", None, "sticker.png", in_stock=True),
            "prod_04": Expected("Mug", "Merch", 14.5, "mug.png mug-2.png"),
        },
        notes=(
            f"2 rows: {SEVERAL_CURRENCIES}",
            ONLY_CONDITIONS,
            "1 row is not for sale and left out: status is draft",
            "most prices are in EUR; those in another currency are left empty: 1 in JPY",
            "2 of 4 products have no price",
            "1 of 4 products have no category",
        ),
    ),
    Export(
        *("medusa_store_api.json", "medusa_json", "https://cdn.medusa.example/static/"),
        currency="EUR",
        products={
            "prod_11": Expected(
                *("Sweatshirt", "", 29.95, "sweat.png sweat-back.png", 39.95),
                variants=(("SWT-S", "S", 29.95, None), ("SWT-M", "M", 39.95, None)),
            ),
            "prod_12": Expected("Tote", "", None, "tote.png"),
        },
        notes=("1 of 2 products have no price", "the catalogue has no category column"),
    ),
    Export(
        *("medusa.csv", "medusa", "https://cdn.medusa.example/static/"),
        currency="EUR",
        products={
            "prod_01": Expected(
                *("Medusa Shorts", "pcat_01", 10.5, "shorts.png shorts-back.png shorts-side.png"),
                variants=(("SHORTS-S", "S / Black", 10.5, None), ("SHORTS-M", "M / Black", 12.0, None)),
            ),
            "prod_02": Expected("Mug, enamel", "pcat_03", 9.9, "mug.png"),
            "prod_03": Expected("Pin", "", None, "pin.png"),
            "prod_04": Expected("Patch", "pcat_03", None, "patch.png"),
        },
        notes=(
            f"2 rows: {SEVERAL_CURRENCIES} (line 2, line 4)",
            "1 row is not for sale and left out: Product Status is draft",
            "most prices are in EUR; those in another currency are left empty: 1 in USD",
            "2 of 4 products have no price",
            "1 of 4 products have no category",
        ),
    ),
    Export(
        *("shopware.csv", "shopware", "https://shop.sw.example/media/"),
        products={
            "1f" * 16: LINEN_SHIRT,
            "0a" * 16: Expected("Wollmütze", "c3" * 16, 17.5, "ac/10/muetze.jpg", in_stock=True),
            "4c" * 16: Expected("Filzschuh", "", None, "ad/20/filz.jpg", None, "Birke & Söhne", False),
        },
        notes=(
            "1 row is not for sale and left out: active is 0",
            LEFT_OUT.format("1 row is"),
            "1 of 3 products have no price",
            "1 of 3 products have no category",
        ),
    ),
    Export(
        *("promptcloud_flipkart.csv", "promptcloud_flipkart", "http://img.shop.example/image/"),
        currency="₹",
        products={
            "1a7c04b1e6d94e1c9f0a5c2b7d3e8f90": Expected(
                "Saanvi Solid Women's Night Suit",
                "Clothing > Women's Clothing > Lingerie, Sleep & Swimwear > Night Suits > "
                "Saanvi Solid Women's Night Suit",
                649.0,
                "night-suit/u/4/a/sv-38-original.jpeg night-suit/p/j/z/sv-26-original.jpeg "
                "night-suit/z/j/7/sv-7-original.jpeg night-suit/z/j/7/sv-8-original.jpeg",
                1299.0,
                "Saanvi",
            ),
            "2b8d15c2f7ea4f2d8a1b6d3c8e4f9a01": Expected(
                "Mayur Fabric Double Sofa Bed",
                "Furniture > Living Room Furniture > Sofa Beds & Futons > Mayur Fabric Double Sofa Bed (Finish Colo...",
                22646.0,
                "sofa-bed/j/f/y/md112-1100x1100.jpeg",
                32157.0,
                "Mayur",
            ),
            "3c9e26d3a8fb4a3e9b2c7e4d9f5a0b12": Expected(
                "Tara Bellies",
                "Footwear > Women's Footwear > Ballerinas > Tara Bellies",
                499.0,
                "shoe/7/z/z/red-as-454.jpeg",
                499.0,
            ),
            "4daf37e4b90c4b4fac3d8f5eaa6b1c23": Expected(
                "Kavi Printed Coffee Mug",
                "Kavi Printed Coffee Mug",
                None,
                "mug/k/a/v/mug.jpeg?q=90&w=600",
                None,
                "Kavi",
            ),
            "5eb048f5ca1d4c50bd4e9a6fbb7c2d34": Expected(
                "Noor Women's Straight Kurta",
                "Clothing > Women's Clothing > Ethnic Wear > Kurtas & Kurtis > Noor Women's Straight Kurta",
                1499.0,
                "kurta/n/o/r/nk-01.jpeg kurta/n/o/r/nk-02.jpeg",
                1999.0,
                "Noor",
            ),
        },
        notes=("1 row is rejected because it repeats an earlier id, the first at line 8", NO_PRICE.format(5)),
    ),
    Export(
        *("promptcloud_amazon.csv", "promptcloud_amazon", "https://images.shop.example/images/"),
        currency="USD",
        products={
            "4c1f0e2d3b4a59687786a5b4c3d2e1f0": Expected(
                'Cedar Hill Longboard 41" Complete',
                "Sports & Outdoors > Outdoor Recreation > Skates, Skateboards & Scooters > Skateboarding > Longboards",
                237.68,
                f"I/51longA.jpg I/51longB.jpg I/51longC.jpg {PIXEL}",
            ),
            "5d2a1f3e4c5b60798897b6c5d4e3f201": Expected(
                "Junior Science Kit (Set of 5)",
                "Toys & Games > Learning & Education > Science Kits & Toys",
                1099.95,
                f"I/51sciA.jpg {PIXEL}",
            ),
            "6e3b204f5d6c718a99a8c7d6e5f40312": Expected(
                "Filament Refill, 25 Strands",
                "Toys & Games > Arts & Crafts > Craft Kits",
                9.99,
                f"I/51filA.jpg I/51filB.jpg {PIXEL}",
            ),
            "7f4c31506e7d829baab9d8e7f6051423": Expected(
                "Little Pilot Costume, Child X-Small",
                "Clothing, Shoes & Jewelry > Costumes & Accessories > Kids & Baby",
                None,
                f"I/51cosA.jpg {PIXEL}",
            ),
            "805d42617f8e93acbbcae9f807162534": Expected("Dinosaur Set", "", 18.66, f"I/51dinA.jpg {PIXEL}"),
        },
        notes=(
            "1 row: of a range of prices, the lowest is used (line 4 '$9.99 - $24.99')",
            NO_PRICE.format(5),
            "1 of 5 products have no category",
        ),
    ),
    Export(
        *("shopify.csv", "shopify", "https://cdn.shop.example/s/files/1/0001/files/"),
        products={
            "linen-shirt": Expected(
                "Linen Shirt",
                "Apparel & Accessories > Clothing > Clothing Tops > Shirts",
                45.0,
                "linen-front.jpg?v=1700000001 linen-back.jpg?v=1700000001 linen-blue.jpg?v=1700000001&width=1500 "
                "linen-detail.jpg?v=1700000001",
                None,
                "Birch & Reed",
                True,
                (
                    ("LS-S-W", "S / White", 49.0, True),
                    ("LS-M-W", "M / White", 49.0, False),
                    ("LS-M-B", "M / Blue", 45.0, False),
                ),
            ),
            "wool-beanie": Expected('Wool Beanie, 8"', "Hats", 17.99, "beanie.jpg", None, "Birch & Reed"),
            "print-tote": Expected("Printed Tote", "Bags", 24.0, "tote.jpg", None, "Tamsin"),
        },
        notes=(
            "1 row is not for sale and left out: Status is draft",
            "1 row is not for sale and left out: Status is archived",
            "1 row is not for sale and left out: Published is FALSE",
            LEFT_OUT.format("2 rows are"),
        ),
    ),
    Export(
        *("shopify_export.csv", "shopify", "https://cdn.shop.example/s/files/1/0001/files/"),
        products={
            "riser-bar": Expected(
                "Riser Bar - 72cm",
                "Sporting Goods > Outdoor Recreation > Cycling > Bicycle Parts",
                599.0,
                "bar-black.png?v=1 bar-silver.png?v=1 bar-3.png?v=1 bar-4.png?v=1",
                None,
                "Velo",
                variants=(("HB-BLK", "black", 599.0, None), ("HB-SIL", "silver", 649.0, None)),
            ),
            "city-bike-26": Expected(
                'City Bike, 26"',
                "Sporting Goods > Outdoor Recreation > Cycling > Bicycles",
                1200.0,
                "bike.jpg?v=1",
                1500.0,
                "Velo",
            ),
        },
    ),
    Export(
        *("shopify_template.csv", "shopify", "https://cdn.shop.example/s/files/1/0001/files/"),
        products={
            "oak-stool": Expected(
                "Oak Stool",
                "Furniture > Chairs > Stools",
                120.0,
                "stool-natural.jpg?v=2 stool-black.jpg?v=2 stool-room.jpg?v=2",
                150.0,
                "Norra",
                True,
                (("OAK-N", "Natural", 120.0, True), ("OAK-B", "Black", 130.0, False)),
            ),
            "rush-mat": Expected("Rush Mat", "Home & Garden > Decor > Rugs", 35.0, "mat.jpg", None, "Norra", True),
        },
        notes=("1 row is not for sale and left out: Status is Draft", LEFT_OUT.format("1 row is")),
    ),
    Export(
        *("shopify_json.json", "shopify_json", "https://cdn.shop.example/s/files/1/0002/products/"),
        products={
            "7301000000011": Expected(
                "Trail Sock",
                "Socks",
                12.5,
                "sock.jpg?v=1709287201 sock-rust.jpg?v=1709287201",
                None,
                "Fjell & Sjø",
                True,
                (("SOCK-M-MOSS", "M / Moss", 14.0, True), ("SOCK-L-RUST", "L / Rust", 12.5, False)),
            ),
            "7301000000012": Expected("Enamel Cup & Lid", "Camp Kitchen", 1250.0, "cup.jpg?v=1", None, "Fjell & Sjø"),
            "7301000000013": Expected("Wax Tin", "", 8.0, "wax.jpg?v=1 wax-open.jpg?v=1", 10.0, "Tamsin"),
        },
        notes=(
            "2 rows are not for sale and left out: status is draft",
            "1 row is not for sale and left out: status is archived",
            "1 row is not for sale and left out: published_at is",
            "1 of 3 products have no category",
        ),
    ),
    Export(
        *("woocommerce.csv", "woocommerce", "https://woo.shop.example/wp-content/uploads/2024/05/"),
        products={
            "44": Expected(
                "Organic Tee",
                "Clothing > T-Shirts",
                19.5,
                "tee.jpg tee-back.jpg tee-blue.jpg",
                25.0,
                "Birch & Reed",
                True,
                (("BR-TEE-BLUE-S", "Blue / S", 25.0, True), ("62", "Green / M", 19.5, False)),
                ("Clothing", "Sale"),
            ),
            "47": Expected(
                "Wool Beanie",
                "Accessories > Hats, Scarves & Gloves",
                18.0,
                "beanie.jpg?w=800&h=800",
                20.0,
                None,
                False,
                further=("Accessories",),
            ),
            "52": Expected("Hat Set", "Accessories", None, "set.jpg", None, None, True),
            "53": Expected("Partner Watch", "Accessories > Watches", 1299.5, "watch.jpg"),
        },
        notes=(
            "2 rows are not for sale and left out: Published is -1",
            "1 row is not for sale and left out: Published is 0",
            "1 row is not for sale and left out: Visibility in catalogue is hidden",
            LEFT_OUT.format("1 row is"),
            NO_PRICE.format(4),
        ),
    ),
    Export(
        *("woocommerce_us.csv", "woocommerce", "https://woo.shop.example/wp-content/uploads/2024/05/"),
        products={
            "75": Expected("Single", "Music", 2.0, "single.jpg", 3.0, None, True),
            "76": Expected("Cap", "Clothing > Accessories", 18.0, "cap.jpg cap-2.jpg", None, None, True),
        },
    ),
    Export(
        *("woocommerce_ru.csv", "woocommerce", "https://woo-ru.example/wp-content/uploads/2023/04/"),
        products={
            "301": Expected(
                *("Кружка «Лён», 350 мл", "Посуда > Кружки", 790.0, "kruzhka.jpg kruzhka-2.jpg", 990.0, None, True),
                further=("Посуда",),
            ),
            "302": Expected(
                *("Фартук льняной", "Текстиль > Фартуки", 1590.0, "fartuk.jpg fartuk-s.jpg", None, None, True),
                variants=(("LN-FARTUK-S", "Серый", 1590.0, True), ("LN-FARTUK-B", "Синий", 1690.0, False)),
            ),
            "304": Expected("Скатерть 150×220", "Текстиль", 2490.5, "skatert.jpg", None, None, False),
        },
        notes=(
            "1 row is not for sale and left out: Опубликован is -1",
            "1 row is not for sale and left out: Видимость в каталоге is hidden",
        ),
    ),
    Export(
        *("woocommerce_fr.csv", "woocommerce", "https://woo-fr.example/wp-content/uploads/2024/02/"),
        products={
            "71": Expected(
                "Nappe en coton",
                "Maison > Linge de table",
                39.9,
                "nappe.jpg nappe-pliee.jpg nappe-240.jpg",
                49.9,
                "Atelier Lune",
                True,
                (("AL-NAPPE-140", "140 × 140", 39.9, True), ("AL-NAPPE-240", "140 × 240", 69.0, False)),
                ("Soldes",),
            ),
            "74": Expected(
                "Bol « Brume »", "Maison > Vaisselle", 18.0, "bol.jpg?w=900&h=900", None, "Atelier Lune", False
            ),
        },
        notes=(
            "1 row is not for sale and left out: Publié is 0",
            "1 row is not for sale and left out: Visibilité dans le catalogue is hidden",
        ),
    ),
    Export(
        *("woocommerce_json.json", "woocommerce_json", "https://woo-api.example/wp-content/uploads/"),
        products={
            "501": Expected(
                *("Wool Cap", "Accessories", 16.0, "cap.jpg cap-back.jpg", 18.0, None, True), further=("Hats & Caps",)
            ),
            "502": Expected("Hoodie", "", 42.0, "hoodie.jpg", None, None, False),
        },
        notes=(
            "1 row is not for sale and left out: status is draft",
            "1 row is not for sale and left out: catalog_visibility is hidden",
            "1 of 2 products have no category",
        ),
    ),
    Export(
        *("woocommerce_store_api.json", "woocommerce_store_api", "https://woo-store.example/wp-content/uploads/"),
        currency="USD",
        products={
            "243": Expected("Arcade Cabinet", "Games", 10_600.0, "arcade.png", 12_500.0, None, True),
            "300": Expected("Card Table", "Games", 80.5, "table.jpg", 80.5, None, False, further=("Furniture",)),
        },
    ),
    Export(
        *("heureka.xml", "heureka", "https://hrnky.example/img/"),
        products={
            "M": Expected(
                *("Hrnek Lípa modrý", "Dům a zahrada > Kuchyně > Hrnky", 299.0, "m-1.jpg m-1b.jpg m-1c.jpg m-2.jpg"),
                brand="Lípa",
                variants=(("M-1", "modrá", 299.0, None), ("M-2", "zelená", 319.0, None)),
            ),
            "T-1": Expected("Talíř 24 cm", "Dům a zahrada > Kuchyně > Talíře", 189.9, "t-1.jpg"),
        },
    ),
    Export(
        *("wix.csv", "wix", "https://static.wixstatic.com/media/"),
        products={
            "product_3f1c9a52-7b40-4e0d-9c11-0a5d7e2b6f01": Expected(
                "Stoneware Teapot",
                "Tea",
                36.0,
                "c81d20_5f0a~mv2.jpg c81d20_77be~mv2.png",
                48.0,
                "Kiln & Co",
                True,
                (("TEA-MOSS", "Moss / 0.5 l", 36.0, True), ("TEA-OAT", "Oat / 1 l", 42.0, False)),
            ),
            "product_8d2e6b17-1c9f-4a83-b7d5-5e90c3a4f202": Expected(
                "Beeswax Candle, 20 cm",
                "Candles",
                10.0,
                "https://img.wix.example/media/candle.jpg",
                12.5,
                in_stock=True,
            ),
            "product_e9046d3b-5f82-47c1-a3be-7c18b64f0d04": Expected(
                "Glaze Sampler", "", 1290.0, "c81d20_1b3c~mv2.jpg", in_stock=False
            ),
        },
        notes=(
            "1 row is not for sale and left out: visible is false",
            LEFT_OUT.format("2 rows are"),
            "1 of 3 products have no category",
        ),
    ),
    Export(
        *("squarespace.csv", "squarespace", "https://images.sq.example/content/v1/61a/"),
        products={
            "61a0f3c2b7d94e0012ab34c1": Expected(
                "Wool Throw & Blanket",
                "home > blankets",
                98.0,
                "throw-1.jpg throw-2.jpg",
                140.0,
                None,
                True,
                (("SQ-THR-GRY", "Grey / Light", 98.0, True), ("SQ-THR-NVY", "Navy / Heavy", 165.0, False)),
                ("gifts",),
            ),
            "61a0f3c2b7d94e0012ab34c2": Expected(
                "Oak Board", "kitchen", 54.0, "board.jpg board-side.jpg", in_stock=True
            ),
            "61a0f3c2b7d94e0012ab34c4": Expected(
                "Linen Towel", "kitchen > towels", 1020.0, "towel.jpg?format=1500w", in_stock=False
            ),
        },
        notes=("1 row is not for sale and left out: Visible is No",),
    ),
    Export("google_merchant.csv", "google_merchant", "https://feeds.shop.example/img/", MARISOL, currency="EUR"),
    Export("google_merchant.tsv", "google_merchant", "https://feeds.shop.example/img/", MARISOL, currency="EUR"),
    Export(
        *("google_merchant.xml", "google_merchant", "https://feeds.shop.example/img/"),
        currency="EUR",
        products={
            "DRS-1": Expected(
                "Wrap Dress - S",
                WRAP_DRESSES,
                69.0,
                "DRS-1-S.jpg?w=1200&h=1200 DRS-1-S-b.jpg DRS-1-S-c.jpg DRS-1-M.jpg",
                89.0,
                "Marisol",
                True,
                DRESS,
            ),
            "SOC-9": Expected(
                *("Socks & Stockings", "Home > Women > Socks", 9.5, "SOC-9.jpg", None, "Marisol", False),
                further=("Sale",),
            ),
        },
    ),
    Export(
        *("google_merchant_atom.xml", "google_merchant", "https://feeds.shop.example/img/"),
        currency="GBP",
        products={
            "HAT-7": Expected("Straw Hat", HATS, 49.0, "HAT-7.jpg HAT-7-b.jpg", None, "Marisol", True),
            "BAG-3": Expected("Basket Bag", HANDBAGS, 39.95, "BAG-3.jpg", 45.0, None, False),
        },
    ),
    Export(
        *("meta.csv", "meta", "https://feeds.shop.example/img/"),
        currency="USD",
        products={
            "FB-1": Expected(
                "Canvas Sneaker",
                "Apparel & Accessories > Shoes",
                49.9,
                "FB-1-RED.jpg FB-1-RED-b.jpg FB-1-RED-c.jpg FB-1-BLK.jpg",
                59.9,
                "Marisol",
                True,
                (("FB-1-RED", "Red / 38", 49.9, True), ("FB-1-BLK", "Black / 38", 59.9, False)),
            ),
            "FB-2": Expected(
                *("Market Tote", "Clothing & Accessories > Bags > Tote Bags", 24.0, "FB-2.jpg", None, "Marisol", True)
            ),
            "FB-3": Expected(
                "Rain Coat",
                "Apparel & Accessories > Clothing > Outerwear > Coats & Jackets",
                140.0,
                "FB-3.jpg",
                None,
                "Marisol",
                False,
            ),
        },
        notes=("1 line before the header is ignored", "2 rows are not for sale and left out: status is archived"),
    ),
    Export(
        *("magento.csv", "magento", "https://mage.shop.example/media/catalog/product/m/t/"),
        settings={"image_base": "https://mage.shop.example/media/catalog/product"},
        products={
            "MT-TEE": Expected(
                "Organic Tee",
                "Clothing > T-Shirts",
                24.0,
                "mt-tee.jpg mt-tee-2.jpg mt-tee-black.jpg mt-tee-black-back.jpg mt-tee-red.jpg",
                29.0,
                None,
                True,
                (("MT-TEE-BLK-S", "Black / S", 24.0, True), ("MT-TEE-RED-M", "Red / M", 31.0, False)),
                ("Clothing",),
            ),
            "MT-BAG": Expected("Duffle Bag", "Gear > Bags", 45.0, "mt-bag.jpg", None, None, True, further=("Gear",)),
            "MT-SET": Expected("Set of Yoga Straps", "Gear", None, "mt-set.jpg", None, None, True),
        },
        notes=(
            "2 rows are not for sale and left out: product_online is 2",
            LEFT_OUT.format("1 row is"),
            NO_PRICE.format(3),
        ),
    ),
    Export(
        *("prestashop.csv", "prestashop", "https://ps.shop.example/"),
        products={
            "1": Expected("T-shirt imprimé colibri", "Men", 28.68, "1/mug.jpg", None, None, True),
            "6": Expected('Mug "The best is yet to come"', "Home Accessories", 14.28, "6/mug.jpg", None, None, False),
            "8": Expected("Mug; today is a good day", "Home Accessories", 14.28, "8/mug.jpg", None, None, True),
            "15": Expected("Pack mug + framed poster", "Home Accessories", 42.0, "15/mug.jpg", None, None, True),
        },
        notes=("1 row is not for sale and left out: Status is 0",),
    ),
    Export(
        *("prestashop_import.csv", "prestashop", "https://ps.shop.example/img/p/"),
        products={
            "21": Expected(
                *("Mug en grès", "Kitchen > Mugs", 12.5, "1/5/15.jpg 2/3/23.jpg", None, "Atelier Dubois", True),
                further=("Gifts",),
            ),
            "22": Expected("Théière", "Kitchen", 49.9, "7/7.jpg 8/8.jpg?x=1&y=2", None, "Atelier Dubois", False),
            "25": Expected("Plateau", "Kitchen > Trays", 30.0, "4/4.jpg", None, "Atelier Dubois", True),
        },
        notes=(
            "1 row is not for sale and left out: Visibility is none",
            "1 row is not for sale and left out: Active (0/1) is 0",
        ),
    ),
    Export(
        *("bigcommerce.csv", "bigcommerce", "https://cdn11.bc.example/s-abc/products/"),
        products={
            "111": Expected(
                "Linen Apron",
                "24",
                42.5,
                "111/images/386/apron.386.513.jpg?c=1 111/images/387/apron-back.386.513.jpg?c=1 "
                "111/images/390/oat.386.513.jpg?c=1",
                49.0,
                None,
                True,
                (("APRON-OAT", "Oat / One size", 42.5, True), ("APRON-INK", "Ink / One size", 52.0, False)),
                ("31",),
            ),
            "112": Expected("Spoon Set", "31", 18.0, "112/images/391/spoons.386.513.jpg?c=1", 25.0),
        },
        notes=(
            "1 row is not for sale and left out: Is Visible is FALSE",
            LEFT_OUT.format("2 rows are"),
            "the categories of 2 products are numbers",
        ),
    ),
    Export(
        *("bigcommerce_v2.csv", "bigcommerce_v2", "https://cdn11.bc.example/s-abc/products/v2/"),
        products=hearth("{}.1280.1280.jpg?c=2&imbypass=on"),
        notes=("1 row is not for sale and left out: Product Visible? is N", LEFT_OUT.format("1 row is")),
    ),
    Export(
        *("bigcommerce_v2_import.csv", "bigcommerce_v2", "https://cdn11.bc.example/s-abc/products/v2/"),
        products=hearth("{}.jpg"),
        notes=("1 row is not for sale and left out: Product Visible? is N", LEFT_OUT.format("1 row is")),
    ),
    Export(
        *("etsy.csv", "etsy", "https://i.etsy.example/1/r/il/"),
        currency="GBP",
        products={
            "MUG-MOOR": Expected(
                'Speckled Mug "Moor", Stoneware',
                "",
                24.0,
                " ".join(f"a{number}/111/il_fullxfull.{number}.jpg" for number in range(1, 11)),
                in_stock=True,
            ),
            "PRINT-A3,PRINT-A4": Expected(
                "Botanical Print, Vintage Style", "", 16.0, "b1/222/il_fullxfull.1.jpg", in_stock=True
            ),
            "Ring Dish": Expected(
                "Ring Dish", "", 8.5, "c1/333/il_fullxfull.1.jpg c2/333/il_fullxfull.2.jpg", in_stock=False
            ),
            "PLANT-L": Expected("Large Planter", "", 1120.0, "d1/444/il_fullxfull.1.jpg", in_stock=True),
        },
        notes=("the catalogue has no category column",),
    ),
    Export(
        *("etsy_fr.csv", "etsy", "https://i.etsy.example/1/r/il/"),
        currency="EUR",
        products={
            "Panier en osier – fait main": Expected(
                "Panier en osier – fait main", "", 49.02, "e1.jpg e2.jpg", in_stock=True
            ),
            "TAB-1": Expected("Tabouret", "", 20.0, "f1.jpg", in_stock=True),
        },
        notes=("the catalogue has no category column",),
    ),
    Export(
        *("openai_feed.jsonl", "openai_feed", "https://ai.shop.example/img/"),
        currency="USD",
        products={
            "PAN": Expected(
                "Skillet",
                COOKWARE,
                59.99,
                "PAN-24-RED.jpg PAN-24-RED-b.jpg PAN-24-RED-c.jpg?a=1&b=2 PAN-28-BLK.jpg",
                79.99,
                "Hearth",
                True,
                (("PAN-24-RED", "Red / 24 cm", 59.99, True), ("PAN-28-BLK", "Black / 28 cm", 89.99, False)),
            ),
            "LID-1": Expected(
                *("Glass Lid", COOKWARE, 15.0, "LID-1.jpg LID-1-b.jpg LID-1-c.jpg", None, "Hearth", False)
            ),
            "MIT-1": Expected(
                "Oven Mitt", "Home & Garden > Linens & Bedding > Kitchen Linens", 9.0, "MIT-1.jpg", None, "Hearth"
            ),
        },
    ),
    Export(
        *("openai_feed.csv", "openai_feed", "https://ai.shop.example/img/"),
        currency="USD",
        products={
            "PAN": Expected(
                "Skillet",
                COOKWARE,
                59.99,
                "PAN-24-RED.jpg PAN-24-RED-b.jpg PAN-24-RED-c.jpg PAN-24-BLK.jpg",
                79.99,
                "Hearth",
                True,
                (("PAN-24-RED", "Red / With lid", 59.99, True), ("PAN-24-BLK", "Black / Without lid", 75.0, False)),
            ),
            "LID-1": Expected("Glass Lid", f"{COOKWARE} > Lids", 15.0, "LID-1.jpg?w=800&h=800", in_stock=False),
        },
    ),
    Export(
        *("fashion_product_images.csv", "fashion_product_images", "file://{folder}/images/"),
        products={
            "15970": Expected("Harbour Men Check Navy Blue Shirt", "Apparel > Topwear > Shirts", None, "15970.jpg"),
            "59263": Expected("Lumen Women Silver Watch", "Accessories > Watches > Watches", None, "59263.jpg"),
            "1855": Expected('Delta Men\'s "Rock" Grey T-shirt', "Apparel > Topwear > Tshirts", None, "1855.jpg"),
            "48311": Expected(
                "Isle Women Eau de Toilette, 50 ml",
                "Personal Care > Fragrance > Perfume and Body Mist",
                None,
                "48311.jpg",
            ),
        },
        notes=("the catalogue has no price column",),
    ),
    Export(
        *("hm.csv", "hm", "file://{folder}/images/"),
        products={
            "0108001": Expected(
                "Strap top",
                "Ladieswear > Garment Upper body > Vest top",
                None,
                "010/0108001015.jpg 010/0108001044.jpg",
                variants=(("0108001015", "Black", None, None), ("0108001044", "White", None, None)),
            ),
            "0110002": Expected("Seamless bra (Ida)", "Ladieswear > Underwear > Bra", None, "011/0110002001.jpg"),
        },
        notes=("the catalogue has no price column",),
    ),
]


def read(file: str, folder: Path, **settings: Any) -> Reading:
    """Read an export that is in a folder of its own, beside a folder for images."""
    (folder / "images").mkdir()
    path = shutil.copy(EXPORTS / file, folder / file)
    return read_catalogue(str(path), load(None, {"catalogue": settings}, environ={}), folder / "scratch")


def contents(reading: Reading, base: str) -> dict[str, Expected]:
    products = reading.products.astype(object).where(reading.products.notna(), None)
    return {
        row["product_id"]: Expected(
            name=row["name"],
            path=" > ".join(row["category_path"]),
            price=row["price"],
            images=" ".join(url.removeprefix(base) for url in row["image_urls"]),
            retail=row["retail_price"],
            brand=row["brand"],
            in_stock=row["in_stock"],
            variants=tuple((each["id"], each["options"], each["price"], each["in_stock"]) for each in row["variants"]),
            further=tuple(row["further_paths"]),
        )
        for row in products.to_dict("records")
    }


@pytest.mark.parametrize("export", CASES, ids=lambda export: export.file)
def test_an_export_is_read_without_settings(export: Export, tmp_path: Path) -> None:
    reading = read(export.file, tmp_path, **export.settings)
    assert reading.recognition.preset.name == export.preset
    assert contents(reading, export.base.format(folder=tmp_path)) == export.products
    assert list(contents(reading, "")) == list(export.products)
    assert reading.currency == export.currency
    priced = reading.products[reading.products["price"].notna()]
    assert set(priced["currency"].dropna()) <= {export.currency}
    assert len(reading.notes) == len(export.notes), reading.notes
    assert all(part in note for part, note in zip(export.notes, reading.notes, strict=True)), reading.notes
    assert reading.rejected == 0
    assert reading.duplicates == (1 if export.preset == "promptcloud_flipkart" else 0)


@pytest.mark.parametrize("export", CASES, ids=lambda export: export.file)
def test_most_usual_columns_of_a_preset_are_in_its_export(export: Export, tmp_path: Path) -> None:
    assert read(export.file, tmp_path, **export.settings).recognition.share > 0.7


def test_magento_without_its_media_address_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"base_image.*set catalogue\.image_base to the shop's media address"):
        read("magento.csv", tmp_path)


def test_a_product_of_which_all_variants_are_sold_out_is_sold_out(tmp_path: Path) -> None:
    text = (EXPORTS / "woocommerce.csv").read_text(encoding="utf-8")
    sold_out = text.replace("taxable,,1,5,", "taxable,,0,0,")
    assert sold_out != text
    path = tmp_path / "export.csv"
    path.write_text(sold_out, encoding="utf-8")
    reading = read_catalogue(str(path), load(None, environ={}), tmp_path / "scratch")
    assert not reading.products.set_index("product_id").loc["44", "in_stock"]


@pytest.mark.parametrize("line, products", [(0, 2), (1, 3)], ids=["the product's row", "a variant"])
def test_a_fault_in_the_row_of_a_product_rejects_its_other_rows_too(line: int, products: int, tmp_path: Path) -> None:
    """The rows below it have neither its name nor its category."""
    parts = (EXPORTS / "shopify.csv").read_text(encoding="utf-8").split("manual,49.00,69.00")
    assert len(parts) == 3
    prices = ["49.00", "49.00"]
    prices[line] = "0.00"
    path = tmp_path / "export.csv"
    path.write_text(
        f"manual,{prices[0]},69.00".join(parts[:2]) + f"manual,{prices[1]},69.00" + parts[2], encoding="utf-8"
    )
    configuration = load(None, {"catalogue": {"rejected_share": 0.2}}, environ={})
    reading = read_catalogue(str(path), configuration, tmp_path / "scratch")
    assert reading.products["name"].notna().all()
    assert (len(reading.products), reading.rejected) == (products, 1)


@pytest.mark.parametrize(
    "file, currency, prices",
    [
        ("medusa_json.json", "USD", [12.5, None, None, None]),
        ("medusa_json.json", "¥", [None, 1980.0, None, None]),
        ("medusa.csv", "USD", [15.0, None, 4.0, None]),
        ("commercetools.json", "USD", [None, None, None, 42.0]),
        ("commercetools.json", "JPY", [18900.0, None, None, None]),
    ],
)
def test_the_configured_currency_selects_the_price(
    file: str, currency: str, prices: list[float | None], tmp_path: Path
) -> None:
    """A price in another currency is never shown as one in the configured currency."""
    assert read(file, tmp_path, currency=currency).table["price"].to_pylist() == prices


def test_files_of_medusa_1_with_prices_in_cents_are_not_recognised(tmp_path: Path) -> None:
    text = (EXPORTS / "medusa_json.json").read_text(encoding="utf-8")
    path = tmp_path / "products.json"
    path.write_text(re.sub(r'"rules":{[^}]*}', '"region_id":null,"price_list_id":null', text), encoding="utf-8")
    reading = read_catalogue(str(path), load(None, environ={}), tmp_path / "scratch")
    assert reading.recognition.preset.name == GENERIC
    assert reading.table["price"].null_count == len(reading.table) == 4


def test_a_price_in_cents_without_its_number_of_digits_is_rejected(tmp_path: Path) -> None:
    text = (EXPORTS / "commercetools.json").read_text(encoding="utf-8")
    path = tmp_path / "products.json"
    path.write_text(text.replace('"centAmount":15900,"fractionDigits":2', '"centAmount":15900'), encoding="utf-8")
    settings = {"catalogue": {"rejected_share": 0.5}}
    reading = read_catalogue(str(path), load(None, settings, environ={}), tmp_path / "scratch")
    assert reading.rejects["reason"].tolist() == ["a price without the number of its decimal digits"]


def test_the_price_that_a_query_selects_counts_although_it_is_for_one_country(tmp_path: Path) -> None:
    document = json.loads((EXPORTS / "commercetools.json").read_text(encoding="utf-8"))
    chair = document["results"][2]["masterVariant"]
    value = chair["prices"][0]["value"]
    reduced = {**value, "centAmount": 7950, "fractionDigits": 3}
    chair["price"] = {**chair["prices"][0], "discounted": {"value": reduced}}
    path = tmp_path / "products.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    reading = read_catalogue(str(path), load(None, environ={}), tmp_path / "scratch")
    product = reading.products.set_index("product_id").loc["8d3e"]
    assert (product["price"], product["retail_price"], product["currency"]) == (7.95, 89.0, "EUR")
    assert not any("all prices have a condition" in note for note in reading.notes)


def test_several_prices_that_seem_to_count_for_all_are_noted(tmp_path: Path) -> None:
    """As of a query that leaves out the rules."""
    text = (EXPORTS / "medusa_json.json").read_text(encoding="utf-8")
    path = tmp_path / "products.json"
    path.write_text(text.replace('{"region_id":"reg_1"}', "{}"), encoding="utf-8")
    reading = read_catalogue(str(path), load(None, environ={}), tmp_path / "scratch")
    assert "1 row: of several prices in EUR without a condition, the first one is used (record 1)" in reading.notes


def test_a_condition_that_only_later_prices_have_counts(tmp_path: Path) -> None:
    """The names of the columns come from the first 200 records."""
    price = {"amount": 9, "currency_code": "eur", "rules": {}}
    later = [{"amount": 5, "currency_code": "eur", "rules": {}, "price_list_id": "plist_1"}, price]
    products = [
        {"id": f"prod_{number}", "title": "Cup", "thumbnail": f"https://x.example/{number}.png"}
        | {"variants": [{"id": f"variant_{number}", "prices": [price] if number < 300 else later}]}
        for number in range(301)
    ]
    path = tmp_path / "products.json"
    path.write_text(json.dumps({"products": products}), encoding="utf-8")
    reading = read_catalogue(str(path), load(None, environ={}), tmp_path / "scratch")
    assert reading.recognition.preset.name == "medusa_json"
    assert set(reading.table["price"].to_pylist()) == {9.0}


@pytest.mark.parametrize(
    "tree, paths",
    [
        ("Home > Hats, Scarves & Gloves > Hats", [["Home", "Hats, Scarves & Gloves", "Hats"]]),
        ("Home > Women, Home > Women > Hats", [["Home", "Women", "Hats"], ["Home", "Women"]]),
        ("Home, Home > Women", [["Home", "Women"], ["Home"]]),
        ("Women > Hats; Sale > Summer > Hats", [["Sale", "Summer", "Hats"], ["Women", "Hats"]]),
    ],
)
def test_a_comma_separates_paths_only_if_they_begin_alike(tree: str, paths: list[list[str]]) -> None:
    assert cells.category_paths(tree, ">") == paths


def test_every_preset_has_an_export() -> None:
    assert {export.preset for export in CASES} == {preset.name for preset in presets()} - {GENERIC}
    assert {export.file for export in CASES} == {path.name for path in EXPORTS.iterdir()}


def test_every_preset_and_its_limits_are_documented() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    for preset in presets():
        assert f"`{preset.name}`" in text, preset.name
        for limit in preset.limits:
            assert limit in text, (preset.name, limit)


def test_the_documented_preset_reads_variants_by_their_parent(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```ini\n(.*?)^```$", DOCUMENTATION.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    preset, export = tmp_path / "wawi.toml", tmp_path / "export.csv"
    preset.write_text(block, encoding="utf-8")
    export.write_text(
        "ArtNr;VaterArtNr;Titel;Warengruppe;Preis;Aktionspreis;Bildpfad;Bestand;Bestandsführung;Farbe;Größe;Status\n"
        "100;;Regenjacke;Herren/Jacken;1.299,00;;j/100.jpg;;ja;;;aktiv\n"
        "100-1;100;;;1.299,00;999,00;j/100-1.jpg;0;nein;Blau;M;aktiv\n"
        "100-2;100;;;1.299,00;;;3;ja;Grün;L;aktiv\n"
        "200;;Muster;Herren;5,00;;m.jpg;1;ja;;;Entwurf\n"
        "200-1;200;Muster S;;5,00;;m.jpg;1;ja;;S;aktiv\n",
        encoding="utf-8",
    )
    reading = read_catalogue(
        str(export), load(None, {"catalogue": {"preset": str(preset)}}, environ={}), tmp_path / "s"
    )
    variants = (("100-1", "Blau / M", 999.0, None), ("100-2", "Grün / L", 1299.0, True))
    assert contents(reading, "https://shop.example/media/j/") == {
        "100": Expected("Regenjacke", "Herren > Jacken", 999.0, "100.jpg 100-1.jpg", 1299.0, None, True, variants)
    }
