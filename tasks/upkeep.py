"""Upkeep: compact tables, and drop their old versions.

These tasks log their counts and return nothing. An empty tuple among returned counts is one object in all of Python, so
Prefect would draw every later task as depending on them.
"""

from prefect import task
from prefect.logging import get_run_logger

from recsys.core.configuration import Configuration
from recsys.storage import compaction
from recsys.storage.store import Store
from tasks import policy


@task(task_run_name="upkeep: old versions", **policy.UNCACHED)
def drop_old_versions(home: str, configuration: Configuration) -> None:
    """Drop versions of tables that are no longer read."""
    get_run_logger().info("%s", compaction.drop_old_versions(Store(home), configuration.upkeep))


@task(task_run_name="upkeep: tables", **policy.UNCACHED)
def compact_tables(home: str, configuration: Configuration) -> None:
    """Compact tables with too much waste."""
    get_run_logger().info("%s", compaction.compact(Store(home), configuration.upkeep))
