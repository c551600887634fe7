"""The scoreboard has one row per model and metric, with means and intervals; the baselines behave as documented."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.core import progress
from recsys.core.configuration import Evaluation
from recsys.evaluation.evaluation_set import hsv_vectors, pixel_vectors, random_vectors
from recsys.evaluation.retrieval_metrics import Metric, compute_metrics
from recsys.evaluation.scoreboard import scoreboard

N = 200
SETTINGS = Evaluation(levels=2)
KEY = ["model", "level", "metric", "k"]


@pytest.fixture
def frame() -> pd.DataFrame:
    rows = np.arange(N)
    return pd.DataFrame(
        {
            "product_id": rows.astype(str),
            "category_path": [(f"t{i % 4}", f"s{i % 8}") for i in rows],
            "group": rows // 2,
            "held_out": rows // 2 % 4 == 0,
        }
    )


def test_the_scoreboard_has_one_row_per_model_and_metric(frame: pd.DataFrame) -> None:
    perfect = np.eye(8, dtype=np.float32)[np.arange(N) % 8]
    board = scoreboard({"random": random_vectors(N), "perfect": perfect}, frame, SETTINGS)
    assert list(board.columns) == [*KEY, "value", "low", "high", "queries"]
    assert not board.duplicated(KEY).any()
    by_key = board.set_index(KEY)
    for level in (1, 2):
        assert by_key.loc[("perfect", level, "precision", 5), "value"] == 1
    assert by_key.loc[("perfect", 2, "map_at_r", 0), "value"] == 1
    assert by_key.loc[("random", 1, "precision", 5), "value"] == pytest.approx(0.25, abs=0.08)
    assert by_key.loc[("random", 1, "precision", 5), "queries"] == 50
    of_queries = board[board["low"].notna()]
    assert (of_queries["low"] <= of_queries["value"]).all() and (of_queries["value"] <= of_queries["high"]).all()
    assert set(board.loc[board["low"].isna(), "metric"]) == {"coverage", "hubness"}


def test_the_value_is_the_mean_over_the_queries(frame: pd.DataFrame) -> None:
    vectors = random_vectors(N)
    metrics = compute_metrics(vectors, frame, SETTINGS)
    board = scoreboard({"random": vectors}, frame, SETTINGS).set_index(["level", "metric", "k"])
    assert board.loc[(2, "recall", 10), "value"] == pytest.approx(metrics.column(Metric(2, "recall", 10)).mean())


def test_progress_is_reported_for_each_model(frame: pd.DataFrame) -> None:
    class Recorder(progress.Tally):
        def __init__(self) -> None:
            super().__init__()
            self.events: list[str] = []

        def begin(self, stage: str, total: int | None) -> None:
            self.events.append(f"{stage} {total}")

        def advance(self, stage: str, items: int = 1, outcome: str = "") -> None:
            self.events.append(stage)

    with progress.listen(recorder := Recorder()):
        scoreboard({"a": random_vectors(N), "b": random_vectors(N)}, frame, SETTINGS)
    assert recorder.events == ["scoreboard 2", "scoreboard", "scoreboard"]


def test_pixel_vectors_compare_the_product_and_not_the_white_around_it() -> None:
    white = np.full((64, 64, 3), 255, np.uint8)
    left, right, also_left = white.copy(), white.copy(), white.copy()
    left[:, :20], right[:, 44:], also_left[:, :22] = 0, 0, 40
    vectors = pixel_vectors([left, right, also_left, white])
    assert vectors.shape == (4, 768)
    cosine = vectors @ vectors.T
    assert cosine[0, 2] > 0.9 and cosine[0, 1] < 0.1
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1, 0])


def test_hsv_vectors_are_as_similar_as_their_common_colours() -> None:
    histograms = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]], np.float32)
    cosine = hsv_vectors(histograms) @ hsv_vectors(histograms).T
    assert cosine == pytest.approx(np.array([[1, 0, 0.5**0.5], [0, 1, 0.5**0.5], [0.5**0.5, 0.5**0.5, 1]]))


def test_random_vectors_are_reproducible_and_more_of_them_start_with_the_same() -> None:
    assert np.array_equal(random_vectors(5), random_vectors(5))
    assert np.array_equal(random_vectors(5), random_vectors(9)[:5])
