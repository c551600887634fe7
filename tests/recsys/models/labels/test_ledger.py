"""The stage of the labels: which products it labels again, and precedence of answers, catalogue and predictions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from recsys.core.configuration import Configuration, Original
from recsys.ingest.catalogue.products import update_products
from recsys.ingest.catalogue.reading import read_catalogue
from recsys.models.labels import ledger, merge_table
from recsys.storage.store import Store
from tests.recsys.models.labels.small_shop import TABLE, Shop, settings

NOW = datetime(2026, 1, 5, tzinfo=UTC)

FLIPKART_COUNTS = {
    "Clothing": 6198, "Jewellery": 3531, "Footwear": 1227, "Mobiles & Accessories": 1099, "Automotive": 1012,
    "Home Decor & Festive Needs": 929, "Home Furnishing": 880, "Beauty and Personal Care": 753,
    "Kitchen & Dining": 671, "3C": 632, "Watches": 530, "Baby Care": 483, "Tools & Hardware": 472,
    "Toys & School Supplies": 330, "Pens & Stationery": 313, "Bags, Wallets & Belts": 265, "Sports & Fitness": 166,
    "Cameras & Accessories": 82, "Eyewear": 50, "Pet Supplies": 30,
}  # fmt: skip


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
    ledger.label_shard(shop.store, shards[1], configuration)  # a retry after the commit
    assert shop.store.count("labels") == 3


def test_a_catalogue_update_labels_only_changed_products(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "Furniture"), ("c", "Watches"))
    shop.label(Configuration())
    shop.update(("a", "Clothing >> Shirts"), ("b", "Footwear"), ("d", "Watches"))
    keys, _ = shop.label(Configuration())
    assert keys == ["b", "d"]  # a has the same top level; c was removed
    assert shop.labels()["b"] == "Footwear"


def test_another_table_relabels_only_what_it_changes(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "Furniture"), ("c", "Watches"))
    shop.label(Configuration())
    keys, counts = shop.label(settings({"Clothing": ["Clothing"], "Home": ["Furniture"], "Watches": ["Watches"]}))
    assert keys == ["b"]
    assert counts == ledger.LabelCounts(labelled=1, merged=1, predicted=0, reviewed=0, unlabelled=0)


def test_a_shard_uses_the_coverage_of_the_whole_shop(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "Clothing"), ("c", "Home-made things"), ("d", "Home-made things"))
    shop.label(settings(shard_size=2))  # the table would not cover the second shard alone
    assert shop.labels() == {"a": "Clothing", "b": "Clothing", "c": None, "d": None}
    assert merge_table.stored_merge_table(shop.store, Configuration()).applied


def test_the_table_from_the_store_equals_the_table_from_the_products(shop: Shop) -> None:
    assert not merge_table.stored_merge_table(shop.store, Configuration()).applied
    shop.update(("a", "Clothing"), ("b", "Watches >> X"), ("c", "Möbel"), ("d", ""))
    table = merge_table.stored_merge_table(shop.store, Configuration())
    series = pd.Series(["Clothing", "Watches", "Möbel", None])
    assert table == merge_table.merge_table(series, Configuration())
    assert table.coverage == 0.5


def test_the_class_balance_counts_active_products_with_and_without_a_label(shop: Shop) -> None:
    assert ledger.class_balance(shop.store).empty
    shop.update(*((name, "Clothing") for name in "abc"), ("d", "Watches"), ("e", "nonsense"), ("f", "Watches"))
    shop.label(Configuration())
    shop.update(*((name, "Clothing") for name in "abc"), ("d", "Watches"), ("e", "nonsense"), ("new", "Watches"))
    balance = ledger.class_balance(shop.store)  # f was removed; new has no row yet
    assert balance.to_dict("list") == {"label": ["Clothing", "Watches"], "products": [3, 1], "share": [0.75, 0.25]}
    assert balance.attrs["unlabelled"] == 2


# --- predictions and answers ----------------------------------------------------------------------------------------

SURE = ledger.Filling("1", 0.9)


def test_a_prediction_above_the_threshold_fills_a_gap_with_its_source(shop: Shop) -> None:
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


def test_an_unchanged_run_writes_nothing_before_and_after_the_classifier(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "nonsense"), ("c", "rubbish"), ("d", "junk"))
    assert shop.label()[0] == ["a", "b", "c", "d"]
    shop.predict(b=("Watches", 0.97), c=("Watches", 0.5))
    shop.review(d="Eyewear")
    assert shop.label(filling=SURE)[0] == ["b", "d"]
    version = shop.store.version("labels")
    for filling in (None, SURE, None, SURE):
        assert ledger.missing(shop.store, TABLE, filling) == []
    assert shop.store.version("labels") == version


def test_before_the_classifier_only_changed_catalogue_rows_replace_predicted_labels(shop: Shop) -> None:
    shop.update(("b", "nonsense"), ("c", "rubbish"), ("d", "junk"))
    shop.predict(b=("Watches", 0.97), c=("Watches", 0.98), d=("Eyewear", 0.99))
    shop.label(filling=SURE)
    shop.update(("b", "Footwear >> Boots"), ("c", "rubbish"), ("d", "other junk"), ("e", "trash"))
    assert shop.label()[0] == ["b", "d", "e"]  # the prediction for d was made from another row
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


def test_another_rounding_of_a_confidence_makes_no_new_label(shop: Shop) -> None:
    shop.update(("b", "nonsense"))
    shop.predict(b=("Watches", 0.97))
    shop.label(filling=SURE)
    shop.predict(b=("Watches", 0.970001))
    assert shop.label(filling=SURE)[0] == []


def test_an_answer_takes_precedence_over_catalogue_and_classifier_and_outlasts_both(shop: Shop) -> None:
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


def test_a_shard_that_becomes_missing_again_has_another_digest(shop: Shop) -> None:
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


def test_predicted_labels_are_listed_by_confidence(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "nonsense", "Uhr"), ("c", "", "Brille"), ("d", "junk"))
    shop.predict(b=("Watches", 0.95), c=("Eyewear", 0.99), d=("Eyewear", 0.99))
    shop.picture(b="http://shop.example/b.jpg")
    shop.label(filling=SURE)
    shop.update(("a", "Clothing"), ("b", "nonsense", "Uhr"), ("c", "", "Brille"))
    rows = ledger.predicted_labels(shop.store)
    assert rows[["product_id", "name", "label"]].values.tolist() == [
        ["c", "Brille", "Eyewear"],
        ["b", "Uhr", "Watches"],
    ]
    assert rows["top_level"].isna().tolist() == [True, False] and rows["top_level"][1] == "nonsense"
    assert rows["image_digest"].isna()[0] and rows["image_digest"][1] == "digest-b"
    assert set(rows["model_version"]) == {"1"}


def test_class_sources_count_each_source_of_the_labels(shop: Shop) -> None:
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
