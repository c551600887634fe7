"""The refresh: whether anything changed, how far the shop drifted, and the report of both."""

from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.lifecycle import drift, refresh_state
from recsys.storage.store import Store
from tasks import events, policy
from tasks.artifacts import save_table


@task(task_run_name="refresh: is there anything new", **policy.UNCACHED)
def state_to_reach(home: str, catalogue: str, configuration: Configuration) -> str | None:
    """Return the state that the refresh leads to; None if the last refresh has reached it."""
    state = refresh_state.state_of(Store(home), catalogue, configuration)
    return None if refresh_state.is_up_to_date(Path(home), state) else state


@task(task_run_name="refresh: drift", **policy.UNCACHED)
def measure_drift(home: str, configuration: Configuration) -> dict[str, float]:
    """Save the drift of the shop as an artifact and in MLflow; return the indices above the limit."""
    store = Store(home)
    measured, news = drift.update_drift(store, configuration), refresh_state.news(store)
    limit = configuration.workflow.drift_psi
    description = f"Population stability index since the last refresh and the last training; above {limit:g} is drift."
    save_table("drift", measured, description)
    counts = {"new": news.new, "changed": news.changed, "removed": news.removed}
    refresh_state.log_refresh(Path(home), str(flow_run.id), news.digest, counts, measured)
    return drift.beyond(measured, limit)


@task(task_run_name="refresh: report the change", **policy.UNCACHED)
def report_refresh(home: str, state: str, configuration: Configuration, drifted: dict[str, float]) -> str:
    """Record that the home is up to date, and emit `catalogue.updated` with the catalogue's digest and counts.

    The event's resource has two labels. `recsys.retraining` is `due` if the share of products that changed since the
    last training is above `workflow.retrain_share`, else `not due`. `recsys.drift` is `beyond` if an index is above the
    limit, else `within`.
    """
    store = Store(home)
    complete = refresh_state.ended(store, state)
    news = refresh_state.news(store)
    is_due = news.share is not None and news.share > configuration.workflow.retrain_share
    indices = ", ".join(f"{name} {index:g}" for name, index in drifted.items())
    counts = {"new": news.new, "changed": news.changed, "removed": news.removed, "share": news.share}
    labels = {"retraining": "due" if is_due else "not due", "drift": "beyond" if drifted else "within"}
    events.emit(events.UPDATED, store, {"digest": news.digest, **counts, "drift": indices}, **labels)
    remarks = [
        "a training is due" if is_due else "",
        f"drift: {indices}" if indices else "",
        "" if complete else "images are pending; the next refresh retries them",
    ]
    summary = "; ".join([str(news), *filter(None, remarks)])
    progress.note(summary)
    create_markdown_artifact(key="refresh", markdown=summary, description="What changed in the catalogue.")
    return summary
