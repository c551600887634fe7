"""The end of a run: its figures and pictures go to MLflow and into the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.ingest.images.ledger import write_broken_links
from recsys.models.embedding.serving import serving
from recsys.reporting.run_record import RunRecord, log_run
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
        pictures["recommendations"] = grid_picture(rows, data.configuration.catalogue.currency)
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
