"""Parsing of result pages: product pictures and nothing else, whatever the HTML; and robot checks."""

from __future__ import annotations

import time

import pytest

from recsys.ingest.scraping.pages import Picture, is_blocked, parse_results
from tests.recsys.ingest.scraping.layout import BASE, CAPTCHA, EMPTY, card, page, product


def urls(html: str | bytes) -> list[str]:
    return [picture.url for picture in parse_results(html, BASE)]


def test_each_card_gives_its_picture_and_title_in_the_order_of_the_page() -> None:
    assert parse_results(page(card(product(1)), card(product(2))), BASE) == [
        Picture("https://market.example/images/I/1.jpg", "Watch 1"),
        Picture("https://market.example/images/I/2.jpg", "Watch 2"),
    ]


@pytest.mark.parametrize(
    ("srcset", "largest"),
    [
        ("/a_218.jpg 1x, /a_327.jpg 1.5x, /a_654.jpg 3x, /a_436.jpg 2x", "/a_654.jpg"),
        ("/a_320.jpg 320w,/a_1280.jpg 1280w,/a_640.jpg 640w", "/a_1280.jpg"),
        ("/a._CR,0,0,38,50_.jpg 1x,\n   /b._CR,0,0,76,100_.jpg 2x", "/b._CR,0,0,76,100_.jpg"),
        ("/plain.jpg, /double.jpg 2x", "/double.jpg"),
        ("/small.jpg 1x, javascript:alert(1) 9x, data:image/gif;base64,R0lG 10x", "/small.jpg"),
        ("  , ,", "/src.jpg"),
        ("/a.jpg manyx, /b.jpg -3x, /c.jpg 1.1x", "/c.jpg"),
    ],
)
def test_the_largest_of_the_srcset_is_taken(srcset: str, largest: str) -> None:
    image = f'<img class="s-image" src="/src.jpg" srcset="{srcset}" alt="">'
    assert urls(page(card(image))) == [f"https://market.example{largest}"]


@pytest.mark.parametrize(
    ("src", "complete"),
    [
        ("//cdn.example/1.jpg", "https://cdn.example/1.jpg"),
        ("../1.jpg", "https://market.example/1.jpg"),
        ("HTTP://cdn.example/1.jpg#top", "http://cdn.example/1.jpg"),
        ("/1.jpg?a=1&amp;b=2", "https://market.example/1.jpg?a=1&b=2"),
    ],
)
def test_addresses_are_completed(src: str, complete: str) -> None:
    assert urls(page(card(f'<img src="{src}">'))) == [complete]


@pytest.mark.parametrize(
    "src",
    [
        "javascript:alert(1)",
        " JaVaScRiPt:alert(1)",
        "data:image/png;base64,iVBORw0KGgo=",
        "file:///etc/passwd",
        "ftp://market.example/1.jpg",
        "http://user:secret@market.example/1.jpg",
        "http://[::1/1.jpg",
        "http:///1.jpg",
        "",
    ],
)
def test_only_http_and_https_pictures_are_taken(src: str) -> None:
    assert urls(page(card(f'<img class="s-image" src="{src}">'), card(product(2)))) == [
        "https://market.example/images/I/2.jpg"
    ]


@pytest.mark.parametrize(
    "image",
    [
        '<img src="/images/G/nav-sprite-1x.png">',
        '<img src="/images/brand_logo.svg">',
        '<img src="/prime-badge.png">',
        '<img src="/grey-pixel.gif">',
        '<img src="/pixel.gif">',
        '<img src="/1.jpg" width="1" height="1">',
        '<img src="/swatch.jpg" width="24px">',
    ],
)
def test_decoration_is_left_out(image: str) -> None:
    assert urls(page(card(image))) == []
    assert urls(page(card(image + product(1)))) == ["https://market.example/images/I/1.jpg"]


@pytest.mark.parametrize("name", ["google-pixel-7.jpg", "silicon-case.jpg", "iconic-lamp.jpg"])
def test_products_whose_names_sound_like_decoration_are_kept(name: str) -> None:
    assert urls(page(card(f'<img src="/{name}">'))) == [f"https://market.example/{name}"]


def test_the_picture_of_the_layout_comes_before_others_in_its_card() -> None:
    assert urls(page(card('<img src="/deal-of-the-day.jpg">' + product(1)))) == [
        "https://market.example/images/I/1.jpg"
    ]


@pytest.mark.parametrize(
    "advertisement",
    [
        card(product("ad"), kind="s-result-item AdHolder"),
        card(product("ad"), before='<span class="puis-sponsored-label-text">Gesponsert</span>'),
        card(product("ad"), before="<span> Sponsored </span>"),
        card(product("ad"), before='<div data-component-type="sp-sponsored-result"></div>'),
        card(product("ad"), before='<a href="/sspa/click?url=%2Fdp">x</a>'),
        card('<img class="s-image" src="/images/I/ad.jpg" alt="Sponsored Ad - Watch">'),
    ],
)
def test_advertisements_are_left_out_and_their_neighbours_kept(advertisement: str) -> None:
    html = page(card(product(1)), advertisement, card(product(2)))
    assert urls(html) == [f"https://market.example/images/I/{n}.jpg" for n in (1, 2)]


def test_a_product_that_mentions_sponsors_is_kept() -> None:
    image = '<img class="s-image" src="/1.jpg" alt="Shirt, sponsored by a team">'
    assert urls(page(card(image, before="<span>Sponsored by a team</span>"))) == ["https://market.example/1.jpg"]


def test_a_picture_that_is_shown_twice_is_listed_once() -> None:
    assert urls(page(card(product(1)), card(product(2)), card(product(1)))) == [
        f"https://market.example/images/I/{n}.jpg" for n in (1, 2)
    ]


def test_titles_are_plain_text_on_one_line() -> None:
    image = '<img src="/1.jpg" alt=" &lt;script&gt;alert(1)&lt;/script&gt;\n  &#2965;&quot; ">'
    assert parse_results(page(card(image)), BASE)[0].title == '<script>alert(1)</script> க"'


def test_broken_html_gives_what_can_be_read() -> None:
    unclosed = '<div data-component-type="s-search-result"><span><img class=s-image src=/1.jpg alt="One">'
    advertisement = '<div data-component-type="s-search-result" class="AdHolder"><b><img src="/ad.jpg">'
    html = f'<html><body></p></div>{unclosed}{advertisement}</i>{unclosed.replace("1", "2")}<![x <? <!-- <a href="'
    assert urls(html) == ["https://market.example/1.jpg", "https://market.example/2.jpg"]


def test_cards_in_comments_and_scripts_are_ignored() -> None:
    assert urls(page(f"<!-- {card(product(1))} -->", f"<script>{card(product(2))}</script>")) == []


def test_bytes_are_decoded_as_utf_8_and_invalid_ones_are_replaced() -> None:
    html = page(card('<img src="/1.jpg" alt="Überuhr">'))
    assert parse_results(html.encode(), BASE)[0].title == "Überuhr"
    assert urls(html.encode("latin-1")) == ["https://market.example/1.jpg"]


@pytest.mark.parametrize(
    "trap", ["<div>", "<!--", "<![", "<?", "<title", "<a ", "<b><i></b>", "<a x='", "&#x", "</", "<script></scrip"]
)
def test_hostile_markup_does_not_take_the_parser_long(trap: str) -> None:
    start = time.process_time()
    first = card(product(1))
    assert len(urls(first + trap * (1 << 16 >> len(trap).bit_length() - 1))) <= 1
    is_blocked(trap * (1 << 14))
    assert time.process_time() - start < 2  # it was up to minutes


# --- robot checks ---


@pytest.mark.parametrize(
    "html",
    [
        CAPTCHA,
        CAPTCHA.encode(),
        "<html><head><title>Robot Check</title></head></html>",
        "<title>Just a moment...</title>",
        '<html><body><div class="g-recaptcha" data-sitekey="x"></div></body></html>',
        '<html><script src="https://x.token.awswaf.example/captcha.js"></script></html>',
    ],
)
def test_robot_checks_are_recognised(html: str | bytes) -> None:
    assert is_blocked(html)
    assert parse_results(html, BASE) == []


@pytest.mark.parametrize(
    "html",
    [
        "",
        EMPTY,
        page(card(product(1)), '<script src="/captcha.js"></script>'),
        page(card('<img src="/1.jpg" alt="Robot Check captcha puzzle">')),
        page('<a href="/s?k=captcha">captcha</a><form action="/s?k=captcha">', title="Amazon.in : robot check"),
        "<html><title>404</title><body>Not found</body></html>",
    ],
)
def test_other_pages_are_not_taken_for_robot_checks(html: str) -> None:
    assert not is_blocked(html)
