"""Detect the format of an image file by its first bytes.

skip_leading_junk   bytes → bytes from the signature on
detect_format       bytes → a format of `DECODED`, or None
describe_other      bytes → description of a known format that is not decoded, or None
with_avif_brand     bytes of an AVIF → the same with a major brand that Pillow accepts
"""

import re

FORMATS = "JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF"
"""Formats that are decoded without an optional package, for messages."""

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
"""First bytes of each format that is decoded; AVIF and HEIC have brands instead."""

AVIF_BRANDS = frozenset({b"avif", b"avis"})
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
"""Brands of HEIF files; an AVIF lists mif1 or msf1 too, so AVIF is checked first."""

PILLOW_AVIF_BRANDS = AVIF_BRANDS | {b"mif1", b"msf1"}
"""Major brands with which Pillow opens an AVIF."""

MAX_BRANDS = 64
"""Largest number of compatible brands that are read."""

OTHER_SIGNATURES: tuple[tuple[str, bytes], ...] = (
    ("a JPEG 2000 picture", b"\x00\x00\x00\x0cjP  \r\n\x87\n"),
    ("a JPEG 2000 picture", b"\xff\x4f\xff\x51"),
    ("a JPEG XL picture", b"\x00\x00\x00\x0cJXL \r\n\x87\n"),
    ("a JPEG XL picture", b"\xff\x0a"),
    ("an ICO icon", b"\x00\x00\x01\x00"),
    ("a Photoshop file (PSD)", b"8BPS"),
    ("a PDF document", b"%PDF-"),
)
"""First bytes of known formats that are not decoded."""

SVG_START = re.compile(rb"<svg[\s>/:]|<\?xml\s|<!--|<!doctype\s+svg", re.IGNORECASE)
SVG_BYTES = 4096
"""Bytes of an XML file in which its <svg> element is expected."""

LEADING_JUNK = re.compile(rb"(?:\xef\xbb\xbf|[ \t\r\n]){0,64}")
"""Byte order marks and white space that faulty server scripts write in front of a picture; no signature has them."""


def skip_leading_junk(data: bytes) -> bytes:
    """Return the data without white space and UTF-8 byte order marks in front, of which up to 64 are skipped."""
    junk = LEADING_JUNK.match(data)
    return data[junk.end() :] if junk else data


def detect_format(data: bytes) -> str | None:
    """Return the format according to the first bytes: JPEG, PNG, WEBP, AVIF, HEIC, GIF, BMP or TIFF."""
    brands = _brands(data)
    if AVIF_BRANDS & brands:
        return "AVIF"
    if HEIC_BRANDS & brands:
        return "HEIC"
    kind = next((kind for kind, signature in SIGNATURES if data.startswith(signature)), None)
    return None if kind == "WEBP" and data[8:12] != b"WEBP" else kind


def describe_other(data: bytes) -> str | None:
    """Return a description of a known format that is not decoded, such as "a PDF document"."""
    if _is_svg(data):
        return "an SVG drawing"
    return next((name for name, signature in OTHER_SIGNATURES if data.startswith(signature)), None)


def with_avif_brand(data: bytes) -> bytes:
    """Return an AVIF whose major brand Pillow accepts; Pillow does not read the compatible brands."""
    if data[8:12] in PILLOW_AVIF_BRANDS:
        return data
    brand = b"avif" if b"avif" in _brands(data) else b"avis"
    return data[:8] + brand + data[12:]


def _brands(data: bytes) -> frozenset[bytes]:
    """Return the major and compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3); none of others."""
    if data[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(data[:4], "big"), 16 + 4 * MAX_BRANDS, len(data))
    return frozenset({data[8:12], *(data[start : start + 4] for start in range(16, end, 4))})


def _is_svg(data: bytes) -> bool:
    """Return whether an XML file has an <svg> element near its start; HTML pages with drawings are not SVG."""
    head = data[:SVG_BYTES].lower()
    return bool(SVG_START.match(head)) and b"<svg" in head and b"<html" not in head
