"""Decoding and squaring: every format as it should look, nothing half, nothing huge, the original's recipe."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from recsys.core.configuration import Images
from recsys.core.errors import PhotoError
from recsys.vision.square import PictureError, decode, decode_squared, encode, read_photo, square
from tests.recsys.vision.pictures import bomb, picture, saved

LIMIT = 200_000_000


def img_to_square(image: np.ndarray, side: int) -> np.ndarray:
    """The original's recipe, written down plainly: scale the longest side, truncate, white borders."""
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
def test_the_square_is_the_originals(width, height, side):
    image = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    squared = square(image, side)
    assert squared.shape == (side, side, 3) and squared.dtype == np.uint8
    np.testing.assert_array_equal(squared, img_to_square(image, side))


def test_the_odd_pixel_of_white_goes_right_and_bottom():
    black = np.zeros((101, 255, 3), np.uint8)  # int(101.4) of 256 rows, so 77 white above and 78 below
    rows = square(black)[:, 128, 0]
    assert (rows[:77] == 255).all() and (rows[77:178] == 0).all() and (rows[178:] == 255).all()
    columns = square(black.transpose(1, 0, 2))[128, :, 0]
    np.testing.assert_array_equal(columns, rows)


LOSSLESS = {"PNG": {}, "BMP": {}, "TIFF": {}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("format", LOSSLESS)
def test_a_lossless_format_decodes_to_its_pixels(format):
    image = picture()
    decoded = decode(saved(image, format, **LOSSLESS[format]), LIMIT, 256)
    assert (decoded.width, decoded.height, decoded.format) == (60, 40, format)
    np.testing.assert_array_equal(decoded.pixels, np.asarray(image))


@pytest.mark.parametrize(
    ("format", "options"), [("JPEG", {"quality": 95}), ("JPEG", {"progressive": True}), ("GIF", {}), ("WEBP", {})]
)
def test_a_lossy_format_decodes_to_about_its_pixels(format, options):
    image = picture(240, 160)
    decoded = decode(saved(image, format, **options), LIMIT, 256)
    assert decoded.format == format
    assert np.abs(decoded.pixels.astype(int) - np.asarray(image)).mean() < 8


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA", "RGBA", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(mode):
    grey = np.repeat(np.linspace(0, 255, 60).astype(np.uint8)[None], 40, axis=0)
    format = {"CMYK": "JPEG", "F": "TIFF", "I": "TIFF"}.get(mode, "PNG")
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray(grey.astype(np.int32) * 1000)
    elif mode == "F":
        image = Image.fromarray((grey / 255).astype(np.float32))
    else:
        image = Image.fromarray(grey).convert("RGB").convert(mode, palette=Image.Palette.ADAPTIVE)
    pixels = decode(saved(image, format), LIMIT, 256).pixels
    assert pixels.shape == (40, 60, 3) and pixels.dtype == np.uint8
    if mode != "1":
        assert np.abs(pixels.astype(int) - grey[..., None]).max() <= 6


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_what_is_transparent_is_white(mode):
    image = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 10, 10))
    format = "PNG"
    if mode == "PA":
        format, mode = "GIF", "RGBA"
    pixels = decode(saved(image.convert(mode), format), LIMIT, 256).pixels
    assert (pixels[:, :10] == 0).all() and (pixels[:, 10:] == 255).all()


def test_what_is_half_transparent_is_blended_with_white():
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert np.unique(decode(saved(image, "PNG"), LIMIT, 256).pixels).tolist() == [127]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    upright = picture(240, 160)
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # how a camera held that way stores it: Pillow's transpositions
    stored = upright.transpose(Image.Transpose(back[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(saved(stored, "JPEG", quality=95, exif=exif), LIMIT, 256)
    assert (decoded.width, decoded.height) == (240, 160)
    assert np.abs(decoded.pixels.astype(int) - np.asarray(upright)).mean() < 8


def test_a_photo_with_damaged_exif_is_kept():
    data = saved(picture(240, 160), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert decode(data, LIMIT, 256).width == 240


def test_an_animation_gives_its_first_frame():
    frames = [picture(seed=seed).convert("P") for seed in range(3)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(data, LIMIT, 256).pixels, np.asarray(frames[0].convert("RGB")))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize(
    ("format", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("GIF", {}), ("BMP", {}), ("TIFF", {}),
     ("TIFF", {"compression": "tiff_lzw"})],
)  # fmt: skip
def test_incomplete_data_is_an_error_and_no_half_picture(format, options, share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    data = saved(noise, format, **options)
    decode(data, LIMIT, 256)
    with pytest.raises(PictureError) as error:
        decode(data[: int(len(data) * share)], LIMIT, 256)
    assert error.value.cause == "truncated"


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "empty"),
        (b"<html>Not found</html>", "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        (b"%PDF-1.7", "not_an_image"),
        (saved(picture(), "ICO"), "not_an_image"),
        (saved(picture(), "PPM"), "not_an_image"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "not_an_image"),
        (b"\xff\xd8\xff\xe0" + b"text" * 50, "truncated"),
        (bomb(100_000, 100_000), "too_many_pixels"),
        (bomb(20_000, 10_001), "too_many_pixels"),
    ],
)
def test_what_is_no_usable_picture_is_told_by_its_cause(data, cause):
    with pytest.raises(PictureError) as error:
        decode(data, LIMIT, 256)
    assert error.value.cause == cause


def test_a_small_gif_with_a_huge_frame_is_a_bomb():
    data = bytearray(saved(picture().convert("P"), "GIF"))
    frame = data.index(b"\x2c\x00\x00\x00\x00")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"  # 65,535 × 65,535
    with pytest.raises(PictureError) as error:
        decode(bytes(data), LIMIT, 256)
    assert error.value.cause == "too_many_pixels"


def test_the_limit_on_pixels_is_inclusive():
    data = saved(picture(60, 40), "PNG")
    assert decode(data, 2400, 256).width == 60
    with pytest.raises(PictureError):
        decode(data, 2399, 256)


@pytest.mark.parametrize(
    ("width", "height", "longest"),
    [(767, 300, 767), (768, 600, 384), (1023, 600, 512), (3000, 1999, 750), (3072, 1999, 384)],
)
def test_a_jpeg_is_decoded_smaller_but_keeps_one_and_a_half_times_the_side(width, height, longest):
    decoded = decode(saved(picture(width, height), "JPEG"), LIMIT, 256)
    assert (decoded.width, decoded.height) == (width, height)
    assert max(decoded.pixels.shape) == longest


def test_a_jpeg_decoded_smaller_makes_the_same_square():
    """Its proportions are the original's: 170 rows, where the smaller 750 × 501 pixels alone would give 171."""
    smooth = picture(30, 20).resize((3000, 2001), Image.Resampling.BICUBIC)
    data = saved(smooth, "JPEG", quality=95)
    whole = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    difference = np.abs(decode(data, LIMIT, 256).square(256).astype(int) - img_to_square(whole, 256))
    assert difference.mean() < 0.5 and difference.max() < 20
    is_white = (img_to_square(whole, 256) == 255).all(axis=(1, 2))
    np.testing.assert_array_equal((decode(data, LIMIT, 256).square(256) == 255).all(axis=(1, 2)), is_white)


def test_the_stores_jpeg_comes_back_in_rgb():
    squared = square(np.asarray(picture(240, 160)))
    back = decode_squared(encode(squared, 95))
    assert back.shape == (256, 256, 3) and back.dtype == np.uint8
    assert np.abs(back.astype(int) - squared).mean() < 4
    assert len(encode(squared, 50)) < len(encode(squared, 95))


def test_a_photo_is_read_squared(tmp_path):
    photo = tmp_path / "photo.png"
    photo.write_bytes(saved(picture(), "PNG"))
    np.testing.assert_array_equal(read_photo(photo), img_to_square(np.asarray(picture()), 256))
    assert read_photo(photo, Images(side=64)).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.jpg", None, "does not exist; check the path"),
        ("text.jpg", b"this is text", "not a JPEG, PNG, WebP, GIF, BMP or TIFF picture; give a picture"),
        ("empty.jpg", b"", "is empty; export it again"),
        ("half.png", saved(picture(), "PNG")[:150], "incomplete or damaged; export it again"),
        ("bomb.png", bomb(50_000, 50_000), "more than 200,000,000 pixels; save it smaller"),
        ("large.bin", bytes(3000), "more than 2,000 bytes; save it smaller"),
        ("folder", ..., "is a folder; name the picture's file"),
    ],
)
def test_a_photo_that_cannot_be_used_is_named_with_what_to_do(tmp_path, name, content, says):
    photo = tmp_path / name
    if content is ...:
        photo.mkdir()
    elif content is not None:
        photo.write_bytes(content)
    with pytest.raises(PhotoError) as error:
        read_photo(photo, Images(max_bytes=2_000))
    message = str(error.value)
    assert str(photo) in message and says in message and "\n" not in message


def test_a_jpeg_that_ends_too_early_is_truncated_even_where_its_end_was_restored():
    whole = saved(picture(600, 400), "JPEG", quality=90)
    assert decode(whole + b"PK\x03\x04 another file's data", LIMIT, 256).width == 600
    with pytest.raises(PictureError) as caught:
        decode(whole[: len(whole) // 2] + b"\xff\xd9", LIMIT, 256)
    assert caught.value.cause == "truncated"


def test_a_picture_that_is_packed_too_tightly_is_a_bomb():
    """A PNG of one colour: 100 megapixels in a tenth of a megabyte, and within the limit on pixels."""
    tight = saved(Image.new("1", (10_000, 10_000)), "PNG", optimize=True)
    with pytest.raises(PictureError) as caught:
        decode(tight, LIMIT, 256)
    assert caught.value.cause == "too_many_pixels"
