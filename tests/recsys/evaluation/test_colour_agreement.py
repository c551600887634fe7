"""Colours are named as people name them, and the figures count what they say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from recsys.core.configuration import Colour, Recommend
from recsys.evaluation.colour_agreement import (
    TERMS,
    agreement,
    colour_words,
    compare,
    dominant_colour,
    named_colours,
    nearest_by_colour,
    see,
)
from recsys.ranking.gallery import Gallery
from recsys.vision.square import square

COLOURS = {
    "black": (15, 15, 18), "white": (252, 252, 250), "grey": (128, 128, 128), "red": (200, 20, 30),
    "orange": (245, 135, 20), "yellow": (250, 225, 30), "green": (30, 140, 60), "blue": (30, 70, 190),
    "purple": (120, 40, 150), "pink": (250, 160, 190), "brown": (110, 65, 30),
}  # fmt: skip


def photo(colour: tuple[int, int, int], radius: int, at: tuple[int, int] = (150, 100)) -> np.ndarray:
    """Return a product before white (200, 300, 3), with a camera's noise."""
    image = np.full((200, 300, 3), 255, np.uint8)
    cv2.circle(image, at, radius, colour, -1)
    noise = np.random.default_rng(radius).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def test_the_eleven_basic_colours_are_named() -> None:
    named = {name: TERMS[named_colours(np.full((1, 1, 3), rgb, np.uint8))[0, 0]] for name, rgb in COLOURS.items()}
    assert named == {name: name for name in COLOURS}


@pytest.mark.parametrize("name", [name for name in COLOURS if name != "white"])
def test_the_dominant_colour_is_the_products(name: str) -> None:
    assert TERMS[dominant_colour(square(photo(COLOURS[name], 55)), (300, 200))] == name


def test_a_picture_of_one_colour_has_this_colour() -> None:
    assert TERMS[dominant_colour(np.full((256, 256, 3), COLOURS["blue"], np.uint8), (500, 500))] == "blue"


def test_colour_words_are_words_and_may_be_several() -> None:
    said = colour_words(["Black & Golden watch", "Redmi cover, NAVY", "a sheet", "Grey-gray"])
    assert [{TERMS[at] for at in np.flatnonzero(row)} for row in said] == [
        {"black", "yellow"}, {"blue"}, set(), {"grey"},
    ]  # fmt: skip


def test_agreement_is_the_share_of_neighbours_that_share_a_colour() -> None:
    colours = np.zeros((4, len(TERMS)), bool)
    colours[0, [0, 1]] = colours[1, [1, 2]] = colours[2, 2] = True
    neighbours = np.array([[1, 2], [0, 2], [1, -1], [-1, -1]])
    np.testing.assert_array_equal(agreement(neighbours, colours), [0.5, 1.0, 1.0, np.nan])


def test_the_nearest_by_colour_are_of_the_same_label_and_never_the_product_itself() -> None:
    histograms = np.eye(4, dtype=np.float32)[[0, 0, 1, 0, 0]]
    labels = np.array(["a", "a", "a", "b", None], dtype=object)
    assert nearest_by_colour(histograms, labels).tolist() == [
        [1, 2, -1, -1, -1], [0, 2, -1, -1, -1], [0, 1, -1, -1, -1], [-1] * 5, [-1] * 5,
    ]  # fmt: skip


def test_products_on_white_agree_more_often_with_the_mask() -> None:
    """The same five sizes in eight colours: without the mask the size decides, with it the colour."""
    names, radii = [name for name in COLOURS if name not in ("white", "grey", "black")], (28, 40, 52, 68, 85)
    pictures = [square(photo(COLOURS[name], radius)) for name in names for radius in radii]
    seen = see(pictures, [(300, 200)] * len(pictures), Colour())
    assert seen.dominant.any(axis=1).all()
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
        histograms=seen.without,
    )
    texts = [f"{name.title()} ball" for name in names for _ in radii]
    figures = compare(seen, labels, texts, gallery, Recommend())
    assert [(f.judged_by, f.ranked_by, f.products) for f in figures] == [
        (judged, ranked, 40) for judged in ("dominant colour", "colour words") for ranked in ("colour", "rule")
    ]
    for figure in figures:
        assert figure.low > 1
        assert figure.ratio == pytest.approx(figure.masked / figure.without)
        assert figure.low <= figure.ratio <= figure.high


def test_too_few_products_give_no_figure() -> None:
    pictures = [square(photo(COLOURS["red"], 40))] * 8
    seen = see(pictures, [(300, 200)] * 8, Colour())
    assert compare(seen, np.full(8, "Balls", dtype=object), ["Red ball"] * 8) == ()
