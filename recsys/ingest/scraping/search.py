"""The search for a keyword: the URLs of the pictures on several result pages of the marketplace.

`recsys.ingest.images` fetches the pictures.
"""

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
    """Return the distinct pictures that a marketplace shows for a keyword, in its order.

    The search stops at the first page without a new picture. A failed page fails the keyword, and a retry requests all
    of its pages again.

    Args:
        keyword: any text, such as a label.
        settings: the marketplace, the number of pages, the limits.
        session: of `open_session`, to share its connections (default: a new one).

    Raises:
        TransientFetchError: the failure may pass: `blocked` by a robot check, `timeout`, `http_503`, ... Also when
            robots.txt fails (5xx, unreachable), which forbids everything (RFC 9309, 2.3.1.4).
        PermanentFetchError: the failure will not pass: `robots` when robots.txt forbids the page, `http_404`, ...
    """
    address = settings.url.replace("{keyword}", quote(keyword, safe="", errors="replace"))
    pictures: dict[str, Picture] = {}
    with nullcontext(session) if session else open_session(settings) as connections:
        robots = read_robots(connections, settings)
        delay = max(settings.delay_s, min(robots.crawl_delay_s, settings.wait_max_s))
        for page in range(1, settings.pages + 1):
            url = address.replace("{page}", str(page))
            if not robots.allows(url):
                raise PermanentFetchError("robots", f"robots.txt forbids {url}; set another scraping.url")
            time.sleep(delay)  # before the first page too: the pages of another keyword may have come just before
            html = get_page(connections, url, settings)
            new = {picture.url: picture for picture in parse_results(html, url) if picture.url not in pictures}
            if not new:
                break
            pictures |= new
    return list(pictures.values())
