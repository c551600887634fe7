"""A shop of a few products that is ready, for what needs no pictures."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recsys.core.configuration import load
from recsys.models import features
from recsys.ranking.recommendations import recommend_missing
from recsys.storage.store import SCHEMAS, Store


@pytest.fixture
def small_shop(tmp_path: Path) -> Callable[[Sequence[str], Sequence[str | None]], Store]:
    """Make a home of products with these ids and names, all pens, with drawn features, ranked; of two catalogues."""

    def made(ids: Sequence[str], names: Sequence[str | None]) -> Store:
        def rows(table: str, columns: dict[str, object]) -> pa.Table:
            schema = SCHEMAS[table]
            return pa.table({name: columns.get(name, pa.nulls(len(ids))) for name in schema.names}).cast(schema)

        store, count, now = Store(tmp_path / "home"), len(ids), datetime(2026, 1, 2, tzinfo=UTC)
        same = {"product_id": ids, "row_digest": ids, "image_digest": ids, "name": names}
        dated = {"first_seen": [now] * count, "changed": [now] * count, "position": range(count), "price": range(count)}
        store.write("products", rows("products", {**same, **dated}))
        store.write("images", rows("images", {**same, "status": ["ok"] * count}))
        store.write("labels", rows("labels", {**same, "label": ["Pens"] * count}))
        read = [{"catalogue_digest": f"catalogue-{day}", "read_at": now.replace(day=day)} for day in (2, 1)]
        store.write("catalogues", pa.Table.from_pylist(read, schema=SCHEMAS["catalogues"]))
        random = np.random.default_rng(0)
        vectors = random.standard_normal((count, 8)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        histograms = random.dirichlet(np.ones(768), count).astype(np.float32)
        configuration = load(environ={})
        store.write(features.table_name(configuration), features.rows_of(ids, vectors, histograms))
        recommend_missing(store, configuration, None)
        return store

    return made
