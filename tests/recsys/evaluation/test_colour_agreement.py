"""Colour agreement counts shared colours, and is higher with the product's mask."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.core.configuration import Colour, Recommend
from recsys.evaluation.basic_colours import TERMS
from recsys.evaluation.colour_agreement import agreement, colour_features, compare_masks, nearest_by_colour
from recsys.ranking.gallery import Gallery
from recsys.vision.square import square
from tests.recsys.evaluation.conftest import COLOURS, coloured_photo


def test_agreement_is_the_share_of_neighbours_with_a_colour_in_common() -> None:
    colours = np.zeros((4, len(TERMS)), bool)
    colours[0, [0, 1]] = colours[1, [1, 2]] = colours[2, 2] = True
    neighbours = np.array([[1, 2], [0, 2], [1, -1], [-1, -1]])
    np.testing.assert_array_equal(agreement(neighbours, colours), [0.5, 1.0, 1.0, np.nan])


def test_the_nearest_by_colour_have_the_same_label_and_exclude_the_query() -> None:
    histograms = np.eye(4, dtype=np.float32)[[0, 0, 1, 0, 0]]
    labels = np.array(["a", "a", "a", "b", None], dtype=object)
    assert nearest_by_colour(histograms, labels).tolist() == [
        [1, 2, -1, -1, -1], [0, 2, -1, -1, -1], [0, 1, -1, -1, -1], [-1] * 5, [-1] * 5,
    ]  # fmt: skip


def test_products_on_white_agree_more_often_with_the_mask() -> None:
    """The same five sizes in eight colours: without the mask the size decides, with it the colour."""
    names, radii = [name for name in COLOURS if name not in ("white", "grey", "black")], (28, 40, 52, 68, 85)
    pictures = [square(coloured_photo(COLOURS[name], radius)) for name in names for radius in radii]
    colours = colour_features(pictures, [(300, 200)] * len(pictures), Colour())
    assert colours.dominant.any(axis=1).all()
    labels = np.full(len(pictures), "Balls", dtype=object)
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(len(pictures), 8)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    gallery = Gallery(
        version="v",
        product_ids=np.arange(len(pictures)).astype(object),
        labels=labels,
        price_levels=np.full(len(pictures), 2.5),
        embeddings=embeddings,
        histograms=colours.without,
    )
    texts = [f"{name.title()} ball" for name in names for _ in radii]
    results = compare_masks(colours, labels, texts, gallery, Recommend())
    assert [(result.judged_by, result.ranked_by, result.products) for result in results] == [
        (judged, ranked, 40) for judged in ("dominant colour", "colour words") for ranked in ("colour", "rule")
    ]
    for result in results:
        assert result.low > 1
        assert result.ratio == pytest.approx(result.masked / result.without)
        assert result.low <= result.ratio <= result.high


def test_too_few_products_give_no_result() -> None:
    pictures = [square(coloured_photo(COLOURS["red"], 40))] * 8
    colours = colour_features(pictures, [(300, 200)] * 8, Colour())
    assert compare_masks(colours, np.full(8, "Balls", dtype=object), ["Red ball"] * 8) == ()
