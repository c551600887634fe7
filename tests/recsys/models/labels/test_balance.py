"""Balance: the original's rule on the original's rows, and small classes grown to an exact total."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from recsys.core.configuration import Configuration, Original, load
from recsys.core.errors import ConfigurationError
from recsys.ingest.catalogue.reading import read_catalogue
from recsys.models.labels.balance import balance, grow, plan_growth
from recsys.models.labels.merge_table import assign_labels


def settings(**of_balance: Any) -> Configuration:
    return load(None, {"balance": of_balance}, environ={})


def pictures(**sizes: int) -> pd.DataFrame:
    """Return a training set of so many products a label, each with a picture and a group of its own."""
    labels = [label for label, size in sizes.items() for _ in range(size)]
    ids = [f"{label}-{number}" for label, size in sizes.items() for number in range(size)]
    return pd.DataFrame(
        {
            "product_id": ids,
            "name": [f"Product {id}" for id in ids],
            "brand": pd.Series([None] * len(ids), dtype="str"),
            "label": pd.Series(labels, dtype="str"),
            "image_digest": pd.Series([f"picture of {id}" for id in ids], dtype="str"),
            "group": range(len(ids)),
        }
    )


def scraped(first_group: int = 1_000, **sizes: int) -> pd.DataFrame:
    """Return so many pictures of a marketplace a label."""
    found = pictures(**sizes)[["label", "image_digest", "group"]]
    return found.assign(image_digest="scraped " + found["image_digest"], group=found["group"] + first_group)


NOTHING = scraped()

SMALL = {"undersample_above": 20, "undersample_to": 10, "most_apart": 4}


def of_origin(frame: pd.DataFrame, label: str) -> dict[Any, int]:
    return frame.loc[frame["label"] == label, "origin"].value_counts().to_dict()


# --- the large ones are cut -----------------------------------------------------------------------------------------


def the_originals_snippet(frame: pd.DataFrame) -> set[str]:
    """Return the ids that the original keeps, as its slides say it; its code is not to be had."""
    random.seed(12345)
    ids: list[str] = []
    for label, count in frame["label"].value_counts().items():
        of_label = list(frame.loc[frame["label"] == label, "product_id"])
        ids += random.sample(of_label, 1500) if count > 2000 else of_label
    return set(ids)


def test_large_classes_are_undersampled_as_in_the_original_and_small_ones_are_kept() -> None:
    frame = pictures(Jewellery=2_001, Clothing=2_500, Watches=2_000, Eyewear=3).sample(frac=1, random_state=1)
    frame = pd.concat([frame, frame[:1].assign(product_id="unlabelled", label=None)])
    state = random.getstate()
    balanced = balance(frame, Configuration())
    assert random.getstate() == state
    assert balanced["label"].value_counts().to_dict() == {
        "Watches": 2_000, "Clothing": 1_500, "Jewellery": 1_500, "Eyewear": 3,
    }  # fmt: skip
    assert set(balanced["product_id"]) == the_originals_snippet(frame)
    in_order = frame[frame["product_id"].isin(balanced["product_id"])]
    assert balanced["product_id"].tolist() == in_order["product_id"].tolist()


def test_the_configured_seed_decides_which_rows_are_kept() -> None:
    frame = pictures(a=30)

    def kept(seed: int) -> list[str]:
        return balance(frame, settings(**SMALL, random_seed=seed))["product_id"].tolist()

    assert kept(1) == kept(1)
    assert kept(1) != kept(2)
    assert len(kept(1)) == 10


# --- the small ones are grown ---------------------------------------------------------------------------------------


def test_small_classes_grow_by_scraped_pictures_before_augmented_ones() -> None:
    plan = plan_growth({"a": 30, "b": 7, "c": 4, "d": 4, "e": 1}, {"c": 5, "d": 1, "z": 9}, settings(**SMALL))
    assert plan.to_dict("split")["data"] == [
        ["a", 30, 10, 0, 0, 10],
        ["b", 7, 7, 0, 0, 7],
        ["c", 4, 4, 2, 0, 6],
        ["d", 4, 4, 1, 1, 6],
        ["e", 1, 1, 0, 5, 6],
    ]
    assert plan.columns.tolist() == ["label", "catalogue", "kept", "scraped", "augmented", "total"]


@pytest.mark.parametrize("total", [35, 36, 37, 43, 49, 50, 51, 73])
def test_a_total_is_met_exactly_with_classes_as_even_as_possible(total: int) -> None:
    plan = plan_growth({"a": 30, "b": 7, "c": 4, "d": 4, "e": 1}, {"e": 2}, settings(**SMALL), total)
    assert plan["total"].sum() == total
    assert (plan["total"] == plan[["kept", "scraped", "augmented"]].sum(axis=1)).all()
    grown = plan.loc[plan["total"] > plan["kept"], "total"]
    assert grown.max() - grown.min() <= 1
    assert grown.max() - 1 <= plan["total"].min()
    assert plan["total"].max() - plan["total"].min() <= 4


def test_a_total_too_small_for_balanced_classes_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"materialised_images is 34, but .* at most 4 .* have 35 pictures"):
        plan_growth({"a": 30, "b": 7, "c": 4, "d": 4, "e": 1}, {}, settings(**SMALL), 34)


def test_a_class_without_a_picture_stays_empty_and_the_others_meet_the_total() -> None:
    plan = plan_growth({"a": 10, "none": 0, "found": 0}, {"found": 1}, settings(**SMALL), 20).set_index("label")
    assert plan["total"].to_dict() == {"a": 10, "found": 10, "none": 0}
    assert plan.loc["found", ["scraped", "augmented"]].tolist() == [1, 9]
    assert plan_growth({}, {}, settings(**SMALL)).empty


def test_the_rows_follow_the_plan_and_use_each_source_evenly() -> None:
    training, found = pictures(a=30, b=3, c=1), scraped(b=1, c=9, z=2)
    grown = grow(training, found, settings(**SMALL), total=28)
    assert of_origin(grown, "a") == {"catalogue": 10}
    assert of_origin(grown, "b") == {"catalogue": 3, "scraped": 1, "augmented": 5}
    assert of_origin(grown, "c") == {"catalogue": 1, "scraped": 8}
    assert "z" not in set(grown["label"])
    assert grown.columns.tolist() == [*training.columns, "origin", "seed"]
    assert grown.index.tolist() == list(range(28))

    augmented = grown[grown["origin"] == "augmented"]
    uses = augmented["image_digest"].value_counts()
    assert uses.max() - uses.min() == 1 and len(uses) == 4
    assert (augmented["seed"] > 0).all() and augmented["seed"].is_unique
    assert (grown.loc[grown["origin"] != "augmented", "seed"] == 0).all()
    assert grown.loc[grown["origin"] == "scraped", "product_id"].isna().all()


def test_an_augmented_row_has_the_group_of_its_source() -> None:
    grown = grow(pictures(a=9, b=2), scraped(b=1), settings(**SMALL))
    assert (grown["origin"] == "augmented").any()
    assert (grown.groupby("image_digest")["group"].nunique() == 1).all()
    assert (grown.groupby("group")["image_digest"].nunique() == 1).all()


def test_the_variants_of_a_picture_do_not_depend_on_other_pictures() -> None:
    def seeds(frame: pd.DataFrame) -> set[int]:
        grown = grow(frame, NOTHING, settings(**SMALL))
        return set(grown.loc[(grown["origin"] == "augmented") & (grown["image_digest"] == "picture of b-0"), "seed"])

    few = seeds(pictures(a=9, b=2))
    assert few == seeds(pictures(a=9, b=2)) and len(few) == 2
    assert few < seeds(pictures(a=11, b=2, c=4))


def test_rows_without_a_picture_or_a_label_are_not_counted() -> None:
    training = pictures(a=9, b=4)
    training.loc[0, "image_digest"] = None
    training.loc[12, "label"] = None
    grown = grow(training, NOTHING, settings(**SMALL))
    assert of_origin(grown, "a") == {"catalogue": 8}
    assert of_origin(grown, "b") == {"catalogue": 3, "augmented": 1}


# --- real data ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def real(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The 20,000 rows with the original's labels; their ids stand for their pictures."""
    scratch = tmp_path_factory.mktemp("scratch")
    products = read_catalogue(str(shared_data / "flipkart-20k" / "catalogue.csv"), Configuration(), scratch).products
    frame = products.merge(assign_labels(products, Configuration())[["product_id", "label"]], on="product_id")
    return frame.assign(image_digest=frame["product_id"], group=range(len(frame)))


@pytest.mark.shared
def test_of_the_real_20000_the_same_rows_are_kept_as_in_the_original(real: pd.DataFrame) -> None:
    labelled = real.dropna(subset="label")
    kept = balance(real, Configuration())
    assert set(kept["product_id"]) == the_originals_snippet(labelled)
    assert len(kept) == 12_924
    cut = ["Clothing", "Jewellery"]  # whatever order the original took the classes in, it was this one
    sizes = labelled["label"].value_counts()
    assert sizes.index[:2].tolist() == cut == sorted(sizes.index[sizes > 2_000])
    assert labelled.loc[labelled["label"].isin(cut), "label"].unique().tolist() == cut


@pytest.mark.shared
@pytest.mark.parametrize(
    ("total", "smallest", "pictures"), [(None, 753, 17_936), (Original.BALANCED_IMAGES, 1_010, 21_500)]
)
def test_the_real_classes_differ_by_no_more_than_the_originals(
    real: pd.DataFrame, total: int | None, smallest: int, pictures: int
) -> None:
    found = scraped(30_000, **{"Eyewear": 100, "Pet Supplies": 100, "Clothing": 100})
    sizes = grow(real, found, Configuration(), total)["label"].value_counts()
    assert (len(sizes), sizes.max(), sizes.min(), sizes.sum()) == (Original.LABELS, 1_500, smallest, pictures)
    assert sizes.max() - sizes.min() <= Original.LARGEST_LESS_SMALLEST_CLASS
