"""Compute accuracy, macro F1, the scores of each label and the confusion matrix of a classifier's predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ClassificationReport:
    """Scores of predictions.

    Attributes:
        examples: number of predictions.
        accuracy: share of correct predictions; NaN if there are none.
        macro_f1: mean F1 of the labels that occur in the examples, each with the same weight; NaN if there are none.
        per_label: label, precision, recall, f1 (0 for a label that was never predicted), support (number of examples).
        confusion: number of examples by true label (index) and predicted label (columns).
    """

    examples: int
    accuracy: float
    macro_f1: float
    per_label: pd.DataFrame
    confusion: pd.DataFrame


def classification_report(
    truth: NDArray[np.int64], probabilities: NDArray[np.floating], labels: Sequence[str]
) -> ClassificationReport:
    """Return the scores of predictions; rows with NaN have no prediction and are left out.

    Args:
        truth: (n,) codes of the true labels.
        probabilities: (n, k); each row sums to 1 or is NaN.
        labels: the k names.
    """
    from sklearn.metrics import precision_recall_fscore_support

    rows = np.isfinite(probabilities).all(axis=1)
    actual, predicted = truth[rows], probabilities[rows].argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), int)
    np.add.at(confusion, (actual, predicted), 1)
    scores = np.zeros((4, len(labels)))
    if len(actual):  # scikit-learn does not accept empty arrays
        scores = np.array(
            precision_recall_fscore_support(actual, predicted, labels=np.arange(len(labels)), zero_division=0)
        )
    precision, recall, f1, support = scores
    return ClassificationReport(
        examples=len(actual),
        accuracy=float((predicted == actual).mean()) if len(actual) else float("nan"),
        macro_f1=float(f1[support > 0].mean()) if len(actual) else float("nan"),
        per_label=pd.DataFrame(
            {"label": list(labels), "precision": precision, "recall": recall, "f1": f1, "support": support.astype(int)}
        ),
        confusion=pd.DataFrame(confusion, index=list(labels), columns=list(labels)),
    )
