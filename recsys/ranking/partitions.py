"""Partitions of a large label: a product is compared with those of the nearest partitions, not with the whole label.

Exact ranking compares all pairs of a label, which grows with the square of its size. From `index.from_label` products
on, k-means splits a label into partitions of some `SIZE` products, and the products of a partition are compared with
those of the partitions whose centroids are nearest to its own: an inverted file (Sivic and Zisserman, "Video Google",
ICCV 2003). Only the choice of the products to compare with is approximate. Likeness, variants and the rule are computed
by the code of exact search, and a product that finds too few is compared with the whole label.

    partitions-<version>   label   the centroids of a label's partitions, how many are searched, and the recall

The number of partitions searched is doubled until the recall of a sample against exact search reaches `index.recall`,
and then doubled once more, because a sample is only a sample. A label that would need more than a quarter of its
partitions is searched exactly. Centroids stay until the label has half or twice as many products, or the rule changes;
new products join the nearest centroid.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.core.configuration import Configuration, Recommend
from recsys.core.digests import digest
from recsys.models.embedding.serving import Serving
from recsys.ranking.cache_keys import LastResult, rule_versions, table_versions
from recsys.ranking.gallery import Gallery, Queries, blocks, rows_by_value
from recsys.ranking.nearest_neighbours import pool_labels, search
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store

SIZE = 128
"""Mean number of products of a partition."""
FEWEST_SEARCHED = 8
"""Partitions searched in the first measurement of the recall."""
LARGEST_SHARE = 0.25
"""Share of the partitions beyond which exact search is as good."""
ITERATIONS = 6
SAMPLE_PER_CENTROID = 32
"""Products per centroid that k-means is computed from."""
BLOCK_BYTES = 64 << 20
SEED = 12_345
WHOLE_SHOP = ""
"""Stands for the label of products that are compared with the whole shop."""


@dataclass(frozen=True, eq=False)
class Split:
    """How a label is split, and what was measured: a row of the table.

    Attributes:
        label: of the products; `WHOLE_SHOP` for those that are compared with all.
        rule: digest of everything else that the split depends on: the rule, the model and the settings.
        centroids: (k, d) of the partitions, of unit length.
        products: number of products when it was split.
        searched: partitions that a product is compared with; 0 where search stays exact.
        recall: at the rule's number of candidates, over the sample, 0 to 1.
        bound: lowest recall of partitions that are used.
        sample: number of products that recall was measured with.
        seconds: to split and to measure.
    """

    label: str
    rule: str
    centroids: NDArray[np.float32]
    products: int
    searched: int
    recall: float
    bound: float
    sample: int
    seconds: float

    def __str__(self) -> str:
        count = len(self.centroids)
        usage = f"{self.searched:,} of {count:,} partitions searched" if self.searched else "too low: search is exact"
        name = self.label or "the whole shop"
        return f"{name}: {self.products:,} products, recall {self.recall:.4f} ({usage}), {self.seconds:.1f} s"

    def is_current(self, products: int, rule: str) -> bool:
        """Return whether it holds for a label of this size and this rule."""
        return self.rule == rule and self.products / 2 < products < self.products * 2

    @property
    def figures(self) -> dict[str, str | float]:
        """What `recsys.ranking.ann_index_building.log_index` logs of it."""
        return {
            "table": self.label or "the whole shop",
            "kind": "partitions",
            "vectors": self.products,
            "partitions": len(self.centroids),
            "effort": self.searched,
            "recall": self.recall,
            "bound": self.bound,
            "sample": self.sample,
            "seconds": self.seconds,
        }


@dataclass(frozen=True, eq=False)
class Partitions:
    """A label's products by their partition.

    Attributes:
        members: (k) rows of the gallery of each partition, ascending.
        nearest: (k, s) the partitions that the products of each are compared with.
        partition_of: (n,) partition of each row of the gallery; -1 outside of the label.
    """

    members: list[NDArray[np.int64]]
    nearest: NDArray[np.int64]
    partition_of: NDArray[np.int64]

    @classmethod
    def of(cls, gallery: Gallery, rows: NDArray[np.int64], centroids: NDArray[np.float32], searched: int) -> Partitions:
        """Return the partitions of these rows of a gallery: each product is in that of the nearest centroid."""
        numbers = _most_similar(gallery.unit_vectors(rows), centroids)
        partition_of = np.full(len(gallery), -1)
        partition_of[rows] = numbers
        by_number = rows_by_value(numbers)
        empty = np.empty(0, np.int64)
        members = [rows[by_number[k]] if k in by_number else empty for k in range(len(centroids))]
        return cls(members, nearest_centroids(centroids, searched), partition_of)

    def groups(self, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield positions within `rows`, and the rows of the gallery that they are compared with, ascending."""
        for partition, positions in sorted(rows_by_value(self.partition_of[rows]).items()):
            yield positions, np.sort(np.concatenate([self.members[other] for other in self.nearest[partition]]))


def ensure_partitions(store: Store, configuration: Configuration, serves: Serving, gallery: Gallery) -> list[Split]:
    """Split the large labels whose split is missing or not current, and return these splits.

    The caller must hold the home's lock.
    """
    rule, done = _rule(store, configuration, serves), []
    known = {split.label: split for split in stored_splits(store, serves)}
    for label, rows in _large_labels(gallery, configuration.index.from_label).items():
        if label not in known or not known[label].is_current(len(rows), rule):
            done.append(_fit(label, rows, gallery, configuration, rule))
            store.write(_table(serves), _row(done[-1]))
    return done


def stored_splits(store: Store, serves: Serving) -> list[Split]:
    """Return how the large labels of a model are split."""
    splits = []
    for row in store.read(_table(serves)).to_pylist():
        centroids = np.array(row.pop("centroids"), np.float32).reshape(-1, row.pop("size"))
        splits.append(Split(centroids=centroids, **row))
    return splits


def load_partitions(
    store: Store, configuration: Configuration, serves: Serving, gallery: Gallery, key: str
) -> Mapping[str, Partitions]:
    """Return the partitions of the labels that are searched by them. The last ones stay in memory.

    Args:
        store: the home's tables.
        configuration: the size from which a label is split.
        serves: the embeddings of the gallery.
        gallery: the products.
        key: of the gallery's state.
    """

    def read() -> dict[str, Partitions]:
        large = _large_labels(gallery, configuration.index.from_label)
        return {
            split.label: Partitions.of(gallery, large[split.label], split.centroids, split.searched)
            for split in (stored_splits(store, serves) if large else [])
            if split.searched and split.label in large and split.is_current(len(large[split.label]), rule)
        }

    rule = _rule(store, configuration, serves)
    return _last_partitions.get((*table_versions(store, _table(serves)), key, rule), read)


def _rule(store: Store, configuration: Configuration, serves: Serving) -> str:
    settings = configuration.index
    versions = rule_versions(store, configuration, serves)
    return digest([*versions, str(settings.from_label), str(settings.recall), str(settings.sample)])


def _large_labels(gallery: Gallery, from_label: int) -> dict[str, NDArray[np.int64]]:
    """Return the rows of the labels with as many pairs to compare as a label of `from_label` products."""
    large = {label: rows for label, rows in gallery.rows_by_label.items() if len(rows) >= from_label}
    if len(gallery) >= from_label:
        of_whole_shop = sum(label is None for label in pool_labels(gallery.labels, gallery).tolist())
        if of_whole_shop * len(gallery) >= from_label**2:
            large[WHOLE_SHOP] = np.arange(len(gallery))
    return large


def _fit(label: str, rows: NDArray[np.int64], gallery: Gallery, configuration: Configuration, rule: str) -> Split:
    """Split a label, and find how many partitions have to be searched."""
    started, configured = time.monotonic(), configuration.index
    centroids = fit_centroids(gallery.unit_vectors(rows))
    queries = rows
    if label == WHOLE_SHOP:
        queries = np.flatnonzero([pool is None for pool in pool_labels(gallery.labels, gallery).tolist()])
    dice = np.random.default_rng(SEED)
    sample = np.sort(dice.choice(queries, min(configured.sample, len(queries)), replace=False))
    exact = _cosines(gallery, sample, configuration.recommend, {})
    searched, recall, is_good = FEWEST_SEARCHED, 0.0, False
    partitions = Partitions.of(gallery, rows, centroids, searched)
    while searched <= LARGEST_SHARE * len(centroids):
        partitions = replace(partitions, nearest=nearest_centroids(centroids, searched))
        recall = _recall(exact, _cosines(gallery, sample, configuration.recommend, {label: partitions}))
        if is_good:
            break
        is_good = recall >= configured.recall
        searched *= 2
    return Split(
        label=label,
        rule=rule,
        centroids=centroids,
        products=len(rows),
        searched=searched if is_good else 0,
        recall=recall,
        bound=configured.recall,
        sample=len(sample),
        seconds=time.monotonic() - started,
    )


def _cosines(
    gallery: Gallery, rows: NDArray[np.int64], rule: Recommend, partitions: Mapping[str, Partitions]
) -> NDArray[np.float32]:
    """Return the likenesses of the candidates of these products, -inf where there are fewer: (m, f)."""
    cosines = np.full((len(rows), rule.filter), -np.inf, np.float32)
    queries = Queries.of(gallery, rows)
    for found in search(queries, gallery, rule.filter, collapse=rule.collapses, partitions=partitions):
        cosines[found.queries] = np.where(found.rows < 0, -np.inf, found.cosines)
    return cosines


def _recall(exact: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Return the share of the candidates that are at least as like as the last exact one; equal ones are as good."""
    lowest = np.where(np.isfinite(exact), exact, np.inf).min(axis=1, keepdims=True) - np.float32(1e-5)
    return float((found >= lowest).sum() / max(1, np.isfinite(exact).sum()))


def fit_centroids(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the centroids (k, d) of vectors (m, d) of unit length, by k-means on a sample."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    count = max(1, len(vectors) // SIZE)
    size = min(len(vectors), count * SAMPLE_PER_CENTROID)
    sample = vectors[np.random.default_rng(SEED).choice(len(vectors), size, replace=False)]
    model = KMeans(count, init="random", n_init=1, max_iter=ITERATIONS, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer clusters than asked for, of equal vectors
        centroids = np.unique(model.fit(sample).cluster_centers_, axis=0)
    length = np.linalg.norm(centroids, axis=1, keepdims=True)
    return np.asarray(centroids / np.maximum(length, np.finfo(np.float32).tiny), np.float32)


def nearest_centroids(centroids: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the `count` nearest centroids of each, its own among them: (k, count)."""
    count = min(count, len(centroids))
    nearest = np.empty((len(centroids), count), np.int64)
    for block in blocks(np.arange(len(centroids)), 4 * len(centroids), BLOCK_BYTES):
        similarity = centroids[block] @ centroids.T
        similarity[np.arange(len(block)), block] = np.inf
        nearest[block] = np.argpartition(similarity, -count, axis=1)[:, -count:]
    return nearest


def _most_similar(vectors: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the other vector (c, d) with the largest dot product, for each vector (m, d): (m,)."""
    nearest = np.empty(len(vectors), np.int64)
    for block in blocks(np.arange(len(vectors)), 4 * len(others), BLOCK_BYTES):
        nearest[block] = np.argmax(vectors[block[0] : block[-1] + 1] @ others.T, axis=1)
    return nearest


def _table(serves: Serving) -> str:
    return f"partitions-{serves.version}"


def _row(split: Split) -> pa.Table:
    columns = {name: [value] for name, value in vars(split).items()}
    columns |= {"centroids": [split.centroids.ravel()], "size": [split.centroids.shape[1]]}
    return pa.table(columns, schema=SCHEMAS["partitions"])


_last_partitions = LastResult[dict[str, Partitions]]()
