"""Read image files from the folder that belongs to the catalogue."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from recsys.ingest.catalogue.facts import read_facts
from recsys.ingest.causes import fetch_error
from recsys.ingest.images.item import Item


def is_file(url: str) -> bool:
    """Return whether an address is a file."""
    return url[:7].lower() == "file://"


def image_folder(home: Path, items: Sequence[Item]) -> str:
    """Return the folder of the catalogue's image files; empty if no item has a file."""
    return read_facts(home).image_folder if any(is_file(url) for item in items for url in item.urls) else ""


def read_image_file(url: str, folder: str, max_bytes: int) -> bytes:
    """Return the content of an image file.

    Args:
        url: a file:// URL.
        folder: folder that the file must be in, also if links are followed.
        max_bytes: maximum size.

    Raises:
        PermanentFetchError: `outside_folder`, `no_file` or `too_large`.
    """
    try:
        path = Path(unquote(urlsplit(url).path)).resolve()
        if not folder or not path.is_relative_to(Path(folder).resolve()):
            raise fetch_error("outside_folder", f"{path} is not in the folder of the catalogue's images")
        if not path.is_file():
            raise fetch_error("no_file", f"{path} does not exist")
        if path.stat().st_size > max_bytes:
            raise fetch_error("too_large", f"{path} has more than {max_bytes:,} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise fetch_error("no_file", f"{url[:200]} cannot be read: {error}") from error
