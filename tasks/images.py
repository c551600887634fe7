"""Images: fetched, squared, and every link accounted for."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.logging import get_run_logger

from recsys import progress
from recsys.configuration import Configuration
from recsys.images import ledger
from recsys.store import Shard, Store
from tasks import policy


@task(task_run_name="images: what is missing", **policy.FRESH)
def missing_images(home: str, configuration: Configuration) -> list[Shard]:
    """Ask the ledger which products have no image yet, and are not known to be broken."""
    return ledger.missing(Store(home), configuration)


@task(**policy.SHARD)
def fetch_images(home: str, shard: Shard, configuration: Configuration) -> ledger.FetchCounts:
    """Fetch a shard of images; fails, having kept what it got, when some are pending."""
    counts = ledger.fetch_shard(Store(home), shard, configuration, lambda status: progress.advance(shard.stage))
    get_run_logger().info("%s: %s", shard, counts)
    return counts


@task(task_run_name="images: every link accounted for", **policy.FRESH)
def account_for_images(home: str, configuration: Configuration) -> ledger.FetchCounts:
    """Keep the broken links by cause as an artifact; fails when too many images are pending, or none is there."""
    store = Store(home)
    create_table_artifact(
        key="broken-links",
        table=ledger.broken_by_cause(store).to_dict("records"),
        description="Products without a picture, by the cause that the ledger gives.",
    )
    return ledger.require_images(store, configuration)
