"""The labels and the balance of the training set in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recsys.models.classifier.recipe import RECIPE_FOLDER
from recsys.reporting.labels import ClassGrowth
from recsys.reporting.report_data import gather
from tests.recsys.reporting.conftest import BROKEN, NOW, Fill, guessed, rows_of, settings

pytestmark = pytest.mark.slow


def test_labels_are_sorted_by_size_with_their_price_quantiles(fill: Fill) -> None:
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
    assert data.labels[1].quantiles is None  # all three are equal, so every product has the neutral level
    assert data.labels[2].with_image == 0


def test_a_label_has_the_number_of_its_products_by_source(fill: Fill) -> None:
    products: list[dict[str, Any]] = [
        {"label": "Watches", "source": source} for source in ("catalogue", "merged", "merged", "reviewed")
    ]
    data = gather(fill([*products, guessed("Watches", 0.97), {"label": None}]), settings())
    watches, without = data.labels
    assert (watches.products, watches.merged, watches.predicted, watches.reviewed) == (5, 2, 1, 1)
    assert (without.merged, without.predicted, without.reviewed) == (0, 0, 0)


def test_the_balance_counts_trusted_labels_and_adds_scraped_images_before_augmented_ones(fill: Fill) -> None:
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
def test_the_balance_follows_the_configured_recipe(
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


def test_a_recipe_with_fewer_images_than_the_shop_does_not_stop_the_report(fill: Fill, tmp_path: Path) -> None:
    text = (RECIPE_FOLDER / "original.toml").read_text(encoding="utf-8")
    (tmp_path / "few.toml").write_text(text.replace("21_500", "2"), encoding="utf-8")
    data = gather(fill([{} for _ in range(4)]), settings(classifier={"recipe": str(tmp_path / "few.toml")}))
    assert data.balance is not None and sum(item.total for item in data.balance.classes) == 4


@pytest.mark.parametrize("product", [{"label": None}, BROKEN, guessed("Watches", 0.99)])
def test_without_an_image_with_a_trusted_label_there_is_no_balance(fill: Fill, product: dict[str, Any]) -> None:
    assert gather(fill([product]), settings()).balance is None
