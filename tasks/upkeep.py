"""Upkeep: what runs leave behind in the tables is let go by the runs themselves.

Its tasks log what they did and return nothing: an empty tuple among their counts is one object in all of Python, by
which Prefect would draw every later task as depending on them.
"""

from __future__ import annotations

from prefect import task
from prefect.logging import get_run_logger

from recsys.core.configuration import Configuration
from recsys.storage import compaction as upkeep
from recsys.storage.store import Store
from tasks import policy


@task(task_run_name="upkeep: old versions", **policy.FRESH)
def let_go_of_old_versions(home: str, configuration: Configuration) -> None:
    """Drop versions of tables that nobody reads any more."""
    get_run_logger().info("%s", upkeep.let_go(Store(home), configuration.upkeep))


@task(task_run_name="upkeep: tables", **policy.FRESH)
def compact_tables(home: str, configuration: Configuration) -> None:
    """Write tables anew of which too much is waste."""
    get_run_logger().info("%s", upkeep.compact(Store(home), configuration.upkeep))
