"""Train the models on the shop's current data, and update what depends on them."""

from collections.abc import Sequence
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from flows import Trainable
from flows.process import fill_labels, recommend_and_serve
from flows.stages import exclusive_home, run_stage
from recsys.core.configuration import Configuration
from tasks.classifier import train_classifier
from tasks.embedding import (
    embed_pictures,
    embed_words,
    embedding_to_serve,
    missing_embeddings,
    missing_words,
    train_embedding,
)

BOTH: tuple[Trainable, ...] = ("classifier", "embedding")


def _run_name() -> str:
    return f"train {' and '.join(flow_run.parameters['what'])}"


@flow(name="train", flow_run_name=_run_name, persist_result=True)
def train(
    home: str,
    what: Sequence[Trainable] = BOTH,
    flags: dict[str, Any] | None = None,
    catalogue_digest: str | None = None,
) -> dict[str, int]:
    """Train models: the classifier fills missing labels where it is confident; the gate decides on the embedding.

    Args:
        home: the folder with all data of the shop.
        what: the models to train: classifier, embedding, or both.
        flags: configuration that overrides the home's file and the environment.
        catalogue_digest: of the catalogue update that triggered the training, from the event `catalogue.updated`; a
            tag in MLflow.

    Returns:
        The number of trained models, of predictions and labels, of embeddings, and of products with new
        recommendations; 0 if there was nothing to do.
    """
    done = {}
    with exclusive_home(home, flags) as configuration:
        if "classifier" in what:
            classifier = train_classifier(home, configuration, catalogue_digest)
            done["labels"] = fill_labels(home, configuration, classifier)
        if "embedding" in what:
            done |= train_and_promote_embedding(home, configuration, catalogue_digest)
    return done


def train_and_promote_embedding(
    home: str, configuration: Configuration, catalogue_digest: str | None = None
) -> dict[str, int]:
    """Train an embedding, and make it serve if it passes the gate."""
    outcome = train_embedding(home, configuration, catalogue_digest)
    done = {"models": int(outcome.new)}
    if outcome.waits:
        done["embeddings"] = run_stage(missing_embeddings, embed_pictures, home, configuration, model=outcome.model)
        done["embeddings"] += run_stage(missing_words, embed_words, home, configuration, model=outcome.model)
        done["recommendations"] = recommend_and_serve(home, configuration, outcome.model)
    else:
        embedding_to_serve(home, configuration, train=False)  # notes if the champion sees another encoder
    return done
