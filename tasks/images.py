"""Images: fetch them, square them, and record the outcome of every link."""

from prefect import task
from prefect.logging import get_run_logger

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.ingest.images import ledger, views
from recsys.storage.shards import Shard
from recsys.storage.store import Store
from tasks import policy
from tasks.artifacts import save_table


@task(task_run_name="images: what is missing", **policy.UNCACHED)
def missing_images(home: str, configuration: Configuration, recheck: ledger.Recheck | None = None) -> list[Shard]:
    """Return shards of the products without an image and without a known broken link, and of those to recheck."""
    return ledger.missing(Store(home), configuration, recheck)


@task(task_run_name="images: placeholders to replace", **policy.UNCACHED)
def placeholders_to_replace(home: str, configuration: Configuration) -> list[Shard]:
    """Discard placeholder pictures, and return shards of their products that list another picture."""
    return ledger.replace_placeholders(Store(home), configuration)


@task(**policy.cached_shard(ledger.fetch_shard))
def fetch_images(
    home: str, shard: Shard, configuration: Configuration, recheck: ledger.Recheck | None = None
) -> ledger.FetchCounts:
    """Fetch a shard of images; fail after saving the fetched ones if some are pending."""
    counts = ledger.fetch_shard(
        Store(home), shard, configuration, lambda status: progress.advance(shard.stage, 1, status), recheck
    )
    get_run_logger().info("%s: %s", shard, counts)
    return counts


@task(task_run_name="views: what is missing", **policy.UNCACHED)
def missing_views(home: str, configuration: Configuration) -> list[Shard]:
    """Return shards of the products that list more photos than are fetched."""
    return views.missing(Store(home), configuration)


@task(**policy.cached_shard(views.fetch_shard))
def fetch_views(home: str, shard: Shard, configuration: Configuration) -> views.ViewCounts:
    """Fetch further photos of a shard of products; fail after saving the fetched ones if some are pending."""
    counts = views.fetch_shard(
        Store(home), shard, configuration, lambda outcome: progress.advance(shard.stage, 1, outcome)
    )
    get_run_logger().info("%s: %s", shard, counts)
    return counts


@task(task_run_name="images: broken links by cause", **policy.UNCACHED)
def require_images(home: str, configuration: Configuration) -> ledger.FetchCounts:
    """Save the broken links by cause as artifacts; fail if too many images are pending or no image is usable."""
    store = Store(home)
    save_table("broken-links", ledger.broken_by_cause(store), "Products without a picture, by cause.")
    save_table("broken-links-by-host", ledger.broken_by_host(store), "Products without a picture, by host.")
    return ledger.require_images(store, configuration)
