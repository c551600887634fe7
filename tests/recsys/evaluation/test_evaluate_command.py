"""`recsys evaluate` on a command line: the scoreboard in a terminal, as CSV and as JSON; outside photos; mistakes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cli import execute
from recsys.storage.store import Store
from tests.encoders import encoder_folder
from tests.recsys.conftest import DrawnShop

pytestmark = pytest.mark.slow

Recsys = Callable[..., tuple[int, str, str]]


@pytest.fixture
def recsys(drawn_shop: DrawnShop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Recsys:
    """Run `recsys evaluate` in this process, and return its exit code, its output and its errors."""
    monkeypatch.setenv("COLUMNS", "140")

    def run(*arguments: str | Path, home: Path = drawn_shop.home) -> tuple[int, str, str]:
        code = execute(["evaluate", *map(str, arguments), "--home", str(home)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_the_scoreboard_is_a_table_per_level_and_a_csv(recsys: Recsys, tmp_path: Path) -> None:
    code, output, errors = recsys("--out", tmp_path / "board.csv")
    assert code == 0, errors
    for words in ("Level 1", "Level 2", "raw backbone", "P@5", "MAP@R", "coverage", "hubness"):
        assert words in output
    assert "board.csv" in "".join(output.split())  # a long path is wrapped
    assert "Level 3: no held-out product" in output  # the paths have two levels
    assert "scoreboard: 4 models by" in errors
    board = pd.read_csv(tmp_path / "board.csv")
    assert set(board["model"]) == {"random", "pixels", "HSV", "raw backbone"}
    row = board.query("model == 'raw backbone' and level == 1 and metric == 'precision' and k == 5").iloc[0]
    assert f"{row['value']:.3f} ({row['low']:.3f}–{row['high']:.3f})" in output


def test_outside_photos_are_queries_and_unusable_rows_are_reported(
    recsys: Recsys, drawn_shop: DrawnShop, tmp_path: Path
) -> None:
    csv = tmp_path / "queries.csv"
    csv.write_text("file,category_path,product_id\np5.jpg,,p5\nno.jpg,Clothing,\n", encoding="utf-8")
    code, output, errors = recsys("--queries", csv, "--images", drawn_shop.photos)
    assert code == 0, errors
    assert "1 query pictures, compared with 47 products." in output and "same product" in output
    assert "note: line 3: " in errors and "no.jpg does not exist" in errors
    code, output, _ = recsys("--queries", csv, "--images", drawn_shop.photos, "--json")
    skipped = json.loads(output)["skipped"]
    assert code == 0 and skipped[0][0] == 3 and "no.jpg" in skipped[0][1]


def test_one_of_two_options_is_a_usage_error(recsys: Recsys, tmp_path: Path) -> None:
    code, _, errors = recsys("--queries", tmp_path / "queries.csv")
    assert code == 2 and "give both" in " ".join(errors.replace("│", " ").split())


def test_a_missing_column_is_reported_in_one_line(recsys: Recsys, drawn_shop: DrawnShop, tmp_path: Path) -> None:
    csv = tmp_path / "queries.csv"
    csv.write_text("picture,category_path\np5.jpg,Clothing\n", encoding="utf-8")
    code, _, errors = recsys("--queries", csv, "--images", drawn_shop.photos)
    assert code == 4 and "has no column 'file'" in errors and "Traceback" not in errors


def test_an_output_that_cannot_be_written_is_an_export_error(recsys: Recsys, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, errors = recsys("--out", tmp_path / "file" / "board.csv")
    assert code == 12 and "cannot write" in errors


def test_encoders_are_compared_side_by_side_and_nothing_is_computed_twice(
    recsys: Recsys, drawn_shop: DrawnShop, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(drawn_shop.home, tmp_path / "home"))
    encoder = encoder_folder(tmp_path / "my encoder")
    names = ("--backbone", "efficientnet_lite0", "--backbone", encoder)
    tables = set(Store(home).tables())
    code, output, errors = recsys(*names, "--out", tmp_path / "board.csv", home=home)
    assert code == 0, errors
    assert "features of my encoder: 48 to do" in errors and "features of efficientnet_lite0" not in errors
    assert all(words in output for words in ("Level 1", "efficientnet_lite0", "my encoder", "pictures/s"))
    (added,) = set(Store(home).tables()) - tables
    assert added.startswith("features-my-encoder-")
    board = pd.read_csv(tmp_path / "board.csv")
    assert set(board["model"]) == {"efficientnet_lite0", "my encoder"}
    assert (board[board["metric"] == "pictures_per_second"]["value"] > 0).tolist() == [True, True]
    _, alone, _ = recsys("--json", home=home)
    raw = [row["value"] for row in json.loads(alone)["scoreboard"] if row["model"] == "raw backbone"]
    lite0 = board[(board["model"] == "efficientnet_lite0") & (board["metric"] != "pictures_per_second")]["value"]
    np.testing.assert_allclose(lite0.to_numpy(float), np.array(raw, float), atol=1e-9)

    code, output, errors = recsys(*names, "--json", home=home)
    assert code == 0 and "features of" not in errors
    rows = json.loads(output)["scoreboard"]
    assert {row["model"] for row in rows} == {"efficientnet_lite0", "my encoder"}


def test_a_wrong_encoder_is_an_error_before_anything_is_computed(
    recsys: Recsys, drawn_shop: DrawnShop, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(drawn_shop.home, tmp_path / "home"))
    good, bad = encoder_folder(tmp_path / "good"), encoder_folder(tmp_path / "bad")
    (bad / "model.onnx").write_bytes(b"not an ONNX file")
    code, _, errors = recsys("--backbone", good, "--backbone", bad, home=home)
    assert code == 8 and "bad/model.onnx: not an ONNX model" in errors and "to do" not in errors
    code, _, errors = recsys("--backbone", "vgg16", home=home)
    assert code == 3 and "'vgg16' is not one of efficientnet_lite0" in errors
    code, _, errors = recsys("--backbone", good, "--queries", "a.csv", "--images", tmp_path, home=home)
    assert code == 2 and "give no --queries" in " ".join(errors.replace("│", " ").split())
