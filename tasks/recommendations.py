"""Recommendations for every product that has a picture."""

from pathlib import Path

from prefect import task
from prefect.logging import get_run_logger

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.models.embedding.serving import Model, Serving
from recsys.ranking import recommendations
from recsys.ranking.ann_index_building import ensure_index, log_index
from recsys.ranking.outdated import settle
from recsys.storage.shards import Shard
from recsys.storage.store import Store
from tasks import policy


@task(task_run_name="recommendations: large labels", **policy.UNCACHED)
def split_labels(home: str, configuration: Configuration, model: Model | None) -> None:
    """Split the labels that are too large for exact search, and log the recall of the search by partitions."""
    for split in recommendations.split_labels(Store(home), configuration, model):
        get_run_logger().info("%s", split)
        log_index(Path(home), split.figures)


@task(task_run_name="recommendations: what is missing", **policy.UNCACHED)
def missing_recommendations(home: str, configuration: Configuration, model: Model | None) -> list[Shard]:
    """Return shards of the products without recommendations by this model, or with outdated ones."""
    return recommendations.missing(Store(home), configuration, model)


@task(**policy.cached_shard(recommendations.recommend_shard))
def recommend_products(
    home: str, shard: Shard, configuration: Configuration, model: Model | None
) -> recommendations.RecommendationCounts:
    """Compute the recommendations of a shard of products."""
    counts = recommendations.recommend_shard(Store(home), shard, configuration, model)
    progress.advance(shard.stage, len(shard.keys))
    get_run_logger().info("%s: %s", shard, counts)
    return counts


@task(task_run_name="recommendations: record the state", **policy.UNCACHED)
def settle_recommendations(home: str, configuration: Configuration, model: Model | None) -> None:
    """Record that all products are ranked, so that the next ranking finds what has changed since."""
    settle(Store(home), configuration, Serving.of(model, configuration))


@task(task_run_name="recommendations: the index", **policy.UNCACHED)
def index_embeddings(home: str, configuration: Configuration, model: Model | None) -> None:
    """Build the nearest-neighbour index of a model's embeddings in a shop that is large enough to need one."""
    index = ensure_index(Store(home), configuration, Serving.of(model, configuration))
    if index is not None:
        get_run_logger().info("%s", index)
