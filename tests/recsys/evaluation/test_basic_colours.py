"""Basic colours of pixels, products and texts are those that people name."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.evaluation.basic_colours import TERMS, colour_words, dominant_colour, named_colours
from recsys.vision.square import square
from tests.recsys.evaluation.conftest import COLOURS, coloured_photo


def test_the_eleven_basic_colours_are_named() -> None:
    named = {name: TERMS[named_colours(np.full((1, 1, 3), rgb, np.uint8))[0, 0]] for name, rgb in COLOURS.items()}
    assert named == {name: name for name in COLOURS}


@pytest.mark.parametrize("name", [name for name in COLOURS if name != "white"])
def test_the_dominant_colour_is_the_colour_of_the_product(name: str) -> None:
    assert TERMS[dominant_colour(square(coloured_photo(COLOURS[name], 55)), (300, 200))] == name


def test_the_dominant_colour_of_a_plain_picture_is_its_colour() -> None:
    assert TERMS[dominant_colour(np.full((256, 256, 3), COLOURS["blue"], np.uint8), (500, 500))] == "blue"


def test_colour_words_are_whole_words_and_can_be_several() -> None:
    named = colour_words(["Black & Golden watch", "Redmi cover, NAVY", "a sheet", "Grey-gray"])
    assert [{TERMS[term] for term in np.flatnonzero(row)} for row in named] == [
        {"black", "yellow"}, {"blue"}, set(), {"grey"},
    ]  # fmt: skip
