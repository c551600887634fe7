"""Tables of the MLflow record of a classifier's training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.models.classifier.label_model import prediction_table
from recsys.models.classifier.training_record import note_on_unevaluated, worst_mistakes

LABELS = ("Bags", "Shoes", "Watches")


def test_the_most_confident_mistake_comes_first_and_names_its_product() -> None:
    rows = pd.DataFrame({"product_id": ["p0", "p1", "p2", "p3"], "name": ["a", "b", "c", "d"], "image_digest": None})
    rows["label"] = ["Bags", "Bags", "Shoes", "Shoes"]
    probabilities = np.array([[0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0.95, 0.03, 0.02], [1 / 3] * 3])
    sources = np.array(["both", "both", "text", "none"], dtype=object)  # the last was never held out
    mistakes = worst_mistakes(rows, prediction_table(probabilities, sources, LABELS))
    assert mistakes["product_id"].tolist() == ["p2", "p0"]
    assert mistakes[["label", "predicted"]].to_numpy().tolist() == [["Shoes", "Bags"], ["Bags", "Shoes"]]
    assert mistakes["confidence"].tolist() == pytest.approx([0.95, 0.7])


def test_the_note_names_eight_labels_without_an_evaluation() -> None:
    assert note_on_unevaluated(["Pens"]).startswith("no evaluation for the labels 'Pens': ")
    assert "'label 7' and 2 more: " in note_on_unevaluated([f"label {number}" for number in range(10)])
