"""A network's input, row by row: stored pictures at its size, decoded in threads of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recsys.vision.square import decode_squared

DECODERS = 8
"""Threads that decode the pictures of a batch, at most."""

Load = Callable[[NDArray[np.int64]], NDArray[Any]]
"""From row numbers (b,) to a network's input for them (b, ...)."""
Vary = Callable[[int, NDArray[np.uint8]], NDArray[np.uint8]]
"""From a row's number and its picture (h, w, 3) to the picture that is shown in its place, of the same shape."""


def pictures(jpegs: Sequence[bytes], side: int, vary: Vary | None = None) -> Load:
    """Return what loads the squared pictures of the store: row numbers (b,) → (b, side, side, 3) uint8 RGB.

    Args:
        jpegs: of each row.
        side: pixels.
        vary: makes another picture of a row's, before it is resized (default: shown as it is).
    """
    threads = ThreadPoolExecutor(min(DECODERS, os.cpu_count() or 1))

    def picture(row: int) -> Any:
        image = decode_squared(jpegs[row])
        image = vary(int(row), image) if vary is not None else image
        how = cv2.INTER_AREA if side < len(image) else cv2.INTER_CUBIC
        return image if side == len(image) else cv2.resize(image, (side, side), interpolation=how)

    return lambda rows: np.stack(list(threads.map(picture, rows)))
