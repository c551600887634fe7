"""The classifier: trained once for the same examples and recipe, then asked about each product once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.core.errors import TrainingError
from recsys.models.classifier import ledger, registry
from recsys.storage.store import Shard, Store
from tasks import policy

if TYPE_CHECKING:
    from recsys.models.classifier.label_model import LabelModel


@task(task_run_name="classifier: training", **policy.FRESH)
def train_classifier(
    home: str, configuration: Configuration, catalogue_digest: str | None = None
) -> registry.Classifier:
    """Train the classifier, unless the same examples and recipe did so before."""
    model = registry.train(Store(home), configuration, _epoch_ended, str(flow_run.id), catalogue_digest)
    progress.finish("classifier", f"{model.version}, version {model.registered} in MLflow")
    threshold = "none is sure enough: nothing is filled" if model.threshold is None else f"{model.threshold:.3f}"
    create_markdown_artifact(
        key="classifier",
        markdown=(
            f"- **Model:** `{model.version}`, `category-classifier` version {model.registered}\n"
            f"- **MLflow run:** `{model.run_id}`\n- **Least confidence that fills a label:** {threshold}\n"
        ),
        description="The classifier that fills missing labels.",
    )
    return model


@task(task_run_name="classifier: at hand", **policy.FRESH)
def classifier_at_hand(home: str, configuration: Configuration, train: bool = True) -> registry.Classifier | None:
    """Return the classifier of the configured recipe and the shop's labels, trained where there is none yet.

    None where it may not be trained, and, said and not raised, where the shop has too little to learn from.
    """
    model = registry.current_classifier(home)
    if registry.is_up_to_date(Store(home), configuration, model):
        return model
    if not train:
        return None
    try:
        return train_classifier(home, configuration)
    except TrainingError as error:
        progress.finish("classifier", "not trained")
        progress.note(f"{error}; labels that are missing stay so")
        return None


@task(task_run_name="predictions: what is missing", **policy.FRESH)
def missing_predictions(home: str, configuration: Configuration, model: registry.Classifier) -> list[Shard]:
    """Ask the store which products the classifier at hand has not judged as they are now."""
    return ledger.missing(Store(home), configuration, model.version)


@task(**policy.SHARD)
def predict_labels(
    home: str, shard: Shard, configuration: Configuration, model: registry.Classifier
) -> ledger.PredictionCounts:
    """Judge a shard of products."""
    counts = ledger.predict_shard(Store(home), shard, configuration, _loaded(home, model.version))
    progress.advance(shard.stage, len(shard.keys))
    return counts


@functools.lru_cache(maxsize=1)
def _loaded(home: str, version: str) -> LabelModel:
    return registry.load_classifier(home, version)


def _epoch_ended(epoch: int, figures: dict[str, float]) -> None:
    told = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    get_run_logger().debug("epoch %s: %s", epoch, told)
