"""Which pixels of a squared picture show the product: all but the white border and a plain background.

    1  what is white and hangs together with the edge of the square is background: the border that squaring added,
       and a white studio behind the product, at once
    2  where that leaves a filled rectangle, it is the inner picture of a photo without a white background. If its
       four edges are of one colour, as before a dark or coloured paper, what has this colour and hangs together
       with them is background too; else it is a photo of a room or a pattern, and all of it counts
    3  where too little would be left, as of a white product on white, the whole square counts

The border needs no sizes that way, and JPEG's ringing about it does not mislead: the border's own pixels are white
within the tolerance however far it reaches, and the seam of one or two pixels that its colours bleed into is cut off.
Thresholds were set by eye on photos of a marketplace; `docs/colour.md` shows what they lead to.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

TOLERANCE = 5
"""In L*, a* and b* each, about the background's colour: JPEG's noise, not yet a cream towel or a soft shadow."""
WHITE = (255, 128, 128)
"""L*a*b* of white in OpenCV's eight bits: L* × 2.55, a* + 128, b* + 128."""

FILLED = 0.97
"""Share of its bounding box from which on what is not white is a whole picture, not a thing before white."""
SEAM = 3
"""Pixels at the edge of an inner picture that the border's white has bled into: JPEG halves the chroma's resolution."""
EVEN = 0.6
"""Share of each edge that must have the background's colour: a product may be cut by an edge, a room is not even."""
LEAST_BEFORE_PAPER = 0.15
"""Share that must be left of an inner picture: a plain towel with a small print is not a print before a paper."""
LEAST = 0.02
"""Share of the square that a product must have, to be believed."""

_NEIGHBOURS = np.ones((3, 3), np.uint8)


def product_mask(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which pixels show the product; never none.

    Args:
        image: (side, side, 3) RGB, squared.

    Returns:
        (side, side).
    """
    lab = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), np.uint8)
    shown = ~_from_the_edges(_near(lab, WHITE))  # 255 where the product is, else 0
    left, top, width, height = cv2.boundingRect(shown)
    filled = cv2.countNonZero(shown) >= FILLED * width * height
    if filled and min(width, height) > 4 * SEAM:
        inner = slice(top + SEAM, top + height - SEAM), slice(left + SEAM, left + width - SEAM)
        before_paper = _before_paper(lab[inner])
        shown[:] = 0
        shown[inner] = before_paper
    shown = np.asarray(cv2.erode(shown, _NEIGHBOURS), np.uint8)  # the outermost pixels are half background
    enough = cv2.countNonZero(shown) >= LEAST * shown.size
    return np.asarray(shown > 0 if enough else np.ones(shown.shape, np.bool_))


def _before_paper(lab: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 255 where an inner picture (h, w, 3) shows something before a plain paper; everywhere if there is none."""
    edges = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    near = _near(lab, np.median(edges, axis=0))
    if min(edge.mean() for edge in (near[0], near[-1], near[:, 0], near[:, -1])) >= EVEN * 255:
        shown = ~_from_the_edges(near)
        if cv2.countNonZero(shown) >= LEAST_BEFORE_PAPER * shown.size:
            return shown
    return np.full(lab.shape[:2], 255, np.uint8)


def _near(lab: NDArray[np.uint8], colour: tuple[float, ...] | NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return 255 where a picture (h, w, 3) in eight bits of L*a*b* has this colour, else 0."""
    reach = np.array([TOLERANCE * 2.55, TOLERANCE, TOLERANCE])
    return np.asarray(cv2.inRange(lab, np.asarray(colour) - reach, np.asarray(colour) + reach), np.uint8)


def _from_the_edges(near: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 255 where pixels (h, w) that are 255 hang together with an edge by a bridge of three pixels or more.

    A narrower bridge is a gap in a pale product's outline, through which its inside would be lost.
    """
    wide = cv2.erode(near, _NEIGHBOURS)
    framed = cv2.copyMakeBorder(wide, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=255)
    cv2.floodFill(framed, None, (0, 0), 128)
    reached = np.where(framed[1:-1, 1:-1] == 128, np.uint8(255), np.uint8(0))
    return np.asarray(cv2.bitwise_and(cv2.dilate(reached, _NEIGHBOURS), near), np.uint8)
