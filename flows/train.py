"""The classifier, trained on the shop as it is now, and the labels that follow of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow

from flows.recommend import fill_labels
from recsys.configuration import load
from tasks.classifier import train_classifier


@flow(name="train", flow_run_name="train the classifier", persist_result=True)
def train(home: str, flags: dict[str, Any] | None = None) -> dict[str, int]:
    """Train the classifier, judge every product by it, and fill missing labels where it is sure enough.

    Args:
        home: the folder that holds everything of the shop.
        flags: configuration that outranks the home's file and the environment.

    Returns:
        How many predictions and labels were written: 0 when there was nothing to do.
    """
    configuration = load(Path(home), flags)
    return {"labels": fill_labels(home, configuration, train_classifier(home, configuration))}
