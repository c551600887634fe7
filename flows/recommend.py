"""The main flow: from a catalogue to recommendations for every product with a picture."""

from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from flows import Stage
from flows.process import run_until, update_shop
from flows.stages import exclusive_home
from recsys.ingest.catalogue.source import display_name


def _run_name() -> str:
    return f"recommend from {display_name(flow_run.parameters['catalogue'])}"


@flow(name="recommend", flow_run_name=_run_name, persist_result=True)
def recommend(
    home: str,
    catalogue: str,
    flags: dict[str, Any] | None = None,
    stop_after: Stage = "results",
    accept: bool = False,
) -> dict[Stage, int]:
    """Update everything in the home from a catalogue; do only what is missing.

    Args:
        home: the folder with all data of the shop.
        catalogue: see `recsys.ingest.catalogue.source.inputs`.
        flags: configuration that overrides the home's file and the environment.
        stop_after: the last stage to run.
        accept: whether the catalogue may change more products than `catalogue.change_share`.

    Returns:
        The number of items that each stage processed; all 0 if there was nothing to do.
    """
    with exclusive_home(home, flags) as configuration:
        return run_until(stop_after, update_shop(home, catalogue, configuration, accept=accept))
