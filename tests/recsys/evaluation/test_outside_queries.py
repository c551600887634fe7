"""Photos from outside the catalogue as queries: the usable rows are queries, the others are reported."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from recsys.core.errors import CatalogueError
from recsys.evaluation.evaluation_set import BACKBONE, RANDOM, EvaluationSet, load_evaluation_set
from recsys.evaluation.outside_queries import SkippedRow, with_outside_queries
from recsys.evaluation.retrieval_metrics import Metric, compute_metrics
from recsys.evaluation.scoreboard import scoreboard
from tests.recsys.conftest import DrawnShop


@pytest.fixture
def folder(drawn_shop: DrawnShop, tmp_path: Path) -> Path:
    shutil.copytree(drawn_shop.photos, tmp_path / "photos")
    (tmp_path / "photos" / "broken.jpg").write_bytes((tmp_path / "photos" / "p5.jpg").read_bytes()[:600])
    (tmp_path / "photos" / "text.jpg").write_text("no picture")
    (tmp_path / "secret.jpg").write_bytes((tmp_path / "photos" / "p5.jpg").read_bytes())
    return tmp_path / "photos"


def with_csv(shop: DrawnShop, folder: Path, text: str) -> tuple[EvaluationSet, list[SkippedRow]]:
    csv = folder.parent / "queries.csv"
    csv.write_text(text, encoding="utf-8")
    evaluation_set = load_evaluation_set(shop.store, shop.configuration)
    return with_outside_queries(evaluation_set, csv, folder, shop.configuration, shop.store.home)


def test_photos_are_queries_and_not_candidates(drawn_shop: DrawnShop, folder: Path) -> None:
    text = "file,category_path,price\np5.jpg,Kitchen & Dining >> Plates,100\np7.jpg,Clothing >> Shirts,\n"
    photos, skipped = with_csv(drawn_shop, folder, text)
    settings = drawn_shop.configuration.evaluation
    metrics = compute_metrics(photos.models[BACKBONE], photos.frame, settings, photos.histograms)
    products = len(photos.frame) - 2
    assert not skipped and metrics.queries.tolist() == [products, products + 1]
    assert metrics.neighbours.max() < products
    ids = photos.frame["product_id"].iloc[metrics.neighbours[:, 0]].tolist()
    assert ids == ["p5", "p7"]  # the CSV names no product, so the shop's own photo is a candidate
    assert metrics.column(Metric(2, "precision", 1)).tolist() == [1, 1]
    assert photos.frame["price_level"].iloc[products] == 1 and np.isnan(photos.frame["price_level"].iloc[-1])


def test_a_photo_of_a_named_product_is_a_query_for_that_product(drawn_shop: DrawnShop, folder: Path) -> None:
    photos, _ = with_csv(drawn_shop, folder, "file;category_path;product_id\np5.jpg;;p5\n")
    metrics = compute_metrics(photos.models[BACKBONE], photos.frame, drawn_shop.configuration.evaluation)
    assert metrics.column(Metric(0, "view", 1)).tolist() == [1]
    assert "p5" not in set(photos.frame["product_id"].iloc[metrics.neighbours[0]])
    assert list(photos.frame["category_path"].iloc[-1]) == ["Kitchen & Dining", "Plates"]  # that of the product


def test_unusable_rows_are_reported_and_the_others_used(drawn_shop: DrawnShop, folder: Path) -> None:
    text = """file,category_path,price,product_id
nowhere.jpg,Kitchen & Dining,,
broken.jpg,Kitchen & Dining,,
text.jpg,Kitchen & Dining,,
../secret.jpg,Kitchen & Dining,,
p5.jpg,Kitchen & Dining,dear,
,Kitchen & Dining,,
p5.jpg,,,
p5.jpg,,,unlisted
p5.jpg,Kitchen & Dining >> Plates,,
"""
    photos, skipped = with_csv(drawn_shop, folder, text)
    assert photos.frame["held_out"].sum() == 1
    words = [
        "not exist",
        "cannot be used",
        "cannot be used",
        "not within",
        "'dear'",
        "'file' is empty",
        "both empty",
        "'unlisted'",
    ]
    assert [row.line for row in skipped] == list(range(2, 10))
    for row, word in zip(skipped, words, strict=True):
        assert word in row.reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,path\np5.jpg,Kitchen & Dining\n", ["no column 'category_path'", "file, path"]),
        ("", ["is empty"]),
        ("file,category_path\n", ["no usable row"]),
        ("file,category_path\nno.jpg,Kitchen & Dining\n", ["no usable row", "line 2", "no.jpg"]),
    ],
)
def test_a_csv_without_usable_rows_is_an_error(
    drawn_shop: DrawnShop, folder: Path, text: str, words: list[str]
) -> None:
    with pytest.raises(CatalogueError) as raised:
        with_csv(drawn_shop, folder, text)
    assert all(word in str(raised.value) for word in ["queries.csv", *words]), raised.value


def test_a_missing_folder_is_an_error(drawn_shop: DrawnShop, folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    with pytest.raises(CatalogueError, match="is not a folder"):
        with_csv(drawn_shop, folder, "file,category_path\np5.jpg,Kitchen & Dining\n")


def test_a_trained_model_embeds_the_photos(drawn_shop: DrawnShop, folder: Path) -> None:
    csv = folder.parent / "queries.csv"
    csv.write_text("file,category_path\np5.jpg,Kitchen & Dining >> Plates\n")
    evaluation_set = load_evaluation_set(drawn_shop.store, drawn_shop.configuration)
    evaluation_set.models["half"] = evaluation_set.models[BACKBONE][:, ::2].copy()
    evaluation_set.models["cannot embed"] = evaluation_set.models[BACKBONE]
    embed = {"half": lambda pictures, raw, histograms: raw[:, ::2]}
    photos, _ = with_outside_queries(
        evaluation_set, csv, folder, drawn_shop.configuration, drawn_shop.store.home, embed
    )
    assert "cannot embed" not in photos.models and set(photos.models) > {"half", RANDOM}
    board = scoreboard(photos.models, photos.frame, drawn_shop.configuration.evaluation, photos.histograms)
    assert set(board["model"]) == set(photos.models)
