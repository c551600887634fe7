"""A refresh without changes does nothing; one with changes reports them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from recsys.core import tracking
from recsys.lifecycle import refresh_state as recsys_refresh
from recsys.storage import records
from recsys.storage.store import Store
from sample_shop import SampleHost, SampleShop
from tests.flows.conftest import FLAGS, Ran, recorded

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("one run of a shop")]


@pytest.fixture
def home(ran: Ran, tmp_path: Path) -> Path:
    return shutil.copytree(ran.copy, tmp_path / "home")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The emitted events, which the server receives too."""
    import tasks.events

    emitted: list[dict[str, Any]] = []
    emit = tasks.events.emit_event

    def noted(event: str, resource: dict[str, str], **kwargs: Any) -> Any:
        emitted.append({"event": event, "resource": resource, **kwargs})
        return emit(event, resource, **kwargs)

    monkeypatch.setattr(tasks.events, "emit_event", noted)
    yield emitted


def refreshed(home: Path, catalogue: Path, **flags: Any) -> Any:
    from flows.refresh import refresh

    return refresh(str(home), str(catalogue), FLAGS | flags, return_state=True)


def test_a_refresh_processes_changes_and_the_next_one_does_nothing(
    home: Path, shop: SampleShop, host: SampleHost, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    state = refreshed(home, shop.catalogue)
    assert state.is_completed() and events[-1]["event"] == "catalogue.updated"
    count = len(events)

    again = refreshed(home, shop.catalogue)
    assert again.is_completed() and again.message == "nothing new"
    assert len(events) == count
    tasks, _ = recorded(home)
    named = {task.name for task in tasks}
    assert named == {"refresh: is there anything new", "upkeep: old versions", "upkeep: tables"}

    rows = pd.read_csv(shop.catalogue, dtype=str, keep_default_na=False)
    priced = rows.index[rows["discounted_price"] != ""][:12]
    rows.loc[priced, "discounted_price"] = "123"
    changed = tmp_path / "changed.csv"
    listed = Store(home).read("products", ["product_id"])["product_id"].to_pylist()
    gone = next(key for key in reversed(listed) if key not in set(rows["uniq_id"][priced]))
    rows[rows["uniq_id"] != gone].to_csv(changed, index=False)
    asked = sum(host.stats().values())
    state = refreshed(home, changed)
    done = state.result()
    assert 0 < done["catalogue"] <= 30 and done["recommendations"] > 0
    assert done["images"] == done["features"] == 0 and sum(host.stats().values()) == asked
    event = events[-1]
    assert event["payload"]["changed"] >= 8 and event["payload"]["removed"] == 1
    assert event["payload"]["digest"] == recsys_refresh.news(Store(home)).digest
    assert event["payload"]["share"] > 0.05 and event["resource"]["recsys.retraining"] == "due"
    assert event["payload"]["drift"].startswith("prices") and event["resource"]["recsys.drift"] == "beyond"
    assert '"what": "prices"' in str(recorded(home)[1]["drift"].data)
    client, experiment = tracking.experiment(home, recsys_refresh.REFRESHES)
    last, _ = client.search_runs([experiment])
    assert last.data.tags[tracking.TAG_CATALOGUE] == event["payload"]["digest"]
    assert last.data.metrics["drift/prices_since_refresh"] > 0.2 and last.data.metrics["count/removed"] == 1
    assert refreshed(home, changed).message == "nothing new"
    assert len(client.search_runs([experiment])) == 2


def test_a_refresh_runs_after_a_change_of_a_setting(home: Path, shop: SampleShop, host: SampleHost) -> None:
    refreshed(home, shop.catalogue)
    assert refreshed(home, shop.catalogue).message == "nothing new"
    assert refreshed(home, shop.catalogue, recommend={"top": 3}).message != "nothing new"


def test_a_catalogue_that_cannot_be_read_is_an_error_and_the_home_is_unchanged(home: Path, shop: SampleShop) -> None:
    state = refreshed(home, shop.catalogue.with_name("missing.csv"))
    assert state.is_failed() and "missing.csv" in str(state.message)
    assert records.read(home, "refreshed") is None
