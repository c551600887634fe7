"""Merge a catalogue into the `products` table, writing only rows that differ, and read it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys.storage.frames import frame_of
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store

if TYPE_CHECKING:
    from recsys.ingest.catalogue.reading import Reading

ACTIVE = "removed IS NULL"
"""SQL filter of the products that the current catalogue lists."""


@dataclass(frozen=True)
class CatalogueChange:
    """Counts of products by what changed. A product that returned is not counted as changed.

    `restocked` counts products of which only the stock flag changed, in either direction.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    returned: int = 0
    restocked: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {name}" for name, count in asdict(self).items())

    @property
    def written(self) -> int:
        """Number of rows that the commit wrote."""
        return self.new + self.changed + self.removed + self.returned + self.restocked


def update_products(store: Store, reading: Reading, now: datetime) -> CatalogueChange:
    """Merge a reading into `products` in one commit and return the counts; without a change nothing is written.

    A product without a valid row is marked as removed, never deleted. A new position in the file alone is not a
    change: the stored position is updated with the next change of the row.

    Args:
        store: of the home.
        reading: the current catalogue.
        now: the value of `first_seen`, `changed` or `removed`, time-zone aware.

    Raises:
        HomeError: the store cannot be written to.
    """
    columns = ["product_id", "row_digest", "in_stock", "variants", "first_seen", "changed", "removed"]
    stored = frame_of(store.read("products", columns))
    stored = stored.rename(
        columns={"row_digest": "stored_digest", "in_stock": "stored_stock", "variants": "stored_variants"}
    )
    rows = frame_of(reading.table.select(["product_id", "row_digest", "in_stock", "variants"]))
    rows = rows.merge(stored, on="product_id", how="left", validate="one_to_one")
    new = rows["stored_digest"].isna()
    returned = rows["removed"].notna()
    differs = rows["stored_digest"] != rows["row_digest"]
    stock, stored_stock = (rows[name].astype("boolean") for name in ("in_stock", "stored_stock"))
    differs_in_stock = (stock.isna() != stored_stock.isna()) | (stock != stored_stock).fillna(False)
    differs_in_stock |= rows["variants"].map(_stocks) != rows["stored_variants"].map(_stocks)
    restocked = differs_in_stock & ~differs & ~returned
    differs_in_content = differs & ~new
    moment = pd.Timestamp(now)
    rows.loc[new, "first_seen"] = moment
    rows.loc[differs, "changed"] = moment
    rows["removed"] = pd.NaT
    written = _table(reading.table, rows[new | differs | returned | restocked])

    gone = stored.loc[stored["removed"].isna() & ~stored["product_id"].isin(rows["product_id"]), "product_id"]
    if not gone.empty:
        written = pa.concat_tables([written, _removed_rows(store, gone, moment, written.schema)])
    if written.num_rows:
        store.write("products", written)
    return CatalogueChange(
        new=int(new.sum()),
        changed=int((differs_in_content & ~returned).sum()),
        unchanged=int((~differs & ~returned & ~restocked).sum()),
        removed=len(gone),
        returned=int(returned.sum()),
        restocked=int(restocked.sum()),
    )


def _stocks(variants: object) -> tuple[bool | None, ...]:
    """Return the stock flags of a product's variants."""
    return tuple(variant["in_stock"] for variant in variants) if isinstance(variants, list) else ()


def _removed_rows(store: Store, product_ids: pd.Series, moment: pd.Timestamp, schema: pa.Schema) -> pa.Table:
    """Return the stored rows of these products, marked as removed at `moment`."""
    listed = store.read("products", where=ACTIVE)
    rows = listed.filter(pc.is_in(listed["product_id"], pa.array(product_ids.tolist(), pa.string())))
    index = rows.schema.get_field_index("removed")
    removed = pa.array([moment.to_pydatetime()] * rows.num_rows, rows.schema.field(index).type)
    return rows.set_column(index, "removed", removed).select(schema.names).cast(schema)


def active_products(store: Store, columns: Sequence[str] | None = None, where: str | None = None) -> pd.DataFrame:
    """Return the products that the catalogue lists, in its order.

    Args:
        store: of the home.
        columns: columns of the `products` table (default: all). List columns hold Python lists.
        where: an SQL filter, built with `literal` or `among` (default: all products).
    """
    selected = list(columns) if columns is not None else SCHEMAS["products"].names
    condition = f"{ACTIVE} AND {where}" if where else ACTIVE
    table = store.read("products", list(dict.fromkeys([*selected, "position", "product_id"])), condition)
    table = table.sort_by([("position", "ascending"), ("product_id", "ascending")])
    return frame_of(table.select(selected))


def products_of_variants(store: Store) -> dict[str, str]:
    """Return the product id of each variant id of the listed products; of variants of several, the first one."""
    table = store.read("products", ["product_id", "variants"], ACTIVE).combine_chunks()
    variants = table["variants"].combine_chunks()
    ids = pc.struct_field(pc.list_flatten(variants), "id").to_pylist()
    products = table["product_id"].take(pc.list_parent_indices(variants)).to_pylist()
    return dict(reversed(list(zip(ids, products, strict=True))))


def products_by_attribute(store: Store) -> dict[str, list[str]]:
    """Return the ids of the listed products by attribute: `material:wool`, in lower case."""
    table = store.read("products", ["product_id", "attributes"], ACTIVE).combine_chunks()
    attributes = table["attributes"].combine_chunks()
    products = table["product_id"].take(pc.list_parent_indices(attributes)).to_pylist()
    product_ids: dict[str, list[str]] = {}
    for product_id, attribute in zip(products, pc.list_flatten(attributes).to_pylist(), strict=True):
        product_ids.setdefault(f"{attribute['name']}:{attribute['value']}".casefold(), []).append(product_id)
    return product_ids


def _table(table: pa.Table, rows: pd.DataFrame) -> pa.Table:
    """Return rows of a reading's table, by the index of the frame, with the frame's times of their changes."""
    schema = SCHEMAS["products"]
    table = table.take(pa.array(rows.index, pa.int64()))
    for name in ("first_seen", "changed", "removed"):
        table = table.append_column(schema.field(name), pa.array(rows[name], schema.field(name).type, from_pandas=True))
    return table.select(schema.names)
