"""Find the files of a catalogue: a path, a folder, a pattern, or a URL; download and decompress them.

The first bytes of a file decide how it is compressed; its name is used only in messages.
"""

import bz2
import contextlib
import glob
import gzip
import lzma
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from recsys.core.errors import CatalogueError, FetchError
from recsys.storage.home import home_error

HTTP_TIMEOUT_S = 30.0
"""Time limit of a connection, and between two pieces of an answer, seconds."""
HTTP_RETRIES = 3
"""Retries of connections that fail and of answers 429, 500, 502, 503 and 504."""
RETRY_AFTER_MAX_S = 30
"""Upper bound of a server's Retry-After, seconds."""

MAX_REDIRECTS = 10
"""Maximum number of redirects; each must lead to the catalogue's own host or to a public address."""

GZIP, ZIP, BZIP2, XZ, ZSTD = b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zX", b"\x28\xb5\x2f\xfd"
EMPTY_ZIP = b"PK\x05\x06"
CHUNK = 1 << 20  # bytes
TABLES = (
    ".csv",
    ".tsv",
    ".txt",
    ".tab",
    ".json",
    ".jsonl",
    ".ndjson",
    ".xml",
    ".rss",
    ".atom",
    ".xlsx",
    ".xls",
    ".parquet",
)
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst", ".zip")
OBJECT_STORES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss")
DATABASES = (
    "postgresql",
    "postgres",
    "mysql",
    "mariadb",
    "sqlite",
    "mssql",
    "oracle",
    "duckdb",
    "snowflake",
    "bigquery",
    "redshift",
    "cockroachdb",
    "trino",
    "clickhouse",
    "databricks",
)
"""Schemes of databases; other SQLAlchemy dialects are recognised by their driver, as in `dialect+driver://`."""


@dataclass(frozen=True)
class Input:
    """One file of a catalogue, or a database.

    Attributes:
        name: name for messages, without credentials.
        path: plain local file; None for a database.
        url: URL of the database; else empty.
        folder: folder of a local catalogue, beside which its images may be; None for a download.
    """

    name: str
    path: Path | None = None
    url: str = ""
    folder: Path | None = None


def display_name(source: str) -> str:
    """Return the source as messages show it: a URL without the credentials, query and fragment it may have."""
    if "://" not in source or _scheme(source) == "file":
        return source
    try:
        url = urlsplit(source)
    except ValueError as error:
        raise CatalogueError(f"catalogue {source.rpartition('@')[2]} is not a URL ({error}); check it") from error
    if is_database(source):  # a password may have any character
        location, _, query = source.partition("://")[2].partition("?")
        return f"{url.scheme}://" + ("…" if "@" in query else location.rpartition("@")[2])
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


@contextlib.contextmanager
def inputs(source: str, scratch: Path, max_bytes: int, timeout_s: float = HTTP_TIMEOUT_S) -> Iterator[Iterator[Input]]:
    """Yield the files of a catalogue, downloaded and decompressed one after the other, and at the end deleted.

    Args:
        source: a file, a folder, a pattern such as `exports/*.csv`; a file, http, https or object-store URL; or the URL
            of a database.
        scratch: a folder for what is downloaded or decompressed; created if missing.
        max_bytes: maximum size of a download, and again of a decompressed file (a decompression bomb stops there).
        timeout_s: time limit of a connection, and between two pieces of an answer, seconds.

    Raises:
        CatalogueError: a file is missing, empty, too large or damaged, or cannot be downloaded.
        HomeError: `scratch` cannot be written to.
    """
    if is_database(source):
        yield iter([Input(display_name(source), url=source)])
        return
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=scratch, prefix="catalogue-", ignore_cleanup_errors=True)
    except OSError as error:
        raise home_error(scratch, error) from error
    with folder as unpacked:
        yield _inputs(source, Path(unpacked), max_bytes, timeout_s)


def _inputs(source: str, unpacked: Path, max_bytes: int, timeout_s: float) -> Iterator[Input]:
    if _is_remote(source):
        name, path = display_name(source), unpacked / "download"
        chunks = _download(source, timeout_s) if _is_http(source) else _object(source)
        _write(chunks, path, max_bytes, name)
        yield Input(name, _decompressed(path, name, unpacked, max_bytes))
        return
    for path in local_files(source):
        name = source if str(path) == source else str(path)
        yield Input(name, _decompressed(path, name, unpacked, max_bytes), folder=path.parent.absolute())


def _decompressed(path: Path, name: str, unpacked: Path, max_bytes: int) -> Path:
    """Return a file with the decompressed content."""
    magic = _first_bytes(path, name)
    if not magic:
        raise CatalogueError(f"catalogue {name} is empty; export it again")
    if path.stat().st_size > max_bytes:
        raise too_large(name, max_bytes)
    openers: dict[bytes, Any] = {GZIP: gzip.open, BZIP2: bz2.open, XZ: lzma.open, ZSTD: _open_zstd}
    for start, opener in openers.items():
        if magic.startswith(start):
            return _write(_decompress(path, name, opener), unpacked / "unpacked", max_bytes, name)
    if magic in (ZIP, EMPTY_ZIP) and not _is_workbook(path):
        return _write(_unzip(path, name), unpacked / "unpacked", max_bytes, name)
    return path


def is_database(source: str) -> bool:
    """Return whether a source is the URL of a database."""
    base, plus, _ = _scheme(source).partition("+")
    return base in DATABASES or bool(base and plus)


def _scheme(source: str) -> str:
    scheme, mark, _ = source.partition("://")
    return scheme.lower() if mark and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) else ""


def _is_remote(source: str) -> bool:
    return _is_http(source) or _scheme(source) in OBJECT_STORES


def _is_http(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


def check_source(source: str) -> None:
    """Raise CatalogueError if a source is wrong in a way that shows without reading it."""
    if not _is_remote(source) and not is_database(source):
        local_files(source)


def local_files(source: str) -> list[Path]:
    """Return the existing files that a path, a folder, a pattern or a file:// URL names, by name.

    Raises:
        CatalogueError: there is none.
    """
    path = _local_path(source)
    try:
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if _is_table(file))
            if not files:
                raise CatalogueError(f"catalogue {source} is a directory without a table ({', '.join(TABLES)})")
            return files
        if path.is_file():
            return [path]
        if path.exists():
            raise CatalogueError(f"catalogue {source} is not a regular file; name a file with the products")
    except OSError as error:
        raise _unreadable(source, error) from error
    if glob.has_magic(str(path)):
        matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
        if files := sorted(Path(match) for match in matches if Path(match).is_file()):
            return files
        raise CatalogueError(f"catalogue {source}: no file matches this pattern; check the path")
    raise CatalogueError(f"catalogue {source} does not exist; check the path")


def _is_table(file: Path) -> bool:
    suffixes = [suffix.lower() for suffix in file.suffixes[-2:]]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return bool(suffixes) and suffixes[-1] in TABLES and not file.name.startswith(".") and file.is_file()


def _local_path(source: str) -> Path:
    scheme, mark, rest = source.partition("://")
    if not mark:
        return Path(source)
    if scheme.lower() != "file":
        raise CatalogueError(
            f"catalogue {source}: {scheme}:// is not read; use a path, a file, http, https, s3, gs or az URL, or a "
            "database's"
        )
    host, slash, below = rest.partition("/")
    if host not in ("", "localhost"):
        raise CatalogueError(f"catalogue {source} names the host '{host}'; write file:///path")
    return Path(unquote(slash + below))


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


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(stream.read, CHUNK), b"")


def _decompress(path: Path, name: str, opener: Any) -> Iterator[bytes]:
    try:
        with opener(path) as stream:
            yield from _chunks(stream)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise CatalogueError(f"catalogue {name} is a damaged compressed file ({error}); export it again") from error


def _open_zstd(path: Path) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(str(path), "zstd")


def _is_workbook(path: Path) -> bool:
    """Return whether a zip file is an office document."""
    try:
        with zipfile.ZipFile(path) as archive:
            return bool({"[Content_Types].xml", "mimetype"} & set(archive.namelist()))
    except (OSError, zipfile.BadZipFile):
        return False


def _unzip(path: Path, name: str) -> Iterator[bytes]:
    """Yield the content of the one table in an archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m.filename for m in archive.infolist() if not m.is_dir() and "__MACOSX/" not in m.filename]
            tables = [m for m in members if Path(m).suffix.lower() in TABLES]
            if len(tables) != 1:
                raise CatalogueError(
                    f"catalogue {name} is an archive with {len(tables)} tables in it; put exactly one CSV there"
                )
            with archive.open(tables[0]) as stream:
                yield from _chunks(stream)
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        raise CatalogueError(f"catalogue {name} is a zip file that cannot be unpacked ({error})") from error


def _object(url: str) -> Iterator[bytes]:
    """Yield the content of an object in an object store, with credentials from the environment."""
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    location, _, key = url.rpartition("/")
    try:
        for chunk in from_url(location).get(key).stream(min_chunk_size=CHUNK):
            yield bytes(chunk)
    except (BaseError, FileNotFoundError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CatalogueError(
            f"catalogue {display_name(url)} cannot be read from the object store ({reason}); check the URL and the "
            "credentials in the environment"
        ) from error


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
