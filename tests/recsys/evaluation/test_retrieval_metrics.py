"""The figures against a slow, obvious version of each, and against cases worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys.core.configuration import Evaluation
from recsys.evaluation import blockwise_search as search
from recsys.evaluation.retrieval_metrics import Figure, judge
from recsys.vision.colour import colour_score

SETTINGS = Evaluation(min_occurrences=1, ranks=(1, 2), levels=2)


def unit(degrees: list[float]) -> np.ndarray:
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def frame_of(paths: list[Any], **columns: Any) -> pd.DataFrame:
    n = len(paths)
    given = {"product_id": [f"p{i}" for i in range(n)], "category_path": paths, "group": range(n), "held_out": True}
    return pd.DataFrame(given | columns)


def a_shop(n: int = 160, seed: int = 3) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """Vectors, a frame with groups, views, pictures from elsewhere and short paths, and histograms."""
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


def slowly(
    vectors: np.ndarray, frame: pd.DataFrame, histograms: np.ndarray, settings: Evaluation
) -> dict[tuple[int, Figure], float]:
    """Each query's figures, one product at a time, from the definitions."""
    rows = frame.to_dict("records")
    gallery = [i for i, row in enumerate(rows) if row["listed"] and row["view"] == 0]
    told: dict[tuple[int, Figure], float] = {}

    def value(i: int, level: int) -> tuple[str, ...] | None:
        path = tuple(rows[i]["category_path"])
        return path[:level] if len(path) >= level else None

    for q, query in enumerate(rows):
        if not query["held_out"]:
            continue
        others = [i for i in gallery if rows[i]["group"] != query["group"]]
        others.sort(key=lambda i: (-float(vectors[q] @ vectors[i]), i))
        counted = False
        for level in range(1, settings.levels + 1):
            mine = value(q, level)
            right = [mine is not None and value(i, level) == mine for i in others]
            often = mine is not None and sum(value(i, level) == mine for i in gallery) > settings.min_occurrences
            if not often or not any(right) or (query["view"] and query["listed"]):
                continue
            counted = True
            for k in {*settings.ranks, 5}:
                told[q, Figure(level, "precision", k)] = sum(right[:k]) / k
                told[q, Figure(level, "recall", k)] = float(any(right[:k]))
            r = sum(right)
            told[q, Figure(level, "map_at_r", 0)] = (
                sum(sum(right[: place + 1]) / (place + 1) for place in range(r) if right[place]) / r
            )
        if counted:
            top = others[:5]
            told[q, Figure(0, "colour", 5)] = float(np.mean([colour_score(histograms[q], histograms[i]) for i in top]))
            apart = [abs(rows[i]["price_level"] - query["price_level"]) for i in top]
            apart = [difference for difference in apart if not np.isnan(difference)]
            if apart:
                told[q, Figure(0, "price_same", 5)] = float(np.mean([difference == 0 for difference in apart]))
                told[q, Figure(0, "price_apart", 5)] = float(np.mean(apart))
        pictures = [
            i for i in gallery if rows[i]["group"] != query["group"] or rows[i]["product_id"] == query["product_id"]
        ]
        own = query["product_id"] and any(rows[i]["product_id"] == query["product_id"] for i in pictures)
        if own and q not in gallery:
            nearest = max(pictures, key=lambda i: float(vectors[q] @ vectors[i]))
            told[q, Figure(0, "view", 1)] = float(rows[nearest]["product_id"] == query["product_id"])
    return told


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_figure_of_every_query_is_that_of_the_slow_version(seed: int) -> None:
    vectors, frame, histograms = a_shop(seed=seed)
    settings = Evaluation(min_occurrences=5, ranks=(1, 3), levels=3)
    judged = judge(vectors, frame, settings, histograms)
    expected = slowly(vectors, frame, histograms, settings)
    found = {
        (int(row), figure): value
        for figure in judged.figures
        for row, value in zip(judged.queries, judged.column(figure), strict=True)
        if not np.isnan(value)
    }
    assert found.keys() == expected.keys()
    assert {figure.metric for _, figure in found} >= {"map_at_r", "view", "colour", "price_apart"}
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=1e-5), key


def test_map_at_r_of_the_paper_by_hand() -> None:
    # the query's ranking is right, wrong, right, right; R = 3, so that the fourth is too late:
    # (1/1 + 0 + 2/3) / 3 of Musgrave et al., arXiv:2003.08505, equations 2 and 3
    frame = frame_of([["A"], ["A"], ["B"], ["A"], ["A"]], held_out=[True, *[False] * 4])
    judged = judge(unit([0, 10, 20, 30, 40]), frame, SETTINGS)
    assert judged.column(Figure(1, "map_at_r", 0)) == pytest.approx((1 + 2 / 3) / 3)
    assert judged.column(Figure(1, "precision", 2)) == pytest.approx(0.5)


def test_a_near_duplicate_of_the_query_is_no_answer() -> None:
    paths = [["A"], ["A"], ["B"], ["A"]]
    frame = frame_of(paths, group=[0, 0, 1, 2], held_out=[True, False, False, False])
    judged = judge(unit([0, 0, 10, 90]), frame, SETTINGS)
    assert judged.neighbours[0].tolist() == [2, 3, -1, -1, -1]
    assert judged.column(Figure(1, "precision", 1)) == [0]


def test_a_query_that_only_its_own_group_could_answer_does_not_count() -> None:
    frame = frame_of([["A"], ["A"], ["A"], ["B"], ["B"]], group=[0, 0, 0, 1, 2])
    assert judge(unit([0, 1, 2, 3, 4]), frame, SETTINGS).queries.tolist() == [3, 4]


def test_only_held_out_products_ask_and_all_others_may_answer() -> None:
    frame = frame_of([["A"]] * 4, held_out=[False, True, False, False])
    judged = judge(unit([0, 1, 2, 3]), frame, SETTINGS)
    assert judged.queries.tolist() == [1]
    assert set(judged.neighbours[0]) == {0, 2, 3, -1}


def test_another_photo_of_the_product_is_found_or_not() -> None:
    ids = ["p", "p", "q", "q", "r"]
    frame = frame_of([["A"]] * 5, product_id=ids, group=[0, 0, 1, 1, 2], view=[0, 1, 0, 1, 0])
    judged = judge(unit([0, 1, 50, 90, 71]), frame, SETTINGS)  # q's further photo is nearer to r
    found = dict(zip(judged.queries.tolist(), judged.column(Figure(0, "view", 1)).tolist(), strict=True))
    assert [found[row] for row in (1, 3)] == [1, 0]
    assert np.isnan([found[row] for row in (0, 2, 4)]).all()  # by these products are found: they ask for their likes


def test_coverage_and_hubness_tell_a_hub_from_an_even_catalogue() -> None:
    random = np.random.default_rng(0)
    even = unit([3.6 * place for place in range(100)])
    hubs = 0.3 * random.standard_normal((100, 40)).astype(np.float32)
    hubs[:3] = 0  # in the middle of all
    hubs[:, 0] += 1
    hubs /= np.linalg.norm(hubs, axis=1, keepdims=True)
    frame = frame_of([["A"]] * 100)
    coverage, hubness = Figure(0, "coverage", 5), Figure(0, "hubness", 5)
    of_even, of_hubs = (judge(each, frame, SETTINGS).of_catalogue for each in (even, hubs))
    assert of_even[coverage] == 1
    assert of_hubs[hubness] > of_even[hubness] + 1
    same = judge(np.repeat(unit([0]), 100, axis=0), frame, SETTINGS).of_catalogue
    assert same[coverage] == pytest.approx(6 / 100)  # the first six are everyone's five


def test_the_same_in_blocks_as_at_once_and_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, frame, histograms = a_shop()
    whole = judge(vectors, frame, Evaluation(), histograms)
    again = judge(vectors, frame, Evaluation(), histograms)
    monkeypatch.setattr(search, "BLOCK_BYTES", 3_000)
    blocks = judge(vectors, frame, Evaluation(), histograms)
    for other in (again, blocks):
        assert np.array_equal(whole.values, other.values, equal_nan=True)
        assert np.array_equal(whole.neighbours, other.neighbours)
        assert whole.of_catalogue == other.of_catalogue


def test_equal_ones_come_in_the_order_of_the_catalogue() -> None:
    frame = frame_of([["A"]] * 8)
    assert judge(np.repeat(unit([30]), 8, axis=0), frame, SETTINGS).neighbours[3].tolist() == [0, 1, 2, 4, 5]


def test_opposite_and_zero_similarities_are_ranked_right() -> None:
    vectors = np.array([[1, 0], [-1, 0], [0, 1], [-0.0, -1], [0.6, 0.8]], np.float32)
    rows = np.arange(5)
    ((_, order, ranked),) = search.rankings(vectors, rows[:1], rows, rows)
    assert order[0, :4].tolist() == [4, 2, 3, 1] and ranked.tolist() == [4]


@pytest.mark.parametrize("shape", [(3, 2), (4,)])
def test_vectors_that_are_not_one_a_row_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one a row"):
        judge(np.ones(shape, np.float32), frame_of([["A"]] * 4), SETTINGS)


def test_a_model_that_gives_no_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        judge(np.full((4, 2), np.nan, np.float32), frame_of([["A"]] * 4), SETTINGS)


@pytest.mark.parametrize("n", [0, 1])
def test_an_empty_shop_has_no_figures(n: int) -> None:
    judged = judge(np.ones((n, 2), np.float32), frame_of([["A"]] * n), SETTINGS)
    assert not len(judged.queries) and np.isnan(judged.of_catalogue[Figure(0, "hubness", 5)])
