"""`recsys backbones`: which encoders can be used, their size and rate, and their figures in a shop."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli import execute
from recsys.core.configuration import BUILT_IN_BACKBONES
from recsys.vision import backbones
from tests.encoders import encoder_folder
from tests.recsys.conftest import DrawnShop

pytestmark = pytest.mark.slow

List = Callable[..., dict[str, Any]]


@pytest.fixture
def listed(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> List:
    """Run `recsys backbones` in an empty folder, and return its rows by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))

    def run(*arguments: str) -> dict[str, Any]:
        code = execute(["backbones", *arguments, "--json"])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return {row["name"]: row for row in json.loads(printed.out)}

    return run


def test_the_built_in_backbones_and_a_folder_are_listed_without_a_home(listed: List, tmp_path: Path) -> None:
    encoder_folder(tmp_path / "mine")
    damaged = encoder_folder(tmp_path / "damaged")
    (damaged / "model.onnx").write_bytes(b"no")
    rows = listed("mine", "damaged", "hub:vit_base", "--no-rate")
    assert list(rows) == [*BUILT_IN_BACKBONES, "mine", "damaged", "hub:vit_base"]
    lite0 = rows["efficientnet_lite0"]
    assert (lite0["features"], lite0["pictures_per_second"], lite0["weights"]) == (1280, None, "ImageNet")
    assert 10e6 < lite0["bytes"] < 30e6
    assert rows["resnet50"]["bytes"] is None and "downloaded at the first use" in rows["resnet50"]["weights"]
    assert (rows["mine"]["features"], rows["mine"]["weights"]) == (24, "in the folder")
    assert "not an ONNX model" in rows["damaged"]["weights"]
    assert rows["hub:vit_base"]["weights"].startswith("converted at the first use")


def test_the_rate_is_measured(listed: List, tmp_path: Path) -> None:
    encoder_folder(tmp_path / "mine")
    assert listed("mine")["mine"]["pictures_per_second"] > 0


def test_a_shop_adds_the_precision_of_its_features_and_what_serves(
    listed: List, drawn_shop: DrawnShop, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = listed("--no-rate", "--home", str(drawn_shop.home))
    assert set(rows["efficientnet_lite0"]["precision"]) == {"1", "2", "3"}
    assert rows["efficientnet_lite0"]["serves"] == "features"
    assert rows["efficientnet_lite1"]["precision"] == {} and rows["efficientnet_lite1"]["serves"] == ""
    execute(["backbones", "--no-rate", "--home", str(drawn_shop.home)])
    printed = capsys.readouterr().out
    assert "level 1" in printed and "efficientnet_lite2" in printed


def test_the_configuration_knows_the_built_in_backbones() -> None:
    assert backbones.NAMES == BUILT_IN_BACKBONES
