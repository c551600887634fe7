"""Scraping: pictures from a marketplace for small labels, one task per keyword."""

from collections.abc import Sequence

from prefect import task
from prefect.logging import get_run_logger

from recsys.core.configuration import Configuration
from recsys.ingest.scraping import harvest
from recsys.storage.store import Store
from tasks import policy
from tasks.artifacts import save_table


@task(task_run_name="scraping: what is missing", **policy.UNCACHED)
def missing_searches(home: str, configuration: Configuration, labels: Sequence[str] | None) -> list[harvest.Search]:
    """Return the keywords of small labels that were not searched for yet."""
    return harvest.missing(Store(home), configuration, labels)


@task(task_run_name="scrape: {search.keyword}", **policy.cached(harvest.run_search))
def scrape_keyword(home: str, search: harvest.Search, configuration: Configuration) -> harvest.SearchCounts:
    """Search for one keyword and save its pictures; a captcha or a busy host fails only this keyword."""
    counts = harvest.run_search(Store(home), search, configuration)
    get_run_logger().info("%s: %s", search, counts)
    return counts


@task(task_run_name="scraping: what was found", **policy.UNCACHED)
def require_searches(home: str, searches: Sequence[harvest.Search]) -> dict[str, int]:
    """Save the outcome of each keyword as an artifact; fail if some of these searches failed."""
    store = Store(home)
    save_table("scraping", harvest.outcomes(store), "Pictures of a marketplace by keyword: found, kept, not kept.")
    return harvest.require_found(store, searches)
