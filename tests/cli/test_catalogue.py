"""`recsys catalogue`: how a catalogue will be read, and what it would change; nothing is written without --write."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from recsys.core.configuration import load
from recsys.core.errors import CatalogueError, ConfigurationError
from recsys.ingest.catalogue.intake import take_in
from recsys.ingest.catalogue.reading import read_catalogue
from recsys.storage.store import Store

SHOPIFY = [
    "Handle,Title,Vendor,Type,Option1 Name,Option1 Value,Variant SKU,Variant Price,Variant Compare At Price,Image Src",
    "mug,Mug,Acme,Mugs,Size,S,M-S,9.90,0.00,https://shop.example/mug.jpg",
    "mug,,,,,L,M-L,12.90,,https://shop.example/mug-2.jpg",
    "cup,Cup,Acme,Cups,Size,S,C-S,5.00,7.50,https://shop.example/cup.jpg",
]


@pytest.fixture
def export(tmp_path: Path) -> Path:
    file = tmp_path / "products_export.csv"
    file.write_text("\n".join(SHOPIFY))
    return file


def check(*arguments: str | Path, home: Path) -> Result:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(
        app, ["catalogue", "check", *map(str, arguments), "--home", str(home)]
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_recognised_export_its_columns_and_first_products_are_shown(export: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    text = check(export, home=home).stdout
    for words in ("Shopify product export", "delimited by a comma", "Variant Price", "2 variants: S; L", "Mugs"):
        assert words in text
    assert "3 rows, 2 products, 2 variants, 0 bad rows, 0 repeated ids" in text
    assert max(map(len, text.splitlines())) <= 80
    assert not home.exists()


def test_the_same_as_json(export: Path, tmp_path: Path) -> None:
    summary = json.loads(check(export, "--json", home=tmp_path / "home").stdout)
    assert (summary["preset"], summary["rows"], summary["products"]) == ("shopify", 3, 2)
    first = summary["first_products"][0]
    assert (first["product_id"], first["price"], first["retail_price"]) == ("mug", 9.9, None)
    assert [variant["id"] for variant in first["variants"]] == ["M-S", "M-L"]
    assert summary["change"] is None


def test_the_change_of_a_home_is_shown_and_nothing_is_written(export: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    take_in(store, str(export), load(environ={}), datetime(2026, 1, 5, tzinfo=UTC))
    version = store.version("products")
    export.write_text("\n".join(SHOPIFY[:3]))
    text = " ".join(check(export, home=store.home).stdout.split())
    assert "A run would add 0, remove 1 and rename 0 products." in text
    assert "It would stop, since it would remove 1 of 2 products (50%); --accept lets it go on." in text
    assert store.version("products") == version


def test_the_written_settings_read_the_same_products(export: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = read_catalogue(str(export), load(environ={}), tmp_path / "scratch")
    check(export, "--write", home=home)
    settings = tomllib.loads((home / "recsys.toml").read_text())["catalogue"]
    assert settings["preset"] == "shopify" and settings["columns"]["price"] == ["Variant Price"]
    assert read_catalogue(str(export), load(home, environ={}), tmp_path / "scratch").digest == before.digest
    with pytest.raises(ConfigurationError, match="has a section"):
        check(export, "--write", home=home)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<!DOCTYPE html><html></html>", "is a web page"),
        ("a;b\n1;2\n", r"no column for 'id' and 'images'.*found: a, b"),
        ("id,name,price,image\n1,Mug,1.299,http://a/1.jpg\n", r"can be read in two ways: set catalogue.decimal = "),
    ],
)
def test_a_hopeless_or_ambiguous_file_gets_the_setting_to_change(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.csv").write_text(content)
    with pytest.raises(CatalogueError, match=message):
        check(tmp_path / "c.csv", home=tmp_path / "home")


def test_columns_can_be_tried_and_written(tmp_path: Path) -> None:
    rows = [f"Mug {number},https://shop.example/p/{number},https://shop.example/{number}.jpg" for number in range(3)]
    (tmp_path / "c.csv").write_text("\n".join(["label,link,shot", *rows]))
    home = tmp_path / "home"
    options = ("--column", "id=link", "--column", "images=shot", "--column", "name=label")
    text = check(tmp_path / "c.csv", *options, "--write", home=home).stdout
    assert "3 rows, 3 products" in text
    columns = tomllib.loads((home / "recsys.toml").read_text())["catalogue"]["columns"]
    assert columns == {"id": ["link"], "images": ["shot"], "name": ["label"]}
    assert "3 rows, 3 products" in check(tmp_path / "c.csv", home=home).stdout
    for wrong in ("link", "key=link", "id="):
        with pytest.raises(ConfigurationError, match="write FIELD=COLUMN"):
            check(tmp_path / "c.csv", "--column", wrong, home=home)


def test_the_presets_are_listed() -> None:
    result = CliRunner().invoke(app, ["catalogue", "presets", "--json"])
    names = {preset["name"] for preset in json.loads(result.stdout)}
    assert {"shopify", "woocommerce", "google_merchant", "promptcloud_flipkart"} <= names
    assert "generic" not in names
