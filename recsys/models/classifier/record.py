"""What MLflow keeps of a training: one run, also when it was killed and went on, and the model in the registry."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray

import recsys
from recsys.core.configuration import Configuration, flatten
from recsys.core.plotting import captioned_picture
from recsys.core.tracking import TAG_CATALOGUE, TAG_FLOW_RUN, current_store, experiment, log_picture
from recsys.models import examples
from recsys.models.classifier import served_model
from recsys.models.classifier.calibration import expected_calibration_error, reliability
from recsys.models.classifier.fitting import Fitted
from recsys.models.classifier.judgement import confusion_picture, reliability_picture
from recsys.models.classifier.label_model import LabelModel
from recsys.models.classifier.pictures import Pictures
from recsys.models.classifier.recipe import Recipe
from recsys.models.features import model_version
from recsys.storage.store import Store
from recsys.vision.square import decode_squared

EXPERIMENT = REGISTERED = "category-classifier"
CHAMPION = "champion"
TAG_VERSION = "recsys.model_version"
NAMED = 8
"""Labels that a sentence names at most."""
MISTAKES_KEPT = 200
MISTAKES_SHOWN = 24
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
        self._client.log_batch(self.run_id, [Metric(name, value, now, epoch) for name, value in figures.items()])

    def log_fitted(self, store: Store, rows: pd.DataFrame, pictures: Pictures, fitted: Fitted, saved: Path) -> str:
        """Log what a training gave, register its model, and return its version in the registry.

        Args:
            store: where the pictures of the worst mistakes are.
            rows: the examples.
            pictures: that were learned from.
            fitted: what came of them.
            saved: the folder of the model.
        """
        figures = {f"{kind}/{name}": value for kind, of in fitted.judgements.items() for name, value in _figures(of)}
        figures |= {f"pictures/{origin}": n for origin, n in pictures.frame["origin"].value_counts().items()}
        held = np.isfinite(fitted.probabilities).all(axis=1)
        sure = fitted.probabilities[held].max(axis=1)
        right = fitted.probabilities[held].argmax(axis=1) == fitted.truth[held]
        figures |= {"calibration_error": expected_calibration_error(sure, right), "coverage": fitted.coverage.coverage}
        if fitted.model.threshold is not None:
            figures |= {"threshold": fitted.model.threshold, "precision_at_threshold": fitted.coverage.precision}
        now = int(time.time() * 1000)
        self._client.log_batch(self.run_id, [Metric(name, float(value), now, 0) for name, value in figures.items()])
        for kind, of in fitted.judgements.items():
            self._client.log_text(self.run_id, of.per_label.to_csv(index=False), f"{kind}/per_label.csv")
            self._client.log_text(self.run_id, of.confusion.to_csv(), f"{kind}/confusion.csv")
        self._client.log_text(self.run_id, reliability(sure, right).to_csv(index=False), "reliability.csv")
        self._log_picture("reliability", reliability_picture(fitted.truth[held], fitted.probabilities[held]))
        for best in [fitted.judgements[kind] for kind in ("both", "picture", "text") if kind in fitted.judgements][:1]:
            self._log_picture("confusion", confusion_picture(best.confusion))
        if fitted.unjudged:
            self._client.set_tag(self.run_id, "mlflow.note.content", without_figures(fitted.unjudged))
        worst = _worst(rows, fitted)
        self._client.log_text(self.run_id, worst.to_csv(index=False), "mistakes.csv")
        if len(pictured := worst.dropna(subset=["image_digest"]).head(MISTAKES_SHOWN)):
            self._log_picture("mistakes", _mistakes_picture(store, pictured))
        number = self._registered() or self._register(rows, pictures, fitted, saved)
        self._client.set_registered_model_alias(REGISTERED, CHAMPION, number)
        return number

    def _log_picture(self, name: str, png: bytes) -> None:
        log_picture(self._client, self.run_id, name, png)

    def _registered(self) -> str | None:
        """Return the version that this run registered before it was killed, if it did."""
        found = self._client.search_model_versions(f"name = '{REGISTERED}' AND run_id = '{self.run_id}'")
        return str(found[0].version) if found else None

    def _register(self, rows: pd.DataFrame, pictures: Pictures, fitted: Fitted, saved: Path) -> str:
        model = fitted.model
        asked = rows[["name", "brand"]].head(3).reset_index(drop=True)
        shown: NDArray[np.float32] | list[bytes]
        if model.network is not None:
            asked = asked.head(1)
            asked["picture"] = shown = list(pictures.shown[:1])
        else:
            size = model.head.input_shape[-1] if model.head is not None else 1
            shown = np.full((len(asked), size), size**-0.5, np.float32)
            asked["features"] = shown.tolist()
        answered = model.predict(shown, np.full(len(asked), True), asked["name"], asked["brand"])
        logged = mlflow.pyfunc.log_model(
            name=REGISTERED,
            python_model=served_model.__file__,
            artifacts={"classifier": str(saved)},
            signature=mlflow.models.infer_signature(asked, answered.drop(columns="evidence")),
            input_example=asked,
            pip_requirements=[f"{package}=={installed(package)}" for package in _required(model)],
            code_paths=[str(Path(recsys.__file__).parent)],
        )
        # By the client, since `registered_model_name` prints.
        with contextlib.suppress(MlflowException):
            self._client.create_registered_model(REGISTERED, description="Fills the labels that a catalogue lacks.")
        made = self._client.create_model_version(REGISTERED, logged.model_uri, self.run_id, model_id=logged.model_id)
        return str(made.version)


def without_figures(labels: Sequence[str]) -> str:
    """Return the sentence that says which labels could not be judged, and why."""
    named = ", ".join(f"'{label}'" for label in labels[:NAMED])
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return f"there are no figures of the labels {named}{more}: too few of their products differ, so none was held out"


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
        tags = {TAG_VERSION: version, "mlflow.source.name": "recsys train"}
        name = f"{Path(configuration.classifier.recipe).stem} {version[:8]}"
        run_id = str(client.create_run(experiment_id, tags=tags, run_name=name).info.run_id)
        parameters = {
            "recipe": configuration.classifier.recipe,
            "recipe.digest": recipe.digest,
            "data.digest": rows.attrs["digest"],
            "data.examples": len(rows),
            "data.labels": rows["label"].nunique(),
            "features": model_version(configuration),
            "precision": configuration.classifier.precision,
            **{f"recipe.{key}": value for key, value in flatten(recipe.model_dump()).items()},
        }
        client.log_batch(run_id, params=[Param(key, str(value)[:500]) for key, value in parameters.items()])
    if flow_run_id is not None:
        client.set_tag(run_id, TAG_FLOW_RUN, flow_run_id)
    if catalogue_digest is not None:
        client.set_tag(run_id, TAG_CATALOGUE, catalogue_digest)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with current_store(home), mlflow.start_run(run_id=run_id):
        yield TrainingRun(client, run_id)


def _required(model: LabelModel) -> list[str]:
    """Return the packages that a served model needs."""
    packages = ["mlflow", "numpy", "pandas", "scikit-learn", "scipy"]
    if model.head is not None or model.network is not None:
        from recsys.vision.backbones.quiet_keras import keras

        packages += ["keras", keras.backend.backend()]
    if model.network is not None:  # decodes pictures
        packages += ["opencv-python-headless", "pillow", "pydantic", "simplejpeg"]
    return packages


def _figures(of: Any) -> list[tuple[str, float]]:
    return [("accuracy", of.accuracy), ("macro_f1", of.macro_f1), ("examples", of.examples)]


def _worst(rows: pd.DataFrame, fitted: Fitted) -> pd.DataFrame:
    """Return the surest mistakes: product_id, name, label, image_digest, predicted, confidence."""
    said = fitted.predictions[["label", "confidence"]].rename(columns={"label": "predicted"})
    table = pd.concat([rows[["product_id", "name", "label", "image_digest"]].reset_index(drop=True), said], axis=1)
    judged = np.isfinite(fitted.probabilities[:, 0])
    table = table[judged & (table["label"] != table["predicted"]).to_numpy()]
    return table.sort_values("confidence", ascending=False).head(MISTAKES_KEPT)


def _mistakes_picture(store: Store, worst: pd.DataFrame) -> bytes:
    jpegs = examples.jpegs_of(store, worst["image_digest"].tolist())
    told = zip(worst["predicted"], worst["confidence"], worst["label"], worst["name"], strict=True)
    lines = [(f"{sure:.0%} {predicted}", f"given: {label}", f"{name}") for predicted, sure, label, name in told]
    return captioned_picture([(decode_squared(jpeg), said) for jpeg, said in zip(jpegs, lines, strict=True)])
