"""Read the items of an XML feed one after the other: RSS, Atom, or any list of equal elements.

Entities and document type definitions are refused, so a file can neither expand nor read other files.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from recsys.core.errors import CatalogueError
from recsys.ingest.catalogue.formats.table import Layout, RawTable, Row

SAMPLE_ITEMS = 200
SAMPLE_ELEMENTS = 20_000
"""Maximum number of elements among which the items are looked for."""
MAX_ITEM_ELEMENTS = 20_000
"""Maximum number of elements that are held in memory at once."""
MAX_ITEM = 8 << 20
"""Maximum length of an item, bytes."""
CHUNK = 1 << 20
"""Maximum length of what is parsed at once, bytes."""

GOOGLE = "//base.google.com/ns/1.0"
"""End of the namespace of Google's elements, in tags."""
ADDRESS_ATTRIBUTES = ("href", "url", "src")
"""Attributes that stand for the text of an element that has none."""
_YML = re.compile(rb"<!DOCTYPE\s+yml_catalog\s+SYSTEM\s+[\"']shops.dtd[\"']\s*>")
"""The document type of Yandex feeds, which refers to no address."""
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r"))


class XmlTable(RawTable):
    """Feed; the columns are the names of an item's elements and attributes without their namespace."""

    def __init__(self, path: Path, name: str, layout: Layout) -> None:
        super().__init__()
        self._path, self._name = path, name
        self.unit, self.format = "item", "XML feed"
        self._tag = self._item_tag()
        names: dict[str, None] = {}
        for record in islice(self._records(), SAMPLE_ITEMS):
            names |= dict.fromkeys(record)
        self.names = list(names)

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        for number, record in enumerate(self._records(), start=1):
            yield Row(number, [record.get(column) for column in columns])

    def _item_tag(self) -> str:
        """Return the tag of the items: `item` or `entry`, else the highest one that occurs again and has elements.

        If no element has elements, those with at least two attributes count.
        """
        tags: Counter[tuple[int, str]] = Counter()
        attributes: Counter[tuple[int, str]] = Counter()
        for count, (depth, children, element) in enumerate(self._elements("")):
            if local_name(element.tag) in ("item", "entry") and children and depth in (1, 2):
                return str(element.tag)
            if depth and children:
                tags[depth, element.tag] += 1
            elif depth and len(element.attrib) > 1:
                attributes[depth, element.tag] += 1
            if count > SAMPLE_ELEMENTS or (tags and max(tags.values()) > SAMPLE_ITEMS):
                break
        for counts in (tags, attributes):
            if repeated := [path for path, count in counts.items() if count > 1] or list(counts):
                highest = min(depth for depth, _ in repeated)
                return max((path for path in repeated if path[0] == highest), key=lambda path: counts[path])[1]
        raise CatalogueError(f"catalogue {self._name} is an XML file without items; use a product feed (RSS or Atom)")

    def _records(self) -> Iterator[dict[str, Any]]:
        categories: dict[str, str] = {}  # path by id, where a feed lists them before its items
        for _, _, element in self._elements(self._tag):
            if element.tag == self._tag:
                record = {local_name(key): value for key, value in element.attrib.items()} | _record(element)
                if categories and (path := categories.get(str(record.get("categoryId")))):
                    record["category"] = path
                yield record
            elif local_name(element.tag) == "category" and (identifier := element.get("id")):
                parent = categories.get(element.get("parentId") or "")
                name = (element.text or "").strip()
                categories[identifier] = f"{parent} > {name}" if parent else name

    def _elements(self, tag: str) -> Iterator[tuple[int, int, Element]]:
        """Yield each element that is not inside one with this tag, at its end, with its depth and number of children.

        It is forgotten afterwards.
        """
        path: list[list[Any]] = []  # element, number of children
        held = inside = 0
        with self._open() as file, self._errors():
            for event, element in iterparse(file, events=("start", "end"), forbid_dtd=True):
                if event == "start":
                    if path:
                        path[-1][1] += 1
                    path.append([element, 0])
                    inside += element.tag == tag
                    held += 1
                    if held > MAX_ITEM_ELEMENTS:
                        raise self._too_large(f"{MAX_ITEM_ELEMENTS:,} elements")
                    continue
                _, children = path.pop()
                inside -= element.tag == tag
                if inside:
                    continue
                file.length = 0
                yield len(path), children, element
                element.clear()
                if path:
                    path[-1][0].remove(element)
                held = len(path)

    @contextlib.contextmanager
    def _open(self) -> Iterator["_BoundedFile"]:
        with self._path.open("rb") as file:
            yield _BoundedFile(file, self._too_large(f"{MAX_ITEM >> 20} MB"))

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DefusedXmlException as error:
            raise CatalogueError(
                f"catalogue {self._name} declares XML entities or a document type, which may be an attack; remove them"
            ) from error
        except (ParseError, ValueError, LookupError) as error:
            raise CatalogueError(f"catalogue {self._name} is damaged XML ({error}); export it again") from error

    def _too_large(self, size: str) -> CatalogueError:
        return CatalogueError(
            f"catalogue {self._name} has an item of more than {size}; use a product feed (RSS or Atom)"
        )


class _BoundedFile:
    """File without control characters, which XML forbids; it ends with an error after `MAX_ITEM` bytes of one item.

    Attributes:
        length: bytes since the last item; set to 0 by the reader.
    """

    def __init__(self, file: IO[bytes], error: CatalogueError) -> None:
        self._file, self._error = file, error
        self.length = 0
        start = file.read(4)
        file.seek(0)
        self._control = b"" if b"\0" in start or start.startswith((b"\xff\xfe", b"\xfe\xff")) else _CONTROL

    def read(self, size: int = -1) -> bytes:
        # The parser begins a long token again with each chunk, so chunks grow with it.
        while chunk := self._file.read(max(size, min(self.length, CHUNK))):
            self.length += len(chunk)
            if self.length > MAX_ITEM:
                raise self._error
            chunk = _YML.sub(b"", chunk) if b"<!DOCTYPE yml" in chunk else chunk
            if kept := chunk.translate(None, self._control):  # nothing would be the end of the file
                return kept
        return b""


def is_web_page(start: bytes) -> bool:
    """Return whether a file that starts like this is HTML."""
    return re.match(rb"(?:<!--.*?-->\s*)*<(?:!doctype html|html|head|body)\b", start.lower(), re.DOTALL) is not None


def local_name(tag: str) -> str:
    """Return a tag without its namespace."""
    return tag.rpartition("}")[2]


def _record(item: Element, prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Return the texts of an item's elements by name; a repeated element becomes a list, an inner one `outer.inner`.

    Of elements with the same name in several namespaces, such as `title` and `g:title`, Google's count, else the first.
    """
    namespaces: dict[str, str] = {}
    record: dict[str, Any] = {}
    for element in item:
        namespace, _, name = element.tag.rpartition("}")
        if namespaces.setdefault(name, namespace) != namespace:
            if not namespace.endswith(GOOGLE):
                continue
            namespaces[name] = namespace
            for key in [key for key in record if key == f"{prefix}{name}" or key.startswith(f"{prefix}{name}.")]:
                del record[key]
        name = f"{prefix}{name}"
        if len(element) and depth < 3:
            for key, value in _record(element, f"{name}.", depth + 1).items():
                _add(record, key, value)
        else:
            address = next((element.attrib[key] for key in ADDRESS_ATTRIBUTES if element.get(key)), "")
            _add(record, name, (element.text or "").strip() or address)
    return record


def _add(record: dict[str, Any], name: str, value: Any) -> None:
    if name not in record:
        record[name] = value
    elif isinstance(record[name], list):
        record[name].append(value)
    else:
        record[name] = [record[name], value]
