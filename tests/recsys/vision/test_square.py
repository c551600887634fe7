"""Squares equal the original recipe's; photos that are not usable give an error with a remedy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from recsys.core.configuration import Images
from recsys.core.errors import PhotoError
from recsys.vision.image_decoding import decode
from recsys.vision.square import decode_squared, encode, read_photo, square, square_picture
from tests.recsys.vision.pictures import bomb, picture, saved

LIMIT = 200_000_000


def img_to_square(image: np.ndarray, side: int) -> np.ndarray:
    """Return the square by the original recipe: scale the longest side, truncate the other, add white borders."""
    height, width = image.shape[:2]
    if width >= height:
        new_width, new_height = side, int(height * side / width)
    else:
        new_width, new_height = int(width * side / height), side
    resized = cv2.resize(image, (max(new_width, 1), max(new_height, 1)), interpolation=cv2.INTER_CUBIC)
    missing_rows, missing_columns = side - resized.shape[0], side - resized.shape[1]
    return cv2.copyMakeBorder(
        resized,
        missing_rows // 2,
        missing_rows - missing_rows // 2,
        missing_columns // 2,
        missing_columns - missing_columns // 2,
        cv2.BORDER_CONSTANT,
        value=(255, 255, 255),
    )


SIZES = [(256, 256), (255, 256), (300, 200), (200, 300), (601, 401), (98, 49), (49, 98), (1, 1), (1, 900), (900, 1),
         (2000, 3), (333, 334), (1023, 517), (257, 256), (20, 31)]  # fmt: skip


@pytest.mark.parametrize("side", [256, 225])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_square_equals_that_of_the_original_recipe(width, height, side):
    image = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    squared = square(image, side)
    assert squared.shape == (side, side, 3) and squared.dtype == np.uint8
    np.testing.assert_array_equal(squared, img_to_square(image, side))


def test_the_odd_white_pixel_goes_to_the_right_and_the_bottom():
    black = np.zeros((101, 255, 3), np.uint8)  # int(101.4) of 256 rows, so 77 white above and 78 below
    rows = square(black)[:, 128, 0]
    assert (rows[:77] == 255).all() and (rows[77:178] == 0).all() and (rows[178:] == 255).all()
    columns = square(black.transpose(1, 0, 2))[128, :, 0]
    np.testing.assert_array_equal(columns, rows)


def test_a_jpeg_decoded_at_reduced_scale_gives_the_same_square():
    """The proportions are those of the original: 170 rows; those of the reduced 750 × 501 pixels would give 171."""
    smooth = picture(30, 20).resize((3000, 2001), Image.Resampling.BICUBIC)
    data = saved(smooth, "JPEG", quality=95)
    whole = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    squared = square_picture(decode(data, LIMIT, 256), 256)
    difference = np.abs(squared.astype(int) - img_to_square(whole, 256))
    assert difference.mean() < 0.5 and difference.max() < 20
    is_white = (img_to_square(whole, 256) == 255).all(axis=(1, 2))
    np.testing.assert_array_equal((squared == 255).all(axis=(1, 2)), is_white)


def test_a_stored_jpeg_is_decoded_to_rgb():
    squared = square(np.asarray(picture(240, 160)))
    decoded = decode_squared(encode(squared, 95))
    assert decoded.shape == (256, 256, 3) and decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - squared).mean() < 4
    assert len(encode(squared, 50)) < len(encode(squared, 95))


def test_a_photo_is_read_squared(tmp_path):
    photo = tmp_path / "photo.png"
    photo.write_bytes(saved(picture(), "PNG"))
    np.testing.assert_array_equal(read_photo(photo), img_to_square(np.asarray(picture()), 256))
    assert read_photo(photo, Images(side=64)).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [
        ("missing.jpg", None, "does not exist; check the path"),
        ("text.jpg", b"this is text", "not a JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF picture; give a picture"),
        ("empty.jpg", b"", "is empty; export it again"),
        (
            "logo.svg",
            b"<svg/>",
            "an SVG drawing, not a JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF picture; save it as JPEG",
        ),
        ("white.png", saved(Image.new("L", (9, 9), 255), "PNG"), "the same colour; give a picture of the product"),
        ("half.png", saved(picture(), "PNG")[:150], "incomplete or damaged; export it again"),
        ("bomb.png", bomb(50_000, 50_000), "more than 200,000,000 pixels; save it smaller"),
        ("large.bin", bytes(3000), "more than 2,000 bytes; save it smaller"),
        ("folder", ..., "is a folder; name the picture's file"),
    ],
)
def test_the_error_of_an_unusable_photo_has_its_name_and_a_remedy(tmp_path, name, content, remedy):
    photo = tmp_path / name
    if content is ...:
        photo.mkdir()
    elif content is not None:
        photo.write_bytes(content)
    with pytest.raises(PhotoError) as error:
        read_photo(photo, Images(max_bytes=2_000))
    message = str(error.value)
    assert str(photo) in message and remedy in message and "\n" not in message
