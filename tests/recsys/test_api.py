"""The Python interface: the documented example runs, and returns what `docs/api.md` documents."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import recsys
from recsys.core.errors import ConfigurationError, HomeError, PhotoError, UnknownProductError
from tests.recsys.conftest import PRODUCTS, DrawnShop

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.fixture(scope="module")
def shop(drawn_shop: DrawnShop) -> recsys.Shop:
    return recsys.open_home(drawn_shop.home)


def test_the_documented_example_runs_and_the_documented_columns_are_returned(
    drawn_shop: DrawnShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(drawn_shop.home, tmp_path / "my-shop")
    shutil.copy(drawn_shop.photos / "p5.jpg", tmp_path / "photo.jpg")
    shutil.copy(drawn_shop.photos / "p7.jpg", tmp_path / "other.jpg")
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    assert "why" in capsys.readouterr().out
    assert names["vectors"].shape == (2, names["shop"].embeddings.shape[1])
    assert names["cosine"].shape == (2, PRODUCTS)
    assert names["nearest"]["product_id"] == names["by_photo"]["product_id"][0] == "p5"
    documented = {
        call: re.findall(r"`(\w+)`", cells) for call, cells in re.findall(r"^\| `(shop\.\w+).*?` \|(.*)\|$", page, re.M)
    }
    assert names["shop"].products.columns.tolist() == documented["shop.products"]
    assert names["similar"].columns.tolist() == documented["shop.recommend"]
    assert names["by_photo"].columns.tolist() == documented["shop.recommend"]


def test_every_public_name_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert "`recsys.open_home(" in page and "`Shop`" in page
    for name in vars(recsys.Shop):
        assert name.startswith("_") or f"`shop.{name}" in page, name


def test_embeddings_are_row_by_row_those_of_the_products(shop: recsys.Shop, drawn_shop: DrawnShop) -> None:
    row = shop.products["product_id"].tolist().index("p5")
    (vector,) = shop.embed([drawn_shop.photos / "p5.jpg"])
    assert vector @ shop.embeddings[row] == pytest.approx(1, abs=1e-3)
    assert np.linalg.norm(shop.embeddings, axis=1) == pytest.approx(1, abs=1e-4)
    with pytest.raises(ValueError, match="read-only"):
        shop.embeddings[0] = 0


def test_an_image_array_and_its_file_give_the_same_recommendations(shop: recsys.Shop, drawn_shop: DrawnShop) -> None:
    file = drawn_shop.photos / "p5.jpg"
    image = np.asarray(Image.open(file).convert("RGB"))
    from_image, from_file = shop.recommend_photo(image), shop.recommend_photo(file)
    assert from_image["product_id"].tolist() == from_file["product_id"].tolist()


def test_settings_have_priority_over_those_of_the_home(drawn_shop: DrawnShop) -> None:
    shop = recsys.open_home(drawn_shop.home, {"recommend": {"top": 3}})
    assert shop.recommend("p5")["rank"].tolist() == [1, 2, 3]


def test_errors_are_those_of_the_library(shop: recsys.Shop, drawn_shop: DrawnShop, tmp_path: Path) -> None:
    with pytest.raises(HomeError):
        recsys.open_home(tmp_path / "missing")
    with pytest.raises(ConfigurationError):
        recsys.open_home(drawn_shop.home, {"recommend": {"unknown": 1}})
    with pytest.raises(UnknownProductError):
        shop.recommend("missing")
    with pytest.raises(PhotoError):
        shop.recommend_photo(tmp_path / "missing.jpg")
    with pytest.raises(TypeError, match="list of photos"):
        shop.embed(str(drawn_shop.photos / "p5.jpg"))


def test_importing_recsys_imports_no_other_package() -> None:
    code = "import sys, recsys; print({'numpy', 'pandas', 'pyarrow', 'lancedb', 'pydantic', 'keras'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
