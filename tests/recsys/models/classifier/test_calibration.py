"""Calibrated probabilities for every combination of scores, and thresholds whose precision holds on new rows."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.special import softmax

from recsys.models.classifier.calibration import (
    MIN_ROWS,
    Calibration,
    coverage_at,
    evidence,
    expected_calibration_error,
    reliability,
    threshold_for,
)

LABELS = 4


def draw_scores(rows: int, seed: int, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (rows, LABELS) and labels that are drawn with exactly the scores' softmax."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, spread, (rows, LABELS))
    gumbel = random.gumbel(size=scores.shape)
    return scores, (scores + gumbel).argmax(axis=1)


def only(scores: np.ndarray, rows: np.ndarray, missing: float = np.nan) -> np.ndarray:
    """Return the scores with another value in all rows but these (n,) bool."""
    return np.where(rows[:, None], scores, missing)


def loss(probabilities: np.ndarray, truth: np.ndarray) -> float:
    return float(-np.log(probabilities[np.arange(len(truth)), truth]).mean())


# --- probabilities --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.2, 1.0, 7.0, 1e6])
def test_the_fit_recovers_the_temperature(temperature: float) -> None:
    scores, truth = draw_scores(5_000, seed=1)
    of_picture = Calibration.fit(scores * temperature, None, truth)
    of_text = Calibration.fit(None, scores * temperature, truth)
    assert 1 / of_picture.picture == pytest.approx(temperature, rel=0.06)
    assert of_text.text == pytest.approx(of_picture.picture, rel=1e-6)
    probabilities = of_picture.probabilities(scores * temperature, None)
    correct = probabilities.argmax(axis=1) == truth
    assert expected_calibration_error(probabilities.max(axis=1), correct) < 0.02


def test_picture_and_text_together_are_better_than_either_alone_and_calibrated() -> None:
    random = np.random.default_rng(2)
    picture, truth = draw_scores(8_000, seed=3, spread=1.5)
    one_hot = np.eye(LABELS)[truth]
    text = 2 * one_hot + random.normal(0, 1.2, one_hot.shape)  # independent of the picture
    fit, new = slice(0, 4_000), slice(4_000, 8_000)
    calibration = Calibration.fit(5 * picture[fit], text[fit] / 3, truth[fit])
    both = calibration.probabilities(5 * picture[new], text[new] / 3)
    alone = [calibration.probabilities(5 * picture[new], None), calibration.probabilities(None, text[new] / 3)]
    assert loss(both, truth[new]) < 0.8 * min(loss(probabilities, truth[new]) for probabilities in alone)
    correct = both.argmax(axis=1) == truth[new]
    assert correct.mean() > max((probabilities.argmax(axis=1) == truth[new]).mean() for probabilities in alone)
    assert expected_calibration_error(both.max(axis=1), correct) < 0.02


def test_the_same_scores_twice_count_once() -> None:
    scores, truth = draw_scores(5_000, seed=4)
    assert sum(Calibration.fit(scores, scores, truth).both) == pytest.approx(1, rel=0.06)


def test_scores_that_are_noise_get_no_weight() -> None:
    scores, truth = draw_scores(5_000, seed=5)
    noise = np.random.default_rng(6).normal(0, 2, scores.shape)
    calibration = Calibration.fit(noise, scores, truth)
    assert 0 <= calibration.both[0] < 0.05
    assert 0 <= calibration.picture < 0.05
    misled = Calibration.fit(-scores, None, truth)
    assert misled.picture == 0
    assert np.allclose(misled.probabilities(scores, None), 1 / LABELS)


def test_each_row_gets_the_probabilities_of_the_scores_that_it_has() -> None:
    picture, truth = draw_scores(400, seed=7)
    text = picture + np.random.default_rng(8).normal(0, 1, picture.shape)
    prior = np.array([0.7, 0.1, 0.1, 0.1])
    calibration = Calibration.fit(picture, text, truth, np.log(prior))
    has_picture, has_text = np.array([True, True, False, False]), np.array([True, False, True, False])
    rows = only(picture[:4], has_picture), only(text[:4], has_text)
    assert evidence(*rows).tolist() == ["both", "picture", "text", "none"]
    probabilities = calibration.probabilities(*rows)
    assert probabilities.dtype == np.float64
    assert np.allclose(probabilities[1], softmax(calibration.picture * picture[1]))
    assert np.allclose(probabilities[2], softmax(calibration.text * text[2]))
    assert np.allclose(probabilities[0], softmax(calibration.both[0] * picture[0] + calibration.both[1] * text[0]))
    assert np.allclose(probabilities[3], prior)
    assert evidence(None, rows[1]).tolist() == ["text", "none", "text", "none"]


def test_rows_without_scores_do_not_change_the_fit() -> None:
    picture, truth = draw_scores(600, seed=9)
    text = picture + np.random.default_rng(10).normal(0, 1, picture.shape)
    has_picture, has_text = np.arange(600) % 3 > 0, np.arange(600) % 2 > 0
    calibration = Calibration.fit(only(picture, has_picture), only(text, has_text), truth)
    assert Calibration.fit(only(picture, has_picture, np.inf), only(text, has_text, -np.inf), truth) == calibration
    fewer = Calibration.fit(picture[has_picture], None, truth[has_picture])
    assert fewer.picture == calibration.picture


def test_scores_that_are_not_finite_count_as_missing_and_give_no_nan() -> None:
    scores = np.array([[np.nan, 0, 0, 0], [np.inf, 0, 0, 0], [-np.inf, 0, 0, 0], [1e300, -1e300, 0, 0]])
    assert evidence(scores, None).tolist() == ["none", "none", "none", "picture"]
    probabilities = Calibration((0.25,) * 4).probabilities(scores, None)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert probabilities[:3].tolist() == [[0.25] * 4] * 3
    assert probabilities[3].tolist() == [1, 0, 0, 0]


def test_a_fit_on_correct_rows_only_does_not_make_the_model_certain() -> None:
    for rows in (MIN_ROWS, 100, 10_000):
        truth = np.arange(rows) % LABELS
        scores = 3 * np.eye(LABELS)[truth]
        calibration = Calibration.fit(scores, scores, truth)
        for text in (None, scores):
            doubt = 1 - calibration.probabilities(scores, text).max(axis=1)
            assert (doubt > 0.5 / rows).all(), rows
            assert (doubt < 5 / rows).all(), rows


def test_with_few_rows_a_single_weight_is_1_and_both_get_half() -> None:
    scores, truth = draw_scores(MIN_ROWS - 1, seed=11)
    assert Calibration.fit(9 * scores, scores, truth) == Calibration((0.25,) * 4)
    empty = Calibration.fit(scores[:0], scores[:0], truth[:0])
    assert empty.probabilities(scores[:0], None).shape == (0, LABELS)


def test_equal_or_missing_scores_are_no_error() -> None:
    truth = np.arange(100) % LABELS
    flat = Calibration.fit(np.zeros((100, LABELS)), None, truth)
    assert np.allclose(flat.probabilities(np.zeros((100, LABELS)), None), 0.25)
    assert Calibration.fit(None, None, truth, np.zeros(LABELS)) == Calibration((0.25,) * 4)
    with pytest.raises(ValueError, match="nothing to calibrate"):
        Calibration.fit(None, None, truth)


def test_a_calibration_survives_json() -> None:
    scores, truth = draw_scores(500, seed=12)
    calibration = Calibration.fit(scores, scores / 3, truth, [0, 1, 2, 3])
    assert Calibration.from_dict(json.loads(json.dumps(asdict(calibration)))) == calibration


# --- thresholds -----------------------------------------------------------------------------------------------------


def draw_predictions(rows: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidences of a calibrated model, most of them high, and whether its predictions are correct."""
    confidence = 1 - 0.5 * random.beta(0.3, 4, rows)
    return confidence, random.random(rows) < confidence


NEW = draw_predictions(100_000, np.random.default_rng(99))[0]


def precision_on_new_rows(threshold: float) -> float:
    """Return the expected precision of `draw_predictions`: the mean confidence at the threshold or above."""
    return float(NEW[threshold <= NEW].mean())


@pytest.mark.parametrize("rows", [1_500, 10_000])
def test_the_precision_at_the_chosen_threshold_holds_on_new_rows(rows: int) -> None:
    random = np.random.default_rng(rows)
    chosen, naive = [], []
    for _ in range(100):
        confidence, correct = draw_predictions(rows, random)
        threshold = threshold_for(confidence, correct, 0.99)
        assert threshold is not None
        chosen.append(precision_on_new_rows(threshold))
        order = np.argsort(-confidence)
        reached = np.flatnonzero(correct[order].cumsum() / np.arange(1, rows + 1) >= 0.99)
        naive.append(precision_on_new_rows(confidence[order][reached[-1]]))
    assert np.mean(chosen) >= 0.99
    assert np.mean(np.array(chosen) >= 0.99) >= 0.85  # the required 0.9, less the chance of 100 draws
    assert np.mean(np.array(naive) >= 0.99) < 0.65  # the lowest threshold on these rows: about every other time


def test_with_few_rows_at_most_one_threshold_in_ten_fails() -> None:
    random = np.random.default_rng(0)
    thresholds = [threshold_for(*draw_predictions(300, random), 0.99) for _ in range(200)]
    failed = [threshold is not None and precision_on_new_rows(threshold) < 0.99 for threshold in thresholds]
    assert any(threshold is not None for threshold in thresholds)
    assert np.mean(failed) <= 0.12


def test_more_rows_give_a_lower_threshold() -> None:
    random = np.random.default_rng(0)
    low, high = (threshold_for(*draw_predictions(rows, random), 0.99) for rows in (20_000, 1_000))
    assert low is not None
    assert high is not None
    assert low < high


def test_rows_of_one_group_count_as_fewer_so_that_the_precision_holds() -> None:
    random = np.random.default_rng(1)
    by_row: list[float | None] = []
    by_group: list[float | None] = []
    for _ in range(100):
        confidence, correct = draw_predictions(5_000, random)
        times = np.where(random.random(5_000) < 0.02, 15, 1)  # one product in fifty has fifteen variants
        rows = np.repeat(confidence, times), np.repeat(correct, times)
        by_row.append(threshold_for(*rows))
        by_group.append(threshold_for(*rows, groups=np.repeat(np.arange(5_000), times)))
    holds = [
        np.mean([threshold is not None and precision_on_new_rows(threshold) >= 0.99 for threshold in thresholds])
        for thresholds in (by_row, by_group)
    ]
    assert holds[1] >= 0.85
    assert holds[1] > holds[0] + 0.05


def test_groups_of_one_row_change_nothing() -> None:
    confidence, correct = draw_predictions(3_000, np.random.default_rng(2))
    assert threshold_for(confidence, correct, groups=np.arange(3_000)) == threshold_for(confidence, correct)


@pytest.mark.parametrize(
    ("confidence", "correct"),
    [
        ([], []),
        ([0.9] * 229, [True] * 229),  # one too few to be certain
        ([0.9] * 1_000, [True] * 900 + [False] * 100),
        ([np.nan] * 1_000, [True] * 1_000),
        (np.linspace(0, 1, 1_000), [False] * 1_000),
    ],
    ids=["no rows", "too few rows", "too often wrong", "no confidence", "never correct"],
)
def test_if_no_threshold_reaches_the_precision_nothing_is_filled(confidence: list[float], correct: list[bool]) -> None:
    threshold = threshold_for(confidence, correct, 0.99)
    assert threshold is None
    filled = coverage_at(confidence, correct, threshold)
    assert filled.coverage == 0
    assert np.isnan(filled.precision)


def test_equal_confidences_are_on_one_side_of_the_threshold() -> None:
    assert threshold_for([0.9] * 230, [True] * 230) == 0.9
    confidence, correct = [0.9] * 500 + [0.8] * 500, [True] * 500 + [True, False] * 250
    assert threshold_for(confidence, correct) == 0.9
    assert coverage_at(confidence, correct, 0.9) == (0.5, 1.0)
    assert coverage_at(confidence, correct, 0.8) == (1.0, 0.75)


def test_an_error_at_the_highest_confidence_does_not_stop_the_search() -> None:
    confidence = np.linspace(1, 0.5, 2_000)
    threshold = threshold_for(confidence, np.arange(2_000) != 0)
    assert threshold == 0.5


def test_a_low_precision_still_needs_the_minimum_number_of_rows() -> None:
    assert threshold_for([0.9] * (MIN_ROWS - 1), [True] * (MIN_ROWS - 1), precision=0.5) is None
    assert threshold_for([0.9] * MIN_ROWS, [True] * MIN_ROWS, precision=0.5) == 0.9


# --- reliability ----------------------------------------------------------------------------------------------------


def test_reliability_counts_the_predictions_of_each_range() -> None:
    table = reliability([0.05, 0.91, 0.95, 1.0, 0.55, np.nan], [False, True, True, False, True, True])
    assert table.to_dict("list") == {
        "low": [0.0, 0.5, 0.9],
        "high": [0.1, 0.6, 1.0],
        "examples": [1, 1, 3],
        "confidence": pytest.approx([0.05, 0.55, (0.91 + 0.95 + 1) / 3]),
        "accuracy": pytest.approx([0, 1, 2 / 3]),
    }
    assert reliability([0.1, 0.9], [True, True], bins=2)["examples"].tolist() == [1, 1]


def test_the_calibration_error_is_the_mean_difference_weighted_by_rows() -> None:
    assert expected_calibration_error([0.9] * 10, [True] * 9 + [False]) == pytest.approx(0)
    assert expected_calibration_error([0.8] * 3 + [0.3], [True] * 3 + [False]) == pytest.approx((3 * 0.2 + 0.3) / 4)
    assert expected_calibration_error([], []) == 0
    assert reliability([], []).empty
