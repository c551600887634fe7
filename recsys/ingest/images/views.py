"""Further photos of a product: the stage that fetches them, and the photos for a training.

A row of the catalogue can list several URLs. The first good one is the product's picture (`images.ledger`); the later
ones may show the product from another side. With `images.views` over 1, up to that many photos of a product are
fetched, its picture included, by the same rules and into the table `views`, one row per URL:

    ok        a further photo, squared
    same      identical to, or a near-duplicate of, another photo of the product; not stored
    broken    for a permanent cause, or one that may pass until its attempts were spent; not requested again
    pending   requested again by the next run

A URL that is broken or the same is not replaced by the next one, so a product costs at most `images.views` requests.
When a row of the catalogue changes, photos that it no longer lists are dropped.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.core.errors import PendingImagesError
from recsys.core.process import return_freed_memory
from recsys.ingest.catalogue.products import active_products
from recsys.ingest.images.fetch import fetch_images
from recsys.ingest.images.files import image_folder
from recsys.ingest.images.item import Item, Outcome
from recsys.storage.schemas import SCHEMAS
from recsys.storage.shards import Shard, shards
from recsys.storage.store import Store, among, literal
from recsys.vision.perceptual_hash import fingerprint, one_photo
from recsys.vision.square import decode_squared

STATE = ["product_id", "url", "status", "cause", "attempts"]
"""Columns that decide whether a photo is missing; they are part of a shard's digest."""

MAX_PRODUCTS = 20
"""Number of products that may list the same further photo; above, it is a size chart or a seal of quality."""


@dataclass(frozen=True)
class ViewCounts:
    """The numbers of further photos by status, and the seconds."""

    ok: int
    same: int
    broken: int
    pending: int
    seconds: float

    def __str__(self) -> str:
        counts = f"{self.ok} further photos, {self.same} the same again, {self.broken} broken, {self.pending} pending"
        total = self.ok + self.same + self.broken + self.pending
        return counts + (f", {total / self.seconds:.0f} a second" if self.seconds else "")


def missing(store: Store, configuration: Configuration) -> list[Shard]:
    """Return shards of the products that lack further photos, or have photos that their row no longer lists.

    A shard's digest covers the table's rows of its products, so that repeated work has another digest.

    Args:
        store: the products, the ledger of their pictures, and the table `views`.
        configuration: its `images` section.
    """
    most = configuration.images.views - 1
    if not most and not store.exists("views"):
        return []
    known = _known(store)
    keys, states = [], []
    for key, urls in _further_urls(store).items():
        rows = known.get(key, {})
        missing_urls, dropped = _missing_urls(urls[:most], rows), _dropped_urls(urls, rows)
        if missing_urls or dropped:
            keys.append(key)
            pending = (row for row in rows.values() if row[0] == "pending")
            states.append(digest([*missing_urls, "-", *dropped, "-", *pending]))
    result = shards("views", keys, max(1, configuration.images.shard_size // max(1, most)), states)
    return_freed_memory()
    return result


def fetch_shard(
    store: Store, shard: Shard, configuration: Configuration, on_progress: Callable[[str], None] | None = None
) -> ViewCounts:
    """Fetch the missing photos of a shard's products, commit them in one write, and return the counts.

    Args:
        store: the products, the ledger of their pictures, and the table `views`.
        shard: one of `missing`; photos that were fetched since are not requested again.
        configuration: its `images` section.
        on_progress: called with `with 2 photos` for each product, after the commit.

    Raises:
        PendingImagesError: after the commit, when photos are pending; a rerun requests only those.
        HomeError: the store cannot be written to; nothing of the shard was committed.
    """
    start = time.monotonic()
    in_shard = among("product_id", shard.keys)
    known = _known(store, in_shard)
    items, dropped = _items(known, _further_urls(store, in_shard), configuration.images.views - 1)
    placeholders = store.read("images", ["image_digest"], f"cause = {literal('placeholder')}")["image_digest"]
    folder = image_folder(store.home, items)
    outcomes = fetch_images(items, configuration.images, placeholders=set(placeholders.to_pylist()), folder=folder)
    photos = _photos(store, f"{in_shard} AND NOT {among(PHOTO_KEY, dropped)}")
    rows = [_row(item.urls[0], outcome, photos) for item, outcome in zip(items, outcomes, strict=True)]
    if rows or dropped:
        table = pa.Table.from_pylist(rows, schema=SCHEMAS["views"])
        store.write("views", table, replace=among(PHOTO_KEY, dropped) if dropped else None, new=not known)
        return_freed_memory()
    if on_progress:
        for key in shard.keys:
            number = len(photos.get(key, ()))
            on_progress(f"with {number} photo{'s' * (number != 1)}")
    by_status = Counter(row["status"] for row in rows)
    ok, same, broken, pending = (by_status[status] for status in ("ok", "same", "broken", "pending"))
    counts = ViewCounts(ok, same, broken, pending, time.monotonic() - start)
    if counts.pending:
        raise PendingImagesError(
            f"{shard}: {counts.pending} of {len(rows)} further photos are pending; "
            "the other photos are stored; run again to request the rest",
            counts,
        )
    return counts


Known = Mapping[str, Mapping[str, tuple[str, str | None, int]]]
"""Status, cause and attempts of the table's rows, by product id and URL."""


def _items(known: Known, urls_by_product: Mapping[str, list[str]], most: int) -> tuple[list[Item], list[str]]:
    """Return the photos to fetch, at most `most` of each product, and the keys of the rows to drop."""
    items: list[Item] = []
    dropped: list[str] = []
    for key, urls in urls_by_product.items():
        rows = known.get(key, {})
        dropped += [_photo_key(key, url) for url in _dropped_urls(urls, rows)]
        for url in _missing_urls(urls[:most], rows):
            _, cause, attempts = rows.get(url, ("pending", None, 0))
            items.append(Item(key, (url,), attempts, host_was_down=cause == "host_down"))
    return items, dropped


def of(store: Store, product_ids: Iterable[str]) -> pd.DataFrame:
    """Return the photos of products, one row per photo, in the products' order and then the catalogue's.

    Without duplicates of another photo of the product, photos that its row no longer lists, and photos that more than
    20 products list, such as a size chart.

    Args:
        store: the ledger of the pictures, and the table `views`.
        product_ids: distinct; a product without a picture has no row.

    Returns:
        Columns product_id, view (int64: 0 is the product's picture, further ones count from 1 without a gap),
        image_digest.
    """
    pictures = _columns(store.read("images", ["product_id", "image_digest"], "status = 'ok'"))
    rows = list(_columns(store.read("views", ["product_id", "url", "image_digest"], "status = 'ok'")))
    products_with = Counter(image for _, image in {(key, image) for key, _, image in rows})
    further: dict[str, dict[str, str]] = {}
    for key, url, image in rows:
        if products_with[image] <= MAX_PRODUCTS:
            further.setdefault(key, {})[url] = image
    urls = dict(_columns(store.read("products", ["product_id", "image_urls"]))) if further else {}
    first = dict(pictures)
    views = []
    for key in product_ids:
        if key in first:
            photos = further.get(key, {})
            images = [first[key], *(photos[url] for url in urls.get(key) or () if url in photos)]
            views += [(key, view, image) for view, image in enumerate(dict.fromkeys(images))]
    frame = pd.DataFrame(views, columns=["product_id", "view", "image_digest"])
    return frame.astype({"product_id": "str", "view": np.int64, "image_digest": "str"})


PHOTO_KEY = "concat(product_id, '\x1f', url)"
"""SQL expression for `_photo_key`, the key of a row of the table."""


def _photo_key(product_id: str, url: str) -> str:
    return f"{product_id}\x1f{url}"


def _columns(table: pa.Table) -> Iterable[tuple[Any, ...]]:
    """Return the rows of a table as tuples, which are smaller than dictionaries."""
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _further_urls(store: Store, where: str | None = None) -> dict[str, list[str]]:
    """Return the URLs after the picture's of each active product with a picture, in the catalogue's order."""
    is_ok = f"status = 'ok' AND {where}" if where else "status = 'ok'"
    picture_url = dict(_columns(store.read("images", ["product_id", "url"], is_ok)))
    products = active_products(store, ["product_id", "image_urls"], where)
    return {
        key: urls[urls.index(picture_url[key]) + 1 :]
        for key, urls in zip(products["product_id"], products["image_urls"], strict=True)
        if urls and picture_url.get(key) in urls  # else its row has changed, and its picture is missing
    }


def _known(store: Store, where: str | None = None) -> dict[str, dict[str, tuple[str, str | None, int]]]:
    """Return the rows of the table: status, cause and attempts by product id and URL."""
    known: dict[str, dict[str, tuple[str, str | None, int]]] = {}
    for key, url, *state in _columns(store.read("views", STATE, where)):
        known.setdefault(key, {})[url] = tuple(state)
    return known


def _missing_urls(urls: list[str], rows: Mapping[str, tuple[str, str | None, int]]) -> list[str]:
    """Return the URLs to request: those without a row, and the pending ones."""
    return [url for url in urls if url not in rows or rows[url][0] == "pending"]


def _dropped_urls(urls: list[str], rows: Mapping[str, Any]) -> list[str]:
    """Return the URLs with a row that the catalogue no longer lists after the picture's."""
    return sorted(rows.keys() - set(urls))


def _photos(store: Store, where: str) -> dict[str, dict[str, np.uint64]]:
    """Return the fingerprints of the photos that match a filter: {product id: {image digest: fingerprint}}."""
    photos: dict[str, dict[str, np.uint64]] = {}
    for table in ("images", "views"):
        rows = store.read(table, ["product_id", "image_digest", "jpeg"], f"status = 'ok' AND {where}")
        for key, image, jpeg in _columns(rows):
            photos.setdefault(key, {})[image] = fingerprint(decode_squared(jpeg))
    return photos


def _row(url: str, outcome: Outcome, photos: dict[str, dict[str, np.uint64]]) -> dict[str, Any]:
    """Return the row of an outcome, and add its photo to those of the product unless it is a duplicate."""
    status, image, jpeg = str(outcome.status), outcome.image, None
    if image is not None:
        others = photos.setdefault(outcome.product_id, {})
        print_of_image = fingerprint(decode_squared(image.jpeg))
        if image.digest in others or one_photo(print_of_image, np.array(list(others.values()), np.uint64)).any():
            status = "same"
        else:
            others[image.digest], jpeg = print_of_image, image.jpeg
    return {
        "product_id": outcome.product_id,
        "url": url,
        "status": status,
        "cause": outcome.cause,
        "attempts": outcome.attempts,
        "checked_at": outcome.checked_at,
        "image_digest": image.digest if image else outcome.placeholder,
        "jpeg": jpeg,
    }
