"""The stage on the store: missing keywords, one keyword, and that a scraped picture is never a product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests

from recsys.core.configuration import Configuration, load
from recsys.core.errors import ConfigurationError, PermanentFetchError, ScrapingError, TransientFetchError
from recsys.ingest.scraping.harvest import Search, class_sizes, missing, outcomes, require_found, run_search
from recsys.ingest.scraping.marketplace import search
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store
from recsys.vision.square import square_image
from sample_shop import SampleHost, SampleShop
from sample_shop.faults import FAILURES_BEFORE_OK
from sample_shop.marketplace import PRODUCTS
from tests.recsys.ingest.scraping.layout import EMPTY, card, page
from tests.recsys.ingest.scraping.market import Marketplace, status

PETS = "Pet Supplies"
SIZES = {"Watches": 5, PETS: 2, "Eyewear": 2, "3C": 0}
Configure = Callable[..., Configuration]


def write(store: Store, table: str, rows: list[dict[str, Any]]) -> None:
    store.write(table, pa.Table.from_pylist(rows, schema=SCHEMAS[table]))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A shop with as many pictured products of each label as SIZES says, and some that do not count."""
    store = Store(tmp_path / "home")
    now = datetime.now(UTC)
    products: list[tuple[str, str | None, str, datetime | None]] = [
        (f"{label}-{n}", label, "ok", None) for label, size in SIZES.items() for n in range(size)
    ]
    products += [(f"{label}-broken", label, "broken", None) for label in SIZES]
    products += [(f"{label}-removed", label, "ok", now) for label in SIZES]
    products += [("no-label", None, "ok", None)]
    write(store, "products", [{"product_id": key, "removed": removed} for key, _, _, removed in products])
    write(store, "labels", [{"product_id": key, "label": label} for key, label, _, _ in products])
    write(store, "images", [{"product_id": key, "status": state} for key, _, state, _ in products])
    return store


@pytest.fixture
def host(shop: SampleShop) -> Iterator[SampleHost]:
    """The sample shop's host, whose marketplace asks for captchas, is busy, or finds nothing."""
    faults = {"Eyewear": "captcha_then_ok", "Watches": "captcha", "3C": "503_then_ok", "nothing": "empty"}
    with SampleHost(shop.folder, searches=faults) as running:  # type: ignore[arg-type]
        yield running


@pytest.fixture
def configure(host: SampleHost) -> Configure:
    """The configuration that scrapes the stand-in, with changes to its section."""

    def configure(**changes: Any) -> Configuration:
        scraping = {"url": f"{host.url}/s?k={{keyword}}&page={{page}}", "delay_s": 0, "retries": 0, "grow_below": 3}
        flags = {
            "scraping": scraping | changes,
            "images": {"allow_hosts": ["127.0.0.1"], "backoff_s": 0, "attempts": 1},
        }
        return load(None, flags, environ={})

    return configure


def keys_of(searches: list[Search]) -> list[tuple[str, str]]:
    return [(query.label, query.keyword) for query in searches]


def row(store: Store, keyword: str) -> dict[str, Any]:
    """What the store says of the last search for a keyword."""
    return next(row for row in store.read("searches").to_pylist() if row["keyword"] == keyword)


# --- what is missing ---


def test_a_class_counts_the_pictures_of_active_products(store: Store) -> None:
    assert list(class_sizes(store).items()) == [("3C", 0), ("Eyewear", 2), (PETS, 2), ("Watches", 5)]


def test_small_classes_are_missing_and_the_smallest_comes_first(store: Store, configure: Configure) -> None:
    assert keys_of(missing(store, configure())) == [("3C", "3C"), ("Eyewear", "Eyewear"), (PETS, PETS)]
    assert keys_of(missing(store, configure(grow_below=2))) == [("3C", "3C")]
    assert missing(store, configure(grow_below=0)) == []


def test_by_default_the_classes_that_the_original_grew_are_small() -> None:
    c = load(environ={})
    original = {"Kitchen & Dining": 671, "Beauty and Personal Care": 753, "Home Furnishing": 880}
    assert [label for label, size in original.items() if size < c.scraping.grow_below] == ["Kitchen & Dining"]


def test_named_labels_are_searched_for_whatever_their_size(store: Store, configure: Configure) -> None:
    assert keys_of(missing(store, configure(), ["Watches"])) == [("Watches", "Watches")]
    assert missing(store, configure(), []) == []


def test_a_label_that_the_catalogue_lacks_is_refused(store: Store, configure: Configure) -> None:
    with pytest.raises(ConfigurationError, match="no label 'Pet Supplie'; did you mean 'Pet Supplies'"):
        missing(store, configure(), ["Pet Supplie"])
    with pytest.raises(ConfigurationError, match="recsys status"):
        missing(store, configure(), ["Submarines"])


def test_a_label_can_have_other_keywords(store: Store, configure: Configure) -> None:
    keywords = {PETS: ["dog collar", "bowl", "bowl"], "3C": []}
    searches = missing(store, configure(keywords=keywords))
    assert keys_of(searches) == [("Eyewear", "Eyewear"), (PETS, "dog collar"), (PETS, "bowl")]
    assert str(searches[1]) == "scraping: dog collar"


def test_a_keyword_is_done_until_the_settings_of_the_search_change(
    store: Store, configure: Configure, host: SampleHost
) -> None:
    once = configure(pages=1)
    run_search(store, missing(store, once, [PETS])[0], once)
    assert missing(store, once, [PETS]) == []
    assert keys_of(missing(store, configure(pages=2), [PETS])) == [(PETS, PETS)]
    assert keys_of(missing(store, configure(pages=1, pictures=2), [PETS])) == [(PETS, PETS)]
    elsewhere = configure(pages=1, url=f"{host.url}/s?k={{keyword}}&page={{page}}&other")
    assert keys_of(missing(store, elsewhere, [PETS])) == [(PETS, PETS)]


def test_scraped_pictures_count_for_their_class(store: Store, configure: Configure) -> None:
    counts = run_search(store, missing(store, configure(), [PETS])[0], configure())
    assert (counts.kept, counts.broken) == (2 * PRODUCTS, 0)
    assert class_sizes(store)[PETS] == SIZES[PETS] + 2 * PRODUCTS
    wider = configure(keywords={PETS: ["dog collar"]})
    assert keys_of(missing(store, wider)) == [("3C", "3C"), ("Eyewear", "Eyewear")]


def test_a_failed_search_is_missing_again_with_another_digest(store: Store, configure: Configure) -> None:
    query = missing(store, configure(), ["Watches"])[0]
    assert missing(store, configure(), ["Watches"]) == [query]
    with pytest.raises(TransientFetchError):
        run_search(store, query, configure())
    again = missing(store, configure(), ["Watches"])[0]
    assert (again.label, again.keyword) == (query.label, query.keyword) and again.digest != query.digest


# --- one keyword ---


def test_pictures_are_stored_once_by_content(store: Store, configure: Configure, host: SampleHost) -> None:
    configuration = configure(pages=2)
    counts = run_search(store, missing(store, configuration, [PETS])[0], configuration)
    assert (counts.found, counts.kept, counts.duplicates) == (2 * (PRODUCTS + 1), 2 * PRODUCTS, 2)
    rows = store.read("scraped").to_pylist()
    assert len(rows) == len({row["image_digest"] for row in rows}) == counts.kept
    assert all("a._AC" in row["url"] for row in rows)  # the address that came first, of two
    kept = rows[0]
    body = requests.get(kept["url"], timeout=5).content
    assert kept["image_digest"] == square_image(body, configuration.images).digest and kept["bytes"] == len(body)
    assert (kept["label"], kept["keyword"], kept["format"]) == (PETS, PETS, "JPEG")
    assert kept["jpeg"][:2] == b"\xff\xd8" and kept["title"] and kept["width"] and kept["scraped_at"]
    assert (row(store, PETS)["status"], row(store, PETS)["kept"]) == ("ok", counts.kept)
    requested = [target for target in host.marketplace.requests if target.startswith("/scraped/")]
    assert len(requested) == counts.found
    assert all("_AC_UL480_" in target for target in requested)  # the largest picture, and no logo


def test_a_picture_of_the_catalogue_is_not_stored(store: Store, configure: Configure) -> None:
    configuration = configure(pages=1)
    known = search(PETS, configuration.scraping)[3].url
    content = square_image(requests.get(known, timeout=5).content, configuration.images).digest
    write(store, "images", [{"product_id": "Watches-0", "status": "ok", "image_digest": content}])
    counts = run_search(store, missing(store, configuration, [PETS])[0], configuration)
    assert (counts.kept, counts.duplicates) == (PRODUCTS - 1, 2)
    assert content not in store.read("scraped", ["image_digest"])["image_digest"].to_pylist()


def test_a_picture_that_another_keyword_found_stays_with_it(store: Store, configure: Configure) -> None:
    configuration = configure(keywords={PETS: [PETS, "pet bowl"]}, pages=1)
    first, second = missing(store, configuration, [PETS])
    assert run_search(store, first, configuration).kept == PRODUCTS
    counts = run_search(store, second, configuration)
    assert (counts.kept, counts.duplicates) == (0, PRODUCTS + 1)
    assert set(store.read("scraped", ["keyword"])["keyword"].to_pylist()) == {PETS}


def test_a_scraped_picture_is_never_a_product(store: Store, configure: Configure) -> None:
    before = {table: store.version(table) for table in ("products", "images", "labels")}
    assert run_search(store, missing(store, configure(), [PETS])[0], configure()).kept
    assert {table: store.version(table) for table in before} == before
    assert "product_id" not in SCHEMAS["scraped"].names


def test_no_more_pictures_are_fetched_than_set(store: Store, configure: Configure, host: SampleHost) -> None:
    configuration = configure(pictures=3)
    counts = run_search(store, missing(store, configuration, [PETS])[0], configuration)
    assert counts.kept == store.count("scraped") == 3
    assert sum(target.startswith("/scraped/") for target in host.marketplace.requests) == 3


def test_more_pages_later_fetch_only_what_is_new(store: Store, configure: Configure, host: SampleHost) -> None:
    once, more = configure(pages=1), configure(pages=2)
    run_search(store, missing(store, once, [PETS])[0], once)
    before = set(host.marketplace.requests)
    counts = run_search(store, missing(store, more, [PETS])[0], more)
    assert counts.kept == store.count("scraped") == 2 * PRODUCTS
    own = set(store.read("scraped", ["url"])["url"].to_pylist())
    again = [t for t, times in host.marketplace.requests.items() if times > 1 and f"{host.url}{t}" in own]
    assert again == [] and set(host.marketplace.requests) > before


def test_an_empty_result_is_done_and_not_requested_again(store: Store, configure: Configure) -> None:
    configuration = configure(keywords={PETS: ["nothing"]})
    counts = run_search(store, missing(store, configuration, [PETS])[0], configuration)
    assert (counts.found, counts.kept) == (0, 0)
    assert missing(store, configuration, [PETS]) == [] and row(store, "nothing")["status"] == "ok"


@pytest.mark.parametrize(
    ("label", "cause", "code", "failures"),
    [("Eyewear", "blocked", 200, FAILURES_BEFORE_OK), ("3C", "http_503", 503, FAILURES_BEFORE_OK)],
)
def test_a_failure_that_may_pass_is_recorded_and_passes(
    store: Store, configure: Configure, label: str, cause: str, code: int, failures: int
) -> None:
    for _ in range(failures):
        with pytest.raises(TransientFetchError) as raised:
            run_search(store, missing(store, configure(), [label])[0], configure())
        assert raised.value.cause == cause
        recorded = row(store, label)
        assert (recorded["status"], recorded["cause"], recorded["http_code"]) == ("failed", cause, code)
        assert recorded["message"] == str(raised.value) and store.count("scraped") == 0
    assert run_search(store, missing(store, configure(), [label])[0], configure()).kept
    assert (row(store, label)["status"], row(store, label)["cause"]) == ("ok", None)


def test_a_page_that_robots_txt_forbids_fails_permanently(
    store: Store, configure: Configure, market: Marketplace
) -> None:
    market.robots = "User-agent: *\nDisallow: /s"
    configuration = configure(url=market.settings.url)
    with pytest.raises(PermanentFetchError):
        run_search(store, missing(store, configuration, [PETS])[0], configuration)
    assert row(store, PETS)["cause"] == "robots"


def test_pictures_that_cannot_be_downloaded_are_counted(
    store: Store, configure: Configure, market: Marketplace
) -> None:
    market.pages = [page(*(card(f'<img src="/images/I/{n}.jpg">') for n in range(3))), EMPTY]
    configuration = configure(url=market.settings.url)
    counts = run_search(store, missing(store, configuration, [PETS])[0], configuration)
    assert (counts.found, counts.kept, counts.broken) == (3, 0, 3)
    assert row(store, PETS)["broken"] == 3


def test_a_picture_in_a_private_network_is_not_fetched(store: Store, configure: Configure, host: SampleHost) -> None:
    configuration = configure(pages=1)
    strict = configuration.model_copy(update={"images": configuration.images.model_copy(update={"allow_hosts": ()})})
    counts = run_search(store, missing(store, strict, [PETS])[0], strict)
    assert (counts.kept, counts.broken) == (0, PRODUCTS + 1)
    assert not any(target.startswith("/scraped/") for target in host.marketplace.requests)


def test_while_the_host_of_the_pictures_is_down_the_keyword_fails_and_other_pictures_are_stored(
    store: Store, configure: Configure, market: Marketplace, host: SampleHost
) -> None:
    good = search(PETS, configure(pages=1).scraping)[0].url
    pages = [page(card(f'<img src="{good}">'), *(card(f'<img src="http://127.0.0.1:9/{n}.jpg">') for n in range(40)))]
    market.pages = [*pages, EMPTY]
    configuration = configure(url=market.settings.url)
    with pytest.raises(TransientFetchError) as raised:
        run_search(store, missing(store, configuration, [PETS])[0], configuration)
    assert raised.value.cause == "host_down"
    assert (row(store, PETS)["status"], row(store, PETS)["kept"]) == ("failed", 1) and store.count("scraped") == 1
    market.pages = [page(card(f'<img src="{good}">')), EMPTY]
    requests_before = host.marketplace.requests.total()
    counts = run_search(store, missing(store, configuration, [PETS])[0], configuration)
    assert (counts.kept, counts.duplicates) == (1, 0) and host.marketplace.requests.total() == requests_before


# --- what they came to ---


def test_failed_keywords_are_named_with_their_causes(store: Store, configure: Configure) -> None:
    searches = missing(store, configure(), [PETS, "Watches", "3C"])
    for query in searches:
        if query.label == PETS:
            run_search(store, query, configure())
        else:
            with pytest.raises(TransientFetchError):
                run_search(store, query, configure())
    with pytest.raises(ScrapingError) as raised:
        require_found(store, searches)
    assert str(raised.value).startswith("2 of 3 keywords failed: 3C (http_503), Watches (blocked);")
    assert "run again to search only for the failed keywords" in str(raised.value) and "\n" not in str(raised.value)
    assert keys_of(missing(store, configure(), [PETS, "Watches", "3C"])) == [("Watches", "Watches"), ("3C", "3C")]
    frame = outcomes(store).set_index("keyword")
    assert frame.loc["Watches", ["status", "cause", "kept"]].tolist() == ["failed", "blocked", 0]
    assert frame.loc[PETS, ["status", "cause", "message", "kept"]].tolist() == ["ok", "", "", 2 * PRODUCTS]


def test_counts_are_those_of_the_given_searches(store: Store, configure: Configure, market: Marketplace) -> None:
    first, second = missing(store, configure(), [PETS]), missing(store, configure(url=market.settings.url), ["Watches"])
    run_search(store, first[0], configure())
    market.pages = [EMPTY]
    market.robots = status(404)
    run_search(store, second[0], configure(url=market.settings.url))
    kept = {"searches": 1, "found": 2 * PRODUCTS + 2, "kept": 2 * PRODUCTS, "duplicates": 2, "broken": 0}
    assert require_found(store, first) == kept
    assert require_found(store, second) == dict.fromkeys(kept, 0) | {"searches": 1}
    assert require_found(store, []) == dict.fromkeys(kept, 0)
