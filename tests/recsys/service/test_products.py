"""The catalogue: products, labels and images, over a real server."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest

from recsys.storage.store import Store, among
from tests.recsys.service.running_service import CONFIGURATION, ODD_ID, PRODUCTS, Service


def test_products_are_listed_in_catalogue_order_page_by_page(service: Service) -> None:
    first, second = (service.get(f"/products?page={page}&size=25").json() for page in (1, 2))
    assert (first["total"], first["page"], first["size"], len(second["products"])) == (PRODUCTS, 1, 25, PRODUCTS - 25)
    ids = [product["product_id"] for product in (*first["products"], *second["products"])]
    assert ids == [*(f"p{number}" for number in range(PRODUCTS - 1)), ODD_ID]
    assert service.get("/products?page=99").json()["products"] == []


def test_words_labels_and_price_levels_filter_the_list(service: Service) -> None:
    named = service.get("/products?" + urlencode({"q": "THING 1"})).json()["products"]
    assert [product["name"] for product in named] == ["Thing 1", *(f"Thing {number}" for number in range(10, 20))] + [
        name for name in (f"Thing {number}" for number in range(20, PRODUCTS)) if "1" in name
    ]
    watches = service.get("/products?label=Watches&size=200").json()
    assert watches["total"] == PRODUCTS // 2 and {item["label"] for item in watches["products"]} == {"Watches"}
    cheap = service.get("/products?price_level=1&size=200").json()["products"]
    assert cheap and {product["price_level"] for product in cheap} == {1.0}
    assert service.get("/products?q=nothing").json()["total"] == 0


def test_labels_contain_the_counts_and_the_default_rule(service: Service) -> None:
    summary = service.get("/labels").json()
    assert summary["labels"] == [{"label": "Watches", "products": PRODUCTS // 2}]
    assert (summary["unlabelled"], summary["products"]) == (PRODUCTS - PRODUCTS // 2, PRODUCTS)
    rule = CONFIGURATION.recommend
    assert summary["rule"] == {
        "top": rule.top,
        "filter": rule.filter,
        **{f"{k}_weight": v for k, v in rule.weights.items()},
    }


@pytest.mark.parametrize("product_id", ["p1", ODD_ID])
def test_a_product_has_its_category_path(service: Service, product_id: str) -> None:
    product = service.get(f"/products/{quote(product_id, safe='')}").json()
    assert product["product_id"] == product_id and product["category_path"] == ["Things", "Small things"]
    assert service.get("/products/missing").status == 404


def test_the_id_of_a_variant_finds_its_product(service: Service) -> None:
    assert service.get("/products/p2-M").json()["product_id"] == "p2"
    assert [product["product_id"] for product in service.get("/products?q=p2-M").json()["products"]] == ["p2"]
    variant, product = (service.get(f"/products/{one}/similar").json() for one in ("p2-M", "p2"))
    assert variant["recommendations"] == product["recommendations"] and variant["query"] == product["query"]


def test_attributes_filter_products_and_recommendations(service: Service) -> None:
    wool = service.get("/products?attribute=material:WOOL").json()["products"]
    assert [product["product_id"] for product in wool] == ["p1", "p3", "p5", "p7"]
    assert service.get("/products?attribute=material:wool&attribute=material:linen").json()["total"] == 0
    similar = service.get("/products/p1/similar?attribute=material:wool").json()["recommendations"]
    assert {product["product_id"] for product in similar} == {"p3", "p5", "p7"}
    assert service.get("/products?attribute=material:silk").json()["total"] == 0


@pytest.mark.parametrize("product_id", ["p1", ODD_ID])
def test_an_image_is_the_stored_jpeg_and_can_be_cached(service: Service, store: Store, product_id: str) -> None:
    row = store.read("images", ["image_digest", "jpeg"], among("product_id", [product_id])).to_pylist()[0]
    reply = service.get(f"/images/{quote(product_id, safe='')}")
    assert (reply.status, reply.body) == (200, row["jpeg"])
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.headers["etag"] == f'"{row["image_digest"]}"'
    assert "max-age" in reply.headers["cache-control"]
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("client_tags", ['"d1"', 'W/"d1"', '"other", "d1"', "*"])
def test_an_image_that_the_client_has_is_a_304_without_a_body(service: Service, client_tags: str) -> None:
    reply = service.get("/images/p1", {"If-None-Match": client_tags})
    assert (reply.status, reply.body) == (304, b"")
    assert reply.headers["etag"] == '"d1"' and "cache-control" in reply.headers


@pytest.mark.parametrize("client_tags", ['"d2"', "d1", "", "'"])
def test_an_image_that_the_client_does_not_have_is_sent(service: Service, client_tags: str) -> None:
    assert service.get("/images/p1", {"If-None-Match": client_tags}).status == 200
