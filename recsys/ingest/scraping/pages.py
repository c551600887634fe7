"""What a result page of a marketplace shows: its product pictures, or a robot check in their place.

    parse_results   one page's HTML → its product pictures
    is_blocked      whether a page is a robot check in place of results

The HTML is hostile input: what is broken gives what can be read of it, and nothing keeps the parser for long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup, NavigableString, SoupStrainer, Tag

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
        if candidate.strip() and (url := complete_address(candidate, base_url)):
            return None if DECORATION.search(urlsplit(url).path.rpartition("/")[2]) else url
    return None


def complete_address(address: str, base_url: str) -> str | None:
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
