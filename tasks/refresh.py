"""The refresh: whether there is anything to do, and the news of it for whoever waits for them."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.runtime import flow_run

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.lifecycle import drift
from recsys.lifecycle import refresh_state as refresh
from recsys.storage.store import Store
from tasks import events, policy


@task(task_run_name="refresh: is there anything new", **policy.FRESH)
def state_to_reach(home: str, catalogue: str, configuration: Configuration) -> str | None:
    """Return the state that a refresh is to end in; None where the last one ended in it."""
    state = refresh.state_of(Store(home), catalogue, configuration)
    return None if refresh.is_up_to_date(Path(home), state) else state


@task(task_run_name="refresh: drift", **policy.FRESH)
def measure_drift(home: str, configuration: Configuration) -> dict[str, float]:
    """Keep how far the shop has drifted as an artifact and in MLflow, and return what went too far."""
    store = Store(home)
    drifted, news = drift.note(store, configuration), refresh.news(store)
    rows = drifted.astype(object).where(drifted.notna(), None).to_dict("records")
    limit = configuration.workflow.drift_psi
    described = f"Population stability index since the last refresh and the last training; beyond {limit:g} is drift."
    create_table_artifact(key="drift", table=rows, description=described)
    counts = {"new": news.new, "changed": news.changed, "removed": news.removed}
    refresh.log_refresh(Path(home), str(flow_run.id), news.digest, counts, drifted)
    return drift.beyond(drifted, limit)


@task(task_run_name="refresh: tell the news", **policy.FRESH)
def tell_news(home: str, state: str, configuration: Configuration, drifted: dict[str, float]) -> str:
    """Note that the home is up to date, and emit `catalogue.updated` with the catalogue's digest and counts.

    The event's resource says by its label `recsys.retraining` whether a training is due: where more of the products
    have changed since the last one than `workflow.retrain_share`; and by `recsys.drift` whether something is `beyond`
    the limit, or all `within`.
    """
    store = Store(home)
    whole = refresh.ended(store, state)
    news = refresh.news(store)
    due = news.share is not None and news.share > configuration.workflow.retrain_share
    far = ", ".join(f"{what} {index:g}" for what, index in drifted.items())
    counts = {"new": news.new, "changed": news.changed, "removed": news.removed, "share": news.share}
    payload = {"digest": news.digest, **counts, "drift": far}
    labels = {"retraining": "due" if due else "not due", "drift": "beyond" if drifted else "within"}
    events.emit(events.UPDATED, store, payload, **labels)
    pending = "" if whole else "; images are pending, which the next refresh asks for again"
    told = f"{news}{'; a training is due' if due else ''}{f'; drift: {far}' if far else ''}{pending}"
    progress.note(told)
    create_markdown_artifact(key="refresh", markdown=told, description="What the catalogue brought.")
    return told
