"""Turn the scores of the picture model and of the text model into calibrated probabilities, and choose a threshold.

Calibration      temperature scaling of one model's scores, or of the weighted sum of both
evidence         which scores each row has
threshold_for    lowest confidence from which predictions reach a precision
coverage_at      share of the predictions above a threshold, and their precision
reliability      accuracy by range of confidence
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Scores = NDArray[np.float64]

MIN_ROWS = 30
"""Minimum number of rows to fit a weight or to choose a threshold; with fewer, one lucky row would decide it."""

MAX_WEIGHT = 1_000.0
"""Upper bound of a weight, for scores of standard deviation 1; smoothed targets keep the fit below it in practice."""

CERTAINTY = 0.9
"""Probability that a threshold's precision holds on new rows."""


@dataclass(frozen=True)
class Calibration:
    """Weights that turn scores into probabilities: softmax(weight × scores); a weight is 1 / temperature.

    With picture and text: softmax(a × log softmax(picture scores) + b × log softmax(text scores)). Weights a and b are
    fitted together: the weights of each model alone would treat picture and text as independent.

    Attributes:
        prior: (k,) probabilities of the labels, for a row without scores.
        picture: weight of the picture scores of a row without text scores.
        text: weight of the text scores of a row without picture scores.
        both: weights (a, b) of a row with both.

    Sources: https://arxiv.org/abs/1706.04599 (temperature); Platt, Probabilistic outputs for support vector machines,
    1999 (targets smoothed by the number of rows, so that a few correct rows do not make the model certain).
    scikit-learn's temperature scaling has one source of scores and no smoothing.
    """

    prior: tuple[float, ...]
    picture: float = 1.0
    text: float = 1.0
    both: tuple[float, float] = (0.5, 0.5)

    @classmethod
    def fit(
        cls,
        picture_logits: ArrayLike | None,
        text_logits: ArrayLike | None,
        truth: ArrayLike,
        log_prior: ArrayLike | None = None,
    ) -> Calibration:
        """Return the calibration with the least negative log likelihood on rows that the models were not trained on.

        The weight of a single model is 1 if fewer than `MIN_ROWS` rows have its scores; a and b are half of the single
        weights if fewer rows have both.

        Args:
            picture_logits, text_logits: (n, k) out-of-fold scores; None where there is no such model. A row without a
                picture or text has NaN: a row with a score that is not finite counts as one without scores.
            truth: (n,) codes of the labels, 0 to k - 1.
            log_prior: (k,) log probabilities of the labels; uniform by default.

        Raises:
            ValueError: there are neither scores nor a prior.
        """
        sizes = [np.shape(values)[-1] for values in (picture_logits, text_logits, log_prior) if values is not None]
        if not sizes:
            raise ValueError("nothing to calibrate: there are neither picture scores nor text scores")
        prior = np.zeros(sizes[0]) if log_prior is None else np.asarray(log_prior, np.float64)
        codes = np.asarray(truth, np.int64)
        has_picture, has_text = _has_scores(picture_logits, len(codes)), _has_scores(text_logits, len(codes))
        both = has_picture & has_text
        (picture,) = _fit_weights([_log_scores(picture_logits, has_picture)], codes[has_picture], [1.0])
        (text,) = _fit_weights([_log_scores(text_logits, has_text)], codes[has_text], [1.0])
        a, b = _fit_weights(
            [_log_scores(picture_logits, both), _log_scores(text_logits, both)], codes[both], [picture / 2, text / 2]
        )
        return cls(tuple(_softmax(prior).tolist()), picture, text, (a, b))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Calibration:
        """Return a calibration from the result of `dataclasses.asdict`, also after a round trip through JSON."""
        a, b = fields["both"]
        return cls(tuple(fields["prior"]), fields["picture"], fields["text"], (a, b))

    def probabilities(self, picture_logits: ArrayLike | None, text_logits: ArrayLike | None) -> Scores:
        """Return (n, k) float64 probabilities; each row sums to 1 and has no NaN, whatever scores it has.

        Arguments as `fit`; one of them is not None.
        """
        sources = evidence(picture_logits, text_logits)
        log_prior = np.log(np.maximum(self.prior, np.finfo(np.float64).tiny))
        scores = np.tile(log_prior, (len(sources), 1))  # (n, k)
        picture, text, both = (sources == source for source in ("picture", "text", "both"))
        scores[picture] = self.picture * _log_scores(picture_logits, picture)
        scores[text] = self.text * _log_scores(text_logits, text)
        scores[both] = self.both[0] * _log_scores(picture_logits, both) + self.both[1] * _log_scores(text_logits, both)
        return _softmax(scores)


def evidence(picture_logits: ArrayLike | None, text_logits: ArrayLike | None) -> NDArray[np.object_]:
    """Return (n,) which scores each row has: `picture`, `text`, `both` or `none`; arguments as `Calibration.fit`.

    A row with `none` gets the prior's probabilities: they say nothing about the row, however high they are.
    """
    rows = max(len(np.asarray(logits)) for logits in (picture_logits, text_logits) if logits is not None)
    words = np.array(["none", "picture", "text", "both"], dtype=object)
    return words[_has_scores(picture_logits, rows) + 2 * _has_scores(text_logits, rows).astype(np.int64)]


def threshold_for(
    confidence: ArrayLike,
    correct: ArrayLike,
    precision: float = 0.99,
    *,
    groups: ArrayLike | None = None,
    certainty: float = CERTAINTY,
    minimum: int = MIN_ROWS,
) -> float | None:
    """Return the lowest confidence from which predictions reach a precision with certainty; None if there is none.

    The lower confidence bound (Clopper and Pearson) must reach the precision: the lowest threshold that just reaches
    it on these rows would miss it on new rows about every other time. A precision of 0.99 at a certainty of 0.9 needs
    at least 230 predictions, all of them correct.

    Args:
        confidence: (n,) confidence of predictions for rows that the model was not trained on.
        correct: (n,) bool, whether they are correct.
        precision: required share of correct predictions among those at the threshold or above.
        groups: (n,) codes of rows that are correct or wrong together, such as rows with one name and brand. m rows
            with n of each group count as m² / Σ n² rows (Kish, Survey Sampling, 1965). By default each row counts.
        certainty: probability that the precision holds on new rows.
        minimum: minimum number of rows at the threshold or above.
    """
    from scipy.special import betainc

    values = np.asarray(confidence, np.float64)
    order = np.argsort(-values, kind="stable")
    order = order[np.isfinite(values[order])]
    ranked = values[order]
    rows, errors = np.arange(1.0, len(ranked) + 1), np.cumsum(~np.asarray(correct, bool)[order], dtype=np.float64)
    if groups is not None:
        share = _effective_share(np.asarray(groups)[order])
        rows, errors = rows * share, errors * share
    # The bound reaches the precision if so few errors are unlikely at exactly that precision.
    reached = betainc(rows - errors, errors + 1, precision) <= 1 - certainty
    last_of_equals = np.append(ranked[1:] < ranked[:-1], True)[: len(ranked)]  # a threshold cannot split equal values
    matches = np.flatnonzero(reached & last_of_equals & (np.arange(len(ranked)) >= minimum - 1))
    return float(ranked[matches[-1]]) if len(matches) else None


class Coverage(NamedTuple):
    """Predictions at a threshold or above.

    Attributes:
        coverage: share of all predictions.
        precision: share of correct predictions among them; NaN if there are none.
    """

    coverage: float
    precision: float


def coverage_at(confidence: ArrayLike, correct: ArrayLike, threshold: float | None) -> Coverage:
    """Return the share of the predictions at a threshold or above, and their precision.

    Args:
        confidence: (n,) confidence; a value that is not finite is below any threshold.
        correct: (n,) bool, whether the predictions are correct.
        threshold: None is above any confidence.
    """
    values = np.asarray(confidence, np.float64)
    above = np.zeros(len(values), bool) if threshold is None else np.isfinite(values) & (values >= threshold)
    if not above.any():
        return Coverage(0.0, float("nan"))
    return Coverage(float(above.mean()), float(np.asarray(correct, bool)[above].mean()))


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Return the number, mean confidence and accuracy of the predictions in each range of confidence.

    scikit-learn's `calibration_curve` lacks the number of predictions per range.

    Args:
        confidence: (n,) confidence, 0 to 1; values that are not finite are left out.
        correct: (n,) bool, whether the predictions are correct.
        bins: number of ranges of equal width.

    Returns:
        Columns low and high (of the range), examples, confidence (mean), accuracy; without empty ranges.
    """
    values = np.asarray(confidence, np.float64)
    finite = np.isfinite(values)
    frame = pd.DataFrame({"confidence": values[finite], "accuracy": np.asarray(correct, np.float64)[finite]})
    by_range = frame.groupby(np.clip((values[finite] * bins).astype(np.int64), 0, bins - 1))
    table = by_range.mean()
    numbers = table.index.to_numpy()
    table.insert(0, "low", numbers / bins)
    table.insert(1, "high", (numbers + 1) / bins)
    table.insert(2, "examples", by_range.size())
    return table.reset_index(drop=True)


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> float:
    """Return the mean difference between confidence and accuracy, 0 to 1; 0 for no rows. Arguments as `reliability`.

    Source: https://arxiv.org/abs/1706.04599.
    """
    table = reliability(confidence, correct, bins)
    differences = (table["confidence"] - table["accuracy"]).abs() * table["examples"]
    return float(differences.sum() / max(table["examples"].sum(), 1))


def _has_scores(logits: ArrayLike | None, rows: int) -> NDArray[np.bool_]:
    """Return (n,) whether a row has scores, all of them finite."""
    return np.zeros(rows, bool) if logits is None else np.asarray(np.isfinite(np.asarray(logits)).all(axis=1))


def _log_scores(logits: ArrayLike | None, rows: NDArray[np.bool_]) -> Scores:
    """Return (m, k) the log softmax of the scores of these rows; (0, 1) if there is no model."""
    from scipy.special import log_softmax

    return np.empty((0, 1)) if logits is None else log_softmax(np.asarray(logits, np.float64)[rows], axis=-1)


def _softmax(scores: Scores) -> Scores:
    from scipy.special import softmax

    return np.asarray(softmax(scores, axis=-1))


def _fit_weights(scores: list[Scores], codes: NDArray[np.int64], fallback: list[float]) -> list[float]:
    """Return the weights of the sum of these scores, 0 or more, with the least negative log likelihood.

    Args:
        scores: log scores of each model, (m, k) each.
        codes: (m,) true labels.
        fallback: weights to return if there are too few rows.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    if len(codes) < MIN_ROWS:
        return fallback
    units = np.array([values.std() or 1.0 for values in scores])  # so that bounds and steps suit any scale
    stack = np.stack([values / unit for values, unit in zip(scores, units, strict=True)])  # (weights, m, k)
    rows, labels = stack.shape[1:]
    targets = np.full((rows, labels), 1 / (rows + labels))
    targets[np.arange(rows), codes] += rows / (rows + labels)

    def loss_and_gradient(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logs = log_softmax(np.tensordot(weights, stack, axes=1), axis=-1)
        gradient = np.tensordot(stack, np.exp(logs) - targets, axes=2) / rows
        return float(-(targets * logs).sum() / rows), gradient

    bounds = [(0.0, MAX_WEIGHT)] * len(units)
    result = minimize(loss_and_gradient, np.asarray(fallback) * units, jac=True, bounds=bounds)
    return [float(weight) for weight in result.x / units]


def _effective_share(groups: NDArray[Any]) -> NDArray[np.float64]:
    """Return (n,) by which share the first 1, 2, ..., n rows count: m / Σ n² of m rows with n of each group."""
    codes = pd.Series(groups)
    earlier = codes.groupby(codes).cumcount().to_numpy()  # Σ n² grows by (n + 1)² - n² with each row
    return np.arange(1.0, len(codes) + 1) / np.cumsum(2 * earlier + 1)
