"""The stage of the images on the store: what is missing, one shard of it, and the counts.

The ledger is the table `images`: one row per product with the digest of its URLs, the status (ok, broken with a cause,
pending) and, when ok, the squared image. A product is missing when it has no row, when its row is pending, or when the
catalogue has changed its URLs. Other rows are requested again only by a `Recheck`: broken links that may work again,
pictures that may have changed.
"""

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
from recsys.core.digests import digest
from recsys.core.errors import ExportError, NoImagesError, PendingImagesError
from recsys.core.process import return_freed_memory
from recsys.ingest.addresses import without_credentials
from recsys.ingest.catalogue.products import ACTIVE
from recsys.ingest.causes import explain
from recsys.ingest.images.fetch import close_idle_fetchers, fetch_images
from recsys.ingest.images.files import image_folder
from recsys.ingest.images.item import Item, Known, Outcome
from recsys.storage.schemas import SCHEMAS
from recsys.storage.shards import Shard, shards
from recsys.storage.spreadsheet import write_csv
from recsys.storage.store import Store, among, literal

STATE = ["product_id", "urls_digest", "status", "cause", "attempts", "checked_at"]
"""Columns that decide whether a product is missing; they are part of a shard's digest."""

PLACEHOLDER_CATEGORIES = 3
"""Number of top levels of the category tree that share a picture, from which on it is a placeholder. The sizes of one
shirt may share a picture."""


@dataclass(frozen=True)
class Recheck:
    """The selection of ok or broken rows to request again.

    Attributes:
        status: `broken`: links that may work again. `ok`: pictures that may have changed; the request is conditional,
            and the answer for an unchanged picture is 304 without a body.
        before: only rows that were last checked before this time; a row that was rechecked is not selected again.
        causes: of broken rows; empty means all.
    """

    status: Literal["broken", "ok"]
    before: datetime
    causes: tuple[str, ...] = ()

    def includes(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row of the ledger is selected."""
        return (
            row["status"] == self.status
            and row["checked_at"] < self.before
            and (not self.causes or row["cause"] in self.causes)
        )


@dataclass(frozen=True)
class FetchCounts:
    """The numbers of products by status, the seconds, and the bytes of the ok images.

    `rescued` counts the ok products whose picture comes from a later URL than the first.
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


def missing(store: Store, configuration: Configuration, recheck: Recheck | None = None) -> list[Shard]:
    """Return shards of the products without an image, in the catalogue's order.

    A shard's digest covers the ledger's rows of its products, so that repeated work has another digest.

    Args:
        store: the products and the ledger.
        configuration: its `images` section.
        recheck: ok or broken products to request as well.
    """
    return _shards(store, configuration, lambda row, urls: _is_missing(row, urls, recheck))


def fetch_shard(
    store: Store,
    shard: Shard,
    configuration: Configuration,
    on_progress: Callable[[str], None] | None = None,
    recheck: Recheck | None = None,
) -> FetchCounts:
    """Fetch the missing images of a shard, commit them in one write, and return the counts of the requested products.

    Args:
        store: the products and the ledger.
        shard: one of `missing`; products that were fetched since are not requested again.
        configuration: its `images` section.
        on_progress: called with ok, broken or pending as each product ends.
        recheck: the same as for `missing`.

    Raises:
        PendingImagesError: after the commit, when products are pending; a rerun requests only those.
        HomeError: the store cannot be written to; nothing of the shard was committed.
    """
    start = time.monotonic()
    in_shard = among("product_id", shard.keys)
    columns = [*STATE, "first_checked", "url", "etag", "last_modified", "bytes"]
    ledger = _rows(store, "images", columns, in_shard)
    products = {
        product["product_id"]: product
        for product in _products(store, ["product_id", "image_urls"], in_shard)
        if _is_missing(ledger.get(product["product_id"]), _urls_digest(product), recheck)
    }
    items = [_item(product, ledger.get(key)) for key, product in products.items()]
    placeholders = _placeholders(str(store.home), store.id)
    outcomes = fetch_images(items, configuration.images, on_progress, placeholders, image_folder(store.home, items))
    pending = [outcome.url for outcome in outcomes if outcome.status == "pending"]
    counts = _count(_commit(store, products, ledger, outcomes), time.monotonic() - start)
    if pending:
        raise PendingImagesError(
            f"{shard}: {len(pending)} of {counts.total} images are pending, {_hosts(pending)}; "
            "the other images are stored; run again to request the rest",
            counts,
        )
    return counts


def _commit(
    store: Store,
    products: Mapping[str, Mapping[str, Any]],
    ledger: Mapping[str, Mapping[str, Any]],
    outcomes: list[Outcome],
) -> list[tuple[str, int | None, bool]]:
    """Write the rows of a shard's products, and return the status, bytes and whether it was rescued of each.

    One shard at a time, and `outcomes` is cleared, because the pictures are in memory twice while they are written.
    """
    with _committing:
        unchanged = _unchanged_rows(store, ledger, outcomes)
        rows = [
            unchanged.get(outcome.product_id)
            or _row(products[outcome.product_id], outcome, ledger.get(outcome.product_id))
            for outcome in outcomes
        ]
        results = [(row["status"], row["bytes"], _is_rescued(products[row["product_id"]], row)) for row in rows]
        table = pa.Table.from_pylist(rows, schema=SCHEMAS["images"])
        for pictures in (outcomes, rows, unchanged):
            pictures.clear()
        if results:
            store.write("images", table, new=not ledger)
            store.index("images")
        freed = table.nbytes
        del table
        return_freed_memory(freed)
    return results


_committing = threading.Lock()


def replace_placeholders(store: Store, configuration: Configuration) -> list[Shard]:
    """Mark placeholder pictures as broken, and return shards of their products that have another URL.

    "No image available" decodes like any picture. A picture is a placeholder when more products than
    `images.placeholder_products` and than `images.placeholder_share` of the catalogue, from at least three top levels
    of the category tree, have identical bytes. A product with further URLs becomes pending at the next of them.
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
        rejected = [_without_placeholder(row, urls[row["product_id"]]) for row in rows]
        store.write("images", pa.Table.from_pylist(rejected, schema=SCHEMAS["images"]))
    return _shards(
        store, configuration, lambda row, _: bool(row and (row["status"], row["cause"]) == ("pending", "placeholder"))
    )


def count_images(store: Store) -> FetchCounts:
    """Return the counts over the catalogue (seconds 0); a product that was never requested counts as pending."""
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
        raise NoImagesError("the catalogue has no products; use a catalogue with rows")
    if counts.pending > configuration.images.pending_share * counts.total:
        pending = table[table["status"] == "pending"]
        raise PendingImagesError(
            f"{counts.pending} of {counts.total} images are pending, {_hosts(pending['url'])}; run again when "
            "the host answers, or raise images.pending_share to continue without them"
        )
    if not counts.ok:
        causes = Counter(table["cause"].dropna()).most_common(3)
        reasons = "; ".join(f"{number} {cause} ({explain(cause).meaning})" for cause, number in causes)
        raise NoImagesError(
            f"{counts.broken} of {counts.total} image URLs are broken and none is usable: {reasons}; "
            f"{explain(causes[0][0]).remedy if causes else 'run again'}"
        )
    return counts


def broken_by_cause(store: Store) -> pd.DataFrame:
    """Return the causes of the catalogue's broken images, the most frequent first.

    Columns: cause, products, share (of the catalogue), example_url, meaning, remedy.
    """
    return _with_explanations(_broken_by(store, "cause"))


def broken_by_host(store: Store) -> pd.DataFrame:
    """Return the hosts of the catalogue's broken images, the one with the most first.

    Columns: host (empty without a URL), products, share (of the catalogue), example_url, causes (the most frequent
    first, with their numbers).
    """
    return _broken_by(store, "host")


def broken_links(store: Store) -> pd.DataFrame:
    """Return the products with a broken image, in the catalogue's order, so that the catalogue can be corrected.

    Columns: product_id, name, url, host, cause, http_code (nullable integer), attempts, first_checked and checked_at
    (UTC), meaning, remedy.
    """
    table = _active(store)
    columns = ["product_id", "name", "url", "host", "cause", "http_code", "attempts", "first_checked", "checked_at"]
    links = _with_explanations(table.loc[table["status"] == "broken", columns].reset_index(drop=True))
    return links.astype({"http_code": "Int32", "attempts": "Int32"})


def write_broken_links(store: Store, to: Path) -> int:
    """Write `broken_links` as CSV, safe to open in a spreadsheet, and return their number.

    Raises:
        ExportError: the file cannot be written.
    """
    links = broken_links(store)
    try:
        write_csv(links, to)
    except OSError as error:
        raise ExportError(f"{to} cannot be written: {error.strerror or error}; name another file") from error
    return len(links)


def _with_explanations(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the meaning and the remedy of its causes."""
    causes = [explain(str(cause)) for cause in table["cause"]]
    return table.assign(meaning=[cause.meaning for cause in causes], remedy=[cause.remedy for cause in causes])


def _broken_by(store: Store, column: Literal["cause", "host"]) -> pd.DataFrame:
    """Return the broken images grouped by a column, the largest group first."""
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
    return pd.DataFrame(rows, columns=columns).sort_values(
        ["products", column], ascending=[False, True], ignore_index=True
    )


def _active(store: Store) -> pd.DataFrame:
    """Return the catalogue's products in their order with their rows of the ledger; pending without a row.

    The work is done in columns: rows as dictionaries would take a kilobyte per product.
    """
    products = _listed(store, ["product_id", "name", "image_urls"])
    image_urls = [urls or [] for urls in products["image_urls"].to_pylist()]
    frame = products.select(["product_id", "name"]).to_pandas()
    frame["expected"] = [digest(urls) for urls in image_urls]
    frame["first_url"] = pd.Series([next(iter(urls), None) for urls in image_urls], dtype="str")
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
    """Return the digests of placeholder pictures. The query reads the whole ledger, so the result is cached until the
    process lists shards again."""
    table = Store(home, read_only=True).read("images", ["image_digest"], f"cause = {literal('placeholder')}")
    return frozenset(table["image_digest"].to_pylist())


def _of_several_kinds(store: Store, digests: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the URLs of the products whose picture is shared by several top levels.

    Args:
        store: the products.
        digests: digest of the picture, by product id.
    """
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
    """Return the active products, in the catalogue's order."""
    where = f"{ACTIVE} AND {where}" if where else ACTIVE
    table = store.read("products", [*columns, "position"], where)
    return table.sort_by([("position", "ascending"), ("product_id", "ascending")])


def _products(store: Store, columns: list[str], where: str | None = None) -> list[dict[str, Any]]:
    """Return the active products as dictionaries."""
    return _listed(store, columns, where).to_pylist()


def _shards(
    store: Store, configuration: Configuration, is_selected: Callable[[Mapping[str, Any] | None, str], bool]
) -> list[Shard]:
    """Return shards of the products that are selected by their row of the ledger and the digest of their URLs."""
    _placeholders.cache_clear()
    table = store.read("images", STATE)
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)  # dictionaries would be too large
    ledger = {row[0]: row for row in rows}
    products = _listed(store, ["product_id", "image_urls"])
    keys, states = [], []
    for key, image_urls in zip(products["product_id"].to_pylist(), products["image_urls"].to_pylist(), strict=True):
        values, urls = ledger.get(key), digest(image_urls or ())
        if is_selected(dict(zip(STATE, values, strict=True)) if values else None, urls):
            keys.append(key)
            states.append(digest([urls, list(values) if values else None]))
    result = shards("images", keys, configuration.images.shard_size, states)
    return_freed_memory()
    return result


def _urls_digest(product: Mapping[str, Any]) -> str:
    return digest(product["image_urls"] or ())


def _is_missing(row: Mapping[str, Any] | None, urls_digest: str, recheck: Recheck | None) -> bool:
    if row is None or row["status"] == "pending" or row["urls_digest"] != urls_digest:
        return True
    return recheck is not None and recheck.includes(row)


def _is_rescued(product: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return row["status"] == "ok" and row["url"] != next(iter(product["image_urls"] or ()), row["url"])


def _item(product: Mapping[str, Any], row: Mapping[str, Any] | None) -> Item:
    """Return the item to fetch for a product.

    A pending product continues at its pending URL with the attempts spent. A stored picture is requested first, on the
    condition that it has changed. A broken product starts again.
    """
    key, urls = product["product_id"], tuple(dict.fromkeys(product["image_urls"] or ()))
    if row is None or row["urls_digest"] != _urls_digest(product) or row["url"] not in urls:
        return Item(key, urls)
    remaining = urls[urls.index(row["url"]) :]
    if row["status"] == "pending":
        return Item(key, remaining, row["attempts"], host_was_down=row["cause"] == "host_down")
    if row["status"] == "ok":
        return Item(key, remaining, known=Known(row["url"], row["etag"], row["last_modified"]))
    return Item(key, urls)


def _unchanged_rows(
    store: Store, ledger: Mapping[str, Mapping[str, Any]], outcomes: Iterable[Outcome]
) -> dict[str, dict[str, Any]]:
    """Return the rows of pictures to keep: unchanged pictures, and pictures whose request failed only for now."""
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


def _row(product: Mapping[str, Any], outcome: Outcome, previous: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the row of the ledger for an outcome."""
    image, urls_digest = outcome.image, _urls_digest(product)
    is_recheck = previous is not None and previous["urls_digest"] == urls_digest
    return {
        "product_id": outcome.product_id,
        "urls_digest": urls_digest,
        "status": outcome.status,
        "cause": outcome.cause,
        "http_code": outcome.http_code,
        "attempts": outcome.attempts,
        "first_checked": previous["first_checked"] if previous and is_recheck else outcome.checked_at,
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


def _without_placeholder(row: dict[str, Any], urls: list[str]) -> dict[str, Any]:
    """Return the row of a product whose picture is a placeholder: pending at its next URL, or broken without one."""
    further = urls[urls.index(row["url"]) + 1 :] if row["url"] in urls else []
    state = {"status": "pending", "url": further[0]} if further else {"status": "broken"}
    return row | state | {"cause": "placeholder", "attempts": 0, "jpeg": None, "etag": None, "last_modified": None}


def _count_active(table: pd.DataFrame) -> FetchCounts:
    return _count(zip(table["status"], table["bytes"], table["rescued"], strict=True), 0.0)


def _count(rows: Iterable[tuple[str, float | None, bool]], seconds: float) -> FetchCounts:
    """Return the counts of (status, bytes, rescued)."""
    by_status: Counter[str] = Counter()
    total = rescued = 0
    for status, size, is_rescued in rows:
        by_status[status] += 1
        rescued += is_rescued
        total += int(size) if status == "ok" and pd.notna(size) else 0
    return FetchCounts(by_status["ok"], by_status["broken"], by_status["pending"], seconds, total, rescued)


def _host(url: str | None) -> str:
    """Return the host and port of a URL, which may not be valid; '' without one."""
    return (url or "").partition("://")[2].partition("/")[0].rpartition("@")[2][:255]


def _hosts(urls: Iterable[str | None]) -> str:
    """Return 'most of them at <host>', with the most frequent host of the URLs."""
    hosts = Counter(_host(url) for url in urls if url)
    return f"most of them at {hosts.most_common(1)[0][0]}" if hosts else "none of them requested yet"
