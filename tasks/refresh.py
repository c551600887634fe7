"""The refresh: whether there is anything to do, and the news of it for whoever waits for them."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from recsys import progress, refresh
from recsys.configuration import Configuration
from recsys.store import Store
from tasks import policy

UPDATED = "catalogue.updated"
"""The event's name, which `prefect.yaml` has a training wait for."""


@task(task_run_name="refresh: is there anything new", **policy.FRESH)
def state_to_reach(home: str, catalogue: str, configuration: Configuration) -> str | None:
    """Return the state that a refresh is to end in; None where the last one ended in it."""
    state = refresh.state_of(Store(home), catalogue, configuration)
    return None if refresh.is_up_to_date(Path(home), state) else state


@task(task_run_name="refresh: tell the news", **policy.FRESH)
def tell_news(home: str, state: str, configuration: Configuration) -> str:
    """Note that the home is up to date, and emit `catalogue.updated` with the catalogue's digest and counts.

    The event's resource says by its label `recsys.retraining` whether a training is due: where more of the products
    have changed since the last one than `workflow.retrain_share`.
    """
    store = Store(home)
    whole = refresh.ended(store, state)
    news = refresh.news(store)
    due = news.share is not None and news.share > configuration.workflow.retrain_share
    resource = {
        "prefect.resource.id": f"recsys.home.{store.id}",
        "prefect.resource.name": str(Path(home).resolve()),
        "recsys.retraining": "due" if due else "not due",
    }
    counts = {"new": news.new, "changed": news.changed, "removed": news.removed, "share": news.share}
    emit_event(UPDATED, resource, payload={"digest": news.digest, **counts})
    pending = "" if whole else "; images are pending, which the next refresh asks for again"
    told = f"{news}{'; a training is due' if due else ''}{pending}"
    progress.note(told)
    create_markdown_artifact(key="refresh", markdown=told, description="What the catalogue brought.")
    return told
