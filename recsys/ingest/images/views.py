"""Several photos of one product: the stage that fetches the further ones, and what a training is given of them.

A row of the catalogue may list several URLs. The first good one is the product's picture (`images.ledger`); those
behind it may show the product from elsewhere. With `images.views` over 1, so many photos of a product are fetched, its
picture included, by the same rules and into the table `views`, one row a URL:

    ok        a further photo, squared
    same      the picture again: identical bytes, or a near-duplicate of another photo of the product; not kept
    broken    for a permanent cause, or a passing one until its attempts were spent; not asked for again
    pending   asked for again by the next run

A URL that is broken or the same is not replaced by the next one, so that a row costs `images.views` requests at most.
A row of the catalogue that changes loses the photos that it no longer lists.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.core.configuration import Configuration
from recsys.core.errors import PendingImagesError
from recsys.core.memory import give_back
from recsys.ingest.catalogue.products import active_products
from recsys.ingest.images.fetch import fetch_images
from recsys.ingest.images.item import Item, Outcome
from recsys.storage.store import SCHEMAS, Shard, Store, among, digest, literal, shards
from recsys.vision.perceptual_hash import fingerprint, one_photo
from recsys.vision.square import decode_squared

STATE = ["product_id", "url", "status", "cause", "attempts"]
"""Columns that say whether a row is to be asked for, and enter a shard's digest."""

ANYONES = 20
"""Products that list one further photo, from which on it is of none of them: a size chart, a seal of quality."""


@dataclass(frozen=True)
class ViewCounts:
    """How many further photos ended how, in how many seconds."""

    ok: int
    same: int
    broken: int
    pending: int
    seconds: float

    def __str__(self) -> str:
        told = f"{self.ok} further photos, {self.same} the same again, {self.broken} broken, {self.pending} pending"
        total = self.ok + self.same + self.broken + self.pending
        return told + (f", {total / self.seconds:.0f} a second" if self.seconds else "")


def missing(store: Store, configuration: Configuration) -> list[Shard]:
    """Return shards of the products that lack further photos, or have some that their row no longer lists.

    A shard's digest covers what the table says of its products, so that work that came up again has another.

    Args:
        store: the products, the ledger of their pictures, and the table `views`.
        configuration: its `images` section.
    """
    most = configuration.images.views - 1
    if not most and not store.exists("views"):
        return []
    known = _known(store)
    keys, states = [], []
    for key, listed in _further(store).items():
        rows = known.get(key, {})
        wanted, gone = _wanted(listed[:most], rows), _gone(listed, rows)
        if wanted or gone:
            keys.append(key)
            states.append(digest([*wanted, "-", *gone, "-", *(row for row in rows.values() if row[0] == "pending")]))
    made = shards("views", keys, max(1, configuration.images.shard_size // max(1, most)), states)
    give_back()
    return made


def fetch_shard(
    store: Store, shard: Shard, configuration: Configuration, on_progress: Callable[[str], None] | None = None
) -> ViewCounts:
    """Fetch the further photos that a shard's products lack, commit them in one write, and return the counts.

    Args:
        store: where products and pictures are read and further photos written.
        shard: one of `missing`; photos that have been fetched since are not asked for again.
        configuration: its `images` section.
        on_progress: called with `with 2 photos` for each product, once it is committed.

    Raises:
        PendingImagesError: after the commit, when photos are pending; running again asks for those alone.
        HomeError: the store cannot be written to; nothing of the shard was committed.
    """
    began = time.monotonic()
    products = among("product_id", shard.keys)
    known = _known(store, products)
    items: list[Item] = []
    gone: list[str] = []
    for key, listed in _further(store, products).items():
        told = known.get(key, {})
        gone += [_photo(key, url) for url in _gone(listed, told)]
        for url in _wanted(listed[: configuration.images.views - 1], told):
            _, cause, attempts = told.get(url, ("pending", None, 0))
            items.append(Item(key, (url,), attempts, host_was_down=cause == "host_down"))
    set_aside = store.read("images", ["image_digest"], f"cause = {literal('placeholder')}")["image_digest"].to_pylist()
    outcomes = fetch_images(items, configuration.images, placeholders=set(set_aside))
    photos = _photos(store, f"{products} AND NOT {among(PHOTO, gone)}")
    rows = [_row(item.urls[0], outcome, photos) for item, outcome in zip(items, outcomes, strict=True)]
    if rows or gone:
        table = pa.Table.from_pylist(rows, schema=SCHEMAS["views"])
        store.write("views", table, replace=among(PHOTO, gone) if gone else None, new=not known)
        give_back()
    if on_progress:
        for key in shard.keys:
            number = len(photos.get(key, ()))
            on_progress(f"with {number} photo{'s' * (number != 1)}")
    ended = Counter(row["status"] for row in rows)
    counts = ViewCounts(ended["ok"], ended["same"], ended["broken"], ended["pending"], time.monotonic() - began)
    if counts.pending:
        raise PendingImagesError(
            f"{shard}: {counts.pending} of {len(rows)} further photos are pending; "
            "what came is kept, and running again asks only for the rest",
            counts,
        )
    return counts


def of(store: Store, product_ids: Iterable[str]) -> pd.DataFrame:
    """Return the photos of these products, a row a photo, in the products' order and then the catalogue's.

    Left out are photos that are another of the product again, those that its row no longer lists, and those that
    over 20 products list (a size chart), which show none of them. `recsys.models.embedding.examples` takes its
    pictures here.

    Args:
        store: the ledger of the pictures, and the table `views`.
        product_ids: each once; one without a picture has no row.

    Returns:
        Columns product_id, view (int64: 0 is the product's picture, the one that is recommended by; further ones from
        1 without a gap), image_digest.
    """
    pictures = _columns(store.read("images", ["product_id", "image_digest"], "status = 'ok'"))
    rows = list(_columns(store.read("views", ["product_id", "url", "image_digest"], "status = 'ok'")))
    listing = Counter(image for _, image in {(key, image) for key, _, image in rows})
    further: dict[str, dict[str, str]] = {}
    for key, url, image in rows:
        if listing[image] <= ANYONES:
            further.setdefault(key, {})[url] = image
    urls = dict(_columns(store.read("products", ["product_id", "image_urls"]))) if further else {}
    first = dict(pictures)
    made = []
    for key in product_ids:
        if key in first:
            photos = further.get(key, {})
            shown = [first[key], *(photos[url] for url in urls.get(key) or () if url in photos)]
            made += [(key, view, image) for view, image in enumerate(dict.fromkeys(shown))]
    frame = pd.DataFrame(made, columns=["product_id", "view", "image_digest"])
    return frame.astype({"product_id": "str", "view": np.int64, "image_digest": "str"})


PHOTO = "concat(product_id, '\x1f', url)"
"""In SQL, what `_photo` is; it stands for one row of the table."""


def _photo(product_id: str, url: str) -> str:
    return f"{product_id}\x1f{url}"


def _columns(table: pa.Table) -> Iterable[tuple[Any, ...]]:
    """Return the rows of a table as tuples: a dictionary each is too large."""
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _further(store: Store, where: str | None = None) -> dict[str, list[str]]:
    """Return, of each listed product that has a picture, the URLs behind the picture's, in the catalogue's order."""
    is_ok = f"status = 'ok' AND {where}" if where else "status = 'ok'"
    won = dict(_columns(store.read("images", ["product_id", "url"], is_ok)))
    products = active_products(store, ["product_id", "image_urls"], where)
    return {
        key: urls[urls.index(won[key]) + 1 :]
        for key, urls in zip(products["product_id"], products["image_urls"], strict=True)
        if urls and won.get(key) in urls  # else its row has changed, and it waits for its picture
    }


def _known(store: Store, where: str | None = None) -> dict[str, dict[str, tuple[str, str | None, int]]]:
    """Return what the table says of each product's URLs: status, cause and attempts."""
    known: dict[str, dict[str, tuple[str, str | None, int]]] = {}
    for key, url, *state in _columns(store.read("views", STATE, where)):
        known.setdefault(key, {})[url] = tuple(state)
    return known


def _wanted(listed: list[str], rows: Mapping[str, tuple[str, str | None, int]]) -> list[str]:
    """Return the URLs that are to be asked for: those without a row, and those that are pending."""
    return [url for url in listed if url not in rows or rows[url][0] == "pending"]


def _gone(listed: list[str], rows: Mapping[str, Any]) -> list[str]:
    """Return the URLs that a product's row of the catalogue no longer lists behind its picture's."""
    return sorted(rows.keys() - set(listed))


def _photos(store: Store, where: str) -> dict[str, dict[str, np.uint64]]:
    """Return the fingerprints of the photos that match a filter, {product id: {image digest: fingerprint}}."""
    photos: dict[str, dict[str, np.uint64]] = {}
    for table in ("images", "views"):
        rows = store.read(table, ["product_id", "image_digest", "jpeg"], f"status = 'ok' AND {where}")
        for key, image, jpeg in _columns(rows):
            photos.setdefault(key, {})[image] = fingerprint(decode_squared(jpeg))
    return photos


def _row(url: str, outcome: Outcome, photos: dict[str, dict[str, np.uint64]]) -> dict[str, Any]:
    """Return a row of the table, and add its photo to those of the product unless it is one of them again."""
    status, image, jpeg = str(outcome.status), outcome.image, None
    if image is not None:
        there = photos.setdefault(outcome.product_id, {})
        sign = fingerprint(decode_squared(image.jpeg))
        if image.digest in there or one_photo(sign, np.array(list(there.values()), np.uint64)).any():
            status = "same"
        else:
            there[image.digest], jpeg = sign, image.jpeg
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
