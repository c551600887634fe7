import numpy as np
import pytest

from recsys.core.configuration import Evaluation
from recsys.evaluation.leave_one_out import retrieval
from recsys.evaluation.retrieval_metrics import values_at_level

SETTINGS = Evaluation(min_occurrences=2, ranks=(1, 2), levels=2)
PATHS = [["A", "x"]] * 3 + [["A", "y"]] * 3 + [["B"]] * 2


def unit(degrees: list[float]) -> np.ndarray:
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def test_figures_worked_out_by_hand() -> None:
    # x at 0, 1, 90; y at 92, 95, 40; B at 41, 180: the neighbours of each can be read off
    table = retrieval(unit([0, 1, 90, 92, 95, 40, 41, 180]), PATHS, SETTINGS).set_index(["level", "k"])
    # level 1 (six of A): nearest first, right or wrong: all but the sixth (at 40, next to 41 of B) are right
    assert table.loc[(1, 1), "precision"] == pytest.approx(5 / 6)
    # level 2, x: 0→1, 1→0 right, 90→92 wrong; y: 92→90 wrong, 95→92 right, 40→41 wrong
    assert table.loc[(2, 1), "precision"] == pytest.approx(3 / 6)
    assert table.loc[(2, 1), "recall"] == pytest.approx(3 / 6)
    # with two neighbours: 92 finds 95, so one more query has a relevant one
    assert table.loc[(2, 2), "recall"] == pytest.approx(4 / 6)
    assert table.loc[(1, 1), "queries"] == 6


def test_a_value_that_is_rare_is_no_query_but_may_be_found() -> None:
    table = retrieval(unit([0, 1, 2, 3, 4, 5, 6, 7]), PATHS, SETTINGS)
    assert set(table[table["level"] == 1]["queries"]) == {6}


def test_a_shorter_path_has_no_value_at_a_deeper_level() -> None:
    assert values_at_level(PATHS, 2).tolist() == [0, 0, 0, 1, 1, 1, -1, -1]


def test_perfect_embeddings_score_one() -> None:
    embeddings = unit([0, 0, 0, 90, 90, 90, 180, 180])
    assert (retrieval(embeddings, PATHS, SETTINGS)[["precision", "recall"]] == 1).all(axis=None)


def test_the_same_in_blocks_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    embeddings = rng.standard_normal((300, 8)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    paths = [["A", str(i % 7), str(i % 21)] for i in range(300)]
    whole = retrieval(embeddings, paths, Evaluation())
    monkeypatch.setattr("recsys.evaluation.blockwise_search.BLOCK_BYTES", 10_000)
    assert retrieval(embeddings, paths, Evaluation()).equals(whole)


def test_more_queries_than_allowed_are_drawn_by_seed() -> None:
    embeddings = unit(list(range(100)))
    paths = [["A"]] * 100
    settings = Evaluation(queries=10)
    first = retrieval(embeddings, paths, settings)
    assert set(first["queries"]) == {10, 0}
    assert first.equals(retrieval(embeddings, paths, settings))


def test_nothing_to_ask_gives_no_figures() -> None:
    table = retrieval(unit([0, 90]), [["A"], ["B"]], SETTINGS)
    assert table["precision"].isna().all() and (table["queries"] == 0).all()
