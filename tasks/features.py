"""Features of the pictures: backbone features, colour histograms and perceptual hashes."""

from prefect import task
from prefect.logging import get_run_logger

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.models import features
from recsys.storage.shards import Shard
from recsys.storage.store import Store
from tasks import policy


@task(task_run_name="features: what is missing", **policy.UNCACHED)
def missing_features(home: str, configuration: Configuration) -> list[Shard]:
    """Return shards of the pictures that lack features of the backbone of this configuration."""
    return features.missing(Store(home), configuration)


@task(**policy.cached_shard(features.extract_shard))
def extract_features(home: str, shard: Shard, configuration: Configuration) -> features.FeatureCounts:
    """Compute the features of a shard of pictures."""
    counts = features.extract_shard(Store(home), shard, configuration)
    progress.advance(shard.stage, len(shard.keys))
    get_run_logger().info("%s: %s", shard, counts)
    return counts
