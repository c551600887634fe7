"""The lock of a home: one process at a time writes to it; readers need no lock."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from recsys.core.errors import HomeError
from recsys.storage.home import home_error
from recsys.storage.lease import lease

POLL_S = 0.1
"""Lock polling interval, seconds. A lock is tried at least twice, because `is_held` holds it for a moment."""

_held: set[Path] = set()
"""Homes whose lock this process holds."""


@contextlib.contextmanager
def lock(home: Path, wait_s: float = 0.0, *, nested: bool = False) -> Iterator[None]:
    """Hold the home's lock, which a process needs for writing; where machines share a store, also their lease.

    Args:
        home: the home folder.
        wait_s: seconds to wait for another holder.
        nested: accept that this process holds the lock already, as in a flow whose command took it.

    Raises:
        HomeError: another process or machine still holds the lock, or the home cannot be written to.
    """
    own = home.resolve()
    if nested and own in _held:
        yield
        return
    deadline = time.monotonic() + max(wait_s, POLL_S)
    with _locked(home, deadline), lease(home, deadline):
        _held.add(own)
        try:
            yield
        finally:
            _held.discard(own)


def is_held(home: Path) -> bool:
    """Return whether a process of this machine holds the home's lock."""
    try:
        with (home / "lock").open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def _locked(home: Path, deadline: float) -> Iterator[None]:
    try:
        home.mkdir(parents=True, exist_ok=True)
        handle = (home / "lock").open("a+")
    except OSError as error:
        raise home_error(home, error) from error
    with handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() >= deadline:
                    handle.seek(0)
                    holder = handle.read() or "?"
                    raise HomeError(f"home {home} is in use by process {holder}; wait for it to end") from error
                time.sleep(POLL_S)
        with contextlib.suppress(OSError):  # a full disk; the process id is only for the message above
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
        yield
