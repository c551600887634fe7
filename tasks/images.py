"""Images: fetched, squared, and every link accounted for."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.logging import get_run_logger

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.ingest.images import ledger, views
from recsys.storage.store import Shard, Store
from tasks import policy


@task(task_run_name="images: what is missing", **policy.FRESH)
def missing_images(home: str, configuration: Configuration, again: ledger.Recheck | None = None) -> list[Shard]:
    """Ask the ledger which products have no image yet and are not known to be broken, or are to be asked `again`."""
    return ledger.missing(Store(home), configuration, again)


@task(task_run_name="images: placeholders to replace", **policy.FRESH)
def placeholders_to_replace(home: str, configuration: Configuration) -> list[Shard]:
    """Set pictures aside that stand for no image, and ask which of their products list another."""
    return ledger.replace_placeholders(Store(home), configuration)


@task(**policy.SHARD)
def fetch_images(
    home: str, shard: Shard, configuration: Configuration, again: ledger.Recheck | None = None
) -> ledger.FetchCounts:
    """Fetch a shard of images; fails, having kept what it got, when some are pending."""
    counts = ledger.fetch_shard(
        Store(home), shard, configuration, lambda status: progress.advance(shard.stage, 1, status), again
    )
    get_run_logger().info("%s: %s", shard, counts)
    return counts


@task(task_run_name="views: what is missing", **policy.FRESH)
def missing_views(home: str, configuration: Configuration) -> list[Shard]:
    """Ask the store which products lack further photos that their rows list."""
    return views.missing(Store(home), configuration)


@task(**policy.SHARD)
def fetch_views(home: str, shard: Shard, configuration: Configuration) -> views.ViewCounts:
    """Fetch the further photos of a shard of products; fails, having kept what it got, when some are pending."""
    counts = views.fetch_shard(
        Store(home), shard, configuration, lambda outcome: progress.advance(shard.stage, 1, outcome)
    )
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
    create_table_artifact(
        key="broken-links-by-host",
        table=ledger.broken_by_host(store).to_dict("records"),
        description="Products without a picture, by the host that their URL names.",
    )
    return ledger.require_images(store, configuration)
