"""Record the training of a model in MLflow: one run per training, also after an interruption, and the model."""

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.data.dataset import Dataset
from mlflow.entities import LoggedModel, LoggedModelStatus, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

import recsys
from recsys.core.configuration import Configuration, flatten
from recsys.core.tracking import TAG_CATALOGUE, TAG_FLOW_RUN, current_store, experiment, log_picture
from recsys.models.features import model_version
from recsys.models.recipe_file import RecipeFile

TAG_VERSION = "recsys.model_version"
METRICS_PER_REQUEST = 1_000
"""Metrics that MLflow accepts in one request, at most."""
LONGEST_PARAMETER = 500
"""Length to which parameter values are cut, characters; MLflow's limit."""
UNFINISHED = ("RUNNING", "FAILED", "KILLED", "SCHEDULED")
"""Run states from which a training is resumed."""


@dataclass(frozen=True)
class TrainingRun:
    """MLflow run of a training in progress.

    Attributes:
        client: client of the home's MLflow store.
        experiment_id: id of the experiment.
        run_id: id of the run.
        model_name: name of the registered model.
    """

    client: mlflow.MlflowClient
    experiment_id: str
    run_id: str
    model_name: str

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of an epoch; values that are not finite are left out."""
        self.log_metrics({name: value for name, value in metrics.items() if np.isfinite(value)}, epoch)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics."""
        timestamp = int(time.time() * 1000)
        entities = [Metric(name, float(value), timestamp, step) for name, value in metrics.items()]
        for start in range(0, len(entities), METRICS_PER_REQUEST):
            self.client.log_batch(self.run_id, entities[start : start + METRICS_PER_REQUEST])

    def log_model_metrics(self, metrics: Mapping[str, float], dataset: Dataset, run_id: str | None = None) -> None:
        """Link the metrics of a logged model to it and to the data set that they were computed on.

        The model's page and the experiment's list of models show them, and its run has them too. Metrics that the
        model has for this data set are not logged again. A model that was deleted in MLflow gets none.

        Args:
            metrics: by name.
            dataset: name and digest identify it.
            run_id: run that logged the model; by default this run.
        """
        model = self.logged_model(run_id or self.run_id)
        if model is None:
            return
        stored = {metric.key for metric in model.metrics or () if metric.dataset_digest == dataset.digest}
        missing = {name: value for name, value in metrics.items() if name not in stored}
        if missing:
            mlflow.log_metrics(missing, run_id=model.source_run_id, model_id=model.model_id, dataset=dataset)

    def log_table(self, table: pd.DataFrame, file: str, *, index: bool = False) -> None:
        """Log a table as a CSV file."""
        self.client.log_text(self.run_id, table.to_csv(index=index), file)

    def log_picture(self, name: str, png: bytes) -> None:
        """Log a PNG."""
        log_picture(self.client, self.run_id, name, png)

    def set_note(self, text: str) -> None:
        """Set the description that MLflow shows on the run's page."""
        self.client.set_tag(self.run_id, "mlflow.note.content", text)

    def registered_version(self) -> str | None:
        """Return the registered version that this run made before it was interrupted; None if it made none."""
        query = f"name = '{self.model_name}' AND run_id = '{self.run_id}'"
        versions = self.client.search_model_versions(query)
        return str(versions[0].version) if versions else None

    def logged_model(self, run_id: str) -> LoggedModel | None:
        """Return the complete model that a run logged; None where there is none."""
        models = self._logged_models(run_id)
        return next((model for model in models if model.status == LoggedModelStatus.READY), None)

    def register_model(self, description: str, packages: Sequence[str], **model: Any) -> str:
        """Log a model, register it, and return its version in the registry.

        A model that this run logged completely before it was interrupted is not logged again.

        Args:
            description: description of the registered model, used when it is created.
            packages: packages that the model needs; the installed versions are pinned. The code of `recsys` is logged
                with the model.
            model: further arguments of `mlflow.pyfunc.log_model`.
        """
        logged = self.logged_model(self.run_id)
        if logged is None:
            for incomplete in self._logged_models(self.run_id):
                self.client.delete_logged_model(incomplete.model_id)
            logged = mlflow.pyfunc.log_model(
                name=self.model_name,
                pip_requirements=[f"{package}=={installed_version(package)}" for package in packages],
                code_paths=[str(Path(recsys.__file__).parent)],
                **model,
            )
        # Not by log_model's `registered_model_name`, which prints.
        with contextlib.suppress(MlflowException):
            self.client.create_registered_model(self.model_name, description=description)
        version = self.client.create_model_version(
            self.model_name, logged.model_uri, self.run_id, model_id=logged.model_id
        )
        # The list of models shows the version; a server sets this tag itself, a local store does not.
        versions = [{"name": self.model_name, "version": version.version}]
        self.client.set_logged_model_tags(logged.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps(versions)})
        return str(version.version)

    def _logged_models(self, run_id: str) -> list[LoggedModel]:
        """Return the models that a run logged, the latest first."""
        return list(self.client.search_logged_models([self.experiment_id], f"source_run_id = '{run_id}'"))


def training_parameters(
    recipe_name: str, recipe: RecipeFile, examples: pd.DataFrame, configuration: Configuration
) -> dict[str, Any]:
    """Return the parameters that MLflow records of every training.

    Args:
        recipe_name: configured name or path of the recipe.
        recipe: the recipe.
        examples: training set; `attrs["digest"]` identifies it.
        configuration: names the features.
    """
    return {
        "recipe": recipe_name,
        "recipe.digest": recipe.digest,
        "data.digest": examples.attrs["digest"],
        "features": model_version(configuration),
        **{f"recipe.{key}": value for key, value in flatten(recipe.model_dump()).items()},
    }


@contextmanager
def training_run(
    home: Path,
    model_name: str,
    version: str,
    *,
    command: str,
    parameters: Mapping[str, Any],
    flow_run_id: str | None = None,
    catalogue_digest: str | None = None,
) -> Iterator[TrainingRun]:
    """Resume the MLflow run of an interrupted training, or start a new one.

    The run ends as FINISHED, or as FAILED, from which the next training of the same version resumes it.

    Args:
        home: folder of the MLflow store.
        model_name: name of the experiment and of the registered model.
        version: version of the model, which identifies the training.
        command: command that trains it, such as `recsys train`.
        parameters: parameters of a new run, among them `recipe`.
        flow_run_id: id of the Prefect flow run, if any.
        catalogue_digest: digest of the catalogue update that the training is for, if any.
    """
    client, experiment_id = experiment(home, model_name)
    run_id = _unfinished_run(client, experiment_id, version)
    if run_id is None:
        tags = {TAG_VERSION: version, "mlflow.source.name": command}
        name = f"{Path(parameters['recipe']).stem} {version[:8]}"
        run_id = str(client.create_run(experiment_id, tags=tags, run_name=name).info.run_id)
        params = [Param(key, str(value)[:LONGEST_PARAMETER]) for key, value in parameters.items()]
        client.log_batch(run_id, params=params)
    for tag, value in ((TAG_FLOW_RUN, flow_run_id), (TAG_CATALOGUE, catalogue_digest)):
        if value is not None:
            client.set_tag(run_id, tag, value)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with current_store(home), mlflow.start_run(run_id=run_id):
        yield TrainingRun(client, experiment_id, run_id, model_name)


def finish_run(home: Path, model_name: str, run_id: str) -> None:
    """Mark a run as finished: crash recovery for a training that was killed after its last step."""
    client, _ = experiment(home, model_name)
    if client.get_run(run_id).info.status in UNFINISHED:
        client.set_terminated(run_id, "FINISHED")


def _unfinished_run(client: mlflow.MlflowClient, experiment_id: str, version: str) -> str | None:
    """Return the id of the latest run of a training that did not finish; None where there is none."""
    runs = client.search_runs([experiment_id], f"tags.`{TAG_VERSION}` = '{version}'")
    return next((str(run.info.run_id) for run in runs if run.info.status in UNFINISHED), None)
