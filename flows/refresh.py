"""The flow that a schedule runs: compare the catalogue with the last one, and process what changed."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows import Stage
from flows.process import run_until, update_shop
from flows.stages import exclusive_home
from recsys.ingest.catalogue.source import display_name
from tasks.refresh import measure_drift, report_refresh, state_to_reach


def _run_name() -> str:
    return f"refresh from {display_name(flow_run.parameters['catalogue'])}"


@flow(name="refresh", flow_run_name=_run_name, persist_result=True)
def refresh(
    home: str, catalogue: str, flags: dict[str, Any] | None = None, accept: bool = False
) -> dict[Stage, int] | State[Any]:
    """Update the home if the catalogue or the settings changed since the last refresh, and report the change.

    The cost depends on the size of the change. Existing models process what is new, and the recommendations that depend
    on it are recomputed. A refresh trains nothing, and leaves evaluation and report to `recommend`. It emits the event
    `catalogue.updated`, which may trigger a training (see `prefect.yaml`).

    Args:
        home: the folder with all data of the shop.
        catalogue: see `recsys.ingest.catalogue.source.inputs`.
        flags: configuration that overrides the home's file and the environment.
        accept: whether the catalogue may change more products than `catalogue.change_share`.

    Returns:
        The number of items that each stage processed; the state "nothing new" if there was nothing to do.
    """
    with exclusive_home(home, flags) as configuration:
        state = state_to_reach(home, catalogue, configuration)
        if state is None:
            return Completed(message="nothing new")
        done = run_until("recommendations", update_shop(home, catalogue, configuration, train=False, accept=accept))
        report_refresh(home, state, configuration, measure_drift(home, configuration))
    return done
