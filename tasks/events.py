"""The events of a shop, for whoever waits for them: a training, a notification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.events import emit_event

from recsys.storage.store import Store

UPDATED = "catalogue.updated"
"""A refresh has taken a catalogue in; `prefect.yaml` has a training wait for it."""
REFUSED = "challenger.refused"
"""The gate has not let a new embedding pass."""


def emit(event: str, store: Store, payload: Mapping[str, Any], **labels: str) -> None:
    """Emit an event whose resource is the home; `labels` are what a trigger may match beside it."""
    resource = {"prefect.resource.id": f"recsys.home.{store.id}", "prefect.resource.name": str(store.home.resolve())}
    emit_event(event, resource | {f"recsys.{name}": value for name, value in labels.items()}, payload=dict(payload))
