"""Detect the encoding of a text: a byte order mark, the setting, UTF-8, UTF-16 and UTF-32, or else a guess."""

import codecs
import re
from pathlib import Path
from typing import NamedTuple

from recsys.core.errors import CatalogueError, ConfigurationError

HEAD = 64 << 10
"""Length of the part that shows whether a file is text, bytes."""
CHUNK = 1 << 20
SAMPLE = 256 << 10
"""Length of the sample of lines that are not ASCII, bytes."""
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WINDOWS_1252 = "windows-1252"
"""Error handler that decodes invalid bytes as Windows-1252, and those that it lacks as surrogates."""
NOT_TEXT = re.compile("[\udc80-\udcff]")
"""A byte that is no text, decoded by that handler."""

_CONTROL = re.compile(r"[\x01-\x08\x0e-\x19\x7f]")
_INNER_NUL = re.compile(r"\0+(?![\0\r\n\"'\s,;|^~]|$)")
_WESTERN = frozenset(
    {"latin_1", "cp1250", "cp1252", "cp1254", "cp1256", "cp1257", "cp437", "cp775", "cp850", "cp852", "cp858"}
    | {"hp_roman8", "mac_roman", "mac_latin2", "mac_iceland"}
    | {f"iso8859_{part}" for part in (2, 3, 4, 9, 10, 13, 14, 15, 16)}
)
"""Encodings between which a guess does not distinguish well; most texts in them are Windows-1252."""
_CENTRAL_EUROPEAN = frozenset({"Polish", "Czech", "Slovak", "Slovene", "Croatian"})


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Decode invalid bytes as Windows-1252: exports often mix it with UTF-8 in one file."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    invalid = error.object[error.start : error.end]
    try:
        return invalid.decode("cp1252"), error.end
    except UnicodeDecodeError:
        return "".join(chr(0xDC00 + byte) if byte > 127 else "\ufffd" for byte in invalid), error.end


codecs.register_error(WINDOWS_1252, _as_windows_1252)


class Encoding(NamedTuple):
    """Encoding of a text.

    Attributes:
        name, errors: as of `open`.
        has_nul: whether it has NUL characters; a few are tolerated.
        notes: sentences for the user.
    """

    name: str
    errors: str
    has_nul: bool
    notes: list[str]


def detect_encoding(path: Path, name: str, configured: str, delimiter: str = "") -> Encoding:
    """Return the encoding of a file.

    A byte order mark takes precedence over the configured encoding; without both the file is UTF-8, also with single
    bytes of Windows-1252 in it, or else in the encoding that charset-normalizer finds.

    Args:
        path: the file.
        name: the catalogue's name for messages.
        configured: `catalogue.encoding`; empty detects it.
        delimiter: `catalogue.delimiter`, which may be a control character.

    Raises:
        CatalogueError: the file is not a text.
        ConfigurationError: `catalogue.encoding` is unknown.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    settled = next((marked for bom, marked in BOMS if head.startswith(bom)), None) or configured
    encoding = settled or _utf_without_mark(head) or "utf-8"
    try:
        codecs.lookup(encoding)
        "".encode(encoding)
    except (LookupError, UnicodeError) as error:
        raise ConfigurationError(f"catalogue.encoding: '{encoding}' is not a text encoding; try utf-8") from error
    text = _Text(path, name, delimiter)
    if text.decodes(encoding, "strict"):
        return Encoding(encoding, "strict", text.has_nul, text.notes)
    sample = _non_ascii_lines(path)
    if settled or _is_mostly_utf_8(sample):
        if not text.decodes(encoding, WINDOWS_1252):
            raise CatalogueError(f"catalogue {name} is not a text file in {encoding}; set catalogue.encoding")
        note = f"{name} is not valid {encoding}: the invalid bytes were read as Windows-1252"
        return Encoding(
            encoding, WINDOWS_1252, text.has_nul, [f"{note}; set catalogue.encoding if names look wrong", *text.notes]
        )
    guess = _guess(sample)
    if not text.decodes(guess, "strict"):
        guess = "cp1252"
        text.decodes(guess, "replace")
    note = f"{name} was read as {guess}; set catalogue.encoding if names look wrong"
    return Encoding(guess, "replace", text.has_nul, [note, *text.notes])


class _Text:
    """Decodes a whole file to see whether it is a text."""

    def __init__(self, path: Path, name: str, delimiter: str) -> None:
        self._path, self._name, self._delimiter = path, name, delimiter
        self.has_nul = False
        self.notes: list[str] = []

    def decodes(self, encoding: str, errors: str) -> bool:
        """Return whether the file can be decoded.

        Raises:
            CatalogueError: it has too many NUL or other control characters, so it is no text.
        """
        self.has_nul, self.notes = False, []
        inner = lines = 0
        try:
            with self._path.open(encoding=encoding, errors=errors, newline="") as file:
                chunk = file.read(CHUNK)
                controls = sum(match[0] != self._delimiter for match in _CONTROL.finditer(chunk[:HEAD]))
                if controls > 0.01 * min(len(chunk), HEAD):
                    raise self._binary("control characters")
                while chunk:
                    if "\0" in chunk:
                        self.has_nul = True
                        inner += len(_INNER_NUL.findall(chunk))
                    lines += chunk.count("\n") + chunk.count("\r")
                    chunk = file.read(CHUNK)
        except UnicodeError:
            return False
        if inner > max(1, 0.02 * lines):
            raise self._binary("NUL bytes")
        if self.has_nul:
            self.notes = [f"{self._name} contains NUL characters; those at the end of a cell are ignored"]
        return True

    def _binary(self, what: str) -> CatalogueError:
        return CatalogueError(
            f"catalogue {self._name} is not a text file (it contains {what}); use a CSV, JSON, XML, Excel or Parquet "
            "file"
        )


def _utf_without_mark(head: bytes) -> str | None:
    """Return UTF-16 or UTF-32 if the positions of NUL bytes show it."""
    for encoding, width, zeros in (
        ("utf-32-le", 4, (2, 3)),
        ("utf-32-be", 4, (0, 1)),
        ("utf-16-le", 2, (1,)),
        ("utf-16-be", 2, (0,)),
    ):
        start = head[: 4096 // width * width]
        others = [at for at in range(width) if at not in zeros]
        count = sum(start[at::width].count(0) for at in zeros)
        if count < 2 or count < 0.02 * len(start) or (width == 2 and any(start[at::width].count(0) for at in others)):
            continue
        if width == 4 and count < 0.9 * len(start) / 2:
            continue
        text = start.decode(encoding, "replace")
        if "\n" in text or "\r" in text:
            return encoding
    return None


def _non_ascii_lines(path: Path) -> bytes:
    """Return the first lines of a file that are not ASCII."""
    sample = bytearray()
    with path.open("rb") as file:
        while len(sample) < SAMPLE and (line := file.readline(HEAD)):
            if not line.isascii():
                sample += line
    return bytes(sample)


def _is_mostly_utf_8(sample: bytes) -> bool:
    """Return whether a text has more bytes in valid sequences of UTF-8 than invalid ones."""
    valid = sample.decode("utf-8", "ignore").encode()
    return sum(byte > 127 for byte in valid) > len(sample) - len(valid)


def _guess(sample: bytes) -> str:
    """Return the encoding of lines that are not UTF-8."""
    from charset_normalizer import from_bytes

    words = b" ".join(re.findall(rb"[^\x00-\x40,;|~^]*[\x80-\xff][^\x00-\x1f,;|~^]*", sample))
    matches = from_bytes(words)
    best = matches.best()
    if best is not None and best.encoding not in _WESTERN:
        return best.encoding
    has_c1 = re.search(rb"[\x80-\x9f]", words) is not None
    if best is not None and best.language in _CENTRAL_EUROPEAN and all(match.encoding != "cp1252" for match in matches):
        return "cp1250" if has_c1 else "iso8859_2"
    if best is not None and best.encoding == "cp1254" and best.language == "Turkish":
        return "cp1254"
    # The sign at 0xA4 is the euro in ISO 8859-15, and one that texts do not use in Windows-1252; œ is at 0xBD.
    is_latin_9 = re.search(rb"\xa4|[A-Za-z][\xa6\xa8\xbd][a-z]", sample) and not has_c1
    return "iso8859_15" if is_latin_9 else "cp1252"
