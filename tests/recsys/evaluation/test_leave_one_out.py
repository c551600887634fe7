"""Leave-one-out precision and recall, against values computed by hand."""

import numpy as np
import pytest

from recsys.core.configuration import Evaluation
from recsys.evaluation.leave_one_out import leave_one_out_metrics
from recsys.evaluation.retrieval_metrics import values_at_level
from tests.recsys.evaluation.conftest import unit_vectors

SETTINGS = Evaluation(min_occurrences=2, ranks=(1, 2), levels=2)
PATHS = [["A", "x"]] * 3 + [["A", "y"]] * 3 + [["B"]] * 2


def test_metrics_equal_those_computed_by_hand() -> None:
    # x at 0, 1, 90; y at 92, 95, 40; B at 41, 180: the angles show the neighbours of each
    vectors = unit_vectors([0, 1, 90, 92, 95, 40, 41, 180])
    table = leave_one_out_metrics(vectors, PATHS, SETTINGS).set_index(["level", "k"])
    # level 1, six of A: the nearest is right for all but the sixth (at 40, next to 41 of B)
    assert table.loc[(1, 1), "precision"] == pytest.approx(5 / 6)
    # level 2, x: 0→1, 1→0 right, 90→92 wrong; y: 92→90 wrong, 95→92 right, 40→41 wrong
    assert table.loc[(2, 1), "precision"] == pytest.approx(3 / 6)
    assert table.loc[(2, 1), "recall"] == pytest.approx(3 / 6)
    # with two neighbours 92 also finds 95, so one more query has a relevant neighbour
    assert table.loc[(2, 2), "recall"] == pytest.approx(4 / 6)
    assert table.loc[(1, 1), "queries"] == 6


def test_a_rare_value_is_not_a_query_but_remains_a_candidate() -> None:
    table = leave_one_out_metrics(unit_vectors([0, 1, 2, 3, 4, 5, 6, 7]), PATHS, SETTINGS)
    assert set(table[table["level"] == 1]["queries"]) == {6}


def test_a_shorter_path_has_no_value_at_a_deeper_level() -> None:
    assert values_at_level(PATHS, 2).tolist() == [0, 0, 0, 1, 1, 1, -1, -1]


def test_perfect_embeddings_score_one() -> None:
    embeddings = unit_vectors([0, 0, 0, 90, 90, 90, 180, 180])
    assert (leave_one_out_metrics(embeddings, PATHS, SETTINGS)[["precision", "recall"]] == 1).all(axis=None)


def test_the_block_size_does_not_change_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    embeddings = rng.standard_normal((300, 8)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    paths = [["A", str(i % 7), str(i % 21)] for i in range(300)]
    whole = leave_one_out_metrics(embeddings, paths, Evaluation())
    monkeypatch.setattr("recsys.evaluation.blockwise_search.BLOCK_BYTES", 10_000)
    assert leave_one_out_metrics(embeddings, paths, Evaluation()).equals(whole)


def test_more_queries_than_allowed_are_sampled_by_seed() -> None:
    embeddings = unit_vectors(list(range(100)))
    paths = [["A"]] * 100
    settings = Evaluation(queries=10)
    first = leave_one_out_metrics(embeddings, paths, settings)
    assert set(first["queries"]) == {10, 0}
    assert first.equals(leave_one_out_metrics(embeddings, paths, settings))


def test_without_queries_the_metrics_are_nan() -> None:
    table = leave_one_out_metrics(unit_vectors([0, 90]), [["A"], ["B"]], SETTINGS)
    assert table["precision"].isna().all() and (table["queries"] == 0).all()
