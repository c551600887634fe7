"""Waiting for what comes about elsewhere: in a thread, in a process, on a server."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    holds: Callable[[], T], seconds: float = 20, *, pause_s: float = 0.02, told: Callable[[], object] = lambda: ""
) -> T:
    """Return what something comes to, once that is true.

    Args:
        holds: what is waited for; it may raise where nothing can come of it any more.
        seconds: how long at most.
        pause_s: between two looks.
        told: what is said when the time has passed.
    """
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {told()}"
        time.sleep(pause_s)
    return found
