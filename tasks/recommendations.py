"""Recommendations for every product that has a picture."""

from __future__ import annotations

from prefect import task
from prefect.logging import get_run_logger

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.models.embedding.serving import Model, Serving
from recsys.ranking import recommendations
from recsys.ranking.ann_index_building import ensure_index
from recsys.storage.store import Shard, Store
from tasks import policy


@task(task_run_name="recommendations: what is missing", **policy.FRESH)
def missing_recommendations(home: str, configuration: Configuration, model: Model | None) -> list[Shard]:
    """Ask the store which products have no ranking by this model, or one that rests on older data."""
    return recommendations.missing(Store(home), configuration, model)


@task(**policy.SHARD)
def recommend_products(
    home: str, shard: Shard, configuration: Configuration, model: Model | None
) -> recommendations.RecommendationCounts:
    """Rank the recommendations of a shard of products."""
    counts = recommendations.recommend_shard(Store(home), shard, configuration, model)
    progress.advance(shard.stage, len(shard.keys))
    get_run_logger().info("%s: %s", shard, counts)
    return counts


@task(task_run_name="recommendations: the index", **policy.FRESH)
def index_embeddings(home: str, configuration: Configuration, model: Model | None) -> None:
    """Index the embeddings of a model, where there are so many that a single question takes long."""
    known = ensure_index(Store(home), configuration, Serving.of(model, configuration))
    if known is not None:
        get_run_logger().info("%s", known)
