"""Read the rows of a file, whatever its format; each format is a module.

delimited   CSV, TSV and other delimited text; its dialect is detected
json        JSON and JSON Lines
xml         RSS and Atom feeds, and other lists of elements
sheet       Excel
parquet     Parquet
database    the result of an SQL query
"""

import re
from pathlib import Path

from recsys.core.errors import CatalogueError
from recsys.ingest.catalogue.formats.table import Layout, RawTable, Row

__all__ = ["Layout", "RawTable", "Row", "open_table"]

PARQUET, ZIP, OLE, SQLITE = b"PAR1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"SQLite format 3\0"
MAX_COLUMNS = 10_000


def open_table(path: Path, name: str, layout: Layout) -> RawTable:
    """Return the table in a plain file; its first bytes decide the format.

    Args:
        path: a file that is not compressed (an Excel file counts as one).
        name: the catalogue's name for messages.
        layout: settings of the file, such as its delimiter.

    Raises:
        CatalogueError: the file is damaged, or of no known format.
        ConfigurationError: `catalogue.encoding` is unknown.
    """
    table = _table(path, name, layout)
    if len(table.names) > MAX_COLUMNS:
        raise CatalogueError(f"catalogue {name} has more than {MAX_COLUMNS:,} columns; check the file")
    return table


def _table(path: Path, name: str, layout: Layout) -> RawTable:
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(PARQUET):
        from recsys.ingest.catalogue.formats.parquet import ParquetTable

        return ParquetTable(path, name, layout)
    if head.startswith((ZIP, OLE)):
        from recsys.ingest.catalogue.formats.sheet import SheetTable

        return SheetTable(path, name, layout)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n\0\xff\xfe")
    if start.startswith(b"<"):
        from recsys.ingest.catalogue.formats.xml import XmlTable, is_web_page

        if is_web_page(start):
            raise CatalogueError(f"catalogue {name} is a web page, not a table; check the address")
        return XmlTable(path, name, layout)
    if re.match(rb'{|\[[ \t\r\n\0]*[{}\[\]"]', start):
        from recsys.ingest.catalogue.formats.json import JsonTable

        return JsonTable(path, name, layout)
    _refuse_other_formats(head, name)
    from recsys.ingest.catalogue.formats.delimited import DelimitedTable

    return DelimitedTable(path, name, layout)


def _refuse_other_formats(head: bytes, name: str) -> None:
    """Raise CatalogueError if a file is of a format that is not read."""
    if head.startswith(b"%PDF"):
        raise CatalogueError(f"catalogue {name} is a PDF file, not a table; export it as CSV")
    if head.startswith(SQLITE):
        raise CatalogueError(
            f"catalogue {name} is an SQLite database: name it as sqlite:///path, and set catalogue.query"
        )
    if head[257:262] == b"ustar":
        raise CatalogueError(f"catalogue {name} is a tar archive; name the table in it")
