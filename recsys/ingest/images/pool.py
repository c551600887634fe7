"""The pool that decodes and squares pictures, and the queue in front of it.

The processes of the pool are the only place where the bytes of a stranger are decoded: they never open the store.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Self

import cv2

from recsys.core.configuration import Images
from recsys.core.errors import PermanentFetchError
from recsys.core.process import set_up_process
from recsys.ingest.causes import fetch_error
from recsys.vision.square import SquaredImage, square_image

MAX_PROCESSES = 8
"""Processes at most by default. More would wait for the process that downloads and writes."""

THREADS = 2
"""Threads that square in place of processes."""

QUEUE_SIZE = 256
"""Pictures that wait at most. When the queue is full, downloads wait with their slots."""

BATCH_BYTES = 512 << 10
"""Bytes of pictures after which a batch goes to a process, so that messages cost little beside the decoding."""

Squared = SquaredImage | tuple[str, str]
"""A squared picture, or the cause and the message of a failure."""


def process_count(settings: Images) -> int:
    """Return the number of processes that square at most; 1 stands for threads of this process.

    A worker process of Dask must not have children.
    """
    if multiprocessing.current_process().daemon:
        return 1
    return settings.processes or min(MAX_PROCESSES, max(2, os.cpu_count() or 1))


class SquaringPool:
    """Squares pictures in processes. Use it as a context, in one event loop."""

    def __init__(self, settings: Images) -> None:
        self._settings = settings
        self._queue: asyncio.Queue[tuple[bytes, asyncio.Future[SquaredImage]]] = asyncio.Queue(QUEUE_SIZE)
        self._executor = _open_executor(settings)
        self._senders: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        # Two batches for each process: the next batch waits when one ends.
        self._senders = [asyncio.create_task(self._send()) for _ in range(2 * process_count(self._settings))]
        return self

    async def __aexit__(self, *_: object) -> None:
        for sender in self._senders:
            sender.cancel()
        self._executor.shutdown(cancel_futures=True)

    async def put(self, body: bytes) -> asyncio.Future[SquaredImage]:
        """Queue a picture and return the future of its square; waits while the queue is full.

        The future raises PermanentFetchError when the bytes are no usable picture, and ChildProcessError when the
        process that squared it ended.
        """
        squared: asyncio.Future[SquaredImage] = asyncio.get_running_loop().create_future()
        await self._queue.put((body, squared))
        return squared

    async def _send(self) -> None:
        """Send batches of the queue to the pool, one at a time, and pass the results on."""
        while True:
            batch = [await self._queue.get()]
            while sum(len(body) for body, _ in batch) < BATCH_BYTES and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            futures = [squared for _, squared in batch]
            try:
                results = await self._run([body for body, _ in batch])
            except Exception as error:
                for squared in futures:
                    if not squared.done():
                        squared.set_exception(error)
                continue
            for squared, result in zip(futures, results, strict=True):
                if squared.done():  # its shard was cancelled
                    continue
                if isinstance(result, SquaredImage):
                    squared.set_result(result)
                else:
                    squared.set_exception(fetch_error(*result, 200))

    async def _run(self, bodies: list[bytes]) -> list[Squared]:
        try:
            future = self._executor.submit(_square_batch, bodies, self._settings)
        except BrokenProcessPool:  # by a process that ended before
            self._executor = _open_executor(self._settings)
            future = self._executor.submit(_square_batch, bodies, self._settings)
        try:
            return await asyncio.wrap_future(future)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "a process that decodes images ended (killed, or out of memory); run again"
            ) from error


def _open_executor(settings: Images) -> Executor:
    number = process_count(settings)
    if number == 1:
        return ThreadPoolExecutor(THREADS, "square", initializer=cv2.setNumThreads, initargs=(1,))
    return ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), initializer=_prepare_process)


def _prepare_process() -> None:
    """Prepare a process of the pool; it ends when the process that started it ends, also when that is killed."""
    set_up_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    cv2.setNumThreads(1)  # the pool has a process for each core
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _square_batch(bodies: Sequence[bytes], settings: Images) -> list[Squared]:
    """Return the square or the failure of each picture; errors with several arguments cannot be pickled."""
    results: list[Squared] = []
    for body in bodies:
        try:
            results.append(square_image(body, settings))
        except PermanentFetchError as error:
            results.append((error.cause, str(error)))
    return results
