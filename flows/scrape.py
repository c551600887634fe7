"""Scrape a marketplace for labels with few pictures, as the original project did. Runs on demand only."""

from collections.abc import Sequence
from typing import Any

from prefect import flow

from flows.stages import exclusive_home
from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.core.errors import FetchError
from recsys.ingest.scraping.harvest import Search
from tasks.policy import with_retries
from tasks.scraping import missing_searches, require_searches, scrape_keyword


@flow(name="scrape", flow_run_name="scrape for small classes", persist_result=True)
def scrape(
    home: str,
    labels: list[str] | None = None,
    flags: dict[str, Any] | None = None,
    keywords: dict[str, list[str]] | None = None,
) -> dict[str, int]:
    """Search a marketplace for labels with few pictures; keywords that were searched for are not repeated.

    Args:
        home: the folder with all data of the shop.
        labels: the labels to scrape for (default: all with fewer pictures than `scraping.grow_below`).
        flags: configuration that overrides the home's file and the environment.
        keywords: the keywords of each label, instead of `scraping.keywords`; without `labels`, only these labels.

    Returns:
        The number of searches, and of the pictures found, kept and not kept; all 0 if there was nothing to do.

    Raises:
        ScrapingError: keywords failed; all others are done, and the next run repeats only the failed ones.
    """
    if keywords:
        labels = labels or list(keywords)
        flags = {**(flags or {}), "scraping": {**(flags or {}).get("scraping", {}), "keywords": keywords}}
    with exclusive_home(home, flags) as configuration:
        searches = missing_searches(home, configuration, labels)
        scrape_keywords(home, searches, configuration)
        return require_searches(home, searches)


def scrape_keywords(home: str, searches: Sequence[Search], configuration: Configuration) -> None:
    """Search for one keyword after the other, because searches in parallel would exceed the agreed request rate.

    A keyword that fails does not stop the others; any other failure does.
    """
    if not searches:
        return
    scrape_with_retries = with_retries(scrape_keyword, configuration)
    progress.begin("scraping", len(searches))
    for search in searches:
        state: Any = scrape_with_retries(home, search, configuration, return_state=True)
        result = state.result(raise_on_failure=False)
        if isinstance(result, Exception) and not isinstance(result, FetchError):
            raise result
        progress.advance("scraping", outcome="failed" if isinstance(result, FetchError) else "ok")
    progress.finish("scraping", f"{len(searches)} keywords")
