"""How good a classifier is: figures, tables and pictures, from predictions of what it did not see.

judge                accuracy, macro F1, each label's figures, who is taken for whom, the worst mistakes
confusion_picture    given label against predicted label
reliability_picture  how often it is right when it says that it is 90 % sure
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.models.classifier.calibration import expected_calibration_error, reliability

NUMBERED = 30
"""Labels up to which the confusion picture has its numbers written in."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What predictions are worth.

    Attributes:
        examples: how many were judged.
        accuracy: share that is right.
        macro_f1: the mean F1 of the labels that the examples have, each weighing the same.
        per_label: label, precision, recall, f1 (0 where it was never predicted), support (examples that have it).
        confusion: counts; the index is the given label, the columns are the predicted ones.
        mistakes: row (of the arrays that were judged), label, predicted, confidence (in the wrong label),
            label_confidence (in the given one); the most confident mistake first.
    """

    examples: int
    accuracy: float
    macro_f1: float
    per_label: pd.DataFrame
    confusion: pd.DataFrame
    mistakes: pd.DataFrame


def judge(truth: NDArray[np.int64], probabilities: NDArray[np.floating], labels: Sequence[str]) -> Judgement:
    """Return what predictions are worth; rows that hold NaN were not predicted and are left out.

    Args:
        truth: (n,) codes of the given labels.
        probabilities: (n, k), each row's sum 1 or all NaN.
        labels: the k names.
    """
    from sklearn.metrics import precision_recall_fscore_support

    rows = _judged(probabilities)
    given, p = np.asarray(truth)[rows], np.asarray(probabilities)[rows]
    codes = np.arange(len(labels))
    predicted = p.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), int)
    np.add.at(confusion, (given, predicted), 1)
    figures = np.zeros((4, len(labels)))
    if len(rows):
        figures = np.array(precision_recall_fscore_support(given, predicted, labels=codes, zero_division=0))
    precision, recall, f1, support = figures
    wrong = np.flatnonzero(predicted != given)
    mistakes = pd.DataFrame(
        {
            "row": rows[wrong],
            "label": np.asarray(labels, object)[given[wrong]],
            "predicted": np.asarray(labels, object)[predicted[wrong]],
            "confidence": p[wrong, predicted[wrong]].astype(float),
            "label_confidence": p[wrong, given[wrong]].astype(float),
        }
    )
    return Judgement(
        examples=len(rows),
        accuracy=float((predicted == given).mean()) if len(rows) else float("nan"),
        macro_f1=float(f1[support > 0].mean()) if len(rows) else float("nan"),
        per_label=pd.DataFrame(
            {"label": list(labels), "precision": precision, "recall": recall, "f1": f1, "support": support.astype(int)}
        ),
        confusion=pd.DataFrame(confusion, index=list(labels), columns=list(labels)),
        mistakes=mistakes.sort_values(["confidence", "row"], ascending=[False, True], ignore_index=True),
    )


def confusion_picture(confusion: pd.DataFrame) -> bytes:
    """Return the confusion matrix as a PNG: rows are given labels, shaded by the share that is predicted as what.

    Args:
        confusion: counts, as `judge` gives them.
    """
    from matplotlib.figure import Figure

    from recsys.core.plotting import INK, MUTED, png, printable

    labels = [_short(printable(str(label))) for label in confusion.index]
    counts = confusion.to_numpy()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(0.42 * len(labels), 3, 12))  # inches of the matrix
    left, top, margin = 2.2, 2.0, 0.3
    width, height = left + side + margin, top + side + margin
    figure = Figure(figsize=(width, height), dpi=130, facecolor="white")
    axes = figure.add_axes((left / width, margin / height, side / width, side / height))
    axes.imshow(shares, cmap="GnBu", vmin=0, vmax=1)
    if len(labels) <= NUMBERED:
        for row, column in np.argwhere(counts > 0):
            shade = "white" if shares[row, column] > 0.6 else INK
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=7, color=shade)
    style: dict[str, Any] = {"fontsize": 8, "color": INK, "parse_math": False}
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="left", rotation_mode="anchor", **style)
    axes.set_yticks(range(len(labels)), labels, **style)
    axes.xaxis.tick_top()
    axes.set_ylabel("given", color=MUTED, fontsize=8)
    axes.set_xlabel("predicted", color=MUTED, fontsize=8)
    axes.xaxis.set_label_position("bottom")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return png(figure)


def reliability_picture(truth: NDArray[np.int64], probabilities: NDArray[np.floating]) -> bytes:
    """Return the reliability plot as a PNG: the share that is right against the confidence, and how many are so sure.

    Points on the diagonal are honest; beneath it the model is surer than it ought to be. Arguments as `judge`.
    """
    from matplotlib.figure import Figure

    from recsys.core.plotting import INK, MUTED, RULE, SCORE_COLOURS, png

    rows = _judged(probabilities)
    p = np.asarray(probabilities)[rows]
    sure, right = p.max(axis=1, initial=0), p.argmax(axis=1) == np.asarray(truth)[rows]
    bins = reliability(sure, right)
    figure = Figure(figsize=(4.6, 5.4), dpi=130, facecolor="white")
    axes = figure.add_axes((0.14, 0.34, 0.82, 0.6))
    below = figure.add_axes((0.14, 0.1, 0.82, 0.17), sharex=axes)
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=1.5, zorder=1)
    axes.plot(bins["confidence"], bins["accuracy"], color=SCORE_COLOURS["visual"], marker="o", ms=5, zorder=2)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_ylabel("share that is right", color=INK, fontsize=9)
    axes.set_title(
        f"Expected calibration error {expected_calibration_error(sure, right):.3f}", fontsize=10, color=INK, loc="left"
    )
    width = bins["high"] - bins["low"]
    below.bar(bins["low"] + width / 2, bins["examples"], width=0.9 * width, color=SCORE_COLOURS["visual"])
    below.set_ylabel("examples", color=INK, fontsize=9)
    below.set_xlabel("confidence", color=INK, fontsize=9)
    for each in (axes, below):
        each.tick_params(labelsize=8, colors=MUTED, length=2)
        each.spines[["top", "right"]].set_visible(False)
        each.spines[["left", "bottom"]].set_color(RULE)
    return png(figure)


def _judged(probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.flatnonzero(np.isfinite(probabilities).all(axis=1))


def _short(text: str) -> str:
    return text if len(text) <= 26 else f"{text[:25]}…"
