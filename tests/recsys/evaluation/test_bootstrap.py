"""Bootstrap intervals have the width that theory predicts, resample groups, and are reproducible."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.evaluation import bootstrap
from recsys.evaluation.bootstrap import intervals


def test_the_interval_of_a_share_has_the_width_of_its_standard_error() -> None:
    values = (np.arange(1000) % 10 < 3).astype(float)[:, None]
    low, high = intervals(values, np.arange(1000))
    error = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert low[0] == pytest.approx(0.3 - error, abs=0.004)
    assert high[0] == pytest.approx(0.3 + error, abs=0.004)


def test_the_interval_covers_the_true_mean_nearly_as_often_as_promised() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        group_means = random.normal(0.5, 0.2, 60)  # the queries of a group are correlated
        values = np.repeat(group_means, 4) + random.normal(0, 0.05, 240)
        low, high = intervals(values[:, None], np.repeat(np.arange(60), 4), resamples=300)
        covered += bool(low[0] <= 0.5 <= high[0])
    assert 0.90 <= covered / 200 <= 0.99


def test_copies_of_a_query_do_not_make_the_interval_narrower() -> None:
    values = np.random.default_rng(2).random(50)[:, None]
    single = intervals(values, np.arange(50))
    copied = intervals(np.repeat(values, 20, axis=0), np.repeat(np.arange(50), 20))
    assert np.allclose(single, copied)


def test_a_query_that_does_not_count_does_not_change_the_mean() -> None:
    values = np.random.default_rng(3).random((40, 2))
    values[10:, 1] = np.nan
    low, high = intervals(values, np.arange(40))
    assert low[1] < values[:10, 1].mean() < high[1]
    assert high[1] - low[1] > high[0] - low[0]


def test_without_a_query_the_interval_is_nan() -> None:
    assert all(np.isnan(intervals(np.full((5, 1), np.nan), np.arange(5))))
    assert all(np.isnan(intervals(np.zeros((0, 1)), np.zeros(0, int))))


def test_intervals_are_reproducible_and_independent_of_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).random((100, 3))
    whole = intervals(values, np.arange(100))
    assert np.array_equal(whole, intervals(values, np.arange(100)))
    monkeypatch.setattr(bootstrap, "BLOCK_BYTES", 16 * 100 * 7)
    assert np.allclose(whole, intervals(values, np.arange(100)))
