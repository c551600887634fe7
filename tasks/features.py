"""Features of the pictures: embeddings and colour histograms."""

from __future__ import annotations

from prefect import task
from prefect.logging import get_run_logger

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.models import features
from recsys.storage.store import Shard, Store
from tasks import policy


@task(task_run_name="features: what is missing", **policy.FRESH)
def missing_features(home: str, configuration: Configuration) -> list[Shard]:
    """Ask the store which pictures the configured model has not seen yet."""
    return features.missing(Store(home), configuration)


@task(**policy.SHARD)
def extract_features(home: str, shard: Shard, configuration: Configuration) -> features.FeatureCounts:
    """Compute the features of a shard of pictures."""
    counts = features.extract_shard(Store(home), shard, configuration)
    progress.advance(shard.stage, len(shard.keys))
    get_run_logger().info("%s: %s", shard, counts)
    return counts
