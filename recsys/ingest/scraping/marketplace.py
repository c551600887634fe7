"""Requests to a marketplace: its limits on time and size, its robot checks, its redirects.

    open_session   the connections that searches share
    get_page       a URL → the body of a good answer

A redirect may lead back to the host and port of `scraping.url`, which the operator chose, or to a public address
(`recsys.ingest.http`).
"""

import time

import requests
from urllib3.exceptions import HTTPError

from recsys.core.configuration import Scraping
from recsys.core.errors import TransientFetchError
from recsys.ingest import http
from recsys.ingest.causes import fetch_error
from recsys.ingest.scraping.pages import complete_address, is_blocked

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
