import numpy as np
import pytest

from recsys.core.configuration import Price
from recsys.ranking.price_levels import price_levels
from recsys.ranking.scores import price_score

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


def test_a_label_whose_quantiles_are_equal_is_neutral() -> None:
    np.testing.assert_array_equal(price_levels([99.0] * 20, ["Pens"] * 20, SETTINGS), 2.5)


def test_an_unknown_price_is_neutral_and_moves_no_quantile() -> None:
    known = price_levels([1, 2, 3, 4, 5, 6], ["Pens"] * 6, SETTINGS)
    with_unknown = price_levels([1, 2, 3, 4, 5, 6, np.nan], ["Pens"] * 7, SETTINGS)
    np.testing.assert_array_equal(with_unknown[:6], known)
    assert with_unknown[6] == 2.5


def test_a_label_without_any_price_is_neutral() -> None:
    np.testing.assert_array_equal(price_levels([np.nan, np.nan], ["Pens", "Pens"], SETTINGS), 2.5)


def test_products_without_a_label_are_levelled_together() -> None:
    levels = price_levels([1, 2, 3, 4], [None, None, None, None], SETTINGS)
    assert levels[0] == 1 and levels[3] == 4


@pytest.mark.parametrize(("level", "other", "score"), [(1, 1, 1.0), (1, 2, 2 / 3), (4, 1, 0.0), (2.5, 1, 0.5)])
def test_the_score_is_three_less_the_difference_over_three(level: float, other: float, score: float) -> None:
    assert price_score(level, other) == pytest.approx(score)
