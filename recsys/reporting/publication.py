"""The end of a run: its figures and pictures go to MLflow and into the report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from recsys.core import progress
from recsys.core.configuration import Configuration, flatten
from recsys.core.tracking import TAG_FLOW_RUN, experiment, log_picture, resumable
from recsys.ingest.images.ledger import write_broken_links
from recsys.models.embedding.serving import Serving, serving
from recsys.models.features import model_version
from recsys.reporting.funnel import Funnel
from recsys.storage.store import Store

if TYPE_CHECKING:
    from recsys.reporting.report_data import ReportData

GRID_ROWS = 6
"""Number of queries in the picture of recommendations in MLflow; the report shows more."""


@dataclass(frozen=True)
class Publication:
    """The report and the MLflow run of a flow run."""

    report: Path
    mlflow_run_id: str
    flow_run_id: str | None


def report_path(home: Path | str) -> Path:
    """Return the path of a home's report, which may not exist yet."""
    return Path(home) / "report" / "index.html"


def publish(
    store: Store,
    configuration: Configuration,
    state: str,
    retrieval: pd.DataFrame,
    flow_run_id: str | None = None,
    links: Mapping[str, str] | None = None,
) -> Publication:
    """Log a run to MLflow and write the report.

    Args:
        store: the home's tables.
        configuration: the configuration of the run.
        state: the digest of the data and settings of the results.
        retrieval: see `recsys.evaluation.leave_one_out`.
        flow_run_id: the id of the Prefect flow run; None outside a flow.
        links: for the header of the report, by name.
    """
    from recsys.reporting.report_data import gather  # imports matplotlib, which takes a second

    progress.begin("report", 3)
    data = gather(store, configuration, retrieval, links)
    progress.advance("report")
    record = RunRecord(
        state=state,
        embedding=serving(store.home, configuration),
        catalogue_source=data.header.source,
        catalogue_digest=data.header.catalogue_digest,
        counts=data.funnel,
        retrieval=retrieval,
        pictures=_draw_pictures(data),
        flow_run_id=flow_run_id,
    )
    run_id = log_run(store.home, configuration, record)
    progress.advance("report")
    report = _write_report(store, data, run_id)
    progress.advance("report")
    progress.finish("report", "figures and pictures are in MLflow and the report")
    return Publication(report, run_id, flow_run_id)


def _draw_pictures(data: ReportData) -> dict[str, bytes]:
    """Return the pictures for MLflow as PNG, by name."""
    from recsys.evaluation.tsne import tsne_picture
    from recsys.reporting.pictures import grid_picture

    pictures = {}
    if data.grids:
        rows = data.grids[:: max(1, len(data.grids) // GRID_ROWS)][:GRID_ROWS]  # spread over the labels
        pictures["recommendations"] = grid_picture(rows, data.currency)
    if len(data.map.points):
        pictures["tsne"] = tsne_picture(data.map.points, data.map.labels)
    return pictures


def _write_report(store: Store, data: ReportData, run_id: str) -> Path:
    """Write the report, with a link to the MLflow run, and the table of broken links next to it."""
    from recsys.reporting.rendering import write_report

    header = dataclasses.replace(data.header, links={**data.header.links, "MLflow run": run_id})
    report = write_report(store.home, dataclasses.replace(data, header=header))
    write_broken_links(store, report.with_name("broken-links.csv"))
    return report


EXPERIMENT = "recommendations"
TAG_STATE = "recsys.state"
LOGGED_SECTIONS = {"images", "backbone", "colour", "price", "recommend", "evaluation", "tsne"}
MAX_PARAMETER_LENGTH = 500
"""Longest value of a parameter, characters; MLflow refuses a longer one."""


@dataclass(frozen=True)
class RunRecord:
    """The results of a run.

    Attributes:
        state: the digest of the data and settings of the results.
        embedding: the serving embedding.
        retrieval: see `recsys.evaluation.leave_one_out`.
        pictures: PNG bytes by name.
        flow_run_id: the id of the Prefect flow run; None outside a flow.
    """

    state: str
    embedding: Serving
    catalogue_source: str
    catalogue_digest: str
    counts: Funnel
    retrieval: pd.DataFrame
    pictures: Mapping[str, bytes]
    flow_run_id: str | None


def log_run(home: Path, configuration: Configuration, record: RunRecord) -> str:
    """Log a run to MLflow and return its id. A retry of the same flow run continues its MLflow run.

    Args:
        home: contains the MLflow store, unless MLFLOW_TRACKING_URI names another one.
        configuration: logged as parameters, one for each key.
        record: the results of the run.
    """
    client, experiment_id = experiment(home, EXPERIMENT)
    run_id = resumable(client, experiment_id, record.flow_run_id) or _create_run(client, experiment_id, record)
    try:
        _log_results(client, run_id, configuration, record)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    return run_id


def _create_run(client: Any, experiment_id: str, record: RunRecord) -> str:
    tags = {TAG_STATE: record.state, "mlflow.source.name": "recsys run"}
    if record.flow_run_id:
        tags[TAG_FLOW_RUN] = record.flow_run_id
    name = f"catalogue {record.catalogue_digest[:8]}"
    return str(client.create_run(experiment_id, tags=tags, run_name=name).info.run_id)


def _log_results(client: Any, run_id: str, configuration: Configuration, record: RunRecord) -> None:
    from mlflow.entities import Metric, Param  # takes seconds to import

    timestamp_ms = int(time.time() * 1000)
    parameters = _parameters(configuration, record)
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, timestamp_ms, 0) for key, value in _metrics(record).items()],
        params=[Param(key, str(value)[:MAX_PARAMETER_LENGTH]) for key, value in parameters.items()],
    )
    client.log_text(run_id, record.retrieval.to_csv(index=False), "retrieval.csv")
    for name, png in record.pictures.items():
        log_picture(client, run_id, name, png)


def _parameters(configuration: Configuration, record: RunRecord) -> dict[str, Any]:
    embedding = record.embedding
    return {
        "catalogue.digest": record.catalogue_digest,
        "catalogue.source": record.catalogue_source,
        "model_version": model_version(configuration),
        "embedding": embedding.version,
        "embedding.registered": embedding.model.registered if embedding.model else "none: the raw backbone",
        **flatten(configuration.model_dump(include=LOGGED_SECTIONS)),
    }


def _metrics(record: RunRecord) -> dict[str, float]:
    metrics: dict[str, float] = {f"count/{key}": count for key, count in record.counts.as_dict().items()}
    for row in record.retrieval.dropna().to_dict("records"):
        for figure in ("precision", "recall"):
            metrics[f"level_{row['level']}/{figure}_at_{row['k']}"] = row[figure]
    return metrics
