"""The main flow: from a catalogue to recommendations for every product with a picture."""

from typing import Any

from prefect import flow

from flows import Stage
from flows.process import run_until, update_shop
from flows.stages import exclusive_home


@flow(name="recommend", flow_run_name="recommend from {catalogue}", persist_result=True)
def recommend(
    home: str, catalogue: str, flags: dict[str, Any] | None = None, stop_after: Stage = "results"
) -> dict[Stage, int]:
    """Update everything in the home from a catalogue; do only what is missing.

    Args:
        home: the folder with all data of the shop.
        catalogue: a file or an http(s) URL.
        flags: configuration that overrides the home's file and the environment.
        stop_after: the last stage to run.

    Returns:
        The number of items that each stage processed; all 0 if there was nothing to do.
    """
    with exclusive_home(home, flags) as configuration:
        return run_until(stop_after, update_shop(home, catalogue, configuration))
