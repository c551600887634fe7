"""Result pages of a marketplace, served on the loopback interface by a host that can go wrong in many ways."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from recsys.configuration import Scraping
from recsys.errors import FetchError, PermanentFetchError, TransientFetchError
from recsys.scraping import Picture, is_blocked, open_session, parse_results, search

BASE = "https://market.example/s?k=watch&page=1"


def card(image: str, before: str = "", kind: str = "s-result-item s-asin") -> str:
    """One result card in Amazon's layout."""
    return f"""
    <div data-asin="B00" data-index="2" data-component-type="s-search-result" class="sg-col-4-of-24 {kind}">
     <div class="sg-col-inner">{before}
      <span data-component-type="s-product-image" class="rush-component">
       <a class="a-link-normal s-no-outline" href="/Some-Watch/dp/B00/ref=sr_1_1?keywords=watch">
        <div class="a-section aok-relative s-image-square-aspect">{image}</div></a></span>
      <h2><a href="/Some-Watch/dp/B00"><span class="a-text-normal">Some Watch</span></a></h2>
      <i class="a-icon a-icon-prime"></i><span class="a-price"><span class="a-offscreen">&#8377;1,299</span></span>
     </div></div>"""


def product(number: int | str) -> str:
    return f'<img class="s-image" src="/images/I/{number}.jpg" alt="Watch {number}">'


def page(*cards: str, title: str = "Amazon.in : watch") -> str:
    """A result page with the furniture around its cards."""
    return f"""<!doctype html><html lang="en-in"><head><meta charset="utf-8"><title>{title}</title></head><body>
    <!-- sp:feature:nav --><img src="/images/G/nav-sprite-global.png" alt=""><img src="/logo.png" alt="Amazon">
    <form action="/s" method="get"><input id="twotabsearchtextbox" name="k" value="watch"></form>
    <img height="1" width="1" src="//fls-eu.market.example/1/batch/1/OP/A" alt="">
    <div data-component-type="s-impression-counter" class="s-main-slot">{"".join(cards)}</div>
    <script>if (1 < 2) {{ document.write("<div data-component-type='s-search-result'>"); }}</script>
    <img src="/images/footer.jpg" alt="Back to top"></body></html>"""


CAPTCHA = """<!doctype html><!-- To discuss automated access to Amazon data please contact us. -->
<html><head><title dir="ltr">Amazon.in</title></head><body><h4>Enter the characters you see below</h4>
<form method="get" action="/errors/validateCaptcha"><img src="/captcha/Captcha_a.jpg">
<input id="captchacharacters" name="field-keywords"></form></body></html>"""

EMPTY = page("<span>No results for <b>watch</b></span>")


def urls(html: str | bytes) -> list[str]:
    return [picture.url for picture in parse_results(html, BASE)]


# --- what is read of a page ---


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
def test_decoration_is_no_product(image: str) -> None:
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


def test_a_product_that_only_speaks_of_sponsors_is_kept() -> None:
    image = '<img class="s-image" src="/1.jpg" alt="Shirt, sponsored by a team">'
    assert urls(page(card(image, before="<span>Sponsored by a team</span>"))) == ["https://market.example/1.jpg"]


def test_a_picture_that_is_shown_twice_is_listed_once() -> None:
    assert urls(page(card(product(1)), card(product(2)), card(product(1)))) == [
        f"https://market.example/images/I/{n}.jpg" for n in (1, 2)
    ]


def test_titles_are_text_on_one_line_and_never_markup() -> None:
    image = '<img src="/1.jpg" alt=" &lt;script&gt;alert(1)&lt;/script&gt;\n  &#2965;&quot; ">'
    assert parse_results(page(card(image)), BASE)[0].title == '<script>alert(1)</script> க"'


def test_broken_html_gives_what_can_be_read() -> None:
    unclosed = '<div data-component-type="s-search-result"><span><img class=s-image src=/1.jpg alt="One">'
    advertisement = '<div data-component-type="s-search-result" class="AdHolder"><b><img src="/ad.jpg">'
    html = f'<html><body></p></div>{unclosed}{advertisement}</i>{unclosed.replace("1", "2")}<![x <? <!-- <a href="'
    assert urls(html) == ["https://market.example/1.jpg", "https://market.example/2.jpg"]


def test_cards_in_comments_and_scripts_are_none() -> None:
    assert urls(page(f"<!-- {card(product(1))} -->", f"<script>{card(product(2))}</script>")) == []


def test_bytes_are_read_as_utf_8_and_others_do_not_stop_it() -> None:
    html = page(card('<img src="/1.jpg" alt="Überuhr">'))
    assert parse_results(html.encode(), BASE)[0].title == "Überuhr"
    assert urls(html.encode("latin-1")) == ["https://market.example/1.jpg"]


@pytest.mark.parametrize(
    "trap", ["<div>", "<!--", "<![", "<?", "<title", "<a ", "<b><i></b>", "<a x='", "&#x", "</", "<script></scrip"]
)
def test_hostile_markup_holds_the_parser_for_a_moment_only(trap: str) -> None:
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
def test_other_pages_are_no_robot_checks(html: str) -> None:
    assert not is_blocked(html)


# --- the host ---

Answer = Callable[[BaseHTTPRequestHandler], None]


class Marketplace:
    """Answers /s and /robots.txt with what `pages` and `robots` hold; the last page stands for all after it."""

    def __init__(self) -> None:
        self.pages: list[str | Answer] = [EMPTY]
        self.robots: str | Answer = status(404)
        self.asked: list[str] = []
        self.agents: set[str] = set()
        self.connections = 0
        self.released = threading.Event()

    @property
    def settings(self) -> Scraping:
        return Scraping(
            url=f"{self.url}/s?k={{keyword}}&page={{page}}",
            timeout_s=0.5,
            retries=1,
            backoff_s=0,
            delay_s=0,
            max_bytes=1 << 18,
        )


def status(code: int, body: str = "", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body.encode())))
        handler.end_headers()
        handler.wfile.write(body.encode())

    return answer


def endless(code: int = 200, piece: bytes = b"<p>" * 10_000, pause_s: float = 0.0, location: str = "") -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        if location:
            handler.send_header("Location", location)
        handler.end_headers()
        handler.close_connection = True
        end = time.monotonic() + 6  # past every test's patience: who reads on is late, not stuck
        while time.monotonic() < end and not handler.server.marketplace.released.wait(pause_s):  # type: ignore[attr-defined]
            handler.wfile.write(piece)

    return answer


def silence(handler: BaseHTTPRequestHandler) -> None:
    handler.server.marketplace.released.wait(20)  # type: ignore[attr-defined]
    handler.close_connection = True


def cut_short(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(page(card(product(1))).encode())
    handler.close_connection = True


def in_turn(*answers: Answer) -> Answer:
    """Each answer once, then the last one for ever."""
    left = list(answers)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.marketplace.connections += 1  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        marketplace: Marketplace = self.server.marketplace  # type: ignore[attr-defined]
        marketplace.asked.append(self.path)
        marketplace.agents.add(self.headers["User-Agent"])
        address = urlsplit(self.path)
        answer: str | Answer = status(404)
        if address.path == "/robots.txt":
            answer = marketplace.robots
        elif address.path == "/s":
            number = int(parse_qs(address.query)["page"][0])
            answer = marketplace.pages[min(number, len(marketplace.pages)) - 1]
        try:
            (status(200, answer) if isinstance(answer, str) else answer)(self)
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Iterator[Marketplace]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    marketplace = Marketplace()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.marketplace = marketplace  # type: ignore[attr-defined]
        marketplace.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield marketplace
        marketplace.released.set()
        server.shutdown()


def failure(market: Marketplace, **changes: object) -> FetchError:
    """The error that a search ends with, well before its test would be stuck."""
    start = time.monotonic()
    with pytest.raises(FetchError) as raised:
        search("watch", market.settings.model_copy(update=changes))
    assert time.monotonic() - start < 5
    assert "\n" not in str(raised.value)
    return raised.value


def test_the_pages_of_a_keyword_are_read_until_one_is_empty(market: Marketplace) -> None:
    market.pages = [page(card(product(1)), card(product(2))), page(card(product(2)), card(product(3))), EMPTY]
    found = search("watch", market.settings.model_copy(update={"pages": 10}))
    assert found == [Picture(f"{market.url}/images/I/{n}.jpg", f"Watch {n}") for n in (1, 2, 3)]
    assert market.asked == ["/robots.txt", *(f"/s?k=watch&page={n}" for n in (1, 2, 3))]


def test_no_more_pages_are_read_than_set(market: Marketplace) -> None:
    market.pages = [page(card(product(n))) for n in range(5)]
    assert len(search("watch", market.settings)) == 2
    assert len(market.asked) == 3


def test_a_marketplace_that_repeats_its_last_page_is_not_read_on(market: Marketplace) -> None:
    market.pages = [page(card(product(1)))]
    assert len(search("watch", market.settings.model_copy(update={"pages": 50}))) == 1
    assert len(market.asked) == 3


def test_a_keyword_without_results_gives_none(market: Marketplace) -> None:
    assert search("watch", market.settings) == []
    assert len(market.asked) == 2


def test_a_keyword_is_text_and_never_part_of_the_address(market: Marketplace) -> None:
    search("Pens & Stationery/../?page=9#{page}", market.settings)
    assert parse_qs(urlsplit(market.asked[-1]).query) == {"k": ["Pens & Stationery/../?page=9#{page}"], "page": ["1"]}


def test_the_host_is_told_who_asks_over_one_connection(market: Marketplace) -> None:
    market.pages = [page(card(product(1))), EMPTY]
    with open_session(market.settings) as session:
        search("watch", market.settings, session)
        search("clock", market.settings, session)
    assert market.agents == {market.settings.user_agent}
    assert len(market.asked) == 6
    assert market.connections == 1


def test_there_is_a_pause_between_two_pages(market: Marketplace) -> None:
    market.pages = [page(card(product(1))), EMPTY]
    start = time.monotonic()
    search("watch", market.settings.model_copy(update={"delay_s": 0.3}))
    assert 0.3 <= time.monotonic() - start < 2


def test_a_robot_check_is_a_passing_failure_of_its_keyword(market: Marketplace) -> None:
    market.pages = [page(card(product(1))), CAPTCHA]
    error = failure(market)
    assert isinstance(error, TransientFetchError)
    assert (error.cause, error.http_code) == ("blocked", 200)


@pytest.mark.parametrize(
    "answer", [status(503, CAPTCHA), status(403, CAPTCHA), status(302, Location="/errors/validateCaptcha?x=1")]
)
def test_a_robot_check_is_recognised_under_any_status(market: Marketplace, answer: Answer) -> None:
    market.pages = [answer]
    assert failure(market).cause == "blocked"


def test_a_host_that_is_busy_for_a_moment_is_asked_again(market: Marketplace) -> None:
    market.pages = [in_turn(status(503), status(200, page(card(product(1))))), EMPTY]
    assert len(search("watch", market.settings)) == 1
    assert market.asked.count("/s?k=watch&page=1") == 2


def test_retry_after_is_waited_for_up_to_the_limit(market: Marketplace) -> None:
    market.pages = [in_turn(status(429, Retry_After="3600"), status(200, EMPTY))]
    start = time.monotonic()
    assert search("watch", market.settings.model_copy(update={"wait_max_s": 1.0})) == []
    assert 1 <= time.monotonic() - start < 3


@pytest.mark.parametrize(
    ("code", "kind", "times"),
    [(404, PermanentFetchError, 1), (403, PermanentFetchError, 1), (503, TransientFetchError, 2)],
)
def test_a_page_that_stays_bad_is_told(market: Marketplace, code: int, kind: type[FetchError], times: int) -> None:
    market.pages = [status(code)]
    error = failure(market)
    assert type(error) is kind
    assert (error.cause, error.http_code) == (f"http_{code}", code)
    assert len(market.asked) == 1 + times


def test_a_page_that_has_moved_is_not_followed_past_robots_txt(market: Marketplace) -> None:
    market.pages = [status(302, Location="/private?page=1")]
    error = failure(market)
    assert error.cause == "http_302"
    assert "/private?page=1; set scraping.url" in str(error)
    assert len(market.asked) == 2


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (silence, "timeout"),
        (endless(piece=b"x", pause_s=0.05), "timeout"),
        (endless(), "too_large"),
        (endless(302, location="/s"), "too_large"),
        (cut_short, "reset"),
    ],
)
def test_a_body_that_hangs_drips_never_ends_or_is_cut_short_is_given_up(
    market: Marketplace, answer: Answer, cause: str
) -> None:
    market.pages = [answer]
    assert failure(market).cause == cause


def test_an_endless_503_is_not_read_to_its_end_before_the_next_try(market: Marketplace) -> None:
    market.pages = [in_turn(endless(503), status(200, page(card(product(1))))), EMPTY]
    start = time.monotonic()
    assert len(search("watch", market.settings)) == 1
    assert time.monotonic() - start < 5


def test_a_host_that_takes_no_connection_is_a_passing_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(TransientFetchError) as raised:
        search("watch", Scraping(url=f"http://127.0.0.1:{port}/{{keyword}}", retries=0))
    assert raised.value.cause == "refused"


# --- robots.txt ---


@pytest.mark.parametrize(
    "rules",
    [
        "User-agent: *\nDisallow: /",
        "User-agent: *\n\nDisallow: /s",
        "\ufeffUser-agent: *\r\nDisallow: /s?k=*",
        "User-agent: *\nDisallow: *",
        "User-agent: *\nAllow: /\n\nUser-agent: Visual-Recommender\nDisallow: /*",
    ],
)
def test_what_robots_txt_forbids_is_not_asked_for(market: Marketplace, rules: str) -> None:
    market.robots = rules
    error = failure(market)
    assert isinstance(error, PermanentFetchError)
    assert error.cause == "robots"
    assert market.asked == ["/robots.txt"]


@pytest.mark.parametrize(
    "robots",
    [
        status(404),
        status(403),
        "",
        "User-agent: *\nDisallow: /gp/*\nDisallow: /s?k=*&rh=n*p_\n\nUser-agent: OtherBot\nDisallow: /",
        "<html>what is this</html>",
        in_turn(status(301, Location="/robots.txt?1"), status(200, "User-agent: *\nDisallow: /gp")),
    ],
)
def test_what_robots_txt_does_not_forbid_is_allowed(market: Marketplace, robots: str | Answer) -> None:
    market.robots = robots
    market.pages = [page(card(product(1))), EMPTY]
    assert len(search("watch", market.settings)) == 1


@pytest.mark.parametrize("robots", [status(500), status(503), status(429), silence, status(200, CAPTCHA)])
def test_a_robots_txt_that_is_out_of_order_forbids_everything_for_now(market: Marketplace, robots: Answer) -> None:
    market.robots = robots
    error = failure(market)
    assert isinstance(error, TransientFetchError)
    assert "/robots.txt" in str(error)
    assert set(market.asked) == {"/robots.txt"}


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "http://[", "http://u:p@127.0.0.1/", "/robots.txt", "gopher://127.0.0.1/"]
)
def test_robots_txt_that_points_nowhere_ends_the_search(market: Marketplace, target: str) -> None:
    market.robots = status(302, Location=target)
    assert failure(market).cause == "http_302"


def test_a_crawl_delay_is_kept_up_to_the_limit(market: Marketplace) -> None:
    market.robots = "User-agent: *\nCrawl-delay: 3600"
    market.pages = [page(card(product(1))), EMPTY]
    start = time.monotonic()
    search("watch", market.settings.model_copy(update={"wait_max_s": 0.4}))
    assert 0.4 <= time.monotonic() - start < 3


# --- the setting ---


@pytest.mark.parametrize(
    "url",
    [
        "ftp://market.example/{keyword}",
        "market.example/{keyword}",
        "https://market.example/s",
        "https://{keyword}.example/",
        "https://user:secret@market.example/{keyword}",
    ],
)
def test_an_address_that_cannot_be_searched_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"http or https|write \{keyword\}"):
        Scraping(url=url)
