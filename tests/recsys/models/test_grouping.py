"""Splits: what is nearly the same on one side, every class on both, and nothing validated but the catalogue's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.core.configuration import Configuration
from recsys.ingest.catalogue import read_catalogue
from recsys.models.grouping import TRAINING, folds, groups, holdout, sides
from recsys.models.labels import tree


def a_shop(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes and groups of 2,000 rows: seven classes of 1,000 down to 12 rows, groups of 1 to 6 rows."""
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.arange(7), [1000, 500, 250, 125, 75, 38, 12])
    group = np.repeat(np.arange(len(truth)), generator.integers(1, 7, len(truth)))[: len(truth)]
    order = generator.permutation(len(truth))
    return truth[order], group[order]


# --- groups ---------------------------------------------------------------------------------------------------------


def test_the_same_name_and_brand_are_one_group_however_they_are_spelt() -> None:
    names = ["Blue  Mug", "blue mug!", "BLUE MUG", "Blue Mug", "Red Mug", "Blue Mug"]
    brands = ["Sam's", "SAM S", "Sam’s ", "Other", "Sam's", None]
    assert groups(names, brands).tolist() == [0, 0, 0, 1, 2, 3]


def test_other_scripts_are_told_apart_by_all_their_marks() -> None:
    names = ["कमीज", "कमीजी", "कमीज ", "Ｔシャツ", "tシャツ", "\u00e9t\u00e9", "e\u0301te\u0301"]
    assert groups(names, [None] * 7).tolist() == [0, 1, 0, 2, 2, 3, 3]


def test_rows_without_a_name_are_no_group_by_it() -> None:
    names = pd.Series([None, np.nan, "", " - ", "Mug"], dtype="object")
    assert groups(names, pd.Series(["Sam"] * 5, dtype="str")).tolist() == [0, 1, 2, 3, 4]
    assert groups(pd.Series([None, None], dtype="str"), [None, None]).tolist() == [0, 1]


def test_names_and_photos_together_connect_rows() -> None:
    near, far = np.uint64(0b111), np.uint64((1 << 50) - 1)
    names = ["A", "B", "B", "C", "D", "E"]
    found = groups(names, [None] * 6, [np.uint64(0), near, None, far, far, None])
    assert found.tolist() == [0, 0, 0, 1, 1, 2]
    assert found.dtype == np.int64
    assert groups(names, [None] * 6, [None] * 6).tolist() == groups(names, [None] * 6).tolist() == [0, 1, 1, 2, 3, 4]
    assert groups([], [], []).tolist() == []


def test_a_chain_through_stock_photos_falls_apart_into_names() -> None:
    generator = np.random.default_rng(0)
    stock = generator.integers(0, 1 << 63, 30).astype(np.uint64)
    named = [f"name {row // 3}" for row in range(600)]  # each name thrice
    shown = [stock[row] for row in generator.integers(0, 30, 600)]
    alone = [f"own {row}" for row in range(400)]
    own = generator.integers(0, 1 << 63, 400).astype(np.uint64)
    own[1] = own[0]
    found = groups(named + alone, [None] * 1000, [*shown, *own])
    assert np.bincount(found[:600]).tolist() == [3] * 200
    assert found[600] == found[601] and len(set(found[600:])) == 399
    few = groups(named[:48], [None] * 48, shown[:48])
    assert np.bincount(few).max() > 3, "48 rows are no chain"


def test_a_fingerprint_keeps_all_its_bits() -> None:
    high = np.uint64((1 << 64) - 1)
    assert groups(["a", "b", "c"], [None] * 3, [high, None, high]).tolist() == [0, 1, 0]


# --- folds ----------------------------------------------------------------------------------------------------------


def test_a_group_is_in_one_fold_and_each_class_is_spread_evenly() -> None:
    truth, group = a_shop()
    fold = folds(truth, group, 5, seed=1)
    assert fold.dtype == np.int32
    assert pd.Series(fold).groupby(group).nunique().max() == 1
    sizes = pd.crosstab(truth, fold)
    assert sizes.columns.tolist() == [0, 1, 2, 3, 4]
    shares = sizes.div(sizes.sum(axis=1), axis=0)
    assert (shares[:5] - 0.2).abs().max(axis=None) < 0.02
    assert (sizes.loc[6] > 0).sum() == len(set(group[truth == 6])) == 4
    assert sizes.sum().max() - sizes.sum().min() <= 10


def test_folds_are_the_same_by_seed_and_others_by_another() -> None:
    truth, group = a_shop()
    first = folds(truth, group, seed=1)
    np.testing.assert_array_equal(first, folds(truth, group, seed=1))
    assert (first != folds(truth, group, seed=2)).mean() > 0.5


def test_a_class_with_one_group_is_in_every_training_and_judged_by_none() -> None:
    truth = np.array([0] * 10 + [1, 1, 1] + [0])
    group = np.array([*range(10), 20, 20, 20, 20])
    fold = folds(truth, group, 5)
    assert (fold[10:] == TRAINING).all()  # with it the row of another class whose photo it shares
    assert (fold[:10] != TRAINING).all()
    assert (folds(np.zeros(3, int), np.zeros(3, int)) == TRAINING).all()
    assert folds(np.zeros(0, int), np.zeros(0, int)).tolist() == []


def test_a_class_with_two_groups_is_in_training_when_it_is_judged() -> None:
    truth, group = np.array([0] * 40 + [1] * 2), np.arange(42)
    for seed in range(20):
        fold = folds(truth, group, 5, seed)
        assert fold[40] != fold[41] and (fold >= 0).all()


def test_what_is_not_validated_is_never_judged_by_and_leaves_training_with_its_group() -> None:
    truth, group = a_shop()
    validated = np.random.default_rng(1).random(len(truth)) < 0.6
    alone = ~pd.Series(validated).groupby(group).transform("any").to_numpy()
    fold = folds(truth, group, 5, validated=validated)
    assert (fold[alone] == TRAINING).all() and alone.any()
    judged = np.zeros(len(truth), int)
    for number in range(5):
        training, validation = sides(fold == number, validated)
        assert not (training & validation).any()
        assert not np.isin(group[training], group[validation]).any()
        assert training[alone].all()
        judged += validation
    np.testing.assert_array_equal(judged, validated.astype(int))
    sizes = pd.crosstab(truth[validated], fold[validated])  # it is they that are spread
    assert (sizes.div(sizes.sum(axis=1), axis=0)[:5] - 0.2).abs().max(axis=None) < 0.03


def test_scraped_pictures_let_a_class_with_one_product_be_judged() -> None:
    truth = np.array([0] * 10 + [1, 1, 1])
    validated = np.array([True] * 11 + [False] * 2)
    assert folds(truth, np.arange(13), 5, validated=validated)[10] >= 0


# --- the single split -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.2, 0.35])
def test_a_holdout_is_a_share_of_each_class_in_whole_groups(share: float) -> None:
    truth, group = a_shop()
    held = holdout(truth, group, share, seed=3)
    assert held.dtype == bool
    assert not np.isin(group[held], group[~held]).any()
    assert (pd.Series(held).groupby(truth).mean()[:5] - share).abs().max() < 0.03
    assert held.mean() == pytest.approx(share, abs=0.01)
    np.testing.assert_array_equal(held, holdout(truth, group, share, seed=3))
    assert (held != holdout(truth, group, share, seed=4)).any()


def test_a_holdout_leaves_something_of_each_class_to_train_on() -> None:
    truth, group = np.array([0, 1, 1, 2, 2, 2, 2, 2]), np.array([0, 1, 1, 2, 3, 4, 5, 6])
    for seed in range(10):
        held = holdout(truth, group, 0.2, seed)
        assert set(truth[~held]) == {0, 1, 2}
        assert held.sum() == 1 and truth[held].tolist() == [2]


def test_augmented_rows_of_what_is_held_out_are_on_neither_side() -> None:
    truth, group = np.zeros(20, int), np.tile(np.arange(10), 2)
    validated = np.arange(20) < 10
    training, validation = sides(holdout(truth, group, 0.2, validated=validated), validated)
    assert (training.sum(), validation.sum()) == (16, 2)
    assert validation[:10].sum() == 2


@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_impossible_splits_are_refused(wrong: float) -> None:
    truth, group = a_shop()
    with pytest.raises(ValueError, match="between 0 and 1"):
        holdout(truth, group, wrong)
    with pytest.raises(ValueError, match="2 or more"):
        folds(truth, group, 1)


# --- real data ------------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_real_20000_are_split_by_name_and_brand_within_a_row_of_even(tmp_path: Path, shared_data: Path) -> None:
    products = read_catalogue(str(shared_data / "flipkart-20k" / "catalogue.csv"), Configuration(), tmp_path).products
    frame = products.merge(tree.assign(products, Configuration())[["product_id", "label"]], on="product_id")
    frame = frame.dropna(subset="label")
    group = groups(frame["name"], frame["brand"])
    assert len(set(group)) < 13_000 and np.bincount(group).max() < 200  # 12,987 and 141 of all 20,000
    fold = folds(frame["label"].factorize()[0], group, seed=1)
    sizes = pd.crosstab(frame["label"], fold)
    assert sizes.columns.tolist() == [0, 1, 2, 3, 4]
    uneven = sizes[sizes.max(axis=1) - sizes.min(axis=1) > 2]
    assert uneven.index.tolist() == ["Pet Supplies"]  # 30 rows, of which 14 are one product
    assert sizes.sum().max() - sizes.sum().min() < 10
