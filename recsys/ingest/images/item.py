"""What is asked for, and what becomes of it: plain data, which crosses from one process to another.

Item      a product to fetch an image for
Outcome   what became of it
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recsys.ingest.causes import Status
from recsys.vision.square import SquaredImage


@dataclass(frozen=True)
class Known:
    """What is known of an image that was fetched before; asked for again only if it has changed (RFC 9110, 13)."""

    url: str
    etag: str | None
    last_modified: str | None

    def conditions(self) -> dict[str, str]:
        """Return the headers of a conditional request."""
        conditions = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in conditions.items() if value}


@dataclass(frozen=True)
class Item:
    """One product to fetch an image for.

    Attributes:
        urls: its image URLs in the order to try them; the first good one wins.
        attempts: that earlier runs spent at the first of them.
        host_was_down: when it was last asked for.
        known: the image that is there already, if one is.
    """

    product_id: str
    urls: tuple[str, ...]
    attempts: int = 0
    host_was_down: bool = False
    known: Known | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of an item; the fields are those of the ledger, see `recsys.storage.store.SCHEMAS["images"]`.

    An item that is ok without an `image` is unchanged: the host says that it has what is `known`. `placeholder` is the
    digest of the picture that was taken for one.
    """

    product_id: str
    status: Status
    cause: str | None
    http_code: int | None
    attempts: int
    checked_at: datetime
    url: str | None
    image: SquaredImage | None = None
    placeholder: str | None = None
