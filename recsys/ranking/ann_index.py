"""LanceDB's approximate index of the embeddings, for a query to a shop too large for exact search.

Below `index.from_products` search is exact and this module does nothing. From there on a query to the whole shop is
compared with a shortlist from the index, and not with every product. The index only selects the shortlist: distances,
variants and the rule are computed exactly, by the same code and the same embeddings as in exact search.

Search is also exact where a filter leaves fewer than `index.from_products` products, where a shortlist turns out too
short, and while the table of embeddings has changed since it was indexed. `recsys.ranking.ann_index_building` builds
the index, measures its recall, and writes the record `index/<table>`: settings, version of the table, measurements.
"""

import threading
from dataclasses import dataclass
from math import ceil
from typing import Any

import lancedb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.core.configuration import Configuration, Index
from recsys.models.embedding.serving import Serving
from recsys.ranking.gallery import Gallery
from recsys.storage import records
from recsys.storage.store import Store

HNSW = "ivf_hnsw_sq"
RANK = 20
"""Rank at which recall is measured: the number of candidates of the original's rule."""
SHORTLIST_FACTOR = {"ivf_flat": 3, "ivf_pq": 10, HNSW: 3}
"""Length of a shortlist, as a multiple of the neighbours required: variants collapse, and the order of compressed
vectors is approximate."""
MAX_HNSW_EFFORT = 64
"""Largest number of HNSW candidates, as a multiple of the shortlist's length."""
COLUMN, ROW_ID = "embedding", "_rowid"


@dataclass(frozen=True)
class IndexRecord:
    """The record of an index: how it was built, and what was measured.

    Attributes:
        table: the store's table of embeddings.
        version: of the table, after it was indexed.
        kind: see `recsys.core.configuration.Index`.
        vectors: number of indexed vectors.
        partitions: number of partitions.
        effort: partitions searched for the 20 nearest; for HNSW see `MAX_HNSW_EFFORT`.
        recall: at 20, over the sample, 0 to 1.
        bound: lowest recall of an index that is used.
        sample: number of queries that recall was measured with.
        seconds: to build the index, without measuring.
        bytes: size on disk.
        milliseconds: median of one query.
    """

    table: str
    version: int
    kind: str
    vectors: int
    partitions: int
    effort: int
    recall: float
    bound: float
    sample: int
    seconds: float
    bytes: int
    milliseconds: float

    def __str__(self) -> str:
        usage = "used" if self.is_good else f"below {self.bound:g}, so search stays exact"
        return (
            f"{self.kind} index of {self.vectors:,} embeddings: recall at {RANK} {self.recall:.4f} ({usage}), "
            f"{self.milliseconds:.1f} ms per query, {self.bytes >> 20} MB, built in {self.seconds:.0f} s"
        )

    @property
    def is_good(self) -> bool:
        """Whether its recall reaches the bound."""
        return self.recall >= self.bound

    def is_current(self, store: Store, configured: Index) -> bool:
        """Return whether it was built of the table's current version, with the configured settings."""
        same_settings = (self.kind, self.bound, self.sample) == (configured.kind, configured.recall, configured.sample)
        return same_settings and self.version == store.version(self.table)


def record_name(serves: Serving) -> str:
    """Return the name of the record of the serving embeddings' index."""
    return f"index/{serves.embeddings}"


def current_record(store: Store, configuration: Configuration, serves: Serving) -> IndexRecord | None:
    """Return the record of the serving embeddings' index; None where there is none, or it is outdated or damaged."""
    try:
        record = IndexRecord(**(records.read(store.home, record_name(serves)) or {}))
    except TypeError:  # it does not exist, or has other fields: the next run builds the index again
        return None
    return record if record.is_current(store, configuration.index) else None


def query_index(
    table: lancedb.table.Table, kind: str, vector: NDArray[np.float32], count: int, effort: int
) -> NDArray[np.uint64]:
    """Return the row ids of a shortlist of `count` rows for a vector (d,)."""
    builder: Any = table.search(vector, vector_column_name=COLUMN)  # annotated as any query; this is a vector query
    query = builder.distance_type("dot").limit(count)
    query = query.ef(count * effort) if kind == HNSW else query.nprobes(effort)
    rows: pa.Table = query.select([ROW_ID, "_distance"]).to_arrow()
    return np.asarray(rows[ROW_ID].to_numpy())


class AnnIndex:
    """The index of the serving embeddings, over the rows of a gallery; created by `load_index`.

    Args:
        table: of embeddings, with its index.
        record: of the index.
        row_ids: (n,) uint64, the table's row of each product's embedding; several products may share one.
        from_products: number of products below which exact search is as good.
    """

    def __init__(
        self, table: lancedb.table.Table, record: IndexRecord, row_ids: NDArray[np.uint64], from_products: int
    ) -> None:
        self.record = record
        self.revision = int(table.version)
        self._table = table
        self._from_products = from_products
        self._rows = np.argsort(row_ids, kind="stable")
        self._row_ids = row_ids[self._rows]

    def __call__(
        self, vector: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64] | None:
        """Return rows of the gallery, ascending, that contain the `count` nearest at the measured recall.

        A filter makes the shortlist longer, in proportion to the products that it excludes, and is then applied to it.

        Args:
            vector: (d,) of unit length.
            count: number of neighbours required.
            allowed: (n,) the products that may be chosen; None: all.

        Returns:
            Usually more than `count` rows; fewer where a filter's products are not spread at random. None where so few
            products are allowed that exact search is as good.
        """
        allowed_count = len(self._rows) if allowed is None else int(np.count_nonzero(allowed))
        if allowed_count < self._from_products:
            return None
        factor = max(1, count / RANK) * self.record.vectors / allowed_count
        length = min(self.record.vectors, ceil(SHORTLIST_FACTOR[self.record.kind] * RANK * factor))
        effort = self.record.effort if self.record.kind == HNSW else ceil(self.record.effort * factor)
        effort = min(effort, max(MAX_HNSW_EFFORT, self.record.partitions))
        row_ids = query_index(self._table, self.record.kind, vector, length, effort)
        first, last = (np.searchsorted(self._row_ids, row_ids, side=side) for side in ("left", "right"))
        rows = np.sort(np.concatenate([self._rows[a:b] for a, b in zip(first, last, strict=True)]))
        return rows if allowed is None else rows[allowed[rows]]


def load_index(
    store: Store, configuration: Configuration, serves: Serving, frame: pd.DataFrame, gallery: Gallery
) -> AnnIndex | None:
    """Return the index over the products of a gallery; None where search is exact. The last one stays in memory.

    Args:
        store: the home's tables.
        configuration: the size from which the index is used, and its settings.
        serves: the embeddings of the gallery.
        frame: the gallery's products, row by row (see `recsys.ranking.gallery.load_gallery`).
        gallery: the products that shortlists are made of.
    """
    global _last
    if len(gallery) < configuration.index.from_products:
        return None
    record = current_record(store, configuration, serves)
    if record is None or not record.is_good:
        return None
    table = store.table(serves.embeddings)
    with _loading:
        current = (record, int(table.version))  # with the revision, because compaction changes the row ids
        if _last is None or _last[0] is not gallery or (_last[1].record, _last[1].revision) != current:
            rows = table.search().select([ROW_ID, "image_digest"]).to_arrow()
            positions = pc.index_in(pa.array(frame["image_digest"], pa.string()), value_set=rows["image_digest"])
            row_ids = rows[ROW_ID].to_numpy()[positions.to_numpy()]
            _last = (gallery, AnnIndex(table, record, row_ids, configuration.index.from_products))
        return _last[1]


_loading = threading.Lock()
_last: tuple[Gallery, AnnIndex] | None = None
