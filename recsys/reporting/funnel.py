"""The funnel: how many rows of the catalogue reach each stage, and which images are broken."""

from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc

from recsys.core.configuration import Configuration
from recsys.ingest.causes import Cause, explain
from recsys.ingest.images.ledger import broken_by_cause, broken_by_host, count_images
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


MAX_HOSTS = 20
"""Number of hosts in the report; broken-links.csv contains all of them."""


@dataclass(frozen=True)
class BrokenCause:
    """The number of images with one cause.

    Attributes:
        code: the cause in the store, such as `http_404`.
        example: the URL of one of the images.
        cause: the meaning and the remedy.
    """

    code: str
    count: int
    example: str
    cause: Cause


@dataclass(frozen=True)
class BrokenHost:
    """The number of broken images at one host (empty where there is no URL), and their causes."""

    host: str
    count: int
    causes: str


@dataclass(frozen=True)
class BrokenLinks:
    """The causes and the hosts, the most frequent first.

    Attributes:
        rescued: number of products whose first URL is broken, but that have an image from another one.
    """

    causes: tuple[BrokenCause, ...] = ()
    hosts: tuple[BrokenHost, ...] = ()
    rescued: int = 0


def summarise_broken_links(store: Store) -> BrokenLinks:
    """Return the broken links of the active products."""
    causes = broken_by_cause(store)[["cause", "products", "example_url"]].to_numpy()
    hosts = broken_by_host(store)[["host", "products", "causes"]].head(MAX_HOSTS).to_numpy()
    return BrokenLinks(
        causes=tuple(BrokenCause(str(code), int(count), str(url), explain(str(code))) for code, count, url in causes),
        hosts=tuple(BrokenHost(str(host), int(count), str(words)) for host, count, words in hosts),
        rescued=count_images(store).rescued,
    )
