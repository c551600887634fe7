"""Serve a marketplace to scrape: result pages in Amazon's layout for the sample shop's products, with faults.

    GET /s?k=<keyword>&page=<n>     a result page, from 1; pages after the last are empty
    GET /scraped/I/<picture>        a product's picture, in the size given in its name
    GET /scraped/G/<decoration>     logo, sprite, pixel, swatch: a scraper should not request these
    GET /robots.txt                 allows the search, forbids the pages behind it

A keyword matches a label by its name or by a product kind of the label. The products are drawn on request, like the
shop's but from another seed. Each page also has one picture under a second URL, and one advertisement.
"""

import html
import io
import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qs, quote_plus

from PIL import Image, ImageOps

from sample_shop.assortment import CYCLE, KINDS, Product, label_cycle, product
from sample_shop.faults import FAILURES_BEFORE_OK
from sample_shop.scene import draw_picture

SearchFault = Literal["captcha", "captcha_then_ok", "503", "503_then_ok", "empty"]

FAULTS: Mapping[str, SearchFault] = {"Eyewear": "captcha_then_ok"}
"""Of the marketplace beside the sample shop, by keyword."""

PAGES = 3  # with results, of each keyword
PRODUCTS = 7  # on a page, besides one shown again and an advertisement
ADVERTISED = 10_000  # from here on a label's products are only in advertisements
SIZES = {"1x": 160, "1.5x": 240, "2x": 320, "2.5x": 400, "3x": 480}  # pixels of the longer side
QUALITY = 85  # of the JPEGs

PICTURE = re.compile(r"/scraped/I/(\d{1,9})[ab]\._AC_UL(\d{3})_\.jpg")
PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00"
    b"\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
ROBOTS = "User-agent: *\nDisallow: /gp/\nDisallow: /errors/\nDisallow: /s?k=*&rh=\n"

PAGE_TYPE, TEXT_TYPE = "text/html; charset=utf-8", "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """Hold an answer of the marketplace: status, body and media type."""

    status: int
    body: bytes
    kind: str = PAGE_TYPE


class Marketplace:
    """Answer requests; safe for use by several threads.

    Args:
        seed: seed of its products; must differ from the seed of the shop that imports them.
        faults: faults of searches, by keyword; `_then_ok` fails a keyword's first two requests.

    Attributes:
        requests: number of requests of each target (path and query).
    """

    def __init__(self, seed: int, faults: Mapping[str, SearchFault] = FAULTS) -> None:
        self.seed, self.faults = seed, faults
        self.requests: Counter[str] = Counter()
        self._searches: Counter[str] = Counter()
        self._counting = threading.Lock()

    def answer(self, target: str) -> Answer | None:
        """Return the answer to a GET for a path with its query; None if the marketplace has no such path."""
        path, _, given = target.partition("?")
        if path == "/robots.txt":
            answer = Answer(200, ROBOTS.encode(), TEXT_TYPE)
        elif path == "/s":
            query = parse_qs(given)
            page = query.get("page", ["1"])[0]
            answer = self._search(query.get("k", [""])[0], int(page) if page.isdecimal() and len(page) < 4 else 1)
        elif path.startswith("/scraped/G/"):
            answer = Answer(200, PIXEL, "image/gif")
        elif (picture := PICTURE.fullmatch(path)) and int(picture[2]) in SIZES.values():
            answer = Answer(200, _draw(self.seed, int(picture[1]), int(picture[2])), "image/jpeg")
        else:
            return None
        with self._counting:
            self.requests[target] += 1
        return answer

    def _search(self, keyword: str, page: int) -> Answer:
        with self._counting:
            self._searches[keyword] += 1
        fault: str = self.faults.get(keyword, "")
        if fault.endswith("_then_ok"):
            fault = fault.removesuffix("_then_ok") if self._searches[keyword] <= FAILURES_BEFORE_OK else ""
        match fault:
            case "captcha":
                return Answer(200, CAPTCHA.encode())
            case "503":
                return Answer(503, BUSY.encode())
        label = None if fault == "empty" else _label(keyword)
        shown = f"<span>No results for <b>{html.escape(keyword)}</b>.</span>"
        if label is not None and 1 <= page <= PAGES:
            shown = self._results(label, page)
        return Answer(200, _furnished(keyword, page, shown).encode())

    def _results(self, label: str, page: int) -> str:
        """Return the cards of a result page."""
        items = [self._product(label, number) for number in range((page - 1) * PRODUCTS, page * PRODUCTS)]
        advertised = self._product(label, ADVERTISED + page)
        cards = [_card(item, _image(item, "a")) for item in items]
        cards.insert(2, _advertisement(advertised))
        cards.append(_card(items[0], _image(items[0], "b")))
        return "".join(cards)

    def _product(self, label: str, number: int) -> Product:
        """Return product `number` of a label."""
        places = [place for place, there in enumerate(label_cycle(self.seed)) if there == label]
        cycle, place = divmod(number, len(places))
        return product(self.seed, cycle * CYCLE + places[place])


def _label(keyword: str) -> str | None:
    """Return the label that matches a keyword by its name or by one of its product kinds."""
    wanted = keyword.casefold().strip()
    for label in KINDS:
        if wanted == label.casefold():
            return label
    for label, kinds in KINDS.items():
        if wanted and any(wanted in text.casefold() for text in (label, *(kind.noun for kind in kinds))):
            return label
    return None


@lru_cache(maxsize=1024)
def _draw(seed: int, index: int, size: int) -> bytes:
    """Return a product's picture as a JPEG whose longer side has at most `size` pixels."""
    with Image.open(io.BytesIO(draw_picture(product(seed, index), 0))) as drawn:
        picture = ImageOps.exif_transpose(drawn)
        if "A" in picture.getbands() or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            white.alpha_composite(picture)
            picture = white
        picture = picture.convert("RGB")
        picture.thumbnail((size, size))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _image(item: Product, copy: str, said: str = "") -> str:
    """Return the `img` of a product; `copy` gives the same picture another URL."""
    address = {scale: f"/scraped/I/{item.index:06d}{copy}._AC_UL{size}_.jpg" for scale, size in SIZES.items()}
    srcset = ", ".join(f"{url} {scale}" for scale, url in address.items())
    return (
        f'<img class="s-image" src="{address["1x"]}" srcset="{srcset}" alt="{html.escape(said + item.name)}" '
        'data-image-latency="s-product-image">'
    )


def _card(item: Product, image: str, around: str = "s-result-item s-asin", link: str = "", before: str = "") -> str:
    """Return a result card: the product's picture among swatches and badges."""
    link = link or f"/dp/B{item.index:09d}/ref=sr_1_1"
    return f"""
<div data-asin="B{item.index:09d}" data-component-type="s-search-result" class="{around}">{before}
 <span class="a-badge"><img src="/scraped/G/best-seller-badge.png" alt=""></span>
 <span data-component-type="s-product-image" class="rush-component"><a class="a-link-normal" href="{link}">
  <div class="a-section s-image-square-aspect">{image}</div></a></span>
 <h2><a href="{link}"><span class="a-text-normal">{html.escape(item.name)}</span></a></h2>
 <a href="{link}"><img src="/scraped/G/swatch-{item.colour.name.split()[0]}.jpg" width="24" height="24" alt=""></a>
 <i class="a-icon a-icon-prime"></i><span class="a-price"><span class="a-offscreen">&#8377;{item.price:,}</span></span>
</div>"""


def _advertisement(item: Product) -> str:
    link = f"/sspa/click?ie=UTF8&amp;url=%2Fdp%2FB{item.index:09d}"
    label = '<span class="puis-sponsored-label-text">Sponsored</span>'
    return _card(item, _image(item, "a", said="Sponsored Ad - "), "s-result-item s-asin AdHolder", link, label)


def _furnished(keyword: str, page: int, shown: str) -> str:
    """Return a whole page: its results, with header, navigation and footer."""
    word, address = html.escape(keyword), html.escape(f"/s?k={quote_plus(keyword)}&page={page + 1}")
    return f"""<!doctype html><html lang="en-in"><head><meta charset="utf-8">
<title>The marketplace : {word}</title></head><body><!-- sp:feature:nav -->
<a href="/"><img src="/scraped/G/nav-logo.png" alt="The marketplace"></a>
<img src="/scraped/G/nav-sprite-global-1x.png" alt="">
<form action="/s" method="get"><input id="twotabsearchtextbox" name="k" value="{word}"></form>
<img height="1" width="1" src="/scraped/G/grey-pixel.gif" alt="">
<div class="s-main-slot s-result-list s-search-results">{shown}</div>
<a class="s-pagination-next" href="{address}">Next</a>
<noscript><img height="1" width="1" src="/scraped/G/pixel.gif" alt=""></noscript>
</body></html>
"""


CAPTCHA = """<!doctype html>
<!-- To discuss automated access to Amazon data please contact the marketplace. -->
<html lang="en-in"><head><title dir="ltr">The marketplace</title></head><body>
<h4>Enter the characters you see below</h4><p>Sorry, we just need to make sure you're not a robot.</p>
<form method="get" action="/errors/validateCaptcha"><img src="/captcha/Captcha_abcdefgh.jpg">
<input id="captchacharacters" name="field-keywords" type="text"><button>Continue shopping</button></form>
</body></html>
"""

BUSY = """<!doctype html><html lang="en-in"><head><title>503 - Service Unavailable Error</title></head>
<body><p>Sorry, something went wrong on our end. Please try again later.</p></body></html>
"""
