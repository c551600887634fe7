"""Find the pixels of a squared picture that show the product, not the white border or a plain background.

    1  White pixels connected to the edge of the square are background: the border that squaring added, and a white
       studio background.
    2  If the rest is a filled rectangle, it is a photo without a white background. If its four edges have one colour,
       as with coloured paper, pixels of this colour connected to the edges are background too. Otherwise the photo
       shows a room or a pattern, and all of it counts as product.
    3  If too little remains, as of a white product on white, the whole square counts.

The border is found without knowing its size. JPEG ringing next to it does no harm: border pixels stay white within the
tolerance, and the seam of one or two pixels into which colours bleed is cut off. The thresholds were set by eye on
photos of a marketplace; `docs/colour.md` shows their effect.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

TOLERANCE = 5
"""Maximum difference from the background colour, in each of L*, a* and b*: includes JPEG noise, but not a soft shadow
or a cream product."""
WHITE = (255, 128, 128)
"""L*a*b* of white in OpenCV's 8 bits: L* × 2.55, a* + 128, b* + 128."""

FILLED_SHARE = 0.97
"""Share of its bounding box from which the foreground counts as a whole photo, not a product on white."""
SEAM = 3
"""Pixels at the edge of a photo into which the white border bleeds: JPEG halves the resolution of chroma."""
EDGE_SHARE = 0.6
"""Minimum share of each edge with the background colour; less than 1, because an edge may cut a product."""
MIN_PAPER_FOREGROUND = 0.15
"""Minimum share of a photo in front of coloured paper; below it the photo is a plain product with a small print."""
MIN_FOREGROUND = 0.02
"""Minimum share of the square; below it the whole square counts."""

_NEIGHBOURS = np.ones((3, 3), np.uint8)


def product_mask(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which pixels show the product; at least one does.

    Args:
        image: (side, side, 3) RGB, squared.

    Returns:
        (side, side).
    """
    lab = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), np.uint8)
    foreground = ~_connected_to_edges(_has_colour(lab, WHITE))  # (side, side): 255 or 0
    left, top, width, height = cv2.boundingRect(foreground)
    is_filled = cv2.countNonZero(foreground) >= FILLED_SHARE * width * height
    if is_filled and min(width, height) > 4 * SEAM:
        inner = slice(top + SEAM, top + height - SEAM), slice(left + SEAM, left + width - SEAM)
        foreground[:] = 0
        foreground[inner] = _paper_foreground(lab[inner])
    foreground = np.asarray(cv2.erode(foreground, _NEIGHBOURS), np.uint8)  # the outermost pixels are half background
    is_enough = cv2.countNonZero(foreground) >= MIN_FOREGROUND * foreground.size
    return np.asarray(foreground > 0 if is_enough else np.ones(foreground.shape, np.bool_))


def _paper_foreground(lab: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 255 where a photo (h, w, 3) shows a product in front of plain paper; everywhere if there is no paper."""
    edges = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    is_paper = _has_colour(lab, np.median(edges, axis=0))
    if min(edge.mean() for edge in (is_paper[0], is_paper[-1], is_paper[:, 0], is_paper[:, -1])) >= EDGE_SHARE * 255:
        foreground = ~_connected_to_edges(is_paper)
        if cv2.countNonZero(foreground) >= MIN_PAPER_FOREGROUND * foreground.size:
            return foreground
    return np.full(lab.shape[:2], 255, np.uint8)


def _has_colour(lab: NDArray[np.uint8], colour: tuple[float, ...] | NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return 255 where a picture (h, w, 3) in 8-bit L*a*b* has this colour within the tolerance, else 0."""
    tolerance = np.array([TOLERANCE * 2.55, TOLERANCE, TOLERANCE])
    return np.asarray(cv2.inRange(lab, np.asarray(colour) - tolerance, np.asarray(colour) + tolerance), np.uint8)


def _connected_to_edges(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 255 where pixels (h, w) of 255 are connected to an edge by a bridge of at least three pixels.

    A narrower bridge is a gap in the outline of a pale product.
    """
    wide = cv2.erode(mask, _NEIGHBOURS)
    framed = cv2.copyMakeBorder(wide, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=255)
    cv2.floodFill(framed, None, (0, 0), 128)
    reached = np.where(framed[1:-1, 1:-1] == 128, np.uint8(255), np.uint8(0))
    return np.asarray(cv2.bitwise_and(cv2.dilate(reached, _NEIGHBOURS), mask), np.uint8)
