"""The triplets and queries that are drawn, and their pictures."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from recsys.core.configuration import Configuration, Evaluation
from recsys.evaluation.retrieval_metrics import compute_metrics
from recsys.evaluation.training_pictures import (
    RIGHT,
    WRONG,
    changed_queries,
    changes_picture,
    triplets_picture,
    tsne_before_after,
    violating_triplets,
)
from tests.recsys.evaluation.conftest import unit_vectors


def frame_of(values: str, **columns: object) -> pd.DataFrame:
    n = len(values)
    defaults = {"product_id": [str(i) for i in range(n)], "category_path": [["A", value] for value in values]}
    return pd.DataFrame(defaults | {"group": range(n), "held_out": True} | columns)


def decode_png(png: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB"))


def plain_photos(count: int) -> dict[int, np.ndarray]:
    return {row: np.full((256, 256, 3), (12, 34, 56), np.uint8) for row in range(count)}


def test_the_hardest_triplet_of_an_anchor_is_found() -> None:
    frame = frame_of("xxyxy", held_out=[True, False, False, False, False])
    (triplet,) = violating_triplets(unit_vectors([0, 10, 30, 60, 150]), frame, 2, margin=0.2)
    assert triplet.rows == (0, 3, 2)
    assert triplet.to_positive == pytest.approx(2 * np.sin(np.radians(30)))
    assert triplet.to_negative == pytest.approx(2 * np.sin(np.radians(15)))


def test_a_triplet_that_respects_the_margin_is_not_drawn() -> None:
    embeddings = unit_vectors([0, 10, 30])
    frame = frame_of("xxy", held_out=[True, False, False])
    distance = 2 * np.sin(np.radians(15)) - 2 * np.sin(np.radians(5))
    assert not violating_triplets(embeddings, frame, 2, margin=distance - 0.01)
    assert violating_triplets(embeddings, frame, 2, margin=distance + 0.01)


def test_a_near_duplicate_is_neither_positive_nor_negative() -> None:
    frame = frame_of("xxxy", group=[0, 1, 0, 0], held_out=[True, False, False, False])
    assert not violating_triplets(unit_vectors([0, 10, 90, 1]), frame, 2, margin=0.2)


def test_the_worst_triplets_come_first_and_each_group_once() -> None:
    frame = frame_of("xyxyxyxyxx", group=[0, 1, 2, 3, 4, 5, 6, 7, 0, 0])
    triplets = violating_triplets(unit_vectors([7 * i for i in range(10)]), frame, 2, margin=0.5, count=4)
    violations = [triplet.to_positive - triplet.to_negative for triplet in triplets]
    assert len(triplets) == 4 and violations == sorted(violations, reverse=True)
    assert len({frame["group"][triplet.anchor] for triplet in triplets}) == 4


def test_queries_that_gained_and_queries_that_lost_are_separate() -> None:
    frame = frame_of("x" * 6 + "y" * 6)
    good_vectors = unit_vectors([0, 1, 2, 3, 4, 5, 90, 91, 92, 93, 94, 95])
    bad_vectors = good_vectors.copy()
    bad_vectors[0] = unit_vectors([93.5])[0]
    settings = Evaluation(min_occurrences=2, levels=2)
    good, bad = compute_metrics(good_vectors, frame, settings), compute_metrics(bad_vectors, frame, settings)
    gained, lost = changed_queries(bad, good, 2, count=3)
    assert gained[0].query == 0 and (gained[0].precision_before, gained[0].precision_after) == (0, 1)
    assert set(gained[0].after) == {1, 2, 3, 4, 5} and not lost
    assert changed_queries(good, bad, 2, count=3)[1][0].query == 0
    assert changed_queries(good, good, 2) == ([], [])

    picture = decode_png(changes_picture(gained, frame, 2, plain_photos(12)))
    for colour in (RIGHT, WRONG):
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(picture.astype(int) - rgb).max(axis=2) < 8).any(), colour
    assert (picture == (12, 34, 56)).all(axis=2).mean() > 0.2  # the photos are visible


def test_triplets_are_drawn_with_their_photos() -> None:
    frame = frame_of("xxy$x", held_out=[True, False, False, False, False])
    triplets = violating_triplets(unit_vectors([0, 60, 30, 31, 70]), frame, 2, margin=0.2)
    picture = decode_png(triplets_picture(triplets, frame, 2, plain_photos(5)))
    assert (picture == (12, 34, 56)).all(axis=2).mean() > 0.2
    with pytest.raises(ValueError, match="one row"):
        triplets_picture([], frame, 2, {})


def test_the_two_maps_are_side_by_side() -> None:
    random = np.random.default_rng(0)
    before, after = (random.normal(size=(60, size)).astype(np.float32) for size in (32, 8))
    picture = decode_png(tsne_before_after(before, after, ["a", "b", None] * 20, Configuration()))
    half = picture.shape[1] * 2 // 5
    assert all((side < 200).any() for side in (picture[80:, :half], picture[80:, half : 2 * half]))
