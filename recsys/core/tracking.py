"""Access to the MLflow store of a home."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

KIND = {"mlflow.experimentKind": "custom_model_development"}  # selects the view of the MLflow UI
TAG_FLOW_RUN = "prefect.flow_run_id"
TAG_CATALOGUE = "recsys.catalogue_digest"


def tracking_uri(home: Path) -> str:
    """Return MLFLOW_TRACKING_URI if it is set, else the URI of the home's SQLite file."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(home / 'mlflow' / 'mlflow.db').absolute()}"


def experiment(home: Path, name: str) -> tuple[MlflowClient, str]:
    """Return a client of the home's MLflow store, and the id of an experiment, which is created if missing."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow  # takes seconds to import

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
    """Make MLflow's functions without a store parameter use the home's store while the context lasts."""
    import mlflow

    configured = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(tracking_uri(home))
    try:
        yield
    finally:
        mlflow.set_tracking_uri(configured or "")
        if configured is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)


def log_picture(client: MlflowClient, run_id: str, name: str, png: bytes) -> None:
    """Log a PNG file unchanged; MLflow's `log_image` would re-encode it."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, f"{name}.png")
        file.write_bytes(png)
        client.log_artifact(run_id, str(file))


def resumable(client: Any, experiment_id: str, flow_run_id: str | None) -> str | None:
    """Return the id of the MLflow run of a flow run; None if it has none."""
    if flow_run_id is None:
        return None
    found = client.search_runs([experiment_id], f"tags.`{TAG_FLOW_RUN}` = '{flow_run_id}'", max_results=1)
    return found[0].info.run_id if found else None
