"""A canvas that draws shaded, anti-aliased shapes in a product's own frame.

Pixels are RGBA with premultiplied alpha. What varies slowly over a shape (its gradient, the light on its edges)
is computed on a coarse grid and enlarged; only outlines and prints are computed a pixel. That keeps a picture at
some ten milliseconds.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sample_shop.drawing.geometry import Outline, Points, ellipse, smooth, star
from sample_shop.drawing.palette import RGB, darker, lighter

Pixels = NDArray[Any]  # uint8
GRID = 48  # cells along a shape's longer side on the coarse grid
DARK = 40  # a colour whose channels are all below this is a shadow
SPECK = 14  # pixels below which a shape shows no light
SUBPIXEL = 4  # bits: OpenCV takes points in sixteenths of a pixel
LIGHT = (0.45, 0.8)  # the light falls from the upper left, as a vector along its way

SOBEL = np.array([(-1, 0, 1), (-2, 0, 2), (-1, 0, 1)])
SLOPE = SOBEL * LIGHT[0] + SOBEL.T * LIGHT[1]  # how steeply a surface rises along the light


@dataclass(frozen=True)
class Gradient:
    """Colours along the way from `start` to `end`, each stop a pair (share of the way, RGB)."""

    stops: tuple[tuple[float, RGB], ...]
    start: tuple[float, float]
    end: tuple[float, float]


@dataclass(frozen=True)
class Print:
    """A pattern: a seamless RGBA tile that covers `size` of the product's frame, and turned by degrees."""

    tile: Pixels  # (n, n, 4)
    size: float
    angle: float = 0


Fill = RGB | Gradient | Print


def fade(top: RGB, bottom: RGB, y0: float = 0, y1: float = 1) -> Gradient:
    """Return a gradient downwards from y0 to y1."""
    return Gradient(((0, top), (1, bottom)), (0.5, y0), (0.5, y1))


def metal(colour: RGB, start: tuple[float, float], end: tuple[float, float]) -> Gradient:
    """Return the reflections of polished metal across the way from start to end."""
    stops = (
        (0.0, darker(colour, 0.22)), (0.16, lighter(colour, 0.4)), (0.3, colour), (0.44, lighter(colour, 0.75)),
        (0.6, lighter(colour, 0.1)), (0.82, darker(colour, 0.3)), (1.0, lighter(colour, 0.25)),
    )  # fmt: skip
    return Gradient(stops, start, end)


def cylinder(colour: RGB, x0: float, x1: float) -> Gradient:
    """Return the light on an upright round body between x0 and x1."""
    stops = (
        (0.0, darker(colour, 0.3)), (0.2, lighter(colour, 0.12)), (0.32, lighter(colour, 0.34)), (0.5, colour),
        (0.85, darker(colour, 0.34)), (1.0, darker(colour, 0.22)),
    )  # fmt: skip
    return Gradient(stops, (x0, 0.5), (x1, 0.5))


class Canvas:
    """Paint shapes given in a product's frame.

    Args:
        width, height: pixels.
        frame: affine map (2, 3) from the product's frame to pixels.
    """

    def __init__(self, width: int, height: int, frame: NDArray[np.float64]) -> None:
        self.pixels: Pixels = np.zeros((height, width, 4), np.uint8)
        self.frame = frame
        self.scale = float(np.sqrt(abs(np.linalg.det(frame[:, :2]))))  # pixels per unit
        self.is_mirrored = bool(np.linalg.det(frame[:, :2]) < 0)

    # -- shapes --------------------------------------------------------------------------------------------------

    def shape(
        self,
        outline: Points,
        fill: Fill,
        *,
        holes: Sequence[Points] = (),
        bevel: float = 0.3,
        depth: float = 0.03,
        gloss: float = 0.0,
        line: float = 0.28,
        atop: bool = False,
    ) -> None:
        """Paint a shape with light on its edges.

        Args:
            outline, holes: the filled area, and the areas cut out of it.
            fill: colour, gradient or print.
            bevel: how strongly its edges are lit and shaded, 0 is flat.
            depth: how far in from its edge the shading reaches.
            gloss: strength of the reflections on edges that face the light, 0 to 1.
            line: how much darker than the fill its contour is; 0 draws none.
            atop: paints only where the product is already.
        """
        contours = [self._place(points) for points in (outline, *holes)]
        area = self._area(contours[0], 2)
        if area is None:
            return
        x0, y0, x1, y1 = area
        if max(x1 - x0, y1 - y0) < SPECK and not atop:
            cv2.fillPoly(self.pixels, [_fixed(c) for c in contours], (*mean_colour(fill), 255), cv2.LINE_AA, SUBPIXEL)
            return
        region = self.pixels[y0:y1, x0:x1]
        fixed = [_fixed(contour - (x0, y0)) for contour in contours]
        mask = np.zeros(region.shape[:2], np.uint8)
        cv2.fillPoly(mask, fixed, 255, cv2.LINE_AA if atop else cv2.LINE_8, SUBPIXEL)
        paint = self._paint(fill, area, mask, bevel, depth, gloss)
        if atop:
            _blend(region, paint, cv2.multiply(mask, cv2.extractChannel(region, 3), scale=1 / 255))
            return
        cv2.copyTo(paint, mask, region)
        edge = darker(mean_colour(fill), line)
        width = max(1, round(self.scale * 0.0035)) if line else 1
        cv2.polylines(region, fixed, True, (*edge, 255), width, cv2.LINE_AA, SUBPIXEL)

    def flat(self, outline: Points, colour: RGB) -> None:
        """Paint a small shape in one colour, without light: lettering, stitches, buttons."""
        points = self._place(outline)
        cv2.fillPoly(self.pixels, [_fixed(points)], (*colour, 255), cv2.LINE_AA, SUBPIXEL)

    def line(self, points: Points, width: float, colour: RGB, closed: bool = False) -> None:
        """Paint a line of one colour, its width in the product's frame."""
        thickness = max(1, round(width * self.scale))
        cv2.polylines(
            self.pixels, [_fixed(self._place(points))], closed, (*colour, 255), thickness, cv2.LINE_AA, SUBPIXEL
        )

    def stitches(self, points: Points, colour: RGB, width: float = 0.004, length: float = 0.014) -> None:
        """Paint a dashed line."""
        p = np.asarray(points, dtype=float)
        steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))])
        for start in np.arange(0, steps[-1] - length / 2, length * 1.7):
            at = np.array([start, min(start + length, steps[-1])])
            self.line(np.column_stack([np.interp(at, steps, p[:, 0]), np.interp(at, steps, p[:, 1])]), width, colour)

    def soft(self, outline: Points, colour: RGB, strength: float = 0.4, blur: float = 0.02, atop: bool = True) -> None:
        """Paint a blurred shape: a highlight, a fold, a shadow; by default only on the product itself."""
        contour = self._place(outline)
        area = self._area(contour, int(3 * blur * self.scale) + 2)
        if area is None:
            return
        x0, y0, x1, y1 = area
        region = self.pixels[y0:y1, x0:x1]
        coarse = max(1, round(blur * self.scale / 2.5))
        size = (max(2, (x1 - x0) // coarse), max(2, (y1 - y0) // coarse))
        mask = np.zeros(size[::-1], np.uint8)
        ratio = np.array([size[0] / (x1 - x0), size[1] / (y1 - y0)])
        cv2.fillPoly(mask, [_fixed((contour - (x0, y0)) * ratio)], 255, cv2.LINE_AA, SUBPIXEL)
        mask = cv2.GaussianBlur(mask, (0, 0), max(0.3, blur * self.scale / coarse), borderType=cv2.BORDER_CONSTANT)
        mask = cv2.resize(cv2.convertScaleAbs(mask, alpha=strength), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        if atop and max(colour) < DARK:  # a shadow takes light away: one product instead of a blend
            keep = cv2.bitwise_not(mask)
            cv2.multiply(region, cv2.merge([keep, keep, keep, np.full_like(keep, 255)]), region, scale=1 / 255)
            return
        if atop:
            mask = cv2.multiply(mask, cv2.extractChannel(region, 3), scale=1 / 255)
        _blend(region, colour, mask)

    def glass(self, outline: Points, colour: RGB, strength: float = 0.4, atop: bool = False) -> None:
        """Paint a translucent shape with a crisp edge."""
        contour = self._place(outline)
        area = self._area(contour, 2)
        if area is None:
            return
        x0, y0, x1, y1 = area
        region = self.pixels[y0:y1, x0:x1]
        mask: Pixels = np.zeros(region.shape[:2], np.uint8)
        cv2.fillPoly(mask, [_fixed(contour - (x0, y0))], round(255 * strength), cv2.LINE_AA, SUBPIXEL)
        if atop:
            mask = cv2.multiply(mask, cv2.extractChannel(region, 3), scale=1 / 255)
        _blend(region, colour, mask)

    # -- marks of a brand ----------------------------------------------------------------------------------------

    def text(
        self, words: str, x: float, y: float, height: float, colour: RGB, angle: float = 0, width: float = 1
    ) -> None:
        """Write words around (x, y), capitals about `height` tall, no wider than `width`; a mirrored view has none."""
        if self.is_mirrored:
            return
        glyphs = _glyphs(unicodedata.normalize("NFKD", words).translate(PLAIN).encode("ascii", "ignore").decode())
        size = min(height / LETTERING * 1.4, width / glyphs.shape[1])
        cos, sin = np.cos(np.radians(angle)) * size, np.sin(np.radians(angle)) * size
        h, w = glyphs.shape
        to_frame = np.array([[cos, -sin, x - cos * w / 2 + sin * h / 2], [sin, cos, y - sin * w / 2 - cos * h / 2]])
        to_pixels = self.frame @ np.vstack([to_frame, [0, 0, 1]])
        corners = np.array([(0, 0, 1), (w, 0, 1), (w, h, 1), (0, h, 1)]) @ to_pixels.T
        area = self._area(corners, 1)
        if area is None:
            return
        x0, y0, x1, y1 = area
        to_pixels[:, 2] -= (x0, y0)
        region = self.pixels[y0:y1, x0:x1]
        mask = cv2.warpAffine(glyphs, to_pixels, (x1 - x0, y1 - y0), flags=cv2.INTER_AREA)
        _blend(region, colour, cv2.multiply(mask, cv2.extractChannel(region, 3), scale=1 / 255))

    def emblem(self, which: int, x: float, y: float, size: float, colour: RGB) -> None:
        """Paint one of six emblems, `size` across."""
        r = size / 2
        match which % 6:
            case 0:
                self.line(ellipse(x, y, r * 0.8), size * 0.2, colour, closed=True)
            case 1:
                self.flat(star(x, y, r, r * 0.42, 5), colour)
            case 2:
                self.flat([(x, y - r), (x + r * 0.75, y), (x, y + r), (x - r * 0.75, y)], colour)
            case 3:
                for i in (-1, 0, 1):
                    lean = r * 0.35
                    left, right = x + i * size * 0.36 - size * 0.1, x + i * size * 0.36 + size * 0.1
                    self.flat(
                        [(left + lean, y - r), (right + lean, y - r), (right - lean, y + r), (left - lean, y + r)],
                        colour,
                    )
            case 4:
                self.flat(smooth([(x - r, y - r * 0.1), (x - r * 0.3, y + r * 0.55), (x + r, y - r * 0.7),
                                  (x + r, y - r * 0.7), (x - r * 0.1, y + r * 0.05)]), colour)  # fmt: skip
            case _:
                self.flat([(x - r, y + r * 0.8), (x - r * 0.2, y - r * 0.8), (x + r * 0.25, y + r * 0.1),
                           (x + r * 0.5, y - r * 0.3), (x + r, y + r * 0.8)], colour)  # fmt: skip

    # -- how it is done ------------------------------------------------------------------------------------------

    def _place(self, points: Points) -> Outline:
        return np.asarray(points, dtype=float) @ self.frame[:, :2].T + self.frame[:, 2]

    def _area(self, contour: Outline, margin: int) -> tuple[int, int, int, int] | None:
        """Return the part of the canvas that a contour covers, as x0, y0, x1, y1; None if it lies outside."""
        height, width = self.pixels.shape[:2]
        (left, top), (right, bottom) = contour.min(0).tolist(), contour.max(0).tolist()
        x0, y0 = max(int(left) - margin, 0), max(int(top) - margin, 0)
        x1, y1 = min(int(right) + margin + 2, width), min(int(bottom) + margin + 2, height)
        return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None

    def _paint(
        self, fill: Fill, area: tuple[int, int, int, int], mask: Pixels, bevel: float, depth: float, gloss: float
    ) -> Pixels:
        """Return the lit fill of an area, RGBA, alpha 255."""
        x0, y0, x1, y1 = area
        coarse = max(1.0, max(x1 - x0, y1 - y0) / GRID)
        size = (max(2, round((x1 - x0) / coarse)), max(2, round((y1 - y0) / coarse)))
        shade, shine = self._lighting(mask, size, depth * self.scale / coarse, bevel, gloss)
        if isinstance(fill, Print):
            paint = self._printed(fill, area)
            light = cv2.merge([shade, shade, shade, np.full_like(shade, 1)])
            light = cv2.resize(
                cv2.convertScaleAbs(light, alpha=255), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR
            )
            paint = cv2.multiply(paint, light, scale=1 / 255)
            if bevel or gloss:
                grey = cv2.convertScaleAbs(shine, alpha=200)
                grey = cv2.resize(grey, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
                paint = cv2.add(paint, cv2.merge([grey, grey, grey, grey]))
            return paint
        colour = self._graded(fill, area, size)  # (h, w, 3), or (3,) for one colour
        lit = colour * shade[..., None]
        lit += (255 - lit) * shine[..., None]
        rgba = np.full((size[1], size[0], 4), 255, np.uint8)
        rgba[..., :3] = lit
        return cv2.resize(rgba, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)

    def _lighting(
        self, mask: Pixels, size: tuple[int, int], reach: float, bevel: float, gloss: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return, a cell of the coarse grid, the factor that darkens and the share of white that brightens."""
        if not bevel and not gloss:
            return np.ones(size[::-1], np.float32), np.zeros(size[::-1], np.float32)
        low = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) * np.float32(1 / 255)
        reach = max(0.6, reach)
        height: NDArray[Any] = cv2.GaussianBlur(low, (0, 0), reach, borderType=cv2.BORDER_CONSTANT)
        height = height / max(0.05, float(height.max()))  # a thin shape is as bright as a wide one
        slope = reach * 2.5 / 8  # makes the slope of an edge about one
        facing = cv2.filter2D(height, cv2.CV_32F, SLOPE * slope, borderType=cv2.BORDER_REPLICATE)
        shade = 1 + bevel * (np.minimum(facing, 0) * 1.1 - (1 - height) * 0.28)
        shine = np.maximum(facing, 0) * bevel * 0.55
        if gloss:
            shine += gloss * np.clip((facing - 0.35) * 2.2, 0, 1) ** 2
        return np.clip(shade, 0, 1).astype(np.float32), np.clip(shine, 0, 1).astype(np.float32)

    def _graded(
        self, fill: RGB | Gradient, area: tuple[int, int, int, int], size: tuple[int, int]
    ) -> NDArray[np.float32]:
        if not isinstance(fill, Gradient):
            return np.array(fill, np.float32)
        x0, y0, x1, y1 = area
        start, end = self._place([fill.start, fill.end])
        way = (end - start) / max(1e-9, float((end - start) @ (end - start)))
        xs = x0 + (np.arange(size[0]) + 0.5) * (x1 - x0) / size[0] - start[0]
        ys = y0 + (np.arange(size[1]) + 0.5) * (y1 - y0) / size[1] - start[1]
        share = xs[None, :] * way[0] + ys[:, None] * way[1]  # (h, w)
        ramp = _ramp(fill.stops)  # (256, 3)
        return ramp[np.clip(share * 255, 0, 255).astype(np.uint8)]

    def _printed(self, fill: Print, area: tuple[int, int, int, int]) -> Pixels:
        x0, y0, x1, y1 = area
        cos, sin = np.cos(np.radians(fill.angle)), np.sin(np.radians(fill.angle))
        cell = fill.size / len(fill.tile)
        to_frame = np.array([[cos * cell, -sin * cell, 0.5], [sin * cell, cos * cell, 0.5], [0, 0, 1]])
        to_pixels = self.frame @ to_frame
        to_pixels[:, 2] -= (x0, y0)
        return cv2.warpAffine(
            fill.tile, to_pixels, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )


class Gauge(Canvas):
    """Record the bounds of the shapes, in the product's frame, without painting them."""

    def __init__(self) -> None:
        super().__init__(1, 1, np.eye(2, 3))
        self.start, self.end = (1.0, 1.0), (0.0, 0.0)

    def _include(self, points: Points) -> None:
        p = np.asarray(points, dtype=float)
        (x0, y0), (x1, y1) = p.min(0).tolist(), p.max(0).tolist()
        self.start = min(self.start[0], x0), min(self.start[1], y0)
        self.end = max(self.end[0], x1), max(self.end[1], y1)

    def shape(self, outline: Points, fill: Fill, *, atop: bool = False, **light: Any) -> None:
        if not atop:
            self._include(outline)

    def flat(self, outline: Points, colour: RGB) -> None:
        self._include(outline)

    def line(self, points: Points, width: float, colour: RGB, closed: bool = False) -> None:
        self._include(points)

    def stitches(self, points: Points, colour: RGB, width: float = 0.004, length: float = 0.014) -> None:
        pass  # always on the product

    def soft(self, outline: Points, colour: RGB, strength: float = 0.4, blur: float = 0.02, atop: bool = True) -> None:
        pass

    def glass(self, outline: Points, colour: RGB, strength: float = 0.4, atop: bool = False) -> None:
        pass

    def text(
        self, words: str, x: float, y: float, height: float, colour: RGB, angle: float = 0, width: float = 1
    ) -> None:
        pass

    def emblem(self, which: int, x: float, y: float, size: float, colour: RGB) -> None:
        pass


def mean_colour(fill: Fill) -> RGB:
    """Return the mean colour of a fill."""
    if isinstance(fill, Print):
        r, g, b = (int(channel) for channel in fill.tile.reshape(-1, 4)[::7, :3].mean(0))
        return r, g, b
    if isinstance(fill, Gradient):
        r, g, b = (int(channel) for channel in _ramp(fill.stops).mean(0))
        return r, g, b
    return fill


@lru_cache(maxsize=512)
def _ramp(stops: tuple[tuple[float, RGB], ...]) -> NDArray[np.float32]:
    at = np.linspace(0, 1, 256)
    where = [stop for stop, _ in stops]
    return np.column_stack([np.interp(at, where, [c[i] for _, c in stops]) for i in range(3)]).astype(np.float32)


def _fixed(points: Outline) -> NDArray[np.int32]:
    return (points * (1 << SUBPIXEL)).astype(np.int32)


def _blend(region: Pixels, paint: Pixels | RGB, mask: Pixels) -> None:
    """Lay paint over a region, `mask` (h, w) saying how much of it, 0 to 255."""
    keep = cv2.bitwise_not(mask)
    under = cv2.multiply(region, cv2.merge([keep] * 4), scale=1 / 255)
    if isinstance(paint, tuple):
        over = cv2.merge([*(cv2.convertScaleAbs(mask, alpha=channel / 255) for channel in paint), mask])
    else:
        over = cv2.multiply(paint, cv2.merge([mask] * 4), scale=1 / 255)
    cv2.add(under, over, region)


PLAIN = str.maketrans("øØ", "oO")  # the built-in font knows ASCII; letters lose their accents
LETTERING = 48  # pixels of the font that words are written in, before they are scaled


@lru_cache(maxsize=1024)
def _glyphs(words: str) -> Pixels:
    """Return words as a mask (h, w), white on black."""
    font = ImageFont.load_default(LETTERING)
    left, top, right, bottom = font.getbbox(words, stroke_width=1)
    image = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
    ImageDraw.Draw(image).text((2 - left, 2 - top), words, fill=255, font=font, stroke_width=1)
    return np.asarray(image)
