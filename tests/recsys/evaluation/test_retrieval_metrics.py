"""The metrics against a slow, simple version of each, and against values computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys.core.configuration import Evaluation
from recsys.evaluation import blockwise_search
from recsys.evaluation.retrieval_metrics import Metric, compute_metrics
from recsys.vision.colour import colour_score
from tests.recsys.evaluation.conftest import unit_vectors

SETTINGS = Evaluation(min_occurrences=1, ranks=(1, 2), levels=2)


def frame_of(paths: list[Any], **columns: Any) -> pd.DataFrame:
    n = len(paths)
    defaults = {"product_id": [f"p{i}" for i in range(n)], "category_path": paths, "group": range(n), "held_out": True}
    return pd.DataFrame(defaults | columns)


def random_shop(n: int = 160, seed: int = 3) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """Return vectors, a frame with groups, views, pictures from outside and short paths, and histograms."""
    random = np.random.default_rng(seed)
    paths = [(f"t{i % 3}", f"s{i % 12}", f"u{i % 24}")[: random.integers(1, 4)] for i in range(n)]
    frame = frame_of(
        paths,
        group=random.integers(0, n // 2, n),
        held_out=random.random(n) < 0.5,
        price_level=np.where(random.random(n) < 0.2, np.nan, random.integers(1, 5, n)),
    )
    others = frame.sample(50, random_state=seed).assign(view=1)
    outside = frame.head(10).assign(product_id=None, group=np.arange(n, n + 10), held_out=True, listed=False)
    known = frame.tail(5).assign(held_out=True, listed=False)
    frame = pd.concat([frame.assign(view=0), others, outside.assign(view=0), known.assign(view=0)], ignore_index=True)
    frame["listed"] = frame["listed"].fillna(True).astype(bool)
    vectors = random.standard_normal((len(frame), 6)).astype(np.float32)
    histograms = random.random((len(frame), 12)).astype(np.float32)
    histograms /= histograms.sum(axis=1, keepdims=True)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), frame, histograms


class SlowMetrics:
    """Each query's metrics, one product at a time, from the definitions."""

    def __init__(self, vectors: np.ndarray, frame: pd.DataFrame, histograms: np.ndarray, settings: Evaluation) -> None:
        self.vectors, self.histograms, self.settings = vectors, histograms, settings
        self.rows = frame.to_dict("records")
        self.gallery = [i for i, row in enumerate(self.rows) if row["listed"] and row["view"] == 0]
        self.values: dict[tuple[int, Metric], float] = {}
        for q, query in enumerate(self.rows):
            if query["held_out"]:
                others = [i for i in self.gallery if self.rows[i]["group"] != query["group"]]
                others.sort(key=lambda i: (-float(vectors[q] @ vectors[i]), i))
                levels = range(1, 0 if query["view"] and query["listed"] else settings.levels + 1)
                counted = [self.add_level(q, others, level) for level in levels]
                if any(counted):
                    self.add_colour_and_price(q, others[:5])
                self.add_view(q)

    def value(self, i: int, level: int) -> tuple[str, ...] | None:
        path = tuple(self.rows[i]["category_path"])
        return path[:level] if len(path) >= level else None

    def add_level(self, q: int, others: list[int], level: int) -> bool:
        value = self.value(q, level)
        right = [value is not None and self.value(i, level) == value for i in others]
        occurrences = sum(self.value(i, level) == value for i in self.gallery) if value is not None else 0
        if occurrences <= self.settings.min_occurrences or not any(right):
            return False
        for k in {*self.settings.ranks, 5}:
            self.values[q, Metric(level, "precision", k)] = sum(right[:k]) / k
            self.values[q, Metric(level, "recall", k)] = float(any(right[:k]))
        r = sum(right)
        precisions = [sum(right[: rank + 1]) / (rank + 1) for rank in range(r) if right[rank]]
        self.values[q, Metric(level, "map_at_r", 0)] = sum(precisions) / r
        return True

    def add_colour_and_price(self, q: int, top: list[int]) -> None:
        scores = [colour_score(self.histograms[q], self.histograms[i]) for i in top]
        self.values[q, Metric(0, "colour", 5)] = float(np.mean(scores))
        differences = [abs(self.rows[i]["price_level"] - self.rows[q]["price_level"]) for i in top]
        differences = [difference for difference in differences if not np.isnan(difference)]
        if differences:
            same = [difference == 0 for difference in differences]
            self.values[q, Metric(0, "price_same", 5)] = float(np.mean(same))
            self.values[q, Metric(0, "price_apart", 5)] = float(np.mean(differences))

    def add_view(self, q: int) -> None:
        query, product = self.rows[q], self.rows[q]["product_id"]
        pictures = [
            i for i in self.gallery if self.rows[i]["group"] != query["group"] or self.rows[i]["product_id"] == product
        ]
        if product and q not in self.gallery and any(self.rows[i]["product_id"] == product for i in pictures):
            nearest = max(pictures, key=lambda i: float(self.vectors[q] @ self.vectors[i]))
            self.values[q, Metric(0, "view", 1)] = float(self.rows[nearest]["product_id"] == product)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_metric_of_every_query_equals_that_of_the_slow_version(seed: int) -> None:
    vectors, frame, histograms = random_shop(seed=seed)
    settings = Evaluation(min_occurrences=5, ranks=(1, 3), levels=3)
    metrics = compute_metrics(vectors, frame, settings, histograms)
    expected = SlowMetrics(vectors, frame, histograms, settings).values
    computed = {
        (int(row), metric): value
        for metric in metrics.metrics
        for row, value in zip(metrics.queries, metrics.column(metric), strict=True)
        if not np.isnan(value)
    }
    assert computed.keys() == expected.keys()
    assert {metric.name for _, metric in computed} >= {"map_at_r", "view", "colour", "price_apart"}
    for key, value in expected.items():
        assert computed[key] == pytest.approx(value, abs=1e-5), key


def test_map_at_r_equals_the_definition_of_the_paper() -> None:
    # the query's ranking is right, wrong, right, right; R = 3, so the fourth position does not count:
    # (1/1 + 0 + 2/3) / 3 of Musgrave et al., arXiv:2003.08505, equations 2 and 3
    frame = frame_of([["A"], ["A"], ["B"], ["A"], ["A"]], held_out=[True, *[False] * 4])
    metrics = compute_metrics(unit_vectors([0, 10, 20, 30, 40]), frame, SETTINGS)
    assert metrics.column(Metric(1, "map_at_r", 0)) == pytest.approx((1 + 2 / 3) / 3)
    assert metrics.column(Metric(1, "precision", 2)) == pytest.approx(0.5)


def test_a_near_duplicate_of_the_query_is_not_a_candidate() -> None:
    paths = [["A"], ["A"], ["B"], ["A"]]
    frame = frame_of(paths, group=[0, 0, 1, 2], held_out=[True, False, False, False])
    metrics = compute_metrics(unit_vectors([0, 0, 10, 90]), frame, SETTINGS)
    assert metrics.neighbours[0].tolist() == [2, 3, -1, -1, -1]
    assert metrics.column(Metric(1, "precision", 1)) == [0]


def test_a_query_with_relevant_pictures_only_in_its_own_group_does_not_count() -> None:
    frame = frame_of([["A"], ["A"], ["A"], ["B"], ["B"]], group=[0, 0, 0, 1, 2])
    assert compute_metrics(unit_vectors([0, 1, 2, 3, 4]), frame, SETTINGS).queries.tolist() == [3, 4]


def test_only_held_out_products_are_queries_and_all_others_are_candidates() -> None:
    frame = frame_of([["A"]] * 4, held_out=[False, True, False, False])
    metrics = compute_metrics(unit_vectors([0, 1, 2, 3]), frame, SETTINGS)
    assert metrics.queries.tolist() == [1]
    assert set(metrics.neighbours[0]) == {0, 2, 3, -1}


def test_the_view_metric_is_whether_another_photo_of_the_product_is_nearest() -> None:
    ids = ["p", "p", "q", "q", "r"]
    frame = frame_of([["A"]] * 5, product_id=ids, group=[0, 0, 1, 1, 2], view=[0, 1, 0, 1, 0])
    metrics = compute_metrics(unit_vectors([0, 1, 50, 90, 71]), frame, SETTINGS)  # q's further photo is nearer to r
    view = dict(zip(metrics.queries.tolist(), metrics.column(Metric(0, "view", 1)).tolist(), strict=True))
    assert [view[row] for row in (1, 3)] == [1, 0]
    assert np.isnan([view[row] for row in (0, 2, 4)]).all()  # the products' own pictures are not view queries


def test_coverage_and_hubness_distinguish_a_hub_from_an_even_catalogue() -> None:
    random = np.random.default_rng(0)
    even = unit_vectors([3.6 * step for step in range(100)])
    hubs = 0.3 * random.standard_normal((100, 40)).astype(np.float32)
    hubs[:3] = 0  # in the middle of all others
    hubs[:, 0] += 1
    hubs /= np.linalg.norm(hubs, axis=1, keepdims=True)
    frame = frame_of([["A"]] * 100)
    coverage, hubness = Metric(0, "coverage", 5), Metric(0, "hubness", 5)
    of_even, of_hubs = (compute_metrics(vectors, frame, SETTINGS).catalogue_metrics for vectors in (even, hubs))
    assert of_even[coverage] == 1
    assert of_hubs[hubness] > of_even[hubness] + 1
    same = compute_metrics(np.repeat(unit_vectors([0]), 100, axis=0), frame, SETTINGS).catalogue_metrics
    assert same[coverage] == pytest.approx(6 / 100)  # the first six are the five nearest of every product


def test_metrics_are_reproducible_and_independent_of_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, frame, histograms = random_shop()
    whole = compute_metrics(vectors, frame, Evaluation(), histograms)
    again = compute_metrics(vectors, frame, Evaluation(), histograms)
    monkeypatch.setattr(blockwise_search, "BLOCK_BYTES", 3_000)
    blocks = compute_metrics(vectors, frame, Evaluation(), histograms)
    for other in (again, blocks):
        assert np.array_equal(whole.values, other.values, equal_nan=True)
        assert np.array_equal(whole.neighbours, other.neighbours)
        assert whole.catalogue_metrics == other.catalogue_metrics


def test_equally_similar_candidates_keep_the_order_of_the_catalogue() -> None:
    metrics = compute_metrics(np.repeat(unit_vectors([30]), 8, axis=0), frame_of([["A"]] * 8), SETTINGS)
    assert metrics.neighbours[3].tolist() == [0, 1, 2, 4, 5]


def test_negative_and_zero_similarities_are_ranked_correctly() -> None:
    vectors = np.array([[1, 0], [-1, 0], [0, 1], [-0.0, -1], [0.6, 0.8]], np.float32)
    rows = np.arange(5)
    ((_, order, lengths),) = blockwise_search.rankings(vectors, rows[:1], rows, rows)
    assert order[0, :4].tolist() == [4, 2, 3, 1] and lengths.tolist() == [4]


@pytest.mark.parametrize("shape", [(3, 2), (4,)])
def test_embeddings_that_are_not_one_per_row_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one per row"):
        compute_metrics(np.ones(shape, np.float32), frame_of([["A"]] * 4), SETTINGS)


def test_embeddings_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        compute_metrics(np.full((4, 2), np.nan, np.float32), frame_of([["A"]] * 4), SETTINGS)


@pytest.mark.parametrize("n", [0, 1])
def test_an_empty_shop_has_no_metrics(n: int) -> None:
    metrics = compute_metrics(np.ones((n, 2), np.float32), frame_of([["A"]] * n), SETTINGS)
    assert not len(metrics.queries) and np.isnan(metrics.catalogue_metrics[Metric(0, "hubness", 5)])
