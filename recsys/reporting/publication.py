"""The end of a run: its figures and pictures go to MLflow and into the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.ingest.images.ledger import write_broken_links
from recsys.models.embedding.serving import serving
from recsys.reporting.funnel import funnel
from recsys.reporting.run_record import log_run
from recsys.storage.store import Store

GRID_ROWS = 6
"""Queries in the grid picture that MLflow keeps; the report shows more."""


@dataclass(frozen=True)
class Publication:
    """Where the results of a run are."""

    report: Path
    mlflow_run_id: str
    flow_run_id: str | None


def report_path(home: Path | str) -> Path:
    """Return where the report of a home is, or will be."""
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
        store: the store.
        configuration: the configuration of the run.
        state: the digest of the data and settings that the results belong to.
        retrieval: see `evaluation.retrieval`.
        flow_run_id: of the Prefect flow run, if any.
        links: shown in the report's head, by title.
    """
    from recsys.evaluation.tsne import tsne_picture
    from recsys.reporting.contents import gather
    from recsys.reporting.page import write_report  # draws: a second to import
    from recsys.reporting.pictures import grid_picture

    progress.begin("report", 3)
    data = gather(store, configuration, retrieval, links)
    progress.advance("report")
    pictures = {}
    if data.grids:
        spread = data.grids[:: max(1, len(data.grids) // GRID_ROWS)][:GRID_ROWS]  # they come label by label
        pictures["recommendations"] = grid_picture(spread, configuration.catalogue.currency)
    if len(data.tsne_points):
        pictures["tsne"] = tsne_picture(data.tsne_points, data.tsne_labels)
    run_id = log_run(
        store.home,
        configuration,
        state=state,
        embedding=serving(store.home, configuration),
        catalogue={"source": data.source, "digest": data.catalogue_digest},
        counts=funnel(store, configuration),
        retrieval=retrieval,
        pictures=pictures,
        flow_run_id=flow_run_id,
    )
    progress.advance("report")
    linked = dataclasses.replace(data, links={**data.links, "MLflow run": run_id})
    report = write_report(store.home, linked)
    write_broken_links(store, report.with_name("broken-links.csv"))
    progress.advance("report")
    progress.finish("report", "figures and pictures are in MLflow and the report")
    return Publication(report, run_id, flow_run_id)
