"""The catalogue: read it and merge it into the table `products`."""

from datetime import UTC, datetime

from prefect import task
from prefect.logging import get_run_logger

from recsys.core.configuration import Configuration
from recsys.ingest.catalogue import CatalogueChange, intake
from recsys.storage.store import Store
from tasks import policy


@task(task_run_name="catalogue: {source}", **policy.UNCACHED)
def read_catalogue(home: str, source: str, configuration: Configuration) -> CatalogueChange:
    """Read the catalogue, reject bad rows, and merge what changed into the products."""
    change = intake.take_in(Store(home), source, configuration, datetime.now(UTC))
    get_run_logger().info("catalogue: %s", change)
    return change
