"""The gate promotes a better model, refuses one that is worse at any level, and ignores chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.core.configuration import Evaluation
from recsys.evaluation.gate import MIN_GROUPS, decide
from recsys.evaluation.retrieval_metrics import RetrievalMetrics, compute_metrics

SETTINGS = Evaluation(levels=2)
N = 600


def metrics_of(coarse: float, fine: float, seed: int = 0, groups: np.ndarray | None = None) -> RetrievalMetrics:
    """Return the metrics of vectors that separate the two levels of the path this strongly, with noise."""
    random = np.random.default_rng(seed)
    rows = np.arange(N)
    vectors = np.concatenate([coarse * np.eye(5)[rows % 5], fine * np.eye(30)[rows % 30]], axis=1)
    vectors = np.concatenate([vectors, random.standard_normal((N, 16))], axis=1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    frame = pd.DataFrame(
        {
            "product_id": rows.astype(str),
            "category_path": [(f"t{i % 5}", f"s{i % 30}") for i in rows],
            "group": rows if groups is None else groups,
            "held_out": rows % 4 == 0,
        }
    )
    return compute_metrics(vectors.astype(np.float32), frame, SETTINGS)


def test_a_better_model_is_promoted_and_the_reason_names_the_level() -> None:
    decision = decide(metrics_of(2, 2), metrics_of(1, 1))
    assert decision.promoted
    assert decision.reason.startswith("promoted: better at level 1 (precision at 5 ")
    assert decision.reason.endswith("worse at no level")
    deciding = decision.table[decision.table["decides"]]
    assert set(zip(deciding["level"], deciding["metric"], deciding["k"], strict=True)) == {
        (1, "precision", 5),
        (2, "precision", 5),
    }
    assert (deciding["verdict"] == "better").all() and (deciding["low"] > 0).all()


def test_a_model_that_is_better_at_one_level_and_worse_at_another_is_refused() -> None:
    decision = decide(metrics_of(coarse=6, fine=0), metrics_of(coarse=1, fine=2))
    assert not decision.promoted
    assert decision.reason.startswith("refused: worse at level 2 ")
    verdicts = decision.table[decision.table["decides"]].set_index("level")["verdict"]
    assert verdicts.to_dict() == {1: "better", 2: "worse"}


def test_an_identical_model_is_refused() -> None:
    decision = decide(metrics_of(1, 1), metrics_of(1, 1))
    assert not decision.promoted and decision.reason.startswith("refused: not better at any level")
    assert (decision.table["difference"] == 0).all()


def test_other_random_noise_decides_nothing() -> None:
    tables = [decide(metrics_of(1, 1, seed), metrics_of(1, 1, seed + 100)).table for seed in range(8)]
    deciding = pd.concat(tables)[lambda table: table["decides"]]
    assert (deciding["verdict"] == "no different").mean() >= 0.8  # 95 % of them if there were many


def test_a_model_without_information_is_refused() -> None:
    assert not decide(metrics_of(0, 0), metrics_of(2, 2)).promoted


def test_too_few_groups_decide_nothing() -> None:
    groups = np.arange(N) % (MIN_GROUPS - 1)
    decision = decide(metrics_of(5, 5, groups=groups), metrics_of(0, 0, groups=groups))
    assert not decision.promoted and "nothing to decide by" in decision.reason
    assert set(decision.table["verdict"]) == {"too few"}


def test_pairing_detects_a_difference_that_separate_intervals_would_miss() -> None:
    champion, challenger = metrics_of(1, 1), metrics_of(1.15, 1.15)
    decision = decide(challenger, champion)
    row = decision.table[decision.table["decides"]].iloc[0]
    assert row["high"] - row["low"] < 0.1
    assert decision.promoted


def test_words_decide_where_the_pictures_are_no_different() -> None:
    same, better = metrics_of(1, 1), metrics_of(2, 2)
    assert not decide(same, same, (same, same)).promoted
    decision = decide(same, same, (better, same))
    assert decision.promoted and decision.reason.startswith("promoted: better at level 1 (precision at 5 with words ")


def test_better_words_do_not_outweigh_worse_pictures_nor_better_pictures_worse_words() -> None:
    same, better = metrics_of(1, 1), metrics_of(2, 2)
    assert "worse at level 1 (precision at 5 0" in decide(same, better, (better, same)).reason
    assert "worse at level 1 (precision at 5 with words " in decide(better, same, (same, better)).reason


def test_metrics_of_different_queries_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different queries"):
        decide(metrics_of(1, 1, groups=np.arange(N) % 90), metrics_of(1, 1, groups=np.zeros(N, int)))
