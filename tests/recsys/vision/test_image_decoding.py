"""Decoding: every format, mode and orientation is correct; incomplete and huge files are refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from recsys.vision.image_decoding import PictureError, decode
from tests.recsys.vision.pictures import bomb, picture, saved

LIMIT = 200_000_000


LOSSLESS = {"PNG": {}, "BMP": {}, "TIFF": {}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("format", LOSSLESS)
def test_a_lossless_format_decodes_to_its_pixels(format):
    image = picture()
    decoded = decode(saved(image, format, **LOSSLESS[format]), LIMIT, 256)
    assert (decoded.width, decoded.height, decoded.format) == (60, 40, format)
    np.testing.assert_array_equal(decoded.pixels, np.asarray(image))


@pytest.mark.parametrize(
    ("format", "options"),
    [("JPEG", {"quality": 95}), ("JPEG", {"progressive": True}), ("GIF", {}), ("WEBP", {}), ("AVIF", {})],
)
def test_a_lossy_format_decodes_to_nearly_its_pixels(format, options):
    image = picture(240, 160)
    decoded = decode(saved(image, format, **options), LIMIT, 256)
    assert decoded.format == format
    assert np.abs(decoded.pixels.astype(int) - np.asarray(image)).mean() < 8


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA", "RGBA", "I;16", "I", "F"])
def test_every_mode_is_converted_to_rgb(mode):
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
def test_transparent_pixels_become_white(mode):
    image = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 10, 10))
    format = "PNG"
    if mode == "PA":
        format, mode = "GIF", "RGBA"
    pixels = decode(saved(image.convert(mode), format), LIMIT, 256).pixels
    assert (pixels[:, :10] == 0).all() and (pixels[:, 10:] == 255).all()


def test_half_transparent_pixels_are_blended_with_white():
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert np.unique(decode(saved(image, "PNG"), LIMIT, 256).pixels).tolist() == [127]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    upright = picture(240, 160)
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transposition from upright to stored
    stored = upright.transpose(Image.Transpose(inverse[orientation])) if orientation > 1 else upright
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
     ("TIFF", {"compression": "tiff_lzw"}), ("AVIF", {})],
)  # fmt: skip
def test_incomplete_data_is_an_error(format, options, share):
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
        (b"RIFF\x10\0\0\0WAVEfmt ", "not_an_image"),
        (b"\xff\xd8\xff\xe0" + b"text" * 50, "truncated"),
        (bomb(100_000, 100_000), "too_many_pixels"),
        (bomb(20_000, 10_001), "too_many_pixels"),
    ],
)
def test_an_unusable_file_is_an_error_with_its_cause(data, cause):
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
def test_a_large_jpeg_is_decoded_at_reduced_scale_to_at_least_1_5_times_the_side(width, height, longest):
    decoded = decode(saved(picture(width, height), "JPEG"), LIMIT, 256)
    assert (decoded.width, decoded.height) == (width, height)
    assert max(decoded.pixels.shape) == longest


def test_a_truncated_jpeg_with_a_restored_end_marker_is_truncated():
    whole = saved(picture(600, 400), "JPEG", quality=90)
    assert decode(whole + b"PK\x03\x04 another file's data", LIMIT, 256).width == 600
    with pytest.raises(PictureError) as caught:
        decode(whole[: len(whole) // 2] + b"\xff\xd9", LIMIT, 256)
    assert caught.value.cause == "truncated"


def test_a_large_picture_in_very_few_bytes_is_a_bomb():
    """A PNG of one colour: 100 megapixels in a tenth of a megabyte, below the limit on pixels."""
    data = saved(Image.new("1", (10_000, 10_000)), "PNG", optimize=True)
    with pytest.raises(PictureError) as caught:
        decode(data, LIMIT, 256)
    assert caught.value.cause == "too_many_pixels"
