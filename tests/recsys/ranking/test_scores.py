"""The scores of a candidate: visual, colour and price."""

import numpy as np
import pytest

from recsys.ranking.scores import colour_scores, price_score, visual_score
from recsys.vision.colour import colour_score


def test_the_fast_colour_score_equals_the_colour_score() -> None:
    rng = np.random.default_rng(0)
    histograms = np.where(rng.random((90, 768)) < 0.2, rng.random((90, 768)), 0).astype(np.float32)
    histograms[:, 5] += 0.1
    histograms /= histograms.sum(axis=1, keepdims=True)
    rows = rng.integers(0, 90, (90, 20))
    fast = colour_scores(histograms, histograms, rows)
    np.testing.assert_allclose(fast, colour_score(histograms[:, None], histograms[rows]), atol=2e-6)
    np.testing.assert_allclose(colour_scores(histograms, histograms, np.arange(90)[:, None]), 1, atol=1e-6)


def test_the_visual_score_grows_with_the_cosine_from_0_to_1() -> None:
    scores = visual_score(np.array([-1, -0.2, 0, 0.3, 0.9, 1.0000001], np.float32))
    assert scores.min() == 0 and scores.max() == 1 and (np.diff(scores) >= 0).all()


@pytest.mark.parametrize(("level", "other", "score"), [(1, 1, 1.0), (1, 2, 2 / 3), (4, 1, 0.0), (2.5, 1, 0.5)])
def test_the_price_score_is_three_minus_the_level_difference_over_three(
    level: float, other: float, score: float
) -> None:
    assert price_score(level, other) == pytest.approx(score)
