"""The board: a row a model and figure, means and intervals of what was judged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.core import progress
from recsys.core.configuration import Evaluation
from recsys.evaluation.baselines import hsv_vectors, pixel_vectors, random_vectors
from recsys.evaluation.retrieval_metrics import Figure, judge
from recsys.evaluation.scoreboard import scoreboard

N = 200
SETTINGS = Evaluation(levels=2)


@pytest.fixture
def frame() -> pd.DataFrame:
    place = np.arange(N)
    return pd.DataFrame(
        {
            "product_id": place.astype(str),
            "category_path": [(f"t{i % 4}", f"s{i % 8}") for i in place],
            "group": place // 2,
            "held_out": place // 2 % 4 == 0,
        }
    )


def test_a_row_a_model_and_figure(frame: pd.DataFrame) -> None:
    perfect = np.eye(8, dtype=np.float32)[np.arange(N) % 8]
    board = scoreboard({"random": random_vectors(N), "perfect": perfect}, frame, SETTINGS)
    assert list(board.columns) == ["model", "level", "metric", "k", "value", "low", "high", "queries"]
    assert not board.duplicated(["model", "level", "metric", "k"]).any()
    told = board.set_index(["model", "level", "metric", "k"])
    for level in (1, 2):
        assert told.loc[("perfect", level, "precision", 5), "value"] == 1
    assert told.loc[("perfect", 2, "map_at_r", 0), "value"] == 1
    assert told.loc[("random", 1, "precision", 5), "value"] == pytest.approx(0.25, abs=0.08)
    assert told.loc[("random", 1, "precision", 5), "queries"] == 50
    of_queries = board[board["low"].notna()]
    assert (of_queries["low"] <= of_queries["value"]).all() and (of_queries["value"] <= of_queries["high"]).all()
    assert set(board.loc[board["low"].isna(), "metric"]) == {"coverage", "hubness"}


def test_the_value_is_the_mean_over_the_queries(frame: pd.DataFrame) -> None:
    vectors = random_vectors(N)
    judged = judge(vectors, frame, SETTINGS)
    board = scoreboard({"random": vectors}, frame, SETTINGS).set_index(["level", "metric", "k"])
    assert board.loc[(2, "recall", 10), "value"] == pytest.approx(judged.column(Figure(2, "recall", 10)).mean())


def test_a_listener_hears_of_each_model(frame: pd.DataFrame) -> None:
    class Heard(progress.Tally):
        told: list[str]

        def __init__(self) -> None:
            super().__init__()
            self.told = []

        def begin(self, stage: str, total: int) -> None:
            self.told.append(f"{stage} {total}")

        def advance(self, stage: str, items: int = 1, outcome: str = "") -> None:
            self.told.append(stage)

    with progress.listen(heard := Heard()):
        scoreboard({"a": random_vectors(N), "b": random_vectors(N)}, frame, SETTINGS)
    assert heard.told == ["scoreboard 2", "scoreboard", "scoreboard"]


def test_pixels_see_a_shape_and_not_the_white_around_it() -> None:
    white = np.full((64, 64, 3), 255, np.uint8)
    left, right, left_too = white.copy(), white.copy(), white.copy()
    left[:, :20], right[:, 44:], left_too[:, :22] = 0, 0, 40
    vectors = pixel_vectors([left, right, left_too, white])
    assert vectors.shape == (4, 768)
    likeness = vectors @ vectors.T
    assert likeness[0, 2] > 0.9 and likeness[0, 1] < 0.1
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1, 0])


def test_hsv_vectors_are_alike_by_the_colours_in_common() -> None:
    histograms = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]], np.float32)
    likeness = hsv_vectors(histograms) @ hsv_vectors(histograms).T
    assert likeness == pytest.approx(np.array([[1, 0, 0.5**0.5], [0, 1, 0.5**0.5], [0.5**0.5, 0.5**0.5, 1]]))


def test_random_vectors_are_the_same_each_time_and_begin_the_same() -> None:
    assert np.array_equal(random_vectors(5), random_vectors(5))
    assert np.array_equal(random_vectors(5), random_vectors(9)[:5])
