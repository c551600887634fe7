"""The service's page in a real browser, over a real server: the tasks of a merchandiser, and hostile input."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from urllib.request import urlopen

import numpy as np
import pyarrow as pa
import pytest
import uvicorn
from PIL import Image

from recsys.core.configuration import Configuration
from recsys.models import features
from recsys.service import create_service
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store
from recsys.vision.square import decode_squared, encode
from tests.recsys import worded_shop

pytest.importorskip("playwright", reason="playwright, which drives the browser, is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect, sync_playwright  # noqa: E402

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
CONFIGURATION = Configuration()
PRODUCTS = 40
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
ODD_ID = 'o\'brien/7 "日本" & ?#%2F'
WITHOUT_PRICE, WITHOUT_LABEL, ODD = 3, 5, PRODUCTS - 1
KINDS = ("Watches", "Bags & <b>Belts</b>")
THINGS = ("Anvil", "Bell", "Clock", "Drum", "Easel", "Flute", "Globe", "Harp", "Inkwell", "Jug")
TOP = 12

NO_BROWSER = "no chromium, chromium-browser or google-chrome is installed"
pytestmark = [pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER), pytest.mark.browser]


def id_of(number: int) -> str:
    return ODD_ID if number == ODD else f"p{number}"


def name_of(number: int) -> str:
    return HOSTILE if number == ODD else f"{THINGS[number % 10]} of {('oak', 'brass', 'glass', 'wool')[number // 10]}"


def picture_of(number: int) -> bytes:
    """Return a JPEG of random coloured blocks."""
    rng = np.random.default_rng(number)
    blocks = rng.integers(0, 255, (4, 4, 3), np.uint8).repeat(40, 0).repeat(40, 1)
    return encode(np.pad(blocks, ((48, 48), (48, 48), (0, 0)), constant_values=255), 95)


def fill(home: Path) -> None:
    """Create a small shop with random features; product 6 has the features of its image."""
    store = Store(home)

    def write(table: str, rows: list[dict[str, Any]]) -> None:
        store.write(table, pa.Table.from_pylist(rows, schema=SCHEMAS[table]))

    numbers = range(PRODUCTS)
    write(
        "products",
        [
            {
                **{"product_id": id_of(i), "position": i, "name": name_of(i), "row_digest": str(i)},
                **{"brand": ("Acme & Sons", "Bolt", None)[i % 3], "category_path": ["Things", THINGS[i % 10]]},
                "price": None if i == WITHOUT_PRICE else 99.5 + 100 * (i % 11),
                "in_stock": i % 4 != 3,
            }
            for i in numbers
        ],
    )
    labels = [None if i == WITHOUT_LABEL else KINDS[i % 2] for i in numbers]
    write("labels", [{"product_id": id_of(i), "label": label} for i, label in enumerate(labels)])
    jpegs = [picture_of(i) for i in numbers]
    write(
        "images",
        [{"product_id": id_of(i), "status": "ok", "image_digest": f"d{i}", "jpeg": jpegs[i]} for i in numbers],
    )
    rng = np.random.default_rng(7)
    embeddings = rng.standard_normal((PRODUCTS, 1280)).astype(np.float32)
    histograms = rng.random((PRODUCTS, 768)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    histograms /= histograms.sum(axis=1, keepdims=True)
    embeddings[6:7], histograms[6:7] = features.describe(decode_squared(jpegs[6])[None], CONFIGURATION, store.home)
    digests = [f"d{i}" for i in numbers]
    store.write(features.table_name(CONFIGURATION), features.rows_of(digests, embeddings, histograms))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the small shop on the loopback interface, and return its address."""
    home = tmp_path_factory.mktemp("page") / "home"
    fill(home)
    with serving(home) as url:
        yield url


@contextlib.contextmanager
def serving(home: Path) -> Iterator[str]:
    """Run a real server over a home, and return its address."""
    server = uvicorn.Server(uvicorn.Config(create_service(home, CONFIGURATION), port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=20_000)  # other tests may use all cores
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@dataclass
class Visit:
    """An open page, the messages on its console, and the URLs that it requested."""

    page: Page
    address: str
    messages: list[str] = field(default_factory=list)
    expected: list[tuple[str, ...]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, **params: Any) -> Page:
        self.page.goto(f"{self.address}/?{urlencode(params)}" if params else f"{self.address}/")
        expect(self.page.locator("[aria-busy]")).to_have_count(0)
        return self.page

    def expect_message(self, *words: str) -> None:
        """Wait for a console message with all of these words, and accept all messages with them.

        A browser logs a failed response after the page has received it, and a page sends several requests, so more
        messages of this kind can follow.
        """
        self.expected.append(words)
        deadline = time.monotonic() + 10
        while not any(has_all(words, message) for message in self.messages):
            assert time.monotonic() < deadline, (words, self.messages)
            self.page.wait_for_timeout(20)

    def unexpected_messages(self) -> list[str]:
        return [message for message in self.messages if not any(has_all(words, message) for words in self.expected)]


def describe(message: ConsoleMessage) -> str:
    return f"{message.type}: {message.text} ({message.location['url']})"


def has_all(words: tuple[str, ...], message: str) -> bool:
    return all(word in message for word in words)


Open = Callable[..., Visit]


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Open]:
    """Return a function that opens a browser tab; at the end check its console and that it requested no other host."""
    visits: list[Visit] = []

    def new_visit(url: str = address, **options: Any) -> Visit:
        context = browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce", "locale": "en-GB", **options})
        context.set_default_timeout(15_000)
        visit = Visit(context.new_page(), url)
        visit.page.on("console", lambda message: visit.messages.append(describe(message)))
        visit.page.on("pageerror", lambda error: visit.messages.append(str(error)))
        visit.page.on("dialog", lambda dialog: visit.messages.append(f"dialog: {dialog.message}"))
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        visits.append(visit)
        return visit

    yield new_visit
    for visit in visits:
        visit.page.context.close()
    for visit in visits:
        assert visit.unexpected_messages() == []
        assert [url for url in visit.requests if not url.startswith((f"{visit.address}/", "blob:", "data:"))] == []


def similar(address: str, number: int, **rule: Any) -> list[str]:
    """Return the names of the products that the service recommends for a product."""
    params = {"top": TOP, **rule}
    with urlopen(f"{address}/products/{quote(id_of(number), safe='')}/similar?{urlencode(params)}") as reply:
        return [item["name"] for item in json.load(reply)["recommendations"]]


def names(page: Page, tiles: str = "#recommendations") -> list[str]:
    return page.locator(f"{tiles} h3").all_text_contents()


def test_products_are_browsed_by_page_and_label_with_prices(visit: Open) -> None:
    page = visit().open()
    expect(page.locator("#count")).to_have_text("1–24 of 40 products")
    assert names(page, "#products") == [name_of(i) for i in range(24)]
    costs = page.locator("#products .cost strong").all_text_contents()
    assert costs[0] == "₹99.50" and costs[WITHOUT_PRICE] == "no price"
    assert "2.5" not in page.locator("#products .cost span").all_text_contents()
    first = page.locator("#products img").first
    assert first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 256

    page.get_by_role("link", name="Next page").click()
    expect(page.locator("#count")).to_have_text("25–40 of 40 products")
    expect(page.locator("h1:visible")).to_be_focused()
    assert names(page, "#products") == [name_of(i) for i in range(24, 40)]
    page.reload()
    expect(page.locator("#count")).to_have_text("25–40 of 40 products")

    page.locator("#labels").get_by_text(KINDS[1]).click()
    expect(page.locator("h1:visible")).to_have_text(KINDS[1])
    expect(page.locator("#labels [aria-current]")).to_have_text(f"{KINDS[1]} 19")
    assert set(page.locator("#products .label").all_text_contents()) == {KINDS[1]}
    page.locator("#browse-level").select_option("4")
    expect(page.locator("#count")).to_contain_text("product")
    expect(page.locator("#products .cost span").first).to_have_text("level 4 of 4")


def test_a_search_updates_while_typing_and_reports_no_match(visit: Open) -> None:
    page = visit().open()
    box = page.get_by_role("searchbox")
    box.fill("brass")
    expect(page.locator("#count")).to_have_text("10 products")
    assert names(page, "#products") == [name_of(i) for i in range(10, 20)]
    expect(box).to_be_focused()
    expect(page.locator("#status")).to_have_text("10 products")
    box.fill("a unicorn")
    expect(page.locator("#no-products")).to_contain_text("“a unicorn”")
    page.get_by_role("link", name="Show all products").click()
    expect(page.locator("#count")).to_have_text("1–24 of 40 products")
    assert box.input_value() == ""


def test_a_misspelled_search_shows_the_best_products_with_their_reasons(visit: Open, tmp_path: Path) -> None:
    with serving(worded_shop.fill(tmp_path / "home").home) as url:
        page = visit(url).open()
        page.get_by_role("searchbox").fill("curtian red")
        expect(page.locator("#products h3").first).to_have_text("Red Floral Curtain")
        expect(page.locator("#products .why").first).to_contain_text('has "red"')
        page.get_by_role("searchbox").fill("")
        expect(page.locator("#products [data-id]")).to_have_count(len(worded_shop.NAMES))
        expect(page.locator("#products .why")).to_have_count(0)


def test_a_product_shows_its_facts_and_similar_products_with_reasons(visit: Open, address: str) -> None:
    page = visit().open()
    page.get_by_role("link", name=name_of(1), exact=True).click()
    expect(page.locator("#recommendations [data-id]")).to_have_count(TOP)
    assert page.title().startswith(name_of(1))
    expect(page.locator("h1:visible")).to_be_focused()
    expect(page.locator("#cost")).to_contain_text("₹199.50")
    expect(page.locator("#details")).to_contain_text("Things › Bell")
    assert names(page) == similar(address, 1)

    tile = page.locator("#recommendations li").first
    assert tile.locator(".rank").text_content() == "1"
    assert tile.locator(".cost").inner_text() and tile.locator(".why").inner_text()
    shown = [float(text) for text in tile.locator(".scores div > dd:not(.bar)").all_text_contents()]
    widths = tile.locator(".bar i").evaluate_all("bars => bars.map((bar) => parseFloat(bar.style.width) / 100)")
    assert len(shown) == 3 and shown == [pytest.approx(width, abs=0.006) for width in widths]

    page.locator("#recommendations a").nth(2).click()
    expect(page.locator("h1:visible")).to_have_text(similar(address, 1)[2])


def test_a_slider_works_by_keyboard_and_shows_the_services_order(visit: Open, address: str) -> None:
    page = visit().open(product="p1")
    before = names(page)
    slider = page.get_by_role("slider", name="Colour")
    slider.focus()
    page.keyboard.press("End")
    expect(slider.locator("xpath=../output")).to_contain_text("4 · ")
    page.get_by_role("slider", name="Price").focus()
    page.keyboard.press("Home")
    weights = {"colour_weight": 4, "price_weight": 0}
    expected = similar(address, 1, **weights)
    assert expected != before
    expect(page.locator("#recommendations h3")).to_have_text(expected)

    page.get_by_role("slider", name="Candidates").fill("40")
    expected = similar(address, 1, **weights, filter=40)
    expect(page.locator("#recommendations h3")).to_have_text(expected)
    page.wait_for_url("**filter=40**")
    page.reload()  # the URL contains the settings
    expect(page.locator("#recommendations h3")).to_have_text(expected)

    page.get_by_role("button", name="Reset").click()
    expect(page.locator("#recommendations h3")).to_have_text(before)
    expect(page.get_by_role("button", name="Reset")).to_be_disabled()


def test_a_late_answer_does_not_replace_a_newer_one(visit: Open, address: str) -> None:
    page = visit().open(product="p1")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/similar?**colour_weight=4**", hold)
    slider = page.get_by_role("slider", name="Colour")
    slider.fill("4")
    while not held:
        page.wait_for_timeout(20)
    slider.fill("0")
    expected = similar(address, 1, colour_weight=0)
    expect(page.locator("#recommendations h3")).to_have_text(expected)
    page.unroute_all(behavior="ignoreErrors")
    page.wait_for_timeout(100)
    assert names(page) == expected


def test_filters_restrict_the_similar_products(visit: Open, address: str) -> None:
    page = visit().open(product="p1", filter=40)
    page.locator("#level").select_option("2")
    page.get_by_label("Not from Bolt").check()
    page.get_by_label("In stock only").check()
    expected = similar(address, 1, filter=40, price_level=2, brand_not="Bolt", in_stock="true")
    expect(page.locator("#recommendations h3")).to_have_text(expected)
    assert set(page.locator("#recommendations .cost span").all_text_contents()) == {"level 2 of 4"}


def test_sold_out_products_are_marked_and_can_be_left_out(visit: Open, address: str) -> None:
    page = visit().open(product="p1", filter=40)
    sold_out = page.locator("#recommendations .cost", has_text="sold out")
    expect(sold_out.first).to_be_visible()
    page.get_by_label("In stock only").check()
    expect(sold_out).to_have_count(0)
    expect(page.locator("#recommendations h3")).to_have_text(similar(address, 1, filter=40, in_stock="true"))
    page.wait_for_url("**in_stock=1**")
    page.reload()
    expect(page.get_by_label("In stock only")).to_be_checked()


def test_back_forward_and_reload_restore_the_view(visit: Open) -> None:
    page = visit().open(q="glass")
    page.get_by_role("link", name=name_of(29), exact=True).click()
    expect(page.locator("h1:visible")).to_have_text(name_of(29))
    expect(page.locator("#recommendations [data-id]")).to_have_count(TOP)
    page.go_back()
    expect(page.locator("#count")).to_have_text("10 products")
    expect(page.get_by_role("link", name=name_of(29), exact=True)).to_be_focused()
    assert page.get_by_role("searchbox").input_value() == "glass"
    page.go_forward()
    expect(page.locator("h1:visible")).to_have_text(name_of(29))
    page.reload()
    expect(page.locator("h1:visible")).to_have_text(name_of(29))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the skip link
    expect(page.locator("main")).to_be_focused()
    expect(page.locator("h1:visible")).to_have_text(name_of(29))


RECORD = """const ask = window.fetch;
  window.fetch = (address, options) => { window.sent = options?.body ?? window.sent; return ask(address, options); }"""
SENT = """async () => {
  const picture = await createImageBitmap(window.sent);
  return [window.sent.type, picture.width, picture.height, window.sent.size];
}"""


def test_a_photo_finds_its_product(visit: Open, address: str, tmp_path: Path) -> None:
    large = tmp_path / "large.png"  # uploaded as a JPEG of 1,024 × 768
    with Image.open(io.BytesIO(picture_of(6))) as image:
        image.resize((2400, 1800)).save(large)
    small = tmp_path / "small.jpg"
    small.write_bytes(picture_of(6))

    opened = visit()
    opened.page.add_init_script(RECORD)
    page = opened.open(photo=1)
    page.get_by_label("Choose a photo").set_input_files(small)
    expect(page.locator("#recommendations [data-id]")).to_have_count(TOP)
    assert page.locator("#recommendations li").first.get_attribute("data-id") == "p6"
    assert page.locator("#picture").evaluate("image => image.decode().then(() => image.naturalWidth)") == 256
    assert page.evaluate(SENT) == ["image/jpeg", 256, 256, len(picture_of(6))]

    page.get_by_label("Kind (if known)").select_option(KINDS[0])
    page.get_by_label("Price (if known)").fill("250")
    expect(page.locator("#cost")).to_have_text(re.compile(r"₹250level [1-4] of 4"))
    assert set(page.locator("#recommendations .label").all_text_contents()) == {KINDS[0]}

    with page.expect_response("**/similar?*") as reply:
        page.get_by_label("Choose another photo").set_input_files(large)
    assert reply.value.ok
    assert page.evaluate(SENT)[:3] == ["image/jpeg", 1024, 768]
    page.locator("#recommendations a").first.click()
    page.go_back()
    expect(page.locator("h1:visible")).to_have_text("Your photo")
    expect(page.locator("#recommendations [data-id]")).to_have_count(TOP)


def test_a_photo_can_be_dropped_or_pasted_anywhere(visit: Open) -> None:
    make = """async (address) => {
      const blob = await (await fetch(address)).blob();
      const transfer = new DataTransfer();
      transfer.items.add(new File([blob], "dropped.jpg", { type: "image/jpeg" }));
      return transfer;
    }"""
    page = visit().open()
    transfer = page.evaluate_handle(make, "/images/p6")
    page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    expect(page.locator("#recommendations [data-id]").first).to_have_attribute("data-id", "p6")
    page.goto(page.url.split("?")[0])
    transfer = page.evaluate_handle(make, "/images/p6")
    page.evaluate(
        "transfer => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true }))",
        transfer,
    )
    expect(page.locator("#recommendations [data-id]").first).to_have_attribute("data-id", "p6")


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("notes.txt", b"not a picture", "notes.txt is not an image"),
        ("broken.jpg", b"\xff\xd8\xff\xe0 cut short", "broken.jpg cannot be read as an image"),
    ],
)
def test_a_wrong_file_is_refused_with_a_message(
    visit: Open, tmp_path: Path, name: str, body: bytes, message: str
) -> None:
    page = visit().open(photo=1)
    file = tmp_path / name
    file.write_bytes(body)
    page.get_by_label("Choose a photo").set_input_files(file)
    expect(page.get_by_role("alert")).to_contain_text(message)
    expect(page.locator("#drop")).to_be_visible()


def test_an_error_of_the_service_is_shown_and_can_be_retried(visit: Open) -> None:
    opened = visit()
    page = opened.open(product="missing")
    expect(page.get_by_role("alert")).to_contain_text("not in the catalogue")
    opened.expect_message("404", "/missing")

    page = opened.open(product="p1")
    shown = names(page)
    page.route("**/similar?**", lambda route: route.abort())
    page.get_by_role("slider", name="Look").fill("0")
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    assert names(page) == shown
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_be_empty()
    expect(page.locator("#recommendations [aria-busy]")).to_have_count(0)
    opened.expect_message("net::ERR_FAILED", "/similar?")


def test_an_empty_home_is_reported(visit: Open, tmp_path: Path) -> None:
    with serving(tmp_path / "none") as empty:
        opened = visit(empty)
        page = opened.open()
        expect(page.get_by_role("alert")).to_contain_text("no shop")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        expect(page.locator(".placeholder")).to_have_count(0)
        opened.expect_message("503")


def test_names_of_the_shop_are_shown_as_text_and_odd_ids_work(visit: Open) -> None:
    page = visit().open(page=2)
    page.get_by_role("link", name=HOSTILE, exact=True).click()
    expect(page.locator("h1:visible")).to_have_text(HOSTILE)
    expect(page.locator("#recommendations [data-id]")).to_have_count(TOP)
    expect(page.locator("#details")).to_contain_text(ODD_ID)
    assert page.locator("#picture").evaluate("image => image.decode().then(() => image.naturalWidth)") == 256
    page.get_by_role("searchbox").fill("<script")
    expect(page.locator("#products h3")).to_have_text([HOSTILE])
    assert page.title() == "“<script” · Visual recommender"
    assert page.locator("img[src='x'], main script, #labels b").count() == 0


def test_a_foreign_script_is_blocked_and_reported(visit: Open) -> None:
    opened = visit()
    page = opened.open()
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.x = 1'}))"
    )
    assert page.evaluate("window.x") is None
    opened.expect_message("Content Security Policy")


VIEWS: tuple[dict[str, str], ...] = ({}, {"product": "p1"}, {"photo": "1"})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_serious_accessibility_violation(visit: Open, tmp_path: Path, scheme: str) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(picture_of(6))
    opened = visit(color_scheme=scheme)
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if scheme == "dark":  # only the colours differ
        options["runOnly"] = ["color-contrast"]
    serious: dict[str, list[str]] = {}
    for view in VIEWS:
        page = opened.open(**view)
        if "photo" in view:
            page.locator("#file").set_input_files(photo)
            expect(page.locator("#recommendations [data-id]")).to_have_count(TOP)
            expect(page.locator("[aria-busy]")).to_have_count(0)
        violations = axe.Axe().run(page, options=options).response["violations"]
        serious |= {
            f"{view} {fault['id']}": [node["html"] for node in fault["nodes"]]
            for fault in violations
            if fault["impact"] in {"serious", "critical"}
        }
    assert serious == {}


MEASURE = """() => {
  const page = document.documentElement;
  const visible = [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility());
  const outside = visible.filter((element) => element.getBoundingClientRect().right > page.clientWidth + 1);
  const targets = visible.filter((element) => element.matches("a[href], button, input, select, .check, .drop"))
    .filter((element) => !element.closest(".tile, .skip, .label, .drop, .check") || element.matches(".check, .drop"));
  const small = targets.filter((element) => element.getBoundingClientRect().height < 44);
  return [page.scrollWidth, outside.map((e) => e.outerHTML), small.map((e) => e.outerHTML)];
}"""


def test_the_page_fits_a_phone_with_large_touch_targets(visit: Open) -> None:
    opened = visit(viewport=PHONE, has_touch=True, is_mobile=True)
    for view in (*VIEWS, {"product": ODD_ID}):
        assert opened.open(**view).evaluate(MEASURE) == [PHONE["width"], [], []]


def test_the_layout_is_stable_while_products_load(visit: Open) -> None:
    opened = visit()
    page = opened.page
    held: list[Route] = []
    page.route("**/similar?**", lambda route: held.append(route))
    page.goto(f"{opened.address}/?product=p1")
    expect(page.locator("#recommendations .placeholder")).to_have_count(TOP)
    expect(page.locator("h1:visible")).to_have_text(name_of(1))
    tops = "Array.from(document.querySelectorAll('#recommendations li'), (tile) => tile.getBoundingClientRect().top)"
    while not held:
        page.wait_for_timeout(20)
    before = page.evaluate(tops)
    held[0].continue_()
    expect(page.locator("#recommendations [data-id]")).to_have_count(TOP)
    assert page.evaluate(tops) == pytest.approx(before, abs=8)
