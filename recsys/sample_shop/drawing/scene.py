"""From a product to the bytes of an image file: the view, the background, the shadow, the format."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recsys.sample_shop.assortment import PICTURE, Product, stream
from recsys.sample_shop.drawing.canvas import Canvas, Gauge, Pixels
from recsys.sample_shop.drawing.kinds import DRAWINGS
from recsys.sample_shop.drawing.look import Look
from recsys.sample_shop.palette import RGB

DRAWING = 1  # version: raised when pictures change, so that older ones are not taken for them
LOOK = 8  # stream of random numbers that shape a product
LARGEST_DRAWN = 512  # pixels of the longer side; larger pictures are enlarged, which costs far less


@dataclass(frozen=True)
class ImageFormat:
    """A way to write an image file, and the share of the pictures that are written so."""

    name: str
    suffix: str
    share: float


FORMATS = (
    ImageFormat("jpeg", "jpg", 0.79),
    ImageFormat("png", "png", 0.055),
    ImageFormat("png with alpha", "png", 0.03),
    ImageFormat("webp", "webp", 0.045),
    ImageFormat("gif", "gif", 0.02),
    ImageFormat("grayscale jpeg", "jpg", 0.015),
    ImageFormat("cmyk jpeg", "jpg", 0.015),
    ImageFormat("exif jpeg", "jpg", 0.03),
)
HEAVY = {"png", "png with alpha", "webp", "gif"}  # slow to write: kept smaller
HEAVY_LONGEST = 480  # pixels
# How an EXIF orientation and the turn that it undoes belong together.
ORIENTATIONS = ((6, Image.Transpose.ROTATE_90), (8, Image.Transpose.ROTATE_270), (3, Image.Transpose.ROTATE_180))

ROOMS: tuple[tuple[RGB, RGB], ...] = (  # wall, floor
    ((226, 217, 203), (168, 132, 98)),
    ((206, 220, 222), (186, 164, 138)),
    ((233, 213, 206), (196, 170, 150)),
    ((214, 222, 206), (150, 122, 96)),
    ((222, 219, 228), (140, 132, 136)),
)
ASPECTS = (1.0, 1.0, 1.0, 0.75, 0.75, 0.8, 0.667, 0.6, 1.25, 1.333, 1.5, 1.78)  # width / height


def image_format(seed: int, index: int, view: int) -> ImageFormat:
    """Return the format of one picture."""
    chance = stream(seed, index, PICTURE + view).random()
    bounds = np.cumsum([choice.share for choice in FORMATS])
    return FORMATS[min(int(np.searchsorted(bounds, chance, side="right")), len(FORMATS) - 1)]


def draw_picture(product: Product, view: int) -> bytes:
    """Return the image file of one view of a product.

    View 0 shows it upright on its own; later views turn it, show its other side, come closer, or put it into a
    room. The bytes depend on the product's seed and index and on the view only.
    """
    rng = stream(product.seed, product.index, PICTURE + view)
    rng.random()  # taken by image_format
    kind = image_format(product.seed, product.index, view)
    width, height = _size(rng, kind)
    longest = max(width, height)
    shrink = min(1.0, LARGEST_DRAWN / longest)
    drawn = (max(16, round(width * shrink)), max(16, round(height * shrink)))

    canvas = Canvas(*drawn, _frame(rng, drawn, view, _extent(product.kind.drawing)))
    DRAWINGS[product.kind.drawing](canvas, _look(product))
    if kind.name == "png with alpha":
        return _encode_transparent(canvas.pixels)
    picture = _on_background(canvas.pixels, _background(rng, drawn, view), _shadow(canvas))
    if shrink < 1:
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    return _encode(picture, kind, rng)


def _look(product: Product) -> Look:
    return Look(
        colour=product.colour.rgb,
        second=product.second.rgb,
        pattern=product.pattern,
        brand=product.brand.name,
        accent=product.brand.accent,
        emblem=product.brand.emblem,
        rng=stream(product.seed, product.index, LOOK),
    )


def _size(rng: np.random.Generator, kind: ImageFormat) -> tuple[int, int]:
    """Return width and height in pixels: most 300 to 900, from 120 to 1600."""
    longest = int(np.clip(rng.lognormal(np.log(470), 0.42), 120, 1600))
    if kind.name in HEAVY:
        longest = min(longest, HEAVY_LONGEST)
    aspect = float(rng.choice(ASPECTS)) * float(rng.uniform(0.96, 1.04))
    return (longest, max(60, round(longest / aspect))) if aspect > 1 else (max(60, round(longest * aspect)), longest)


@cache
def _extent(drawing: str) -> tuple[float, float, float, float]:
    """Return the part of the frame that a kind fills, left, top, right, bottom; taken from a few of its kind."""
    gauge, grey = Gauge(), (128, 128, 128)
    for sample in range(5):
        DRAWINGS[drawing](gauge, Look(grey, grey, "plain", "", grey, sample, np.random.default_rng(sample)))
    return (*gauge.start, *gauge.end)


def _frame(
    rng: np.random.Generator, size: tuple[int, int], view: int, extent: tuple[float, float, float, float]
) -> NDArray[np.float64]:
    """Return the affine map (2, 3) from the product's frame to pixels; the product fills most of the picture."""
    width, height = size
    left, top, right, bottom = extent
    scale = min(width / (right - left), height / (bottom - top)) * float(rng.uniform(0.82, 0.92))
    angle, flip = float(rng.normal(0, 1.5)), 1.0
    x, y = width / 2, height / 2
    if view > 0:
        match int(rng.integers(4)):
            case 0:  # turned
                angle = float(rng.choice([-1, 1]) * rng.uniform(10, 28))
                scale *= 0.8
            case 1:  # its other side
                flip = -1.0
            case 2:  # closer
                scale *= float(rng.uniform(1.25, 1.55))
                x += float(rng.uniform(-0.1, 0.1)) * scale
                y += float(rng.uniform(-0.12, 0.12)) * scale
            case _:  # further away, turned a little
                scale *= float(rng.uniform(0.62, 0.8))
                angle = float(rng.uniform(-9, 9))
                y += float(rng.uniform(0.02, 0.08)) * height
    cos, sin = np.cos(np.radians(angle)) * scale, np.sin(np.radians(angle)) * scale
    turn = np.array([[cos * flip, -sin], [sin * flip, cos]])
    return np.column_stack([turn, np.array([x, y]) - turn @ ((left + right) / 2, (top + bottom) / 2)])


def _background(rng: np.random.Generator, size: tuple[int, int], view: int) -> NDArray[Any]:
    """Return a background, (h, w, 3) on a coarse grid: mostly a white studio, some grey, some a room."""
    width, height = max(8, size[0] // 8), max(8, size[1] // 8)
    chance = float(rng.random()) + (0.18 if view else 0)
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


def _shadow(canvas: Canvas) -> NDArray[Any]:
    """Return how much light reaches the ground, (h, w) on a coarse grid: 1 is all of it."""
    height, width = canvas.pixels.shape[:2]
    size = (max(8, width // 8), max(8, height // 8))
    body = cv2.resize(canvas.pixels[..., 3], size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    step = canvas.scale / 8
    wide = cv2.GaussianBlur(body, (0, 0), max(0.8, 0.035 * step))
    move = np.array([[1, 0, 0.012 * step], [0, 1, 0.03 * step]])
    return 1 - 0.3 * cv2.warpAffine(wide, move, size)


def _on_background(pixels: Pixels, background: NDArray[Any], shadow: NDArray[Any]) -> Pixels:
    """Return the picture (h, w, 3) RGB."""
    height, width = pixels.shape[:2]
    if background.shape[:2] != shadow.shape:
        background = cv2.resize(background, shadow.shape[::-1])
    ground = cv2.resize(
        (background * shadow[..., None]).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR
    )
    alpha = cv2.bitwise_not(pixels[..., 3])
    return cv2.add(
        cv2.multiply(ground, cv2.merge([alpha] * 3), scale=1 / 255), cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB)
    )


def _encode_transparent(pixels: Pixels) -> bytes:
    """Return a PNG with alpha; its colours are no longer premultiplied."""
    straight = cv2.cvtColor(pixels, cv2.COLOR_mRGBA2RGBA)
    return cv2.imencode(".png", cv2.cvtColor(straight, cv2.COLOR_RGBA2BGRA), [cv2.IMWRITE_PNG_COMPRESSION, 1])[
        1
    ].tobytes()


def _encode(picture: Pixels, kind: ImageFormat, rng: np.random.Generator) -> bytes:
    """Return the bytes of an image file."""
    quality = int(rng.integers(68, 95))
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    match kind.name:
        case "jpeg":
            return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        case "grayscale jpeg":
            grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
            return cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        case "png":
            return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    image, file = Image.fromarray(picture), io.BytesIO()
    match kind.name:
        case "webp":
            image.save(file, "WEBP", quality=quality, method=0)
        case "gif":
            image.quantize(128, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(file, "GIF")
        case "cmyk jpeg":
            image.convert("CMYK").save(file, "JPEG", quality=quality)
        case "exif jpeg":  # lies on its side; the orientation tells how to turn it upright
            orientation, turn = ORIENTATIONS[int(rng.integers(len(ORIENTATIONS)))]
            exif = Image.Exif()
            exif[0x0112] = orientation
            image.transpose(turn).save(file, "JPEG", quality=quality, exif=exif)
    return file.getvalue()
