"""Split JSON into the texts of the objects in its arrays, without parsing them.

Only one object is in memory, and a bad one does not keep the others from being read. ijson, which could do this, ends
at the first damaged object and has no limit of depth.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

MAX_RECORD = 16 << 20
"""Maximum length of one record, bytes."""
MAX_BRACKETS = 200_000
"""Maximum number of brackets of one record."""
MAX_DEPTH = 100
"""Maximum number of arrays and objects inside each other."""
CHUNK = 64 << 10
BLANK = b" \t\r\n,\0\x1a\xef\xbb\xbf"
"""Bytes between two values, with those of a byte order mark."""

_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+([{}\[\]])', re.DOTALL)
"""Text up to the next bracket that is not in a string."""
_KEY = re.compile(rb'"((?:[^"\\]|\\.){1,200})"\s*:\s*$', re.DOTALL)
_PAIRS = (b"{}", b"[]")

Path = tuple[str, ...]
"""Names of the arrays and objects around a value; an array in an array has no name."""


class SplittingError(Exception):
    """The brackets of a text are not paired or too deep, or a record is too long."""


class Element(NamedTuple):
    """Element of an array, or its end.

    Attributes:
        path: path of the array.
        before: what is between the element before it and this one: blanks and a comma, or other values.
        text: its JSON text, `[]` for any array; empty at the end of the array.
    """

    path: Path
    before: bytes
    text: bytes


def elements(file: Any, *, roots: bool = False, limit: int = 0) -> Iterator[Element]:
    """Yield the objects in the arrays of a JSON text; of objects inside each other, only the outer one.

    Args:
        file: the text, UTF-8.
        roots: yield the objects at the top level, as if they were in an array.
        limit: length after which to stop, bytes; 0 reads all.

    Raises:
        SplittingError: the text is damaged, has too many brackets inside each other, or a record that is too long.
    """
    splitter = _Splitter(roots)
    length = 0
    for text, bracket in _tokens(file):
        length += len(text) + 1
        if not bracket:
            if splitter.kinds:
                raise SplittingError("its end is missing")
            yield Element((), text, b"")
            return
        element = splitter.opened(text, bracket) if bracket in b"{[" else splitter.closed(text, bracket, length)
        if element is not None:
            yield element
        if splitter.size > MAX_RECORD or len(splitter.record) > 2 * MAX_BRACKETS:
            raise SplittingError(_too_long(length - splitter.size))
        if limit and length > limit and not splitter.record:
            return


class _Splitter:
    """Follows the brackets of a text, and collects the record that they are in.

    Attributes:
        kinds: all open brackets.
        record: pieces of the current record; empty outside of one.
        size: its length, bytes.
    """

    def __init__(self, roots: bool) -> None:
        self._roots = roots
        self.kinds: list[bytes] = []
        self._paths: list[Path] = []  # of the open brackets outside of a record
        self.record: list[bytes] = []
        self.size = 0
        self._before, self._outside = b"", 0

    def opened(self, text: bytes, bracket: bytes) -> Element | None:
        """Take an opening bracket and the text before it; return the array that is an element of an array."""
        element = None
        in_array = not self.kinds if self._roots else self.kinds[-1:] == [b"["]
        if self.record:
            self._add(text, bracket)
        elif in_array and bracket == b"{":
            self.record, self.size, self._before, self._outside = [bracket], 1, text, len(self.kinds)
        else:
            path = self._paths[-1] if self._paths else ()
            element = Element(path, text, b"[]") if in_array else None
            self._paths.append((*path, _name(text)) if self.kinds else ())
        self.kinds.append(bracket)
        if len(self.kinds) > MAX_DEPTH:
            raise SplittingError(f"more than {MAX_DEPTH} arrays and objects are inside each other")
        return element

    def closed(self, text: bytes, bracket: bytes, length: int) -> Element | None:
        """Take a closing bracket and the text before it; return the record or array that ends."""
        if not self.kinds or self.kinds.pop() + bracket not in _PAIRS:
            raise SplittingError(f"the '{bracket.decode()}' at byte {length:,} has no counterpart")
        if not self.record:
            path = self._paths.pop()
            return Element(path, text, b"") if bracket == b"]" and not self._roots else None
        self._add(text, bracket)
        if len(self.kinds) > self._outside:
            return None
        element = Element(self._paths[-1] if self._paths else (), self._before, b"".join(self.record))
        self.record, self.size = [], 0
        return element

    def _add(self, text: bytes, bracket: bytes) -> None:
        self.record += (text, bracket)
        self.size += len(text) + 1


def _tokens(file: Any) -> Iterator[tuple[bytes, bytes]]:
    """Yield each bracket outside of strings and the text before it; at the end the rest and no bracket."""
    buffer, at, length = b"", 0, 0
    while True:
        if match := _BRACKET.match(buffer, at):
            yield buffer[at : match.start(1)], match[1]
            at = match.end()
            continue
        rest = buffer[at:]
        if len(rest) > MAX_RECORD:
            raise SplittingError(_too_long(length - len(rest)))
        chunk = file.read(max(CHUNK, len(rest)))
        if not chunk:
            yield rest, b""
            return
        length += len(chunk)
        buffer, at = rest + chunk, 0


def _too_long(at: int) -> str:
    return f"the record at byte {at:,} has more than {MAX_RECORD >> 20} MB or {MAX_BRACKETS:,} brackets"


def _name(text: bytes) -> str:
    """Return the name of the value after a text."""
    match = _KEY.search(text[-300:])
    return match[1].decode("utf-8", "replace") if match else ""
