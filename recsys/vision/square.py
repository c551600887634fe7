"""From the bytes of a picture to a square of RGB pixels, safely.

Picture        what `decode` makes of bytes: pixels, and the original's size and format
decode         bytes → Picture; only six formats, no half pictures, no decompression bombs
square         pixels → (side, side, 3), the original project's recipe
encode         squared pixels → the JPEG that the store keeps; `decode_squared` is the way back
square_image   bytes → SquaredImage, as the store keeps it
read_photo     a user's file → squared pixels
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from recsys.core.configuration import Images
from recsys.core.errors import PermanentFetchError, PhotoError

FORMATS = "JPEG, PNG, WebP, GIF, BMP or TIFF"

SIGNATURES: tuple[tuple[str, bytes], ...] = (
    ("JPEG", b"\xff\xd8\xff"),
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("WEBP", b"RIFF"),  # and "WEBP" after the length
    ("GIF", b"GIF87a"),
    ("GIF", b"GIF89a"),
    ("BMP", b"BM"),
    ("TIFF", b"II*\x00"),
    ("TIFF", b"MM\x00*"),
)
"""How a file of each format begins; the decoders of other formats are never called."""

WHITE = (255, 255, 255)
LARGE = 25_000_000
"""Pixels; pictures beyond it are decoded one at a time, so that a few of them cannot fill the memory."""

BOMB = 150
"""Pixels a byte; a large picture that is packed tighter than this shows nothing: it is there to fill the memory."""

ENOUGH = 1.5
"""Times the side of the square that a picture must keep when it is decoded at a reduced scale."""

ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_large = threading.Lock()

# Pillow warns of oddities that it then reads all the same; what it cannot read, it raises.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class PictureError(ValueError):
    """Bytes that are no usable picture; fetching and reading photos turn it into their own errors.

    Attributes:
        cause: the ledger's word for it: empty, not_an_image, truncated or too_many_pixels.
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True)
class SquaredImage:
    """A fetched image as the store keeps it.

    Attributes:
        digest: of the bytes that the host sent, see `digest_of`.
        size: how many bytes.
        width, height: of the original, in pixels.
        format: of the original: JPEG, PNG, ...
        jpeg: the squared image.
        etag, last_modified: what the host calls this version of it.
    """

    digest: str
    size: int
    width: int
    height: int
    format: str
    jpeg: bytes
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, upright; may be smaller than the original.
        width, height: the original's size in pixels, upright.
        format: JPEG, PNG, WEBP, GIF, BMP or TIFF.
    """

    pixels: np.ndarray
    width: int
    height: int
    format: str

    def square(self, side: int) -> np.ndarray:
        """Return the picture squared as its original would be: (side, side, 3) uint8 RGB."""
        return square(self.pixels, side, (self.width, self.height))


def decode(data: bytes, max_pixels: int, side: int) -> Picture:
    """Return the picture that the bytes hold: upright, on white, the first frame of an animation.

    A JPEG is decoded at a half, a quarter or an eighth of its size where its longest side stays at least 1.5 times
    `side`: that makes 90-megapixel originals affordable, and since it averages where a cubic scaling skips pixels, the
    square is nearer to an anti-aliased one than the original recipe's (`benchmarks/square.py`).

    Args:
        data: a whole file.
        max_pixels: width × height that the header may promise; more is taken for a decompression bomb.
        side: pixels of the square that the picture is meant for.

    Raises:
        PictureError: the bytes are empty, no picture of a known format, incomplete or damaged, or too large.
    """
    if not data:
        raise PictureError("empty", "it is empty")
    kind = _format(data)
    if kind is None:
        raise PictureError("not_an_image", f"it is not a {FORMATS} picture")
    Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow's own guard also watches the frames inside a file
    try:
        return _decode_plain_jpeg(data, max_pixels, side) if kind == "JPEG" else _decode(data, kind, max_pixels, side)
    except _UnusualError:
        return _decode(data, kind, max_pixels, side)


class _UnusualError(Exception):
    """A JPEG that takes Pillow's patience: turned, in printers' inks, or damaged in a way that may be harmless."""


def _decode_plain_jpeg(data: bytes, max_pixels: int, side: int) -> Picture:
    """Return the picture in a JPEG of the common kind; raises _UnusualError for any other, PictureError as `decode`."""
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        _require_pixels(width, height, max_pixels)
        if space not in ("YCbCr", "RGB", "Gray") or (_has_exif(data) and _is_turned(data)):
            raise _UnusualError
        scale = _scale(max(width, height), side)
        least = -(-height // scale), -(-width // scale)  # rounded up, as libjpeg does
        with _large if width * height > LARGE else contextlib.nullcontext():
            pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=least[0], min_width=least[1], min_factor=scale)
    except PictureError:
        raise
    except (ValueError, OSError, MemoryError) as error:
        if "premature end" in str(error).lower():
            raise PictureError("truncated", "its data is incomplete or damaged") from error
        raise _UnusualError from error
    return Picture(pixels, width, height, "JPEG")


def _decode(data: bytes, kind: str, max_pixels: int, side: int) -> Picture:
    """Return the picture in a file of any kind that we name. Errors as `decode`."""
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            width, height = image.size
            _require_pixels(width, height, max_pixels)
            if width * height > LARGE and width * height > BOMB * len(data):
                raise PictureError(
                    "too_many_pixels", f"it has {width} × {height} pixels in {len(data):,} bytes: it shows nothing"
                )
            if kind == "JPEG":
                scale = _scale(max(width, height), side)
                image.draft(None, (max(1, width // scale), max(1, height // scale)))
            with _large if image.width * image.height > LARGE else contextlib.nullcontext():
                pixels, turned = _pixels(image)
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise PictureError("too_many_pixels", f"it has more than {max_pixels:,} pixels") from error
    except Exception as error:  # the decoders meet hostile bytes, and raise nearly anything
        raise PictureError("truncated", "its data is incomplete or damaged") from error
    return Picture(pixels, *((height, width) if turned else (width, height)), kind)


def square(image: np.ndarray, side: int = 256, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return the image fitted into a white square, the original project's `img_to_square`.

    The longest side is scaled to `side` (cubic), the other truncates (`int`, not round; at least 1 pixel); the
    white is split evenly, the odd pixel going right or bottom.

    Args:
        image: (h, w, 3) uint8.
        side: pixels.
        size: width and height that decide the proportions, where `image` was decoded at a reduced scale.

    Returns:
        (side, side, 3) uint8, channels in the order they came.
    """
    width, height = size or (image.shape[1], image.shape[0])
    longest = max(width, height)
    # In whole numbers: int(width * (side / longest)) would lose a pixel to rounding, as for 98 pixels.
    fitted = max(1, width * side // longest), max(1, height * side // longest)
    left, top = (side - fitted[0]) // 2, (side - fitted[1]) // 2
    squared = np.full((side, side, 3), 255, np.uint8)
    inside = squared[top : top + fitted[1], left : left + fitted[0]]
    if fitted == (image.shape[1], image.shape[0]):
        inside[:] = image
    else:
        cv2.resize(image, fitted, dst=inside, interpolation=cv2.INTER_CUBIC)
    return squared


def encode(image: np.ndarray, quality: int) -> bytes:
    """Return an RGB image (h, w, 3) uint8 as JPEG."""
    jpeg: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality, "RGB", "420")
    return jpeg


def decode_squared(jpeg: bytes) -> np.ndarray:
    """Return a JPEG of ours, from the store, as (side, side, 3) uint8 RGB."""
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError("the store holds a damaged image")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def square_image(data: bytes, settings: Images) -> SquaredImage:
    """Return the image in these bytes as the store keeps it.

    Raises:
        PermanentFetchError: the bytes are no usable picture.
    """
    try:
        picture = decode(data, settings.max_pixels, settings.side)
    except PictureError as error:
        raise PermanentFetchError(error.cause, str(error), 200) from error
    return SquaredImage(
        digest=digest_of(data),
        size=len(data),
        width=picture.width,
        height=picture.height,
        format=picture.format,
        jpeg=encode(picture.square(settings.side), settings.jpeg_quality),
    )


def digest_of(data: bytes) -> str:
    """Return the digest that a picture is known by: SHA-256 of its bytes, the first 128 bits, in hex."""
    return hashlib.sha256(data).hexdigest()[:32]


def read_photo(path: Path | str, settings: Images | None = None) -> np.ndarray:
    """Return a user's photo, squared: (side, side, 3) uint8 RGB.

    Args:
        path: the photo's file.
        settings: its side and limits (default: those of the configuration).

    Raises:
        PhotoError: there is no such file, it is no usable picture, or it breaks a limit.
    """
    path, settings = Path(path), settings or Images()
    if path.is_dir():
        raise PhotoError(f"photo {path} is a folder; name the picture's file")
    try:
        with path.open("rb") as file:
            data = file.read(settings.max_bytes + 1)
    except FileNotFoundError:
        raise PhotoError(f"photo {path} does not exist; check the path") from None
    except OSError as error:
        raise PhotoError(f"photo {path} cannot be read: {error.strerror}") from error
    return square_photo(data, settings, name=str(path))


def square_photo(data: bytes, settings: Images, name: str = "") -> np.ndarray:
    """Return the photo in these bytes, squared: (side, side, 3) uint8 RGB.

    Args:
        data: a whole file, such as one that was uploaded.
        settings: its side and limits.
        name: what to call it in an error.

    Raises:
        PhotoError: it is no usable picture, or breaks a limit.
    """
    name = f"photo {name}".rstrip()
    if len(data) > settings.max_bytes:
        raise PhotoError(f"{name} has more than {settings.max_bytes:,} bytes; save it smaller")
    try:
        return decode(data, settings.max_pixels, settings.side).square(settings.side)
    except PictureError as error:
        remedy = {
            "not_an_image": "give a picture",
            "too_many_pixels": "save it smaller",
        }.get(error.cause, "export it again")
        raise PhotoError(f"{name} cannot be used: {error}; {remedy}") from error


def _format(data: bytes) -> str | None:
    """Return the format that the first bytes announce."""
    kind = next((kind for kind, signature in SIGNATURES if data.startswith(signature)), None)
    return None if kind == "WEBP" and data[8:12] != b"WEBP" else kind


def _require_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise PictureError("too_many_pixels", f"it has {width} × {height} pixels, more than {max_pixels:,}")


def _scale(longest: int, side: int) -> int:
    """Return the largest of the scales 1, 1/2, 1/4, 1/8 (as 1, 2, 4, 8) that leaves `longest` enough pixels."""
    return next((scale for scale in (8, 4, 2) if longest >= scale * ENOUGH * side), 1)


def _pixels(image: Image.Image) -> tuple[np.ndarray, bool]:
    """Return the pixels (h, w, 3) uint8 RGB, upright on white, and whether that took a quarter turn."""
    image.load()
    orientation = _orientation(image)
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = Image.fromarray(_to_eight_bits(np.asarray(image), image.mode))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB")), orientation >= 5


def _has_exif(data: bytes) -> bool:
    """Return whether one of a JPEG's segments before the picture itself holds EXIF data."""
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] not in (b"\xda", b""):  # SOS: the picture begins
        if data[at + 4 : at + 10] == b"Exif\0\0":
            return True
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _is_turned(data: bytes) -> bool:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return _orientation(image) in UPRIGHT


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) where it is absent or damaged."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged EXIF data is no reason to lose the picture
        return 1


def _to_eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Return grey values of 16 or 32 bits (h, w) as uint8; 32 bits have no agreed white, so the brightest is it."""
    white = 65_535 if mode.startswith("I;16") else max(float(np.nanmax(values)), 1.0)
    return np.clip(np.nan_to_num(values * (255.0 / white)), 0, 255).astype(np.uint8)
