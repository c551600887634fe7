"""Open and create the folder of a home, and explain errors of its disk."""

import errno
import json
import shutil
import tempfile
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsys.core.errors import HomeError
from recsys.storage import object_store

FORMAT = 2
"""Version of the home's format; increase it when older programs can no longer read a home."""

TOLERATED_FILES = {"recsys.toml", "lock", "home.part", "lost+found"}
"""Files tolerated in a new home directory."""

creating = threading.Lock()
"""Held by the thread of this process that creates a home or a table."""


def open_home(home: Path, *, read_only: bool) -> dict[str, Any]:
    """Check a home, create it where there is none, and return the `id` and the `format` of its store.

    Raises:
        HomeError: there is no home and none can be created, it was made by a newer version, it belongs to another
            store, or (unless `read_only`) it cannot be written to.
    """
    mark = home / "home.json"
    new = json.dumps({"format": FORMAT, "id": uuid.uuid4().hex})
    url = object_store.url_of(home)
    try:
        with creating:
            identity = new if url is None else object_store.identity(home, None if read_only else new)
            if not mark.is_file():
                _create(home, mark, identity, may_create=not read_only or url is not None)
        metadata: dict[str, Any] = json.loads(mark.read_text())
        shared = metadata if url is None else json.loads(identity or "{}")
        if shared.get("id") != metadata["id"]:
            raise HomeError(
                f"home {home} is not of the store at {object_store.tables_of(home)}; name a new folder, or copy the "
                "home's store/, embedding/, classifier/ and home.json there (docs/production.md)"
            )
        if shared["format"] > FORMAT:
            raise HomeError(
                f"home {home} has format {shared['format']}, made by a newer version; "
                f"this one reads up to {FORMAT}: update the program or use another --home"
            )
        if not read_only:
            tempfile.TemporaryFile(dir=home).close()  # raises OSError if the folder is not writable
        return shared
    except (ValueError, KeyError, TypeError) as error:
        raise HomeError(f"{mark} is damaged ({error}); restore it or use another --home") from error
    except OSError as error:
        raise home_error(home, error) from error


def _create(home: Path, mark: Path, identity: str | None, *, may_create: bool) -> None:
    """Make a home of a folder that is empty or has only tolerated files."""
    if identity is None or not may_create:
        raise HomeError(f"home {home} holds no shop yet; run 'recsys run --catalogue FILE' or 'recsys demo'")
    if home.exists() and (not home.is_dir() or {path.name for path in home.iterdir()} - TOLERATED_FILES):
        raise HomeError(f"home {home} is not empty and not ours; name an empty or new folder")
    home.mkdir(parents=True, exist_ok=True)
    _write(mark, identity)


def set_format(home: Path, identity: Mapping[str, Any]) -> None:
    """Set the format of a home, and of the store that it shares, to the current one."""
    content = json.dumps({**identity, "format": FORMAT})
    if (objects := object_store.connect(home)) is not None:
        with object_store.store_errors(home):
            objects.put("home.json", content.encode())
    _write(home / "home.json", content)


def _write(mark: Path, content: str) -> None:
    scratch = mark.with_suffix(".part")
    scratch.write_text(content)
    scratch.replace(mark)


def require_space(home: Path, needed: int) -> None:
    """Raise HomeError when the home's disk has fewer than `needed` bytes free."""
    free = shutil.disk_usage(home).free
    if free < needed:
        raise HomeError(
            f"the disk of home {home} has {free >> 20} MB free and this needs about {needed >> 20} MB; "
            "free some space or use another --home"
        )


def home_error(home: Path, error: Exception) -> HomeError:
    """Return the HomeError that explains an error of the operating system or of LanceDB."""
    number = getattr(error, "errno", None)
    text = str(error)
    if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in text or "os error 28" in text:
        return HomeError(f"the disk of home {home} is full; free some space and run again: what was committed is kept")
    if number in (errno.EROFS, errno.EACCES, errno.EPERM) or "Read-only" in text or "Permission denied" in text:
        return HomeError(f"home {home} cannot be written to ({text}); make it writable or use another --home")
    return HomeError(f"home {home} cannot be used: {' '.join(text.split())[:300]}")
