"""The embedding: trained once for the same pictures and recipe, judged by the gate, then made of each picture once."""

from __future__ import annotations

from typing import Any

import pandas as pd
from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.core.errors import TrainingError
from recsys.lifecycle import promotion as registry
from recsys.models.embedding import serving
from recsys.models.embedding.serving import Model
from recsys.storage.store import Shard, Store
from tasks import events, policy

SHOWN = ("precision", "map_at_r", "view")
"""Figures of the scoreboard that the artifact shows; MLflow has all."""


@task(task_run_name="embedding: training", **policy.FRESH)
def train_embedding(home: str, configuration: Configuration, catalogue_digest: str | None = None) -> registry.Outcome:
    """Train an embedding, unless the same pictures and recipe did so before, and let the gate judge it.

    One that the gate refuses is told as the event `challenger.refused`.
    """
    store = Store(home)
    outcome = registry.train(store, configuration, _epoch_ended, str(flow_run.id), catalogue_digest)
    model = outcome.model
    progress.finish("embedding", f"{model.version}, version {model.registered} in MLflow")
    progress.note(f"embedding {model.version} {model.reason}" + ("" if outcome.new else " (trained before)"))
    _show(home, model)
    if outcome.new and not model.promoted:
        told = {"version": model.version, "reason": model.reason, "mlflow_run": model.run_id}
        events.emit(events.REFUSED, store, told)
    return outcome


@task(task_run_name="embedding: which serves", **policy.FRESH)
def embedding_to_serve(home: str, configuration: Configuration, train: bool = True) -> Model | None:
    """Return the embedding that is to serve: one that has passed the gate just now or before, else the champion.

    One is trained, if it may be, where there is none yet of the configured recipe. None is the raw backbone: said and
    not raised, where the shop has too little to learn from.
    """
    for_another = serving.passed_over(home, configuration)
    if for_another is not None:
        progress.note(for_another)
    if train and registry.wanted(Store(home), configuration):
        try:
            train_embedding(home, configuration)
        except TrainingError as error:
            progress.finish("embedding", "not trained")
            progress.note(f"{error}; what served before goes on")
    return serving.challenger(home, configuration) or serving.champion(home, configuration)


@task(task_run_name="embeddings: what is missing", **policy.FRESH)
def missing_embeddings(home: str, configuration: Configuration, model: Model | None) -> list[Shard]:
    """Ask the store which pictures this model has not seen yet."""
    from recsys.models.embedding import ledger

    return ledger.missing(Store(home), configuration, model)


@task(**policy.SHARD)
def embed_pictures(home: str, shard: Shard, configuration: Configuration, model: Model | None) -> Any:
    """Compute the embeddings of a shard of pictures."""
    from recsys.models.embedding import ledger

    assert model is not None
    counts = ledger.embed_shard(Store(home), shard, configuration, model)
    progress.advance(shard.stage, len(shard.keys))
    get_run_logger().info("%s: %s", shard, counts)
    return counts


@task(task_run_name="embedding: into service", **policy.FRESH)
def serve_embedding(home: str, configuration: Configuration, model: Model | None) -> None:
    """Have a model serve whose tables are full."""
    if model is not None:
        registry.serve(Store(home), configuration, model)


def _epoch_ended(epoch: int, figures: dict[str, float]) -> None:
    told = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    get_run_logger().debug("epoch %s: %s", epoch, told)


def _show(home: str, model: Model) -> None:
    """Keep the gate's word and the scoreboard as artifacts of the flow run."""
    place = serving.folder(home) / model.version
    create_markdown_artifact(
        key="embedding",
        markdown=(
            f"- **Model:** `{model.version}`, `product-embedding` version {model.registered}, recipe `{model.recipe}`\n"
            f"- **Gate:** {model.reason}\n- **MLflow run:** `{model.run_id}`\n"
        ),
        description="The embedding that was trained, and whether it may serve.",
    )
    for key, name, described in (
        ("embedding-gate", registry.GATE, "The challenger's figures beside those of what served."),
        ("embedding-scoreboard", registry.SCOREBOARD, "All models by the same held-out queries."),
    ):
        table = pd.read_csv(place / name)
        rows = table[table["metric"].isin(SHOWN)] if name == registry.SCOREBOARD else table
        rows = rows.astype(object).where(rows.notna(), None)
        create_table_artifact(key=key, table=rows.to_dict("records"), description=described)
