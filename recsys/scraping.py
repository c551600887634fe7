"""Product pictures from a marketplace's result pages: how the original project grew its small classes.

    search          keyword → pictures, over several pages
    parse_results   one page's HTML → its product pictures
    is_blocked      whether a page is a robot check in place of results
    open_session    the connections that searches share

The original searched Amazon for a class's name and took the pictures of the result cards (its slides on balancing
the classes; its code swallowed every error). Nothing here runs unless it is asked for, and the marketplace is a
setting (`scraping.url`): whether its terms allow this is for whoever sets it to know. We say who we are, keep to
robots.txt, wait between pages, and take a robot check for the no that it is. Only addresses come out;
`recsys.images` fetches them.
"""

from __future__ import annotations

import re
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import requests
from bs4 import BeautifulSoup, NavigableString, SoupStrainer, Tag
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError, SSLError, TimeoutError

from recsys.configuration import Scraping
from recsys.errors import FetchError, PermanentFetchError, TransientFetchError
from recsys.images.causes import fetch_error

CHUNK = 1 << 16  # bytes
ROBOTS_REDIRECTS = 5
"""Followed at least, says RFC 9309, on the way to robots.txt."""

RESULT = "s-search-result"
"""The `data-component-type` of a result card's `div`."""

SPONSORED = {
    "class": re.compile(r"adholder|sponsored", re.IGNORECASE),
    "data-component-type": re.compile(r"sponsored"),
    "href": re.compile(r"/sspa/"),
    "alt": re.compile(r"sponsored ad\b", re.IGNORECASE),
}
"""What an attribute of an advertisement's card, or inside it, holds, in whatever language its label is."""

DECORATION = re.compile(
    r"(?<![a-z])(?:sprites?|logos?|icons?|badges?|spacer|1x1|no[-_]?ima?ge?|(?:grey|tracking)[-_]pixel|pixel\.gif)"
    r"(?![a-z])",
    re.IGNORECASE,
)
"""File names that are no product's; a product lost to it costs less than a logo among the products."""

SMALL = re.compile(r"\s*\d{1,2}(px)?\s*")
"""A declared side under 100 pixels: an icon, a swatch, a tracking pixel."""

CANDIDATE = re.compile(r"([^\s,]\S*?)(?:,(?=\s|$)|\s+([^,]*)(?:,|$)|$)")
"""One of a `srcset`: its URL, which may hold commas but not end in one, and its descriptor (2x, 640w)."""

BLOCKED = re.compile(
    r"<title[^>]{0,100}>\s*(?:robot check|bot check|just a moment|attention required|access denied|pardon our)"
    r"|\b(?:action|id|class|src)\s{0,5}=\s{0,5}[\"']?[^\"'?>]{0,100}captcha"  # not after "?": a search for captchas
    r"|automated access to amazon data",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Picture:
    """A product's picture on a result page: its address, and its title as the page gives it."""

    url: str
    title: str


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
        robots = _robots(connections, settings)
        delay = max(settings.delay_s, min(float(robots.crawl_delay(settings.user_agent) or 0), settings.wait_max_s))
        for page in range(1, settings.pages + 1):
            url = address.replace("{page}", str(page))
            if not robots.can_fetch(settings.user_agent, url):
                raise PermanentFetchError("robots", f"robots.txt forbids {url}; set another scraping.url")
            if page > 1:
                time.sleep(delay)
            new = {p.url: p for p in parse_results(_get(connections, url, settings), url) if p.url not in found}
            if not new:
                break
            found |= new
    return list(found.values())


def parse_results(html: str | bytes, base_url: str) -> list[Picture]:
    """Return the product pictures of a result page, each once, in its order.

    Of each result card that is no advertisement, the largest picture of the `srcset`, or else the `src`. No logos,
    sprites, swatches, tracking pixels; http and https only. HTML that is broken gives what can be read of it.

    Args:
        html: the page; bytes are taken for UTF-8.
        base_url: its address, which relative ones are completed by.
    """
    pictures: dict[str, Picture] = {}
    for card in _cards(html):
        # The layout's own word for a product's picture comes before anything else in the card.
        for image in sorted(card.images, key=lambda image: "s-image" not in image.get_attribute_list("class")):
            if url := _address(image, base_url):
                if not card.sponsored:
                    pictures.setdefault(url, Picture(url, " ".join(str(image.get("alt", "")).split())))
                break
    return list(pictures.values())


def is_blocked(html: str | bytes) -> bool:
    """Return whether a page is a captcha or another robot check: it says so, and has no results."""
    text = _text(html)
    return RESULT not in text and BLOCKED.search(text) is not None


def open_session(settings: Scraping) -> requests.Session:
    """Return connections that are kept alive, say who we are, and ask again where a fault may pass."""
    session = _Session()
    session.headers.update({"User-Agent": settings.user_agent, "Accept": "text/html", "Accept-Encoding": "identity"})
    retry = _Retry(
        total=settings.retries,
        status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
        backoff_factor=settings.backoff_s,
        backoff_jitter=settings.backoff_s,
        retry_after_max=round(settings.wait_max_s),
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


class _Session(requests.Session):
    """Leaves redirects to `_get`; requests would read a redirect's body to its end, also where it follows none."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class _Retry(Retry):
    """Hangs up on an answer before it asks again; urllib3 would first read it to its end, which may never come."""

    def increment(self, *args: Any, **kwargs: Any) -> Retry:  # type: ignore[override]
        following = super().increment(*args, **kwargs)
        if (response := kwargs.get("response")) is not None:
            response.close()
        return following


@dataclass
class _Card:
    """What was read of a result card."""

    images: list[Tag] = field(default_factory=list)
    sponsored: bool = False


def _cards(html: str | bytes) -> list[_Card]:
    """Return the result cards of a page; one that is never closed ends where the next begins."""
    only = SoupStrainer("div", attrs={"data-component-type": RESULT})
    soup = BeautifulSoup(_without_traps(_text(html)), "html.parser", parse_only=only)
    cards: list[_Card] = []
    for node in soup.descendants:
        if isinstance(node, Tag):
            if node.get("data-component-type") == RESULT:
                cards.append(_Card())
            if node.name == "img":
                cards[-1].images.append(node)
            cards[-1].sponsored |= _is_sponsored(node)
        elif type(node) is NavigableString and cards:
            cards[-1].sponsored |= node.strip() == "Sponsored"
    return cards


def _text(html: str | bytes) -> str:
    return html.decode("utf-8", "replace") if isinstance(html, bytes) else html


def _without_traps(html: str) -> str:
    """Return HTML without comments and declarations, and nothing left open at its end.

    `html.parser` looks for the end of each one that never ends, which in a page of those takes it hours.
    """
    head, *rest = html.split("<!--")
    html = head + "".join(part.partition("-->")[2] for part in rest)
    return re.sub(r"<(?=[!?])", "&lt;", html[: html.rfind(">") + 1])


def _is_sponsored(tag: Tag) -> bool:
    values = {name: " ".join(map(str, tag.get_attribute_list(name))) for name in SPONSORED if tag.has_attr(name)}
    return any(SPONSORED[name].search(value) for name, value in values.items())


def _address(image: Tag, base_url: str) -> str | None:
    """Return the complete address of an `img`'s largest version; None where it is no product's picture."""
    if any(SMALL.fullmatch(str(image.get(side, ""))) for side in ("width", "height")):
        return None
    for candidate in [*_largest_first(str(image.get("srcset", ""))), str(image.get("src", ""))]:
        if candidate.strip() and (url := _complete(candidate, base_url)):
            return None if DECORATION.search(urlsplit(url).path.rpartition("/")[2]) else url
    return None


def _complete(address: str, base_url: str) -> str | None:
    """Return an address completed by that of its page; None where it is not http or https, or holds credentials."""
    try:
        parts = urlsplit(urljoin(base_url, address.strip()))._replace(fragment="")
    except ValueError:
        return None
    return parts.geturl() if parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc else None


def _largest_first(srcset: str) -> list[str]:
    """Return the URLs of a `srcset`, the largest by its descriptor first; one without counts as 1x."""
    sizes = {url: re.match(r"(\d{1,9}(?:\.\d{1,9})?)[xw]", size) for url, size in CANDIDATE.findall(srcset)}
    return sorted(sizes, key=lambda url: -float(size[1]) if (size := sizes[url]) else -1.0)


def _robots(session: requests.Session, settings: Scraping) -> RobotFileParser:
    """Return the rules of the marketplace's robots.txt; where it has none (4xx), everything is allowed (RFC 9309).

    What `urllib.robotparser` gets wrong to the site's cost is put right before it reads: it ends a group at a blank
    line and takes a closing * for a letter. A * within a path it still does, and the first rule wins, not the longest.
    """
    url = urljoin(settings.url, "/robots.txt")
    robots = RobotFileParser(url)
    try:
        lines = _get(session, url, settings, ROBOTS_REDIRECTS).decode("utf-8-sig", "replace").splitlines()
    except FetchError as error:
        if error.http_code is None or not 400 <= error.http_code < 500 or isinstance(error, TransientFetchError):
            raise
        lines = []
    closing = re.compile(r"(\s*disallow\s*:\s*)/?([^*]*)\*+\s*", re.IGNORECASE)
    robots.parse([closing.sub(r"\1/\2", line) if closing.fullmatch(line) else line for line in lines if line.strip()])
    return robots


def _get(session: requests.Session, url: str, settings: Scraping, redirects: int = 0) -> bytes:
    """Return the body of a good answer, raise what any other means.

    Redirects are followed by hand, and a result page's not at all: robots.txt was asked about this address only.
    """
    try:
        with session.get(url, stream=True, allow_redirects=False, timeout=settings.timeout_s) as response:
            body = _body(response, url, settings)
    except (requests.RequestException, HTTPError) as error:
        raise _failure(error, url) from error
    code, target = response.status_code, response.headers.get("Location", "")
    if is_blocked(body) or "captcha" in target.partition("?")[0].lower():
        raise TransientFetchError("blocked", f"{url} answers with a robot check; wait, or ask for less", code)
    if redirects and response.is_redirect and (moved := _complete(target, url)):
        return _get(session, moved, settings, redirects - 1)
    if not 200 <= code < 300:
        hint = f" and points to {target[:200]}; set scraping.url to where the results are" if target else ""
        raise fetch_error(f"http_{code}", f"{url} answers {code}{hint}", code)
    return body


def _body(response: requests.Response, url: str, settings: Scraping) -> bytes:
    body, deadline = bytearray(), time.monotonic() + settings.timeout_s
    while chunk := response.raw.read1(CHUNK, decode_content=True):  # what is there, without waiting for a whole chunk
        body += chunk
        if len(body) > settings.max_bytes:
            raise fetch_error("too_large", f"{url} has more than scraping.max_bytes ({settings.max_bytes} bytes)")
        if time.monotonic() > deadline:
            raise fetch_error("timeout", f"{url} is not complete after {settings.timeout_s:g} s")
    return bytes(body)


def _failure(error: Exception, url: str) -> FetchError:
    """Return what an error of the connection means."""
    reason = getattr(error.args[0] if error.args else None, "reason", error)  # of urllib3, in the error of requests
    match reason:  # urllib3 counts the first two among its time-outs
        case NameResolutionError():
            return fetch_error("dns", f"{url}: the host's name does not resolve")
        case NewConnectionError():
            return fetch_error("refused", f"{url}: the host takes no connection")
        case requests.Timeout() | TimeoutError():
            return fetch_error("timeout", f"{url} does not answer in time")
        case SSLError() | requests.exceptions.SSLError():
            return fetch_error("tls", f"{url}: no valid certificate")
        case requests.exceptions.InvalidSchema() | requests.exceptions.InvalidURL():
            return fetch_error("bad_url", f"{url[:200]} is not a complete http or https address")
        case _:
            return fetch_error("reset", f"{url}: the connection broke off")
