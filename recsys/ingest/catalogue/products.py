"""The `products` table: a reading is merged into it, and only rows that differ are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys.ingest.catalogue.reading import Reading
from recsys.storage.store import SCHEMAS, Store

ACTIVE = "removed IS NULL"
"""The filter of the products that the catalogue lists."""


@dataclass(frozen=True)
class CatalogueChange:
    """How many products each thing happened to; a product that returned is not counted as changed too.

    `restocked` are those of which nothing else changed than whether they are in stock, either way.
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
        """How many rows the commit wrote."""
        return self.new + self.changed + self.removed + self.returned + self.restocked


def update_products(store: Store, reading: Reading, now: datetime) -> CatalogueChange:
    """Merge a reading into `products` in one commit, and return what changed; without a change nothing is written.

    A product whose row is not among the valid ones any more is marked as removed, never deleted. Its place in the
    file alone is no change: it stays as it was when its row was last written.

    Args:
        store: of the home.
        reading: the catalogue as it is now.
        now: time-zone aware; becomes `first_seen`, `changed` or `removed`.

    Raises:
        HomeError: the store cannot be written to.
    """
    known = ["product_id", "row_digest", "in_stock", "first_seen", "changed", "removed"]
    stored = store.read("products", known).to_pandas()
    stored = stored.rename(columns={"row_digest": "stored_digest", "in_stock": "stored_stock"})
    rows = reading.products.merge(stored, on="product_id", how="left", validate="one_to_one")
    new = rows["stored_digest"].isna()
    returned = rows["removed"].notna()
    differs = rows["stored_digest"] != rows["row_digest"]
    stock, stored_stock = (rows[name].astype("boolean") for name in ("in_stock", "stored_stock"))
    differs_in_stock = (stock.isna() != stored_stock.isna()) | (stock != stored_stock).fillna(False)
    restocked = differs_in_stock & ~differs & ~returned
    differs_in_content = differs & ~new
    moment = pd.Timestamp(now)
    rows.loc[new, "first_seen"] = moment
    rows.loc[differs, "changed"] = moment
    rows["removed"] = pd.NaT
    written = _table(rows[new | differs | returned | restocked])

    gone = stored.loc[stored["removed"].isna() & ~stored["product_id"].isin(rows["product_id"]), "product_id"]
    if not gone.empty:
        listed = store.read("products", where=ACTIVE)
        leaving = listed.filter(pc.is_in(listed["product_id"], pa.array(gone.tolist(), pa.string())))
        column = leaving.schema.get_field_index("removed")
        at = pa.array([moment.to_pydatetime()] * leaving.num_rows, leaving.schema.field(column).type)
        leaving = leaving.set_column(column, "removed", at)
        written = pa.concat_tables([written, leaving.select(written.schema.names).cast(written.schema)])
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


def active_products(store: Store, columns: Sequence[str] | None = None, where: str | None = None) -> pd.DataFrame:
    """Return the products that the catalogue lists, in its order.

    Args:
        store: of the home.
        columns: those of the `products` table to read (default: all). List columns hold Python lists.
        where: a filter, built with `store.literal` or `store.among` (default: all).
    """
    asked = list(columns) if columns is not None else SCHEMAS["products"].names
    wanted = f"{ACTIVE} AND {where}" if where else ACTIVE
    table = store.read("products", list(dict.fromkeys([*asked, "position", "product_id"])), wanted)
    table = table.sort_by([("position", "ascending"), ("product_id", "ascending")])
    return frame_of(table.select(asked))


def frame_of(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as a frame whose list columns hold Python lists, not arrays."""
    lists = [field.name for field in table.schema if pa.types.is_list(field.type)]
    frame = table.drop_columns(lists).to_pandas()
    for name in lists:
        frame[name] = pd.Series(table[name].to_pylist(), dtype="object", index=frame.index)
    return frame[table.schema.names]


def _table(rows: pd.DataFrame) -> pa.Table:
    """Return rows as the `products` table has them."""
    schema = SCHEMAS["products"]
    return pa.Table.from_pandas(rows[schema.names], schema=schema, preserve_index=False).replace_schema_metadata(None)
