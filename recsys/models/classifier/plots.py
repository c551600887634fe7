"""Draw the confusion matrix and the reliability diagram of a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.models.classifier.calibration import expected_calibration_error, reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NUMBERED = 30
"""Number of labels up to which the cells of the confusion matrix show their counts."""

LONGEST_LABEL = 26
"""Length to which labels are cut, characters."""


def confusion_plot(confusion: pd.DataFrame) -> bytes:
    """Return a confusion matrix as a PNG: one row per true label, shaded by the share of each predicted label.

    Args:
        confusion: counts, see `ClassificationReport`.
    """
    from matplotlib.figure import Figure

    from recsys.core.plotting import png

    side = float(np.clip(0.42 * len(confusion), 3, 12))  # inches of the matrix
    left, top, margin = 2.2, 2.0, 0.3
    width, height = left + side + margin, top + side + margin
    figure = Figure(figsize=(width, height), dpi=130, facecolor="white")
    axes = figure.add_axes((left / width, margin / height, side / width, side / height))
    _draw_confusion(axes, confusion)
    return png(figure)


def _draw_confusion(axes: Axes, confusion: pd.DataFrame) -> None:
    from recsys.core.plotting import INK, MUTED, printable

    labels = [_shorten(printable(str(label))) for label in confusion.index]
    counts = confusion.to_numpy()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="GnBu", vmin=0, vmax=1)
    if len(labels) <= MOST_NUMBERED:
        for row, column in np.argwhere(counts > 0):
            shade = "white" if shares[row, column] > 0.6 else INK
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=7, color=shade)
    style: dict[str, Any] = {"fontsize": 8, "color": INK, "parse_math": False}
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="left", rotation_mode="anchor", **style)
    axes.set_yticks(range(len(labels)), labels, **style)
    axes.xaxis.tick_top()
    axes.set_ylabel("label", color=MUTED, fontsize=8)
    axes.set_xlabel("predicted", color=MUTED, fontsize=8)
    axes.xaxis.set_label_position("bottom")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def reliability_plot(confidence: NDArray[np.floating], correct: NDArray[np.bool_]) -> bytes:
    """Return a reliability diagram as a PNG: accuracy by confidence, and the number of examples by confidence.

    Points below the diagonal show overconfidence. Arguments as `reliability`.
    """
    from matplotlib.figure import Figure

    from recsys.core.plotting import INK, MUTED, RULE, SCORE_COLOURS, png

    bins = reliability(confidence, correct)
    figure = Figure(figsize=(4.6, 5.4), dpi=130, facecolor="white")
    accuracy = figure.add_axes((0.14, 0.34, 0.82, 0.6))
    accuracy.plot([0, 1], [0, 1], color=RULE, linewidth=1.5, zorder=1)
    accuracy.plot(bins["confidence"], bins["accuracy"], color=SCORE_COLOURS["visual"], marker="o", ms=5, zorder=2)
    accuracy.set(xlim=(0, 1.02), ylim=(0, 1.02))
    accuracy.set_ylabel("accuracy", color=INK, fontsize=9)
    error = expected_calibration_error(confidence, correct)
    accuracy.set_title(f"Expected calibration error {error:.3f}", fontsize=10, color=INK, loc="left")
    examples = figure.add_axes((0.14, 0.1, 0.82, 0.17), sharex=accuracy)
    width = bins["high"] - bins["low"]
    examples.bar(bins["low"] + width / 2, bins["examples"], width=0.9 * width, color=SCORE_COLOURS["visual"])
    examples.set_ylabel("examples", color=INK, fontsize=9)
    examples.set_xlabel("confidence", color=INK, fontsize=9)
    for axes in (accuracy, examples):
        axes.tick_params(labelsize=8, colors=MUTED, length=2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(RULE)
    return png(figure)


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"
