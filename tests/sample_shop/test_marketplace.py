"""The marketplace beside the shop: what its pages look like to a scraper, and each of its faults."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from bs4 import BeautifulSoup
from PIL import Image

from recsys.ingest.scraping.pages import Picture, is_blocked, parse_results
from sample_shop import SampleHost, SampleShop
from sample_shop.assortment import LABELS, product
from sample_shop.faults import FAILURES_BEFORE_OK
from sample_shop.marketplace import PAGES, PRODUCTS, Marketplace

pytestmark = pytest.mark.server

LARGEST = 480


@pytest.fixture(scope="module")
def host(shop: SampleShop) -> Iterator[SampleHost]:
    with SampleHost(
        shop.folder,
        searches={"Eyewear": "captcha", "Watches": "captcha_then_ok", "3C": "503_then_ok", "Baby Care": "empty"},
    ) as running:
        yield running


def ask(host: SampleHost, keyword: str, page: int = 1) -> requests.Response:
    return requests.get(f"{host.url}/s?k={quote(keyword, safe='')}&page={page}", timeout=5)


def pictures(host: SampleHost, keyword: str, page: int = 1) -> list[Picture]:
    return parse_results(ask(host, keyword, page).content, host.url)


def test_every_label_is_found_on_several_pages_and_then_no_more(host: SampleHost) -> None:
    for label in set(LABELS) - set(host.marketplace.faults):
        pages = [{picture.url for picture in pictures(host, label, page)} for page in range(1, PAGES + 2)]
        assert [len(page) for page in pages] == [PRODUCTS + 1] * PAGES + [0], label
        assert len(set.union(*pages)) == PAGES * (PRODUCTS + 1)


@pytest.mark.parametrize(
    ("keyword", "label"), [("pet supplies", "Pet Supplies"), ("backpack", "Bags, Wallets & Belts")]
)
def test_a_keyword_finds_a_label_by_its_name_or_by_what_is_sold_there(
    host: SampleHost, keyword: str, label: str
) -> None:
    assert pictures(host, keyword) == pictures(host, label) != []


@pytest.mark.parametrize("keyword", ["submarine", "", "<script>alert(1)</script>"])
def test_what_is_not_sold_is_an_empty_page_with_the_keyword_as_text(host: SampleHost, keyword: str) -> None:
    answer = ask(host, keyword)
    assert answer.status_code == 200 and not is_blocked(answer.content)
    assert parse_results(answer.content, host.url) == [] and "<script>" not in answer.text


def test_a_page_has_what_a_scraper_must_leave_out(host: SampleHost) -> None:
    page = BeautifulSoup(ask(host, "Pet Supplies").content, "html.parser")
    images = {str(image["src"]) for image in page.find_all("img")}
    for decoration in ("logo", "sprite", "pixel", "badge", "swatch"):
        assert any(decoration in image for image in images), decoration
    assert len(page.select(".AdHolder")) == 1
    assert len(page.select("img.s-image")) == PRODUCTS + 2
    assert not any(picture.title.startswith("Sponsored") for picture in pictures(host, "Pet Supplies"))
    assert all(f"UL{LARGEST}_" in picture.url for picture in pictures(host, "Pet Supplies"))


def test_one_picture_of_a_page_has_a_second_address(host: SampleHost) -> None:
    bodies = [requests.get(picture.url, timeout=5).content for picture in pictures(host, "Pet Supplies")]
    assert len(bodies) == PRODUCTS + 1 and len(set(bodies)) == PRODUCTS


def test_pictures_come_in_the_size_that_their_name_says(host: SampleHost) -> None:
    for picture in pictures(host, "Pet Supplies"):
        small = picture.url.replace(f"UL{LARGEST}_", "UL160_")
        sizes = [Image.open(io.BytesIO(requests.get(url, timeout=5).content)) for url in (picture.url, small)]
        assert [image.format for image in sizes] == ["JPEG", "JPEG"]
        assert max(sizes[1].size) == min(160, max(sizes[0].size)) and max(sizes[0].size) <= LARGEST


@pytest.mark.parametrize(
    "path",
    [
        "/scraped/I/1a._AC_UL481_.jpg",
        "/scraped/I/x.jpg",
        "/scraped/I/9999999999a._AC_UL160_.jpg",
        "/scraped/",
        "/s/",
        "//[",
    ],
)
def test_what_it_does_not_have_is_404(host: SampleHost, path: str) -> None:
    assert requests.get(f"{host.url}{path}", timeout=5).status_code == 404


def test_its_products_are_not_those_of_the_shop(shop: SampleShop, host: SampleHost) -> None:
    assert host.marketplace.seed != shop.seed
    ours = {path.read_bytes() for path in (Path(shop.folder) / "images").iterdir()}
    assert not ours & {requests.get(picture.url, timeout=5).content for picture in pictures(host, "Pet Supplies")}


def test_the_same_seed_gives_the_same_pages_and_pictures() -> None:
    one, same, other = Marketplace(5), Marketplace(5), Marketplace(6)
    for target in ("/s?k=Pet+Supplies&page=2", "/scraped/I/3a._AC_UL160_.jpg"):
        assert one.answer(target) == same.answer(target) != other.answer(target)
    assert product(5, 3) != product(6, 3)


def test_a_captcha_replaces_every_result(host: SampleHost) -> None:
    for _ in range(FAILURES_BEFORE_OK + 1):
        answer = ask(host, "Eyewear")
        assert answer.status_code == 200 and is_blocked(answer.content)


def test_a_passing_captcha_gives_way_to_results_of_that_keyword(host: SampleHost) -> None:
    blocked = [is_blocked(ask(host, "Watches").content) for _ in range(FAILURES_BEFORE_OK + 1)]
    assert blocked == [True] * FAILURES_BEFORE_OK + [False]
    assert pictures(host, "Watches")


def test_a_busy_search_answers_503_and_then_results(host: SampleHost) -> None:
    assert [ask(host, "3C").status_code for _ in range(FAILURES_BEFORE_OK + 1)] == [503] * FAILURES_BEFORE_OK + [200]


def test_a_label_can_have_no_results(host: SampleHost) -> None:
    assert pictures(host, "Baby Care") == [] and not is_blocked(ask(host, "Baby Care").content)


def test_its_robots_txt_allows_the_search_only(host: SampleHost) -> None:
    rules = requests.get(f"{host.url}/robots.txt", timeout=5).text
    assert "Disallow: /gp/" in rules and "Disallow: /s\n" not in rules


def test_requests_are_counted_apart_from_those_of_the_shop(shop: SampleShop) -> None:
    with SampleHost(shop.folder) as running:
        ask(running, "Pet Supplies", 2)
        assert dict(running.marketplace.requests) == {"/s?k=Pet%20Supplies&page=2": 1}
        assert running.stats() == {}
