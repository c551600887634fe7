"""The search for a keyword: which pictures the marketplace shows for it, over several pages.

Only addresses come out; `recsys.ingest.images` fetches them.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from urllib.parse import quote

import requests

from recsys.core.configuration import Scraping
from recsys.core.errors import PermanentFetchError
from recsys.ingest.scraping.marketplace import get_page, open_session
from recsys.ingest.scraping.pages import Picture, parse_results
from recsys.ingest.scraping.robots import read_robots


def search(keyword: str, settings: Scraping, session: requests.Session | None = None) -> list[Picture]:
    """Return the pictures that a marketplace shows for a keyword, each once, in its order.

    It stops at the first page that shows nothing new. One page that fails fails the keyword: a caller that retries
    asks for all of its pages again.

    Args:
        keyword: such as a label; any text.
        settings: where, how many pages, how patiently.
        session: one of `open_session`, to share its connections; by default one of its own.

    Raises:
        TransientFetchError: it may succeed later: `blocked` by a robot check, `timeout`, `http_503`, ... Also where
            robots.txt is out of order (5xx, unreachable), which forbids everything (RFC 9309, 2.3.1.4).
        PermanentFetchError: it would fail again: `robots` where robots.txt forbids it, `http_404`, `too_large`, ...
    """
    address = settings.url.replace("{keyword}", quote(keyword, safe="", errors="replace"))
    found: dict[str, Picture] = {}
    with nullcontext(session) if session else open_session(settings) as connections:
        robots = read_robots(connections, settings)
        delay = max(settings.delay_s, min(robots.crawl_delay_s, settings.wait_max_s))
        for page in range(1, settings.pages + 1):
            url = address.replace("{page}", str(page))
            if not robots.allows(url):
                raise PermanentFetchError("robots", f"robots.txt forbids {url}; set another scraping.url")
            time.sleep(delay)  # before the first too: another keyword's pages may have come just before
            new = {p.url: p for p in parse_results(get_page(connections, url, settings), url) if p.url not in found}
            if not new:
                break
            found |= new
    return list(found.values())
