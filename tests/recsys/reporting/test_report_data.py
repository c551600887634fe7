"""The data of the report equals the data of the store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from recsys.reporting.labels import MAX_GUESSES
from recsys.reporting.report_data import gather
from tests.recsys.reporting.conftest import BROKEN, Fill, guessed, settings

pytestmark = pytest.mark.slow


def test_removed_products_are_not_in_the_report(fill: Fill) -> None:
    removed: dict[str, Any] = {"removed": datetime(2026, 1, 4, tzinfo=UTC), "label": "Removed"}
    data = gather(fill([{}, {}, {}, removed]), settings())
    assert "Removed" not in {item.label for item in data.labels}
    assert sum(item.products for item in data.labels) == data.funnel.products == 3
    assert "id-3" not in {tile.product_id for row in data.grids for tile in (row.query, *row.neighbours)}


def test_only_the_images_that_are_shown_are_read(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fill([{} for _ in range(60)] + [guessed("Watches", 0.97) for _ in range(40)])
    read, rows = store.read, []

    def counting(table: str, columns: Any = None, where: str | None = None) -> Any:
        matches = read(table, columns, where)
        if "jpeg" in matches.schema.names:
            rows.append(len(matches))
        return matches

    monkeypatch.setattr(store, "read", counting)
    data = gather(store, settings(report={"grids": 2}))
    assert len(data.grids) == 2
    in_grids = len({tile.product_id for row in data.grids for tile in (row.query, *row.neighbours)})
    assert (data.guesses.filled.count, len(data.guesses.filled.shown)) == (40, MAX_GUESSES)
    colour_sample = 100  # all products of this small shop
    assert sum(rows) == in_grids + MAX_GUESSES + colour_sample and in_grids <= 20


def test_the_map_contains_a_sample(fill: Fill) -> None:
    data = gather(fill([{} for _ in range(40)]), settings(tsne={"sample": 15}))
    assert data.map.points.shape == (15, 2)
    assert len(data.map.labels) == 15


def test_the_retrieval_figures_are_sorted_by_level(fill: Fill) -> None:
    evaluation = pd.DataFrame(
        {
            "level": [2, 1, 1],
            "queries": [7, 9, 9],
            "k": [1, 5, 1],
            "precision": [0.5, 0.8, 0.9],
            "recall": [0.5, 1, 0.9],
        }
    )
    data = gather(fill([{}, {}]), settings(), evaluation)
    assert [(item.level, item.queries) for item in data.retrieval.levels] == [(1, 9), (2, 7)]
    assert data.retrieval.levels[0].figures == ((1, 0.9, 0.9), (5, 0.8, 1.0))


@pytest.mark.parametrize("products", [[], [{}], [BROKEN], [{"label": None, "price": None, "name": None}] * 2])
def test_an_almost_empty_shop_has_a_report(fill: Fill, products: list[dict[str, Any]]) -> None:
    data = gather(fill(products), settings())
    assert data.funnel.products == len(products)
    assert len(data.grids) == (2 if len(products) == 2 else 0)


def test_too_few_products_have_no_colour_agreement(fill: Fill) -> None:
    assert gather(fill([{} for _ in range(20)]), settings()).colours is None


def test_the_colour_agreement_is_measured_on_a_sample(fill: Fill) -> None:
    colours = gather(fill([{} for _ in range(40)]), settings()).colours
    assert colours is not None and len(colours.examples) == 8
    assert [(f.judged_by, f.ranked_by, f.products) for f in colours.results] == [
        ("dominant colour", "colour", 40), ("dominant colour", "rule", 40),
    ]  # fmt: skip
    first = colours.examples[0]
    assert (first.painted[128, 128] == first.picture[128, 128]).all()
    assert (first.painted[0, 0] != first.picture[0, 0]).any()


def test_the_weights_are_measured_on_held_out_products(fill: Fill) -> None:
    shop = fill([{"name": f"Thing {hex(i)}", "category_path": ["Things", f"kind {i % 4}"]} for i in range(240)])
    trade_off = gather(shop, settings()).weights
    assert trade_off is not None and trade_off.level == 2 and 30 <= trade_off.queries < 120
    rule = settings().recommend
    assert trade_off.configured[["visual", "colour", "price"]].tolist() == list(rule.weights.values())
    best = trade_off.curve[trade_off.precision].max()
    assert trade_off.selected[trade_off.precision] >= best - trade_off.curve["error_2"].max()
    assert gather(shop, settings(recommend={"rule": "original"})).weights is None
