"""The lease of an object store: one machine at a time writes to it.

A lease is an object with its holder and its expiry time. It is created only if it does not exist, and replaced only by
a process that has seen its latest state; the object store guarantees both. The holder renews it; when it expires any
machine may take it, so the clocks of the machines must agree to some seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.core.errors import HomeError
from recsys.storage.object_store import connect, store_errors, url_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore

LEASE_S = 60.0
"""Life of a lease that is not renewed, seconds. It is renewed four times as often."""

POLL_S = 0.5
"""Lease polling interval, seconds."""


@contextlib.contextmanager
def lease(home: Path, deadline: float, name: str = "lock") -> Iterator[None]:
    """Hold a lease of the home's object store; do nothing if the home has its own store.

    Args:
        home: the home folder.
        deadline: time of `time.monotonic()` up to which to wait for another holder.
        name: `lock` for all work, `making` for the creation of tables.

    Raises:
        HomeError: another machine still holds it, or it was lost meanwhile because this machine stood still.
    """
    objects = connect(home)
    if objects is None:
        yield
        return
    with store_errors(home):
        held = _Lease(objects, f"{name}.json")
        while (holder := held.acquire()) is not None:
            if time.monotonic() >= deadline:
                raise HomeError(f"store {url_of(home)} is in use by {holder}; wait for it to end")
            time.sleep(POLL_S)
    with held:
        yield
    if held.lost:
        raise HomeError(f"the lease of store {url_of(home)} was lost, so another may have worked on it: run again")


class _Lease:
    """An object with the holder of a lease and its expiry time.

    Attributes:
        lost: whether another machine took it before it was released.
    """

    def __init__(self, objects: ObjectStore, name: str) -> None:
        self.lost = False
        self._objects, self._name = objects, name
        self._holder = f"process {os.getpid()} on {socket.gethostname()}"
        self._state: Any = None  # the object store's name of the state that this process wrote
        self._released = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="lease", daemon=True)

    def acquire(self) -> str | None:
        """Take the lease if it is free and return None; else return its holder."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            current = self._objects.get(self._name)
            content = json.loads(bytes(current.bytes()))
            if datetime.fromisoformat(content["until"]) > datetime.now(UTC):
                return str(content["holder"])
            mode: Any = _state(current.meta)
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
        self._released.set()
        self._renewing.join()
        self._renew_once()
        if not self.lost:
            with contextlib.suppress(Exception):  # it expires by itself
                self._objects.delete(self._name)

    def _put(self, mode: Any) -> None:
        until = datetime.now(UTC) + timedelta(seconds=LEASE_S)
        content = json.dumps({"holder": self._holder, "until": until.isoformat()})
        self._state = _state(self._objects.put(self._name, content.encode(), mode=mode))

    def _renew(self) -> None:
        while not self.lost and not self._released.wait(LEASE_S / 4):
            self._renew_once()

    def _renew_once(self) -> None:
        from obstore.exceptions import PreconditionError

        try:
            self._put(self._state)
        except (PreconditionError, FileNotFoundError):
            self.lost = True
        except Exception:  # of the network; the next attempt succeeds, or the lease expires
            return


def _state(meta: Any) -> dict[str, str]:
    return {name: meta[name] for name in ("e_tag", "version") if meta.get(name)}
