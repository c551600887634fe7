"""Load stored pictures as the inputs of a network, decoded in threads."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

DECODERS = 8
"""Maximum number of decoding threads."""

Load = Callable[[NDArray[np.int64]], NDArray[Any]]
"""From row numbers (b,) to a network's input for them (b, ...)."""
Vary = Callable[[int, NDArray[np.uint8]], NDArray[np.uint8]]
"""From a row number and its picture (h, w, 3) to an augmented picture of the same shape."""


def pictures(jpegs: Sequence[bytes], side: int, vary: Vary | None = None) -> Load:
    """Return a loader of the store's squared pictures: row numbers (b,) → (b, side, side, 3) uint8 RGB.

    Args:
        jpegs: JPEG of each row.
        side: side of the inputs, pixels.
        vary: augments a row's picture before it is resized (default: unchanged).
    """
    import cv2  # here, so that a training on arrays in memory does not need OpenCV

    from recsys.vision.square import decode_squared

    threads = ThreadPoolExecutor(min(DECODERS, os.cpu_count() or 1))

    def picture(row: int) -> Any:
        image = decode_squared(jpegs[row])
        image = vary(int(row), image) if vary is not None else image
        interpolation = cv2.INTER_AREA if side < len(image) else cv2.INTER_CUBIC
        return image if side == len(image) else cv2.resize(image, (side, side), interpolation=interpolation)

    return lambda rows: np.stack(list(threads.map(picture, rows)))
