"""The search by words over a real server."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from recsys.core.configuration import Configuration
from tests.recsys.service.running_service import QUICK, Service, serving
from tests.recsys.worded_shop import NAMES, fill


@pytest.fixture(scope="module")
def worded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = fill(tmp_path_factory.mktemp("worded") / "home").home
    with serving(home, Configuration.model_validate({"service": QUICK})) as running:
        yield running


def test_words_find_products_with_the_reason_best_first(worded: Service) -> None:
    page = worded.get("/products?" + urlencode({"q": "curtian red", "size": 3})).json()
    assert page["products"][0]["name"] == "Red Floral Curtain"
    assert 'has "red"' in page["products"][0]["why"]
    assert len(page["products"]) == 3 < page["total"]
    following = worded.get("/products?" + urlencode({"q": "curtian red", "size": 3, "page": 2})).json()["products"]
    assert not {item["product_id"] for item in following} & {item["product_id"] for item in page["products"]}


def test_ids_and_empty_queries_have_no_reason(worded: Service) -> None:
    for query, count in (("", len(NAMES)), ("p1-S", 1)):
        page = worded.get("/products?" + urlencode({"q": query, "size": 200})).json()
        assert page["total"] == count and {item["why"] for item in page["products"]} == {None}


def test_filters_restrict_the_search(worded: Service) -> None:
    found = worded.get("/products?" + urlencode({"q": "mug", "in_stock": "true", "size": 200})).json()["products"]
    assert found and all(item["in_stock"] for item in found)


def test_a_model_without_words_gives_no_reason(service: Service) -> None:
    found = service.get("/products?q=thing").json()["products"]
    assert found and {item["why"] for item in found} == {None}
