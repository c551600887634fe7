"""The merge table: to which shops the built-in one applies, errors in a shop's own, and notes on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from recsys.core.configuration import FLIPKART_LABELS, Configuration, load
from recsys.core.errors import ConfigurationError
from recsys.ingest.catalogue.intake import take_in
from recsys.ingest.catalogue.reading import read_catalogue
from recsys.models.labels import ledger
from recsys.models.labels.merge_table import (
    MergeTable,
    assign_labels,
    merge_table,
    merge_table_notes,
    stored_merge_table,
    top_level,
)
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store
from sample_shop.catalogue import rows
from tests.recsys.models.labels.small_shop import NOW, Shop, settings

OTHER_COLUMNS = {"id": "id", "category_tree": "category", "price": "price", "images": "image", "name": "name"}


def other_schema(**labels: object) -> Configuration:
    """Return the configuration of a shop whose catalogue does not have PromptCloud's columns."""
    return load(None, {"catalogue": {"columns": OTHER_COLUMNS}, "labels": labels}, environ={})


def products(*paths: list[str], names: list[str | None] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "product_id": [f"id-{number}" for number in range(len(paths))],
            "name": pd.Series(names or [f"Name {number}" for number in range(len(paths))], dtype="str"),
            "category_path": pd.Series(paths, dtype="object"),
        }
    )


def labels_for(frame: pd.DataFrame, configuration: Configuration) -> list[str | None]:
    return [None if pd.isna(label) else label for label in assign_labels(frame, configuration)["label"]]


# --- the rule -------------------------------------------------------------------------------------------------------


def test_the_top_level_is_the_first_part_of_the_path() -> None:
    assert top_level(["Clothing", "Footwear"]) == "Clothing"
    assert top_level([]) is None
    assert top_level(None) is None


def test_the_table_merges_listed_values_and_gives_no_label_to_others() -> None:
    frame = products(["Clothing"], ["Home & Kitchen", "Mugs"], ["Some product's name"], [])
    rows = assign_labels(frame, Configuration())
    assert rows["product_id"].tolist() == ["id-0", "id-1", "id-2", "id-3"]
    assert rows["label"].tolist()[:2] == ["Clothing", "Kitchen & Dining"]
    assert rows["source"].tolist()[:2] == ["catalogue", "merged"]
    assert rows["confidence"].tolist()[:2] == [1.0, 1.0]
    assert rows.loc[2:, ["label", "source", "confidence"]].isna().all(axis=None)
    assert rows["model_version"].isna().all()
    assert rows.columns.tolist() == SCHEMAS["labels"].names


def test_a_table_that_covers_too_few_products_is_not_applied() -> None:
    frame = products(["Mode", "Jacken"], ["Möbel", "Tische"], ["Furniture", "Beds"])
    table = merge_table(frame["category_path"].map(top_level), Configuration())
    assert not table.applied
    assert table.coverage == pytest.approx(1 / 3)
    assert table.labels == {}
    assert "only 33.3% of the products: each top level is its own label" in str(table)
    assert labels_for(frame, Configuration()) == ["Mode", "Möbel", "Furniture"]


def test_the_table_applies_from_the_configured_coverage() -> None:
    frame = products(["Furniture"], ["Möbel"])
    assert labels_for(frame, Configuration()) == ["Home Furnishing", None]
    assert labels_for(frame, settings(merge_coverage=0.51)) == ["Furniture", "Möbel"]


def test_without_a_table_each_top_level_is_its_own_label() -> None:
    assert labels_for(products(["Furniture"], ["Clothing"]), settings({})) == ["Furniture", "Clothing"]
    assert labels_for(products(["Furniture"]), settings({}, merge_coverage=0)) == ["Furniture"]


def test_a_shops_own_table_is_configuration() -> None:
    configuration = settings({"Fashion": ["Mode", "Schuhe"]})
    assert labels_for(products(["Mode"], ["Schuhe"], ["Möbel"]), configuration) == ["Fashion", "Fashion", None]


@pytest.mark.parametrize(
    ("path", "name", "valid"),
    [
        (["Sumo Baby Walker (Red)"], "Sumo Baby Walker", False),
        (["Vishudh Printed Women's Kurta"], "Vishudh Printed Women's Kurta", False),
        (["Bengal Blooms Rose Plant with Pot (3..."], "Bengal Blooms Rose Plant with Pot", False),
        (["Koie Battery - For Samsung Prem..."], "Koie Battery - For Samsung Premium Quality", False),
        (["Koie Battery - For Samsung Prem…"], "Koie Battery - For Samsung Premium Quality", False),
        (["Shoes"], "Shoes and more", True),
        (["Shoes & Boots"], "Shoes", True),
        (["Shoes", "Shoes"], "Shoes", True),
        (["..."], "Shoes", True),
        (["Shoes"], None, True),
    ],
)
def test_without_a_table_a_product_name_as_category_gives_no_label(
    path: list[str], name: str | None, valid: bool
) -> None:
    assert labels_for(products(path, names=[name]), settings({})) == [path[0] if valid else None]


def test_the_basis_depends_only_on_the_top_level_and_the_label() -> None:
    frame = products(["Furniture", "Beds"], ["Furniture", "Tables"], ["Clothing"], [])
    before = assign_labels(frame, Configuration())["basis"].tolist()
    assert before[0] == before[1]
    assert len(set(before)) == 3
    more = settings({**{k: list(v) for k, v in Configuration().labels.merge.items()}, "Books": ["eBooks"]})
    assert assign_labels(frame, more)["basis"].tolist() == before
    other = settings({"Home": ["Furniture"], "Clothing": ["Clothing"]})
    after = assign_labels(frame, other)["basis"].tolist()
    assert [new != old for new, old in zip(after, before, strict=True)] == [True, True, False, False]


def test_without_products_there_are_no_labels() -> None:
    assert assign_labels(products(), Configuration()).empty


# --- the built-in table ---------------------------------------------------------------------------------------------


def labels_of_top_levels(top_levels: list[str], configuration: Configuration) -> list[str | None]:
    return labels_for(products(*([top, "x"] for top in top_levels)), configuration)


MOSTLY_CLOTHING = ["Clothing"] * 6 + ["Shoes"] * 3 + ["Sunglasses"]


def test_with_the_promptcloud_schema_the_built_in_table_applies() -> None:
    assert load(environ={}).labels.merge == FLIPKART_LABELS
    assert labels_of_top_levels(MOSTLY_CLOTHING, load(environ={})) == ["Clothing"] * 6 + [None] * 3 + ["Eyewear"]


def shop_of(folder: Path, top_levels: list[str], columns: str, configuration: Configuration) -> Store:
    """Return the home of a catalogue with these top levels; `columns` are those of id, category, price and image."""
    file = folder / "catalogue.csv"
    lines = [f"{number},{top} >> x,9.90,http://shop.example/{number}.jpg" for number, top in enumerate(top_levels)]
    file.write_text("\n".join([columns, *lines]))
    store = Store(folder / "home")
    take_in(store, str(file), configuration, NOW)
    return store


def table_of(folder: Path, columns: str, **settings: Any) -> MergeTable:
    configuration = load(None, settings, environ={})
    return stored_merge_table(shop_of(folder, MOSTLY_CLOTHING, columns, configuration), configuration)


def test_with_the_promptcloud_export_the_built_in_table_is_stored_and_applies(tmp_path: Path) -> None:
    table = table_of(tmp_path, "uniq_id,product_category_tree,discounted_price,image")
    assert table.applied and table.labels["Sunglasses"] == "Eyewear"


@pytest.mark.parametrize(
    "columns", ["id,category,price,image", "uniq_id,category,price,image", "id,product_category_tree,price,image"]
)
def test_with_another_export_each_top_level_is_its_own_label(tmp_path: Path, columns: str) -> None:
    settings = {"catalogue": {"columns": {"category_tree": columns.split(",")[1]}}}
    assert not table_of(tmp_path, columns, **settings).applied
    assert not table_of(tmp_path, columns, labels={"merge_coverage": 0}, **settings).applied


def test_a_shops_own_table_applies_to_any_export(tmp_path: Path) -> None:
    table = table_of(tmp_path, "id,category,price,image", labels={"merge": {"Fashion": ["Clothing", "Shoes"]}})
    assert table.applied and table.labels == {"Clothing": "Fashion", "Shoes": "Fashion"}


def test_a_shops_own_table_applies_with_any_schema() -> None:
    own = other_schema(merge={"Fashion": ["Clothing", "Shoes"]})
    assert labels_of_top_levels(MOSTLY_CLOTHING, own) == ["Fashion"] * 9 + [None]
    copied = other_schema(merge=dict(FLIPKART_LABELS))
    assert labels_of_top_levels(MOSTLY_CLOTHING, copied) == ["Clothing"] * 6 + [None] * 3 + ["Eyewear"]


def test_the_sample_shop_keeps_the_built_in_table(tmp_path: Path) -> None:
    shop_rows = list(rows(12_345, 300, "http://localhost"))
    catalogue = tmp_path / "catalogue.csv"
    pd.DataFrame(shop_rows).to_csv(catalogue, index=False)
    shop_products = read_catalogue(str(catalogue), load(environ={}), tmp_path).products
    labels = assign_labels(shop_products, load(environ={}))["label"].dropna()
    assert len(labels) > 0.9 * len(shop_products)
    assert set(labels) <= set(FLIPKART_LABELS)


@pytest.mark.shared
def test_the_built_in_table_does_not_apply_to_another_shop_that_is_mostly_clothing(
    tmp_path: Path, shared_data: Path
) -> None:
    folder = shared_data / "faults" / "24_flipkart_table_on_another_shop"
    configuration = load(file=folder / "recsys.toml", environ={})
    store = Store(tmp_path / "home")
    take_in(store, str(folder / "catalogue.csv"), configuration, NOW)
    for shard in ledger.missing(store, configuration):
        ledger.label_shard(store, shard, configuration)
    balance = ledger.class_balance(store)
    assert balance.set_index("label")["products"].to_dict() == {"Clothing": 60, "Shoes": 30, "Bags": 10}
    assert balance.attrs["unlabelled"] == 0


# --- a shop's own table ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('A = ["B"]\nB = ["A"]', ["a cycle", "'B' into 'A'", "'A' into 'B'"]),
        ('A = ["B"]\nB = ["C"]\nC = ["A"]', ["a cycle", "'B' into 'A'", "'A' into 'C'", "'C' into 'B'"]),
        ('A = ["x"]\nB = ["A", "B"]', ["'x' is merged into 'A'", "itself merged into 'B'", "list 'x' under 'B'"]),
        ('A = ["x"]\nB = ["A"]\nC = ["B"]', ["'x' is merged into 'A'", "itself merged into 'B'", "under 'C'"]),
        ('A = ["x"]\nB = ["x"]', ["'x' is merged into both 'A' and 'B'"]),
        ('"часы" = ["очки"]\n"очки" = ["часы"]', ["a cycle", "'очки' into 'часы'", "'часы' into 'очки'"]),
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
    assert merge_table_notes(shop.store, Configuration()) == ()
    assert merge_table_notes(shop.store, settings(dict(FLIPKART_LABELS))) == ()  # type: ignore[arg-type]
    assert merge_table_notes(shop.store, settings({})) == ()


def test_a_value_without_products_is_a_note_and_no_error(shop: Shop) -> None:
    shop.update(("a", "Furniture"), ("b", "Furniture"), ("c", "Kitchenware"), ("d", "ساعات"))
    table = {"Home": ["Furniture", "Kitchen ware", "Bedding"], "Watches": ["ساعات"]}
    notes = merge_table_notes(shop.store, settings(table))
    assert notes == (
        "labels.merge lists 'Kitchen ware', which is not the top level of any product; did you mean 'Kitchenware'?",
        "labels.merge lists 'Bedding', which is not the top level of any product",
    )


def test_a_label_without_the_top_level_of_its_own_name_is_a_note(shop: Shop) -> None:
    shop.update(("a", "Eyewear"), ("b", "Sunglasses"), ("c", "Sunglasses"), ("d", "Watches"))
    notes = merge_table_notes(shop.store, settings({"Eyewear": ["Sunglasses"], "Watches": ["Watches"]}))
    assert notes == (
        "labels.merge does not list 'Eyewear' among the values of the label 'Eyewear': "
        "1 products of that top level have no label",
    )


def test_an_own_table_that_covers_too_few_products_is_a_note(shop: Shop) -> None:
    shop.update(("a", "Eyewear"), ("b", "Sunglasses"), ("c", "Sunglasses"))
    (note,) = merge_table_notes(shop.store, settings({"Glasses": ["Eyewear"]}))
    assert "only 33.3% of the products: each top level is its own label" in note
