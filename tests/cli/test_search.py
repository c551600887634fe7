"""`recsys search`: its table, its JSON, no match, and a shop whose serving model has no words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cli import execute
from tests.recsys.worded_shop import NAMES, fill

Search = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names: list[str | None] = [*NAMES]
    names[3] = "[bold]Red[/bold] Steel Mug \x1b[31m"
    return fill(tmp_path_factory.mktemp("search") / "home", names).home


@pytest.fixture
def search(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Search:
    """Run `recsys search` in this process, and return its exit code, its output and its errors."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str, home: Path = home) -> tuple[int, str, str]:
        code = execute(["search", *arguments, "--home", str(home)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_a_search_prints_names_ids_and_reasons(search: Search) -> None:
    code, shown, errors = search("curtian", "red", "--top", "2")
    assert (code, errors) == (0, "")
    assert "Red Floral Curtain" in shown and "p0" in shown and 'has "red"' in shown
    assert shown.index("Red Floral Curtain") < shown.index("2  ")
    assert "3  " not in shown


def test_a_search_prints_json_best_first(search: Search) -> None:
    code, printed, _ = search("blue analog watch", "--json", "--top", "4")
    items = json.loads(printed)
    assert code == 0 and [item["rank"] for item in items] == [1, 2, 3, 4]
    assert list(items[0]) == [*("rank", "product_id", "name", "brand", "label", "price", "in_stock", "score", "why")]
    assert items[0]["name"] == "Blue Analog Watch" and items[0]["score"] > items[1]["score"]


def test_a_search_without_a_match_reports_it(search: Search) -> None:
    code, shown, _ = search("цвет")
    assert code == 0 and "No product of the shop has a word like 'цвет'." in shown
    assert json.loads(search("цвет", "--json")[1]) == []


def test_a_name_is_printed_as_text_and_does_not_control_the_terminal(search: Search) -> None:
    shown = search("red steel mug")[1]
    assert "[bold]Red[/bold]" in shown and "\x1b[31m" not in shown


def test_a_shop_without_words_is_an_error_with_the_remedy(search: Search, tmp_path: Path) -> None:
    code, shown, errors = search("mug", home=fill(tmp_path / "home", weight=0).home)
    assert (code, shown) == (16, "")
    assert "knows no words" in errors and "recsys train embedding" in errors and "Traceback" not in errors


def test_a_search_without_words_is_a_wrong_command(search: Search) -> None:
    code, _, errors = search()
    assert code == 2 and "words" in errors
