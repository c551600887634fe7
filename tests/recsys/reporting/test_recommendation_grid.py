"""The grid of recommendations in the report."""

from __future__ import annotations

from recsys.reporting.recommendation_grid import choose_queries
from recsys.reporting.report_data import gather
from tests.recsys.reporting.conftest import Fill, settings


def test_the_grid_has_the_stored_neighbours_in_order_with_price_level_and_scores(fill: Fill) -> None:
    data = gather(fill([{} for _ in range(12)]), settings())
    row = next(row for row in data.grids if row.query.product_id == "id-4")
    assert [tile.product_id for tile in row.neighbours] == [f"id-{(4 + rank) % 12}" for rank in range(1, 10)]
    assert row.query.scores is None
    assert row.neighbours[0].scores is not None and row.neighbours[0].scores.total == 1.5
    assert (row.query.price, row.query.price_level) == (104.0, 2.0)  # second cheapest of its label's four
    assert row.query.picture.shape == (256, 256, 3)


def test_the_grid_has_demo_top_neighbours(fill: Fill) -> None:
    data = gather(fill([{} for _ in range(12)]), settings(recommend={"demo_top": 4}))
    assert {len(row.neighbours) for row in data.grids} == {4}


def test_queries_are_spread_over_the_labels_and_products_without_a_label() -> None:
    labels: dict[str, str | None] = {f"a{i}": "A" for i in range(30)}
    labels |= {f"b{i}": "B" for i in range(10)}
    labels |= {"c": "C", "unlabelled": None}
    chosen = [labels[key] for key in choose_queries(labels, 7)]
    assert chosen == ["A", "A", "A", "B", "B", "C", None]
    assert [labels[key] for key in choose_queries(labels, 2)] == ["A", None]
    assert len(choose_queries(labels, 100)) == len(labels)
    assert choose_queries(labels, 0) == choose_queries({}, 5) == []


def test_the_queries_do_not_depend_on_the_order_of_the_catalogue() -> None:
    labels: dict[str, str | None] = {f"id-{i}": "AB"[i % 2] for i in range(50)}
    assert choose_queries(labels, 6) == choose_queries(dict(reversed(labels.items())), 6)
