"""Every kind of file that image hosts answer with is decoded, or refused with a cause that names its format."""

from __future__ import annotations

import importlib.util
import io
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from recsys.core.configuration import Images
from recsys.core.errors import PermanentFetchError, PhotoError
from recsys.vision.image_decoding import PictureError, decode
from recsys.vision.image_formats import describe_other, detect_format
from recsys.vision.square import square_image, square_photo
from tests.recsys.vision.pictures import picture, saved

LIMIT = 200_000_000
BOM = b"\xef\xbb\xbf"
HEIC_STUB = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(300)

needs_pillow_heif = pytest.mark.skipif(
    importlib.util.find_spec("pillow_heif") is None, reason="pillow-heif, which decodes HEIC, is not installed"
)


def animation(format: str) -> bytes:
    return saved(picture(120, 80), format, save_all=True, append_images=[picture(120, 80, seed=1)])


def grey_16_bits() -> bytes:
    return saved(Image.fromarray(np.linspace(0, 65_535, 10_000).reshape(100, 100).astype(np.uint16)), "PNG")


def rebranded(data: bytes, major: bytes, *compatible: bytes) -> bytes:
    """Return an ISO base media file with other brands; the offsets in the file stay valid."""
    size = int.from_bytes(data[:4], "big")
    brands = b"".join(compatible)
    assert 16 + len(brands) <= size
    return data[:8] + major + data[12:16] + brands.ljust(size - 16, b"\0") + data[size:]


JPEG = saved(picture(120, 80), "JPEG", quality=90)
AVIF = saved(picture(120, 80), "AVIF", quality=90)

DECODED = {
    "JPEG": (JPEG, "JPEG"),
    "progressive JPEG": (saved(picture(120, 80), "JPEG", progressive=True), "JPEG"),
    "grey JPEG": (saved(picture(120, 80).convert("L"), "JPEG"), "JPEG"),
    "CMYK JPEG": (saved(picture(120, 80).convert("CMYK"), "JPEG"), "JPEG"),
    "JPEG after line ends": (b"\r\n\n " + JPEG, "JPEG"),
    "JPEG after a byte order mark": (BOM + JPEG, "JPEG"),
    "JPEG after two byte order marks and a line end": (BOM + BOM + b"\n" + JPEG, "JPEG"),
    "JPEG before zero bytes": (JPEG + bytes(4_000), "JPEG"),
    "MPO, two photos in one JPEG": (animation("MPO"), "JPEG"),
    "MPO after a line end": (b"\n" + animation("MPO"), "JPEG"),
    "PNG after a line end": (b"\n" + saved(picture(120, 80), "PNG"), "PNG"),
    "PNG before zero bytes": (saved(picture(120, 80), "PNG") + bytes(4_000), "PNG"),
    "PNG with a palette": (saved(picture(120, 80).quantize(8), "PNG"), "PNG"),
    "PNG with 16 bits": (grey_16_bits(), "PNG"),
    "WebP": (saved(picture(120, 80), "WEBP"), "WEBP"),
    "animated WebP": (animation("WEBP"), "WEBP"),
    "animated PNG": (animation("PNG"), "PNG"),
    "animated GIF": (animation("GIF"), "GIF"),
    "AVIF": (AVIF, "AVIF"),
    "animated AVIF": (animation("AVIF"), "AVIF"),
    "AVIF with transparency": (saved(picture(120, 80).convert("RGBA"), "AVIF"), "AVIF"),
    "AVIF before zero bytes": (AVIF + bytes(4_000), "AVIF"),
    "AVIF whose major brand is mif1": (rebranded(AVIF, b"mif1", b"avif", b"miaf"), "AVIF"),
    "AVIF whose major brand is miaf": (rebranded(AVIF, b"miaf", b"mif1", b"avif"), "AVIF"),
    "BMP": (saved(picture(120, 80), "BMP"), "BMP"),
    "TIFF": (saved(picture(120, 80), "TIFF"), "TIFF"),
    "TIFF in CMYK with LZW": (saved(picture(120, 80).convert("CMYK"), "TIFF", compression="tiff_lzw"), "TIFF"),
}

REFUSED = {
    "nothing": (b"", "empty", "it is empty"),
    "an error page": (b"<html><body>404 not found</body></html>", "not_an_image", "not a JPEG"),
    "an error page after a line end": (b"\n\n<!DOCTYPE html><html></html>", "not_an_image", "not a JPEG"),
    "a page with a drawing": (b"<!doctype html><html><svg></svg></html>", "not_an_image", "not a JPEG"),
    "XML of another kind": (b"<?xml version='1.0'?><feed></feed>", "not_an_image", "not a JPEG"),
    "text": (b"this is text", "not_an_image", "not a JPEG"),
    "white space": (b" \n" * 50, "not_an_image", "not a JPEG"),
    "a JPEG after a kilobyte of line ends": (b"\n" * 1_024 + JPEG, "not_an_image", "not a JPEG"),
    "a video": (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(300), "not_an_image", "not a JPEG"),
    "PPM": (saved(picture(), "PPM"), "not_an_image", "not a JPEG"),
    "half a JPEG": (JPEG[: len(JPEG) // 2], "truncated", "incomplete or damaged"),
    "half an AVIF": (AVIF[: len(AVIF) // 2], "truncated", "incomplete or damaged"),
    "the brands of an AVIF": (AVIF[:32], "truncated", "incomplete or damaged"),
    "JPEG 2000": (saved(picture(), "JPEG2000"), "unsupported_format", "a JPEG 2000 picture"),
    "JPEG 2000 without a container": (saved(picture(), "JPEG2000", no_jp2=True), "unsupported_format", "a JPEG 2000"),
    "JPEG XL": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "unsupported_format", "a JPEG XL picture"),
    "JPEG XL without a container": (b"\xff\x0a" + bytes(50), "unsupported_format", "a JPEG XL picture"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format", "an SVG drawing"),
    "SVG after an XML declaration": (
        BOM + b"<?xml version='1.0'?>\n<!-- Illustrator -->\n<!DOCTYPE svg [<!ENTITY a 'b'>]>\n<svg></svg>",
        "unsupported_format",
        "an SVG drawing",
    ),
    "ICO": (saved(picture(32, 32), "ICO"), "unsupported_format", "an ICO icon"),
    "PSD": (b"8BPS\0\x01" + bytes(50), "unsupported_format", "a Photoshop file"),
    "PDF": (b"%PDF-1.7\n" + bytes(50), "unsupported_format", "a PDF document"),
}


@pytest.mark.parametrize(("data", "format"), DECODED.values(), ids=DECODED)
def test_a_picture_is_decoded_as_its_format(data, format):
    decoded = decode(data, LIMIT, 256)
    assert decoded.format == format
    assert decoded.pixels.shape == (decoded.height, decoded.width, 3)
    if decoded.width == 120:  # nearly all show the same; of two frames or photos it is the first
        grey = "grey JPEG", "PNG with a palette", "CMYK JPEG", "TIFF in CMYK with LZW"
        if not any(data == DECODED[name][0] for name in grey):
            assert np.abs(decoded.pixels.astype(int) - np.asarray(picture(120, 80))).mean() < 8


@pytest.mark.parametrize(("data", "cause", "message"), REFUSED.values(), ids=REFUSED)
def test_another_file_is_refused_with_its_cause(data, cause, message):
    with pytest.raises(PictureError, match=message) as error:
        decode(data, LIMIT, 256)
    assert error.value.cause == cause


def test_a_heic_without_its_package_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # import raises ImportError
    for data in (HEIC_STUB, rebranded(HEIC_STUB, b"mif1", b"heix"), rebranded(HEIC_STUB, b"msf1", b"hevc")):
        with pytest.raises(PictureError, match="it is a HEIC picture, which needs the package pillow-heif") as error:
            decode(data, LIMIT, 256)
        assert error.value.cause == "unsupported_format"


def test_pillow_heif_is_not_imported_for_other_formats(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert decode(AVIF, LIMIT, 256).format == "AVIF"


@pytest.mark.parametrize("brands", [b"", b"avif", b"avif" * 10_000])
@pytest.mark.parametrize("size", [0, 1, 8, 24, 2**32 - 1])
def test_damaged_brands_are_read_without_an_error(brands, size):
    data = struct.pack(">I", size) + b"ftypxxxx\0\0\0\0" + brands
    assert detect_format(data) in (None, "AVIF")
    assert describe_other(data) is None


STORED = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""Pillow's transposition from the upright to the stored picture, by EXIF orientation."""


def stored_with(orientation: int) -> Image.Image:
    upright = picture(240, 160)
    return upright.transpose(Image.Transpose(STORED[orientation])) if orientation > 1 else upright


def assert_upright(data: bytes, format: str) -> None:
    decoded = decode(data, LIMIT, 256)
    assert (decoded.width, decoded.height, decoded.format) == (240, 160, format)
    assert np.abs(decoded.pixels.astype(int) - np.asarray(picture(240, 160))).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_turned_by_its_container_is_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(stored_with(orientation), "AVIF", quality=90, exif=exif)  # Pillow writes irot and imir, and no EXIF
    assert (b"irot" in data or b"imir" in data) == (orientation > 1)
    assert_upright(data, "AVIF")


@pytest.mark.parametrize("turned_by_container", [False, True])
def test_an_avif_is_turned_by_its_container_only(turned_by_container):
    """The EXIF orientation of a HEIF file is informative (ISO/IEC 23008-12, A.2), and browsers ignore it too."""
    exif = Image.Exif()
    exif[0x0113] = 6  # Pillow would drop an orientation
    if turned_by_container:
        exif[0x0112] = 6
    data = saved(stored_with(6 if turned_by_container else 1), "AVIF", quality=90, exif=exif)
    before = {b"\x01\x13\x00\x04": b"\x01\x12\x00\x04", b"\x13\x01\x04\x00": b"\x12\x01\x04\x00",
              b"\x01\x13\x00\x03": b"\x01\x12\x00\x03", b"\x13\x01\x03\x00": b"\x12\x01\x03\x00"}  # fmt: skip
    (entry,) = [entry for entry in before if entry in data]
    assert_upright(data.replace(entry, before[entry]), "AVIF")


def ispe_replaced(data: bytes, width: int, height: int) -> bytes:
    """Return an AVIF or HEIC whose header declares this size."""
    start = data.index(b"ispe") + 8
    return data[:start] + struct.pack(">II", width, height) + data[start + 8 :]


@pytest.mark.parametrize(
    ("width", "height", "cause"),
    [
        (20_000, 10_001, "too_many_pixels"),  # over the limit on pixels
        (6_000, 5_000, "too_many_pixels"),  # 30 megapixels in a few hundred bytes
        (2**32 - 1, 2**32 - 1, "truncated"),  # libavif refuses it
    ],
)
def test_an_avif_of_a_huge_size_is_not_decoded(width, height, cause, monkeypatch):
    monkeypatch.setattr("recsys.vision.image_decoding._upright_rgb", lambda image: pytest.fail("decoded"))
    with pytest.raises(PictureError) as error:
        decode(ispe_replaced(AVIF, width, height), LIMIT, 256)
    assert error.value.cause == cause


def test_an_avif_of_very_many_parts_is_not_decoded():
    with pytest.raises(PictureError, match="more than 256 parts") as error:
        decode(AVIF + b"infe" * 256, LIMIT, 256)
    assert error.value.cause == "too_many_pixels"


def heic(image: Image.Image, **options) -> bytes:
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=90, **options)
    return buffer.getvalue()


@needs_pillow_heif
def test_a_heic_is_decoded():
    data = heic(picture(240, 160))
    assert_upright(data, "HEIC")
    assert_upright(b"\n" + data, "HEIC")
    assert_upright(rebranded(data, b"mif1", b"heic", b"miaf"), "HEIC")
    assert square_image(data, Images()).format == "HEIC"


@needs_pillow_heif
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_heic_turned_by_its_container_and_its_exif_is_turned_once(orientation):
    import pillow_heif

    exif = Image.Exif()
    exif[0x0112] = orientation
    image, buffer = stored_with(orientation), io.BytesIO()
    pillow_heif.encode(image.mode, image.size, image.tobytes(), buffer, quality=90, exif=exif.tobytes())
    data = buffer.getvalue()
    assert b"Exif" in data and (b"irot" in data or b"imir" in data) == (orientation > 1)
    assert_upright(data, "HEIC")


@needs_pillow_heif
def test_the_first_picture_of_a_heic_is_decoded_on_white():
    import pillow_heif

    image = picture(240, 160).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 240, 80))
    file = pillow_heif.from_pillow(image)
    file.add_from_pillow(picture(240, 160, seed=1))
    buffer = io.BytesIO()
    file.save(buffer, quality=90)
    pixels = decode(buffer.getvalue(), LIMIT, 256).pixels.astype(int)
    assert pixels[:70].min() > 250
    assert np.abs(pixels[90:] - np.asarray(picture(240, 160))[90:]).mean() < 8


@needs_pillow_heif
@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (lambda: HEIC_STUB, "truncated"),
        (lambda: heic(picture(240, 160))[:-500], "truncated"),
        (lambda: ispe_replaced(heic(picture(240, 160)), 20_000, 10_001), "too_many_pixels"),
        (lambda: ispe_replaced(heic(picture(240, 160)), 6_000, 5_000), "too_many_pixels"),
        (lambda: ispe_replaced(heic(picture(1_000, 1_000)), 64, 64), "truncated"),  # more pixels than the header's
    ],
)
def test_an_unusable_heic_is_refused(data, cause):
    with pytest.raises(PictureError) as error:
        decode(data(), LIMIT, 256)
    assert error.value.cause == cause


def one_colour(width: int, height: int, colour: object = (9, 90, 200), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (width, height), colour)


BLANK = {
    "a pixel": saved(one_colour(1, 1), "PNG"),
    "a transparent GIF pixel": saved(Image.new("P", (1, 1), 0), "GIF", transparency=0),
    "4 × 4 pixels": saved(picture(4, 4), "PNG"),
    "a white PNG": saved(one_colour(300, 300, "white"), "PNG"),
    "a JPEG of one colour": saved(one_colour(640, 480), "JPEG", quality=30),
    "a large JPEG of one colour": saved(one_colour(4_000, 3_000), "JPEG"),
    "a line": saved(one_colour(3_000, 4), "JPEG"),
    "an AVIF of one colour": saved(one_colour(64, 64), "AVIF"),
    "transparency": saved(one_colour(100, 100, (0, 0, 0, 0), "RGBA"), "PNG"),
    "noise of two levels": saved(Image.fromarray((np.indices((90, 90)).sum(0) % 3 + 100).astype(np.uint8)), "PNG"),
}


@pytest.mark.parametrize("data", BLANK.values(), ids=BLANK)
def test_a_blank_picture_is_not_a_products(data):
    decode(data, LIMIT, 256)
    with pytest.raises(PermanentFetchError) as error:
        square_image(data, Images())
    assert error.value.cause == "blank"
    with pytest.raises(PhotoError, match=r"photo x\.png cannot be used: .*; give a picture of the product"):
        square_photo(data, Images(), "x.png")


def dot(background: int, value: int) -> Image.Image:
    image = one_colour(100, 100, (background,) * 3)
    image.putpixel((50, 51), (background, background, value))
    return image


@pytest.mark.parametrize(
    "image", [picture(5, 1), picture(4, 5), dot(255, 252), dot(0, 3)], ids=["5 × 1", "4 × 5", "light dot", "dark dot"]
)
def test_a_picture_with_two_colours_is_not_blank(image):
    data = saved(image, "PNG")
    assert square_image(data, Images()).format == "PNG"
    assert square_photo(data, Images()).shape == (256, 256, 3)


def test_the_error_of_a_photo_of_another_format_names_a_remedy():
    with pytest.raises(PhotoError, match=r"cannot be used: it is a PDF document, not a JPEG.*; save it as JPEG"):
        square_photo(b"%PDF-1.7", Images())
