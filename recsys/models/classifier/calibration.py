"""Scores become probabilities that mean what they say, and a probability becomes a decision: fill the label, or not.

Calibration      the scores of a picture and of a text, alone or together, to probabilities
evidence         what each row is judged by
threshold_for    from which confidence on predictions are right as often as is asked for
coverage_at      how many predictions a threshold lets through, and how many of those are right
reliability      how often predictions are right, by how sure they are
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Scores = NDArray[np.float64]

FEWEST = 30
"""Rows that a weight is fitted on, at least; of fewer, one lucky row would decide it."""

STEEPEST = 1_000.0
"""Bound of a weight, for scores of standard deviation 1; with smoothed targets it is not met in practice."""

CERTAINTY = 0.9
"""That a threshold's precision holds. Of 300 draws each of 1,000 to 20,000 simulated rows it held in 91 or 92 of 100;
the lowest threshold that reaches it on the rows at hand, without certainty, holds about every other time."""


@dataclass(frozen=True)
class Calibration:
    """How scores become probabilities: softmax(weight × scores), the weight being one over the temperature.

    A picture and a text together: softmax(a × log softmax(picture's) + b × log softmax(text's)). Weights a and b that
    were those of each alone would take picture and text for independent.

    Attributes:
        prior: (k,) probabilities of the labels of a row that has neither.
        picture: weight of a picture's scores where it is alone.
        text: weight of a text's scores where it is alone.
        both: (a, b).

    Sources: https://arxiv.org/abs/1706.04599 (temperature); Platt, Probabilistic outputs for support vector machines,
    1999 (targets smoothed by the number of rows: scores that are right on all of a few rows don't make it certain).
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
        has_picture: ArrayLike,
        has_text: ArrayLike,
        truth: ArrayLike,
        log_prior: ArrayLike | None = None,
    ) -> Calibration:
        """Return the calibration of the least negative log likelihood on rows that the models were not trained on.

        With fewer than `FEWEST` rows that have a picture, its weight is 1, and so is a text's; with fewer that have
        both, a and b are half the weights that each has alone.

        Args:
            picture_logits, text_logits: (n, k) scores, out-of-fold; None where there is no such model. Rows that lack
                the evidence may hold anything; a row with scores that are not finite counts as lacking it.
            has_picture, has_text: (n,) bool.
            truth: (n,) codes of the labels, 0 to k - 1.
            log_prior: (k,) of the labels; without it they are equally likely.

        Raises:
            ValueError: there are neither scores nor a prior.
        """
        labels = [np.shape(given)[-1] for given in (picture_logits, text_logits, log_prior) if given is not None]
        if not labels:
            raise ValueError("nothing to calibrate: there are scores of neither pictures nor texts")
        prior = np.zeros(labels[0]) if log_prior is None else np.asarray(log_prior, np.float64)
        codes = np.asarray(truth, np.int64)
        pictures, texts = _present(picture_logits, has_picture), _present(text_logits, has_text)
        picture = _weights([_scores(picture_logits, pictures)], codes[pictures], [1.0])[0]
        text = _weights([_scores(text_logits, texts)], codes[texts], [1.0])[0]
        rows = pictures & texts
        a, b = _weights(
            [_scores(picture_logits, rows), _scores(text_logits, rows)], codes[rows], [picture / 2, text / 2]
        )
        return cls(tuple(np.exp(_log_softmax(prior)).tolist()), picture, text, (a, b))

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Calibration:
        """Return the calibration whose `dataclasses.asdict` this is, also after a passage through JSON."""
        a, b = given["both"]
        return cls(tuple(given["prior"]), given["picture"], given["text"], (a, b))

    def probabilities(
        self,
        picture_logits: ArrayLike | None,
        text_logits: ArrayLike | None,
        has_picture: ArrayLike,
        has_text: ArrayLike,
    ) -> Scores:
        """Return (n, k) float64, each row's sum 1 and never NaN, by whatever `evidence` the row has.

        Arguments as of `fit`.
        """
        told = evidence(picture_logits, text_logits, has_picture, has_text)
        log_prior = np.log(np.maximum(self.prior, np.finfo(np.float64).tiny))
        scores = np.tile(log_prior, (len(told), 1))  # (n, k)
        for rows, logits, weight in (
            (told == "picture", picture_logits, self.picture),
            (told == "text", text_logits, self.text),
        ):
            scores[rows] = weight * _scores(logits, rows)
        rows = told == "both"
        scores[rows] = self.both[0] * _scores(picture_logits, rows) + self.both[1] * _scores(text_logits, rows)
        return _softmax(scores)


def evidence(
    picture_logits: ArrayLike | None, text_logits: ArrayLike | None, has_picture: ArrayLike, has_text: ArrayLike
) -> NDArray[np.object_]:
    """Return (n,) what each row is judged by: `picture`, `text`, `both` or `none`. Arguments as of `Calibration.fit`.

    What is judged by `none` has the prior's probabilities, however high: it says nothing about the row.
    """
    pictures, texts = _present(picture_logits, has_picture), _present(text_logits, has_text)
    words = np.array(["none", "picture", "text", "both"], dtype=object)
    return words[pictures + 2 * texts.astype(np.int64)]


def threshold_for(
    confidence: ArrayLike,
    correct: ArrayLike,
    precision: float = 0.99,
    *,
    groups: ArrayLike | None = None,
    certainty: float = CERTAINTY,
    minimum: int = FEWEST,
) -> float | None:
    """Return the lowest confidence from which on the precision is reached with certainty; None where none is.

    The lowest threshold that happens to reach it on the validation rows would miss it on new ones as often as not, and
    the more so the fewer the rows. So it is the lower confidence bound (Clopper and Pearson's) that has to reach it:
    0.99 at a certainty of 0.9 takes 230 predictions, all of them right.

    Args:
        confidence: (n,) of predictions for rows that the model was not trained on.
        correct: (n,) bool, whether they are right.
        precision: share that is to be right of those at the threshold or above.
        groups: (n,) codes of what stands or falls together, such as the rows of one name and brand: 65 of one name
            that are wrong come 65 at a time. So m rows with n of each group count as m² / Σ n² rows (Kish, Survey
            Sampling, 1965). Without groups each row counts.
        certainty: probability that the precision holds on new rows.
        minimum: rows at or above the threshold, at least.
    """
    from scipy.special import betainc

    sure, right = _finite(confidence, correct)
    order = np.argsort(-sure, kind="stable")
    sure = sure[order]
    rows, errors = np.arange(1.0, len(sure) + 1), np.cumsum(1 - right[order])
    if groups is not None:
        codes = pd.Series(np.asarray(groups)[np.isfinite(np.asarray(confidence, np.float64))][order])
        before = codes.groupby(codes).cumcount().to_numpy()  # Σ n² grows by (n + 1)² - n² with a row
        share = rows / np.cumsum(2 * before + 1)
        rows, errors = rows * share, errors * share
    # The bound is at least the precision when so few errors are this unlikely at that precision.
    reached = betainc(rows - errors, errors + 1, precision) <= 1 - certainty
    whole = np.append(sure[1:] < sure[:-1], True)[: len(sure)]  # a threshold can't part equal confidences
    found = np.flatnonzero(reached & whole & (np.arange(len(sure)) >= minimum - 1))
    return float(sure[found[-1]]) if len(found) else None


class Coverage(NamedTuple):
    """What a threshold lets through.

    Attributes:
        coverage: share of the rows at the threshold or above.
        precision: share of those that is right; NaN where there are none.
    """

    coverage: float
    precision: float


def coverage_at(confidence: ArrayLike, correct: ArrayLike, threshold: float | None) -> Coverage:
    """Return how many predictions a threshold lets through, and how many of those are right.

    Args:
        confidence: (n,) one that is not finite is below any threshold.
        correct: (n,) bool.
        threshold: None lets nothing through.
    """
    sure = np.asarray(confidence, np.float64)
    through = np.zeros(len(sure), bool) if threshold is None else np.isfinite(sure) & (sure >= threshold)
    if not through.any():
        return Coverage(0.0, float("nan"))
    return Coverage(float(through.mean()), float(np.asarray(correct, bool)[through].mean()))


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Return for each range of confidence how many predictions are in it, how sure they are and how many are right.

    Args:
        confidence: (n,) from 0 to 1; what is not finite is left out.
        correct: (n,) bool.
        bins: number of ranges, equally wide.

    Returns:
        low, high (of the range), examples, confidence (mean), accuracy (share that is right); empty ranges are left
        out.
    """
    sure, right = _finite(confidence, correct)
    number = np.clip((sure * bins).astype(np.int64), 0, bins - 1)
    by_range = pd.DataFrame({"confidence": sure, "accuracy": right}).groupby(number)
    table = by_range.mean()
    numbers = table.index.to_numpy()
    table.insert(0, "low", numbers / bins)
    table.insert(1, "high", (numbers + 1) / bins)
    table.insert(2, "examples", by_range.size())
    return table.reset_index(drop=True)


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> float:
    """Return how far confidence and accuracy lie apart on average, 0 to 1; 0 for no rows. Arguments as `reliability`.

    Source: https://arxiv.org/abs/1706.04599.
    """
    table = reliability(confidence, correct, bins)
    apart = (table["confidence"] - table["accuracy"]).abs() * table["examples"]
    return float(apart.sum() / max(table["examples"].sum(), 1))


def _present(logits: ArrayLike | None, has: ArrayLike) -> NDArray[np.bool_]:
    """Return (n,) whether a row has scores, all of them finite."""
    given = np.asarray(has, bool)
    return np.zeros_like(given) if logits is None else given & np.isfinite(np.asarray(logits)).all(axis=1)


def _scores(logits: ArrayLike | None, rows: NDArray[np.bool_]) -> Scores:
    """Return (m, k) log softmax of these rows' scores; of no model's (0, 1), which is no row's."""
    return np.empty((0, 1)) if logits is None else _log_softmax(np.asarray(logits, np.float64)[rows])


def _log_softmax(scores: Scores) -> Scores:
    shifted = scores - scores.max(axis=-1, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _softmax(scores: Scores) -> Scores:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _weights(scores: list[Scores], codes: NDArray[np.int64], otherwise: list[float]) -> list[float]:
    """Return the weight of each of these scores in their sum, 0 or more, of the least negative log likelihood.

    Args:
        scores: each (m, k).
        codes: (m,).
        otherwise: the weights where there are too few rows.
    """
    from scipy.optimize import minimize

    if len(codes) < FEWEST:
        return otherwise
    units = np.array([each.std() or 1.0 for each in scores])  # bounds and steps for scores of any size
    stack = np.stack([each / unit for each, unit in zip(scores, units, strict=True)])  # (weights, m, k)
    rows, labels = stack.shape[1:]
    targets = np.full((rows, labels), 1 / (rows + labels))
    targets[np.arange(rows), codes] += rows / (rows + labels)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logs = _log_softmax(np.tensordot(weights, stack, axes=1))
        slope = np.tensordot(stack, np.exp(logs) - targets, axes=2) / rows
        return float(-(targets * logs).sum() / rows), slope

    found = minimize(loss, np.asarray(otherwise) * units, jac=True, bounds=[(0.0, STEEPEST)] * len(units))
    return [float(weight) for weight in found.x / units]


def _finite(confidence: ArrayLike, correct: ArrayLike) -> tuple[Scores, Scores]:
    """Return the confidences that are finite, and 1 where they are right, else 0."""
    sure = np.asarray(confidence, np.float64)
    kept = np.isfinite(sure)
    return sure[kept], np.asarray(correct, np.float64)[kept]
