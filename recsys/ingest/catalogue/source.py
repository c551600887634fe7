"""Where a catalogue comes from: a path, a file:// URL or an http(s) URL, packed or not, becomes a plain local file.

What a file is, its first bytes say; its name is asked only to explain a file whose bytes say nothing.
"""

import contextlib
import gzip
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from recsys.core.errors import CatalogueError, FetchError
from recsys.storage.home import home_error

HTTP_TIMEOUT_S = 30.0
"""Seconds to wait for a connection, and between two pieces of an answer."""
HTTP_RETRIES = 3
"""After the first request, for connections that fail and answers that pass: 429, 500, 502, 503, 504."""
RETRY_AFTER_MAX_S = 30
"""Waited at most when a server says Retry-After."""

MAX_REDIRECTS = 10
"""Redirects followed at most; each must lead to the catalogue's own host or to a public address."""

GZIP, ZIP, PARQUET = b"\x1f\x8b", b"PK\x03\x04", b"PAR1"
EMPTY_ZIP = b"PK\x05\x06"
CHUNK = 1 << 20  # bytes


def display_name(source: str) -> str:
    """Return the source as messages show it: a URL without the credentials, query and fragment it may carry."""
    if not _is_http(source):
        return source
    try:
        url = urlsplit(source)
    except ValueError as error:
        raise CatalogueError(f"catalogue {source} is not a URL ({error}); check it") from error
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


@contextlib.contextmanager
def plain_file(source: str, scratch: Path, max_bytes: int, timeout_s: float = HTTP_TIMEOUT_S) -> Iterator[Path]:
    """Yield a plain CSV or Parquet file with the content of `source`; what was written to `scratch` is deleted after.

    Args:
        source: a path, or a file://, http:// or https:// URL, of a CSV, .csv.gz, .csv.zip or Parquet file.
        scratch: a folder for what is downloaded or unpacked; made where there is none.
        max_bytes: of the download, and again of what it unpacks to (a decompression bomb stops there).
        timeout_s: seconds for the connection, and between two pieces of an answer.

    Raises:
        CatalogueError: it is missing, a folder, empty, too large, damaged, or not to be had.
        HomeError: `scratch` cannot be written to.
    """
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=scratch, prefix="catalogue-", ignore_cleanup_errors=True)
    except OSError as error:
        raise home_error(scratch, error) from error
    name = display_name(source)
    with folder as unpacked:
        if _is_http(source):
            path = Path(unpacked) / "download"
            _write(_download(source, timeout_s), path, max_bytes, name)
        else:
            path = _local_file(source)
        magic = _first_bytes(path, name)
        if not magic:
            raise CatalogueError(f"catalogue {name} is empty; export it again")
        if magic.startswith(GZIP):
            path = _write(_gunzip(path, name), Path(unpacked) / "unpacked", max_bytes, name)
        elif magic in (ZIP, EMPTY_ZIP):
            path = _write(_unzip(path, name), Path(unpacked) / "unpacked", max_bytes, name)
        elif path.stat().st_size > max_bytes:
            raise too_large(name, max_bytes)
        elif magic != PARQUET and (suffix := Path(name).suffix.lower()) in (".parquet", ".zip", ".xls", ".xlsx"):
            raise CatalogueError(f"catalogue {name} is not a {suffix} file inside; give a CSV or a Parquet file")
        yield path


def is_parquet(path: Path) -> bool:
    """Return whether the file's first bytes are Parquet's."""
    return _first_bytes(path, str(path)) == PARQUET


def _is_http(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


def check_source(source: str) -> None:
    """Raise CatalogueError where a source can be seen to be wrong without reading it."""
    if not _is_http(source):
        _local_file(source)


def _local_file(source: str) -> Path:
    """Return the existing regular file that a path or a file:// URL names."""
    scheme, mark, rest = source.partition("://")
    if not mark:
        path = Path(source)
    elif scheme.lower() == "file":
        host, slash, below = rest.partition("/")
        if host not in ("", "localhost"):
            raise CatalogueError(f"catalogue {source} names the host '{host}'; write file:///path")
        path = Path(unquote(slash + below))
    else:
        raise CatalogueError(f"catalogue {source}: {scheme}:// is not read; give a path, file:// or http(s)://")
    try:
        if path.is_dir():
            raise CatalogueError(f"catalogue {source} is a directory; name the file in it")
        if not path.exists():
            raise CatalogueError(f"catalogue {source} does not exist; check the path")
        if not path.is_file():
            raise CatalogueError(f"catalogue {source} is not a regular file; name a CSV or a Parquet file")
    except OSError as error:
        raise _unreadable(source, error) from error
    return path


def _unreadable(name: str, error: OSError) -> CatalogueError:
    return CatalogueError(f"catalogue {name} cannot be read ({error.strerror}); check its path and permissions")


def _first_bytes(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise _unreadable(name, error) from error


def _write(chunks: Iterable[bytes], path: Path, max_bytes: int, name: str) -> Path:
    """Write chunks to a file, as long as they are not more than `max_bytes`."""
    size = 0
    try:
        with path.open("wb") as file:
            for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise too_large(name, max_bytes)
                file.write(chunk)
    except OSError as error:  # of the file: the chunks' own errors are CatalogueErrors already
        raise home_error(path.parent.parent, error) from error
    return path


def too_large(name: str, max_bytes: int) -> CatalogueError:
    """Return the error that says which limit the catalogue breaks."""
    return CatalogueError(f"catalogue {name} is larger than catalogue.max_bytes ({max_bytes} bytes); raise it or split")


def _chunks(stream: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    return iter(partial(stream.read, CHUNK), b"")


def _gunzip(path: Path, name: str) -> Iterator[bytes]:
    try:
        with gzip.open(path) as stream:
            yield from _chunks(stream)
    except (OSError, EOFError, zlib.error) as error:
        raise CatalogueError(f"catalogue {name} is a damaged gzip file ({error}); export it again") from error


def _unzip(path: Path, name: str) -> Iterator[bytes]:
    """Yield the content of the one table in an archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m.filename for m in archive.infolist() if not m.is_dir() and "__MACOSX/" not in m.filename]
            if "[Content_Types].xml" in members:
                raise CatalogueError(f"catalogue {name} is an office document; save it as CSV")
            tables = [m for m in members if Path(m).suffix.lower() in (".csv", ".tsv", ".txt", ".parquet")]
            if len(tables) != 1:
                raise CatalogueError(
                    f"catalogue {name} is an archive with {len(tables)} tables in it; put exactly one CSV there"
                )
            with archive.open(tables[0]) as stream:
                yield from _chunks(stream)
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:  # Runtime: encrypted
        raise CatalogueError(f"catalogue {name} is a zip file that cannot be unpacked ({error})") from error


def _download(url: str, timeout_s: float) -> Iterator[bytes]:
    """Yield the body of a URL, decoded."""
    import requests  # a local catalogue does not need it

    from recsys.ingest import http

    name = display_name(url)
    try:
        with (
            http.open_session(url, retries=HTTP_RETRIES, backoff_s=0.5, retry_after_max_s=RETRY_AFTER_MAX_S) as session,
            http.get(session, url, timeout_s, MAX_REDIRECTS) as response,
        ):
            if not 200 <= response.status_code < 300:
                raise CatalogueError(
                    f"catalogue {name} was answered with {response.status_code} {response.reason}; check the URL"
                )
            yield from response.iter_content(CHUNK)
    except FetchError as error:
        raise CatalogueError(f"catalogue {name} cannot be fetched: {error}; give the catalogue's final URL") from error
    except requests.RequestException as error:
        what = f"no answer within {timeout_s:g} s" if "timed out" in str(error) else _cause(error)
        raise CatalogueError(f"catalogue {name} cannot be fetched ({what}); check the URL or try again") from error


def _cause(error: BaseException) -> str:
    """Return the innermost cause of a failed request, without the URL that the outer ones quote."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(error).split())[:200] or type(error).__name__
