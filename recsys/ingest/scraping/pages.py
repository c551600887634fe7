"""Parse the result pages of a marketplace: the product pictures, or a robot check.

    parse_results   one page's HTML → its product pictures
    is_blocked      whether a page is a robot check

The HTML is hostile input: broken HTML gives the pictures that can be read, and no input takes the parser long.
"""

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
"""Attributes, of a card or inside it, that mark an advertisement, independent of the language of its label."""

DECORATION = re.compile(
    r"(?<![a-z])(?:sprites?|logos?|icons?|badges?|spacer|1x1|no[-_]?ima?ge?|(?:grey|tracking)[-_]pixel|pixel\.gif)"
    r"(?![a-z])",
    re.IGNORECASE,
)
"""File names that are not product pictures. A product lost by mistake costs less than a logo among the products."""

SMALL = re.compile(r"\s*\d{1,2}(px)?\s*")
"""A declared side of less than 100 pixels: an icon, a swatch, a tracking pixel."""

CANDIDATE = re.compile(r"([^\s,]\S*?)(?:,(?=\s|$)|\s+([^,]*)(?:,|$)|$)")
"""An entry of a `srcset`: its URL, which may contain commas but not end in one, and its descriptor (2x, 640w)."""

BLOCKED = re.compile(
    r"<title[^>]{0,100}>\s*(?:robot check|bot check|just a moment|attention required|access denied|pardon our)"
    r"|\b(?:action|id|class|src)\s{0,5}=\s{0,5}[\"']?[^\"'?>]{0,100}captcha"  # not after "?": a search for captchas
    r"|automated access to amazon data",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Picture:
    """The URL and the title of a product picture on a result page."""

    url: str
    title: str


def parse_results(html: str | bytes, base_url: str) -> list[Picture]:
    """Return the distinct product pictures of a result page, in its order.

    Each result card that is not an advertisement gives the largest picture of its `srcset`, or else its `src`. Logos,
    sprites, swatches and tracking pixels are left out; only http and https URLs are used.

    Args:
        html: the page; bytes are decoded as UTF-8.
        base_url: the URL of the page, for relative URLs.
    """
    pictures: dict[str, Picture] = {}
    for card in _cards(html):
        # The layout marks the product's picture; it comes before other images of the card.
        for image in sorted(card.images, key=lambda image: "s-image" not in image.get_attribute_list("class")):
            if url := _address(image, base_url):
                if not card.sponsored:
                    pictures.setdefault(url, Picture(url, " ".join(str(image.get("alt", "")).split())))
                break
    return list(pictures.values())


def is_blocked(html: str | bytes) -> bool:
    """Return whether a page is a captcha or another robot check, without results."""
    text = _text(html)
    return RESULT not in text and BLOCKED.search(text) is not None


@dataclass
class _Card:
    """The images of a result card, and whether it is an advertisement."""

    images: list[Tag] = field(default_factory=list)
    sponsored: bool = False


def _cards(html: str | bytes) -> list[_Card]:
    """Return the result cards of a page; a card without an end tag ends where the next begins."""
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
    """Return HTML without comments and declarations, and without an open tag at its end.

    `html.parser` searches the rest of the page for the end of each open one, which takes hours on a page full of them.
    """
    head, *rest = html.split("<!--")
    html = head + "".join(part.partition("-->")[2] for part in rest)
    return re.sub(r"<(?=[!?])", "&lt;", html[: html.rfind(">") + 1])


def _is_sponsored(tag: Tag) -> bool:
    values = {name: " ".join(map(str, tag.get_attribute_list(name))) for name in SPONSORED if tag.has_attr(name)}
    return any(SPONSORED[name].search(value) for name, value in values.items())


def _address(image: Tag, base_url: str) -> str | None:
    """Return the complete URL of an `img`'s largest version; None when it is not a product picture."""
    if any(SMALL.fullmatch(str(image.get(side, ""))) for side in ("width", "height")):
        return None
    for candidate in [*_largest_first(str(image.get("srcset", ""))), str(image.get("src", ""))]:
        if candidate.strip() and (url := complete_address(candidate, base_url)):
            return None if DECORATION.search(urlsplit(url).path.rpartition("/")[2]) else url
    return None


def complete_address(address: str, base_url: str) -> str | None:
    """Return a URL completed by that of its page; None when it is not http or https, or contains credentials."""
    try:
        parts = urlsplit(urljoin(base_url, address.strip()))._replace(fragment="")
    except ValueError:
        return None
    return parts.geturl() if parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc else None


def _largest_first(srcset: str) -> list[str]:
    """Return the URLs of a `srcset`, the largest by descriptor first; an entry without one counts as 1x."""
    sizes = {url: re.match(r"(\d{1,9}(?:\.\d{1,9})?)[xw]", size) for url, size in CANDIDATE.findall(srcset)}
    return sorted(sizes, key=lambda url: -float(size[1]) if (size := sizes[url]) else -1.0)
