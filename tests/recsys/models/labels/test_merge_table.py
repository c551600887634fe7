"""The merge table: to which shops the built-in one applies, errors in a shop's own, and notes on it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from recsys.core.configuration import FLIPKART_LABELS, Configuration, load
from recsys.core.errors import ConfigurationError
from recsys.ingest.catalogue import read_catalogue, update_products
from recsys.models.labels import ledger
from recsys.models.labels.tree import assign, table_notes
from recsys.storage.store import Store
from sample_shop.catalogue import rows
from tests.recsys.models.labels.small_shop import NOW, Shop, settings

OTHER_COLUMNS = {"id": "id", "category_tree": "category", "price": "price", "images": "image", "name": "name"}


def other_schema(**labels: object) -> Configuration:
    """Return the configuration of a shop whose catalogue does not have PromptCloud's columns."""
    return load(None, {"catalogue": {"columns": OTHER_COLUMNS}, "labels": labels}, environ={})


def labels_of(top_levels: list[str], configuration: Configuration) -> list[str | None]:
    """Return the labels of products with these top levels, None for no label."""
    products = pd.DataFrame({"product_id": [f"{row}" for row in range(len(top_levels))], "name": "Name"})
    given = assign(products.assign(category_path=[[top, "x"] for top in top_levels]), configuration)["label"]
    return [None if pd.isna(label) else label for label in given]


# --- the built-in table ---------------------------------------------------------------------------------------------

MOSTLY_CLOTHING = ["Clothing"] * 6 + ["Shoes"] * 3 + ["Sunglasses"]


def test_with_the_promptcloud_schema_the_built_in_table_applies() -> None:
    assert load(environ={}).labels.merge == FLIPKART_LABELS
    assert labels_of(MOSTLY_CLOTHING, load(environ={})) == ["Clothing"] * 6 + [None] * 3 + ["Eyewear"]


def test_with_another_schema_each_top_level_is_its_own_label() -> None:
    assert other_schema().labels.merge == {}
    assert labels_of(MOSTLY_CLOTHING, other_schema()) == MOSTLY_CLOTHING
    assert labels_of(MOSTLY_CLOTHING, other_schema(merge_coverage=0)) == MOSTLY_CLOTHING


@pytest.mark.parametrize("column", ["id", "category_tree"])
def test_another_name_of_id_or_category_tree_is_another_schema(column: str) -> None:
    assert load(None, {"catalogue": {"columns": {column: "other"}}}, environ={}).labels.merge == {}
    environment = {f"RECSYS_CATALOGUE__COLUMNS__{column.upper()}": "other"}
    assert load(environ=environment).labels.merge == {}


def test_other_columns_and_formats_do_not_change_the_schema() -> None:
    columns = {"price": "retail_price", "images": "pictures", "name": "title", "brand": "maker", "in_stock": "stock"}
    configuration = load(None, {"catalogue": {"columns": columns, "delimiter": ";"}}, environ={})
    assert configuration.labels.merge == FLIPKART_LABELS


def test_a_shops_own_table_applies_with_any_schema() -> None:
    own = other_schema(merge={"Fashion": ["Clothing", "Shoes"]})
    assert labels_of(MOSTLY_CLOTHING, own) == ["Fashion"] * 9 + [None]
    copied = other_schema(merge=dict(FLIPKART_LABELS))
    assert labels_of(MOSTLY_CLOTHING, copied) == ["Clothing"] * 6 + [None] * 3 + ["Eyewear"]


def test_the_sample_shop_keeps_the_built_in_table(tmp_path: Path) -> None:
    shop_rows = list(rows(12_345, 300, "http://localhost"))
    catalogue = tmp_path / "catalogue.csv"
    pd.DataFrame(shop_rows).to_csv(catalogue, index=False)
    products = read_catalogue(str(catalogue), load(environ={}), tmp_path).products
    labels = assign(products, load(environ={}))["label"].dropna()
    assert len(labels) > 0.9 * len(products)
    assert set(labels) <= set(FLIPKART_LABELS)


@pytest.mark.shared
def test_the_built_in_table_does_not_apply_to_another_shop_that_is_mostly_clothing(
    tmp_path: Path, shared_data: Path
) -> None:
    folder = shared_data / "faults" / "24_flipkart_table_on_another_shop"
    configuration = load(file=folder / "recsys.toml", environ={})
    store = Store(tmp_path / "home")
    update_products(store, read_catalogue(str(folder / "catalogue.csv"), configuration, tmp_path / "scratch"), NOW)
    for shard in ledger.missing(store, configuration):
        ledger.label_shard(store, shard, configuration)
    balance = ledger.class_balance(store)
    assert balance.set_index("label")["products"].to_dict() == {"Clothing": 60, "Shoes": 30, "Bags": 10}
    assert balance.attrs["unlabelled"] == 0


# --- a shop's own table ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('A = ["B"]\nB = ["A"]', ["a circle", "'B' into 'A'", "'A' into 'B'"]),
        ('A = ["B"]\nB = ["C"]\nC = ["A"]', ["a circle", "'B' into 'A'", "'A' into 'C'", "'C' into 'B'"]),
        ('A = ["x"]\nB = ["A", "B"]', ["'x' is merged into 'A'", "itself merged into 'B'", "list 'x' under 'B'"]),
        ('A = ["x"]\nB = ["A"]\nC = ["B"]', ["'x' is merged into 'A'", "itself merged into 'B'", "under 'C'"]),
        ('A = ["x"]\nB = ["x"]', ["'x' is merged into both 'A' and 'B'"]),
        ('"часы" = ["очки"]\n"очки" = ["часы"]', ["a circle", "'очки' into 'часы'", "'часы' into 'очки'"]),
        ('" " = ["x", "y"]', ["a label has no name", "x, y"]),
    ],
)
def test_a_circular_or_chained_table_is_an_error_that_names_the_labels(
    tmp_path: Path, toml: str, words: list[str]
) -> None:
    (tmp_path / "recsys.toml").write_text(f"[labels.merge]\n{toml}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, environ={})
    for word in ["recsys.toml", *words]:
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_label_may_differ_from_its_values_and_may_be_empty() -> None:
    table = {"3C": ["Computers", "Gaming"], "Gaming": []}
    assert settings(table).labels.merge == {"3C": ("Computers", "Gaming"), "Gaming": ()}


def test_there_are_no_notes_on_the_built_in_table(shop: Shop) -> None:
    shop.update(("a", "Clothing"))
    assert table_notes(shop.store, Configuration()) == ()
    assert table_notes(shop.store, settings(dict(FLIPKART_LABELS))) == ()  # type: ignore[arg-type]
    assert table_notes(shop.store, settings({})) == ()


def test_a_value_without_products_is_a_note_and_no_error(shop: Shop) -> None:
    shop.update(("a", "Furniture"), ("b", "Furniture"), ("c", "Kitchenware"), ("d", "ساعات"))
    notes = table_notes(shop.store, settings({"Home": ["Furniture", "Kitchen ware", "Bedding"], "Watches": ["ساعات"]}))
    assert notes == (
        "labels.merge names 'Kitchen ware', which is no product's top level; did you mean 'Kitchenware'?",
        "labels.merge names 'Bedding', which is no product's top level",
    )


def test_a_label_without_the_top_level_of_its_own_name_is_a_note(shop: Shop) -> None:
    shop.update(("a", "Eyewear"), ("b", "Sunglasses"), ("c", "Sunglasses"), ("d", "Watches"))
    notes = table_notes(shop.store, settings({"Eyewear": ["Sunglasses"], "Watches": ["Watches"]}))
    assert notes == (
        "labels.merge does not name 'Eyewear' among the values of the label 'Eyewear': "
        "1 products of that top level have no label",
    )


def test_an_own_table_that_covers_too_few_products_is_a_note(shop: Shop) -> None:
    shop.update(("a", "Eyewear"), ("b", "Sunglasses"), ("c", "Sunglasses"))
    (note,) = table_notes(shop.store, settings({"Glasses": ["Eyewear"]}))
    assert "only 33.3% of the products: each top level is its own label" in note
