"""Labels: which rows get which, and what the stage on the store asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from recsys.core.configuration import Configuration, Original
from recsys.ingest.catalogue import read_catalogue, update_products
from recsys.models.labels import ledger, tree
from recsys.storage.store import SCHEMAS, Store
from tests.recsys.models.labels.small_shop import TABLE, Shop, settings

NOW = datetime(2026, 1, 5, tzinfo=UTC)

FLIPKART_COUNTS = {
    "Clothing": 6198, "Jewellery": 3531, "Footwear": 1227, "Mobiles & Accessories": 1099, "Automotive": 1012,
    "Home Decor & Festive Needs": 929, "Home Furnishing": 880, "Beauty and Personal Care": 753,
    "Kitchen & Dining": 671, "3C": 632, "Watches": 530, "Baby Care": 483, "Tools & Hardware": 472,
    "Toys & School Supplies": 330, "Pens & Stationery": 313, "Bags, Wallets & Belts": 265, "Sports & Fitness": 166,
    "Cameras & Accessories": 82, "Eyewear": 50, "Pet Supplies": 30,
}  # fmt: skip


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


def test_the_stage_labels_every_active_product_once(shop: Shop) -> None:
    shop.update(("a", "Clothing >> Shirts"), ("b", "Furniture"), ("c", "nonsense"), ("d", ""), ("e", "Watches"))
    keys, counts = shop.label(settings(shard_size=2))
    assert keys == ["a", "b", "c", "d", "e"]
    assert (counts.labelled, counts.merged, counts.unlabelled) == (3, 1, 2)
    assert shop.labels() == {"a": "Clothing", "b": "Home Furnishing", "c": None, "d": None, "e": "Watches"}
    assert ledger.missing(shop.store, settings(shard_size=2)) == []


def test_a_shard_is_one_commit_and_has_the_same_digest_until_something_changes(shop: Shop) -> None:
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


def test_a_catalogue_update_labels_what_changed_and_nothing_else(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "Furniture"), ("c", "Watches"))
    shop.label(Configuration())
    shop.update(("a", "Clothing >> Shirts"), ("b", "Footwear"), ("d", "Watches"))
    keys, _ = shop.label(Configuration())
    assert keys == ["b", "d"]  # a's top level is what it was; c was removed
    assert shop.labels()["b"] == "Footwear"


def test_another_table_relabels_only_what_it_changes(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "Furniture"), ("c", "Watches"))
    shop.label(Configuration())
    keys, counts = shop.label(settings({"Clothing": ["Clothing"], "Home": ["Furniture"], "Watches": ["Watches"]}))
    assert keys == ["b"]
    assert counts == ledger.LabelCounts(labelled=1, merged=1, predicted=0, reviewed=0, unlabelled=0)


def test_a_shard_uses_the_whole_shops_table_and_not_its_own_rows(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "Clothing"), ("c", "Home-made things"), ("d", "Home-made things"))
    shop.label(settings(shard_size=2))  # the second shard alone would be covered by no table
    assert shop.labels() == {"a": "Clothing", "b": "Clothing", "c": None, "d": None}
    assert tree.stored_label_table(shop.store, Configuration()).applied


def test_the_stored_table_is_that_of_the_frame(shop: Shop) -> None:
    assert not tree.stored_label_table(shop.store, Configuration()).applied
    shop.update(("a", "Clothing"), ("b", "Watches >> X"), ("c", "Möbel"), ("d", ""))
    table = tree.stored_label_table(shop.store, Configuration())
    series = pd.Series(["Clothing", "Watches", "Möbel", None])
    assert table == tree.label_table(series, Configuration())
    assert table.coverage == 0.5


def test_the_class_balance_counts_active_products_and_says_how_many_have_no_label(shop: Shop) -> None:
    assert ledger.class_balance(shop.store).empty
    shop.update(*((name, "Clothing") for name in "abc"), ("d", "Watches"), ("e", "nonsense"), ("f", "Watches"))
    shop.label(Configuration())
    shop.update(*((name, "Clothing") for name in "abc"), ("d", "Watches"), ("e", "nonsense"), ("new", "Watches"))
    balance = ledger.class_balance(shop.store)  # f was removed; new has no row yet
    assert balance.to_dict("list") == {"label": ["Clothing", "Watches"], "products": [3, 1], "share": [0.75, 0.25]}
    assert balance.attrs["unlabelled"] == 2


# --- predictions and answers ----------------------------------------------------------------------------------------

SURE = ledger.Filling("1", 0.9)


def test_a_gap_is_filled_by_a_sure_prediction_and_says_so(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "nonsense"), ("c", "rubbish"), ("d", ""))
    shop.predict(a=("Watches", 0.99), b=("Watches", 0.97), c=("Watches", 0.89), d=("Eyewear", 0.9))
    _, counts = shop.label(filling=SURE)
    assert shop.labels() == {"a": "Clothing", "b": "Watches", "c": None, "d": "Eyewear"}
    assert counts == ledger.LabelCounts(labelled=3, merged=0, predicted=2, reviewed=0, unlabelled=1)
    row = shop.row("b")
    assert (row["source"], row["model_version"]) == ("predicted", "1")
    assert row["confidence"] == pytest.approx(0.97)
    assert shop.row("c")["source"] is shop.row("c")["confidence"] is None


def test_a_prediction_of_another_model_or_without_a_threshold_fills_nothing(shop: Shop) -> None:
    shop.update(("b", "nonsense"))
    shop.predict(b=("Watches", 1.0))
    for filling in (ledger.Filling("2", 0.9), ledger.Filling("1", None), None):
        shop.label(filling=filling)
        assert shop.labels() == {"b": None}


def test_an_unchanged_run_writes_nothing_neither_before_the_classifier_nor_behind_it(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "nonsense"), ("c", "rubbish"), ("d", "junk"))
    assert shop.label()[0] == ["a", "b", "c", "d"]
    shop.predict(b=("Watches", 0.97), c=("Watches", 0.5))
    shop.review(d="Eyewear")
    assert shop.label(filling=SURE)[0] == ["b", "d"]
    version = shop.store.version("labels")
    for filling in (None, SURE, None, SURE):
        assert ledger.missing(shop.store, TABLE, filling) == []
    assert shop.store.version("labels") == version


def test_before_the_classifier_only_what_is_given_anew_replaces_a_filled_label(shop: Shop) -> None:
    shop.update(("b", "nonsense"), ("c", "rubbish"), ("d", "junk"))
    shop.predict(b=("Watches", 0.97), c=("Watches", 0.98), d=("Eyewear", 0.99))
    shop.label(filling=SURE)
    shop.update(("b", "Footwear >> Boots"), ("c", "rubbish"), ("d", "other junk"), ("e", "trash"))
    assert shop.label()[0] == ["b", "d", "e"]  # the prediction for d was made of another row
    assert shop.labels() == {"b": "Footwear", "c": "Watches", "d": None, "e": None}
    assert shop.label(filling=SURE)[0] == ["d"]


def test_another_model_or_threshold_rewrites_only_the_labels_that_it_changes(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "nonsense"), ("c", "rubbish"))
    shop.predict(b=("Watches", 0.97), c=("Watches", 0.92))
    shop.label(filling=SURE)
    assert shop.label(filling=ledger.Filling("1", 0.95))[0] == ["c"]
    assert shop.labels() == {"a": "Clothing", "b": "Watches", "c": None}
    shop.predict("2", b=("Eyewear", 0.99), c=("Watches", 0.1))
    assert shop.label()[0] == []
    assert shop.label(filling=ledger.Filling("2", 0.9))[0] == ["b"]
    assert shop.labels()["b"] == "Eyewear"
    assert shop.label(filling=ledger.Filling("2", None))[0] == ["b"]
    assert shop.labels()["b"] is None


def test_the_same_confidence_of_another_machine_makes_no_new_label(shop: Shop) -> None:
    shop.update(("b", "nonsense"))
    shop.predict(b=("Watches", 0.97))
    shop.label(filling=SURE)
    shop.predict(b=("Watches", 0.970001))
    assert shop.label(filling=SURE)[0] == []


def test_an_answer_outranks_the_catalogue_and_the_classifier_and_survives_both(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "nonsense"), ("c", "Furniture"))
    shop.predict(b=("Watches", 0.99))
    shop.label(filling=SURE)
    shop.review(a="Eyewear", b="ساعات", c=None)
    keys, counts = shop.label()
    assert keys == ["a", "b", "c"]
    assert counts == ledger.LabelCounts(labelled=2, merged=0, predicted=0, reviewed=3, unlabelled=1)
    assert shop.labels() == {"a": "Eyewear", "b": "ساعات", "c": None}
    assert {shop.row(key)["source"] for key in "abc"} == {"reviewed"}
    assert {shop.row(key)["confidence"] for key in "abc"} == {1.0}
    shop.predict(b=("Watches", 1.0), c=("Watches", 1.0))
    shop.update(("a", "Footwear"), ("b", "Watches"), ("c", "Furniture"))
    shop.label(filling=SURE)
    assert shop.labels() == {"a": "Eyewear", "b": "ساعات", "c": None}


def test_work_that_comes_up_again_has_another_digest(shop: Shop) -> None:
    shop.update(("a", "Clothing"))
    shop.label()
    digests = []
    for _ in range(2):
        shop.review(a="Eyewear")
        digests.append(ledger.missing(shop.store, TABLE)[0].digest)
        shop.label()
        shop.review(a="Watches")
        shop.label()
    assert digests[0] != digests[1]


def test_the_filled_ones_are_listed_the_surest_first(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "nonsense", "Uhr"), ("c", "", "Brille"), ("d", "junk"))
    shop.predict(b=("Watches", 0.95), c=("Eyewear", 0.99), d=("Eyewear", 0.99))
    shop.picture(b="http://shop.example/b.jpg")
    shop.label(filling=SURE)
    shop.update(("a", "Clothing"), ("b", "nonsense", "Uhr"), ("c", "", "Brille"))
    rows = ledger.filled(shop.store)
    assert rows[["product_id", "name", "label"]].values.tolist() == [
        ["c", "Brille", "Eyewear"],
        ["b", "Uhr", "Watches"],
    ]
    assert rows["top_level"].isna().tolist() == [True, False] and rows["top_level"][1] == "nonsense"
    assert rows["image_digest"].isna()[0] and rows["image_digest"][1] == "digest-b"
    assert set(rows["model_version"]) == {"1"}


def test_each_class_tells_where_its_labels_come_from(shop: Shop) -> None:
    shop.update(("a", "Eyewear"), ("b", "nonsense"), ("c", "Sunglasses"), ("d", "Watches"), ("e", "Watches"))
    shop.predict(b=("Eyewear", 0.95))
    shop.review(d="Eyewear", e=None)
    shop.label(filling=SURE)
    assert ledger.class_sources(shop.store).to_dict("records") == [
        {"label": "Eyewear", "catalogue": 1, "merged": 1, "predicted": 1, "reviewed": 1}
    ]


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
