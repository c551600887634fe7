"""Recommendations for products, over a real server."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from recsys.core.configuration import Configuration
from recsys.ranking import recommendations
from recsys.ranking.single_query import recommend_product
from recsys.storage.store import Store
from tests.recsys.service.running_service import (
    CONFIGURATION,
    ODD_ID,
    PRODUCTS,
    QUICK,
    Service,
    assert_same_answer,
    detail_of,
    fill,
    serving,
)


@pytest.mark.parametrize("product_id", ["p1", "p2", "p3", ODD_ID])
def test_similar_products_equal_the_librarys_recommendations(service: Service, store: Store, product_id: str) -> None:
    reply = service.get(f"/products/{quote(product_id, safe='')}/similar")
    assert reply.status == 200 and reply.headers["content-type"] == "application/json"
    assert_same_answer(reply.json(), json.loads(recommend_product(store, CONFIGURATION, product_id).to_json()))
    assert len(reply.json()["recommendations"]) == CONFIGURATION.recommend.top


def test_query_parameters_change_the_rule(service: Service, store: Store) -> None:
    rule = {"top": 9, "filter": 12, "colour_weight": 0.5, "price_weight": 2.0}
    reply = service.get("/products/p4/similar?" + "&".join(f"{name}={value}" for name, value in rule.items()))
    configuration = Configuration.model_validate({"recommend": rule})
    assert_same_answer(reply.json(), json.loads(recommend_product(store, configuration, "p4").to_json()))
    assert reply.json() != service.get("/products/p4/similar?top=9&filter=12").json()


def test_the_configured_rule_is_the_default(store: Store) -> None:
    rule = {"top": 3, "filter": 7, "colour_weight": 0}
    configuration = Configuration.model_validate({"recommend": rule, "service": QUICK})
    with serving(store.home, configuration) as service:
        reply = service.get("/products/p5/similar")
    assert len(reply.json()["recommendations"]) == 3
    assert_same_answer(reply.json(), json.loads(recommend_product(store, configuration, "p5").to_json()))


def test_in_stock_leaves_out_sold_out_products(service: Service) -> None:
    def stock(path: str, key: str) -> list[bool | None]:
        return [item["in_stock"] for item in service.get(path).json()[key]]

    assert service.get("/labels").json()["knows_stock"] is True
    assert set(stock("/products/p4/similar?top=20", "recommendations")) == {True, False, None}
    assert set(stock("/products/p4/similar?top=20&in_stock=true", "recommendations")) == {True, None}
    everything, in_stock = (stock(f"/products?size=200{query}", "products") for query in ("", "&in_stock=1"))
    assert len(in_stock) == len(everything) - everything.count(False) and False not in in_stock
    assert service.get("/products/p1/similar?in_stock=perhaps").status == 422


def test_filters_restrict_the_recommendations(service: Service) -> None:
    items = service.get("/products/p0/similar?top=20").json()["recommendations"]
    level = items[0]["price_level"]
    filtered = service.get(f"/products/p0/similar?top=20&price_level={level}").json()["recommendations"]
    assert filtered and {item["price_level"] for item in filtered} == {level}
    labelled = service.get("/products/p0/similar?top=20&label=Watches").json()["recommendations"]
    assert len(labelled) == 20 and {item["label"] for item in labelled} == {"Watches"}
    assert service.get("/products/p0/similar?label=Nothing").json()["recommendations"] == []


def test_every_recommendation_has_a_reason(service: Service) -> None:
    for item in service.get("/products/p1/similar").json()["recommendations"]:
        assert item["why"].startswith("same kind, ")


def test_rounded_scores_stay_between_0_and_1(service: Service) -> None:
    for number in range(0, PRODUCTS - 1, 7):
        for item in service.get(f"/products/p{number}/similar").json()["recommendations"]:
            assert np.all(np.array([item["visual"], item["colour"], item["price_score"]]) >= 0)
            assert max(item["visual"], item["colour"], item["price_score"]) <= 1


def test_valid_stored_recommendations_are_the_answer(tmp_path: Path) -> None:
    store = fill(tmp_path / "home")
    recommendations.recommend_missing(store, CONFIGURATION, None)
    expected = json.loads(recommend_product(store, CONFIGURATION, "p1").to_json())
    other = CONFIGURATION.model_copy(update={"recommend": CONFIGURATION.recommend.model_copy(update={"top": 3})})
    with serving(store.home) as service:
        for path in ("/products/p1/similar", "/products/p1/similar", "/products/p1/similar?top=5"):
            assert_same_answer(service.get(path).json(), expected)
    with serving(store.home, other) as service:
        assert_same_answer(
            service.get("/products/p1/similar").json(), expected | {"recommendations": expected["recommendations"][:3]}
        )


def test_concurrent_clients_get_the_same_answers(store: Store) -> None:
    paths = [f"/products/p{i}/similar?price_weight={1 + i % 2}" for i in range(8)]
    with serving(store.home) as service:
        one_by_one = [service.get(path).json() for path in paths]
    with serving(store.home) as service, ThreadPoolExecutor(4) as pool:
        assert [reply.json() for reply in pool.map(service.get, paths)] == one_by_one


@pytest.mark.parametrize(
    "query",
    [
        *("top=0", "top=101", "top=x", "top=2.5", "filter=0", "filter=1001", "top=9&filter=8", "top=21"),
        *("colour_weight=-1", "colour_weight=nan", "price_weight=inf", "price_weight=1e308", "price_weight="),
    ],
)
def test_an_invalid_number_is_a_422_that_names_the_parameter(service: Service, query: str) -> None:
    reply = service.get(f"/products/p1/similar?{query}")
    assert reply.status == 422
    assert query.split("=")[0] in detail_of(reply)


def test_a_product_without_an_image_is_a_404_with_the_reason(service: Service) -> None:
    reply = service.get("/products/broken/similar")
    assert reply.status == 404 and "http_404" in detail_of(reply)
    assert service.get("/images/broken").status == 404
