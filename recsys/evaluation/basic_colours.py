"""The eleven basic colour terms (Berlin & Kay, 1969): of pixels, of a product in a picture, and of words in a text."""

import re
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

TERMS = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
"""The eleven basic colour terms."""

HUES = (
    (20, "pink"), (50, "red"), (72, "orange"), (105, "yellow"), (190, "green"), (306, "blue"), (330, "purple"),
    (360, "pink"),
)  # fmt: skip
"""Upper bound of the hue angle in CIELAB, degrees, and the term of a chromatic colour below it."""

WORDS = {
    **{term: term for term in TERMS},
    "gray": "grey", "silver": "grey", "steel": "grey", "maroon": "red", "gold": "yellow", "golden": "yellow",
    "navy": "blue", "violet": "purple", "beige": "brown",
}  # fmt: skip
"""Words in a catalogue, and the basic colour of each."""

SIDE = 64
"""Side of the picture that GrabCut works on, pixels. 128 takes eight times as long and mostly gives the same colour."""
ROUNDS = 3
"""GrabCut's iterations."""
BORDER = 16
"""GrabCut takes the outermost sixteenth of each side as background."""
MIN_SHARE = 0.02
"""Smallest share of a picture that is accepted as the product."""
SEED = 12_345


def named_colours(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the basic colour of each pixel of an RGB picture (h, w, 3), as an index of `TERMS`: (h, w).

    The rule uses lightness, chroma and hue angle in CIELAB: greys have little chroma, brown is a dark or dull red or
    orange, pink is a light red, and `HUES` gives the rest. The bounds are between the terms' focal colours.
    """
    lightness, a, b = cv2.split(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    term = np.select([hue < bound for bound, _ in HUES], [TERMS.index(name) for _, name in HUES], TERMS.index("pink"))
    reddish = (hue < 50) | (hue >= 345)
    term[reddish & (lightness < 65)] = TERMS.index("red")
    term[reddish & (lightness >= 65)] = TERMS.index("pink")
    dark_red = ((hue < 50) | (hue >= 350)) & (lightness < 38) & (chroma < 45)
    dark_orange = (hue >= 50) & (hue < 85) & (lightness < 58)
    dull_orange = (hue >= 40) & (hue < 85) & (chroma < 28) & (lightness < 75)
    term[dark_red | dark_orange | dull_orange] = TERMS.index("brown")
    grey = (chroma < 10) | ((chroma < 14) & (lightness > 85)) | (lightness < 18)
    term[grey] = TERMS.index("grey")
    term[grey & (lightness < 30)] = TERMS.index("black")
    term[grey & (lightness > 85)] = TERMS.index("white")
    return term.astype(np.uint8)


def dominant_colour(image: NDArray[np.uint8], size: tuple[int, int], side: int = SIDE) -> int:
    """Return the most frequent colour of a product, as an index of `TERMS`.

    Args:
        image: (side, side, 3) RGB, squared.
        size: width and height of the original.
        side: see `SIDE`.
    """
    width, height = (max(1, length * len(image) // max(size)) for length in size)
    left, top = (len(image) - width) // 2, (len(image) - height) // 2
    scaled = tuple(max(8, round(length * side / len(image))) for length in (width, height))
    inner = cv2.resize(image[top : top + height, left : left + width], scaled, interpolation=cv2.INTER_AREA)
    names = named_colours(np.asarray(inner, np.uint8))
    return int(np.bincount(names[_foreground(np.asarray(inner, np.uint8))], minlength=len(TERMS)).argmax())


def _foreground(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return GrabCut's foreground of a picture (h, w, 3); the whole picture where it finds next to none."""
    height, width = image.shape[:2]
    across, down = max(1, width // BORDER), max(1, height // BORDER)
    mask, models = np.zeros((height, width), np.uint8), (np.zeros((1, 65)), np.zeros((1, 65)))
    cv2.setRNGSeed(SEED)
    try:
        inside = (across, down, width - 2 * across, height - 2 * down)
        cv2.grabCut(image, mask, inside, *models, ROUNDS, cv2.GC_INIT_WITH_RECT)
    except cv2.error:  # a picture of one plain colour has no foreground
        return np.ones((height, width), bool)
    foreground = (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)
    return foreground if foreground.mean() > MIN_SHARE else np.ones_like(foreground)


def colour_words(texts: Sequence[str]) -> NDArray[np.bool_]:
    """Return the basic colours that each of n texts names: (n, terms)."""
    named = np.zeros((len(texts), len(TERMS)), dtype=bool)
    for row, text in enumerate(texts):
        for word in re.findall(r"[a-z]+", text.lower()):
            if word in WORDS:
                named[row, TERMS.index(WORDS[word])] = True
    return named
