"""The MLflow record of a run: parameters, catalogue digest, counts, retrieval figures, pictures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from recsys.core.configuration import Configuration, flatten
from recsys.core.tracking import TAG_FLOW_RUN, experiment, log_picture, resumable
from recsys.models.embedding.serving import Serving
from recsys.models.features import model_version
from recsys.reporting.funnel import Funnel

EXPERIMENT = "recommendations"
TAG_STATE = "recsys.state"
LOGGED_SECTIONS = {"images", "backbone", "colour", "price", "recommend", "evaluation", "tsne"}


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

    run_id = resumable(client, experiment_id, flow_run_id)
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
