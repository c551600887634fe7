"""Read the records of JSON Lines, of a sequence or an array of objects, or of an array inside an object, one by one."""

import codecs
import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from recsys.core.errors import CatalogueError
from recsys.core.text import shorten
from recsys.ingest.catalogue.formats import json_splitting
from recsys.ingest.catalogue.formats.encoding import BOMS, WINDOWS_1252
from recsys.ingest.catalogue.formats.json_splitting import BLANK, MAX_RECORD, SplittingError
from recsys.ingest.catalogue.formats.table import (
    ELEMENTS,
    VARIANT_LISTS,
    Layout,
    RawTable,
    Row,
    element_names,
    flatten,
    folded,
    of_record,
    value_of,
    variant_records,
)

SAMPLE_RECORDS = 200
SCAN = 16 << 20
"""Length of the part in which the array of the records is looked for, bytes."""


class JsonTable(RawTable):
    """JSON or JSON Lines; columns are fields, `outer.inner` of inner records, `list[].field` of those in a list."""

    def __init__(self, path: Path, name: str, layout: Layout) -> None:
        super().__init__()
        self._path, self._name = path, name
        self._decoded = 0
        self._is_lines = self._has_a_record_on_its_first_line()
        self.unit, self.format = ("line", "JSON Lines") if self._is_lines else ("record", "JSON")
        self._is_sequence = not self._is_lines and self._has_several_objects()
        self._array, self._inner = ((), "") if self._is_lines or self._is_sequence else self._find(layout.known_names)
        sample = list(islice(self._records(), SAMPLE_RECORDS))
        records = [record for _, record, _ in sample]
        names = dict.fromkeys(name for record in records for name in record)
        self.names = list(names | dict.fromkeys(name for record in records for name in element_names(record)))
        if not self.names:
            first = next(
                ((f"{self.unit} {number}", *fault) for number, _, fault in sample if fault), ("", "it is empty")
            )
            raise self._damaged(": ".join(filter(None, first[:2])))

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        self._decoded = 0
        for number, record, fault in self._records():
            yield Row(number, (), *fault) if fault else Row(number, [_cell(record, name) for name in columns])
        if self._decoded:
            note = f"the invalid bytes of {self._decoded:,} records were read as Windows-1252"
            self.notes.append(f"{self._name} is not valid UTF-8: {note}")

    def _records(self) -> Iterator[tuple[int, dict[str, Any], tuple[str, str] | None]]:
        """Yield number and fields of each record, or its fault and text."""
        for number, text in self._lines() if self._is_lines else self._elements():
            try:
                value, fault = self._parsed(text), "not a JSON object"
            except (ValueError, RecursionError) as error:
                value, fault = None, f"not valid JSON: {shorten(error, 60)}"
            if isinstance(value, dict):
                for record in variant_records(value):
                    yield number, record, None
            else:
                yield number, {}, (fault, text[:1000].decode("utf-8", "replace"))

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        with self._open() as file:
            number = 0
            while line := file.readline(MAX_RECORD + 1):
                number += 1
                if len(line) > MAX_RECORD:
                    raise self._damaged(f"line {number} has more than {MAX_RECORD >> 20} MB, or is no record")
                if b"\xef\xbb\xbf" in line:
                    line = line.replace(b"\xef\xbb\xbf", b"")
                if line := line.strip(b" \t\r\n\0\x1a"):
                    yield number, line

    def _elements(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        for path, before, text in self._split(roots=self._is_sequence):
            if path != self._array:
                continue
            for record in (before.strip(BLANK), *(self._inner_records(text) if self._inner else [text])):
                if record:
                    number += 1
                    yield number, record

    def _inner_records(self, text: bytes) -> Iterator[bytes]:
        outer = self._parsed(text) if text else {}
        records = outer.get(self._inner) if isinstance(outer, dict) else None
        yield from map(orjson.dumps, records if isinstance(records, list) else ())

    def _split(self, *, roots: bool = False, limit: int = 0) -> Iterator[json_splitting.Element]:
        try:
            with self._open() as file:
                yield from json_splitting.elements(file, roots=roots, limit=limit)
        except SplittingError as error:
            raise self._damaged(str(error)) from error

    def _parsed(self, text: bytes) -> Any:
        """Return the value of a JSON text, also with NaN, half surrogate pairs and bytes of Windows-1252.

        Raises:
            ValueError, RecursionError: it is not valid.
        """
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            try:
                decoded = text.decode()
            except UnicodeDecodeError:
                decoded = text.decode("utf-8", WINDOWS_1252)
                self._decoded += 1
            return json.loads(decoded)

    def _find(self, known_names: frozenset[str]) -> tuple[json_splitting.Path, str]:
        """Return the path of the array of records, and the name of an inner array if each element has a page of them.

        It is the first one whose records have known names of columns, else the longest one.
        """
        counts: Counter[json_splitting.Path] = Counter()
        names: dict[json_splitting.Path, set[str]] = defaultdict(set)
        inner: dict[json_splitting.Path, str] = {}
        for path, _, text in self._split(limit=SCAN):
            if not text.startswith(b"{"):
                continue
            counts[path] += 1
            if counts[path] > SAMPLE_RECORDS:
                continue
            with contextlib.suppress(ValueError, RecursionError):
                record = self._parsed(text)
                names[path] |= {folded(name) for name in flatten(record)} & known_names
                if len(names[path]) > 1:
                    return path, ""
                for name, value in record.items():
                    if name not in VARIANT_LISTS and _has_known_names(value, known_names):
                        inner[path] = name
        if not counts:
            raise CatalogueError(
                f"catalogue {self._name} is JSON without a list of products; export it as a list of objects"
            )
        longest = max(counts, key=lambda path: (path in inner, counts[path]))
        return longest, inner.get(longest, "")

    def _has_several_objects(self) -> bool:
        """Return whether a file is a sequence of objects, or one object without a list of others."""
        with self._open() as file:
            if not file.read(64).lstrip(BLANK).startswith(b"{"):
                return False
        with contextlib.suppress(CatalogueError):
            first = list(islice((text for _, _, text in self._split(roots=True) if text.startswith(b"{")), 2))
            if len(first) == 2:
                return True
            with contextlib.suppress(ValueError, RecursionError):
                return len(first) == 1 and _is_record(self._parsed(first[0]))
        return False

    def _has_a_record_on_its_first_line(self) -> bool:
        """Return whether the first line that is not empty is a whole JSON object."""
        text = b""
        with self._open() as file:
            while (line := file.readline(MAX_RECORD + 1)) and not text:
                text = line.replace(b"\xef\xbb\xbf", b"").strip(b" \t\r\n\0")
            rest = line or file.read(1)
        if not text.startswith(b"{") or len(text) > MAX_RECORD:
            return False
        try:
            record = self._parsed(text)
        except (ValueError, RecursionError):
            return not text.endswith((b"{", b"[", b","))  # a damaged first line
        return bool(rest) or _is_record(record)

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        """Open the file as UTF-8."""
        with self._path.open("rb") as file:
            head = file.read(4)
            marked = next((name for bom, name in BOMS if head.startswith(bom)), "utf-8")
            marked = "utf-16-le" if head[1:2] == b"\0" and marked == "utf-8" else marked
            file.seek(len(codecs.BOM_UTF8) if marked == "utf-8-sig" else 0)
            yield file if marked.startswith("utf-8") else codecs.EncodedFile(file, "utf-8", marked, "replace")

    def _damaged(self, reason: str) -> CatalogueError:
        return CatalogueError(
            f"catalogue {self._name} is damaged JSON ({reason}); write one product per line (JSON Lines), or a list of "
            "products"
        )


def _is_record(value: Any) -> bool:
    """Return whether an object is a product, and not the object around a list of them."""
    return (
        isinstance(value, dict)
        and bool(value)
        and not any(isinstance(inner, list) and inner and isinstance(inner[0], dict) for inner in value.values())
    )


def _has_known_names(value: Any, known_names: frozenset[str]) -> bool:
    """Return whether a value is a list of records with known names of columns."""
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and len({folded(name) for name in flatten(first)} & known_names) > 1


def _cell(record: dict[str, Any], name: str) -> Any:
    """Return a field; of a list of records the list of their addresses, as in `images: [{"src": ...}]`."""
    value = value_of(record, name)
    if isinstance(value, list) and ELEMENTS not in name:
        return [part for part in map(of_record, value) if part is not None]
    return value
