"""Price levels follow the quantiles of a label's known prices."""

import numpy as np

from recsys.core.configuration import Price
from recsys.ranking.price_levels import price_level, price_levels, price_quantiles

SETTINGS = Price()


def test_levels_follow_the_quantiles_of_the_label() -> None:
    prices = np.arange(1, 101, dtype=float)
    levels = price_levels(prices, ["Watches"] * 100, SETTINGS)
    assert [int((levels == level).sum()) for level in (1, 2, 3, 4)] == [30, 35, 25, 10]
    assert (np.diff(levels) >= 0).all()


def test_each_label_has_its_own_levels() -> None:
    prices = [1, 2, 3, 4, 1001, 1002, 1003, 1004]
    labels = ["Pens"] * 4 + ["Watches"] * 4
    levels = price_levels(prices, labels, SETTINGS)
    np.testing.assert_array_equal(levels[:4], levels[4:])
    assert levels[0] == 1 and levels[3] == 4


def test_a_label_with_equal_quantiles_is_neutral() -> None:
    np.testing.assert_array_equal(price_levels([99.0] * 20, ["Pens"] * 20, SETTINGS), 2.5)


def test_an_unknown_price_is_neutral_and_does_not_change_the_quantiles() -> None:
    known = price_levels([1, 2, 3, 4, 5, 6], ["Pens"] * 6, SETTINGS)
    with_unknown = price_levels([1, 2, 3, 4, 5, 6, np.nan], ["Pens"] * 7, SETTINGS)
    np.testing.assert_array_equal(with_unknown[:6], known)
    assert with_unknown[6] == 2.5


def test_a_label_without_any_price_is_neutral() -> None:
    np.testing.assert_array_equal(price_levels([np.nan, np.nan], ["Pens", "Pens"], SETTINGS), 2.5)


def test_products_without_a_label_form_one_group() -> None:
    levels = price_levels([1, 2, 3, 4], np.full(4, None, dtype=object), SETTINGS)
    assert levels[0] == 1 and levels[3] == 4


def test_a_new_price_has_the_level_of_the_same_price_in_the_label() -> None:
    prices = np.arange(1, 101, dtype=float)
    levels = price_level(prices, price_quantiles(prices, SETTINGS), 2.5)
    np.testing.assert_array_equal(levels, price_levels(prices, ["Watches"] * 100, SETTINGS))
    assert price_level(50.0, None, 2.5) == 2.5
