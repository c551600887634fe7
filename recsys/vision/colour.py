"""Compare the colours of pictures: HSV histograms of 12 × 8 × 8 bins and their chi-square distance.

By default (`colour.mask`) a histogram counts only the pixels of the product (see `product_mask`), because otherwise the
white border and background dominate it. Pixels in the middle have more weight, and each bin shares with its neighbours,
because hues of 29° and 31° are nearly the same colour. `docs/colour.md` has the reasons and the measurements.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from recsys.core.configuration import Colour

EPSILON = 1e-10
"""Added to the denominator of the chi-square distance, which is 0 where both histograms are."""

RULE_VERSION = 1
"""Version of the masked histogram; increase it when the same picture gets another histogram."""

CENTRE_DEVIATION = 0.5
"""Standard deviation of the weight around the centre of a picture, in halves of its side."""
SMOOTHING = 0.3
"""Share of a bin that goes to its two neighbours along each axis."""


def histogram_size(settings: Colour) -> int:
    """Return the number of bins: 768 for 12 × 8 × 8."""
    return settings.hue_bins * settings.saturation_bins * settings.value_bins


def version(settings: Colour) -> str:
    """Return the version of histograms, a part of the features' version; only equal versions are comparable."""
    bins = f"hsv{settings.hue_bins}x{settings.saturation_bins}x{settings.value_bins}"
    return bins if settings.mask == "none" else f"{bins}-{settings.mask}{RULE_VERSION}"


def histogram(image: NDArray[np.uint8], settings: Colour) -> NDArray[np.float32]:
    """Return the HSV histogram of a picture; it sums to 1.

    Args:
        image: (h, w, 3) RGB; squared, unless the mask is `none`.
        settings: mask, and the number of bins of hue, saturation and value.

    Returns:
        (hue bins × saturation bins × value bins,) float32.
    """
    import cv2  # for a query by product id, its import would take a twentieth of the time

    from recsys.vision.foreground_mask import product_mask

    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)  # (h, w, 3): 0 to 179, 0 to 255, 0 to 255
    bins = [settings.hue_bins, settings.saturation_bins, settings.value_bins]
    if settings.mask == "none":
        counts = cv2.calcHist([hsv], [0, 1, 2], None, bins, [0, 180, 0, 256, 0, 256]).ravel()
        return (counts / counts.sum()).astype(np.float32)
    mask = product_mask(image)  # (h, w)
    hue, saturation, value = hsv[mask].astype(np.int64).T  # (p,) each
    bin_of = (hue * bins[0] // 180 * bins[1] + saturation * bins[1] // 256) * bins[2] + value * bins[2] // 256
    weights = _centre_weights(*mask.shape)[mask]  # (p,)
    counts = np.bincount(bin_of, weights, histogram_size(settings)).astype(np.float64).reshape(bins)
    smooth = smoothed(counts)
    return np.asarray(smooth / smooth.sum(), dtype=np.float32).ravel()


@functools.lru_cache(maxsize=4)
def _centre_weights(height: int, width: int) -> NDArray[np.float64]:
    """Return the weight of each pixel (h, w): 1 in the centre, about a seventh in the middle of an edge."""
    rows, columns = (np.exp(-0.5 * (np.linspace(-1, 1, side) / CENTRE_DEVIATION) ** 2) for side in (height, width))
    return np.outer(rows, columns)


def smoothed(histogram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a histogram (hue, saturation, value) whose bins share with their neighbours; the hue axis is a circle.

    `scipy.ndimage` has this too; importing it would take a tenth of the time of a cold `recsys recommend --image`.
    """
    for axis, bins in enumerate(histogram.shape):
        before, after = (
            histogram.take(np.arange(bins) + step, axis, mode="wrap" if axis == 0 else "clip") for step in (-1, 1)
        )
        histogram = (1 - SMOOTHING) * histogram + SMOOTHING / 2 * (before + after)
    return histogram


def chi_square(histograms: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the chi-square distance ½ Σ (a - b)² / (a + b) over the last axis; broadcasts over the other axes.

    For histograms that sum to 1 it is between 0 (equal) and 1 (no common bin).
    """
    total = histograms + others
    total += EPSILON
    difference = histograms - others
    np.square(difference, out=difference)
    difference /= total
    return np.asarray(0.5 * difference.sum(axis=-1), dtype=np.float32)


def colour_score(histograms: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 - chi-square distance: 1 for the same colours in the same shares, 0 for no common colour."""
    return 1 - chi_square(histograms, others)
