"""Read a second table with the images of the products, such as the `images.csv` beside Kaggle's fashion products."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from recsys.core.configuration import Catalogue
from recsys.core.errors import CatalogueError
from recsys.core.text import shorten
from recsys.ingest.catalogue import cells
from recsys.ingest.catalogue.formats import Layout, RawTable, open_table
from recsys.ingest.catalogue.preset import GENERIC, matching, named_preset
from recsys.ingest.catalogue.source import inputs

FILE_NAMES = ("filename", "file", "image_file", "image_name")
"""Columns with the name of a file; without its extension it is the id of the product."""
ADDRESSES = ("link", "url", "href", "address")
"""Columns with the address, besides the usual ones of a catalogue."""


def images_by_id(settings: Catalogue, folder: Path | None, scratch: Path, timeout_s: float) -> dict[str, list[str]]:
    """Return the addresses of the images of each id in the table `catalogue.image_table`, in their order.

    Args:
        settings: with `image_table`, the path or URL of the table; a path may begin at `folder`.
        folder: folder of the catalogue; None if it is not local.
        scratch: a folder for a download.
        timeout_s: time limit of a server, seconds.

    Raises:
        CatalogueError: the table cannot be read, or has no column of ids or addresses.
    """
    source = settings.image_table
    if folder is not None and "://" not in source and (folder / source).exists():
        source = str(folder / source)
    images: dict[str, list[str]] = {}
    with inputs(source, scratch, settings.max_bytes, timeout_s) as files:
        for file in files:
            if file.path is None:
                raise CatalogueError("catalogue.image_table names a database; name a file")
            table = open_table(file.path, file.name, Layout(encoding=settings.encoding, max_bytes=settings.max_bytes))
            id_column, address_column, is_file_name = _columns(table, settings, file.name)
            for row in table.rows([id_column, address_column]):
                if not row.fault:
                    product = cells.identifier(row.cells[0])
                    product = PurePosixPath(product).stem if is_file_name else product
                    addresses = cells.addresses(row.cells[1], settings.image_separator, settings.image_base)
                    images.setdefault(product, []).extend(addresses)
    return images


def _columns(table: RawTable, settings: Catalogue, name: str) -> tuple[str, str, bool]:
    """Return the column of the ids, the one of the addresses, and whether the first one has names of files."""
    usual = named_preset(GENERIC).columns

    def first(names: tuple[str, ...]) -> str | None:
        return next((column for pattern in names for column in matching(pattern, table.names)), None)

    identifier = first((*settings.columns.id, *usual.id))
    file_name = first(FILE_NAMES)
    address = first((*settings.columns.images, *usual.images, *ADDRESSES))
    if (identifier or file_name) and address:
        return identifier or file_name or "", address, identifier is None
    listed = ", ".join(shorten(column, 40) for column in table.names[:40])
    raise CatalogueError(
        f"catalogue.image_table {name} needs a column with the product's id (or the name of its file) and one with "
        f"addresses, named as in the catalogue; found: {listed}"
    )
