"""Retry image links that failed, or check whether images changed; then update what depends on them."""

from datetime import timedelta
from typing import Any, Literal

from prefect import flow
from prefect.runtime import flow_run

from flows import Stage
from flows.process import run_until, update_from_images
from flows.stages import exclusive_home
from recsys.ingest.images.ledger import Recheck


@flow(name="recheck", flow_run_name="recheck {status}", persist_result=True)
def recheck(
    home: str,
    status: Literal["pending", "broken", "ok"] = "pending",
    causes: list[str] | None = None,
    older_than_days: float = 0.0,
    flags: dict[str, Any] | None = None,
    stop_after: Stage = "results",
) -> dict[Stage, int]:
    """Fetch images again: always the pending ones, and those with the given status.

    Args:
        home: the folder with all data of the shop.
        status: `pending`, nothing else; `broken`, broken links, which may work again; `ok`, fetched images, which may
            have changed, by conditional requests.
        causes: only broken links with these causes, such as http_404 (default: all).
        older_than_days: only links that were last checked at least this many days ago.
        flags: configuration that overrides the home's file and the environment.
        stop_after: the last stage to run.

    Returns:
        The number of items that each stage processed; all 0 if there was nothing to do.
    """
    # The scheduled start stays the same if Prefect retries the run, so links checked since are not checked again.
    before = flow_run.scheduled_start_time - timedelta(days=older_than_days)
    links = None if status == "pending" else Recheck(status, before, tuple(causes or ()))
    with exclusive_home(home, flags) as configuration:
        return run_until(stop_after, update_from_images(home, configuration, links))
