"""The guard: a catalogue that would change too much of a home is refused before anything is written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.core.configuration import load
from recsys.core.errors import CatalogueChangeError, CatalogueError
from recsys.ingest.catalogue.facts import CatalogueFacts, read_facts
from recsys.ingest.catalogue.intake import take_in
from recsys.storage.store import Store

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def catalogue(folder: Path, *products: tuple[str, str]) -> str:
    """Write a catalogue of (id, name)."""
    file = folder / "catalogue.csv"
    rows = [f"{key},{name},Home > Mugs,9.90 EUR,http://shop.example/{key}.jpg" for key, name in products]
    file.write_text("\n".join(["id,name,category,price,image", *rows]), encoding="utf-8")
    return str(file)


def mugs(count: int, first: int = 0, name: str = "Mug") -> list[tuple[str, str]]:
    return [(f"m-{number}", f"{name} {number}") for number in range(first, first + count)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a home with ten products."""
    store = Store(tmp_path / "home")
    take_in(store, catalogue(tmp_path, *mugs(10)), load(environ={}), NOW)
    return store


def stored_ids(store: Store) -> set[str]:
    return set(store.read("products", ["product_id"], "removed IS NULL")["product_id"].to_pylist())


@pytest.mark.parametrize(
    ("products", "message"),
    [
        (mugs(5), r"would remove 5 of 10 products \(50%\)"),
        (mugs(10, first=100), r"would remove 10 of 10 products \(100%\)"),
        (mugs(10, name="Cup"), r"would rename 10 of 10 products \(100%\)"),
        ([*mugs(10), *mugs(5)], r"would merge 5 of 15 rows into others with the same id \(33%\)"),
    ],
)
def test_a_catalogue_that_changes_too_much_is_refused_and_nothing_is_written(
    store: Store, tmp_path: Path, products: list[tuple[str, str]], message: str
) -> None:
    version = store.version("products")
    with pytest.raises(CatalogueChangeError, match=message) as refused:
        take_in(store, catalogue(tmp_path, *products), load(environ={}), NOW)
    assert refused.value.exit_code == 17
    assert "--accept" in str(refused.value) and "Nothing was written" in str(refused.value)
    assert store.version("products") == version
    assert stored_ids(store) == {key for key, _ in mugs(10)}


def test_an_accepted_catalogue_is_taken_in(store: Store, tmp_path: Path) -> None:
    change = take_in(store, catalogue(tmp_path, *mugs(5)), load(environ={}), NOW, accept=True)
    assert (change.removed, change.unchanged) == (5, 5)


def test_a_usual_change_and_a_larger_allowed_share_pass(store: Store, tmp_path: Path) -> None:
    assert take_in(store, catalogue(tmp_path, *mugs(8), ("new", "New")), load(environ={}), NOW).removed == 2
    allowed = load(None, {"catalogue": {"change_share": 1}}, environ={})
    assert take_in(store, catalogue(tmp_path, *mugs(3, first=50)), allowed, NOW).new == 3


@pytest.mark.parametrize("content", ["", "id,name,category,price,image\n"])
def test_an_empty_catalogue_is_refused_even_if_accepted(store: Store, tmp_path: Path, content: str) -> None:
    (tmp_path / "catalogue.csv").write_text(content)
    with pytest.raises(CatalogueError, match=r"empty|no products"):
        take_in(store, str(tmp_path / "catalogue.csv"), load(environ={}), NOW, accept=True)
    assert len(stored_ids(store)) == 10


def test_ids_that_a_spreadsheet_has_rounded_are_refused_over_a_good_home(store: Store, tmp_path: Path) -> None:
    rounded = [("8.90E+12", f"Mug {number}") for number in range(10)]
    with pytest.raises(CatalogueError, match="a spreadsheet has rounded"):
        take_in(store, catalogue(tmp_path, *rounded), load(environ={}), NOW, accept=True)
    assert len(stored_ids(store)) == 10


def test_the_facts_of_the_catalogue_are_recorded_once(store: Store, tmp_path: Path) -> None:
    facts = CatalogueFacts(preset="generic", labels="", currency="€", decimal=".", tree_separator=">")
    assert read_facts(store.home) == facts
    version = store.version("records")
    take_in(store, catalogue(tmp_path, *mugs(10)), load(environ={}), NOW)
    assert store.version("records") == version


def test_a_home_of_an_earlier_version_is_taken_for_the_promptcloud_export(tmp_path: Path) -> None:
    assert read_facts(tmp_path / "nowhere") == CatalogueFacts()
    assert (CatalogueFacts().labels, CatalogueFacts().currency) == ("original", "₹")
