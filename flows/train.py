"""The models, trained on the shop as it is now, and what follows of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from prefect import flow
from prefect.runtime import flow_run

from flows.recommend import fill_labels, put_in_service
from flows.stages import alone, over_shards
from recsys.core.configuration import Configuration, load
from tasks.classifier import train_classifier
from tasks.embedding import embed_pictures, missing_embeddings, train_embedding

What = Literal["classifier", "embedding"]
BOTH: tuple[What, ...] = ("classifier", "embedding")


def _named() -> str:
    return f"train {' and '.join(flow_run.parameters['what'])}"


@flow(name="train", flow_run_name=_named, persist_result=True)
def train(
    home: str,
    what: Sequence[What] = BOTH,
    flags: dict[str, Any] | None = None,
    catalogue_digest: str | None = None,
) -> dict[str, int]:
    """Train models: the classifier fills missing labels where it is sure enough; the gate decides on the embedding.

    Args:
        home: the folder that holds everything of the shop.
        what: classifier, embedding, or both.
        flags: configuration that outranks the home's file and the environment.
        catalogue_digest: of the update that it is for, as the event `catalogue.updated` tells it; a tag in MLflow.

    Returns:
        How many models were trained, and how many predictions and labels, embeddings and recommendations were
        written: 0 when there was nothing to do.
    """
    configuration = load(Path(home), flags)
    done = {}
    with alone(home, configuration):
        if "classifier" in what:
            classifier = train_classifier(home, configuration, catalogue_digest)
            done["labels"] = fill_labels(home, configuration, classifier)
        if "embedding" in what:
            done |= challenge(home, configuration, catalogue_digest)
    return done


def challenge(home: str, configuration: Configuration, catalogue_digest: str | None = None) -> dict[str, int]:
    """The process that trains an embedding and has it serve if it passes the gate."""
    trained = train_embedding(home, configuration, catalogue_digest)
    done = {"models": int(trained.new)}
    if trained.waits:
        done["embeddings"] = over_shards(missing_embeddings, embed_pictures, home, configuration, model=trained.model)
        done["recommendations"] = put_in_service(home, configuration, trained.model)
    return done
