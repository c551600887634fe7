"""Catalogues of other shops from end to end: a database, an export with variants, and a broken export."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks import machines
from recsys.storage.store import Store
from sample_shop import SampleHost, SampleShop
from tests.conftest import Receiver
from tests.flows.conftest import FLAGS, Ran, running

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("one run of a shop")]

NO_POSTGRES = machines.postgres_programs() is None
SIZES = ("S", "M", "L", "XL", "XXL", "3XL")


def shop_rows(shop: SampleShop) -> pd.DataFrame:
    return pd.read_csv(shop.catalogue, dtype=str, keep_default_na=False)


def refreshed(home: Path, source: str, **flags: Any) -> Any:
    from flows.refresh import refresh

    return refresh(str(home), source, FLAGS | flags, return_state=True)


@pytest.mark.skipif(NO_POSTGRES, reason="needs Debian's postgresql")
def test_a_query_of_postgresql_is_a_catalogue_and_a_refresh_fetches_only_what_changed(
    prefect_url: str, shop: SampleShop, host: SampleHost, tmp_path: Path
) -> None:
    import sqlalchemy

    query = {"catalogue": {"query": "SELECT * FROM products WHERE discounted_price <> '' ORDER BY uniq_id"}}
    with machines.postgres(tmp_path / "postgres", ["shop"]) as address:
        url = f"postgresql://{address}/shop"
        engine = sqlalchemy.create_engine(url)
        rows = shop_rows(shop)
        rows.to_sql("products", engine, index=False)
        home = tmp_path / "home"
        state = refreshed(home, url, **query)
        assert state.is_completed(), state.message
        store = Store(home)
        listed = store.read("products", ["product_id"])["product_id"].to_pylist()
        priced = rows.loc[rows["discounted_price"] != "", "uniq_id"]
        assert set(listed) <= set(priced) and len(listed) > 0.9 * len(set(priced))  # the sample shop has bad rows

        fetched = store.read("images", ["product_id", "url"], "status = 'ok'").to_pylist()[:50]
        ok = [image["product_id"] for image in fetched]
        change = sqlalchemy.text(
            "UPDATE products SET image = replace(image, '\"]', '?v=2\"]') WHERE uniq_id = ANY(:ids)"
        )
        with engine.begin() as connection:
            connection.execute(change, {"ids": ok})
        engine.dispose()
        before = host.stats()
        state = refreshed(home, url, **query)
        assert state.is_completed(), state.message
        assert state.result()["images"] == len(ok)
        requested = {picture for picture, count in host.stats().items() if count > before.get(picture, 0)}
        listed_urls = rows.loc[rows["uniq_id"].isin(ok), "image"].str.findall(r"[^/]+\.\w+(?=\")").explode()
        assert {image["url"].rpartition("/")[2] for image in fetched} <= requested <= set(listed_urls)


def test_the_variants_of_a_product_are_one_product_from_end_to_end(
    prefect_url: str, shop: SampleShop, host: SampleHost, tmp_path: Path
) -> None:
    export = tmp_path / "products_export.csv"
    products = write_shopify_export(shop, export, SIZES)
    home = tmp_path / "home"
    running(home)(export, "recommendations")
    store = Store(home)
    stored = store.read("products", ["product_id", "variants", "price"]).to_pylist()
    assert len(stored) == products
    assert all([variant["options"] for variant in product["variants"]] == list(SIZES) for product in stored)
    tables = [table for table in store.tables() if table.startswith("recommendations-")]
    pairs = store.read(tables[0], ["product_id", "neighbour_id"]).to_pandas()
    assert len(pairs) and not (pairs["product_id"] == pairs["neighbour_id"]).any()
    assert not pairs.duplicated().any()
    assert set(pairs["neighbour_id"]) <= {product["product_id"] for product in stored}


def test_a_broken_export_stops_the_scheduled_refresh_which_notifies(
    ran: Ran, shop: SampleShop, tmp_path: Path, receiver: Receiver
) -> None:
    home = shutil.copytree(ran.copy, tmp_path / "home")
    rows = shop_rows(shop)
    half = tmp_path / "half.csv"
    rows.iloc[::2].to_csv(half, index=False)
    version = Store(home).version("products")
    state = refreshed(home, str(half))
    assert state.is_failed()
    assert "would remove" in str(state.message) and "--accept" in str(state.message)
    assert Store(home).version("products") == version


def write_shopify_export(shop: SampleShop, to: Path, sizes: tuple[str, ...]) -> int:
    """Write the sample shop as a Shopify export with these variants of each product; return the number of products."""
    header = [
        *("Handle", "Title", "Body (HTML)", "Vendor", "Product Category", "Type", "Tags", "Published", "Option1 Name"),
        *("Option1 Value", "Variant SKU", "Variant Inventory Qty", "Variant Price", "Variant Compare At Price"),
        *("Image Src", "Image Position", "Status"),
    ]
    rows = shop_rows(shop).drop_duplicates("uniq_id")
    rows = rows[(rows["discounted_price"] != "") & rows["image"].str.contains("http")]
    with to.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        for row in rows.to_dict("records"):
            path = row["product_category_tree"].strip('[]"').replace(" >> ", " > ")
            images = re.findall(r"http[^\"]+", row["image"])
            first = {
                "Title": row["product_name"],
                "Body (HTML)": '<p>Soft, "warm",\nwashable</p>',
                "Vendor": row["brand"],
                "Product Category": path,
                "Published": "true",
                "Option1 Name": "Size",
                "Image Src": images[0],
                "Image Position": "1",
                "Status": "active",
            }
            for number, size in enumerate(sizes):
                variant = {
                    "Handle": row["uniq_id"],
                    "Option1 Value": size,
                    "Variant SKU": f"{row['uniq_id']}-{size}",
                    "Variant Inventory Qty": str(number % 3),
                    "Variant Price": str(float(row["discounted_price"]) + number),
                }
                writer.writerow(variant | (first if number == 0 else {}))
    return len(rows)
