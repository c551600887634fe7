"""`recsys evaluate` as people use it: the board in a terminal, as a CSV, as JSON; photos from elsewhere; mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from cli import _run

Recsys = Callable[..., tuple[int, str, str]]


@pytest.fixture
def recsys(judged_shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Recsys:  # type: ignore[no-untyped-def]
    """Run `recsys evaluate` in this process, and return its exit code and what it printed and complained."""
    monkeypatch.setenv("COLUMNS", "140")

    def run(*arguments: str | Path, home: Path = judged_shop.home) -> tuple[int, str, str]:
        code = _run(["evaluate", *map(str, arguments), "--home", str(home)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_the_board_is_a_table_a_level_and_a_csv(recsys: Recsys, tmp_path: Path) -> None:
    code, told, complained = recsys("--out", tmp_path / "board.csv")
    assert code == 0, complained
    for words in ("Level 1", "Level 2", "raw backbone", "P@5", "MAP@R", "coverage", "hubness"):
        assert words in told
    assert "board.csv" in "".join(told.split())  # a long path is wrapped
    assert "Level 3: no held-out product" in told  # the paths have two
    assert "scoreboard: 4 models by" in complained
    board = pd.read_csv(tmp_path / "board.csv")
    assert set(board["model"]) == {"random", "pixels", "HSV", "raw backbone"}
    row = board.query("model == 'raw backbone' and level == 1 and metric == 'precision' and k == 5").iloc[0]
    assert f"{row['value']:.3f} ({row['low']:.3f}–{row['high']:.3f})" in told


def test_photos_from_elsewhere_ask_and_bad_rows_are_told(recsys: Recsys, judged_shop, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    csv = tmp_path / "queries.csv"
    csv.write_text("file,category_path,product_id\np5.jpg,,p5\nno.jpg,Clothing,\n", encoding="utf-8")
    code, told, complained = recsys("--queries", csv, "--images", judged_shop.photos)
    assert code == 0, complained
    assert "1 pictures asked, about 47." in told and "same product" in told
    assert "note: line 3: " in complained and "no.jpg does not exist" in complained
    code, told, _ = recsys("--queries", csv, "--images", judged_shop.photos, "--json")
    skipped = json.loads(told)["skipped"]
    assert code == 0 and skipped[0][0] == 3 and "no.jpg" in skipped[0][1]


def test_one_of_two_options_is_a_wrong_command_line(recsys: Recsys, tmp_path: Path) -> None:
    code, _, complained = recsys("--queries", tmp_path / "queries.csv")
    assert code == 2 and "give both" in " ".join(complained.replace("│", " ").split())


def test_a_missing_column_is_one_line(recsys: Recsys, judged_shop, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    csv = tmp_path / "queries.csv"
    csv.write_text("picture,category_path\np5.jpg,Clothing\n", encoding="utf-8")
    code, _, complained = recsys("--queries", csv, "--images", judged_shop.photos)
    assert code == 4 and "has no column 'file'" in complained and "Traceback" not in complained


def test_a_folder_that_cannot_be_written_is_an_export_error(recsys: Recsys, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, complained = recsys("--out", tmp_path / "file" / "board.csv")
    assert code == 12 and "cannot write" in complained
