"""What MLflow keeps of a run: parameters, catalogue digest, counts, retrieval figures, pictures."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from recsys.configuration import Configuration, flatten
from recsys.embedding.serving import Serving
from recsys.features import model_version
from recsys.funnel import Funnel

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "recommendations"
INDEXES = "indexes"
REFRESHES = "refreshes"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # which of its faces the MLflow UI shows
TAG_FLOW_RUN = "prefect.flow_run_id"
TAG_STATE = "recsys.state"
TAG_CATALOGUE = "recsys.catalogue_digest"
LOGGED_SECTIONS = {"images", "backbone", "colour", "price", "recommend", "evaluation", "tsne"}


def tracking_uri(home: Path) -> str:
    """Return MLFLOW_TRACKING_URI where it is set, else the SQLite file of the home."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(home / 'mlflow' / 'mlflow.db').absolute()}"


def experiment(home: Path, name: str) -> tuple[MlflowClient, str]:
    """Return a client of the home's MLflow store, and the id of an experiment in it, made where there is none."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow  # seconds to import: only where it is used

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    (home / "mlflow").mkdir(parents=True, exist_ok=True)
    client = mlflow.MlflowClient(tracking_uri(home))
    if found := client.get_experiment_by_name(name):
        return client, str(found.experiment_id)
    local = "MLFLOW_TRACKING_URI" not in os.environ
    artifacts = (home / "mlflow" / "artifacts").absolute().as_uri() if local else None
    return client, str(client.create_experiment(name, artifacts, KIND))


@contextmanager
def current_store(home: Path) -> Iterator[None]:
    """Have MLflow's functions that take no store use the home's; it would go on to for every home of this process."""
    import mlflow

    given = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(tracking_uri(home))
    try:
        yield
    finally:
        mlflow.set_tracking_uri(given or "")
        if given is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)


def log_run(
    home: Path,
    configuration: Configuration,
    *,
    state: str,
    embedding: Serving,
    catalogue: Mapping[str, str],
    counts: Funnel,
    retrieval: pd.DataFrame,
    pictures: Mapping[str, bytes],
    flow_run_id: str | None,
) -> str:
    """Log one run to MLflow and return its id; a retry of the same flow run resumes its run.

    Args:
        home: holds the MLflow store, unless MLFLOW_TRACKING_URI names another.
        configuration: logged as parameters, one a key.
        state: the digest of the data and settings that the results belong to.
        embedding: what serves.
        catalogue: digest and source of the catalogue.
        counts: the funnel.
        retrieval: see `evaluation.retrieval`.
        pictures: PNG bytes by name.
        flow_run_id: of the Prefect flow run, if any.
    """
    client, experiment_id = experiment(home, EXPERIMENT)

    from mlflow.entities import Metric, Param

    run_id = _resumable(client, experiment_id, flow_run_id)
    if run_id is None:
        tags = {TAG_STATE: state, "mlflow.source.name": "recsys run"} | (
            {TAG_FLOW_RUN: flow_run_id} if flow_run_id else {}
        )
        name = f"catalogue {catalogue['digest'][:8]}"
        run_id = client.create_run(experiment_id, tags=tags, run_name=name).info.run_id

    parameters = {
        "catalogue.digest": catalogue["digest"],
        "catalogue.source": catalogue["source"],
        "model_version": model_version(configuration),
        "embedding": embedding.version,
        "embedding.registered": embedding.model.registered if embedding.model else "none: the raw backbone",
        **flatten(configuration.model_dump(include=LOGGED_SECTIONS)),
    }
    metrics: dict[str, float] = {f"count/{key}": count for key, count in counts.as_dict().items()}
    for row in retrieval.dropna().to_dict("records"):
        for figure in ("precision", "recall"):
            metrics[f"level_{row['level']}/{figure}_at_{row['k']}"] = row[figure]
    now = int(time.time() * 1000)
    try:
        client.log_batch(
            run_id,
            metrics=[Metric(key, value, now, 0) for key, value in metrics.items()],
            params=[Param(key, str(value)[:500]) for key, value in parameters.items()],
        )
        client.log_text(run_id, retrieval.to_csv(index=False), "retrieval.csv")
        for name, png in pictures.items():
            log_picture(client, run_id, name, png)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    return str(run_id)


def log_refresh(
    home: Path, flow_run_id: str, catalogue_digest: str, counts: Mapping[str, int], drift: pd.DataFrame
) -> str:
    """Log what a refresh brought to MLflow, and return the run's id; a retry of the same flow run resumes its run.

    Args:
        home: of the shop.
        flow_run_id: of the Prefect flow run.
        catalogue_digest: of what was taken in; the trainings that it brings about carry it too.
        counts: products, by what became of them.
        drift: of `recsys.drift.note`.
    """
    client, experiment_id = experiment(home, REFRESHES)

    from mlflow.entities import Metric

    run_id = _resumable(client, experiment_id, flow_run_id)
    if run_id is None:
        tags = {TAG_CATALOGUE: catalogue_digest, TAG_FLOW_RUN: flow_run_id, "mlflow.source.name": "refresh"}
        name = f"catalogue {catalogue_digest[:8]}"
        run_id = client.create_run(experiment_id, tags=tags, run_name=name).info.run_id
    measured = {f"count/{name}": float(count) for name, count in counts.items()}
    for what, since, index in drift.melt("what").dropna().itertuples(index=False):
        measured[f"drift/{what}_{since}"] = index
    now = int(time.time() * 1000)
    client.log_batch(run_id, [Metric(key, value, now, 0) for key, value in measured.items()])
    client.set_terminated(run_id, "FINISHED")
    return str(run_id)


def log_index(home: Path, facts: Mapping[str, str | float]) -> str:
    """Log how the index of a table was built (see `recsys.index.Built`) to MLflow, and return the run's id.

    What is measured, of type float, and the bytes are metrics; the rest are parameters.
    """
    client, experiment_id = experiment(home, INDEXES)

    from mlflow.entities import Metric, Param

    measured = {name for name, value in facts.items() if isinstance(value, float)} - {"bound"} | {"bytes", "vectors"}
    now = int(time.time() * 1000)
    run = client.create_run(experiment_id, tags={"mlflow.source.name": "recsys run"}, run_name=str(facts["table"]))
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, float(facts[name]), now, 0) for name in sorted(measured)],
        params=[Param(name, str(value)) for name, value in facts.items() if name not in measured],
    )
    client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)


def log_picture(client: MlflowClient, run_id: str, name: str, png: bytes) -> None:
    """Log a PNG as it is; MLflow's `log_image` would encode it anew."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, f"{name}.png")
        file.write_bytes(png)
        client.log_artifact(run_id, str(file))


def _resumable(client: Any, experiment_id: str, flow_run_id: str | None) -> str | None:
    if flow_run_id is None:
        return None
    found = client.search_runs([experiment_id], f"tags.`{TAG_FLOW_RUN}` = '{flow_run_id}'", max_results=1)
    return found[0].info.run_id if found else None
