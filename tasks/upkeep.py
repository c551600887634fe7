"""Upkeep: what runs leave behind in the tables is let go by the runs themselves."""

from __future__ import annotations

from prefect import task
from prefect.logging import get_run_logger

from recsys import upkeep
from recsys.configuration import Configuration
from recsys.store import Store
from tasks import policy


@task(task_run_name="upkeep: old versions", **policy.FRESH)
def let_go_of_old_versions(home: str, configuration: Configuration) -> upkeep.Kept:
    """Drop versions of tables that nobody reads any more."""
    kept = upkeep.let_go(Store(home), configuration.upkeep)
    get_run_logger().info("%s", kept)
    return kept


@task(task_run_name="upkeep: tables", **policy.FRESH)
def compact_tables(home: str, configuration: Configuration) -> upkeep.Kept:
    """Write tables anew of which too much is waste."""
    kept = upkeep.compact(Store(home), configuration.upkeep)
    get_run_logger().info("%s", kept)
    return kept
