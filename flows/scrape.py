"""Small classes grow: a marketplace is searched for them, as the original project did; only where asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow

from flows.stages import alone
from recsys.core import progress
from recsys.core.configuration import Configuration, load
from recsys.core.errors import FetchError
from recsys.ingest.scraping.harvest import Search
from tasks.policy import patiently
from tasks.scraping import account_for_searches, missing_searches, scrape_keyword


@flow(name="scrape", flow_run_name="scrape for small classes", persist_result=True)
def scrape(
    home: str,
    labels: list[str] | None = None,
    flags: dict[str, Any] | None = None,
    keywords: dict[str, list[str]] | None = None,
) -> dict[str, int]:
    """Search a marketplace for the labels with few pictures; a keyword that was searched for is not asked for again.

    Args:
        home: the folder that holds everything of the shop.
        labels: those to grow (default: all with fewer pictures than `scraping.grow_below`).
        flags: configuration that outranks the home's file and the environment.
        keywords: what to search for, by label, in place of `scraping.keywords`; without `labels`, for these alone.

    Returns:
        How many searches were done, and how many pictures they found, kept, and did not; all 0 when nothing was
        to do.

    Raises:
        ScrapingError: keywords failed, after all were tried; running again asks only for those.
    """
    if keywords:
        labels = labels or list(keywords)
        flags = {**(flags or {}), "scraping": {**(flags or {}).get("scraping", {}), "keywords": keywords}}
    configuration = load(Path(home), flags)
    with alone(home, configuration):
        searches = missing_searches(home, configuration, labels)
        one_by_one(home, searches, configuration)
        return account_for_searches(home, searches)


def one_by_one(home: str, searches: Sequence[Search], configuration: Configuration) -> None:
    """Search for each keyword in turn, since two at a time would ask the marketplace twice as often as agreed.

    A keyword that fails does not end it; any other failure does.
    """
    if not searches:
        return
    patient = patiently(scrape_keyword, configuration)
    progress.begin("scraping", len(searches))
    for search in searches:
        result = patient(home, search, configuration, return_state=True).result(raise_on_failure=False)
        if isinstance(result, Exception) and not isinstance(result, FetchError):
            raise result
        progress.advance("scraping", outcome="failed" if isinstance(result, FetchError) else "ok")
    progress.finish("scraping", f"{len(searches)} keywords")
