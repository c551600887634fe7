"""The funnel: how many rows of the catalogue reach each stage."""

from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc

from recsys.core.configuration import Configuration
from recsys.models.embedding.serving import serving
from recsys.storage.store import Store


@dataclass(frozen=True)
class Funnel:
    """Counts of the active catalogue.

    Attributes:
        rows: rows of the catalogue file.
        rejected: rows that are invalid or duplicates.
        labelled: products with a label, with or without an image.
        recommended: products with recommendations of the serving model.
    """

    rows: int
    rejected: int
    products: int
    with_image: int
    broken: int
    pending: int
    labelled: int
    with_price: int
    recommended: int

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)


def count_funnel(store: Store, configuration: Configuration) -> Funnel:
    """Return the funnel of the store's present state."""
    readings = store.read("catalogues").sort_by([("read_at", "descending")])
    rows, rejected = (readings[name][0].as_py() if len(readings) else 0 for name in ("rows", "rejected"))
    products = store.read("products", ["product_id", "price"], "removed IS NULL")
    active = products["product_id"].combine_chunks()

    def read_active(table: str, columns: list[str], where: str | None = None) -> pa.Table:
        matches = store.read(table, [*columns, "product_id"], where)
        return matches.filter(pc.is_in(matches["product_id"], value_set=active))

    status = read_active("images", ["status"])["status"].to_pylist()
    return Funnel(
        rows=rows,
        rejected=rejected,
        products=len(products),
        with_image=status.count("ok"),
        broken=status.count("broken"),
        pending=status.count("pending"),
        labelled=len(read_active("labels", [], "label IS NOT NULL")),
        with_price=len(products) - products["price"].null_count,
        recommended=len(read_active(serving(store.home, configuration).recommendations, [], "rank = 1")),
    )
