"""The job that a schedule runs: a look at the catalogue, and only where it is news all that follows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.recommend import Stage, process, until
from flows.stages import alone
from recsys.core.configuration import load
from tasks.refresh import measure_drift, state_to_reach, tell_news


@flow(name="refresh", flow_run_name="refresh from {catalogue}", persist_result=True)
def refresh(home: str, catalogue: str, flags: dict[str, Any] | None = None) -> dict[Stage, int] | State[Any]:
    """Bring the home up to date where catalogue or settings are others than last time, and tell the news of it.

    Its cost follows the change: the models at hand judge what is new, and what rests on it is ranked anew. Nothing is
    trained, and figures, pictures and report of the whole shop are left to `recommend`. What the news are is in the
    event `catalogue.updated`; a training may wait for it (see `prefect.yaml`).

    Args:
        home: the folder that holds everything of the shop.
        catalogue: a file or an http(s) URL.
        flags: configuration that outranks the home's file and the environment.

    Returns:
        How many items each stage had to do; the state "nothing new" where there was nothing to do.
    """
    configuration = load(Path(home), flags)
    with alone(home, configuration):
        state = state_to_reach(home, catalogue, configuration)
        if state is None:
            return Completed(message="nothing new")
        done = until("recommendations", process(home, catalogue, configuration, train=False))
        tell_news(home, state, configuration, measure_drift(home, configuration))
    return done
