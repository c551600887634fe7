"""Fit pictures into white squares, as networks, histograms and the store use them.

square           pixels → (side, side, 3), the original project's recipe
square_picture   the same for a decoded picture
square_image     bytes of a fetched image → SquaredImage, as the store keeps it
square_photo     bytes of a user's photo → squared pixels; `read_photo` reads a file
decode_product_picture   bytes → decoded picture, refused if it is blank
encode           squared pixels → the store's JPEG; `decode_squared` is its inverse
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from recsys.core.configuration import Images
from recsys.core.errors import PermanentFetchError, PhotoError
from recsys.vision.image_decoding import Picture, PictureError, decode

REMEDIES = {
    "not_an_image": "give a picture",
    "unsupported_format": "save it as JPEG",
    "too_many_pixels": "save it smaller",
    "blank": "give a picture of the product",
}
"""Remedy of each cause of a PictureError; the remedy of other causes is to export the photo again."""

BLANK_SIDE = 4
"""Longest side of a tracking pixel or spacer, pixels."""
BLANK_RANGE = 2
"""Largest range of the values of a channel (0–255) in a picture of one colour; JPEG may vary them this much."""


@dataclass(frozen=True)
class SquaredImage:
    """A fetched image as the store keeps it.

    Attributes:
        digest: digest of the original bytes, see `digest_of`.
        size: number of the original bytes.
        width, height: size of the original, pixels.
        format: format of the original: JPEG, PNG, ...
        jpeg: the squared image.
        etag, last_modified: version of the original according to its host.
    """

    digest: str
    size: int
    width: int
    height: int
    format: str
    jpeg: bytes
    etag: str | None = None
    last_modified: str | None = None


def square(image: np.ndarray, side: int = 256, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return an image fitted into a white square, the original project's `img_to_square`.

    The longest side is scaled to `side` (cubic), the other side is truncated (`int`, not rounded; at least 1 pixel).
    The white is split evenly; the odd pixel goes to the right or the bottom.

    Args:
        image: (h, w, 3) uint8.
        side: side of the square, pixels.
        size: width and height of the original, if `image` was decoded at a reduced scale; they decide the proportions.

    Returns:
        (side, side, 3) uint8, same channel order.
    """
    width, height = size or (image.shape[1], image.shape[0])
    longest = max(width, height)
    # Integer arithmetic: int(width * (side / longest)) loses a pixel to rounding, for example at 98 pixels.
    fitted = max(1, width * side // longest), max(1, height * side // longest)
    left, top = (side - fitted[0]) // 2, (side - fitted[1]) // 2
    squared = np.full((side, side, 3), 255, np.uint8)
    inside = squared[top : top + fitted[1], left : left + fitted[0]]
    if fitted == (image.shape[1], image.shape[0]):
        inside[:] = image
    else:
        cv2.resize(image, fitted, dst=inside, interpolation=cv2.INTER_CUBIC)
    return squared


def square_picture(picture: Picture, side: int) -> np.ndarray:
    """Return a decoded picture squared with the proportions of its original: (side, side, 3) uint8 RGB."""
    return square(picture.pixels, side, (picture.width, picture.height))


def decode_product_picture(data: bytes, settings: Images) -> Picture:
    """Return the picture in a file, which may show a product.

    Raises:
        PictureError: the bytes are not a usable picture, or the picture is blank.
    """
    picture = decode(data, settings.max_pixels, settings.side)
    if max(picture.width, picture.height) <= BLANK_SIDE:
        raise PictureError("blank", f"it has only {picture.width} × {picture.height} pixels")
    if _is_one_colour(picture.pixels):
        raise PictureError("blank", "all its pixels have the same colour")
    return picture


def _is_one_colour(pixels: np.ndarray) -> bool:
    """Return whether all pixels (h, w, 3) uint8 RGB have one colour; transparent pixels are white by then."""
    few = pixels[::16, ::16]  # decides for nearly every picture of a product, in a fraction of the time
    return all(bool((np.ptp(some, axis=(0, 1)) <= BLANK_RANGE).all()) for some in (few, pixels))


def encode(image: np.ndarray, quality: int) -> bytes:
    """Return an RGB image (h, w, 3) uint8 as JPEG."""
    jpeg: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality, "RGB", "420")
    return jpeg


def decode_squared(jpeg: bytes) -> np.ndarray:
    """Return a squared image from the store as (side, side, 3) uint8 RGB."""
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError("the store holds a damaged image")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def square_image(data: bytes, settings: Images) -> SquaredImage:
    """Return a fetched image as the store keeps it.

    Raises:
        PermanentFetchError: the bytes are not a usable picture.
    """
    try:
        picture = decode_product_picture(data, settings)
    except PictureError as error:
        raise PermanentFetchError(error.cause, str(error), 200) from error
    return SquaredImage(
        digest=digest_of(data),
        size=len(data),
        width=picture.width,
        height=picture.height,
        format=picture.format,
        jpeg=encode(square_picture(picture, settings.side), settings.jpeg_quality),
    )


def digest_of(data: bytes) -> str:
    """Return the digest that identifies an image file: the first 128 bits of its SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()[:32]


def read_photo(path: Path | str, settings: Images | None = None) -> np.ndarray:
    """Return a user's photo, squared: (side, side, 3) uint8 RGB.

    Args:
        path: file of the photo.
        settings: side and limits (default: those of the configuration).

    Raises:
        PhotoError: the file does not exist, is not a usable picture, or exceeds a limit.
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
    """Return a user's photo, squared: (side, side, 3) uint8 RGB.

    Args:
        data: content of a whole file, such as an upload.
        settings: side and limits.
        name: name of the photo in errors.

    Raises:
        PhotoError: the bytes are not a usable picture, or exceed a limit.
    """
    name = f"photo {name}".rstrip()
    if len(data) > settings.max_bytes:
        raise PhotoError(f"{name} has more than {settings.max_bytes:,} bytes; save it smaller")
    try:
        return square_picture(decode_product_picture(data, settings), settings.side)
    except PictureError as error:
        remedy = REMEDIES.get(error.cause, "export it again")
        raise PhotoError(f"{name} cannot be used: {error}; {remedy}") from error
