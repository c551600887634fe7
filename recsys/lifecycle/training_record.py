"""What MLflow keeps of an embedding's training: one run, also when it was killed and went on, and the model."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException

import recsys
from recsys.core.configuration import Configuration, flatten
from recsys.core.tracking import TAG_CATALOGUE, TAG_FLOW_RUN, current_store, experiment, log_picture
from recsys.evaluation.pictures import pictures_of_training
from recsys.evaluation.products import pictures_of
from recsys.lifecycle.judging import CHALLENGER, Verdict
from recsys.models.embedding import served_model
from recsys.models.embedding.embedder import Embedder
from recsys.models.embedding.recipe import Recipe
from recsys.models.embedding.serving import REGISTERED
from recsys.models.features import model_version
from recsys.storage.store import Store

EXPERIMENT = REGISTERED
TAG_VERSION = "recsys.model_version"
TAG_GATE = "recsys.gate"
UNFINISHED = ("RUNNING", "FAILED", "KILLED", "SCHEDULED")


class TrainingRun:
    """The MLflow run of a training under way.

    Attributes:
        run_id: of the run.
    """

    def __init__(self, client: mlflow.MlflowClient, run_id: str) -> None:
        self._client, self.run_id = client, run_id

    def log_epoch(self, epoch: int, figures: dict[str, float]) -> None:
        """Log the figures of an epoch."""
        now = int(time.time() * 1000)
        known = {name: value for name, value in figures.items() if np.isfinite(value)}
        self._client.log_batch(self.run_id, [Metric(name, value, now, epoch) for name, value in known.items()])

    def log_judged(self, store: Store, configuration: Configuration, embedder: Embedder, verdict: Verdict) -> str:
        """Log how the model fared, register it, and return its version in the registry.

        Args:
            store: where the pictures are.
            configuration: t-SNE and the margin.
            embedder: that was trained.
            verdict: how it fared.
        """
        now = int(time.time() * 1000)
        metrics = [
            Metric(f"{_word(row['model'])}/{_figure(row['level'], row['metric'], row['k'])}", row["value"], now, 0)
            for row in verdict.board.dropna(subset=["value"]).to_dict("records")
        ]
        decision = verdict.decision
        metrics.append(Metric("gate/promoted", float(decision.promoted), now, 0))
        for start in range(0, len(metrics), 1_000):  # of one request, at most
            self._client.log_batch(self.run_id, metrics[start : start + 1_000])
        self._client.log_text(self.run_id, verdict.board.to_csv(index=False), "scoreboard.csv")
        self._client.log_text(self.run_id, decision.table.to_csv(index=False), "gate.csv")
        self._client.set_tag(self.run_id, TAG_GATE, "promoted" if decision.promoted else "refused")
        self._client.set_tag(self.run_id, "mlflow.note.content", decision.reason)
        drawn = pictures_of_training(
            store, configuration, verdict.judged, verdict.judgements, verdict.before, CHALLENGER
        )
        for name, png in drawn.items():
            log_picture(self._client, self.run_id, name, png)
        number = self._registered() or self._register(store, embedder, verdict)
        self._client.set_model_version_tag(REGISTERED, number, TAG_GATE, decision.reason)
        return number

    def _registered(self) -> str | None:
        """Return the version that this run registered before it was killed, if it did."""
        found = self._client.search_model_versions(f"name = '{REGISTERED}' AND run_id = '{self.run_id}'")
        return str(found[0].version) if found else None

    def _register(self, store: Store, embedder: Embedder, verdict: Verdict) -> str:
        shown = next(pictures_of(store, verdict.judged.frame["image_digest"].head(1).tolist()))[None]
        with tempfile.TemporaryDirectory(dir=store.home) as scratch:
            embedder.save(Path(scratch), whole=True)
            logged = mlflow.pyfunc.log_model(
                name=REGISTERED,
                python_model=served_model.__file__,
                artifacts={"embedder": scratch},
                signature=served_model.signature(embedder.size),
                input_example=shown,
                pip_requirements=[f"{package}=={installed(package)}" for package in _required()],
                code_paths=[str(Path(recsys.__file__).parent)],
            )
        # By the client, since `registered_model_name` prints.
        with contextlib.suppress(MlflowException):
            self._client.create_registered_model(REGISTERED, description="From a photo to a unit vector of its look.")
        made = self._client.create_model_version(REGISTERED, logged.model_uri, self.run_id, model_id=logged.model_id)
        self._client.set_model_version_tag(REGISTERED, str(made.version), TAG_VERSION, embedder.version)
        return str(made.version)


def finish(home: Path, run_id: str) -> None:
    """End a run whose training was killed when all was done."""
    client, _ = experiment(home, EXPERIMENT)
    if client.get_run(run_id).info.status in UNFINISHED:
        client.set_terminated(run_id, "FINISHED")


@contextmanager
def training(
    home: Path,
    configuration: Configuration,
    recipe: Recipe,
    rows: pd.DataFrame,
    version: str,
    flow_run_id: str | None,
    catalogue_digest: str | None = None,
) -> Iterator[TrainingRun]:
    """Give the run of a training: that which it began before it was killed, else a new one.

    It ends FINISHED; or FAILED, and goes on when the training does.
    """
    client, experiment_id = experiment(home, EXPERIMENT)
    begun = client.search_runs([experiment_id], f"tags.`{TAG_VERSION}` = '{version}'")  # the latest first
    run_id = next((str(run.info.run_id) for run in begun if run.info.status in UNFINISHED), None)
    if run_id is None:
        tags = {TAG_VERSION: version, "mlflow.source.name": "recsys train embedding"}
        name = f"{Path(configuration.embedding.recipe).stem} {version[:8]}"
        run_id = str(client.create_run(experiment_id, tags=tags, run_name=name).info.run_id)
        parameters = {
            "recipe": configuration.embedding.recipe,
            "recipe.digest": recipe.digest,
            "data.digest": rows.attrs["digest"],
            "data.pictures": len(rows),
            "data.products": rows["product_id"].nunique(),
            "data.held_out": int(rows["held_out"].sum()),
            "features": model_version(configuration),
            **{f"recipe.{key}": value for key, value in flatten(recipe.model_dump()).items()},
        }
        client.log_batch(run_id, params=[Param(key, str(value)[:500]) for key, value in parameters.items()])
        client.log_inputs(run_id, [_dataset(rows, experiment_id)])
    if flow_run_id is not None:
        client.set_tag(run_id, TAG_FLOW_RUN, flow_run_id)
    if catalogue_digest is not None:
        client.set_tag(run_id, TAG_CATALOGUE, catalogue_digest)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with current_store(home), mlflow.start_run(run_id=run_id):
        yield TrainingRun(client, run_id)


def _dataset(rows: pd.DataFrame, name: str) -> DatasetInput:
    """Return the training set as MLflow names it: by its digest, without its content."""
    source = rows[["product_id", "image_digest", "held_out"]]
    dataset = from_pandas(source, name="pictures", digest=rows.attrs["digest"][:32])
    return DatasetInput(dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")])


def _required() -> list[str]:
    """Return the packages that a served model needs."""
    from recsys.vision.backbones.quiet_keras import keras

    return [
        *("mlflow", "numpy", "pydantic", "pydantic-settings", "opencv-python-headless", "pillow", "simplejpeg"),
        *("keras", keras.backend.backend()),
    ]


def _word(model: str) -> str:
    """Return a model's name as MLflow allows it."""
    return model.replace("'", "").replace(" ", "_")


def _figure(level: int, metric: str, k: int) -> str:
    return (f"level_{level}_" if level else "") + metric + (f"_at_{k}" if k else "")
