"""Groups of near-identical products, and splits by whole groups with every class on both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.core.configuration import Configuration
from recsys.ingest.catalogue.reading import read_catalogue
from recsys.models.grouping import TRAINING, assign_folds, assign_groups, draw_holdout, split_sides
from recsys.models.labels.merge_table import assign_labels


def draw_shop(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes and groups of 2,000 rows: seven classes of 1,000 down to 12 rows, groups of 1 to 6 rows."""
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.arange(7), [1000, 500, 250, 125, 75, 38, 12])
    group = np.repeat(np.arange(len(truth)), generator.integers(1, 7, len(truth)))[: len(truth)]
    order = generator.permutation(len(truth))
    return truth[order], group[order]


# --- groups ---------------------------------------------------------------------------------------------------------


def test_case_punctuation_and_spaces_of_name_and_brand_do_not_count() -> None:
    names = ["Blue  Mug", "blue mug!", "BLUE MUG", "Blue Mug", "Red Mug", "Blue Mug"]
    brands = ["Sam's", "SAM S", "Sam’s ", "Other", "Sam's", None]
    assert assign_groups(names, brands).tolist() == [0, 0, 0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Kiana Crafts Red Vase", "Kiana Crafts Red Vase "),
        ("Kiana Crafts Red Vase", "Kiana Crafts Red Vases"),
        ("Kiana Crafts Red Vase", "Vase, Red - Kiana Crafts"),
        ("Kiana Crafts Red Vase", "Kiana Crafts Red Vase 38"),
        ("Kiana Crafts Red Vase", "Kiana Crafts Red Vase (Pack of 2)"),
        ("Kiana Crafts Red Vase", "Kiana Crafts Red Vase Large, 20 cm"),
        ("Women's Leather Watch", "Womens Leather Watches XL"),
        ("Glass Box for Batteries", "The Glass Boxes with Battery"),
        ("Titan Analog Watch NB1639SL", "Titan Analog Watch NB1640"),
        ("लाल कुर्ता 38", "कुर्ता लाल"),
        ("红色花瓶38", "红色花瓶 40"),
    ],
)
def test_nearly_equal_names_are_one_group(name: str, other: str) -> None:
    assert assign_groups([name, "Green Clay Pot", other], ["B"] * 3).tolist() == [0, 1, 0]
    assert assign_groups([name, other], ["B", None]).tolist() == [0, 1]
    equal = assign_groups([name, other], ["B"] * 2, near_names=False)
    assert (equal[1] == 0) == (name.split() == other.split())


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Kiana Crafts Red Vase", "Kiana Crafts Blue Vase"),
        ("Kiana Crafts Red Vase", "Kiana Crafts Red Vase Stand"),
        ("红色花瓶", "蓝色花瓶"),
        ("Acme Mug 12", "Acme Mug 13"),  # one word besides the brand
        ("12 x 14", "12 x 15"),
    ],
)
def test_names_that_differ_in_a_word_are_two_groups(name: str, other: str) -> None:
    assert assign_groups([name, other], ["Acme"] * 2).tolist() == [0, 1]


def test_a_common_name_with_numbers_joins_equal_names_only() -> None:
    numbered = [f"Cotton Kurta {row // 2}" for row in range(24)]
    others = [f"{word} Thing" for word in "abcdefghijklmnopqrstuvwxyz".replace("a", "")]
    groups = assign_groups([*numbered, *others], [None] * (24 + len(others)))
    assert groups[:24].tolist() == [row // 2 for row in range(24)]
    many = assign_groups([*numbered, *(f"Steel Mug of Kind{n * 'x'}" for n in range(500))], [None] * 524)
    assert set(many[:24]) == {0}, "24 rows of 524 are few"


def test_marks_of_other_scripts_distinguish_names() -> None:
    names = ["कमीज", "कमीजी", "कमीज ", "Ｔシャツ", "tシャツ", "\u00e9t\u00e9", "e\u0301te\u0301"]
    assert assign_groups(names, [None] * 7).tolist() == [0, 1, 0, 2, 2, 3, 3]


def test_rows_without_a_name_are_not_grouped_by_name() -> None:
    names = pd.Series([None, np.nan, "", " - ", "Mug"], dtype="object")
    assert assign_groups(names, pd.Series(["Sam"] * 5, dtype="str")).tolist() == [0, 1, 2, 3, 4]
    assert assign_groups(pd.Series([None, None], dtype="str"), [None, None]).tolist() == [0, 1]


def test_names_and_photos_connect_rows() -> None:
    near, far = np.uint64(0b111), np.uint64((1 << 50) - 1)
    names = ["A", "B", "B", "C", "D", "E"]
    groups = assign_groups(names, [None] * 6, [np.uint64(0), near, None, far, far, None])
    assert groups.tolist() == [0, 0, 0, 1, 1, 2]
    assert groups.dtype == np.int64
    assert (
        assign_groups(names, [None] * 6, [None] * 6).tolist()
        == assign_groups(names, [None] * 6).tolist()
        == [0, 1, 1, 2, 3, 4]
    )
    assert assign_groups([], [], []).tolist() == []


def test_a_chain_through_stock_photos_is_grouped_by_name() -> None:
    generator = np.random.default_rng(0)
    stock = generator.integers(0, 1 << 63, 30).astype(np.uint64)
    named = [f"name {row // 3}" for row in range(600)]  # each name three times
    photos = [stock[row] for row in generator.integers(0, 30, 600)]
    unique_names = [f"own {row}" for row in range(400)]
    unique_photos = generator.integers(0, 1 << 63, 400).astype(np.uint64)
    unique_photos[1] = unique_photos[0]
    groups = assign_groups(named + unique_names, [None] * 1000, [*photos, *unique_photos])
    assert np.bincount(groups[:600]).tolist() == [3] * 200
    assert groups[600] == groups[601] and len(set(groups[600:])) == 399
    few = assign_groups(named[:48], [None] * 48, photos[:48])
    assert np.bincount(few).max() > 3, "48 rows are too few for a chain"


def test_all_64_bits_of_a_fingerprint_count() -> None:
    high = np.uint64((1 << 64) - 1)
    assert assign_groups(["a", "b", "c"], [None] * 3, [high, None, high]).tolist() == [0, 1, 0]


# --- folds ----------------------------------------------------------------------------------------------------------


def test_a_group_is_in_one_fold_and_each_class_is_spread_evenly() -> None:
    truth, group = draw_shop()
    fold = assign_folds(truth, group, 5, seed=1)
    assert fold.dtype == np.int32
    assert pd.Series(fold).groupby(group).nunique().max() == 1
    sizes = pd.crosstab(truth, fold)
    assert sizes.columns.tolist() == [0, 1, 2, 3, 4]
    shares = sizes.div(sizes.sum(axis=1), axis=0)
    assert (shares[:5] - 0.2).abs().max(axis=None) < 0.02
    assert (sizes.loc[6] > 0).sum() == len(set(group[truth == 6])) == 4
    assert sizes.sum().max() - sizes.sum().min() <= 10


def test_the_seed_decides_the_folds() -> None:
    truth, group = draw_shop()
    first = assign_folds(truth, group, seed=1)
    np.testing.assert_array_equal(first, assign_folds(truth, group, seed=1))
    assert (first != assign_folds(truth, group, seed=2)).mean() > 0.5


def test_a_class_with_one_group_is_never_held_out() -> None:
    truth = np.array([0] * 10 + [1, 1, 1] + [0])
    group = np.array([*range(10), 20, 20, 20, 20])
    fold = assign_folds(truth, group, 5)
    assert (fold[10:] == TRAINING).all()  # and so is the row of another class in its group
    assert (fold[:10] != TRAINING).all()
    assert (assign_folds(np.zeros(3, int), np.zeros(3, int)) == TRAINING).all()
    assert assign_folds(np.zeros(0, int), np.zeros(0, int)).tolist() == []


def test_a_class_with_two_groups_has_one_in_training_when_the_other_is_held_out() -> None:
    truth, group = np.array([0] * 40 + [1] * 2), np.arange(42)
    for seed in range(20):
        fold = assign_folds(truth, group, 5, seed)
        assert fold[40] != fold[41] and (fold >= 0).all()


# --- the single split -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.2, 0.35])
def test_a_holdout_is_a_share_of_each_class_in_whole_groups(share: float) -> None:
    truth, group = draw_shop()
    held_out = draw_holdout(truth, group, share, seed=3)
    assert held_out.dtype == bool
    assert not np.isin(group[held_out], group[~held_out]).any()
    assert (pd.Series(held_out).groupby(truth).mean()[:5] - share).abs().max() < 0.03
    assert held_out.mean() == pytest.approx(share, abs=0.01)
    np.testing.assert_array_equal(held_out, draw_holdout(truth, group, share, seed=3))
    assert (held_out != draw_holdout(truth, group, share, seed=4)).any()


def test_a_holdout_leaves_rows_of_each_class_for_training() -> None:
    truth, group = np.array([0, 1, 1, 2, 2, 2, 2, 2]), np.array([0, 1, 1, 2, 3, 4, 5, 6])
    for seed in range(10):
        held_out = draw_holdout(truth, group, 0.2, seed)
        assert set(truth[~held_out]) == {0, 1, 2}
        assert held_out.sum() == 1 and truth[held_out].tolist() == [2]


def test_augmented_rows_of_a_held_out_group_are_on_neither_side() -> None:
    held_out = np.tile(draw_holdout(np.zeros(10, int), np.arange(10), 0.2), 2)
    validated = np.arange(20) < 10
    training, validation = split_sides(held_out, validated)
    assert (training.sum(), validation.sum()) == (16, 2)
    assert validation[:10].sum() == 2


@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_an_impossible_split_is_an_error(wrong: float) -> None:
    truth, group = draw_shop()
    with pytest.raises(ValueError, match="between 0 and 1"):
        draw_holdout(truth, group, wrong)
    with pytest.raises(ValueError, match="2 or more"):
        assign_folds(truth, group, 1)


# --- real data ------------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_each_label_of_the_real_20000_is_spread_evenly_over_the_folds(tmp_path: Path, shared_data: Path) -> None:
    products = read_catalogue(str(shared_data / "flipkart-20k" / "catalogue.csv"), Configuration(), tmp_path).products
    frame = products.merge(assign_labels(products, Configuration())[["product_id", "label"]], on="product_id")
    frame = frame.dropna(subset="label")
    group = assign_groups(frame["name"], frame["brand"])
    assert len(set(group)) < 11_600 and np.bincount(group).max() < 250  # 11,552 and 236 of all 20,000
    fold = assign_folds(frame["label"].factorize()[0], group, seed=1)
    sizes = pd.crosstab(frame["label"], fold)
    assert sizes.columns.tolist() == [0, 1, 2, 3, 4]
    uneven = sizes[sizes.max(axis=1) - sizes.min(axis=1) > 2]
    # the largest group of each has more than a fifth of its rows: 35 of 82, 236 of 1,099, 14 of 30
    assert uneven.index.tolist() == ["Cameras & Accessories", "Mobiles & Accessories", "Pet Supplies"]
    assert sizes.sum().max() - sizes.sum().min() < 25
