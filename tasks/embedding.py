"""The embedding: train it, embed the pictures, make it serve."""

from pathlib import Path

import pandas as pd
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.core.errors import TrainingError
from recsys.lifecycle import promotion
from recsys.models.embedding import ledger, serving, words
from recsys.models.embedding.serving import Model
from recsys.storage import object_store
from recsys.storage.shards import Shard
from recsys.storage.store import Store
from tasks import events, policy
from tasks.artifacts import save_table
from tasks.events import log_epoch, training_log

SHOWN_METRICS = ("precision", "map_at_r", "view")
"""Metrics of the scoreboard that the artifact shows; MLflow has all."""


@task(task_run_name="embedding: training", **policy.UNCACHED)
def train_embedding(home: str, configuration: Configuration, catalogue_digest: str | None = None) -> promotion.Outcome:
    """Train an embedding, unless it was trained with the same pictures and recipe before, and apply the gate.

    Emits the event `challenger.refused` for a new embedding that fails the gate.
    """
    store = Store(home)
    with training_log():
        outcome = promotion.train(store, configuration, log_epoch, str(flow_run.id), catalogue_digest)
    model = outcome.model
    progress.finish("embedding", f"{model.version}, version {model.registered} in MLflow")
    progress.note(f"embedding {model.version} {model.reason}" + ("" if outcome.new else " (trained before)"))
    _save_artifacts(home, model)
    if outcome.new and not model.promoted:
        payload = {"version": model.version, "reason": model.reason, "mlflow_run": model.run_id}
        events.emit(events.REFUSED, store, payload)
    return outcome


@task(task_run_name="embedding: which one serves", **policy.UNCACHED)
def embedding_to_serve(home: str, configuration: Configuration, train: bool = True) -> Model | None:
    """Return the embedding that should serve: a challenger that passed the gate, else the champion.

    Trains one first, unless `train` is False, if the configured recipe has none yet. Returns None for the raw backbone;
    if the shop has too few examples, a note has the reason. A note also says if the champion sees another encoder than
    the configured one.
    """
    if train and promotion.wanted(Store(home), configuration):
        try:
            train_embedding(home, configuration)
        except TrainingError as error:
            progress.finish("embedding", "not trained")
            progress.note(f"{error}; the previous embedding keeps serving")
    if accepted := serving.challenger(home, configuration):
        return accepted
    if note := serving.encoder_note(home, configuration):
        progress.note(note)
    return serving.champion(home, configuration)


@task(task_run_name="embeddings: what is missing", **policy.UNCACHED)
def missing_embeddings(home: str, configuration: Configuration, model: Model | None) -> list[Shard]:
    """Return shards of the pictures that lack an embedding by this model; none for the raw backbone."""
    return ledger.missing(Store(home), configuration, model)


@task(**policy.cached_shard(ledger.embed_shard))
def embed_pictures(home: str, shard: Shard, configuration: Configuration, model: Model) -> ledger.EmbeddingCounts:
    """Compute the embeddings of a shard of pictures."""
    counts = ledger.embed_shard(Store(home), shard, configuration, model)
    progress.advance(shard.stage, len(shard.keys))
    get_run_logger().info("%s: %s", shard, counts)
    return counts


@task(task_run_name="words: what is missing", **policy.UNCACHED)
def missing_words(home: str, configuration: Configuration, model: Model | None) -> list[Shard]:
    """Return shards of the products whose words lack a vector by this model."""
    return words.missing(Store(home), configuration, model)


@task(**policy.cached_shard(words.embed_words))
def embed_words(home: str, shard: Shard, configuration: Configuration, model: Model) -> words.WordCounts:
    """Compute the vectors of the words of a shard of products."""
    counts = words.embed_words(Store(home), shard, configuration, model)
    progress.advance(shard.stage, len(shard.keys))
    get_run_logger().info("%s: %s", shard, counts)
    return counts


@task(task_run_name="embedding: serve", **policy.UNCACHED)
def serve_embedding(home: str, configuration: Configuration, model: Model | None) -> None:
    """Make a model serve whose tables are complete."""
    if model is not None:
        promotion.serve(Store(home), configuration, model)


def _save_artifacts(home: str, model: Model) -> None:
    """Save the decision of the gate and the scoreboard as artifacts of the flow run."""
    create_markdown_artifact(
        key="embedding",
        markdown=(
            f"- **Model:** `{model.version}`, `product-embedding` version {model.registered}, recipe `{model.recipe}`\n"
            f"- **Sees:** {model.input}\n- **Gate:** {model.reason}\n- **MLflow run:** `{model.run_id}`\n"
        ),
        description="The trained embedding, and whether it may serve.",
    )
    folder = serving.folder(home) / model.version
    for name in (promotion.GATE, promotion.SCOREBOARD):
        object_store.download(Path(home), folder / name)
    gate, scoreboard = pd.read_csv(folder / promotion.GATE), pd.read_csv(folder / promotion.SCOREBOARD)
    save_table("embedding-gate", gate, "Figures of the challenger and of the embedding that served.")
    shown = scoreboard[scoreboard["metric"].isin(SHOWN_METRICS)]
    save_table("embedding-scoreboard", shown, "Figures of all models on the same held-out queries.")
