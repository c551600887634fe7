"""The rules of a marketplace's robots.txt (RFC 9309), and its crawl delay."""

from dataclasses import dataclass
from urllib.parse import urljoin

import requests
from protego import Protego

from recsys.core.configuration import Scraping
from recsys.core.errors import FetchError, TransientFetchError
from recsys.ingest.scraping.marketplace import get_page

REDIRECTS = 5
"""Redirects to follow on the way to robots.txt; RFC 9309 requires at least this number."""


@dataclass(frozen=True)
class Robots:
    """The rules of one host for one user agent.

    Attributes:
        token: the user agent's name, without its version and comment.
    """

    rules: Protego
    token: str

    def allows(self, url: str) -> bool:
        """Return whether an address may be requested: the longest matching rule decides."""
        return self.rules.can_fetch(url, self.token)

    @property
    def crawl_delay_s(self) -> float:
        """Seconds between two requests that the host requires; 0 by default."""
        return self.rules.crawl_delay(self.token) or 0.0


def read_robots(session: requests.Session, settings: Scraping) -> Robots:
    """Return the rules of the marketplace of `scraping.url`. Without a robots.txt (4xx) everything is allowed.

    Raises:
        TransientFetchError: robots.txt fails (5xx, unreachable), which forbids everything (RFC 9309, 2.3.1.4).
        PermanentFetchError: the failure will not pass: a redirect to no address or into a private network, ...
    """
    try:
        body = get_page(session, urljoin(settings.url, "/robots.txt"), settings, REDIRECTS)
    except FetchError as error:
        if error.http_code is None or not 400 <= error.http_code < 500 or isinstance(error, TransientFetchError):
            raise
        body = b""
    return Robots(Protego.parse(body.decode("utf-8-sig", "replace")), settings.user_agent.partition("/")[0])
