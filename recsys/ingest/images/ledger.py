"""The stage of the images on the store: what is missing, one shard of it, and what it all came to.

The ledger is the table `images`: one row a product, saying of which URLs it speaks (`urls_digest`), how they ended
(ok, broken with its cause, pending) and, when ok, holding the squared image. A row is missing when there is none,
when it is pending, or when the catalogue has changed the product's URLs since. What has ended is asked for again only
by a `Recheck`: broken links that may be mended, pictures that may have changed.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys.core.configuration import Configuration
from recsys.core.errors import ExportError, NoImagesError, PendingImagesError
from recsys.core.memory import give_back
from recsys.ingest.addresses import without_credentials
from recsys.ingest.catalogue.products import ACTIVE
from recsys.ingest.causes import explain
from recsys.ingest.images.fetch import close_idle_fetchers, fetch_images
from recsys.ingest.images.item import Item, Known, Outcome
from recsys.storage.spreadsheet import write_csv
from recsys.storage.store import SCHEMAS, Shard, Store, among, digest, literal, shards

STATE = ["product_id", "urls_digest", "status", "cause", "attempts", "checked_at"]
"""Columns that say whether a row is to be asked for, and enter a shard's digest."""

PLACEHOLDER_CATEGORIES = 3
"""Top levels that have the same picture, before it is taken for none: sizes of a shirt may well share theirs."""


@dataclass(frozen=True)
class Recheck:
    """Which rows that have ended are asked for again.

    Attributes:
        status: `broken`, links that may be mended; or `ok`, pictures that may have changed: those are asked for
            with a conditional request, which an unchanged one answers with 304 and no body.
        causes: of the broken ones; none means all.
        before: only what was last checked before; a row that was asked again is no longer among them.
    """

    status: Literal["broken", "ok"]
    before: datetime
    causes: tuple[str, ...] = ()

    def includes(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row of the ledger is asked for again."""
        return (
            row["status"] == self.status
            and row["checked_at"] < self.before
            and (not self.causes or row["cause"] in self.causes)
        )


@dataclass(frozen=True)
class FetchCounts:
    """How many products ended how, in how many seconds, and the bytes of the images that are ok.

    `rescued` are those that are ok by another of their URLs than the first.
    """

    ok: int
    broken: int
    pending: int
    seconds: float
    bytes: int
    rescued: int = 0

    @property
    def total(self) -> int:
        return self.ok + self.broken + self.pending

    def __str__(self) -> str:
        rate = f", {self.total / self.seconds:.0f} a second" if self.seconds else ""
        return f"{self.ok} ok, {self.broken} broken, {self.pending} pending{rate}"


def missing(store: Store, configuration: Configuration, again: Recheck | None = None) -> list[Shard]:
    """Return shards of the products whose image is still to be fetched, in the catalogue's order.

    A shard's digest covers what the ledger says of its products, so that work that came up again has another.

    Args:
        store: the products and the ledger.
        configuration: its `images` section.
        again: which of those that have ended are to be asked for as well.
    """
    return _shards(store, configuration, lambda row, urls: _is_missing(row, urls, again))


def fetch_shard(
    store: Store,
    shard: Shard,
    configuration: Configuration,
    on_progress: Callable[[str], None] | None = None,
    again: Recheck | None = None,
) -> FetchCounts:
    """Fetch what is still missing of a shard, commit it in one write, and return the counts of what was asked for.

    Args:
        store: where products are read and images written.
        shard: one of `missing`; keys that have been fetched since are not asked for again.
        configuration: its `images` section.
        on_progress: called with ok, broken or pending as each product ends.
        again: as given to `missing`.

    Raises:
        PendingImagesError: after the commit, when products are pending; running again asks for those alone.
        HomeError: the store cannot be written to; nothing of the shard was committed.
    """
    began = time.monotonic()
    wanted = among("product_id", shard.keys)
    columns = [*STATE, "first_checked", "url", "etag", "last_modified", "bytes"]
    ledger = _rows(store, "images", columns, wanted)
    products = {
        product["product_id"]: product
        for product in _products(store, ["product_id", "image_urls"], wanted)
        if _is_missing(ledger.get(product["product_id"]), _urls_digest(product), again)
    }
    items = [_item(product, ledger.get(key)) for key, product in products.items()]
    outcomes = fetch_images(items, configuration.images, on_progress, _placeholders(str(store.home), store.id))
    pending = [outcome.url for outcome in outcomes if outcome.status == "pending"]
    rescued = _commit(store, products, ledger, outcomes)
    counts = _count(rescued, time.monotonic() - began)
    if pending:
        raise PendingImagesError(
            f"{shard}: {len(pending)} of {counts.total} images are pending, {_hosts(pending)}; "
            "what came is kept, and running again asks only for the rest",
            counts,
        )
    return counts


def _commit(
    store: Store,
    products: Mapping[str, Mapping[str, Any]],
    ledger: Mapping[str, Mapping[str, Any]],
    outcomes: list[Outcome],
) -> list[tuple[str, int | None, bool]]:
    """Write what became of a shard's products, and return of each its status, bytes, and whether a later URL saved it.

    One shard at a time, and `outcomes` is emptied: pictures are held twice while they are written.
    """
    with _committing:
        kept = _kept(store, ledger, outcomes)
        rows = [
            kept.get(outcome.product_id) or _row(products[outcome.product_id], outcome, ledger.get(outcome.product_id))
            for outcome in outcomes
        ]
        told = [(row["status"], row["bytes"], _is_rescued(products[row["product_id"]], row)) for row in rows]
        table = pa.Table.from_pylist(rows, schema=SCHEMAS["images"])
        for pictures in (outcomes, rows, kept):
            pictures.clear()
        if told:
            store.write("images", table, new=not ledger)
            store.index("images")
        freed = table.nbytes
        del table
        give_back(freed)
    return told


_committing = threading.Lock()


def replace_placeholders(store: Store, configuration: Configuration) -> list[Shard]:
    """Call a picture broken that many products of several kinds share, and return shards to fetch another instead.

    "No image available" is a picture to a decoder; it gives itself away by identical bytes for more products than
    `images.placeholder_products` and `images.placeholder_share` of the catalogue, of at least three top levels of the
    category tree. A product that lists further URLs is pending at the next of them.
    """
    settings = configuration.images
    close_idle_fetchers()
    fetched = store.read("images", ["product_id", "image_digest"], "status = 'ok'")
    sharing = fetched.group_by("image_digest").aggregate([("product_id", "count")])
    least = max(settings.placeholder_products, settings.placeholder_share * store.count("products", ACTIVE))
    many = sharing.filter(pc.greater(sharing["product_id_count"], least))["image_digest"]
    suspects = fetched.filter(pc.is_in(fetched["image_digest"], many.combine_chunks()))
    urls = _of_several_kinds(store, dict(zip(*(column.to_pylist() for column in suspects.columns), strict=True)))
    if urls:
        rows = store.read("images", where=among("product_id", urls)).to_pylist()
        set_aside = [_set_aside(row, urls[row["product_id"]]) for row in rows]
        store.write("images", pa.Table.from_pylist(set_aside, schema=SCHEMAS["images"]))
    return _shards(
        store, configuration, lambda row, _: bool(row and (row["status"], row["cause"]) == ("pending", "placeholder"))
    )


def count_images(store: Store) -> FetchCounts:
    """Return the counts over the catalogue (seconds 0); a product that was never asked for counts as pending."""
    return _count_active(_active(store))


def require_images(store: Store, configuration: Configuration) -> FetchCounts:
    """Return `count_images`.

    Raises:
        PendingImagesError: a larger share than `images.pending_share` is pending.
        NoImagesError: no product has an image.
    """
    table = _active(store)
    counts = _count_active(table)
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
    table = _broken_by(store, "cause")
    told = [explain(str(cause)) for cause in table["cause"]]
    return table.assign(meaning=[cause.meaning for cause in told], remedy=[cause.remedy for cause in told])


def broken_by_host(store: Store) -> pd.DataFrame:
    """Return one row a host of the catalogue's broken images, the most frequent first.

    Columns: host (empty where there is no URL), products, share (of the catalogue), example_url, causes (the most
    frequent first, with their numbers).
    """
    return _broken_by(store, "host")


def broken_links(store: Store) -> pd.DataFrame:
    """Return one row a product whose image is broken, in the catalogue's order, for whoever mends the catalogue.

    Columns: product_id, name, url, host, cause, http_code (nullable integer), attempts, first_checked and checked_at
    (UTC), meaning, remedy.
    """
    table = _active(store)
    columns = ["product_id", "name", "url", "host", "cause", "http_code", "attempts", "first_checked", "checked_at"]
    links = table.loc[table["status"] == "broken", columns].reset_index(drop=True)
    told = [explain(str(cause)) for cause in links["cause"]]
    links = links.assign(meaning=[cause.meaning for cause in told], remedy=[cause.remedy for cause in told])
    return links.astype({"http_code": "Int32", "attempts": "Int32"})


def write_broken_links(store: Store, to: Path) -> int:
    """Write `broken_links` as CSV, safe to open in a spreadsheet, and return how many there are.

    Raises:
        ExportError: the file cannot be written.
    """
    links = broken_links(store)
    try:
        write_csv(links, to)
    except OSError as error:
        raise ExportError(f"{to} cannot be written: {error.strerror or error}; name another file") from error
    return len(links)


def _broken_by(store: Store, column: Literal["cause", "host"]) -> pd.DataFrame:
    """Return the broken images by a column, the most frequent first."""
    table = _active(store)
    rows = [
        {
            column: value,
            "products": len(group),
            "share": len(group) / len(table),
            "example_url": without_credentials(next(iter(group["url"].dropna()), "")),
            "causes": ", ".join(f"{number} {cause}" for cause, number in Counter(group["cause"]).most_common()),
        }
        for value, group in table[table["status"] == "broken"].groupby(column)
    ]
    columns = [column, "products", "share", "example_url", *(["causes"] if column == "host" else [])]
    made = pd.DataFrame(rows, columns=columns)
    return made.sort_values(["products", column], ascending=[False, True], ignore_index=True)


def _active(store: Store) -> pd.DataFrame:
    """Return the catalogue's products in their order, each with its row of the ledger; pending where it has none.

    In columns throughout: rows as dictionaries would take a kilobyte a product.
    """
    products = _listed(store, ["product_id", "name", "image_urls"])
    listed = [urls or [] for urls in products["image_urls"].to_pylist()]
    frame = products.select(["product_id", "name"]).to_pandas()
    frame["expected"] = [digest(urls) for urls in listed]
    frame["first_url"] = pd.Series([next(iter(urls), None) for urls in listed], dtype="str")
    columns = ["urls_digest", "status", "cause", "http_code", "attempts", "first_checked", "checked_at", "url", "bytes"]
    frame = frame.merge(store.read("images", ["product_id", *columns]).to_pandas(), on="product_id", how="left")
    stale = frame["urls_digest"] != frame["expected"]
    frame.loc[stale, columns] = None
    frame.loc[stale, "status"] = "pending"
    frame.loc[stale, "url"] = frame.loc[stale, "first_url"]
    frame["rescued"] = (frame["status"] == "ok") & (frame["url"] != frame["first_url"])
    frame["host"] = [_host(url) for url in frame["url"].fillna("")]
    return frame.drop(columns=["expected", "first_url"])


@functools.lru_cache(maxsize=1)
def _placeholders(home: str, store_id: str) -> frozenset[str]:
    """Return the digests of pictures that stand for "no image available"; found as long as the process has not looked
    for shards anew, since that reads the whole ledger."""
    found = Store(home, read_only=True).read("images", ["image_digest"], f"cause = {literal('placeholder')}")
    return frozenset(found["image_digest"].to_pylist())


def _of_several_kinds(store: Store, digests: Mapping[str, str]) -> dict[str, list[str]]:
    """Return, of products by the digest of their picture, the URLs of those whose picture several top levels have."""
    products = _products(store, ["product_id", "category_path", "image_urls"], among("product_id", digests))
    kinds: dict[str, set[str]] = {}
    for product in products:
        kinds.setdefault(digests[product["product_id"]], set()).update((product["category_path"] or [])[:1])
    return {
        product["product_id"]: product["image_urls"] or []
        for product in products
        if len(kinds[digests[product["product_id"]]]) >= PLACEHOLDER_CATEGORIES
    }


def _rows(store: Store, table: str, columns: list[str], where: str | None = None) -> dict[str, dict[str, Any]]:
    """Return the rows of a table by product id."""
    return {row["product_id"]: row for row in store.read(table, columns, where).to_pylist()}


def _listed(store: Store, columns: list[str], where: str | None = None) -> pa.Table:
    """Return the products that the catalogue lists, in its order."""
    where = f"{ACTIVE} AND {where}" if where else ACTIVE
    table = store.read("products", [*columns, "position"], where)
    return table.sort_by([("position", "ascending"), ("product_id", "ascending")])


def _products(store: Store, columns: list[str], where: str | None = None) -> list[dict[str, Any]]:
    """Return the same as dictionaries."""
    return _listed(store, columns, where).to_pylist()


def _shards(
    store: Store, configuration: Configuration, is_wanted: Callable[[Mapping[str, Any] | None, str], bool]
) -> list[Shard]:
    """Return shards of the products that are wanted, by their row of the ledger and the digest of their URLs."""
    _placeholders.cache_clear()
    table = store.read("images", STATE)
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)  # tuples: a dictionary each is too large
    ledger = {row[0]: row for row in rows}
    products = _listed(store, ["product_id", "image_urls"])
    keys, states = [], []
    for key, listed in zip(products["product_id"].to_pylist(), products["image_urls"].to_pylist(), strict=True):
        values, urls = ledger.get(key), digest(listed or ())
        if is_wanted(dict(zip(STATE, values, strict=True)) if values else None, urls):
            keys.append(key)
            states.append(digest([urls, list(values) if values else None]))
    made = shards("images", keys, configuration.images.shard_size, states)
    give_back()
    return made


def _urls_digest(product: Mapping[str, Any]) -> str:
    return digest(product["image_urls"] or ())


def _is_missing(row: Mapping[str, Any] | None, urls_digest: str, again: Recheck | None) -> bool:
    if row is None or row["status"] == "pending" or row["urls_digest"] != urls_digest:
        return True
    return again is not None and again.includes(row)


def _is_rescued(product: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return row["status"] == "ok" and row["url"] != next(iter(product["image_urls"] or ()), row["url"])


def _item(product: Mapping[str, Any], row: Mapping[str, Any] | None) -> Item:
    """Return what to fetch for a product.

    A pending one goes on at the URL that it is pending at, with the attempts that it has spent; a picture that is
    there is asked for first, on the condition that it has changed; a broken one begins anew.
    """
    key, urls = product["product_id"], tuple(dict.fromkeys(product["image_urls"] or ()))
    if row is None or row["urls_digest"] != _urls_digest(product) or row["url"] not in urls:
        return Item(key, urls)
    from_here = urls[urls.index(row["url"]) :]
    if row["status"] == "pending":
        return Item(key, from_here, row["attempts"], host_was_down=row["cause"] == "host_down")
    if row["status"] == "ok":
        return Item(key, from_here, known=Known(row["url"], row["etag"], row["last_modified"]))
    return Item(key, urls)


def _kept(
    store: Store, ledger: Mapping[str, Mapping[str, Any]], outcomes: Iterable[Outcome]
) -> dict[str, dict[str, Any]]:
    """Return the rows of pictures that stay: unchanged ones, and those that could not be asked for just now."""
    checked = {
        outcome.product_id: outcome.checked_at if outcome.status == "ok" else None
        for outcome in outcomes
        if (outcome.status == "ok" and outcome.image is None)
        or (
            ledger.get(outcome.product_id, {}).get("status") == "ok"
            and outcome.status != "ok"
            and (outcome.status == "pending" or explain(str(outcome.cause)).passing)
        )
    }
    rows = _rows(store, "images", SCHEMAS["images"].names, among("product_id", checked)) if checked else {}
    return {key: row | {"checked_at": checked[key] or row["checked_at"]} for key, row in rows.items()}


def _row(product: Mapping[str, Any], outcome: Outcome, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a row of the ledger."""
    image, urls_digest = outcome.image, _urls_digest(product)
    return {
        "product_id": outcome.product_id,
        "urls_digest": urls_digest,
        "status": outcome.status,
        "cause": outcome.cause,
        "http_code": outcome.http_code,
        "attempts": outcome.attempts,
        "first_checked": before["first_checked"]
        if before and before["urls_digest"] == urls_digest
        else outcome.checked_at,
        "checked_at": outcome.checked_at,
        "url": outcome.url,
        "etag": image.etag if image else None,
        "last_modified": image.last_modified if image else None,
        "image_digest": image.digest if image else outcome.placeholder,
        "bytes": image.size if image else None,
        "width": image.width if image else None,
        "height": image.height if image else None,
        "format": image.format if image else None,
        "jpeg": image.jpeg if image else None,
    }


def _set_aside(row: dict[str, Any], urls: list[str]) -> dict[str, Any]:
    """Return the row of a product whose picture is a placeholder: pending at its next URL, broken without one."""
    further = urls[urls.index(row["url"]) + 1 :] if row["url"] in urls else []
    state = {"status": "pending", "url": further[0]} if further else {"status": "broken"}
    return row | state | {"cause": "placeholder", "attempts": 0, "jpeg": None, "etag": None, "last_modified": None}


def _count_active(table: pd.DataFrame) -> FetchCounts:
    return _count(zip(table["status"], table["bytes"], table["rescued"], strict=True), 0.0)


def _count(rows: Iterable[tuple[str, float | None, bool]], seconds: float) -> FetchCounts:
    """Return the counts of (status, bytes, rescued)."""
    counted: Counter[str] = Counter()
    total = rescued = 0
    for status, size, is_rescued in rows:
        counted[status] += 1
        rescued += is_rescued
        total += int(size) if status == "ok" and size is not None and size == size else 0
    return FetchCounts(counted["ok"], counted["broken"], counted["pending"], seconds, total, rescued)


def _host(url: str | None) -> str:
    """Return the host and port of a URL, as far as one can be made out; '' without."""
    return (url or "").partition("://")[2].partition("/")[0].rpartition("@")[2][:255]


def _hosts(urls: Iterable[str | None]) -> str:
    """Return 'most of them at <host>', for the host that most of the URLs have."""
    hosts = Counter(_host(url) for url in urls if url)
    return f"most of them at {hosts.most_common(1)[0][0]}" if hosts else "none of them asked for yet"
