"""Which stored rankings are outdated: those that a change of the shop can have moved, and no others.

    candidates-<version>   product id   the candidates of its ranking, their lowest likeness, and the state of the shop
    ranked-<version>       product id   what its ranking depends on, when the last ranking of the shop ended
    ranking/<version>      a record     the rule, and the states of the shop whose rankings were valid then

The ranking of a product depends on itself and on its candidates, the products of its label that are most like it. So a
change of the shop moves only the rankings

    of products that are new or have changed
    with a candidate that has changed or is gone
    whose lowest candidate is no more like the product than one that is new or has changed

What has changed is found by comparison with the end of the last ranking of the shop, so nothing is lost if a ranking is
killed: the next one makes what is missing, and what was made for a state that the shop is no longer in.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.models.embedding.serving import Serving
from recsys.models.embedding.words import text_weight, texts_of
from recsys.ranking.cache_keys import LastResult, product_contents, rule_versions, table_versions
from recsys.ranking.gallery import Gallery, blocks, rows_by_value
from recsys.ranking.gallery_loading import load_gallery, vector_tables
from recsys.ranking.nearest_neighbours import BLOCK_BYTES, pool_labels
from recsys.ranking.reranking import Candidates
from recsys.storage import records
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store

MARGIN = np.float32(1e-5)
"""Difference below which two likenesses may be equal, because their sums were rounded in another order."""

STATE_COLUMNS = ("content", "pool", "variant_of")


@dataclass(frozen=True, eq=False)
class ShopState:
    """Everything that the rankings of a shop depend on.

    Attributes:
        key: digest of all of it.
        rule: digest of what applies to every product: the rule, its settings, and the model.
        products: those that can be compared, in the order of the catalogue. Index: product_id. Columns: content, a
            digest of what a gallery reads of the product; pool, the label that it is compared within, None for the
            whole shop; variant_of, the first product of its variants; position, from 0.
    """

    key: str
    rule: str
    products: pd.DataFrame

    @classmethod
    def of(cls, store: Store, configuration: Configuration, serves: Serving) -> ShopState:
        """Return the current state of a shop. The last one stays in memory, because each shard of a run needs it."""
        rule = rule_versions(store, configuration, serves)

        def compute() -> ShopState:
            frame, gallery = load_gallery(store, configuration, serves)
            contents = product_contents(frame, configuration)
            if text_weight(serves.model, configuration):  # the words have attributes too
                contents = contents + "\x1f" + texts_of(store).reindex(frame["product_id"]).to_numpy()
            products = pd.DataFrame(
                {
                    "content": [digest([content]) for content in contents],
                    "pool": pool_labels(gallery.labels, gallery),
                    "variant_of": _first_variants(gallery),
                    "position": np.arange(len(gallery)),
                },
                index=pd.Index(gallery.product_ids, dtype=object),
            )
            lines = zip(*(products[column].tolist() for column in STATE_COLUMNS), strict=True)
            return cls(digest([*rule, *("\x1f".join(map(str, line)) for line in lines)]), digest(rule), products)

        return _last_state.get((*table_versions(store, *_tables(store, configuration, serves)), *rule), compute)


def state_key(store: Store, configuration: Configuration, serves: Serving) -> str:
    """Return the key of the current state of a shop; that of the last ranking if nothing has changed since."""
    record = _record(store, serves)
    if record.get("versions") == _versions(store, configuration, serves):
        return str(record["key"])
    return ShopState.of(store, configuration, serves).key


def candidates_table(serves: Serving) -> str:
    """Return the name of the table with the candidates of a model's rankings."""
    return f"candidates-{serves.version}"


def record_name(version: str) -> str:
    """Return the name of the record of the last ranking by a model."""
    return f"ranking/{version}"


def candidate_rows(gallery: Gallery, rows: NDArray[np.int64], candidates: Candidates, state: ShopState) -> pa.Table:
    """Return the candidates of these rows of the gallery as rows of the store's table."""
    valid = candidates.rows >= 0
    least = np.where(valid.all(axis=1), candidates.visual[:, -1], np.float32(0))
    offsets = np.concatenate([[0], np.cumsum(valid.sum(axis=1))]).astype(np.int32)
    neighbour_ids = pa.array(gallery.product_ids[candidates.rows[valid]], pa.string())
    return pa.table(
        {
            "product_id": pa.array(gallery.product_ids[rows], pa.string()),
            "neighbour_ids": pa.ListArray.from_arrays(offsets, neighbour_ids),
            "least": pa.array(least, pa.float32()),
            "basis": pa.array([state.key] * len(rows), pa.string()),
        },
        schema=SCHEMAS["candidates"],
    )


def outdated(store: Store, configuration: Configuration, serves: Serving) -> list[str]:
    """Return the ids of the products whose ranking is missing or outdated.

    At the end are the products with a ranking that cannot be compared any more.
    """
    tables = [*_tables(store, configuration, serves), candidates_table(serves), "records"]
    key = (*table_versions(store, *tables), *rule_versions(store, configuration, serves))
    return _last_outdated.get(key, lambda: _outdated(store, configuration, serves))


def settle(store: Store, configuration: Configuration, serves: Serving) -> None:
    """Record the current state of the shop as ranked, unless a ranking is outdated.

    The caller must hold the home's lock.
    """
    record, versions = _record(store, serves), _versions(store, configuration, serves)
    if record.get("versions") == versions or outdated(store, configuration, serves):
        return
    state = ShopState.of(store, configuration, serves)
    if record.get("key") != state.key:
        frame = state.products.reset_index(names="product_id")
        rows = pa.Table.from_pandas(frame, SCHEMAS["ranked"], preserve_index=False)
        store.write(_state_table(serves), rows, replace="true")
    bases = sorted(set(store.read(candidates_table(serves), ["basis"])["basis"].to_pylist()))
    settled = {"key": state.key, "rule": state.rule, "bases": bases, "versions": versions}
    records.write(store.home, {record_name(serves.version): settled})


def _outdated(store: Store, configuration: Configuration, serves: Serving) -> list[str]:
    record = _record(store, serves)
    if record.get("versions") == _versions(store, configuration, serves):
        return []
    state = ShopState.of(store, configuration, serves)
    products = state.products
    stored = store.read(candidates_table(serves))
    rows = products.index.get_indexer(pd.Index(_column(stored, "product_id")))
    gone = _column(stored, "product_id")[rows < 0]
    stored, rows = stored.filter(rows >= 0), rows[rows >= 0]
    is_current = _column(stored, "basis") == state.key
    before = _state_before(store, serves)
    if record.get("rule") == state.rule and before is not None:
        was_valid = np.isin(_column(stored, "basis"), record["bases"])
        _, gallery = load_gallery(store, configuration, serves)
        is_current |= was_valid & ~_moved(stored, rows, before, products, gallery)
    missing = products.drop(products.index[rows[is_current]])
    return [*missing.index, *sorted(gone)]


def _moved(
    lists: pa.Table, rows: NDArray[np.int64], before: pd.DataFrame, products: pd.DataFrame, gallery: Gallery
) -> NDArray[np.bool_]:
    """Return whether what has changed can have moved each of the m rankings that were valid before.

    Args:
        lists: (m) rows of the table of candidates.
        rows: (m,) rows of their products.
        before, products: the shop before and now, see `ShopState`.
        gallery: the shop now.
    """
    changed, gone = _changes(before, products)
    moved = changed[rows] | _having(lists, [*products.index[changed], *gone])
    others = np.flatnonzero(~moved)
    least = lists["least"].to_numpy()[others]
    moved[others] = _entered(gallery, products["pool"], rows[others], least, np.flatnonzero(changed))
    return moved


def _changes(before: pd.DataFrame, products: pd.DataFrame) -> tuple[NDArray[np.bool_], Iterable[str]]:
    """Return whether each product is new or has changed, and the ids of those that are gone.

    One with another place among the others has changed too: equally good recommendations are in the catalogue's order.
    """
    old = before.reindex(products.index)
    changed = _reordered(before, products)
    for column in STATE_COLUMNS:
        is_same = (old[column] == products[column]) | (old[column].isna() & products[column].isna())
        changed |= ~is_same.to_numpy(dtype=bool)
    return changed, before.index.difference(products.index)


def _reordered(before: pd.DataFrame, products: pd.DataFrame) -> NDArray[np.bool_]:
    """Return whether each product has another place among the others than before; as few as possible have one."""
    places = before["position"].reindex(products.index).to_numpy()
    kept = np.flatnonzero(~np.isnan(places))
    reordered = np.zeros(len(products), bool)
    reordered[kept] = True
    reordered[kept[longest_increasing(places[kept])]] = False
    return reordered


def longest_increasing(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of a longest strictly increasing subsequence, by the O(n log n) rule of Fredman (1975)."""
    if (np.diff(values) > 0).all():  # also without any
        return np.arange(len(values))
    lowest_ends: list[float] = []  # of the subsequences of each length
    end_places: list[int] = []
    previous = np.full(len(values), -1)
    for place, value in enumerate(values.tolist()):
        length = bisect_left(lowest_ends, value)
        previous[place] = end_places[length - 1] if length else -1
        lowest_ends[length : length + 1] = [value]
        end_places[length : length + 1] = [place]
    places = [end_places[-1]]
    while previous[places[-1]] >= 0:
        places.append(int(previous[places[-1]]))
    return np.array(places[::-1])


def _having(lists: pa.Table, ids: Iterable[str]) -> NDArray[np.bool_]:
    """Return whether each list of candidates has one of these products."""
    column = lists["neighbour_ids"].combine_chunks()
    is_one = pc.is_in(column.flatten(), value_set=pa.array(ids, pa.string()))
    having = np.zeros(len(lists), bool)
    having[pc.list_parent_indices(column).filter(is_one).to_numpy()] = True
    return having


def _entered(
    gallery: Gallery,
    pool_of: pd.Series,
    rows: NDArray[np.int64],
    least: NDArray[np.float32],
    entrants: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Return whether one of the entrants is as like each product as the lowest of its candidates.

    Args:
        gallery: of the shop.
        pool_of: (n,) see `ShopState.products`.
        rows: (m,) rows of the products.
        least: (m,) the likeness of their lowest candidates; 0 where any product would be one.
        entrants: rows of the products that are new or have changed.
    """
    entered = np.zeros(len(rows), bool)
    pools = pool_of.to_numpy(dtype=object)
    entrants_of = rows_by_value(pools[entrants])
    members_of = rows_by_value(pools[rows])
    pairs = [(members_of[pool], entrants[of_pool]) for pool, of_pool in entrants_of.items() if pool in members_of]
    pairs.append((np.flatnonzero(pd.isna(pools[rows])), entrants))  # compared with the whole shop
    for members, others in pairs:
        vectors = gallery.embeddings[others].T
        for block in blocks(members, 4 * len(others) + 8 * gallery.embeddings.shape[1], BLOCK_BYTES):
            likeness = gallery.weighted(gallery.embeddings[rows[block]]) @ vectors
            nearest = likeness.max(axis=1, initial=-np.inf)
            entered[block] = (nearest >= least[block] - MARGIN) | ((least[block] <= 0) & (len(others) > 0))
    return entered


def _first_variants(gallery: Gallery) -> NDArray[np.object_]:
    """Return the id of the first product of each product's variants."""
    if gallery.groups is None:
        return gallery.product_ids
    _, first, group = np.unique(gallery.groups, return_index=True, return_inverse=True)
    return gallery.product_ids[first[group]]


def _column(table: pa.Table, name: str) -> NDArray[np.object_]:
    return table[name].to_pandas().to_numpy(dtype=object)


def _state_table(serves: Serving) -> str:
    return f"ranked-{serves.version}"


def _state_before(store: Store, serves: Serving) -> pd.DataFrame | None:
    """Return the state when the last ranking of the shop ended; None before the first end."""
    table = store.read(_state_table(serves))
    return table.to_pandas().set_index("product_id") if len(table) else None


def _record(store: Store, serves: Serving) -> dict[str, Any]:
    return dict(records.read(store.home, record_name(serves.version)) or {})


def _tables(store: Store, configuration: Configuration, serves: Serving) -> list[str]:
    return ["products", "images", "labels", *vector_tables(store, configuration, serves)]


def _versions(store: Store, configuration: Configuration, serves: Serving) -> dict[str, Any]:
    """Return the rule and the versions of all tables by which rankings are found to be up to date at once."""
    tables = [*_tables(store, configuration, serves), candidates_table(serves)]
    versions = {table: store.version(table) for table in tables}
    return {"store": store.id, "rule": digest(rule_versions(store, configuration, serves)), **versions}


_last_state = LastResult[ShopState]()
_last_outdated = LastResult[list[str]]()
