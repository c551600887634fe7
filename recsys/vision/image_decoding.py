"""Decode untrusted image files to RGB pixels: eight formats, complete files only, bounded memory.

`decode` returns a `Picture`: upright pixels on white, with the size and format of the original.
"""

import contextlib
import io
import threading
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image

from recsys.vision.image_formats import FORMATS, describe_other, detect_format, skip_leading_junk, with_avif_brand

WHITE = (255, 255, 255)
LARGE = 25_000_000
"""Pixels above which pictures are decoded one at a time, to bound the memory."""
BOMB_RATIO = 150
"""Pixels per byte above which a large picture counts as a decompression bomb."""
REDUCED_RATIO = 1.5
"""Minimum longest side of a picture decoded at reduced scale, as a multiple of the square's side."""
MAX_AVIF_ITEMS = 256
"""Largest number of items in an AVIF. Each cell of a grid is an item, and may be larger than the header says."""

ORIENTATION_TAG = 0x0112
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition that makes a picture with this EXIF orientation upright."""

_large_lock = threading.Lock()


class PictureError(ValueError):
    """The bytes are not a usable picture. Fetching and reading photos convert it to errors of their own.

    Attributes:
        cause: empty, not_an_image, unsupported_format, truncated, too_many_pixels, or blank (raised by `square`).
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, upright; may be smaller than the original.
        width, height: size of the original, pixels, upright.
        format: JPEG, PNG, WEBP, AVIF, HEIC, GIF, BMP or TIFF.
    """

    pixels: np.ndarray
    width: int
    height: int
    format: str


def decode(data: bytes, max_pixels: int, side: int) -> Picture:
    """Return the picture in a file: upright, on white, the first frame of an animation.

    A JPEG is decoded at a half, a quarter or an eighth of its size if its longest side stays at least 1.5 times `side`.
    This makes 90-megapixel originals affordable. It also averages pixels where cubic scaling skips them, so the square
    is closer to an anti-aliased one than the original recipe's (`benchmarks/square.py`).

    White space and byte order marks in front of the picture are skipped. HEIC needs the optional package pillow-heif.

    Args:
        data: the content of a whole file.
        max_pixels: maximum width × height according to the header.
        side: side of the square that the picture is decoded for, pixels.

    Raises:
        PictureError: the file is empty, of no format that is decoded, incomplete, damaged or too large.
    """
    if not data:
        raise PictureError("empty", "it is empty")
    data = skip_leading_junk(data)
    kind = _require_format(data)
    Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow's own limit also applies to the frames inside a file
    picture = _decode_plain_jpeg(data, max_pixels, side) if kind == "JPEG" else None
    return _decode_with_pillow(data, kind, max_pixels, side) if picture is None else picture


def _require_format(data: bytes) -> str:
    """Return the format according to the first bytes; decoders of other formats are never called."""
    kind = detect_format(data)
    if kind is not None:
        return kind
    other = describe_other(data)
    if other is not None:
        raise PictureError("unsupported_format", f"it is {other}, not a {FORMATS} picture")
    raise PictureError("not_an_image", f"it is not a {FORMATS} picture")


def _decode_plain_jpeg(data: bytes, max_pixels: int, side: int) -> Picture | None:
    """Return the picture in a common JPEG, decoded by libjpeg-turbo; errors as `decode`.

    None for a JPEG that only Pillow handles: rotated by EXIF, in CMYK, or damaged in a way that may be harmless.
    """
    try:
        height, width, colour_space, _ = simplejpeg.decode_jpeg_header(data)
        _require_pixels(width, height, max_pixels)
        if colour_space not in ("YCbCr", "RGB", "Gray") or _is_rotated(data):
            return None
        scale = _reduction(max(width, height), side)
        min_height, min_width = -(-height // scale), -(-width // scale)  # rounded up, as libjpeg does
        with _one_at_a_time(width * height):
            pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=min_height, min_width=min_width, min_factor=scale)
    except PictureError:
        raise
    except (ValueError, OSError, MemoryError) as error:
        if "premature end" in str(error).lower():
            raise PictureError("truncated", "its data is incomplete or damaged") from error
        return None
    return Picture(pixels, width, height, "JPEG")


def _decode_with_pillow(data: bytes, kind: str, max_pixels: int, side: int) -> Picture:
    """Return the picture in a file of one format; errors as `decode`."""
    try:
        with _open(data, kind) as image:
            width, height = image.size
            _require_pixels(width, height, max_pixels)
            _require_no_bomb(width, height, len(data))
            if kind == "JPEG":
                scale = _reduction(max(width, height), side)
                image.draft(None, (max(1, width // scale), max(1, height // scale)))
            # The coded size of an AVIF may be larger than the header's: libavif scales it, up to 268 megapixels.
            with _large_lock if kind == "AVIF" else _one_at_a_time(image.width * image.height):
                pixels, is_quarter_turned = _upright_rgb(image)
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise PictureError("too_many_pixels", f"it has more than {max_pixels:,} pixels") from error
    except Exception as error:  # on hostile bytes Pillow's decoders raise nearly any exception
        raise PictureError("truncated", "its data is incomplete or damaged") from error
    return Picture(pixels, *((height, width) if is_quarter_turned else (width, height)), kind)


def _open(data: bytes, kind: str) -> Image.Image:
    """Return an image of one format whose header is read; Pillow tries no other format."""
    if kind == "HEIC":
        return _open_heic(data)
    if kind == "AVIF":
        _require_few_items(data)
        data = with_avif_brand(data)
    return Image.open(io.BytesIO(data), formats=[kind])


def _open_heic(data: bytes) -> Image.Image:
    """Return a HEIC image whose header is read; libheif limits the coded size to that of the header."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        message = "it is a HEIC picture, which needs the package pillow-heif"
        raise PictureError("unsupported_format", message) from error
    image: Image.Image = HeifImageFile(io.BytesIO(data))
    return image


def _require_few_items(data: bytes) -> None:
    """Refuse an AVIF with so many items that decoding could take minutes. Each item has an `infe` box."""
    if data.count(b"infe") > MAX_AVIF_ITEMS:
        raise PictureError("too_many_pixels", f"it is an AVIF picture in more than {MAX_AVIF_ITEMS} parts")


def _require_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise PictureError("too_many_pixels", f"it has {width} × {height} pixels, more than {max_pixels:,}")


def _require_no_bomb(width: int, height: int, size: int) -> None:
    if width * height > max(LARGE, BOMB_RATIO * size):
        raise PictureError(
            "too_many_pixels", f"it has {width} × {height} pixels in {size:,} bytes: a decompression bomb"
        )


def _one_at_a_time(pixels: int) -> contextlib.AbstractContextManager[object]:
    """Return a context that excludes other large pictures if this one is large."""
    return _large_lock if pixels > LARGE else contextlib.nullcontext()


def _reduction(longest: int, side: int) -> int:
    """Return the largest divisor of 8, 4, 2, 1 that keeps the longest side at least 1.5 times `side`."""
    return next((divisor for divisor in (8, 4, 2) if longest >= divisor * REDUCED_RATIO * side), 1)


def _upright_rgb(image: Image.Image) -> tuple[np.ndarray, bool]:
    """Return the pixels (h, w, 3) uint8 RGB, upright on white, and whether width and height were swapped."""
    image.load()
    orientation = _orientation(image)
    if orientation in TRANSPOSITIONS:
        image = image.transpose(TRANSPOSITIONS[orientation])
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = Image.fromarray(_to_eight_bits(np.asarray(image), image.mode))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB")), orientation >= 5


def _is_rotated(data: bytes) -> bool:
    """Return whether a JPEG has an EXIF orientation other than upright."""
    if b"Exif\0\0" not in data:  # spares most files the time that Pillow takes to open them
        return False
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return _orientation(image) in TRANSPOSITIONS


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; 1 (upright) if it is absent or damaged."""
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF data must not make the picture unusable
        return 1


def _to_eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Return grey values of 16 or 32 bits (h, w) as uint8.

    32-bit values have no standard white, so their maximum becomes white.
    """
    white = 65_535 if mode.startswith("I;16") else max(float(np.nanmax(values)), 1.0)
    return np.clip(np.nan_to_num(values * (255.0 / white)), 0, 255).astype(np.uint8)
