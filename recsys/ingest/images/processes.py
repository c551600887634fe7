"""Clients in processes of their own: each another core's worth of fetching and decoding.

Batches go over a pipe and come back as outcomes. One process imports what is needed, which takes most of a second, and
splits into as many as are wanted. They are no children of `multiprocessing`, which would run the main program's imports
again; each ends when its pipe does, also when whoever started it was killed.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, NoReturn

import recsys
from recsys.core.configuration import Images
from recsys.ingest.images.item import Item, Outcome

SERVE = "import sys; from recsys.ingest.images.processes import serve; serve([int(number) for number in sys.argv[1:]])"
ENDED = "a process that fetches images came to an end (killed, or out of memory); run again"

COLLECT_AFTER = 50_000
"""New objects between two garbage collections, which go through some thousand products in progress."""

SWITCH_S = 0.0005
"""At Python's 5 ms a decoder that comes back waits for the loop, and a core stands idle: a tenth of the throughput."""

ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""Of glibc. One arena: see `recsys.core.memory`. And pixels that are let go of stay for the next picture: asking the
system for them anew each time takes a tenth of the throughput."""

TOLD_TOGETHER = 32
"""Items that end before they are told of: a message each would cost a tenth of the time."""


def start(settings: Images, processes: int) -> tuple[subprocess.Popen[bytes], list[FetchingProcess]]:
    """Start so many processes that fetch with these settings, each.

    Returns:
        the process that the others come from, to be waited for when all are closed, and what batches are given to.
    """
    pipes = [Pipe() for _ in range(processes)]
    library = str(Path(recsys.__file__).parents[1])
    path = os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH")]))
    theirs = [there.fileno() for _, there in pipes]
    first = subprocess.Popen(
        [sys.executable, "-P", "-c", SERVE, *map(str, theirs)],
        pass_fds=theirs,
        stdin=subprocess.DEVNULL,
        env=os.environ | ALLOCATOR | {"PYTHONPATH": path},
    )
    for _, there in pipes:
        there.close()
    return first, [FetchingProcess(here, settings) for here, _ in pipes]


class FetchingProcess:
    """Fetches batches as a `Client` does, in another process.

    Attributes:
        ended: whether it came to an end, by `close` or by itself.
    """

    def __init__(self, pipe: Connection, settings: Images) -> None:
        self.ended = False
        self._pipe = pipe
        self._numbers = itertools.count()
        self._batches: dict[int, tuple[Future[list[Outcome]], Callable[[str], None]]] = {}
        self._lock = threading.Lock()
        self._send(settings)
        self._listener = threading.Thread(target=self._listen, name="fetching-process", daemon=True)
        self._listener.start()

    def submit(
        self, items: Sequence[Item], on_progress: Callable[[str], None], placeholders: frozenset[str]
    ) -> Future[list[Outcome]]:
        """Begin to fetch, as `Client.submit` does; the result is ChildProcessError when the process came to an end."""
        outcomes: Future[list[Outcome]] = Future()
        outcomes.set_running_or_notify_cancel()  # it can no longer be cancelled
        number = next(self._numbers)
        with self._lock:
            if self.ended:
                outcomes.set_exception(ChildProcessError(ENDED))
                return outcomes
            self._batches[number] = (outcomes, on_progress)
        self._send((number, items, placeholders))
        return outcomes

    def close(self) -> None:
        """End the process."""
        self._send(None)
        self._listener.join()
        self._pipe.close()

    def _send(self, message: Any) -> None:
        with self._lock, contextlib.suppress(OSError):  # it has ended, which the listener tells
            self._pipe.send(message)

    def _listen(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                number, told = self._pipe.recv()
                outcomes, on_progress = self._batches[number]
                if isinstance(told, Counter):
                    for status in told.elements():
                        on_progress(status)
                    continue
                del self._batches[number]
                if isinstance(told, str):
                    outcomes.set_exception(RuntimeError(f"in a process that fetches images: {told}"))
                else:
                    outcomes.set_result(told)
        with self._lock:
            self.ended = True
        for outcomes, _ in self._batches.values():
            outcomes.set_exception(ChildProcessError(ENDED))


@contextlib.contextmanager
def tuning() -> Iterator[None]:
    """Have this process collect garbage seldom, not among all that is imported, and hand the interpreter on soon."""
    often, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *often[1:])
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*often)
        gc.unfreeze()


def serve(descriptors: Sequence[int]) -> None:
    """Be those processes, each at the other end of a pipe: this one, and a fork for each pipe but the first."""

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started them
    forks = []
    for number in range(1, len(descriptors)):
        if not (fork := os.fork()):
            for other in (descriptors[0], *descriptors[number + 1 :]):
                os.close(other)
            _serve(descriptors[number])
        os.close(descriptors[number])
        forks.append(fork)
    _serve(descriptors[0], forks)


def _serve(descriptor: int, forks: Sequence[int] = ()) -> NoReturn:
    """Fetch what comes over a pipe, until nothing can come any more."""
    from recsys.ingest.images.client import Client

    pipe = Connection(descriptor)
    answers = ThreadPoolExecutor(1, "answers")  # not the client's thread, where the network would wait for the pipe

    def send(number: int, told: Counter[str] | list[Outcome] | str) -> None:
        with contextlib.suppress(OSError):
            pipe.send((number, told))

    def begin(number: int, items: Sequence[Item], placeholders: frozenset[str]) -> None:
        ended: list[str] = []

        def on_progress(status: str) -> None:  # called by one thread, the client's
            ended.append(status)
            if len(ended) == TOLD_TOGETHER:
                answers.submit(send, number, Counter(ended))
                ended.clear()

        def answer(outcomes: Future[list[Outcome]]) -> None:
            send(number, Counter(ended))
            error = outcomes.exception()
            send(number, "".join(traceback.format_exception(error)) if error else outcomes.result())

        outcomes = client.submit(items, on_progress, placeholders)
        outcomes.add_done_callback(lambda done: answers.submit(answer, done))

    with contextlib.suppress(EOFError, OSError), tuning():
        client = Client(pipe.recv())
        while batch := pipe.recv():
            begin(*batch)
    pipe.close()
    for fork in forks:
        os.waitpid(fork, 0)
    os._exit(0)
