"""The classifier: train it, predict the labels of products."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.core.errors import TrainingError
from recsys.models.classifier import ledger, registry
from recsys.storage.shards import Shard
from recsys.storage.store import Store
from tasks import policy
from tasks.events import log_epoch, training_log

if TYPE_CHECKING:
    from recsys.models.classifier.label_model import LabelModel


@task(task_run_name="classifier: training", **policy.UNCACHED)
def train_classifier(
    home: str, configuration: Configuration, catalogue_digest: str | None = None
) -> registry.Classifier:
    """Train the classifier, unless it was trained with the same examples and recipe before."""
    with training_log():
        classifier = registry.train(Store(home), configuration, log_epoch, str(flow_run.id), catalogue_digest)
    progress.finish("classifier", f"{classifier.version}, version {classifier.registered} in MLflow")
    threshold = classifier.threshold
    create_markdown_artifact(
        key="classifier",
        markdown=(
            f"- **Model:** `{classifier.version}`, `category-classifier` version {classifier.registered}\n"
            f"- **MLflow run:** `{classifier.run_id}`\n"
            "- **Lowest confidence that fills a label:** "
            f"{'not reached by any product, so no label is filled' if threshold is None else f'{threshold:.3f}'}\n"
        ),
        description="The classifier that fills missing labels.",
    )
    return classifier


@task(task_run_name="classifier: current", **policy.UNCACHED)
def current_classifier(home: str, configuration: Configuration, train: bool = True) -> registry.Classifier | None:
    """Return the classifier for the configured recipe and the shop's labels; train it if there is none.

    Returns None if there is none and `train` is False, or if the shop has too few examples; a note has the reason.
    """
    classifier = registry.current_classifier(home)
    if registry.is_up_to_date(Store(home), configuration, classifier):
        return classifier
    if not train:
        return None
    try:
        return train_classifier(home, configuration)
    except TrainingError as error:
        progress.finish("classifier", "not trained")
        progress.note(f"{error}; missing labels stay missing")
        return None


@task(task_run_name="predictions: what is missing", **policy.UNCACHED)
def missing_predictions(home: str, configuration: Configuration, classifier: registry.Classifier) -> list[Shard]:
    """Return shards of the products that lack a prediction by this classifier on their current data."""
    return ledger.missing(Store(home), configuration, classifier.version)


@task(**policy.cached_shard(ledger.predict_shard, registry.load_classifier))
def predict_labels(
    home: str, shard: Shard, configuration: Configuration, classifier: registry.Classifier
) -> ledger.PredictionCounts:
    """Predict the labels of a shard of products."""
    counts = ledger.predict_shard(Store(home), shard, configuration, _load_classifier(home, classifier.version))
    progress.advance(shard.stage, len(shard.keys))
    return counts


@functools.lru_cache(maxsize=1)
def _load_classifier(home: str, version: str) -> LabelModel:
    return registry.load_classifier(home, version)
