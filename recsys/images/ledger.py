"""The stage of the images on the store: what is missing, one shard of it, and what it all came to.

The ledger is the table `images`: one row a product, saying of which URLs it speaks (`urls_digest`), how they ended
(ok, broken with its cause, pending) and, when ok, holding the squared image. A row is missing when there is none,
when it is pending, or when the catalogue has changed the product's URLs since.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from recsys.configuration import Configuration
from recsys.errors import NoImagesError, PendingImagesError
from recsys.images.causes import explain
from recsys.images.fetch import Item, Outcome, fetch_images
from recsys.store import SCHEMAS, Shard, Store, among, digest, shards

ACTIVE = "removed IS NULL"


@dataclass(frozen=True)
class FetchCounts:
    """How many products ended how, in how many seconds, and the bytes of the images that are ok."""

    ok: int
    broken: int
    pending: int
    seconds: float
    bytes: int

    @property
    def total(self) -> int:
        return self.ok + self.broken + self.pending

    def __str__(self) -> str:
        rate = f", {self.total / self.seconds:.0f} a second" if self.seconds else ""
        return f"{self.ok} ok, {self.broken} broken, {self.pending} pending{rate}"


def missing(store: Store, configuration: Configuration) -> list[Shard]:
    """Return shards of the products whose image is still to be fetched, in the catalogue's order.

    A shard's digest covers what the ledger says of its products, so that work that came up again has another.
    """
    ledger = _rows(store, "images", ["product_id", "urls_digest", "status", "attempts", "checked_at"])
    keys, states = [], []
    for product in _products(store, ["product_id", "image_urls"]):
        row, urls = ledger.get(product["product_id"]), _urls_digest(product)
        if _is_missing(row, urls):
            keys.append(product["product_id"])
            states.append(digest([urls, list(row.values()) if row else None]))
    return shards("images", keys, configuration.images.shard_size, states)


def fetch_shard(
    store: Store, shard: Shard, configuration: Configuration, on_progress: Callable[[str], None] | None = None
) -> FetchCounts:
    """Fetch what is still missing of a shard, commit it in one write, and return the counts of what was asked for.

    Args:
        store: where products are read and images written.
        shard: one of `missing`; keys that have been fetched since are not asked for again.
        configuration: its `images` section.
        on_progress: called with ok, broken or pending as each product ends.

    Raises:
        PendingImagesError: after the commit, when products are pending; running again asks for those alone.
        HomeError: the store cannot be written to; nothing of the shard was committed.
    """
    began = time.monotonic()
    wanted = among("product_id", shard.keys)
    ledger = _rows(store, "images", ["product_id", "urls_digest", "status", "cause", "attempts", "url"], wanted)
    products = [
        product
        for product in _products(store, ["product_id", "image_urls"], wanted)
        if _is_missing(ledger.get(product["product_id"]), _urls_digest(product))
    ]
    items = [_item(product, ledger.get(product["product_id"])) for product in products]
    outcomes = fetch_images(items, configuration.images, on_progress)
    if outcomes:
        rows = [_row(product, outcome) for product, outcome in zip(products, outcomes, strict=True)]
        store.write("images", pa.Table.from_pylist(rows, schema=SCHEMAS["images"]))
    counts = _count(
        ((outcome.status, outcome.image.size if outcome.image else 0) for outcome in outcomes),
        time.monotonic() - began,
    )
    if counts.pending:
        raise PendingImagesError(
            f"{shard}: {counts.pending} of {counts.total} images are pending, "
            f"{_hosts(outcome.url for outcome in outcomes if outcome.status == 'pending')}; "
            "what came is kept, and running again asks only for the rest"
        )
    return counts


def require_images(store: Store, configuration: Configuration) -> FetchCounts:
    """Return the counts over the catalogue (seconds 0); a product that was never asked for counts as pending.

    Raises:
        PendingImagesError: a larger share than `images.pending_share` is pending.
        NoImagesError: no product has an image.
    """
    table = _active(store)
    counts = _count(zip(table["status"], table["bytes"], strict=True), 0.0)
    if not counts.total:
        raise NoImagesError("the catalogue lists no product; give one that has rows")
    if counts.pending > configuration.images.pending_share * counts.total:
        pending = table[table["status"] == "pending"]
        raise PendingImagesError(
            f"{counts.pending} of {counts.total} images are pending, {_hosts(pending['url'])}; run again when "
            "their host answers, or raise images.pending_share to go on without them"
        )
    if not counts.ok:
        causes = Counter(table["cause"].dropna()).most_common(3)
        told = "; ".join(f"{number} {cause} ({explain(cause).meaning})" for cause, number in causes)
        raise NoImagesError(
            f"{counts.broken} of {counts.total} image URLs are broken and none is usable: {told}; "
            f"{explain(causes[0][0]).remedy if causes else 'run again'}"
        )
    return counts


def broken_by_cause(store: Store) -> pd.DataFrame:
    """Return one row a cause of the catalogue's broken images, the most frequent first.

    Columns: cause, products, share (of the catalogue), example_url, meaning, remedy.
    """
    table = _active(store)
    broken = table[table["status"] == "broken"]
    rows = [
        {
            "cause": cause,
            "products": len(group),
            "share": len(group) / len(table),
            "example_url": next(iter(group["url"].dropna()), ""),
            "meaning": explain(str(cause)).meaning,
            "remedy": explain(str(cause)).remedy,
        }
        for cause, group in broken.groupby("cause")
    ]
    columns = ["cause", "products", "share", "example_url", "meaning", "remedy"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["products", "cause"], ascending=[False, True], ignore_index=True)


def broken_links(store: Store) -> pd.DataFrame:
    """Return one row a product whose image is broken, in the catalogue's order, for whoever mends the catalogue.

    Columns: product_id, name, url, cause, http_code (nullable integer), checked_at (UTC).
    """
    table = _active(store)
    columns = ["product_id", "name", "url", "cause", "http_code", "checked_at"]
    links = table.loc[table["status"] == "broken", columns].reset_index(drop=True)
    return links.astype({"http_code": "Int32"})


def _active(store: Store) -> pd.DataFrame:
    """Return the catalogue's products in their order, each with its row of the ledger; pending where it has none."""
    columns = ["product_id", "urls_digest", "status", "cause", "http_code", "checked_at", "url", "bytes"]
    ledger = _rows(store, "images", columns)
    nothing: dict[str, Any] = dict.fromkeys(columns) | {"status": "pending"}
    rows = []
    for product in _products(store, ["product_id", "name", "image_urls"]):
        row = ledger.get(product["product_id"])
        if row is None or row["urls_digest"] != _urls_digest(product):
            row = nothing | {"url": next(iter(product["image_urls"] or ()), None)}
        rows.append(row | {"product_id": product["product_id"], "name": product["name"]})
    return pd.DataFrame(rows, columns=["name", *columns])


def _rows(store: Store, table: str, columns: list[str], where: str | None = None) -> dict[str, dict[str, Any]]:
    """Return the rows of a table by product id."""
    return {row["product_id"]: row for row in store.read(table, columns, where).to_pylist()}


def _products(store: Store, columns: list[str], where: str | None = None) -> list[dict[str, Any]]:
    """Return the products that the catalogue lists, in its order."""
    where = f"{ACTIVE} AND {where}" if where else ACTIVE
    table = store.read("products", [*columns, "position"], where)
    return table.sort_by([("position", "ascending"), ("product_id", "ascending")]).to_pylist()


def _urls_digest(product: Mapping[str, Any]) -> str:
    return digest(product["image_urls"] or ())


def _is_missing(row: Mapping[str, Any] | None, urls_digest: str) -> bool:
    return row is None or row["status"] == "pending" or row["urls_digest"] != urls_digest


def _item(product: Mapping[str, Any], row: Mapping[str, Any] | None) -> Item:
    """Return what to fetch for a product: from the URL that is pending on, with the attempts that it has spent."""
    urls = tuple(dict.fromkeys(product["image_urls"] or ()))
    if row is None or row["urls_digest"] != _urls_digest(product) or row["url"] not in urls:
        return Item(product["product_id"], urls)
    urls = urls[urls.index(row["url"]) :]
    return Item(product["product_id"], urls, row["attempts"], host_was_down=row["cause"] == "host_down")


def _row(product: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """Return a row of the ledger."""
    image = outcome.image
    return {
        "product_id": outcome.product_id,
        "urls_digest": _urls_digest(product),
        "status": outcome.status,
        "cause": outcome.cause,
        "http_code": outcome.http_code,
        "attempts": outcome.attempts,
        "checked_at": outcome.checked_at,
        "url": outcome.url,
        "image_digest": image.digest if image else None,
        "bytes": image.size if image else None,
        "width": image.width if image else None,
        "height": image.height if image else None,
        "format": image.format if image else None,
        "jpeg": image.jpeg if image else None,
    }


def _count(outcomes: Iterable[tuple[str, float | None]], seconds: float) -> FetchCounts:
    """Return the counts of (status, bytes) pairs."""
    counted: Counter[str] = Counter()
    total = 0
    for status, size in outcomes:
        counted[status] += 1
        total += int(size) if status == "ok" and size is not None else 0
    return FetchCounts(counted["ok"], counted["broken"], counted["pending"], seconds, total)


def _hosts(urls: Iterable[str | None]) -> str:
    """Return 'most of them at <host>', for the host that most of the URLs have."""
    hosts = Counter(url.partition("://")[2].partition("/")[0] for url in urls if url)
    return f"most of them at {hosts.most_common(1)[0][0]}" if hosts else "none of them asked for yet"
