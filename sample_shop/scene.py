"""Render a product to the bytes of an image file: shape, shadow, size and format."""

import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sample_shop.assortment import PICTURE, Product, stream
from sample_shop.drawing.background import coarse
from sample_shop.drawing.canvas import Canvas, Gauge, Pixels
from sample_shop.drawing.kinds import DRAWINGS
from sample_shop.drawing.look import Look
from sample_shop.drawing.shot import Extent, first_shot, further_shot

DRAWING = 2  # version: increase when pictures change, so that older files are not reused
LOOK = 8  # stream of random numbers that shape a product
LARGEST_DRAWN = 512  # pixels of the longer side; larger pictures are enlarged, which costs far less


@dataclass(frozen=True)
class ImageFormat:
    """Describe an image format and its share of the pictures."""

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
# EXIF orientations, each with the rotation that it reverts.
ORIENTATIONS = ((6, Image.Transpose.ROTATE_90), (8, Image.Transpose.ROTATE_270), (3, Image.Transpose.ROTATE_180))

ASPECTS = (1.0, 1.0, 1.0, 0.75, 0.75, 0.8, 0.667, 0.6, 1.25, 1.333, 1.5, 1.78)  # width / height


def image_format(seed: int, index: int, view: int) -> ImageFormat:
    """Return the format of one picture; only first pictures can be greyscale."""
    chance = stream(seed, index, PICTURE + view).random()
    bounds = np.cumsum([choice.share for choice in FORMATS])
    chosen = FORMATS[min(int(np.searchsorted(bounds, chance, side="right")), len(FORMATS) - 1)]
    return FORMATS[0] if view and chosen.name == "grayscale jpeg" else chosen


def draw_picture(product: Product, view: int) -> bytes:
    """Return the image file of one view of a product.

    View 0 shows it upright and alone; later views are the shop's further photos (`drawing.shot`). The bytes depend on
    the product's seed and index and on the view only.
    """
    kind = image_format(product.seed, product.index, view)
    rng, (width, height) = _size(product, view)
    shrink = min(1.0, LARGEST_DRAWN / max(width, height))
    drawn = (max(16, round(width * shrink)), max(16, round(height * shrink)))

    shot = (further_shot if view else first_shot)(rng, drawn, _extent(product.kind.drawing))
    canvas = Canvas(*drawn, shot.frame)
    DRAWINGS[product.kind.drawing](canvas, _look(product))
    shown = shot.taken(canvas.pixels)
    if kind.name == "png with alpha":
        return _encode_transparent(shown)
    picture = _on_background(shown, shot.background, _shadow(shown, canvas.scale))
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


def _size(product: Product, view: int) -> tuple[np.random.Generator, tuple[int, int]]:
    """Return the random numbers of a picture and its width and height in pixels: most 300 to 900, from 120 to 1600.

    A product's pictures have nearly the proportions of its first one, as in a real shop.
    """
    rng = stream(product.seed, product.index, PICTURE + view)
    rng.random()  # taken by image_format
    longest = int(np.clip(rng.lognormal(np.log(470), 0.42), 120, 1600))
    if image_format(product.seed, product.index, view).name in HEAVY:
        longest = min(longest, HEAVY_LONGEST)
    if view:
        width, height = _size(product, 0)[1]
        aspect = width / height
    else:
        aspect = float(rng.choice(ASPECTS))
    aspect *= float(rng.uniform(0.96, 1.04))
    return rng, _sides(longest, aspect)


def _sides(longest: int, aspect: float) -> tuple[int, int]:
    """Return width and height of a picture."""
    return (longest, max(60, round(longest / aspect))) if aspect > 1 else (max(60, round(longest * aspect)), longest)


@cache
def _extent(drawing: str) -> Extent:
    """Return the part of the frame that a kind fills, left, top, right, bottom; taken from a few of its kind."""
    gauge, grey = Gauge(), (128, 128, 128)
    for sample in range(5):
        DRAWINGS[drawing](gauge, Look(grey, grey, "plain", "", grey, sample, np.random.default_rng(sample)))
    return (*gauge.start, *gauge.end)


def _shadow(pixels: Pixels, scale: float) -> NDArray[Any]:
    """Return how much light reaches the ground, (h, w) on a coarse grid: 1 is all of it; `scale` in pixels a unit."""
    size = coarse(pixels.shape[1::-1])
    body = cv2.resize(pixels[..., 3], size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    step = scale / 8
    wide = cv2.GaussianBlur(body, (0, 0), max(0.8, 0.035 * step))
    move = np.array([[1, 0, 0.012 * step], [0, 1, 0.03 * step]])
    return 1 - 0.3 * cv2.warpAffine(wide, move, size)


def _on_background(pixels: Pixels, background: NDArray[Any], shadow: NDArray[Any]) -> Pixels:
    """Return the picture (h, w, 3) RGB."""
    height, width = pixels.shape[:2]
    if background.shape[:2] == shadow.shape:
        ground = cv2.resize((background * shadow[..., None]).astype(np.uint8), (width, height))
    else:
        light = cv2.resize(cv2.convertScaleAbs(shadow, alpha=255), (width, height))
        ground = cv2.multiply(background, cv2.merge([light] * 3), scale=1 / 255)
    alpha = cv2.bitwise_not(pixels[..., 3])
    return cv2.add(
        cv2.multiply(ground, cv2.merge([alpha] * 3), scale=1 / 255), cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB)
    )


def _encode_transparent(pixels: Pixels) -> bytes:
    """Return a PNG with alpha, its colours not premultiplied."""
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
        case "exif jpeg":  # stored on its side; the EXIF orientation turns it upright
            orientation, turn = ORIENTATIONS[int(rng.integers(len(ORIENTATIONS)))]
            exif = Image.Exif()
            exif[0x0112] = orientation
            image.transpose(turn).save(file, "JPEG", quality=quality, exif=exif)
    return file.getvalue()
