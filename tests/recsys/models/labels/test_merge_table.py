"""The merge table: what is an error in it, and what its owner is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.core.configuration import FLIPKART_LABELS, Configuration, load
from recsys.core.errors import ConfigurationError
from recsys.models.labels.tree import table_notes
from tests.recsys.models.labels.small_shop import Shop, settings


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('A = ["B"]\nB = ["A"]', ["a circle", "'B' into 'A'", "'A' into 'B'"]),
        ('A = ["B"]\nB = ["C"]\nC = ["A"]', ["a circle", "'B' into 'A'", "'A' into 'C'", "'C' into 'B'"]),
        ('A = ["x"]\nB = ["A", "B"]', ["'x' is merged into 'A'", "itself merged into 'B'", "list 'x' under 'B'"]),
        ('A = ["x"]\nB = ["A"]\nC = ["B"]', ["'x' is merged into 'A'", "itself merged into 'B'", "under 'C'"]),
        ('A = ["x"]\nB = ["x"]', ["'x' is merged into both 'A' and 'B'"]),
        ('"часы" = ["очки"]\n"очки" = ["часы"]', ["a circle", "'очки' into 'часы'", "'часы' into 'очки'"]),
        ('" " = ["x", "y"]', ["a label has no name", "x, y"]),
    ],
)
def test_a_table_that_leads_nowhere_is_an_error_that_names_the_labels(
    tmp_path: Path, toml: str, words: list[str]
) -> None:
    (tmp_path / "recsys.toml").write_text(f"[labels.merge]\n{toml}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, environ={})
    for word in ["recsys.toml", *words]:
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_label_may_have_another_name_than_its_values_and_an_empty_one_merges_nothing() -> None:
    table = {"3C": ["Computers", "Gaming"], "Gaming": []}
    assert settings(table).labels.merge == {"3C": ("Computers", "Gaming"), "Gaming": ()}


def test_the_default_table_is_no_ones_mistake(shop: Shop) -> None:
    shop.update(("a", "Clothing"))
    assert table_notes(shop.store, Configuration()) == ()
    assert table_notes(shop.store, settings(dict(FLIPKART_LABELS))) == ()  # type: ignore[arg-type]
    assert table_notes(shop.store, settings({})) == ()


def test_a_value_that_no_product_has_is_said_and_no_error(shop: Shop) -> None:
    shop.update(("a", "Furniture"), ("b", "Furniture"), ("c", "Kitchenware"), ("d", "ساعات"))
    notes = table_notes(shop.store, settings({"Home": ["Furniture", "Kitchen ware", "Bedding"], "Watches": ["ساعات"]}))
    assert notes == (
        "labels.merge names 'Kitchen ware', which is no product's top level; did you mean 'Kitchenware'?",
        "labels.merge names 'Bedding', which is no product's top level",
    )


def test_a_label_that_forgets_the_top_level_of_its_own_name_is_said(shop: Shop) -> None:
    shop.update(("a", "Eyewear"), ("b", "Sunglasses"), ("c", "Sunglasses"), ("d", "Watches"))
    notes = table_notes(shop.store, settings({"Eyewear": ["Sunglasses"], "Watches": ["Watches"]}))
    assert notes == (
        "labels.merge does not name 'Eyewear' among the values of the label 'Eyewear': "
        "1 products of that top level have no label",
    )


def test_a_table_of_ones_own_that_names_too_few_products_is_said(shop: Shop) -> None:
    shop.update(("a", "Eyewear"), ("b", "Sunglasses"), ("c", "Sunglasses"))
    (note,) = table_notes(shop.store, settings({"Glasses": ["Eyewear"]}))
    assert "only 33.3% of the products: each top level is its own label" in note
