"""The recommendations stage: rank all products by the configured rule, and store the result."""

import time
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.models.embedding.serving import Model, Serving
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.gallery_loading import load_gallery
from recsys.ranking.outdated import ShopState, candidate_rows, candidates_table, outdated, settle
from recsys.ranking.partitions import WHOLE_SHOP, Split, ensure_partitions, load_partitions
from recsys.ranking.reranking import Recommendations, rerank, scored_candidates
from recsys.storage.schemas import SCHEMAS
from recsys.storage.shards import Shard, shards
from recsys.storage.store import Store, among, literal


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
    state = f"{ShopState.of(store, configuration, serves).key} {commits}"
    products = _together(store, configuration, serves, products)
    ranked = _ranked(store, serves)
    return [
        replace(shard, is_new=ranked.isdisjoint(shard.keys))
        for shard in shards(
            "recommendations", products, configuration.recommend.shard_size, state=[state] * len(products)
        )
    ]


def recommend_shard(
    store: Store, shard: Shard, configuration: Configuration, model: Model | None
) -> RecommendationCounts:
    """Rank and commit the recommendations of a shard's products: `Recommend.stored` each, by the configured rule."""
    started = time.monotonic()
    serves = Serving.of(model, configuration)
    _, gallery = load_gallery(store, configuration, serves)
    state = ShopState.of(store, configuration, serves)
    rows = np.sort(gallery.rows_of(shard.keys))
    rows = rows[rows >= 0]
    rule = configuration.recommend
    partitions = load_partitions(store, configuration, serves, gallery, state.key)
    candidates = scored_candidates(Queries.of(gallery, rows), gallery, rule, partitions)
    table = _stored_rows(gallery, rows, rerank(candidates, gallery, rule, rule.stored), state.key)
    # the candidates come last: with them, the ranking counts as made
    _write(store, serves.recommendations, table, shard)
    _write(store, candidates_table(serves), candidate_rows(gallery, rows, candidates, state), shard)
    return RecommendationCounts(len(rows), table.num_rows, time.monotonic() - started)


def recommend_missing(store: Store, configuration: Configuration, model: Model | None) -> int:
    """Rank all missing products in this process, and return their number."""
    split_labels(store, configuration, model)
    work = missing(store, configuration, model)
    count = sum(recommend_shard(store, shard, configuration, model).products for shard in work)
    settle(store, configuration, Serving.of(model, configuration))
    return count


def split_labels(store: Store, configuration: Configuration, model: Model | None) -> list[Split]:
    """Split the large labels for the search, see `recsys.ranking.partitions`, and return those that were split.

    The caller must hold the home's lock.
    """
    serves = Serving.of(model, configuration)
    if store.count("products") < configuration.index.from_label:
        return []
    _, gallery = load_gallery(store, configuration, serves)
    return ensure_partitions(store, configuration, serves, gallery)


def _ranked(store: Store, serves: Serving) -> set[str]:
    """Return the ids of the products that a table of the rankings has rows of."""
    recommended = store.read(serves.recommendations, ["product_id"], "rank = 1")["product_id"]
    return {*recommended.to_pylist(), *store.read(candidates_table(serves), ["product_id"])["product_id"].to_pylist()}


def _write(store: Store, name: str, rows: pa.Table, shard: Shard) -> None:
    """Replace the rows of a shard's products in one commit."""
    # a shard that is retried may have written them already
    is_new = shard.is_new and (
        not len(rows) or not store.count(name, f"product_id = {literal(rows['product_id'][0].as_py())}")
    )
    store.write(name, rows, replace=among("product_id", shard.keys), new=is_new)


def _together(store: Store, configuration: Configuration, serves: Serving, products: list[str]) -> list[str]:
    """Return these products with those of one label and partition together: they are compared with the same ones."""
    _, gallery = load_gallery(store, configuration, serves)
    state = ShopState.of(store, configuration, serves)
    rows = gallery.rows_of(products)
    labels = state.products["pool"].reindex(products).fillna(WHOLE_SHOP).to_numpy()
    partition = np.zeros(len(products), np.int64)
    for label, partitions in load_partitions(store, configuration, serves, gallery, state.key).items():
        partition = np.where(labels == label, partitions.partition_of[rows], partition)
    frame = pd.DataFrame({"gone": rows < 0, "label": labels, "partition": partition})
    order = frame.sort_values(["gone", "label", "partition"], kind="stable").index
    return [products[place] for place in order]


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
