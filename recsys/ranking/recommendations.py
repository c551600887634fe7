"""The recommendations stage: rank all products by the configured rule, and store the result."""

import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.models.embedding.serving import Model, Serving
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.gallery_loading import load_gallery
from recsys.ranking.outdated import ShopState, candidate_rows, candidates_table, outdated, settle
from recsys.ranking.reranking import Recommendations, rerank, scored_candidates
from recsys.storage.schemas import SCHEMAS
from recsys.storage.shards import Shard, shards
from recsys.storage.store import Store, among


@dataclass(frozen=True)
class RecommendationCounts:
    """The counts of one shard."""

    products: int
    rows: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.rows} recommendations for {self.products} products in {self.seconds:.1f} s"


def missing(store: Store, configuration: Configuration, model: Model | None) -> list[Shard]:
    """Return shards of the products whose ranking by a model is missing or outdated, see `recsys.ranking.outdated`.

    They include products that have a ranking but no longer a picture or a row in the catalogue: their shard deletes
    the ranking.

    Args:
        store: the home's tables.
        configuration: the rule, and everything else that a ranking depends on.
        model: the embedding to rank by; None is the raw backbone. Each has tables of its own.
    """
    serves = Serving.of(model, configuration)
    products = outdated(store, configuration, serves)
    if not products:
        return []
    # with the number of commits, because a catalogue that changes back needs the same ranking a second time
    commits = store.version(candidates_table(serves))
    state = [f"{ShopState.of(store, configuration, serves).key} {commits}"] * len(products)
    return shards("recommendations", products, configuration.recommend.shard_size, state=state)


def recommend_shard(
    store: Store, shard: Shard, configuration: Configuration, model: Model | None
) -> RecommendationCounts:
    """Rank and commit the recommendations of a shard's products: `Recommend.stored` each, by the configured rule."""
    started = time.monotonic()
    serves = Serving.of(model, configuration)
    _, gallery = load_gallery(store, configuration, serves)
    state = ShopState.of(store, configuration, serves)
    of_shard = set(shard.keys)
    rows = np.flatnonzero([product in of_shard for product in gallery.product_ids])
    rule = configuration.recommend
    candidates = scored_candidates(Queries.of(gallery, rows), gallery, rule)
    table = _stored_rows(gallery, rows, rerank(candidates, gallery, rule, rule.stored), state.key)
    shard_rows = among("product_id", shard.keys)
    is_new = store.count(serves.recommendations, shard_rows) == 0
    store.write(serves.recommendations, table, replace=shard_rows, new=is_new)
    # the candidates come last: with them, the ranking counts as made
    is_new = is_new and store.count(candidates_table(serves), shard_rows) == 0
    store.write(
        candidates_table(serves), candidate_rows(gallery, rows, candidates, state), replace=shard_rows, new=is_new
    )
    return RecommendationCounts(len(rows), table.num_rows, time.monotonic() - started)


def recommend_missing(store: Store, configuration: Configuration, model: Model | None) -> int:
    """Rank all missing products in this process, and return their number."""
    work = missing(store, configuration, model)
    count = sum(recommend_shard(store, shard, configuration, model).products for shard in work)
    settle(store, configuration, Serving.of(model, configuration))
    return count


def _stored_rows(gallery: Gallery, rows: NDArray[np.int64], answer: Recommendations, basis: str) -> pa.Table:
    """Return the recommendations of these rows of the gallery as rows of the store's table."""
    query, rank = np.nonzero(answer.neighbours >= 0)
    return pa.table(
        {
            "product_id": pa.array(gallery.product_ids[rows[query]], pa.string()),
            "rank": pa.array(rank + 1, pa.int32()),
            "neighbour_id": pa.array(gallery.product_ids[answer.neighbours[query, rank]], pa.string()),
            **{name: getattr(answer, name)[query, rank] for name in ("visual", "colour", "price", "total")},
            "basis": pa.array([basis] * len(query), pa.string()),
        },
        schema=SCHEMAS["recommendations"],
    )
