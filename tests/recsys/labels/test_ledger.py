"""Labels: which rows get which, what the stage on the store asks for, and how large classes are cut."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from recsys.catalogue import read_catalogue, update_products
from recsys.configuration import Configuration, Original, load
from recsys.labels import ledger, tree
from recsys.labels.balance import balance
from recsys.store import SCHEMAS, Store

NOW = datetime(2026, 1, 5, tzinfo=UTC)

FLIPKART_COUNTS = {
    "Clothing": 6198, "Jewellery": 3531, "Footwear": 1227, "Mobiles & Accessories": 1099, "Automotive": 1012,
    "Home Decor & Festive Needs": 929, "Home Furnishing": 880, "Beauty and Personal Care": 753,
    "Kitchen & Dining": 671, "3C": 632, "Watches": 530, "Baby Care": 483, "Tools & Hardware": 472,
    "Toys & School Supplies": 330, "Pens & Stationery": 313, "Bags, Wallets & Belts": 265, "Sports & Fitness": 166,
    "Cameras & Accessories": 82, "Eyewear": 50, "Pet Supplies": 30,
}  # fmt: skip


def settings(merge: dict[str, list[str]] | None = None, **of_labels: Any) -> Configuration:
    """Return a configuration with this merge table; None keeps the default."""
    given = of_labels if merge is None else {**of_labels, "merge": merge}
    return load(None, {"labels": given}, environ={})


def products(*paths: list[str], names: list[str | None] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "product_id": [f"id-{number}" for number in range(len(paths))],
            "name": pd.Series(names or [f"Name {number}" for number in range(len(paths))], dtype="str"),
            "category_path": pd.Series(paths, dtype="object"),
        }
    )


def assigned(frame: pd.DataFrame, configuration: Configuration) -> list[str | None]:
    return [None if pd.isna(label) else label for label in tree.assign(frame, configuration)["label"]]


# --- the rule -------------------------------------------------------------------------------------------------------


def test_only_the_top_of_the_path_counts() -> None:
    assert tree.top_level(["Clothing", "Footwear"]) == "Clothing"
    assert tree.top_level([]) is None
    assert tree.top_level(None) is None


def test_the_table_merges_grey_areas_and_leaves_what_it_does_not_name_unlabelled() -> None:
    frame = products(["Clothing"], ["Home & Kitchen", "Mugs"], ["Some product's name"], [])
    rows = tree.assign(frame, Configuration())
    assert rows["product_id"].tolist() == ["id-0", "id-1", "id-2", "id-3"]
    assert rows["label"].tolist()[:2] == ["Clothing", "Kitchen & Dining"]
    assert rows["source"].tolist()[:2] == ["catalogue", "merged"]
    assert rows["confidence"].tolist()[:2] == [1.0, 1.0]
    assert rows.loc[2:, ["label", "source", "confidence"]].isna().all(axis=None)
    assert rows["model_version"].isna().all()
    assert rows.columns.tolist() == SCHEMAS["labels"].names


def test_a_table_that_names_too_few_rows_is_another_shops_and_each_top_level_is_a_label() -> None:
    frame = products(["Mode", "Jacken"], ["Möbel", "Tische"], ["Furniture", "Beds"])
    table = tree.label_table(frame["category_path"].map(tree.top_level), Configuration())
    assert not table.applied
    assert table.coverage == pytest.approx(1 / 3)
    assert table.labels == {"Mode": "Mode", "Möbel": "Möbel", "Furniture": "Furniture"}
    assert "only 33.3% of the products: each top level is its own label" in str(table)
    assert assigned(frame, Configuration()) == ["Mode", "Möbel", "Furniture"]


def test_the_table_applies_from_the_configured_coverage_on() -> None:
    frame = products(["Furniture"], ["Möbel"])
    assert assigned(frame, Configuration()) == ["Home Furnishing", None]
    assert assigned(frame, settings(merge_coverage=0.51)) == ["Furniture", "Möbel"]


def test_a_shop_without_a_table_gets_its_own_top_levels() -> None:
    assert assigned(products(["Furniture"], ["Clothing"]), settings({})) == ["Furniture", "Clothing"]
    assert assigned(products(["Furniture"]), settings({}, merge_coverage=0)) == ["Furniture"]


def test_another_shops_table_is_configuration() -> None:
    configuration = settings({"Fashion": ["Mode", "Schuhe"]})
    assert assigned(products(["Mode"], ["Schuhe"], ["Möbel"]), configuration) == ["Fashion", "Fashion", None]


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
def test_without_a_table_a_products_name_in_place_of_a_category_is_no_label(
    path: list[str], name: str | None, valid: bool
) -> None:
    assert assigned(products(path, names=[name]), settings({})) == [path[0] if valid else None]


def test_the_basis_changes_with_the_top_level_and_the_label_and_with_nothing_else() -> None:
    frame = products(["Furniture", "Beds"], ["Furniture", "Tables"], ["Clothing"], [])
    before = tree.assign(frame, Configuration())["basis"].tolist()
    assert before[0] == before[1]
    assert len(set(before)) == 3
    more = settings({**{k: list(v) for k, v in Configuration().labels.merge.items()}, "Books": ["eBooks"]})
    assert tree.assign(frame, more)["basis"].tolist() == before
    other = settings({"Home": ["Furniture"], "Clothing": ["Clothing"]})
    after = tree.assign(frame, other)["basis"].tolist()
    assert [now != then for now, then in zip(after, before, strict=True)] == [True, True, False, False]


def test_no_products_get_no_labels() -> None:
    assert tree.assign(products(), Configuration()).empty


# --- the stage ------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Any:
    """Update the store of one home from rows of (id, tree), and run the labels stage over what is missing."""

    class Shop:
        store = Store(tmp_path / "home")

        def update(self, *rows: tuple[str, str]) -> None:
            path = tmp_path / "catalogue.csv"
            lines = [f"{id},{tree},10,http://shop.example/1.jpg" for id, tree in rows]
            path.write_text("\n".join(["uniq_id,product_category_tree,discounted_price,image", *lines]))
            update_products(self.store, read_catalogue(str(path), Configuration(), tmp_path), NOW)

        def label(self, configuration: Configuration) -> tuple[list[str], ledger.LabelCounts]:
            shards = ledger.missing(self.store, configuration)
            counts = [ledger.label_shard(self.store, shard, configuration) for shard in shards]
            total = ledger.LabelCounts(
                sum(count.labelled for count in counts),
                sum(count.merged for count in counts),
                sum(count.unlabelled for count in counts),
            )
            return [key for shard in shards for key in shard.keys], total

        def labels(self) -> dict[str, str | None]:
            table = self.store.read("labels", ["product_id", "label"]).to_pylist()
            return {row["product_id"]: row["label"] for row in sorted(table, key=lambda row: row["product_id"])}

    return Shop()


def test_the_stage_labels_every_active_product_once(shop: Any) -> None:
    shop.update(("a", "Clothing >> Shirts"), ("b", "Furniture"), ("c", "nonsense"), ("d", ""), ("e", "Watches"))
    keys, counts = shop.label(settings(shard_size=2))
    assert keys == ["a", "b", "c", "d", "e"]
    assert (counts.labelled, counts.merged, counts.unlabelled) == (3, 1, 2)
    assert shop.labels() == {"a": "Clothing", "b": "Home Furnishing", "c": None, "d": None, "e": "Watches"}
    assert ledger.missing(shop.store, settings(shard_size=2)) == []


def test_a_shard_is_one_commit_and_has_the_same_digest_until_something_changes(shop: Any) -> None:
    shop.update(("a", "Clothing"), ("b", "Furniture"), ("c", "Watches"))
    configuration = settings(shard_size=2)
    shards = ledger.missing(shop.store, configuration)
    assert [(str(shard), shard.keys) for shard in shards] == [("labels 1/2", ("a", "b")), ("labels 2/2", ("c",))]
    assert ledger.missing(shop.store, configuration) == shards
    ledger.label_shard(shop.store, shards[0], configuration)
    version = shop.store._db.open_table("labels").version
    ledger.label_shard(shop.store, shards[1], configuration)
    assert shop.store._db.open_table("labels").version == version + 1
    ledger.label_shard(shop.store, shards[1], configuration)  # a retry of what was committed already
    assert shop.store.count("labels") == 3


def test_a_catalogue_update_labels_what_changed_and_nothing_else(shop: Any) -> None:
    shop.update(("a", "Clothing"), ("b", "Furniture"), ("c", "Watches"))
    shop.label(Configuration())
    shop.update(("a", "Clothing >> Shirts"), ("b", "Footwear"), ("d", "Watches"))
    keys, _ = shop.label(Configuration())
    assert keys == ["b", "d"]  # a's top level is what it was; c was removed
    assert shop.labels()["b"] == "Footwear"


def test_another_table_relabels_only_what_it_changes(shop: Any) -> None:
    shop.update(("a", "Clothing"), ("b", "Furniture"), ("c", "Watches"))
    shop.label(Configuration())
    keys, counts = shop.label(settings({"Clothing": ["Clothing"], "Home": ["Furniture"], "Watches": ["Watches"]}))
    assert keys == ["b"]
    assert counts == ledger.LabelCounts(labelled=1, merged=1, unlabelled=0)


def test_a_prediction_in_the_store_is_kept_while_its_basis_stands(shop: Any) -> None:
    shop.update(("a", "Clothing"), ("b", "nonsense"))
    shop.label(Configuration())
    row = shop.store.read("labels", where="product_id = 'b'").to_pylist()[0]
    row |= {"label": "Watches", "source": "predicted", "confidence": 0.99, "model_version": "1"}
    shop.store.write("labels", pa.Table.from_pylist([row], schema=SCHEMAS["labels"]))
    assert ledger.missing(shop.store, Configuration()) == []


def test_a_shard_uses_the_whole_shops_table_and_not_its_own_rows(shop: Any) -> None:
    shop.update(("a", "Clothing"), ("b", "Clothing"), ("c", "Home-made things"), ("d", "Home-made things"))
    shop.label(settings(shard_size=2))  # the second shard alone would be covered by no table
    assert shop.labels() == {"a": "Clothing", "b": "Clothing", "c": None, "d": None}
    assert tree.stored_label_table(shop.store, Configuration()).applied


def test_the_stored_table_is_that_of_the_frame(shop: Any) -> None:
    assert not tree.stored_label_table(shop.store, Configuration()).applied
    shop.update(("a", "Clothing"), ("b", "Watches >> X"), ("c", "Möbel"), ("d", ""))
    table = tree.stored_label_table(shop.store, Configuration())
    series = pd.Series(["Clothing", "Watches", "Möbel", None])
    assert table == tree.label_table(series, Configuration())
    assert table.coverage == 0.5


def test_the_class_balance_counts_active_products_and_says_how_many_have_no_label(shop: Any) -> None:
    assert ledger.class_balance(shop.store).empty
    shop.update(*((name, "Clothing") for name in "abc"), ("d", "Watches"), ("e", "nonsense"), ("f", "Watches"))
    shop.label(Configuration())
    shop.update(*((name, "Clothing") for name in "abc"), ("d", "Watches"), ("e", "nonsense"), ("new", "Watches"))
    balance = ledger.class_balance(shop.store)  # f was removed; new has no row yet
    assert balance.to_dict("list") == {"label": ["Clothing", "Watches"], "products": [3, 1], "share": [0.75, 0.25]}
    assert balance.attrs["unlabelled"] == 2


# --- balance --------------------------------------------------------------------------------------------------------


def test_large_classes_are_cut_by_the_originals_seed_and_small_ones_are_left() -> None:
    names = ["Clothing"] * 2_500 + ["Watches"] * 2_000 + ["Jewellery"] * 2_001 + ["Eyewear"] * 3
    random.Random(1).shuffle(names)
    frame = pd.DataFrame({"label": [*names, None], "image": range(len(names) + 1)}, index=range(7, len(names) + 8))
    state = random.getstate()
    balanced = balance(frame, Configuration())
    assert random.getstate() == state
    assert balanced["label"].value_counts().to_dict() == {
        "Watches": 2_000, "Clothing": 1_500, "Jewellery": 1_500, "Eyewear": 3,
    }  # fmt: skip
    assert balanced.index.is_monotonic_increasing
    random.seed(12345)
    kept = {
        name: random.sample([i for i, n in enumerate(names) if n == name], 1_500) for name in ("Clothing", "Jewellery")
    }
    for name, rows in kept.items():
        assert balanced.loc[balanced["label"] == name, "image"].tolist() == sorted(rows)


def test_balancing_is_repeatable_and_follows_the_configured_seed() -> None:
    frame = pd.DataFrame({"label": ["a"] * 30})
    small = {"undersample_above": 20, "undersample_to": 10}

    def kept(seed: int) -> list[int]:
        configuration = load(None, {"balance": {**small, "random_seed": seed}}, environ={})
        return balance(frame, configuration).index.tolist()

    assert kept(1) == kept(1)
    assert kept(1) != kept(2)
    assert len(kept(1)) == 10


# --- real data ------------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_real_20000_rows_have_the_originals_20_labels_and_counts(tmp_path: Path, shared_data: Path) -> None:
    store, configuration = Store(tmp_path / "home"), Configuration()
    reading = read_catalogue(str(shared_data / "flipkart-20k" / "catalogue.csv"), configuration, tmp_path / "scratch")
    update_products(store, reading, NOW)
    for shard in ledger.missing(store, configuration):
        ledger.label_shard(store, shard, configuration)
    balance = ledger.class_balance(store)
    assert balance.set_index("label")["products"].to_dict() == FLIPKART_COUNTS
    assert list(balance["label"]) == list(FLIPKART_COUNTS)
    assert balance.attrs["unlabelled"] == Original.UNLABELLED == 347
    assert store.count("products", "price IS NULL") == 78
    assert ledger.missing(store, configuration) == []
