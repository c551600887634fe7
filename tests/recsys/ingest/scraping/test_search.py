"""A search: its pages, its retries and pauses, and its failures."""

from __future__ import annotations

import socket
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from recsys.core.configuration import Scraping
from recsys.core.errors import FetchError, PermanentFetchError, TransientFetchError
from recsys.ingest.scraping.marketplace import open_session, search
from recsys.ingest.scraping.pages import Picture
from tests.recsys.ingest.scraping.layout import CAPTCHA, EMPTY, card, page, product
from tests.recsys.ingest.scraping.market import (
    Answer,
    Marketplace,
    cut_short,
    endless,
    failure,
    in_turn,
    silence,
    status,
)


def test_the_pages_of_a_keyword_are_read_until_one_is_empty(market: Marketplace) -> None:
    market.pages = [page(card(product(1)), card(product(2))), page(card(product(2)), card(product(3))), EMPTY]
    found = search("watch", market.settings.model_copy(update={"pages": 10}))
    assert found == [Picture(f"{market.url}/images/I/{n}.jpg", f"Watch {n}") for n in (1, 2, 3)]
    assert market.paths == ["/robots.txt", *(f"/s?k=watch&page={n}" for n in (1, 2, 3))]


def test_no_more_pages_are_read_than_set(market: Marketplace) -> None:
    market.pages = [page(card(product(n))) for n in range(5)]
    assert len(search("watch", market.settings)) == 2
    assert len(market.paths) == 3


def test_the_search_stops_at_a_page_without_a_new_picture(market: Marketplace) -> None:
    market.pages = [page(card(product(1)))]
    assert len(search("watch", market.settings.model_copy(update={"pages": 50}))) == 1
    assert len(market.paths) == 3


def test_a_keyword_without_results_gives_none(market: Marketplace) -> None:
    assert search("watch", market.settings) == []
    assert len(market.paths) == 2


def test_a_keyword_is_text_and_never_part_of_the_address(market: Marketplace) -> None:
    search("Pens & Stationery/../?page=9#{page}", market.settings)
    assert parse_qs(urlsplit(market.paths[-1]).query) == {"k": ["Pens & Stationery/../?page=9#{page}"], "page": ["1"]}


def test_requests_name_this_program_and_share_one_connection(market: Marketplace) -> None:
    market.pages = [page(card(product(1))), EMPTY]
    with open_session(market.settings) as session:
        search("watch", market.settings, session)
        search("clock", market.settings, session)
    assert market.agents == {market.settings.user_agent}
    assert len(market.paths) == 6
    assert market.connections == 1


def test_there_is_a_pause_before_each_page(market: Marketplace) -> None:
    market.pages = [page(card(product(1))), EMPTY]
    start = time.monotonic()
    search("watch", market.settings.model_copy(update={"delay_s": 0.3}))
    assert 0.6 <= time.monotonic() - start < 2


def test_a_robot_check_is_a_failure_that_may_pass(market: Marketplace) -> None:
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


def test_a_busy_host_is_retried(market: Marketplace) -> None:
    market.pages = [in_turn(status(503), status(200, page(card(product(1))))), EMPTY]
    assert len(search("watch", market.settings)) == 1
    assert market.paths.count("/s?k=watch&page=1") == 2


def test_retry_after_is_obeyed_up_to_the_limit(market: Marketplace) -> None:
    market.pages = [in_turn(status(429, Retry_After="3600"), status(200, EMPTY))]
    start = time.monotonic()
    assert search("watch", market.settings.model_copy(update={"wait_max_s": 1.0})) == []
    assert 1 <= time.monotonic() - start < 3


@pytest.mark.parametrize(
    ("code", "kind", "times"),
    [(404, PermanentFetchError, 1), (403, PermanentFetchError, 1), (503, TransientFetchError, 2)],
)
def test_a_page_that_keeps_failing_fails_the_search(
    market: Marketplace, code: int, kind: type[FetchError], times: int
) -> None:
    market.pages = [status(code)]
    error = failure(market)
    assert type(error) is kind
    assert (error.cause, error.http_code) == (f"http_{code}", code)
    assert len(market.paths) == 1 + times


def test_a_redirect_of_a_result_page_is_not_followed(market: Marketplace) -> None:
    market.pages = [status(302, Location="/private?page=1")]
    error = failure(market)
    assert error.cause == "http_302"
    assert "/private?page=1; set scraping.url" in str(error)
    assert len(market.paths) == 2


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
def test_a_body_that_hangs_or_never_ends_or_is_cut_short_fails(market: Marketplace, answer: Answer, cause: str) -> None:
    market.pages = [answer]
    assert failure(market).cause == cause


def test_an_endless_503_is_not_read_before_the_retry(market: Marketplace) -> None:
    market.pages = [in_turn(endless(503), status(200, page(card(product(1))))), EMPTY]
    start = time.monotonic()
    assert len(search("watch", market.settings)) == 1
    assert time.monotonic() - start < 5


def test_a_refused_connection_is_a_failure_that_may_pass() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(TransientFetchError) as raised:
        search("watch", Scraping(url=f"http://127.0.0.1:{port}/{{keyword}}", retries=0))
    assert raised.value.cause == "refused"


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
def test_a_url_that_cannot_be_searched_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"http or https|write \{keyword\}"):
        Scraping(url=url)
