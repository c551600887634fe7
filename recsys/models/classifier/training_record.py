"""Record the training of a classifier in MLflow: metrics, tables, plots, the worst mistakes, the registered model."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.data.pandas_dataset import from_pandas
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.plotting import captioned_picture
from recsys.models import examples
from recsys.models.classifier import served_model
from recsys.models.classifier.calibration import expected_calibration_error, reliability
from recsys.models.classifier.fitting import Fitted
from recsys.models.classifier.label_model import LabelModel
from recsys.models.classifier.pictures import Pictures
from recsys.models.classifier.plots import confusion_plot, reliability_plot
from recsys.models.classifier.recipe import Recipe
from recsys.models.training_run import TrainingRun, training_parameters, training_run
from recsys.storage.store import Store
from recsys.vision.square import decode_squared

MODEL_NAME = "category-classifier"
"""Name of the MLflow experiment and of the registered model."""
CHAMPION = "champion"
LABELLED = "labelled products"
"""Name of the evaluation set in MLflow: each product is predicted by a model that was not trained on it."""
LABELS_NAMED = 8
"""Number of labels that a sentence names, at most."""
MISTAKES_LOGGED = 200
MISTAKES_PICTURED = 24


def classifier_run(
    home: Path,
    configuration: Configuration,
    recipe: Recipe,
    rows: pd.DataFrame,
    version: str,
    flow_run_id: str | None,
    catalogue_digest: str | None = None,
) -> AbstractContextManager[TrainingRun]:
    """Return the context of a training's MLflow run, see `recsys.models.training_run.training_run`.

    Args:
        home: folder of the MLflow store.
        configuration: names recipe and features.
        recipe: the recipe.
        rows: training set, see `recsys.models.examples.training_set`.
        version: version of the classifier.
        flow_run_id: id of the Prefect flow run, if any.
        catalogue_digest: digest of the catalogue update that the training is for, if any.
    """
    parameters = training_parameters(configuration.classifier.recipe, recipe, rows, configuration) | {
        "data.examples": len(rows),
        "data.labels": rows["label"].nunique(),
        "precision": configuration.classifier.precision,
    }
    return training_run(
        home,
        MODEL_NAME,
        version,
        command="recsys train",
        parameters=parameters,
        flow_run_id=flow_run_id,
        catalogue_digest=catalogue_digest,
    )


def log_fitted(
    run: TrainingRun, store: Store, rows: pd.DataFrame, pictures: Pictures, fitted: Fitted, model_folder: Path
) -> str:
    """Log the result of a training, register the model as champion, and return its version in the registry.

    Args:
        run: MLflow run of the training.
        store: store with the pictures of the worst mistakes.
        rows: training set.
        pictures: pictures of the training.
        fitted: result of the training.
        model_folder: folder of the saved model.
    """
    version = run.registered_version() or _register(run, rows, pictures, fitted.model, model_folder)
    _log_metrics(run, rows, pictures, fitted)
    _log_reports(run, fitted)
    _log_mistakes(run, store, rows, fitted.predictions)
    if fitted.unevaluated:
        run.set_note(note_on_unevaluated(fitted.unevaluated))
    run.client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
    return version


def note_on_unevaluated(labels: Sequence[str]) -> str:
    """Return a sentence that names the labels without an evaluation, and the reason."""
    names = ", ".join(f"'{label}'" for label in labels[:LABELS_NAMED])
    more = f" and {len(labels) - LABELS_NAMED} more" if len(labels) > LABELS_NAMED else ""
    return f"no evaluation for the labels {names}{more}: their products are too alike to hold some of them out"


def worst_mistakes(rows: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the wrong predictions, the most confident first.

    Args:
        rows: n examples: product_id, name, label, image_digest.
        predictions: n out-of-fold predictions, see `prediction_table`.

    Returns:
        product_id, name, label, image_digest, predicted, confidence.
    """
    products = rows[["product_id", "name", "label", "image_digest"]].reset_index(drop=True)
    predicted = predictions[["label", "confidence"]].rename(columns={"label": "predicted"})
    table = pd.concat([products, predicted], axis=1).dropna(subset=["predicted"])
    table = table[table["label"] != table["predicted"]]
    return table.sort_values("confidence", ascending=False).head(MISTAKES_LOGGED)


def _log_metrics(run: TrainingRun, rows: pd.DataFrame, pictures: Pictures, fitted: Fitted) -> None:
    """Log the metrics of the cross-validation, linked to the logged model and to the products."""
    metrics: dict[str, float] = {}
    for evidence, report in fitted.reports.items():
        metrics[f"{evidence}/accuracy"] = report.accuracy
        metrics[f"{evidence}/macro_f1"] = report.macro_f1
        metrics[f"{evidence}/examples"] = report.examples
    for origin, count in pictures.frame["origin"].value_counts().items():
        metrics[f"pictures/{origin}"] = count
    metrics["calibration_error"] = expected_calibration_error(fitted.confidence, fitted.correct)
    metrics["coverage"] = fitted.coverage.coverage
    if fitted.model.threshold is not None:
        metrics["threshold"] = fitted.model.threshold
        metrics["precision_at_threshold"] = fitted.coverage.precision
    dataset = from_pandas(rows[["product_id", "label"]], name=LABELLED, digest=rows.attrs["digest"][:32])
    mlflow.log_input(dataset, context="evaluation")
    run.log_model_metrics(metrics, dataset)


def _log_reports(run: TrainingRun, fitted: Fitted) -> None:
    for evidence, report in fitted.reports.items():
        run.log_table(report.per_label, f"{evidence}/per_label.csv")
        run.log_table(report.confusion, f"{evidence}/confusion.csv", index=True)
    best = next((fitted.reports[name] for name in ("both", "picture", "text") if name in fitted.reports), None)
    if best is not None:
        run.log_picture("confusion", confusion_plot(best.confusion))
    run.log_table(reliability(fitted.confidence, fitted.correct), "reliability.csv")
    run.log_picture("reliability", reliability_plot(fitted.confidence, fitted.correct))


def _log_mistakes(run: TrainingRun, store: Store, rows: pd.DataFrame, predictions: pd.DataFrame) -> None:
    mistakes = worst_mistakes(rows, predictions)
    run.log_table(mistakes, "mistakes.csv")
    pictured = mistakes.dropna(subset=["image_digest"]).head(MISTAKES_PICTURED)
    if len(pictured):
        run.log_picture("mistakes", _mistakes_picture(store, pictured))


def _register(run: TrainingRun, rows: pd.DataFrame, pictures: Pictures, model: LabelModel, model_folder: Path) -> str:
    """Register the model with an input example and its signature."""
    example = rows[["name", "brand"]].head(3).reset_index(drop=True)
    inputs: NDArray[np.float32] | list[bytes]
    if model.network is not None:
        example = example.head(1)
        example["picture"] = inputs = list(pictures.inputs[:1])
    else:
        size = (model.head.input_shape[-1] if model.head is not None else None) or 1
        inputs = np.full((len(example), size), size**-0.5, np.float32)
        example["features"] = inputs.tolist()
    predictions = model.predict(inputs, np.full(len(example), True), example["name"], example["brand"])
    return run.register_model(
        "Fills the labels that a catalogue lacks.",
        _packages(model),
        python_model=served_model.__file__,
        artifacts={"classifier": str(model_folder)},
        signature=mlflow.models.infer_signature(example, predictions.drop(columns="evidence")),
        input_example=example,
    )


def _packages(model: LabelModel) -> list[str]:
    """Return the packages that a served classifier needs."""
    packages = ["mlflow", "numpy", "pandas", "scikit-learn", "scipy"]
    if model.head is not None or model.network is not None:
        packages.append("onnxruntime")
    if model.network is not None:  # it decodes pictures
        packages += ["opencv-python-headless", "pillow", "pydantic", "simplejpeg"]
    return packages


def _mistakes_picture(store: Store, mistakes: pd.DataFrame) -> bytes:
    """Return the mistakes as a PNG of their pictures, each with its predicted label and its label."""
    jpegs = examples.jpegs_of(store, mistakes["image_digest"].tolist())
    columns = (mistakes[name] for name in ("predicted", "confidence", "label", "name"))
    captions = [
        (f"{confidence:.0%} {predicted}", f"label: {label}", f"{name}")
        for predicted, confidence, label, name in zip(*columns, strict=True)
    ]
    pictures = [decode_squared(jpeg) for jpeg in jpegs]
    return captioned_picture(list(zip(pictures, captions, strict=True)))
