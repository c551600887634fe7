"""The object store that several machines share, where `store.url` names one, and the files of models in it.

    URL/store/<table>.lance       tables, among them the records of models and refreshes
    URL/home.json                 format and identity of the store
    URL/embedding, classifier     files of trained models
    URL/lock.json                 the lease: which machine works, and until when (`recsys.storage.lease`)

The home of each machine has copies of the models that were used there. Everything else in it (logs, the report, scratch
files) belongs to that machine.

Service and credentials come from the environment, as for LanceDB: AWS_ENDPOINT_URL, AWS_ALLOW_HTTP, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.core.configuration import load
from recsys.core.errors import HomeError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

CHECKPOINTS = "checkpoints"
"""Folder of a training that stays on its machine."""


def url_of(home: Path) -> str | None:
    """Return the URL of the object store that a home shares with other machines; None if it has its own store."""
    return load(home).store.url


def tables_of(home: Path) -> str:
    """Return where a home's tables are: a folder or a URL."""
    url = url_of(home)
    return str(home / "store") if url is None else f"{url}/store"


def connect(home: Path) -> ObjectStore | None:
    """Return the object store of a home; None if it has its own store.

    Raises:
        HomeError: the URL or the environment is not valid.
    """
    url = url_of(home)
    if url is None:
        return None
    from obstore.store import from_url

    try:
        return from_url(url)
    except Exception as error:
        raise _store_error(url, error) from error


@contextlib.contextmanager
def store_errors(home: Path) -> Iterator[None]:
    """Convert object-store errors to HomeError."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError) as error:  # the latter also where the bucket does not exist
        raise _store_error(str(url_of(home)), error) from error


def identity(home: Path, new: str | None) -> str | None:
    """Return the identity of the object store, a JSON text; `new` becomes that of a store without one.

    Raises:
        HomeError: the object store does not answer, or refuses.
    """
    objects = connect(home)
    assert objects is not None
    with store_errors(home):
        if new is not None:
            from obstore.exceptions import AlreadyExistsError

            with contextlib.suppress(AlreadyExistsError):
                objects.put("home.json", new.encode(), mode="create")
        try:
            return bytes(objects.get("home.json").bytes()).decode()
        except FileNotFoundError:
            return None


def upload(home: Path, folder: Path) -> None:
    """Copy a folder of the home, without checkpoints, to the object store, if there is one."""
    if (objects := connect(home)) is None:
        return
    with store_errors(home):
        for file in folder.rglob("*"):
            if file.is_file() and CHECKPOINTS not in file.relative_to(home).parts:
                objects.put(_key(home, file), file)


def download(home: Path, path: Path) -> None:
    """Copy a file or a folder from the object store, if there is one and the home lacks it; neither ever changes."""
    if path.exists() or (objects := connect(home)) is None:
        return
    key = _key(home, path)
    scratch = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    with store_errors(home):
        below = [found["path"] for listed in objects.list(f"{key}/") for found in listed]
        for name in below or [key]:
            copy = scratch / Path(name).relative_to(key) if below else scratch
            with contextlib.suppress(FileNotFoundError):  # it does not exist, or was deleted meanwhile
                content = bytes(objects.get(name).bytes())
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)
    if scratch.exists():
        with contextlib.suppress(OSError):  # another process was faster
            scratch.rename(path)


def delete(home: Path, path: Path) -> None:
    """Delete a file or a folder from the home and from the object store, if there is one; it may not exist."""
    if (objects := connect(home)) is not None:
        key = _key(home, path)
        with store_errors(home), contextlib.suppress(FileNotFoundError):
            below = [found["path"] for listed in objects.list(f"{key}/") for found in listed]
            for name in below or [key]:
                objects.delete(name)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _key(home: Path, path: Path) -> str:
    return path.relative_to(home).as_posix()


def _store_error(url: str, error: Exception) -> HomeError:
    return HomeError(
        f"store {url} cannot be used: {' '.join(str(error).split())[:300]}; check that the bucket exists, and that "
        "AWS_ENDPOINT_URL, AWS_REGION and the credentials in the environment belong to it"
    )
