"""What the report says is what the store holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from recsys.configuration import Configuration, load
from recsys.report import gather
from recsys.report.contents import choose_queries
from recsys.store import Store

Fill = Callable[[list[dict[str, Any]]], Store]
BROKEN = {"status": "broken", "cause": "http_404"}


def settings(**sections: Any) -> Configuration:
    return load(None, sections, environ={})


def test_broken_links_are_counted_by_cause_the_most_frequent_first(fill: Fill) -> None:
    timeout = {"status": "broken", "cause": "timeout"}
    data = gather(fill([{}, {}, timeout, BROKEN, BROKEN]), settings(), "test")
    assert [(item.word, item.count) for item in data.broken] == [("http_404", 2), ("timeout", 1)]
    assert data.broken[0].example == "https://shop.example/3.jpeg"
    assert (data.funnel.rows, data.funnel.products, data.funnel.with_image, data.funnel.broken) == (7, 5, 2, 3)


def test_passwords_in_addresses_are_not_shown(fill: Fill) -> None:
    data = gather(fill([{}, {**BROKEN, "url": "https://user:secret@shop.example/1.jpeg"}]), settings(), "test")
    assert data.broken[0].example == "https://shop.example/1.jpeg"


def test_products_that_left_the_catalogue_are_not_in_the_report(fill: Fill) -> None:
    gone = {"removed": datetime(2026, 1, 4, tzinfo=UTC), "label": "Gone"}
    data = gather(fill([{}, {}, {}, gone]), settings(), "test")
    assert "Gone" not in {item.label for item in data.labels}
    assert sum(item.products for item in data.labels) == data.funnel.products == 3
    assert "id-3" not in {tile.product_id for row in data.grids for tile in (row.query, *row.neighbours)}


def test_labels_come_by_size_with_those_without_last_and_their_price_quantiles(fill: Fill) -> None:
    prices = (10.0, 20.0, 30.0, 40.0)
    products: list[dict[str, Any]] = [{"label": "Big", "price": price} for price in prices]
    products += [{"label": None}, {"label": None}, {"label": None}, {"label": "Even", "price": 5.0}, BROKEN]
    data = gather(fill(products), settings(), "test")
    assert [(item.label, item.products) for item in data.labels] == [
        ("Big", 4),
        ("Even", 1),
        ("Footwear", 1),
        (None, 3),
    ]
    assert data.labels[0].quantiles == pytest.approx((19.0, 29.5, 37.0))
    assert data.labels[1].quantiles is None  # all three are equal: every product has the neutral level
    assert data.labels[2].with_image == 0


def test_a_grid_shows_the_stored_neighbours_in_their_order_with_price_level_and_scores(fill: Fill) -> None:
    data = gather(fill([{} for _ in range(12)]), settings(), "test")
    row = next(row for row in data.grids if row.query.product_id == "id-4")
    assert [tile.product_id for tile in row.neighbours] == [f"id-{(4 + rank) % 12}" for rank in range(1, 10)]
    assert row.query.scores is None
    assert row.neighbours[0].scores is not None and row.neighbours[0].scores.total == 1.5
    assert (row.query.price, row.query.price_level) == (104.0, 2.0)  # second cheapest of its label's four
    assert row.query.picture.shape == (256, 256, 3)


def test_a_grid_is_cut_at_the_demo_top(fill: Fill) -> None:
    data = gather(fill([{} for _ in range(12)]), settings(recommend={"demo_top": 4}), "test")
    assert {len(row.neighbours) for row in data.grids} == {4}


def test_only_the_pictures_that_are_shown_are_read(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fill([{} for _ in range(60)])
    read, rows = store.read, []

    def counting(table: str, columns: Any = None, where: str | None = None) -> Any:
        found = read(table, columns, where)
        if "jpeg" in found.schema.names:
            rows.append(len(found))
        return found

    monkeypatch.setattr(store, "read", counting)
    data = gather(store, settings(report={"grids": 2}), "test")
    assert len(data.grids) == 2
    assert sum(rows) == len({tile.product_id for row in data.grids for tile in (row.query, *row.neighbours)}) <= 20


def test_the_map_is_of_a_sample(fill: Fill) -> None:
    data = gather(fill([{} for _ in range(40)]), settings(tsne={"sample": 15}), "test")
    assert data.tsne_points.shape == (15, 2)
    assert len(data.tsne_labels) == 15


def test_the_evaluation_is_told_by_level(fill: Fill) -> None:
    evaluation = pd.DataFrame(
        {
            "level": [2, 1, 1],
            "queries": [7, 9, 9],
            "k": [1, 5, 1],
            "precision": [0.5, 0.8, 0.9],
            "recall": [0.5, 1, 0.9],
        }
    )
    data = gather(fill([{}, {}]), settings(), "test", evaluation)
    assert [(item.level, item.queries) for item in data.retrieval] == [(1, 9), (2, 7)]
    assert data.retrieval[0].figures == ((1, 0.9, 0.9), (5, 0.8, 1.0))


@pytest.mark.parametrize("products", [[], [{}], [BROKEN], [{"label": None, "price": None, "name": None}] * 2])
def test_a_shop_with_next_to_nothing_is_gathered(fill: Fill, products: list[dict[str, Any]]) -> None:
    data = gather(fill(products), settings(), "test")
    assert data.funnel.products == len(products)
    assert len(data.grids) == (2 if len(products) == 2 else 0)


def test_queries_take_each_label_in_turn_and_the_unlabelled_even_among_many() -> None:
    labels: dict[str, str | None] = {f"a{i}": "A" for i in range(30)} | {f"b{i}": "B" for i in range(10)} | {"c": "C"}
    labels["lost"] = None
    chosen = [labels[key] for key in choose_queries(labels, 7)]
    assert chosen == ["A", "A", "A", "B", "B", "C", None]
    assert [labels[key] for key in choose_queries(labels, 2)] == ["A", None]
    assert len(choose_queries(labels, 100)) == len(labels)
    assert choose_queries(labels, 0) == choose_queries({}, 5) == []


def test_the_same_queries_are_shown_when_the_catalogue_is_in_another_order() -> None:
    labels: dict[str, str | None] = {f"id-{i}": "AB"[i % 2] for i in range(50)}
    assert choose_queries(labels, 6) == choose_queries(dict(reversed(labels.items())), 6)
