"""What several machines share: the tables, the models and the lock of a home whose `store.url` names an object store.

    URL/store/<table>.lance       the tables
    URL/home.json                 format and identity of the store
    URL/embedding, classifier     trained models, and which serves
    URL/index, refreshed.json     what is known of the index, and what the last refresh ended in
    URL/lock.json                 who works on it, and until when

The home of each machine holds copies of the records, which a store that is opened brings up to date, and of the models
that were used there; everything else in it (logs, the report, scratch) is its own. A record is written to the store
first and to the home then, so a process that is killed in between has written it.

A machine works alone by a lease: an object that is put only where there is none, and replaced only by who has seen the
last of it, which an object store decides for all. It is renewed while its holder lives, and anyone's when it expires;
so the machines' clocks must agree to some seconds.

Service and credentials come from the environment, as LanceDB takes them: AWS_ENDPOINT_URL, AWS_ALLOW_HTTP,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import threading
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from recsys.core.configuration import load
from recsys.core.errors import HomeError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

LEASE_S = 60.0
"""After which a holder that does not renew its lease is taken for dead; it does so four times as often."""
POLL_S = 0.5
RECORDS = ("refreshed.json", "index", "embedding", "classifier")
"""What of a home is shared, beside its tables."""
LARGE = {"model", "checkpoints"}
"""Folders that are no records: a model is copied when it is used, checkpoints stay where they were made."""


def url_of(home: Path) -> str | None:
    """Return the URL of the store that a home shares with other machines; None where it has its own."""
    return load(home).store.url


def tables(home: Path) -> str:
    """Return where a home's tables are: a folder, or a URL."""
    url = url_of(home)
    return str(home / "store") if url is None else f"{url}/store"


def identity(home: Path, new: str | None) -> str | None:
    """Return what says which store it is, a JSON text; `new` becomes that of a store that has none yet.

    Raises:
        HomeError: the object store does not answer, or refuses.
    """
    objects = _objects(home)
    assert objects is not None
    with _told(home):
        if new is not None:
            from obstore.exceptions import AlreadyExistsError

            with contextlib.suppress(AlreadyExistsError):
                objects.put("home.json", new.encode(), mode="create")
        return _text(objects, "home.json")


def pull(home: Path) -> None:
    """Bring the home's copies of the shared records up to date; a home with a store of its own is as it is."""
    objects = _objects(home)
    if objects is None:
        return
    began = time.time()
    with _told(home):
        there: dict[str, int] = {}
        for record in RECORDS:
            if record.endswith(".json"):
                with contextlib.suppress(FileNotFoundError):
                    there[record] = _stamp(objects.head(record))
                continue
            for listed in objects.list(record):
                for found in listed:
                    if not LARGE & set(PurePosixPath(found["path"]).parts):
                        there[found["path"]] = _stamp(found)
        for name, written in there.items():
            file = home / name
            if not file.exists() or file.stat().st_mtime_ns != written:
                _copy(objects, name, file, written)
    for record in RECORDS:
        for file in [home / record, *(home / record).rglob("*")]:
            own = file.relative_to(home)
            gone = file.is_file() and own.as_posix() not in there and not LARGE & set(own.parts)
            if gone and file.stat().st_ctime < began and file.suffix != ".part":
                file.unlink(missing_ok=True)


def write(home: Path, file: Path, text: str) -> None:
    """Write a record of the home, whole or not at all, for all machines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    written = None
    if (objects := _objects(home)) is not None:
        with _told(home):
            objects.put(name := _name(home, file), text.encode())
            written = _stamp(objects.head(name))
    scratch = file.with_suffix(".part")
    scratch.write_text(text, encoding="utf-8")
    if written is not None:
        os.utime(scratch, ns=(written, written))
    scratch.replace(file)


def write_json(home: Path, file: Path, record: Mapping[str, Any]) -> None:
    """Write a record of the home as JSON, see `write`."""
    write(home, file, json.dumps(record, ensure_ascii=False, indent=1))


def delete(home: Path, place: Path) -> None:
    """Delete a record of the home, or a folder with all that is in it, for all machines; it may be gone already."""
    is_folder = place.is_dir()
    if (objects := _objects(home)) is not None:
        name = _name(home, place)
        with _told(home), contextlib.suppress(FileNotFoundError):
            below = [found["path"] for listed in objects.list(f"{name}/") for found in listed] if is_folder else []
            for path in below or [name]:
                objects.delete(path)
    if is_folder:
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def give(home: Path, folder: Path) -> None:
    """Give all machines what lies in a folder of the home, but for checkpoints."""
    if (objects := _objects(home)) is None:
        return
    with _told(home):
        for file in folder.rglob("*"):
            if file.is_file() and "checkpoints" not in file.relative_to(home).parts:
                objects.put(_name(home, file), file)


def take(home: Path, folder: Path) -> None:
    """Copy a folder that another machine has given, where it is not in the home yet; it never changes."""
    if folder.exists() or (objects := _objects(home)) is None:
        return
    scratch = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}.part")
    with _told(home):
        for listed in objects.list(_name(home, folder)):
            for found in listed:
                _copy(objects, found["path"], scratch / Path(found["path"]).relative_to(_name(home, folder)))
    if scratch.exists():
        with contextlib.suppress(OSError):  # another process was first
            scratch.rename(folder)


@contextlib.contextmanager
def lease(home: Path, deadline: float, name: str = "lock") -> Iterator[None]:
    """Hold what other machines see as held; nothing to do where a home has a store of its own.

    Args:
        home: the home folder.
        deadline: until when to wait for another holder, by `time.monotonic()`.
        name: of what is held: all, or only the making of tables.

    Raises:
        HomeError: another has it still, or it was lost while the context lasted: this machine stood still for long.
    """
    objects = _objects(home)
    if objects is None:
        yield
        return
    with _told(home):
        held = _Lease(objects, f"{name}.json")
        while (holder := held.take()) is not None:
            if time.monotonic() >= deadline:
                raise HomeError(f"store {url_of(home)} is in use by {holder}; wait for it to end")
            time.sleep(POLL_S)
    with held:
        yield
    if held.lost:
        raise HomeError(f"the lease of store {url_of(home)} was lost, so another may have worked on it: run again")


class _Lease:
    """An object that says who holds something, and until when.

    Attributes:
        lost: whether somebody else has it, though it was not given back.
    """

    def __init__(self, objects: ObjectStore, name: str) -> None:
        self.lost = False
        self._objects, self._name = objects, name
        self._holder = f"process {os.getpid()} on {socket.gethostname()}"
        self._mark: Any = None  # what the object store calls this state of the object
        self._end = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="lease", daemon=True)

    def take(self) -> str | None:
        """Take it where nobody has it, and return None; else who has it."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            found = self._objects.get(self._name)
            told = json.loads(bytes(found.bytes()))
            if datetime.fromisoformat(told["until"]) > datetime.now(UTC):
                return str(told["holder"])
            mode: Any = _state(found.meta)
        except FileNotFoundError:
            mode = "create"
        try:
            self._put(mode)
        except (AlreadyExistsError, PreconditionError):
            return "another"
        return None

    def __enter__(self) -> None:
        self._renewing.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._renewing.join()
        self._renew_once()
        if not self.lost:
            with contextlib.suppress(Exception):  # it expires by itself
                self._objects.delete(self._name)

    def _put(self, mode: Any) -> None:
        until = datetime.now(UTC) + timedelta(seconds=LEASE_S)
        told = json.dumps({"holder": self._holder, "until": until.isoformat()})
        self._mark = _state(self._objects.put(self._name, told.encode(), mode=mode))

    def _renew(self) -> None:
        while not self.lost and not self._end.wait(LEASE_S / 4):
            self._renew_once()

    def _renew_once(self) -> None:
        from obstore.exceptions import PreconditionError

        try:
            self._put(self._mark)
        except (PreconditionError, FileNotFoundError):
            self.lost = True
        except Exception:  # the network; the next time, or the lease expires
            return


def _state(meta: Any) -> dict[str, str]:
    return {name: meta[name] for name in ("e_tag", "version") if meta.get(name)}


def _stamp(meta: Any) -> int:
    """Return the time in ns that the copy of an object in this state has: its second, and digits for its content."""
    tag = zlib.crc32((meta["e_tag"] or "").strip('"').encode())
    return int(meta["last_modified"].timestamp()) * 1_000_000_000 + tag % 1_000_000_000


def _objects(home: Path) -> ObjectStore | None:
    url = url_of(home)
    if url is None:
        return None
    from obstore.store import from_url

    try:
        return from_url(url)
    except Exception as error:
        raise _failed(url, error) from error


@contextlib.contextmanager
def _told(home: Path) -> Iterator[None]:
    """Have failures of the object store be HomeErrors."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError) as error:  # the latter also of a bucket
        raise _failed(str(url_of(home)), error) from error


def _failed(url: str, error: Exception) -> HomeError:
    return HomeError(
        f"store {url} cannot be used: {' '.join(str(error).split())[:300]}; see that the bucket is there, and that "
        "AWS_ENDPOINT_URL, AWS_REGION and the credentials in the environment are its"
    )


def _name(home: Path, file: Path) -> str:
    return file.relative_to(home).as_posix()


def _text(objects: ObjectStore, name: str) -> str | None:
    try:
        return bytes(objects.get(name).bytes()).decode()
    except FileNotFoundError:
        return None


def _copy(objects: ObjectStore, name: str, to: Path, written: int | None = None) -> None:
    """Copy an object to a file, whole or not at all."""
    to.parent.mkdir(parents=True, exist_ok=True)
    scratch = to.with_name(f"{to.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        scratch.write_bytes(bytes(objects.get(name).bytes()))
    except FileNotFoundError:  # deleted since it was listed
        return
    if written is not None:
        os.utime(scratch, ns=(written, written))
    scratch.replace(to)
