"""Compose the photo of a product: viewpoint, distance, light and background.

The first photo of a product shows it upright and alone, mostly in front of a white studio. Further photos show the
product from an angle, its other side, a detail, the product on a table, or small in a room. Each photo has its own
light. All photos of a product have nearly the same proportions.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sample_shop.drawing.background import backdrop, open_air, table
from sample_shop.drawing.canvas import Pixels

Extent = tuple[float, float, float, float]  # left, top, right, bottom, in the product's frame

STUDIO = 0.62  # of the further photos from an angle, of the other side or of a detail


@dataclass(frozen=True)
class Light:
    """Describe the light of a further photo on the product.

    Attributes:
        colour: factors of red, green and blue: brighter or darker, warmer or colder.
        slope: share by which the right side is brighter than the middle, and the left one darker.
    """

    colour: tuple[float, float, float]
    slope: float


@dataclass(frozen=True)
class Shot:
    """Describe one photo of a product.

    Attributes:
        frame: affine map (2, 3) from the product's frame to pixels.
        background: (h, w, 3), float on a coarse grid or uint8 at the picture's own size.
        perspective: map (3, 3) of the pixels that makes one side nearer than the other; None for a photo from afar.
        light: None for the uniform light of a first photo.
    """

    frame: NDArray[np.float64]
    background: NDArray[Any]
    perspective: NDArray[np.float64] | None = None
    light: Light | None = None

    def taken(self, pixels: Pixels) -> Pixels:
        """Return a drawn product (h, w, 4), RGBA premultiplied, as the photo shows it."""
        if self.perspective is not None:
            pixels = cv2.warpPerspective(pixels, self.perspective, pixels.shape[1::-1], flags=cv2.INTER_LINEAR)
        return pixels if self.light is None else _lit(pixels, self.light)


def first_shot(rng: np.random.Generator, size: tuple[int, int], extent: Extent) -> Shot:
    """Return the first photo of a product: it fills most of a picture of `size`, width and height in pixels."""
    scale = _filling(size, extent) * float(rng.uniform(0.82, 0.92))
    frame = _frame(size, extent, scale, float(rng.normal(0, 1.5)))
    return Shot(frame, backdrop(float(rng.random()), rng, size))


def further_shot(rng: np.random.Generator, size: tuple[int, int], extent: Extent) -> Shot:
    """Return a further photo of a product."""
    scale = _filling(size, extent)
    angle, flip, shift = float(rng.uniform(-5, 5)), False, (0.0, 0.0)
    turn, tilt = float(rng.uniform(-0.08, 0.08)), float(rng.uniform(-0.05, 0.05))
    setting = "studio" if rng.random() < STUDIO else "lifestyle"
    match int(rng.integers(6)):
        case 0 | 1:  # from an angle
            scale *= float(rng.uniform(0.8, 0.95))
            turn = float(rng.choice([-1, 1]) * rng.uniform(0.18, 0.34))
        case 2:  # its other side
            scale *= float(rng.uniform(0.72, 0.9))
            flip, turn = True, float(rng.choice([-1, 1]) * rng.uniform(0.06, 0.2))
        case 3:  # a detail
            scale *= float(rng.uniform(1.1, 1.35))
            shift = (float(rng.uniform(-0.1, 0.1)), float(rng.uniform(-0.12, 0.12)))
        case 4:  # laid on a table
            scale *= float(rng.uniform(0.74, 0.86))
            angle, setting = float(rng.choice([-1, 1]) * rng.uniform(6, 24)), "table"
        case _:  # small in a room
            scale *= float(rng.uniform(0.62, 0.76))
            shift, setting = (float(rng.uniform(-0.1, 0.1)), float(rng.uniform(0.02, 0.08))), "lifestyle"
    return Shot(
        _frame(size, extent, scale, angle, flip=flip, shift=shift),
        _setting(setting, rng, size),
        _perspective(size, turn, tilt),
        _light(rng),
    )


def _filling(size: tuple[int, int], extent: Extent) -> float:
    """Return the scale, pixels per unit, at which a product fills its picture."""
    left, top, right, bottom = extent
    return min(size[0] / (right - left), size[1] / (bottom - top))


def _frame(
    size: tuple[int, int],
    extent: Extent,
    scale: float,
    angle: float,
    *,
    flip: bool = False,
    shift: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float64]:
    """Return the affine map (2, 3) that puts a product into the middle, `shift` (shares of the picture) away from it.

    Args:
        size: width and height in pixels.
        extent: part of its frame that the product fills.
        scale: pixels per unit.
        angle: degrees, clockwise.
        flip: whether to mirror it, to show its other side.
        shift: to the right and down.
    """
    left, top, right, bottom = extent
    middle = np.array([size[0] * (0.5 + shift[0]), size[1] * (0.5 + shift[1])])
    cos, sin, side = np.cos(np.radians(angle)) * scale, np.sin(np.radians(angle)) * scale, -1.0 if flip else 1.0
    turn = np.array([[cos * side, -sin], [sin * side, cos]])
    return np.column_stack([turn, middle - turn @ ((left + right) / 2, (top + bottom) / 2)])


def _perspective(size: tuple[int, int], turn: float, tilt: float) -> NDArray[np.float64]:
    """Return the map (3, 3) of a flat thing turned about its upright axis and tilted, seen from near.

    Args:
        size: width and height in pixels.
        turn: how much nearer its right side is than its middle, as a share; negative for its left side.
        tilt: the same of its lower edge.
    """
    narrow, low = 1 - abs(turn) * 0.75, 1 - abs(tilt) * 0.5  # the side that turns away is shortened
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)
    near = 1 + 0.45 * (corners[:, 0] * turn + corners[:, 1] * tilt)  # (4,)
    half = np.array(size, np.float32) / 2
    seen = corners * np.stack([narrow * (1 + 0.45 * corners[:, 1] * tilt), low * near], axis=1)
    made = cv2.getPerspectiveTransform((corners + 1) * half, (seen.astype(np.float32) + 1) * half)
    return np.asarray(made, np.float64)


def _light(rng: np.random.Generator) -> Light:
    bright, warm = float(rng.uniform(0.88, 1.1)), float(rng.uniform(-0.03, 0.03))
    return Light((bright * (1 + warm), bright, bright * (1 - warm)), float(rng.uniform(-0.12, 0.12)))


def _lit(pixels: Pixels, light: Light) -> Pixels:
    """Return a product (h, w, 4), RGBA premultiplied, in another light."""
    across = 1 + light.slope * np.linspace(-1, 1, pixels.shape[1], dtype=np.float32)  # (w,)
    factors = np.ones((1, pixels.shape[1], 4), np.float32)
    factors[0, :, :3] = across[:, None] * np.array(light.colour, np.float32)
    lit = cv2.multiply(pixels, np.broadcast_to(factors, pixels.shape).copy(), dtype=cv2.CV_8U)
    return cv2.min(lit, cv2.merge([pixels[..., 3]] * 4))  # premultiplied: no colour above its alpha


def _setting(name: str, rng: np.random.Generator, size: tuple[int, int]) -> NDArray[Any]:
    """Return the background of a further photo."""
    match name:
        case "studio":
            return backdrop(float(rng.uniform(0.4, 0.88)), rng, size)
        case "table":
            return table(rng, size)
        case _:
            return open_air(rng, size) if rng.random() < 0.5 else backdrop(1.0, rng, size)
