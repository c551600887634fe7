"""Requests to a marketplace: its limits on time and size, its robots.txt, its robot checks, its redirects.

    open_session   the connections that searches share
    get_page       a URL → the body of a good answer
    search         a keyword → its pictures, over several pages

A redirect may lead back to the host and port of `scraping.url`, which the operator chose, or to a public address
(`recsys.ingest.http`).
"""

import time
from contextlib import nullcontext
from dataclasses import dataclass
from urllib.parse import quote, urljoin

import requests
from protego import Protego
from urllib3.exceptions import HTTPError

from recsys.core.configuration import Scraping
from recsys.core.errors import FetchError, PermanentFetchError, TransientFetchError
from recsys.ingest import http
from recsys.ingest.causes import fetch_error
from recsys.ingest.scraping.pages import Picture, complete_address, is_blocked, parse_results

CHUNK = 1 << 16
"""Size of one read, bytes."""


def open_session(settings: Scraping) -> requests.Session:
    """Return a session whose requests name this program, and retry failures that may pass."""
    return http.open_session(
        settings.url,
        retries=settings.retries,
        backoff_s=settings.backoff_s,
        retry_after_max_s=settings.wait_max_s,
        headers={"User-Agent": settings.user_agent, "Accept": "text/html", "Accept-Encoding": "identity"},
    )


def get_page(session: requests.Session, url: str, settings: Scraping, max_redirects: int = 0) -> bytes:
    """Return the body of a good answer.

    Args:
        session: of `open_session`.
        url: complete.
        settings: limits and time-outs.
        max_redirects: redirects to follow. None for result pages, since robots.txt was read for their URL only.

    Raises:
        TransientFetchError: `blocked` by a robot check, `timeout`, `http_503`, ...
        PermanentFetchError: `http_404`, `too_large`, `private_address` when a redirect leads into a private network.
    """
    try:
        with session.get(url, stream=True, allow_redirects=False, timeout=settings.timeout_s) as response:
            body = _read_body(response, url, settings)
    except (requests.RequestException, HTTPError) as error:
        raise http.connection_error(error, url) from error
    code, location = response.status_code, response.headers.get("Location", "")
    if is_blocked(body) or "captcha" in location.partition("?")[0].lower():
        raise TransientFetchError("blocked", f"{url} answers with a robot check; wait, or request fewer pages", code)
    if max_redirects and response.is_redirect and (target := complete_address(location, url)):
        return get_page(session, target, settings, max_redirects - 1)
    if not 200 <= code < 300:
        hint = f" and redirects to {location[:200]}; set scraping.url to the URL of the results" if location else ""
        raise fetch_error(f"http_{code}", f"{url} answers {code}{hint}", code)
    return body


def _read_body(response: requests.Response, url: str, settings: Scraping) -> bytes:
    body, deadline = bytearray(), time.monotonic() + settings.timeout_s
    while chunk := response.raw.read1(CHUNK, decode_content=True):  # returns without waiting for a whole chunk
        body += chunk
        if len(body) > settings.max_bytes:
            raise fetch_error("too_large", f"{url} has more than scraping.max_bytes ({settings.max_bytes} bytes)")
        if time.monotonic() > deadline:
            raise fetch_error("timeout", f"{url} is not complete after {settings.timeout_s:g} s")
    return bytes(body)


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
