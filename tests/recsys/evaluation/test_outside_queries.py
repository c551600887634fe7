"""Photos from elsewhere as queries: what counts, and what a bad row costs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from recsys.core.errors import CatalogueError
from recsys.evaluation.evaluation_set import BACKBONE, RANDOM, judged_products
from recsys.evaluation.outside_queries import with_outside_queries
from recsys.evaluation.retrieval_metrics import Figure, judge
from recsys.evaluation.scoreboard import scoreboard


@pytest.fixture
def folder(judged_shop, tmp_path: Path) -> Path:  # type: ignore[no-untyped-def]
    shutil.copytree(judged_shop.photos, tmp_path / "photos")
    (tmp_path / "photos" / "broken.jpg").write_bytes((tmp_path / "photos" / "p5.jpg").read_bytes()[:600])
    (tmp_path / "photos" / "text.jpg").write_text("no picture")
    (tmp_path / "secret.jpg").write_bytes((tmp_path / "photos" / "p5.jpg").read_bytes())
    return tmp_path / "photos"


def asked(judged_shop, folder: Path, text: str, **options):  # type: ignore[no-untyped-def]
    csv = folder.parent / "queries.csv"
    csv.write_text(text, encoding="utf-8")
    judged = judged_products(judged_shop.store, judged_shop.configuration)
    return with_outside_queries(judged, csv, folder, judged_shop.configuration, **options)


def test_photos_ask_and_are_not_found(judged_shop, folder: Path) -> None:  # type: ignore[no-untyped-def]
    text = "file,category_path,price\np5.jpg,Kitchen & Dining >> Plates,100\np7.jpg,Clothing >> Shirts,\n"
    judged, skipped = asked(judged_shop, folder, text)
    told = judge(judged.models[BACKBONE], judged.frame, judged_shop.configuration.evaluation, judged.histograms)
    products = len(judged.frame) - 2
    assert not skipped and told.queries.tolist() == [products, products + 1]
    assert told.neighbours.max() < products
    ids = judged.frame["product_id"].iloc[told.neighbours[:, 0]].tolist()
    assert ids == ["p5", "p7"]  # not named as the shop's, its own photo may be found
    assert told.column(Figure(2, "precision", 1)).tolist() == [1, 1]
    assert judged.frame["price_level"].iloc[products] == 1 and np.isnan(judged.frame["price_level"].iloc[-1])


def test_a_named_product_is_asked_for_and_is_none_of_its_likes(judged_shop, folder: Path) -> None:  # type: ignore[no-untyped-def]
    judged, _ = asked(judged_shop, folder, "file;category_path;product_id\np5.jpg;;p5\n")
    told = judge(judged.models[BACKBONE], judged.frame, judged_shop.configuration.evaluation)
    assert told.column(Figure(0, "view", 1)).tolist() == [1]
    assert "p5" not in set(judged.frame["product_id"].iloc[told.neighbours[0]])
    assert list(judged.frame["category_path"].iloc[-1]) == ["Kitchen & Dining", "Plates"]  # the product's own


def test_bad_rows_are_told_and_the_rest_goes_on(judged_shop, folder: Path) -> None:  # type: ignore[no-untyped-def]
    text = """file,category_path,price,product_id
nowhere.jpg,Kitchen & Dining,,
broken.jpg,Kitchen & Dining,,
text.jpg,Kitchen & Dining,,
../secret.jpg,Kitchen & Dining,,
p5.jpg,Kitchen & Dining,dear,
,Kitchen & Dining,,
p5.jpg,,,
p5.jpg,,,nobody
p5.jpg,Kitchen & Dining >> Plates,,
"""
    judged, skipped = asked(judged_shop, folder, text)
    assert judged.frame["held_out"].sum() == 1
    words = [
        "not exist",
        "cannot be used",
        "cannot be used",
        "not within",
        "'dear'",
        "'file' is empty",
        "neither",
        "'nobody'",
    ]
    assert [row.line for row in skipped] == list(range(2, 10))
    for row, word in zip(skipped, words, strict=True):
        assert word in row.reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,path\np5.jpg,Kitchen & Dining\n", ["no column 'category_path'", "file, path"]),
        ("", ["is empty"]),
        ("file,category_path\n", ["no row that can be used"]),
        ("file,category_path\nno.jpg,Kitchen & Dining\n", ["no row that can be used", "line 2", "no.jpg"]),
    ],
)
def test_a_file_of_no_use_is_an_error(judged_shop, folder: Path, text: str, words: list[str]) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(CatalogueError) as raised:
        asked(judged_shop, folder, text)
    assert all(word in str(raised.value) for word in ["queries.csv", *words]), raised.value


def test_a_missing_folder_is_an_error(judged_shop, folder: Path) -> None:  # type: ignore[no-untyped-def]
    folder.rename(folder.with_name("moved"))
    with pytest.raises(CatalogueError, match="no folder"):
        asked(judged_shop, folder, "file,category_path\np5.jpg,Kitchen & Dining\n")


def test_a_trained_model_sees_the_photos_too(judged_shop, folder: Path) -> None:  # type: ignore[no-untyped-def]
    csv = folder.parent / "queries.csv"
    csv.write_text("file,category_path\np5.jpg,Kitchen & Dining >> Plates\n")
    judged = judged_products(judged_shop.store, judged_shop.configuration)
    judged.models["half"] = judged.models[BACKBONE][:, ::2].copy()
    judged.models["not asked"] = judged.models[BACKBONE]
    both, _ = with_outside_queries(
        judged, csv, folder, judged_shop.configuration, {"half": lambda pictures, raw, histograms: raw[:, ::2]}
    )
    assert "not asked" not in both.models and set(both.models) > {"half", RANDOM}
    board = scoreboard(both.models, both.frame, judged_shop.configuration.evaluation, both.histograms)
    assert set(board["model"]) == set(both.models)
