"""Scores of known predictions, and the plots of a classifier."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from recsys.models.classifier.classification_report import classification_report
from recsys.models.classifier.plots import confusion_plot, reliability_plot

LABELS = ("Bags", "Shoes", "Watches")
TRUTH = np.array([0, 0, 0, 1, 1, 1, 0])
PROBABILITIES = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.6, 0.3, 0.1],
        [0.2, 0.7, 0.1],  # a bag predicted as a shoe
        [0.05, 0.9, 0.05],
        [0.95, 0.03, 0.02],  # a shoe predicted as a bag, with more confidence
        [0.1, 0.8, 0.1],
        [np.nan] * 3,  # not predicted
    ]
)


def test_rows_without_a_prediction_are_left_out() -> None:
    report = classification_report(TRUTH, PROBABILITIES, LABELS)
    assert report.examples == 6
    assert report.accuracy == pytest.approx(4 / 6)
    assert report.confusion.loc["Bags"].tolist() == [2, 1, 0]
    assert report.confusion.loc["Shoes"].tolist() == [1, 2, 0]
    scores = report.per_label.set_index("label")
    assert scores.loc["Bags", ["precision", "recall", "f1"]].tolist() == pytest.approx([2 / 3] * 3)
    assert scores["support"].tolist() == [3, 3, 0]
    assert not scores.loc["Watches"].any()


def test_a_label_without_examples_does_not_lower_the_macro_f1() -> None:
    assert classification_report(TRUTH, PROBABILITIES, LABELS).macro_f1 == pytest.approx(2 / 3)


def test_without_predictions_there_are_no_scores_and_still_plots() -> None:
    report = classification_report(TRUTH, np.full((7, 3), np.nan), LABELS)
    assert report.examples == 0 and np.isnan(report.accuracy) and not report.confusion.to_numpy().any()
    open_png(confusion_plot(report.confusion))
    open_png(reliability_plot(np.empty(0), np.empty(0, bool)))


@pytest.mark.parametrize("k", [1, 2, 20, 45])
def test_any_number_of_labels_in_any_script_can_be_plotted(k: int) -> None:
    labels = [f"$卡片 {'long ' * 9}{number}" for number in range(k)]
    random = np.random.default_rng(k)
    probabilities = random.dirichlet(np.ones(k), 200)
    truth = random.integers(0, k, 200)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        confusion = open_png(confusion_plot(classification_report(truth, probabilities, labels).confusion))
        open_png(reliability_plot(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth))
    assert max(confusion.size) < 2_000


def open_png(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == "PNG"
    return image
