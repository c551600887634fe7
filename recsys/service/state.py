"""The state of a running service. The routes get it from `dependencies.State`."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from fastapi import HTTPException

from recsys.core.configuration import Configuration
from recsys.core.errors import RecsysError
from recsys.models.embedding.serving import describe
from recsys.service.answers import AnswerCache, answer_for_photo, answer_for_product
from recsys.service.guard import Metrics
from recsys.service.snapshot import SimilarOptions, Snapshot
from recsys.service.snapshot_holder import SnapshotHolder

MAX_PHOTO_BYTES = 20 << 20
"""Largest photo, bytes, unless `images.max_bytes` is less. Phones take photos of about 15 MB."""


class ServiceState:
    """The home, the current snapshot, the cached answers, the metrics and the worker threads of one service."""

    def __init__(self, home: Path, configuration: Configuration) -> None:
        self.home, self.configuration = home, configuration
        self.snapshots = SnapshotHolder(home, configuration)
        self.cache = AnswerCache()
        self.metrics = Metrics()
        self.max_photo_bytes = min(MAX_PHOTO_BYTES, configuration.images.max_bytes)
        # One photo at a time: the network uses all cores, and decoding 200 megapixels needs 600 MB.
        self._photo_worker = ThreadPoolExecutor(1, "photo")
        self._ranking_workers = ThreadPoolExecutor(os.cpu_count(), "ranking")
        self._photos_in_progress = 0

    def start(self) -> None:
        """Read the first snapshot and watch the home, in a thread, so that /health answers at once."""
        threading.Thread(target=self._load_and_watch, daemon=True).start()

    def close(self) -> None:
        """Stop watching the home and drop the work that waits."""
        self.snapshots.close()
        for workers in (self._photo_worker, self._ranking_workers):
            workers.shutdown(wait=False, cancel_futures=True)

    async def similar_to_product(self, snapshot: Snapshot, product_id: str, options: SimilarOptions) -> bytes:
        """Return the answer for a product; see `answers.answer_for_product`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._ranking_workers, answer_for_product, snapshot, product_id, options)

    async def similar_to_photo(
        self, snapshot: Snapshot, photo: bytes, price: float | None, options: SimilarOptions
    ) -> bytes:
        """Return the answer for a photo; see `answers.answer_for_photo`.

        Raises:
            HTTPException: 503, `service.photos_at_once` photos are in progress.
        """
        loop = asyncio.get_running_loop()
        with self._photo_slot():
            return await loop.run_in_executor(self._photo_worker, answer_for_photo, snapshot, photo, price, options)

    @contextlib.contextmanager
    def _photo_slot(self) -> Iterator[None]:
        if self._photos_in_progress >= self.configuration.service.photos_at_once:
            raise HTTPException(503, "too many photos at the same time; try again in a second", {"Retry-After": "1"})
        self._photos_in_progress += 1
        self.metrics.photos.set(self._photos_in_progress)
        try:
            yield
        finally:
            self._photos_in_progress -= 1
            self.metrics.photos.set(self._photos_in_progress)

    def _load_and_watch(self) -> None:
        self.snapshots.refresh()
        if self.configuration.service.warm_up:
            with contextlib.suppress(RecsysError, RuntimeError):  # RuntimeError: the service was closed meanwhile
                self._load_network()
        self.snapshots.watch()

    def _load_network(self) -> None:
        blank = np.full((1, 256, 256, 3), 255, np.uint8)
        serves = self.snapshots.current().serves
        self._photo_worker.submit(describe, blank, self.home, serves, self.configuration).result()
