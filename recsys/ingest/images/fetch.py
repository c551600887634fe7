"""Fetching images from many threads: one thread with an event loop downloads for all of them.

    fetch_images            items → outcomes
    close_idle_fetchers     end the processes that wait for another batch

The parts: the ledger finds what is missing (`images.ledger`), the downloader has the budget of attempts
(`images.downloader`), the client speaks HTTP (`images.client`), the rules for hosts limit it (`images.hosts`), the
pool decodes and squares (`images.pool`).
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future

from recsys.core.configuration import Images
from recsys.ingest.images.client import Client
from recsys.ingest.images.downloader import Downloader
from recsys.ingest.images.item import Item, Outcome
from recsys.ingest.images.pool import SquaringPool, process_count

LINGER_S = 10.0
"""Seconds that idle processes are kept for the next batch, because their start takes seconds."""


def fetch_images(
    items: Sequence[Item],
    settings: Images,
    on_progress: Callable[[str], None] | None = None,
    placeholders: Collection[str] = (),
    folder: str = "",
) -> list[Outcome]:
    """Return the outcome of each item, in their order: ok, broken or pending. Can be called from many threads.

    Args:
        items: the products of one shard.
        settings: limits, time-outs and budgets.
        on_progress: called with the status of each item as it ends, from another thread.
        placeholders: digests of pictures that stand for "no image available".
        folder: folder whose files may be used, for file:// URLs; none by default.

    Raises:
        ChildProcessError: a process that decodes images ended; nothing of the batch is known.
    """
    with _shared_fetcher(settings) as fetcher:
        outcomes = fetcher.submit(items, on_progress or (lambda status: None), frozenset(placeholders), folder)
        try:
            return outcomes.result()
        except BaseException:  # Ctrl-C as well
            outcomes.cancel()
            raise


def close_idle_fetchers() -> None:
    """End the processes that wait for another batch, for example to free their memory."""
    with _lock:
        _close_idle()


class _Fetcher:
    """A thread with an event loop, in which the client, the downloader and the pool work.

    Attributes:
        users: batches in progress.
        timer: closes the fetcher when it stays idle.
    """

    def __init__(self, settings: Images) -> None:
        self.users = 0
        self.timer: threading.Timer | None = None
        self._settings = settings
        self._started: Future[tuple[asyncio.AbstractEventLoop, Downloader, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)
        self._thread.start()
        self._loop, self._downloader, self._stop = self._started.result()

    def submit(
        self, items: Sequence[Item], on_progress: Callable[[str], None], placeholders: frozenset[str], folder: str
    ) -> Future[list[Outcome]]:
        """Start to fetch a batch."""
        batch = self._downloader.fetch_batch(items, on_progress, placeholders, folder)
        return asyncio.run_coroutine_threadsafe(batch, self._loop)

    def close(self) -> None:
        """Close the connections, and end the processes and the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        stop = asyncio.Event()
        async with Client(self._settings) as client, SquaringPool(self._settings) as pool:
            self._started.set_result((asyncio.get_running_loop(), Downloader(client, pool), stop))
            await stop.wait()


@contextlib.contextmanager
def _shared_fetcher(settings: Images) -> Iterator[_Fetcher]:
    """Use the fetcher of this process for these settings; the first user starts it."""
    with _lock:
        fetcher = _fetchers.get(settings) or _fetchers.setdefault(settings, _Fetcher(settings))
        fetcher.users += 1
        if fetcher.timer:
            fetcher.timer.cancel()
    try:
        yield fetcher
    finally:
        with _lock:
            fetcher.users -= 1
            if process_count(settings) == 1:  # its start costs nothing
                _close_idle()
            elif not fetcher.users:
                fetcher.timer = threading.Timer(LINGER_S, close_idle_fetchers)
                fetcher.timer.daemon = True
                fetcher.timer.start()


def _close_idle() -> None:
    for settings, fetcher in list(_fetchers.items()):
        if not fetcher.users:
            del _fetchers[settings]
            fetcher.close()


_fetchers: dict[Images, _Fetcher] = {}
_lock = threading.Lock()
