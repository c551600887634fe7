"""What a marketplace's robots.txt (RFC 9309) allows us, and how long it wants us to wait."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin

import requests
from protego import Protego

from recsys.core.configuration import Scraping
from recsys.core.errors import FetchError, TransientFetchError
from recsys.ingest.scraping.marketplace import get_page

REDIRECTS = 5
"""Followed at least, says RFC 9309, on the way to robots.txt."""


@dataclass(frozen=True)
class Robots:
    """The rules of one host for one user agent.

    Attributes:
        token: the user agent's name, without its version and comment.
    """

    rules: Protego
    token: str

    def allows(self, url: str) -> bool:
        """Return whether we may ask for an address: the longest rule that matches it decides."""
        return self.rules.can_fetch(url, self.token)

    @property
    def crawl_delay_s(self) -> float:
        """Seconds that it wants us to wait between two requests; 0 where it does not say."""
        return self.rules.crawl_delay(self.token) or 0.0


def read_robots(session: requests.Session, settings: Scraping) -> Robots:
    """Return the rules of the marketplace of `scraping.url`; where it has no robots.txt (4xx), all is allowed.

    Raises:
        TransientFetchError: robots.txt is out of order (5xx, unreachable), which forbids everything (2.3.1.4).
        PermanentFetchError: the same, and it would fail again: redirected to nowhere or into a private network, ...
    """
    try:
        body = get_page(session, urljoin(settings.url, "/robots.txt"), settings, REDIRECTS)
    except FetchError as error:
        if error.http_code is None or not 400 <= error.http_code < 500 or isinstance(error, TransientFetchError):
            raise
        body = b""
    return Robots(Protego.parse(body.decode("utf-8-sig", "replace")), settings.user_agent.partition("/")[0])
