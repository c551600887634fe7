"""The images that cannot be used, by cause and by host."""

from dataclasses import dataclass

from recsys.ingest.causes import Cause, explain
from recsys.ingest.images.ledger import broken_by_cause, broken_by_host, count_images
from recsys.storage.store import Store

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
