"""Build LanceDB's approximate index of the embeddings, and measure its recall (see `recsys.ranking.ann_index`).

Recall is the share of the 20 nearest that are in the shortlist, over a sample of the table's own pictures, each
without itself; exact search gives the truth. The effort of a query is doubled until recall reaches `index.recall`,
and then doubled once more, because a sample is only a sample and filters make recall lower. An index that never
reaches it is dropped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import gcd, isqrt
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import HnswSq, IvfFlat, IvfPq
from numpy.typing import NDArray

from recsys.core.configuration import Configuration, Index
from recsys.core.tracking import experiment
from recsys.models.embedding.serving import Serving
from recsys.ranking.ann_index import (
    COLUMN,
    HNSW,
    MAX_HNSW_EFFORT,
    RANK,
    ROW_ID,
    SHORTLIST_FACTOR,
    IndexRecord,
    current_record,
    query_index,
    record_name,
)
from recsys.ranking.nearest_neighbours import nearest_columns
from recsys.storage import records
from recsys.storage.home import home_error
from recsys.storage.store import Store

EXPERIMENT = "indexes"
"""The MLflow experiment."""
KMEANS_ITERATIONS, VECTORS_PER_PARTITION = 10, 64
"""Settings of k-means. LanceDB's defaults, 50 and 256, take longer and give no better partitions."""
BLOCK = 1 << 16
"""Number of vectors that are compared with the sample at once."""
SEED = 12_345


def ensure_index(store: Store, configuration: Configuration, serves: Serving) -> IndexRecord | None:
    """Index the serving embeddings where there are enough of them and the index is not current; log it to MLflow.

    Returns:
        The record of the index; None where there are too few embeddings for one.

    Raises:
        HomeError: the disk is full or read-only; search stays exact.
    """
    if store.count(serves.embeddings) < configuration.index.from_products:
        return None
    record = current_record(store, configuration, serves)
    if record is None:
        try:
            record = _build(store, serves.embeddings, configuration.index)
            records.write(store.home, {record_name(serves): asdict(record)})
        except (OSError, RuntimeError) as error:
            raise home_error(store.home, error) from error
        log_index(store.home, asdict(record))
    return record


def _build(store: Store, name: str, configured: Index) -> IndexRecord:
    """Index a table, find the effort of a query, and drop the index if no effort reaches the recall."""
    table = store.table(name)
    vectors = table.count_rows()
    started = time.monotonic()
    index_type = _index_type(configured.kind, vectors, table.schema.field(COLUMN).type.list_size)
    table.create_index(COLUMN, config=index_type, replace=True)
    seconds = time.monotonic() - started
    index = next(index for index in table.list_indices() if index.columns == [COLUMN])
    partitions = 1 if configured.kind == HNSW else isqrt(vectors)
    sample = RecallSample.draw(table, min(configured.sample, vectors))
    max_effort = MAX_HNSW_EFFORT if configured.kind == HNSW else partitions
    effort, recall, milliseconds, is_good = _sufficient_effort(table, configured, sample, max_effort)
    if not is_good:
        table.drop_index(index.name)
    return IndexRecord(
        table=name,
        version=store.version(name),
        kind=configured.kind,
        vectors=vectors,
        partitions=partitions,
        effort=effort,
        recall=recall,
        bound=configured.recall,
        sample=len(sample.queries),
        seconds=seconds,
        bytes=int(index.size_bytes or 0),
        milliseconds=milliseconds,
    )


def _index_type(kind: str, vectors: int, size: int) -> IvfFlat | IvfPq | HnswSq:
    """Return LanceDB's settings of an index of this many vectors of `size` numbers and unit length."""
    common: dict[str, Any] = {
        "distance_type": "dot",
        "max_iterations": KMEANS_ITERATIONS,
        "sample_rate": VECTORS_PER_PARTITION,
    }
    if kind == HNSW:
        return HnswSq(num_partitions=1, **common)
    if kind == "ivf_pq":
        return IvfPq(num_partitions=isqrt(vectors), num_sub_vectors=gcd(size, size // 2), **common)
    return IvfFlat(num_partitions=isqrt(vectors), **common)


@dataclass(frozen=True, eq=False)
class RecallSample:
    """Pictures of the table as queries, with the exact answers.

    Attributes:
        row_ids: (s,) of the queries.
        queries: (s, d) their vectors.
        nearest: (s, 20) row ids of the nearest to each query, without itself.
    """

    row_ids: NDArray[np.uint64]
    queries: NDArray[np.float32]
    nearest: NDArray[np.uint64]

    @classmethod
    def draw(cls, table: lancedb.table.Table, count: int) -> RecallSample:
        """Draw `count` queries by seed, and search for their neighbours exactly."""
        offsets = np.random.default_rng(SEED).choice(table.count_rows(), count, replace=False)
        rows = table.take_offsets(sorted(offsets.tolist())).select([ROW_ID, COLUMN]).to_arrow()
        row_ids, queries = rows[ROW_ID].to_numpy(), _vectors(rows)
        return cls(row_ids, queries, _exact_neighbours(table, row_ids, queries))

    def measure(self, table: lancedb.table.Table, kind: str, effort: int) -> tuple[float, float]:
        """Return the recall of the queries' shortlists, and the median milliseconds of one query."""
        recalls, seconds = [], []
        for row_id, query, nearest in zip(self.row_ids, self.queries, self.nearest, strict=True):
            started = time.perf_counter()
            shortlist = query_index(table, kind, query, SHORTLIST_FACTOR[kind] * RANK, effort)
            seconds.append(time.perf_counter() - started)
            recalls.append(np.isin(nearest, shortlist[shortlist != row_id]).mean())
        return float(np.mean(recalls)), 1e3 * float(np.median(seconds))


def _exact_neighbours(
    table: lancedb.table.Table, row_ids: NDArray[np.uint64], queries: NDArray[np.float32]
) -> NDArray[np.uint64]:
    """Return the row ids (s, 20) of the vectors nearest to each query, without itself, reading the table once."""
    nearest = np.empty((len(queries), 0), np.uint64)
    cosines = np.empty((len(queries), 0), np.float32)
    for start in range(0, table.count_rows(), BLOCK):
        rows = table.search().select([ROW_ID, COLUMN]).limit(BLOCK).offset(start).to_arrow()
        block_ids = rows[ROW_ID].to_numpy()
        cosine = queries @ _vectors(rows).T  # (s, b)
        cosine[row_ids[:, None] == block_ids] = -np.inf
        best = nearest_columns(cosine, RANK)
        nearest = np.hstack([nearest, block_ids[best]])
        cosines = np.hstack([cosines, np.take_along_axis(cosine, best, axis=1)])
        best = nearest_columns(cosines, RANK)
        nearest, cosines = np.take_along_axis(nearest, best, axis=1), np.take_along_axis(cosines, best, axis=1)
    return nearest


def _vectors(rows: pa.Table) -> NDArray[np.float32]:
    """Return the embeddings (n, d) of rows."""
    vectors: NDArray[np.float32] = rows[COLUMN].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    return vectors


def _sufficient_effort(
    table: lancedb.table.Table, configured: Index, sample: RecallSample, max_effort: int
) -> tuple[int, float, float, bool]:
    """Return twice the first effort that reaches the recall, its recall and milliseconds, and whether any does."""
    effort, recall, milliseconds, is_good = 0, 0.0, 0.0, False
    for effort in _efforts(max_effort):
        recall, milliseconds = sample.measure(table, configured.kind, effort)
        if is_good:
            break
        is_good = recall >= configured.recall
    return effort, recall, milliseconds, is_good


def _efforts(max_effort: int) -> Iterator[int]:
    """Yield 1, 2, 4, ... and the largest effort."""
    effort = 1
    while effort < max_effort:
        yield effort
        effort *= 2
    yield max_effort


def log_index(home: Path, record: Mapping[str, str | float]) -> str:
    """Log the record of an index (see `IndexRecord` and `Split.figures`) to MLflow, and return the run's id.

    Measurements, of type float, and the number of bytes and vectors are metrics; the rest are parameters.
    """
    client, experiment_id = experiment(home, EXPERIMENT)

    from mlflow.entities import Metric, Param

    metrics = {name for name, value in record.items() if isinstance(value, float)} - {"bound"}
    metrics |= {"bytes", "vectors"} & set(record)
    timestamp = int(time.time() * 1000)
    run = client.create_run(experiment_id, tags={"mlflow.source.name": "recsys run"}, run_name=str(record["table"]))
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, float(record[name]), timestamp, 0) for name in sorted(metrics)],
        params=[Param(name, str(value)) for name, value in record.items() if name not in metrics],
    )
    client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)
