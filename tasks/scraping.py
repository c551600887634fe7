"""Scraping: a marketplace's pictures for small classes, a task a keyword."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.logging import get_run_logger

from recsys.core.configuration import Configuration
from recsys.ingest.scraping import harvest
from recsys.storage.store import Store
from tasks import policy


@task(task_run_name="scraping: what is missing", **policy.FRESH)
def missing_searches(home: str, configuration: Configuration, labels: Sequence[str] | None) -> list[harvest.Search]:
    """Ask the store which labels are small, and which of their keywords have not been searched for."""
    return harvest.missing(Store(home), configuration, labels)


@task(task_run_name="scrape: {search.keyword}", **policy.KEPT)
def scrape_keyword(home: str, search: harvest.Search, configuration: Configuration) -> harvest.SearchCounts:
    """Search for one keyword and keep its pictures; a robot check or a busy host fails this keyword alone."""
    counts = harvest.run_search(Store(home), search, configuration)
    get_run_logger().info("%s: %s", search, counts)
    return counts


@task(task_run_name="scraping: what was found", **policy.FRESH)
def account_for_searches(home: str, searches: Sequence[harvest.Search]) -> dict[str, int]:
    """Keep the outcome of each keyword as an artifact; fails when some of these searches did."""
    store = Store(home)
    create_table_artifact(
        key="scraping",
        table=harvest.outcomes(store).to_dict("records"),
        description="Pictures of a marketplace by keyword: found, kept, duplicates, broken; and what failed.",
    )
    return harvest.require_found(store, searches)
