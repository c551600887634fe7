"""Events of a shop, which trigger a training or a notification, and the log of epochs."""

from collections.abc import Mapping
from typing import Any

from prefect.events import emit_event
from prefect.logging import get_run_logger

from recsys.storage.store import Store

UPDATED = "catalogue.updated"
"""A refresh has merged a catalogue. It triggers a training, see `prefect.yaml`."""
REFUSED = "challenger.refused"
"""A new embedding has failed the gate."""


def emit(event: str, store: Store, payload: Mapping[str, Any], **labels: str) -> None:
    """Emit an event about a home.

    Args:
        event: its name.
        store: of the home, which is the event's resource.
        payload: of the event.
        labels: of the resource, `recsys.NAME`; triggers can match them.
    """
    resource = {"prefect.resource.id": f"recsys.home.{store.id}", "prefect.resource.name": str(store.home.resolve())}
    emit_event(event, resource | {f"recsys.{name}": value for name, value in labels.items()}, payload=dict(payload))


def log_epoch(epoch: int, metrics: dict[str, float]) -> None:
    """Log the metrics of an epoch."""
    values = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
    get_run_logger().debug("epoch %s: %s", epoch, values)
