"""The funnel: how many of the catalogue's rows end as products with recommendations, and where the others went."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc

from recsys.core.configuration import Configuration
from recsys.models.embedding.serving import serving
from recsys.storage.store import Store


@dataclass(frozen=True)
class Funnel:
    """Counts over the active catalogue."""

    rows: int
    """Of the catalogue file."""
    rejected: int
    """Rows set aside, as bad or as duplicates."""
    products: int
    with_image: int
    broken: int
    pending: int
    labelled: int
    """Products with a label, with or without an image."""
    with_price: int
    recommended: int

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)


def funnel(store: Store, configuration: Configuration) -> Funnel:
    """Return the funnel of what the store holds now; recommended is what the model that serves recommends for."""
    readings = store.read("catalogues").sort_by([("read_at", "descending")])
    rows, rejected = (readings[name][0].as_py() if len(readings) else 0 for name in ("rows", "rejected"))
    products = store.read("products", ["product_id", "price"], "removed IS NULL")
    active = products["product_id"].combine_chunks()

    def of_active(table: str, columns: list[str], where: str | None = None) -> pa.Table:
        found = store.read(table, [*columns, "product_id"], where)
        return found.filter(pc.is_in(found["product_id"], value_set=active))

    status = of_active("images", ["status"])["status"].to_pylist()
    return Funnel(
        rows=rows,
        rejected=rejected,
        products=len(products),
        with_image=status.count("ok"),
        broken=status.count("broken"),
        pending=status.count("pending"),
        labelled=len(of_active("labels", [], "label IS NOT NULL")),
        with_price=len(products) - products["price"].null_count,
        recommended=len(of_active(serving(store.home, configuration).recommendations, [], "rank = 1")),
    )
