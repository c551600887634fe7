"""A real Prefect server reports failed runs and refused challengers to a real receiver."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from cli import deployments
from recsys.storage.store import Store

from ..conftest import Receiver

pytestmark = [pytest.mark.server, pytest.mark.slow]


def test_each_failure_is_reported_once(prefect_url: str, receiver: Receiver, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    from flows.scrape import scrape
    from tasks import events

    def automations() -> dict[str, Any]:
        with get_client(sync_client=True) as client:
            return {each.name: each for each in client.read_automations() if each.name.startswith("recsys: ")}

    channels = {"webhook": receiver.url}
    try:
        assert deployments.set_up_notifications(channels) == deployments.set_up_notifications(channels)
        made = automations()
        assert len(made) == 3 and "s3cret" not in str(made)
        time.sleep(2)  # for the server's triggers to have taken them up

        state = scrape(str(tmp_path / "home"), ["No such label"], return_state=True)
        assert state.is_failed()
        failed = receiver.wait_for("No such label")
        assert failed["subject"] == "recsys: a run failed" and "Flow scrape" in failed["body"]
        assert "/runs/flow-run/" in failed["body"], "the way to it in the Prefect UI"

        payload = {"version": "0f", "reason": "refused: worse at level 1", "mlflow_run": "ab"}
        events.emit(events.REFUSED, Store(tmp_path / "home"), payload)
        assert receiver.wait_for("worse at level 1")["subject"] == "recsys: a challenger was refused"

        labels = {"retraining": "not due", "drift": "beyond"}
        changes = {"new": 1, "changed": 2, "removed": 3, "drift": "prices 0.31"}
        events.emit(events.UPDATED, Store(tmp_path / "home"), changes, **labels)
        assert "1 products new, 2 changed" in receiver.wait_for("prices 0.31")["body"]
        deployments.send_test(channels)
        receiver.wait_for("a test notification")
    finally:
        assert deployments.set_up_notifications({}) == []
    assert not automations()
