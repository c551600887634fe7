"""Probabilities that mean what they say, whatever the evidence, and thresholds that hold on rows that come later."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from recsys.models.classifier.calibration import (
    FEWEST,
    Calibration,
    coverage_at,
    evidence,
    expected_calibration_error,
    reliability,
    threshold_for,
)

LABELS = 4


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def drawn(rows: int, seed: int, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (rows, LABELS) and labels that are drawn with exactly the scores' softmax."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, spread, (rows, LABELS))
    gumbel = random.gumbel(size=scores.shape)
    return scores, (scores + gumbel).argmax(axis=1)


def yes(rows: int) -> np.ndarray:
    return np.ones(rows, bool)


def no(rows: int) -> np.ndarray:
    return np.zeros(rows, bool)


def loss(chances: np.ndarray, truth: np.ndarray) -> float:
    return float(-np.log(chances[np.arange(len(truth)), truth]).mean())


# --- probabilities --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.2, 1.0, 7.0, 1e6])
def test_the_temperature_is_found_again(temperature: float) -> None:
    scores, truth = drawn(5_000, seed=1)
    of_picture = Calibration.fit(scores * temperature, None, yes(5_000), no(5_000), truth)
    of_text = Calibration.fit(None, scores * temperature, no(5_000), yes(5_000), truth)
    assert 1 / of_picture.picture == pytest.approx(temperature, rel=0.06)
    assert of_text.text == pytest.approx(of_picture.picture, rel=1e-6)
    chances = of_picture.probabilities(scores * temperature, None, yes(5_000), no(5_000))
    right = chances.argmax(axis=1) == truth
    assert expected_calibration_error(chances.max(axis=1), right) < 0.02


def test_both_together_are_better_than_either_alone_and_calibrated() -> None:
    random = np.random.default_rng(2)
    picture, truth = drawn(8_000, seed=3, spread=1.5)
    one_hot = np.eye(LABELS)[truth]
    text = 2 * one_hot + random.normal(0, 1.2, one_hot.shape)  # a second, independent witness
    fit, new = slice(0, 4_000), slice(4_000, 8_000)
    present, absent = yes(4_000), no(4_000)
    made = Calibration.fit(5 * picture[fit], text[fit] / 3, present, present, truth[fit])
    both = made.probabilities(5 * picture[new], text[new] / 3, present, present)
    alone = [
        made.probabilities(5 * picture[new], None, present, absent),
        made.probabilities(None, text[new] / 3, absent, present),
    ]
    assert loss(both, truth[new]) < 0.8 * min(loss(each, truth[new]) for each in alone)
    right = both.argmax(axis=1) == truth[new]
    assert right.mean() > max((each.argmax(axis=1) == truth[new]).mean() for each in alone)
    assert expected_calibration_error(both.max(axis=1), right) < 0.02


def test_one_witness_heard_twice_is_not_believed_twice() -> None:
    scores, truth = drawn(5_000, seed=4)
    made = Calibration.fit(scores, scores, yes(5_000), yes(5_000), truth)
    assert sum(made.both) == pytest.approx(1, rel=0.06)


def test_a_witness_that_knows_nothing_gets_no_weight() -> None:
    scores, truth = drawn(5_000, seed=5)
    noise = np.random.default_rng(6).normal(0, 2, scores.shape)
    made = Calibration.fit(noise, scores, yes(5_000), yes(5_000), truth)
    assert 0 <= made.both[0] < 0.05
    assert 0 <= made.picture < 0.05
    misled = Calibration.fit(-scores, None, yes(5_000), no(5_000), truth)
    assert misled.picture == 0
    assert np.allclose(misled.probabilities(scores, None, yes(5_000), no(5_000)), 1 / LABELS)


def test_each_row_is_judged_by_the_evidence_that_it_has() -> None:
    picture, truth = drawn(400, seed=7)
    text = picture + np.random.default_rng(8).normal(0, 1, picture.shape)
    prior = np.array([0.7, 0.1, 0.1, 0.1])
    made = Calibration.fit(picture, text, yes(400), yes(400), truth, np.log(prior))
    has_picture, has_text = np.array([True, True, False, False]), np.array([True, False, True, False])
    told = evidence(picture[:4], text[:4], has_picture, has_text)
    assert told.tolist() == ["both", "picture", "text", "none"]
    chances = made.probabilities(picture[:4], text[:4], has_picture, has_text)
    assert chances.dtype == np.float64
    assert np.allclose(chances[1], softmax(made.picture * picture[1:2]))
    assert np.allclose(chances[2], softmax(made.text * text[2:3]))
    assert np.allclose(chances[0], softmax(made.both[0] * picture[:1] + made.both[1] * text[:1]))
    assert np.allclose(chances[3], prior)
    assert evidence(None, text[:4], has_picture, has_text).tolist() == ["text", "none", "text", "none"]


def test_what_lacks_the_evidence_has_no_say_in_the_fit() -> None:
    picture, truth = drawn(600, seed=9)
    text = picture + np.random.default_rng(10).normal(0, 1, picture.shape)
    has_picture, has_text = np.arange(600) % 3 > 0, np.arange(600) % 2 > 0
    made = Calibration.fit(picture, text, has_picture, has_text, truth)
    spoilt = [np.where(has[:, None], scores, bad) for has, scores, bad in
              ((has_picture, picture, 1e9), (has_text, text, np.nan))]  # fmt: skip
    assert Calibration.fit(*spoilt, has_picture, has_text, truth) == made
    only = Calibration.fit(picture[has_picture], None, yes(400), no(400), truth[has_picture])
    assert only.picture == made.picture


def test_scores_that_are_not_finite_are_no_evidence_and_give_no_nan() -> None:
    scores = np.array([[np.nan, 0, 0, 0], [np.inf, 0, 0, 0], [-np.inf, 0, 0, 0], [1e300, -1e300, 0, 0]])
    assert evidence(scores, None, yes(4), no(4)).tolist() == ["none", "none", "none", "picture"]
    chances = Calibration((0.25,) * 4).probabilities(scores, None, yes(4), no(4))
    assert np.allclose(chances.sum(axis=1), 1)
    assert chances[:3].tolist() == [[0.25] * 4] * 3
    assert chances[3].tolist() == [1, 0, 0, 0]


def test_perfect_validation_does_not_make_the_model_certain() -> None:
    for rows in (FEWEST, 100, 10_000):
        truth = np.arange(rows) % LABELS
        scores = 3 * np.eye(LABELS)[truth]
        made = Calibration.fit(scores, scores, yes(rows), yes(rows), truth)
        for present in ((yes(rows), no(rows)), (yes(rows), yes(rows))):
            doubt = 1 - made.probabilities(scores, scores, *present).max(axis=1)
            assert (doubt > 0.5 / rows).all(), rows
            assert (doubt < 5 / rows).all(), rows


def test_with_few_rows_scores_are_taken_as_they_are_and_both_share_the_say() -> None:
    scores, truth = drawn(FEWEST - 1, seed=11)
    present = yes(FEWEST - 1)
    assert Calibration.fit(9 * scores, scores, present, present, truth) == Calibration((0.25,) * 4)
    empty = Calibration.fit(scores[:0], scores[:0], present[:0], present[:0], truth[:0])
    assert empty.probabilities(scores[:0], None, present[:0], present[:0]).shape == (0, LABELS)


def test_scores_that_are_all_equal_or_missing_are_no_trouble() -> None:
    truth = np.arange(100) % LABELS
    flat = Calibration.fit(np.zeros((100, LABELS)), None, yes(100), no(100), truth)
    assert np.allclose(flat.probabilities(np.zeros((100, LABELS)), None, yes(100), no(100)), 0.25)
    assert Calibration.fit(None, None, no(100), no(100), truth, np.zeros(LABELS)) == Calibration((0.25,) * 4)
    with pytest.raises(ValueError, match="nothing to calibrate"):
        Calibration.fit(None, None, no(100), no(100), truth)


def test_a_calibration_survives_json() -> None:
    scores, truth = drawn(500, seed=12)
    made = Calibration.fit(scores, scores / 3, yes(500), yes(500), truth, [0, 1, 2, 3])
    assert Calibration.from_dict(json.loads(json.dumps(asdict(made)))) == made


# --- thresholds -----------------------------------------------------------------------------------------------------


def judged(rows: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidences of a calibrated model, most of them high, and whether it was right."""
    confidence = 1 - 0.5 * random.beta(0.3, 4, rows)
    return confidence, random.random(rows) < confidence


NEW = judged(100_000, np.random.default_rng(99))[0]


def precision_on_new_rows(threshold: float) -> float:
    """Return the precision that `judged` comes to in the long run: its confidence is its chance of being right."""
    return float(NEW[threshold <= NEW].mean())


@pytest.mark.parametrize("rows", [1_500, 10_000])
def test_the_precision_at_the_chosen_threshold_holds_on_new_rows(rows: int) -> None:
    random = np.random.default_rng(rows)
    held, lucky = [], []
    for _ in range(100):
        confidence, correct = judged(rows, random)
        threshold = threshold_for(confidence, correct, 0.99)
        assert threshold is not None
        held.append(precision_on_new_rows(threshold))
        order = np.argsort(-confidence)
        reached = np.flatnonzero(correct[order].cumsum() / np.arange(1, rows + 1) >= 0.99)
        lucky.append(precision_on_new_rows(confidence[order][reached[-1]]))
    assert np.mean(held) >= 0.99
    assert np.mean(np.array(held) >= 0.99) >= 0.85  # 0.9, as is asked for, but for the luck of 100 draws
    assert np.mean(np.array(lucky) >= 0.99) < 0.65  # the naive choice: a coin's toss


def test_of_few_rows_a_threshold_that_fails_is_chosen_at_most_once_in_ten() -> None:
    random = np.random.default_rng(0)
    chosen = [threshold_for(*judged(300, random), 0.99) for _ in range(200)]
    failed = [threshold is not None and precision_on_new_rows(threshold) < 0.99 for threshold in chosen]
    assert any(threshold is not None for threshold in chosen)
    assert np.mean(failed) <= 0.12


def test_more_rows_buy_a_lower_threshold() -> None:
    random = np.random.default_rng(0)
    low, high = (threshold_for(*judged(rows, random), 0.99) for rows in (20_000, 1_000))
    assert low is not None
    assert high is not None
    assert low < high


def test_rows_that_stand_or_fall_together_count_as_fewer_so_that_the_precision_holds() -> None:
    random = np.random.default_rng(1)
    by_row, by_group = [], []
    for _ in range(100):
        confidence, correct = judged(5_000, random)
        times = np.where(random.random(5_000) < 0.02, 15, 1)  # one product in fifty has fifteen variants
        rows = np.repeat(confidence, times), np.repeat(correct, times)
        by_row.append(threshold_for(*rows))
        by_group.append(threshold_for(*rows, groups=np.repeat(np.arange(5_000), times)))
    holds = [np.mean([precision_on_new_rows(each) >= 0.99 for each in chosen]) for chosen in (by_row, by_group)]
    assert holds[1] >= 0.85
    assert holds[1] > holds[0] + 0.05


def test_groups_of_one_row_change_nothing() -> None:
    confidence, correct = judged(3_000, np.random.default_rng(2))
    assert threshold_for(confidence, correct, groups=np.arange(3_000)) == threshold_for(confidence, correct)


@pytest.mark.parametrize(
    ("confidence", "correct"),
    [
        ([], []),
        ([0.9] * 229, [True] * 229),  # one too few to be sure
        ([0.9] * 1_000, [True] * 900 + [False] * 100),
        ([np.nan] * 1_000, [True] * 1_000),
        (np.linspace(0, 1, 1_000), [False] * 1_000),
    ],
    ids=["no rows", "too few rows", "too often wrong", "no confidence", "never right"],
)
def test_without_a_threshold_that_reaches_it_nothing_is_filled(confidence: list[float], correct: list[bool]) -> None:
    threshold = threshold_for(confidence, correct, 0.99)
    assert threshold is None
    filled = coverage_at(confidence, correct, threshold)
    assert filled.coverage == 0
    assert np.isnan(filled.precision)


def test_equal_confidences_are_let_through_together_or_not_at_all() -> None:
    assert threshold_for([0.9] * 230, [True] * 230) == 0.9
    confidence, correct = [0.9] * 500 + [0.8] * 500, [True] * 500 + [True, False] * 250
    assert threshold_for(confidence, correct) == 0.9
    assert coverage_at(confidence, correct, 0.9) == (0.5, 1.0)
    assert coverage_at(confidence, correct, 0.8) == (1.0, 0.75)


def test_an_error_at_the_very_top_does_not_stop_the_search() -> None:
    confidence = np.linspace(1, 0.5, 2_000)
    threshold = threshold_for(confidence, np.arange(2_000) != 0)
    assert threshold == 0.5


def test_a_modest_precision_still_takes_some_rows() -> None:
    assert threshold_for([0.9] * (FEWEST - 1), [True] * (FEWEST - 1), precision=0.5) is None
    assert threshold_for([0.9] * FEWEST, [True] * FEWEST, precision=0.5) == 0.9


# --- reliability ----------------------------------------------------------------------------------------------------


def test_reliability_counts_each_range_of_confidence() -> None:
    table = reliability([0.05, 0.91, 0.95, 1.0, 0.55, np.nan], [False, True, True, False, True, True])
    assert table.to_dict("list") == {
        "low": [0.0, 0.5, 0.9],
        "high": [0.1, 0.6, 1.0],
        "examples": [1, 1, 3],
        "confidence": pytest.approx([0.05, 0.55, (0.91 + 0.95 + 1) / 3]),
        "accuracy": pytest.approx([0, 1, 2 / 3]),
    }
    assert reliability([0.1, 0.9], [True, True], bins=2)["examples"].tolist() == [1, 1]


def test_the_calibration_error_is_the_mean_distance_weighted_by_rows() -> None:
    assert expected_calibration_error([0.9] * 10, [True] * 9 + [False]) == pytest.approx(0)
    assert expected_calibration_error([0.8] * 3 + [0.3], [True] * 3 + [False]) == pytest.approx((3 * 0.2 + 0.3) / 4)
    assert expected_calibration_error([], []) == 0
    assert reliability([], []).empty
