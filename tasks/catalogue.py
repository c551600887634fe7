"""The catalogue: read it and merge it into the table `products`."""

from datetime import UTC, datetime

from prefect import task
from prefect.logging import get_run_logger
from prefect.runtime import task_run

from recsys.core.configuration import Configuration
from recsys.ingest.catalogue import intake
from recsys.ingest.catalogue.products import CatalogueChange
from recsys.ingest.catalogue.source import display_name
from recsys.storage.store import Store
from tasks import policy


def _run_name() -> str:
    return f"catalogue: {display_name(task_run.parameters['source'])}"


@task(task_run_name=_run_name, **policy.UNCACHED)
def read_catalogue(home: str, source: str, configuration: Configuration, accept: bool = False) -> CatalogueChange:
    """Read the catalogue, reject bad rows, and merge what changed into the products."""
    change = intake.take_in(Store(home), source, configuration, datetime.now(UTC), accept=accept)
    get_run_logger().info("catalogue: %s", change)
    return change
