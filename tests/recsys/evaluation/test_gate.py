"""The gate: what is better passes, what is worse anywhere does not, and chance decides nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.core.configuration import Evaluation
from recsys.evaluation.gate import FEWEST_GROUPS, decide
from recsys.evaluation.retrieval_metrics import Judgement, judge

SETTINGS = Evaluation(levels=2)
N = 600


def paths() -> list[tuple[str, str]]:
    return [(f"t{i % 5}", f"s{i % 30}") for i in range(N)]


def judged(coarse: float, fine: float, seed: int = 0, groups: np.ndarray | None = None) -> Judgement:
    """A model that sees the two levels of the path so clearly, amid noise."""
    random = np.random.default_rng(seed)
    place = np.arange(N)
    vectors = np.concatenate([coarse * np.eye(5)[place % 5], fine * np.eye(30)[place % 30]], axis=1)
    vectors = np.concatenate([vectors, random.standard_normal((N, 16))], axis=1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    frame = pd.DataFrame(
        {
            "product_id": place.astype(str),
            "category_path": paths(),
            "group": place if groups is None else groups,
            "held_out": np.arange(N) % 4 == 0,
        }
    )
    return judge(vectors.astype(np.float32), frame, SETTINGS)


def test_a_better_one_is_promoted_and_the_sentence_says_where() -> None:
    decision = decide(judged(2, 2), judged(1, 1))
    assert decision.promoted
    assert decision.reason.startswith("promoted: better at level 1 (precision at 5 ")
    assert decision.reason.endswith("worse at no level")
    deciding = decision.table[decision.table["decides"]]
    assert set(zip(deciding["level"], deciding["metric"], deciding["k"], strict=True)) == {
        (1, "precision", 5),
        (2, "precision", 5),
    }
    assert (deciding["verdict"] == "better").all() and (deciding["low"] > 0).all()


def test_better_at_one_level_and_worse_at_another_is_refused() -> None:
    decision = decide(judged(coarse=6, fine=0), judged(coarse=1, fine=2))
    assert not decision.promoted
    assert decision.reason.startswith("refused: worse at level 2 ")
    verdicts = decision.table[decision.table["decides"]].set_index("level")["verdict"]
    assert verdicts.to_dict() == {1: "better", 2: "worse"}


def test_the_same_model_is_no_better() -> None:
    decision = decide(judged(1, 1), judged(1, 1))
    assert not decision.promoted and decision.reason.startswith("refused: no better at any level")
    assert (decision.table["difference"] == 0).all()


def test_another_draw_of_the_noise_decides_nothing() -> None:
    verdicts = [decide(judged(1, 1, seed), judged(1, 1, seed + 100)).table for seed in range(8)]
    deciding = pd.concat(verdicts)[lambda table: table["decides"]]
    assert (deciding["verdict"] == "no different").mean() >= 0.8  # 95 % of them, were they many


def test_knowing_nothing_is_refused() -> None:
    assert not decide(judged(0, 0), judged(2, 2)).promoted


def test_too_few_groups_decide_nothing_however_clear_they_are() -> None:
    groups = np.arange(N) % (FEWEST_GROUPS - 1)
    decision = decide(judged(5, 5, groups=groups), judged(0, 0, groups=groups))
    assert not decision.promoted and "nothing to judge by" in decision.reason
    assert set(decision.table["verdict"]) == {"too few"}


def test_pairing_sees_what_two_intervals_apart_would_not() -> None:
    champion, challenger = judged(1, 1), judged(1.15, 1.15)
    decision = decide(challenger, champion)
    row = decision.table[decision.table["decides"]].iloc[0]
    assert row["high"] - row["low"] < 0.1
    assert decision.promoted


def test_models_judged_by_different_queries_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different queries"):
        decide(judged(1, 1, groups=np.arange(N) % 90), judged(1, 1, groups=np.zeros(N, int)))
