"""Wait in a test until a condition holds: in a thread, a process or a server."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T],
    seconds: float = 20,
    *,
    pause_s: float = 0.02,
    message: Callable[[], object] = lambda: "",
) -> T:
    """Return the first true value of `condition`; fail when there is none in time.

    Args:
        condition: called until its value is true; it may raise to give up.
        seconds: the time limit.
        pause_s: seconds between two calls.
        message: its value ends the failure message.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {message()}"
        time.sleep(pause_s)
    return value
