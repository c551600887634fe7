"""LanceDB's index of the embeddings: a shop so large that comparing a photo with each product takes too long.

Below `index.from_products` nothing here does anything: search is exact. From there on the recommendations stage has
LanceDB index the table of embeddings (`ensure`), and a question to the whole shop is compared with a shortlist in place
of every product (`Index`). The index only says who is on it; who is nearest of those, of which variants only one is
shown and what the rule makes of them is found out exactly, by the code and the embeddings of any other search.

How good the shortlist is gets measured as the index is built: the share of the 20 nearest that is on it, over a sample
of the table's own pictures, each without itself, with exact search as the truth. The index is asked for more, twice as
much each time, until that is `index.recall`, and then for twice as much again, since a sample is a sample and filters
come on top. If it never is, the index is dropped. Search is exact also where a filter leaves fewer than
`index.from_products` products, where the shortlist turns out too short, and where the table has changed since, until
the next run indexes it anew.

RECSYS_HOME/index/<table>.json      what was built, of which version of the table, and what was measured
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import ceil, gcd, isqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.core import configuration as settings
from recsys.core.configuration import Configuration
from recsys.core.tracking import experiment
from recsys.models.embedding.serving import Serving
from recsys.ranking import Gallery, nearest_columns
from recsys.storage import shared
from recsys.storage.lean_lancedb import HnswSq, IvfFlat, IvfPq, lancedb
from recsys.storage.store import Store, home_error

INDEXES = "indexes"
"""The MLflow experiment."""
RANK = 20
"""Recall is measured at it: as many as the rule reranks."""
WIDER = {"ivf_flat": 3, "ivf_pq": 10, "ivf_hnsw_sq": 3}
"""Times as long as wanted is a shortlist: variants fall away, and the order of compressed vectors is rough."""
MOST_EFFORT = 64
"""Of HNSW, where it is the times that its candidates exceed the shortlist."""
ITERATIONS, VECTORS_A_PARTITION = 10, 64
"""Of k-means; LanceDB's own 50 and 256 take longer to find partitions that are no better to search in."""
BLOCK = 1 << 16
"""Vectors that are compared with the sample at once."""
SEED = 12_345
COLUMN, ROW = "embedding", "_rowid"


@dataclass(frozen=True)
class Built:
    """What is known of an index.

    Attributes:
        table: the store's, of embeddings.
        version: of the table, with its index.
        kind: see `recsys.core.configuration.Index`.
        vectors: that it holds.
        partitions: that they are in.
        effort: partitions looked at for the 20 nearest; of HNSW see `MOST_EFFORT`.
        recall: at 20, of the sample, 0 to 1.
        bound: of recall; an index below it is not used.
        sample: how many were asked.
        seconds: that building took, without measuring.
        bytes: on disk.
        milliseconds: of one question, the median.
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
        used = "used" if self.good else f"under {self.bound:g}, so search stays exact"
        return (
            f"{self.kind} of {self.vectors:,} embeddings: recall at {RANK} {self.recall:.4f} ({used}), "
            f"{self.milliseconds:.1f} ms a question, {self.bytes >> 20} MB, built in {self.seconds:.0f} s"
        )

    @property
    def good(self) -> bool:
        """Whether it finds enough to be used."""
        return self.recall >= self.bound

    def holds(self, store: Store, wanted: settings.Index) -> bool:
        """Return whether it is of the table as it is now, and as it is configured."""
        asked = (self.kind, self.bound, self.sample) == (wanted.kind, wanted.recall, wanted.sample)
        return asked and self.version == store.version(self.table)


def built(store: Store, configuration: Configuration, serves: Serving) -> Built | None:
    """Return what is known of the index of what serves; None where there is none of the table as it is now."""
    try:
        found = Built(**json.loads(_record(store, serves).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # of no worth without its table, and soon made anew
        return None
    return found if found.holds(store, configuration.index) else None


def ensure(store: Store, configuration: Configuration, serves: Serving) -> Built | None:
    """Index the embeddings of what serves, where their number asks for it and it is not done; log it to MLflow.

    Returns:
        What is known of the index; None where there are too few embeddings for one.

    Raises:
        HomeError: the disk is full or read-only; search stays exact.
    """
    wanted = configuration.index
    if store.count(serves.embeddings) < wanted.from_products:
        return None
    known = built(store, configuration, serves)
    if known is None:
        try:
            known = _build(store, serves.embeddings, wanted)
            shared.write_json(store.home, _record(store, serves), asdict(known))
        except (OSError, RuntimeError) as error:
            raise home_error(store.home, error) from error
        log_index(store.home, asdict(known))
    return known


def _record(store: Store, serves: Serving) -> Path:
    return store.home / "index" / f"{serves.embeddings}.json"


def _build(store: Store, name: str, wanted: settings.Index) -> Built:
    """Index a table, find out how much it must be asked for, and drop the index if no effort is enough."""
    table = store.table(name)
    vectors = table.count_rows()
    began = time.monotonic()
    table.create_index(
        COLUMN, config=_config(wanted.kind, vectors, table.schema.field(COLUMN).type.list_size), replace=True
    )
    seconds = time.monotonic() - began
    index = next(index for index in table.list_indices() if index.columns == [COLUMN])
    partitions = 1 if wanted.kind == "ivf_hnsw_sq" else isqrt(vectors)

    own, queries = _drawn(table, min(wanted.sample, vectors))
    truth = _exact(table, own, queries)
    effort, recall, took, enough = 0, 0.0, 0.0, False
    for effort in _efforts(MOST_EFFORT if wanted.kind == "ivf_hnsw_sq" else partitions):
        recall, took = _measured(table, wanted.kind, effort, own, queries, truth)
        if enough:
            break
        enough = recall >= wanted.recall
    if not enough:
        table.drop_index(index.name)
    return Built(
        table=name,
        version=store.version(name),
        kind=wanted.kind,
        vectors=vectors,
        partitions=partitions,
        effort=effort,
        recall=recall,
        bound=wanted.recall,
        sample=len(queries),
        seconds=seconds,
        bytes=int(index.size_bytes or 0),
        milliseconds=took,
    )


def _config(kind: str, vectors: int, size: int) -> IvfFlat | IvfPq | HnswSq:
    """Return how LanceDB is to index so many vectors of `size` numbers and unit length."""
    means: dict[str, Any] = {"distance_type": "dot", "max_iterations": ITERATIONS, "sample_rate": VECTORS_A_PARTITION}
    if kind == "ivf_hnsw_sq":
        return HnswSq(num_partitions=1, **means)
    if kind == "ivf_pq":
        return IvfPq(num_partitions=isqrt(vectors), num_sub_vectors=gcd(size, size // 2), **means)
    return IvfFlat(num_partitions=isqrt(vectors), **means)


def _efforts(most: int) -> Iterator[int]:
    """Yield 1, 2, 4, ... and the most."""
    effort = 1
    while effort < most:
        yield effort
        effort *= 2
    yield most


def _ask(table: lancedb.table.Table, kind: str, vector: NDArray[np.float32], count: int, effort: int) -> pa.Array:
    """Return the row ids of a shortlist of `count`, uint64."""
    asked: Any = table.search(vector, vector_column_name=COLUMN)  # typed as any query, and it is one for vectors
    query = asked.distance_type("dot").limit(count)
    query = query.ef(count * effort) if kind == "ivf_hnsw_sq" else query.nprobes(effort)
    return query.select([ROW, "_distance"]).to_arrow()[ROW]


def _drawn(table: lancedb.table.Table, count: int) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    """Return row ids (s,) and vectors (s, d) of a sample, drawn by seed."""
    offsets = np.random.default_rng(SEED).choice(table.count_rows(), count, replace=False)
    rows = table.take_offsets(sorted(offsets.tolist())).select([ROW, COLUMN]).to_arrow()
    return rows[ROW].to_numpy(), _vectors(rows)


def _exact(table: lancedb.table.Table, own: NDArray[np.uint64], queries: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return the row ids (s, 20) of what is nearest to each query but itself, looking at every vector once."""
    keys = np.empty((len(queries), 0), np.uint64)
    cosines = np.empty((len(queries), 0), np.float32)
    for start in range(0, table.count_rows(), BLOCK):
        rows = table.search().select([ROW, COLUMN]).limit(BLOCK).offset(start).to_arrow()
        key = rows[ROW].to_numpy()
        cosine = queries @ _vectors(rows).T  # (s, b)
        cosine[own[:, None] == key] = -np.inf
        best = nearest_columns(cosine, RANK)
        keys = np.hstack([keys, key[best]])
        cosines = np.hstack([cosines, np.take_along_axis(cosine, best, axis=1)])
        best = nearest_columns(cosines, RANK)
        keys, cosines = np.take_along_axis(keys, best, axis=1), np.take_along_axis(cosines, best, axis=1)
    return keys


def _measured(
    table: lancedb.table.Table,
    kind: str,
    effort: int,
    own: NDArray[np.uint64],
    queries: NDArray[np.float32],
    truth: NDArray[np.uint64],
) -> tuple[float, float]:
    """Return the share of the truth that is on the queries' shortlists, and the median milliseconds of one."""
    found, took = [], []
    for key, query, nearest in zip(own, queries, truth, strict=True):
        began = time.perf_counter()
        shortlist = _ask(table, kind, query, WIDER[kind] * RANK, effort).to_numpy()
        took.append(time.perf_counter() - began)
        found.append(np.isin(nearest, shortlist[shortlist != key]).mean())
    return float(np.mean(found)), 1e3 * float(np.median(took))


def _vectors(rows: pa.Table) -> NDArray[np.float32]:
    """Return the embeddings (n, d) of rows."""
    vectors: NDArray[np.float32] = rows[COLUMN].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    return vectors


class Index:
    """The index of what serves, over the products of a gallery; made by `load`.

    Args:
        table: of embeddings, with its index.
        known: what is known of it.
        keys: (n,) uint64, the row id of each product's embedding; several may share one.
        from_products: below so many, exact search is as good.
    """

    def __init__(self, table: lancedb.table.Table, known: Built, keys: NDArray[np.uint64], from_products: int) -> None:
        self.known = known
        self.revision = int(table.version)
        self._table = table
        self._from = from_products
        self._rows = np.argsort(keys, kind="stable")
        self._keys = keys[self._rows]

    def __call__(
        self, vector: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64] | None:
        """Return rows of the gallery, ascending, which hold the `count` nearest as surely as was measured.

        Where a filter leaves a part, as many times more are asked for, and what it forbids is left out.

        Args:
            vector: (d,) of unit length.
            count: how many of the nearest are wanted.
            allowed: (n,) of which products may be chosen; None: of all.

        Returns:
            More than `count` rows as a rule, and fewer where a filter has little to do with chance; None where so few
            products are allowed that exact search is as good.
        """
        left = len(self._rows) if allowed is None else int(np.count_nonzero(allowed))
        if left < self._from:
            return None
        times = max(1, count / RANK) * self.known.vectors / left
        length = min(self.known.vectors, ceil(WIDER[self.known.kind] * RANK * times))
        effort = self.known.effort if self.known.kind == "ivf_hnsw_sq" else ceil(self.known.effort * times)
        found = _ask(self._table, self.known.kind, vector, length, min(effort, max(MOST_EFFORT, self.known.partitions)))
        first, last = (np.searchsorted(self._keys, found.to_numpy(), side=side) for side in ("left", "right"))
        rows = np.sort(np.concatenate([self._rows[a:b] for a, b in zip(first, last, strict=True)]))
        return rows if allowed is None else rows[allowed[rows]]


def load(
    store: Store, configuration: Configuration, serves: Serving, frame: pd.DataFrame, gallery: Gallery
) -> Index | None:
    """Return the index over the products of a gallery; None where search is to be exact.

    The last one is kept in memory.

    Args:
        store: the store.
        configuration: from which size on, and how good it has to be.
        serves: whose embeddings the gallery holds.
        frame: its products, row by row (see `recsys.ranking.shop.load_shop`).
        gallery: what a shortlist is of.
    """
    global _last
    if len(gallery) < configuration.index.from_products:
        return None
    known = built(store, configuration, serves)
    if known is None or not known.good:
        return None
    table = store.table(serves.embeddings)
    with _loading:
        now = (known, int(table.version))  # upkeep gives the rows other ids
        if _last is None or _last[0] is not gallery or (_last[1].known, _last[1].revision) != now:
            rows = table.search().select([ROW, "image_digest"]).to_arrow()
            places = pc.index_in(pa.array(frame["image_digest"], pa.string()), value_set=rows["image_digest"])
            keys = rows[ROW].to_numpy()[places.to_numpy()]
            _last = (gallery, Index(table, known, keys, configuration.index.from_products))
        return _last[1]


_loading = threading.Lock()
_last: tuple[Gallery, Index] | None = None


def log_index(home: Path, facts: Mapping[str, str | float]) -> str:
    """Log how the index of a table was built (see `recsys.ranking.ann_index.Built`) to MLflow, and return the run's id.

    What is measured, of type float, and the bytes are metrics; the rest are parameters.
    """
    client, experiment_id = experiment(home, INDEXES)

    from mlflow.entities import Metric, Param

    measured = {name for name, value in facts.items() if isinstance(value, float)} - {"bound"} | {"bytes", "vectors"}
    now = int(time.time() * 1000)
    run = client.create_run(experiment_id, tags={"mlflow.source.name": "recsys run"}, run_name=str(facts["table"]))
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, float(facts[name]), now, 0) for name in sorted(measured)],
        params=[Param(name, str(value)) for name, value in facts.items() if name not in measured],
    )
    client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)
