"""Check the size of a workbook before it is read: the library allocates all cells of a sheet at once, or aborts."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

MAX_CELLS = 20_000_000
"""Maximum number of cells of a sheet, empty ones included."""
CHUNK = 1 << 20

_REFERENCE = re.compile(rb'\br="([A-Z]*)(\d+)"')
_NO_RESULT = re.compile(rb'</f></c>|<f[^>]*/></c>|\bt="e"')
_TEXT_CELL = re.compile(rb't="s"[^>]*><v>(\d+)</v>')
_REPEATED_ROW = re.compile(
    rb'<table:table-row[^>]*number-rows-repeated="\d{4,}"[^>]*>(?:(?!</table:table-row)[\s\S]){0,10000}?value-type'
)
SHARED = "xl/sharedStrings.xml"


class WorkbookError(Exception):
    """The workbook cannot be read safely."""


def check_workbook(path: Path, limit: int) -> int:
    """Return the number of cells without a value: formulas without a stored result, and errors.

    Args:
        path: an office document in a zip file.
        limit: maximum unpacked size, bytes.

    Raises:
        WorkbookError: it is no workbook, or too large.
        zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError: it is damaged.
    """
    empty = 0
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = {member.filename for member in members}
        if "xl/workbook.bin" in names:
            raise WorkbookError("is a binary workbook (.xlsb), which is not read; save it as .xlsx or CSV")
        if not any(name.startswith("xl/") for name in names) and "content.xml" not in names:
            raise WorkbookError("is an office document without a table; save it as CSV")
        if sum(member.file_size for member in members) > limit:
            raise WorkbookError(f"unpacks to more than {limit:,} bytes; save it as CSV")
        shared, used = [member for member in members if member.filename == SHARED], 0
        lengths = [length for member in shared for length in _lengths_of_texts(archive, member)]
        for member in members:  # unpacking to the end also checks the stated size
            cells = _Cells(max(lengths, default=0))
            for buffer in _buffers(archive, member):
                if member.filename.startswith("xl/worksheets/"):
                    cells.add(buffer, lengths)
                elif member.filename == "content.xml" and _REPEATED_ROW.search(buffer):
                    raise WorkbookError("repeats a row more than 1,000 times; save it as CSV")
            empty, used = empty + cells.empty, used + cells.text
            if cells.rows * cells.columns > MAX_CELLS:
                size = f"{cells.rows:,} rows × {cells.columns:,} columns, which is more than {MAX_CELLS:,} cells"
                raise WorkbookError(f"has {size}; delete the empty rows and columns at its end, or save it as CSV")
            if used > limit:
                raise WorkbookError(f"unpacks to more than {limit:,} bytes of text; save it as CSV")
    return empty


class _Cells:
    """Counts the cells of a sheet.

    Attributes:
        rows, columns: its extent.
        empty: cells without a value.
        text: length of the shared texts in its cells, bytes; 0 if they are short in any case.
    """

    def __init__(self, longest_text: int) -> None:
        self.rows = self.columns = self.empty = self.text = 0
        self._longest = longest_text

    def add(self, buffer: bytes, lengths: list[int]) -> None:
        """Count the cells in a part of the sheet's XML."""
        for column, row in set(_REFERENCE.findall(buffer)):
            self.rows = max(self.rows, int(row[:12]))
            self.columns = max(self.columns, _column(column))
        self.empty += len(_NO_RESULT.findall(buffer))
        if self._longest > 1_000:
            self.text += sum(
                lengths[at] for text in _TEXT_CELL.findall(buffer) if (at := int(text[:12])) < len(lengths)
            )


def _column(letters: bytes) -> int:
    """Return the number of a column, from 1."""
    number = 0
    for letter in letters[:8]:
        number = 26 * number + letter - 64
    return number


def _lengths_of_texts(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[int]:
    """Yield the length of each shared text, bytes."""
    length = 0
    for buffer in _buffers(archive, member):
        *ended, rest = buffer.split(b"</si>")
        for text in ended:
            yield length + len(text)
            length = 0
        length += len(rest)


def _buffers(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the unpacked content in parts that end with an element."""
    rest = b""
    with archive.open(member) as stream:
        while chunk := stream.read(CHUNK):
            rest += chunk
            end = rest.rfind(b"</c>") + 4 if b"</c>" in chunk else rest.rfind(b">") + 1
            if end or len(rest) > 4 * CHUNK:
                yield rest[: end or len(rest)]
                rest = rest[end or len(rest) :]
    yield rest
