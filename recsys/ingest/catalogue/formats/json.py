"""Read the records of JSON Lines, of a JSON array, or of the first array of objects inside an object, one by one."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

import ijson
import orjson

from recsys.core.errors import CatalogueError
from recsys.core.text import shorten
from recsys.ingest.catalogue.formats.table import Layout, RawTable, Row, flatten

SAMPLE_RECORDS = 200
MAX_RECORD = 16 << 20
"""Maximum length of one record, bytes."""
CHUNK = 64 << 10
BOM = b"\xef\xbb\xbf"


class JsonTable(RawTable):
    """JSON or JSON Lines; the columns are the names of a record's fields, of inner records `outer.inner`."""

    def __init__(self, path: Path, name: str, layout: Layout) -> None:
        super().__init__()
        self._path, self._name = path, name
        self._is_lines = _has_a_record_on_its_first_line(path)
        self.unit, self.format = ("line", "JSON Lines") if self._is_lines else ("record", "JSON")
        self._array = "" if self._is_lines else self._array_path()
        names: dict[str, None] = {}
        for _, record, _ in islice(self._records(), SAMPLE_RECORDS):
            names |= dict.fromkeys(record)
        self.names = list(names)

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        for number, record, fault in self._records():
            yield Row(number, (), fault) if fault else Row(number, [_cell(record.get(name)) for name in columns])

    def _records(self) -> Iterator[tuple[int, dict[str, Any], str]]:
        """Yield number, fields and fault of each record."""
        return self._lines() if self._is_lines else self._elements()

    def _lines(self) -> Iterator[tuple[int, dict[str, Any], str]]:
        with self._path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_RECORD + 1):
                number += 1
                if len(line) > MAX_RECORD:
                    raise self._too_long(number)
                if line := line.replace(BOM, b"").strip():
                    yield number, *_parsed(line)

    def _elements(self) -> Iterator[tuple[int, dict[str, Any], str]]:
        records: Any = ijson.sendable_list()
        parser = ijson.items_coro(records, f"{self._array}.item" if self._array else "item", use_float=True)
        number = 0
        for _ in self._feed(parser, records):
            for record in records:
                number += 1
                is_object = isinstance(record, dict)
                yield number, flatten(record) if is_object else {}, "" if is_object else "not a JSON object"
            records.clear()

    def _feed(self, parser: Any, results: Any) -> Iterator[None]:
        """Send the file to a parser, chunk by chunk; bound the bytes without a result."""
        waiting = 0
        with self._path.open("rb") as file:
            _skip_mark(file)
            try:
                while chunk := file.read(CHUNK):
                    parser.send(chunk)
                    waiting = 0 if results else waiting + len(chunk)
                    if waiting > MAX_RECORD:
                        raise self._too_long(1)
                    yield
                parser.close()
                yield
            except ijson.JSONError as error:
                reason = shorten(error, 100)
                raise CatalogueError(f"catalogue {self._name} is damaged JSON ({reason}); export it again") from error

    def _array_path(self) -> str:
        """Return the path of the first array of objects; empty if it is at the top level."""
        events: Any = ijson.sendable_list()
        for _ in self._feed(ijson.parse_coro(events), events):
            for prefix, event, _value in events:
                if event == "start_map" and (prefix == "item" or prefix.endswith(".item")):
                    return str(prefix).removesuffix("item").removesuffix(".")
            events.clear()
        raise CatalogueError(f"catalogue {self._name} is JSON without a list of products; export a list of objects")

    def _too_long(self, number: int) -> CatalogueError:
        return CatalogueError(
            f"catalogue {self._name}: {self.unit} {number} has more than {MAX_RECORD >> 20} MB, or is no record; "
            "write one product per line (JSON Lines) or a list of products"
        )


def _parsed(line: bytes) -> tuple[dict[str, Any], str]:
    """Return the fields and the fault of a record."""
    try:
        record = orjson.loads(line)
    except ValueError as error:
        return {}, f"not valid JSON: {shorten(error, 60)}"
    return (flatten(record), "") if isinstance(record, dict) else ({}, "not a JSON object")


def _has_a_record_on_its_first_line(path: Path) -> bool:
    """Return whether the first line that is not empty is a whole JSON object, and not one that has all products."""
    with path.open("rb") as file:
        text = b""
        while not text and (line := file.readline(MAX_RECORD + 1)):
            text = line.replace(BOM, b"").strip()
        rest = file.read(CHUNK).strip()
    if not text.startswith(b"{") or len(text) > MAX_RECORD:
        return False
    try:
        record = orjson.loads(text)
    except ValueError:
        return not text.endswith((b"{", b"[", b","))  # a damaged first line
    return bool(rest) or not any(
        isinstance(value, list) and value and isinstance(value[0], dict) for value in record.values()
    )


def _skip_mark(file: IO[bytes]) -> None:
    if file.read(len(BOM)) != BOM:
        file.seek(0)


def _cell(value: Any) -> Any:
    """Return a list of records as the list of their addresses or names, as in `images: [{"src": ...}]`."""
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        key = next((key for key in ("src", "url", "link", "href", "name", "value") if key in value[0]), None)
        return [each.get(key) for each in value] if key else None
    return value
