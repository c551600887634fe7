"""Links that failed, asked for again, and what follows of those that are mended."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from prefect import flow
from prefect.runtime import flow_run

from flows.recommend import Stage, bring_up_to_date, until
from flows.stages import alone
from recsys.core.configuration import load
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
    """Ask for images again: the pending ones in any case, on demand broken ones, or ok ones that may have changed.

    Args:
        home: the folder that holds everything of the shop.
        status: `pending`, nothing else; `broken`, links that may be mended; `ok`, pictures that may have changed, by a
            conditional request.
        causes: of the broken ones, such as http_404; none means all.
        older_than_days: only what was last checked so long ago.
        flags: configuration that outranks the home's file and the environment.
        stop_after: the last stage to run.

    Returns:
        How many items each stage had to do: all 0 when there was nothing to do.
    """
    # The run's start, also when Prefect retries it: what it has asked for by then is not asked for again.
    before = flow_run.scheduled_start_time - timedelta(days=older_than_days)
    again = None if status == "pending" else Recheck(status, before, tuple(causes or ()))
    configuration = load(Path(home), flags)
    with alone(home, configuration):
        return until(stop_after, bring_up_to_date(home, configuration, again))
