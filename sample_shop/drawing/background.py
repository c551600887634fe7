"""What a product stands before: a studio, a room, the open air, a table that it lies on."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sample_shop.drawing.canvas import Pixels
from sample_shop.drawing.palette import RGB
from sample_shop.drawing.patterns import TILE, pattern

COARSE = 8  # pixels of the picture a cell of the coarse grid

ROOMS: tuple[tuple[RGB, RGB], ...] = (  # wall, floor
    ((226, 217, 203), (168, 132, 98)),
    ((206, 220, 222), (186, 164, 138)),
    ((233, 213, 206), (196, 170, 150)),
    ((214, 222, 206), (150, 122, 96)),
    ((222, 219, 228), (140, 132, 136)),
)
OPEN_AIR: tuple[tuple[RGB, RGB], ...] = (  # above and below, out of focus
    ((196, 214, 190), (120, 148, 98)),
    ((206, 222, 236), (214, 196, 164)),
    ((236, 214, 190), (156, 116, 92)),
    ((188, 194, 212), (108, 112, 132)),
)
TABLES: tuple[tuple[str, RGB], ...] = (  # what it lies on, seen from above
    ("wood", (182, 146, 108)),
    ("wood", (216, 192, 158)),
    ("wood", (118, 86, 62)),
    ("knit", (224, 216, 204)),
    ("knit", (176, 184, 190)),
)
DIMMED = 0.35  # of a table's grain, so that it stays behind the product


def coarse(size: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of the coarse grid of a picture."""
    return max(8, size[0] // COARSE), max(8, size[1] // COARSE)


def backdrop(chance: float, rng: np.random.Generator, size: tuple[int, int]) -> NDArray[Any]:
    """Return a background, (h, w, 3) on a coarse grid: mostly a white studio, some grey, some a room.

    Args:
        chance: which one; from 0, where all are white, up.
        rng: its colours and light.
        size: width and height of the picture in pixels.
    """
    width, height = coarse(size)
    ys = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    xs = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    plain = np.ones((height, width, 3), np.float32)
    if chance < 0.66:
        return plain * 255
    if chance < 0.8:
        return plain * float(rng.uniform(228, 248)) - 14 * ys - 8 * xs**2
    if chance < 0.88:
        tint = np.array(rng.uniform(200, 250, 3), np.float32)
        return plain * (tint * 0.5 + tint.mean() * 0.5) - 26 * ((ys - 0.45) ** 2 * 2 + xs**2 * 0.5)
    wall, floor = ROOMS[int(rng.integers(len(ROOMS)))]
    line = float(rng.uniform(0.66, 0.8))
    mask = np.clip((ys - line) * height + 0.5, 0, 1)
    room = np.array(wall, np.float32) * (1.04 - 0.12 * np.abs(xs + 0.4)) * (1 - mask)
    return np.clip(room + np.array(floor, np.float32) * (0.9 + 0.25 * (ys - line)) * mask * plain, 0, 255)


def open_air(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[Any]:
    """Return a background out of focus, (h, w, 3) on a coarse grid: two colours, and lights as blurred discs."""
    width, height = coarse(size)
    above, below = (np.array(colour, np.float32) for colour in OPEN_AIR[int(rng.integers(len(OPEN_AIR)))])
    way = np.clip(np.linspace(-0.3, 1.3, height, dtype=np.float32), 0, 1)[:, None, None]
    ground = np.ones((height, width, 3), np.float32) * (above * (1 - way) + below * way)
    for _ in range(int(rng.integers(8, 16))):
        disc = np.zeros((height, width), np.float32)
        at = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(disc, at, max(1, round(max(width, height) * float(rng.uniform(0.03, 0.11)))), 1.0, -1)
        ground += cv2.GaussianBlur(disc, (0, 0), 1.2)[..., None] * float(rng.uniform(-14, 26))
    return np.clip(ground, 0, 255)


def table(rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """Return what a product lies on, seen from above: wood or cloth, (h, w, 3) uint8 at the picture's own size."""
    width, height = size
    name, colour = TABLES[int(rng.integers(len(TABLES)))]
    tile = cv2.cvtColor(pattern(name, colour, colour, colour, rng), cv2.COLOR_RGBA2RGB)
    scale, angle = float(rng.uniform(1.2, 2.2)) * max(size) / 512, np.radians(float(rng.uniform(-12, 12)))
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    shift = rng.uniform(0, TILE, 2)
    turn = np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]])
    grain = cv2.warpAffine(tile, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    even = np.empty_like(grain)
    even[:] = colour
    return cv2.addWeighted(grain, DIMMED, even, 1 - DIMMED, 0)
