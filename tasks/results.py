"""The end of a run: evaluation, MLflow run, report."""

from pathlib import Path
from typing import Any

import pandas as pd
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.evaluation.leave_one_out import evaluate_shop
from recsys.ingest.images.ledger import broken_by_cause
from recsys.models.embedding.serving import serving
from recsys.ranking.outdated import state_key
from recsys.reporting import publication
from recsys.reporting.funnel import count_funnel
from recsys.storage.store import Store
from tasks import policy
from tasks.artifacts import records


@task(task_run_name="results: state of the shop", **policy.UNCACHED)
def state_of_shop(home: str, configuration: Configuration) -> str:
    """Return the digest of the data that evaluation and report depend on."""
    store = Store(home)
    causes = records(broken_by_cause(store)[["cause", "products"]])
    # with table versions, so that a shop that returns to an earlier state gets a new report
    serves = serving(home, configuration)
    versions = [
        store.version(table)
        for table in ("products", "labels", "predictions", "reviews", "scraped", serves.recommendations)
    ]
    return digest(
        [state_key(store, configuration, serves), count_funnel(store, configuration).as_dict(), causes, versions]
    )


@task(task_run_name="evaluation: precision and recall", **policy.cached(evaluate_shop))
def evaluate_embedding(home: str, state: str, configuration: Configuration) -> list[dict[str, Any]]:
    """Compute precision and recall at each level of the category path."""
    return records(evaluate_shop(Store(home), configuration))


@task(task_run_name="results: MLflow and report", **policy.cached(publication.publish))
def publish_results(
    home: str, state: str, configuration: Configuration, figures: list[dict[str, Any]]
) -> publication.Publication:
    """Log the run to MLflow and write the report."""
    links = {"Prefect flow run": str(flow_run.name)}
    return publication.publish(Store(home), configuration, state, pd.DataFrame(figures), str(flow_run.id), links)


@task(task_run_name="results: where they are", **policy.UNCACHED)
def link_results(home: str, published: publication.Publication) -> None:
    """Save links to the report and the MLflow run as an artifact of the flow run."""
    create_markdown_artifact(
        key="results",
        markdown=(
            f"- **Report:** [{published.report}]({Path(published.report).absolute().as_uri()})\n"
            f"- **MLflow run:** `{published.mlflow_run_id}`, shown by `recsys ui --home {home}`\n"
        ),
        description="Where the results of this run are.",
    )
