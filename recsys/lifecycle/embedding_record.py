"""Record the training of an embedding in MLflow: scoreboard, gate, pictures and the registered model."""

import contextlib
import tempfile
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.data.pandas_dataset import PandasDataset, from_pandas
from mlflow.exceptions import MlflowException

from recsys.core.configuration import Configuration
from recsys.evaluation.evaluation_set import read_pictures
from recsys.evaluation.training_pictures import training_pictures
from recsys.lifecycle.judging import CHALLENGER, CHAMPION, Verdict
from recsys.models.embedding import served_model
from recsys.models.embedding.embedder import Embedder
from recsys.models.embedding.recipe import Recipe
from recsys.models.embedding.serving import REGISTERED, Model
from recsys.models.training_run import TAG_VERSION, TrainingRun, training_parameters, training_run
from recsys.storage.store import Store

TAG_GATE = "recsys.gate"
HELD_OUT = "held-out products"
"""Name of the evaluation set in MLflow."""


@contextmanager
def embedding_run(
    home: Path,
    configuration: Configuration,
    recipe: Recipe,
    rows: pd.DataFrame,
    version: str,
    flow_run_id: str | None,
    catalogue_digest: str | None = None,
) -> Iterator[TrainingRun]:
    """Resume or start the MLflow run of a training, see `recsys.models.training_run.training_run`.

    Args:
        home: folder of the MLflow store.
        configuration: names recipe and features.
        recipe: the recipe.
        rows: training set, see `recsys.models.embedding.examples.training_set`.
        version: version of the embedding.
        flow_run_id: id of the Prefect flow run, if any.
        catalogue_digest: digest of the catalogue update that the training is for, if any.
    """
    parameters = training_parameters(configuration.embedding.recipe, recipe, rows, configuration) | {
        "data.pictures": len(rows),
        "data.products": rows["product_id"].nunique(),
        "data.held_out": int(rows["held_out"].sum()),
    }
    dataset = _dataset(rows, "pictures")
    with training_run(
        home,
        REGISTERED,
        version,
        command="recsys train embedding",
        parameters=parameters,
        flow_run_id=flow_run_id,
        catalogue_digest=catalogue_digest,
    ) as run:
        mlflow.log_input(dataset, context="training")
        yield run


def log_verdict(
    run: TrainingRun,
    store: Store,
    configuration: Configuration,
    embedder: Embedder,
    verdict: Verdict,
    champion: Model | None,
) -> str:
    """Register an embedding, log its evaluation, and return its version in the registry.

    Args:
        run: MLflow run of the training.
        store: store with the pictures.
        configuration: sections `tsne` and `embedding`.
        embedder: trained embedding.
        verdict: its evaluation.
        champion: the serving embedding, which was evaluated beside it.
    """
    number = run.registered_version() or _register(run, store, embedder, verdict)
    _log_model_metrics(run, verdict, champion)
    decision = verdict.decision
    scores = verdict.board.dropna(subset=["value"]).to_dict("records")
    run.log_metrics({_metric_name(row): row["value"] for row in scores} | {"gate/promoted": float(decision.promoted)})
    run.log_table(verdict.board, "scoreboard.csv")
    run.log_table(decision.table, "gate.csv")
    run.client.set_tag(run.run_id, TAG_GATE, "promoted" if decision.promoted else "refused")
    run.set_note(decision.reason)
    pictures = training_pictures(store, configuration, verdict.judged, verdict.metrics, verdict.before, CHALLENGER)
    for name, png in pictures.items():
        run.log_picture(name, png)
    run.client.set_model_version_tag(REGISTERED, number, TAG_VERSION, embedder.version)
    run.client.set_model_version_tag(REGISTERED, number, TAG_GATE, decision.reason)
    return number


def _register(run: TrainingRun, store: Store, embedder: Embedder, verdict: Verdict) -> str:
    example = next(read_pictures(store, verdict.judged.frame["image_digest"].head(1).tolist()))[None]
    with tempfile.TemporaryDirectory(dir=store.home) as scratch:
        embedder.save(Path(scratch), whole=True)
        return run.register_model(
            "From a photo to a unit vector of its look.",
            _packages(),
            python_model=served_model.__file__,
            artifacts={"embedder": scratch},
            signature=served_model.signature(embedder.size),
            input_example=example,
        )


def _packages() -> list[str]:
    """Return the packages that a served embedding needs."""
    packages = ("mlflow", "numpy", "onnxruntime", "pydantic", "pydantic-settings", "opencv-python-headless")
    return [*packages, "pillow", "simplejpeg"]


def _dataset(rows: pd.DataFrame, name: str) -> PandasDataset:
    """Return the MLflow data set of a training set or evaluation set; MLflow records no content of it."""
    columns = ["product_id", "image_digest", "held_out"]
    return from_pandas(rows[columns], name=name, digest=rows.attrs["digest"][:32])


def _log_model_metrics(run: TrainingRun, verdict: Verdict, champion: Model | None) -> None:
    """Link the metrics of challenger and champion to their models in MLflow, and both to the same evaluation set."""
    frame = verdict.judged.frame
    dataset = _dataset(frame[frame["held_out"]], HELD_OUT)
    mlflow.log_input(dataset, context="evaluation")
    run.log_model_metrics(_metrics_of(verdict.board, CHALLENGER), dataset)
    if champion is not None:
        with contextlib.suppress(MlflowException):  # its run may have been deleted in the MLflow UI
            run.log_model_metrics(_metrics_of(verdict.board, CHAMPION), dataset, champion.run_id)


def _metrics_of(board: pd.DataFrame, model: str) -> dict[str, float]:
    """Return the metrics of one model of a scoreboard by the names that they have in MLflow's list of models.

    The level is last, as in `precision_at_5/level_3`, because the MLflow UI groups metrics by what precedes the slash.
    """
    metrics = {}
    for row in board[board["model"] == model].dropna(subset=["value"]).to_dict("records"):
        rank = f"_at_{row['k']}" if row["k"] else ""
        level = f"/level_{row['level']}" if row["level"] else ""
        metrics[f"{row['metric']}{rank}{level}"] = float(row["value"])
    return metrics


def _metric_name(row: Mapping[Hashable, Any]) -> str:
    """Return the metric name of a scoreboard row, such as `champion/level_1_precision_at_5`."""
    model = str(row["model"]).replace("'", "").replace(" ", "_")  # MLflow allows no quotes
    level = f"level_{row['level']}_" if row["level"] else ""
    rank = f"_at_{row['k']}" if row["k"] else ""
    return f"{model}/{level}{row['metric']}{rank}"
