"""The input and the output of fetching, as plain data.

Item      a product to fetch an image for
Outcome   its status, cause and image
"""

from dataclasses import dataclass
from datetime import datetime

from recsys.ingest.causes import Status
from recsys.vision.square import SquaredImage


@dataclass(frozen=True)
class Known:
    """A stored image, for a conditional request (RFC 9110, 13)."""

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
        urls: image URLs in the order to try them; the first good one wins.
        attempts: attempts that earlier runs spent on the first URL.
        host_was_down: whether the host was down at the last attempt.
        known: the stored image, if there is one.
    """

    product_id: str
    urls: tuple[str, ...]
    attempts: int = 0
    host_was_down: bool = False
    known: Known | None = None


@dataclass(frozen=True)
class Outcome:
    """The outcome of an item; its fields are columns of the ledger.

    An ok item without an `image` is unchanged: the host confirmed the `known` image. `placeholder` is the digest of a
    picture that stands for "no image available".
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
