"""What a model must beat: random vectors, the pixels, the colours. All return float32 rows of unit length."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

SEED = 12_345
RANDOM_SIZE = 64
"""Numbers of a random vector."""
PIXELS_SIDE = 16
"""Side of the picture whose pixels are compared, pixels."""


def random_vectors(n: int) -> NDArray[np.float32]:
    """Return seeded random vectors (n, 64), independent of the pictures."""
    return unit(np.random.default_rng(SEED).standard_normal((n, RANDOM_SIZE)).astype(np.float32))


def pixel_vectors(pictures: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return the darkness of 16 × 16 pixels in red, green and blue: n times (side, side, 3) uint8 -> (n, 768).

    Darkness and not brightness, so that the white around a product does not count. A white picture has length 0.
    """
    size = (PIXELS_SIDE, PIXELS_SIDE)
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA).ravel() for picture in pictures]
    return unit(255 - np.array(small, dtype=np.float32).reshape(len(small), 3 * PIXELS_SIDE**2))


def hsv_vectors(histograms: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the square roots of histograms that sum to 1, (n, bins): their cosine is the Bhattacharyya coefficient."""
    return unit(np.sqrt(histograms))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows scaled to length 1; a row of length 0 is unchanged."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), dtype=np.float32)
