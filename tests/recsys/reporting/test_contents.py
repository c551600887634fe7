"""What the report says is what the store holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from recsys.core.configuration import Configuration, load
from recsys.models.classifier.recipe import RECIPE_FOLDER
from recsys.reporting.label_balance import ClassGrowth
from recsys.reporting.label_guesses import MAX_GUESSES
from recsys.reporting.recommendation_grid import choose_queries
from recsys.reporting.report_data import gather
from recsys.storage.store import Store
from tests.recsys.reporting.conftest import NOW, guessed, rows_of, train

Fill = Callable[[list[dict[str, Any]]], Store]
BROKEN = {"status": "broken", "cause": "http_404"}


def settings(**sections: Any) -> Configuration:
    return load(None, sections, environ={})


def test_broken_links_are_counted_by_cause_the_most_frequent_first(fill: Fill) -> None:
    timeout = {"status": "broken", "cause": "timeout"}
    data = gather(fill([{}, {}, timeout, BROKEN, BROKEN]), settings())
    assert [(item.code, item.count) for item in data.broken.causes] == [("http_404", 2), ("timeout", 1)]
    assert data.broken.causes[0].example == "https://shop.example/3.jpeg"
    assert (data.funnel.rows, data.funnel.products, data.funnel.with_image, data.funnel.broken) == (7, 5, 2, 3)


def test_passwords_in_addresses_are_not_shown(fill: Fill) -> None:
    data = gather(fill([{}, {**BROKEN, "url": "https://user:secret@shop.example/1.jpeg"}]), settings())
    assert data.broken.causes[0].example == "https://shop.example/1.jpeg"


def test_products_that_left_the_catalogue_are_not_in_the_report(fill: Fill) -> None:
    gone = {"removed": datetime(2026, 1, 4, tzinfo=UTC), "label": "Gone"}
    data = gather(fill([{}, {}, {}, gone]), settings())
    assert "Gone" not in {item.label for item in data.labels}
    assert sum(item.products for item in data.labels) == data.funnel.products == 3
    assert "id-3" not in {tile.product_id for row in data.grids for tile in (row.query, *row.neighbours)}


def test_labels_come_by_size_with_those_without_last_and_their_price_quantiles(fill: Fill) -> None:
    prices = (10.0, 20.0, 30.0, 40.0)
    products: list[dict[str, Any]] = [{"label": "Big", "price": price} for price in prices]
    products += [{"label": None}, {"label": None}, {"label": None}, {"label": "Even", "price": 5.0}, BROKEN]
    data = gather(fill(products), settings())
    assert [(item.label, item.products) for item in data.labels] == [
        ("Big", 4),
        ("Even", 1),
        ("Footwear", 1),
        (None, 3),
    ]
    assert data.labels[0].quantiles == pytest.approx((19.0, 29.5, 37.0))
    assert data.labels[1].quantiles is None  # all three are equal: every product has the neutral level
    assert data.labels[2].with_image == 0


def test_a_label_says_which_of_its_products_it_has_by_which_way(fill: Fill) -> None:
    by = [{"label": "Watches", "source": source} for source in ("catalogue", "merged", "merged", "reviewed")]
    data = gather(fill([*by, guessed("Watches", 0.97), {"label": None}]), settings())
    watches, without = data.labels
    assert (watches.products, watches.merged, watches.predicted, watches.reviewed) == (5, 2, 1, 1)
    assert (without.merged, without.predicted, without.reviewed) == (0, 0, 0)


def test_the_balance_is_of_pictures_with_a_given_label_and_grows_by_scraped_ones_before_augmented(fill: Fill) -> None:
    products: list[dict[str, Any]] = [{"label": "Big"}] * 9 + [{"label": "Small"}] * 2
    products += [{**BROKEN, "label": "Small"}, guessed("Small", 0.99), {"label": None}]
    products += [{"label": "Small", "removed": NOW}, {**BROKEN, "label": "No photo"}]
    store = fill(products)
    scraped = [{"image_digest": f"scraped-{i}", "label": ("Small", "No photo")[i % 2]} for i in range(2)]
    store.write("scraped", rows_of("scraped", scraped))
    sizes = {"undersample_above": 8, "undersample_to": 7, "most_apart": 2}
    data = gather(store, settings(balance=sizes))
    assert data.balance is not None
    assert data.balance.classes == (ClassGrowth("Big", 9, 7, 0, 0, 7), ClassGrowth("Small", 2, 2, 1, 2, 5))


@pytest.mark.parametrize(
    ("recipe", "trained_on", "pictures"), [("default", "all", 4), ("original", "total", 21_500), ("cut", "kept", 4)]
)
def test_the_balance_is_that_of_the_configured_recipe(
    fill: Fill, tmp_path: Path, recipe: str, trained_on: str, pictures: int
) -> None:
    name = recipe
    if recipe == "cut":
        text = (RECIPE_FOLDER / "default.toml").read_text(encoding="utf-8")
        name = str(tmp_path / "cut.toml")
        Path(name).write_text(text.replace("balance = false", "balance = true"), encoding="utf-8")
    data = gather(fill([{} for _ in range(4)]), settings(classifier={"recipe": name}))
    assert data.balance is not None and data.balance.trained_on == trained_on
    assert sum(item.total for item in data.balance.classes) == pictures


def test_a_recipe_that_asks_for_fewer_pictures_than_there_are_does_not_stop_the_report(
    fill: Fill, tmp_path: Path
) -> None:
    text = (RECIPE_FOLDER / "original.toml").read_text(encoding="utf-8")
    (tmp_path / "few.toml").write_text(text.replace("21_500", "2"), encoding="utf-8")
    data = gather(fill([{} for _ in range(4)]), settings(classifier={"recipe": str(tmp_path / "few.toml")}))
    assert data.balance is not None and sum(item.total for item in data.balance.classes) == 4


@pytest.mark.parametrize("product", [{"label": None}, BROKEN, guessed("Watches", 0.99)])
def test_without_a_picture_that_has_a_given_label_there_is_no_balance(fill: Fill, product: dict[str, Any]) -> None:
    assert gather(fill([product]), settings()).balance is None


def test_filled_labels_come_the_least_sure_first_with_what_the_catalogue_has_in_place_of_a_category(fill: Fill) -> None:
    products = [
        guessed("Watches", 0.999, name="Chronos 5", category_path=["Chronos 5 Analog"]),
        guessed("Footwear", 0.91, name=None, **BROKEN),
        {"label": None},
        guessed("Footwear", 0.99, removed=NOW),
    ]
    store = fill(products)
    model = train(store)
    data = gather(store, settings())
    assert data.guesses.classifier == model
    assert data.guesses.filled.count == 2
    unsure, sure = data.guesses.filled.shown
    assert (unsure.product_id, unsure.title, unsure.picture, unsure.catalogue_value) == ("id-1", "id-1", None, None)
    assert (sure.title, sure.catalogue_value, sure.label) == ("Chronos 5", "Chronos 5 Analog", "Watches")
    assert sure.picture is not None and sure.picture.shape == (256, 256, 3)
    assert data.guesses.confidences == pytest.approx({"id-0": 0.999, "id-1": 0.91})


def test_those_left_for_review_are_without_a_label_and_without_an_answer(fill: Fill) -> None:
    store = fill([{}, {"label": None}, {"label": None}, {"label": None, "removed": NOW}])
    store.write("reviews", rows_of("reviews", [{"product_id": "id-1", "reviewed_at": NOW}]))
    assert gather(store, settings()).guesses.to_review == 1


def test_suspicious_labels_are_given_ones_that_the_model_at_hand_contradicts_the_surest_first(fill: Fill) -> None:
    store = fill([{"label": "Clothing"} for _ in range(5)] + [guessed("Clothing", 0.92)])
    sure = {"id_1": ("Watches", 0.96), "id_2": ("Footwear", 0.99), "id_5": ("Watches", 0.99)}
    train(store, id_0=("Clothing", 0.99), id_3=("Watches", 0.9), **sure)
    data = gather(store, settings())
    found = [
        (item.product_id, item.catalogue_value, item.label, item.evidence) for item in data.guesses.suspicious.shown
    ]
    assert found == [("id-2", "Clothing", "Footwear", "both"), ("id-1", "Clothing", "Watches", "both")]
    assert data.guesses.suspicious.count == 2
    assert gather(store, settings(labels={"suspicious_above": 0.9})).guesses.suspicious.count == 3

    answer = {"product_id": "id-2", "label": "Clothing", "reviewed_at": NOW}
    store.write("reviews", rows_of("reviews", [answer]))
    assert [item.product_id for item in gather(store, settings()).guesses.suspicious.shown] == ["id-1"]


def test_predictions_of_a_model_that_is_not_at_hand_make_nothing_suspicious(fill: Fill) -> None:
    store = fill([{"label": "Clothing"}, {}])
    train(store, id_0=("Watches", 0.99))
    (store.home / "classifier" / "at-hand.json").unlink()
    data = gather(store, settings())
    assert data.guesses.classifier is None and data.guesses.suspicious.count == 0


def test_a_grid_shows_the_stored_neighbours_in_their_order_with_price_level_and_scores(fill: Fill) -> None:
    data = gather(fill([{} for _ in range(12)]), settings())
    row = next(row for row in data.grids if row.query.product_id == "id-4")
    assert [tile.product_id for tile in row.neighbours] == [f"id-{(4 + rank) % 12}" for rank in range(1, 10)]
    assert row.query.scores is None
    assert row.neighbours[0].scores is not None and row.neighbours[0].scores.total == 1.5
    assert (row.query.price, row.query.price_level) == (104.0, 2.0)  # second cheapest of its label's four
    assert row.query.picture.shape == (256, 256, 3)


def test_a_grid_is_cut_at_the_demo_top(fill: Fill) -> None:
    data = gather(fill([{} for _ in range(12)]), settings(recommend={"demo_top": 4}))
    assert {len(row.neighbours) for row in data.grids} == {4}


def test_only_the_pictures_that_are_shown_are_read(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fill([{} for _ in range(60)] + [guessed("Watches", 0.97) for _ in range(40)])
    read, rows = store.read, []

    def counting(table: str, columns: Any = None, where: str | None = None) -> Any:
        found = read(table, columns, where)
        if "jpeg" in found.schema.names:
            rows.append(len(found))
        return found

    monkeypatch.setattr(store, "read", counting)
    data = gather(store, settings(report={"grids": 2}))
    assert len(data.grids) == 2
    in_grids = len({tile.product_id for row in data.grids for tile in (row.query, *row.neighbours)})
    assert (data.guesses.filled.count, len(data.guesses.filled.shown)) == (40, MAX_GUESSES)
    judged_by_colour = 100  # all, here; of a larger shop a sample
    assert sum(rows) == in_grids + MAX_GUESSES + judged_by_colour and in_grids <= 20


def test_the_map_is_of_a_sample(fill: Fill) -> None:
    data = gather(fill([{} for _ in range(40)]), settings(tsne={"sample": 15}))
    assert data.map.points.shape == (15, 2)
    assert len(data.map.labels) == 15


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
    data = gather(fill([{}, {}]), settings(), evaluation)
    assert [(item.level, item.queries) for item in data.retrieval.levels] == [(1, 9), (2, 7)]
    assert data.retrieval.levels[0].figures == ((1, 0.9, 0.9), (5, 0.8, 1.0))


@pytest.mark.parametrize("products", [[], [{}], [BROKEN], [{"label": None, "price": None, "name": None}] * 2])
def test_a_shop_with_next_to_nothing_is_gathered(fill: Fill, products: list[dict[str, Any]]) -> None:
    data = gather(fill(products), settings())
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


def test_the_colours_of_a_few_products_say_nothing(fill: Fill) -> None:
    assert gather(fill([{} for _ in range(20)]), settings()).colours is None


def test_colours_of_a_sample_are_judged(fill: Fill) -> None:
    colours = gather(fill([{} for _ in range(40)]), settings()).colours
    assert colours is not None and len(colours.examples) == 8
    assert [(f.judged_by, f.ranked_by, f.products) for f in colours.results] == [
        ("dominant colour", "colour", 40), ("dominant colour", "rule", 40),
    ]  # fmt: skip
    first = colours.examples[0]
    assert (first.painted[128, 128] == first.picture[128, 128]).all()
    assert (first.painted[0, 0] != first.picture[0, 0]).any()


def test_weights_are_judged_by_products_that_were_held_out(fill: Fill) -> None:
    shop = fill([{"name": f"Thing {hex(i)}", "category_path": ["Things", f"kind {i % 4}"]} for i in range(240)])
    found = gather(shop, settings()).weights
    assert found is not None and found.level == 2 and 30 <= found.queries < 120
    rule = settings().recommend
    assert found.configured[["visual", "colour", "price"]].tolist() == list(rule.weights.values())
    best = found.curve[found.precision].max()
    assert found.selected[found.precision] >= best - found.curve["error_2"].max()
    assert gather(shop, settings(recommend={"rule": "original"})).weights is None
