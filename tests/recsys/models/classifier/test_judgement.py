"""What predictions are worth: right figures for known predictions, and pictures of them."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from recsys.models.classifier.judgement import confusion_picture, judge, reliability_picture

LABELS = ("Bags", "Shoes", "Watches")
TRUTH = np.array([0, 0, 0, 1, 1, 1, 0])
PROBABILITIES = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.6, 0.3, 0.1],
        [0.2, 0.7, 0.1],  # a bag taken for a shoe
        [0.05, 0.9, 0.05],
        [0.95, 0.03, 0.02],  # a shoe taken for a bag, and surer
        [0.1, 0.8, 0.1],
        [np.nan] * 3,  # was not predicted
    ]
)


def test_the_figures_are_those_of_the_rows_that_were_predicted() -> None:
    judgement = judge(TRUTH, PROBABILITIES, LABELS)
    assert judgement.examples == 6
    assert judgement.accuracy == pytest.approx(4 / 6)
    assert judgement.confusion.loc["Bags"].tolist() == [2, 1, 0]
    assert judgement.confusion.loc["Shoes"].tolist() == [1, 2, 0]
    figures = judgement.per_label.set_index("label")
    assert figures.loc["Bags", ["precision", "recall", "f1"]].tolist() == pytest.approx([2 / 3] * 3)
    assert figures["support"].tolist() == [3, 3, 0]
    assert not figures.loc["Watches"].any()


def test_a_label_that_no_example_has_does_not_lower_the_macro_f1() -> None:
    assert judge(TRUTH, PROBABILITIES, LABELS).macro_f1 == pytest.approx(2 / 3)


def test_the_most_confident_mistake_comes_first_and_names_its_row() -> None:
    mistakes = judge(TRUTH, PROBABILITIES, LABELS).mistakes
    assert mistakes["row"].tolist() == [4, 2]
    assert mistakes.loc[0, ["label", "predicted"]].tolist() == ["Shoes", "Bags"]
    assert mistakes.loc[0, ["confidence", "label_confidence"]].tolist() == pytest.approx([0.95, 0.03])


def test_nothing_predicted_has_no_figures_and_still_pictures() -> None:
    nothing = judge(TRUTH, np.full((7, 3), np.nan), LABELS)
    assert nothing.examples == 0 and np.isnan(nothing.accuracy) and nothing.mistakes.empty
    opened(confusion_picture(nothing.confusion))
    opened(reliability_picture(TRUTH, np.full((7, 3), np.nan)))


@pytest.mark.parametrize("k", [1, 2, 20, 45])
def test_any_number_of_labels_in_any_script_has_pictures(k: int) -> None:
    labels = [f"$卡片 {'long ' * 9}{number}" for number in range(k)]
    random = np.random.default_rng(k)
    probabilities = random.dirichlet(np.ones(k), 200)
    truth = random.integers(0, k, 200)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        confusion = opened(confusion_picture(judge(truth, probabilities, labels).confusion))
        opened(reliability_picture(truth, probabilities))
    assert max(confusion.size) < 2_000


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == "PNG"
    return image
