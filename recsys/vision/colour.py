"""Colour likeness: an HSV histogram split 12 × 8 × 8, compared by the chi-square distance.

The original's slides give distances "of the order 4.2 (near) and 18.4 (far)" without the formula. On real photos
chi-square reaches that order only over the concatenated histograms of five regions of the picture, each of unit
Euclidean length (0.6 to 20.5; over one such histogram of the whole picture 0.2 to 5.8), and has no upper end. Here a
histogram covers the whole picture and sums to 1, so that the distance lies in [0, 1] and the score is 1 − distance.

Of such a histogram the white border and the white studio take the larger part. By default (`colour.mask`) it therefore
counts the product's pixels only (see `product_mask`), those in the middle of the picture more, and lets each bin share
with its neighbours, since a hue of 29° and one of 31° are no different colours. `docs/colour.md` has the figures.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from recsys.core.configuration import Colour
from recsys.vision.foreground_mask import product_mask

EPSILON = 1e-10

RULE_VERSION = 1
"""Of the masked histogram; raised when the same picture would get another one."""

MIDDLE = 0.5
"""Standard deviation of the weight about the picture's middle, in halves of its side: what is sold stands there."""
SHARED = 0.3
"""Share of a bin that goes to its two neighbours along each axis."""


def histogram_size(settings: Colour) -> int:
    """Return the number of bins: 768 for 12 × 8 × 8."""
    return settings.hue_bins * settings.saturation_bins * settings.value_bins


def version(settings: Colour) -> str:
    """Return what histograms depend on, as the features' version names it; those of two versions are not compared."""
    bins = f"hsv{settings.hue_bins}x{settings.saturation_bins}x{settings.value_bins}"
    return bins if settings.mask == "none" else f"{bins}-{settings.mask}{RULE_VERSION}"


def histogram(image: NDArray[np.uint8], settings: Colour) -> NDArray[np.float32]:
    """Return the HSV histogram of a picture, summing to 1.

    Args:
        image: (h, w, 3) RGB; squared, unless the mask is `none`.
        settings: what is counted, and the bins of hue, saturation and value.

    Returns:
        (hue bins × saturation bins × value bins,) float32.
    """
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    bins = [settings.hue_bins, settings.saturation_bins, settings.value_bins]
    if settings.mask == "none":
        counts = cv2.calcHist([hsv], [0, 1, 2], None, bins, [0, 180, 0, 256, 0, 256]).ravel()
        return (counts / counts.sum()).astype(np.float32)
    shown = product_mask(image)
    hue, saturation, value = hsv[shown].astype(np.int64).T  # (p,) of each pixel
    bin_of = (hue * bins[0] // 180 * bins[1] + saturation * bins[1] // 256) * bins[2] + value * bins[2] // 256
    weights = np.bincount(bin_of, _middle(*shown.shape)[shown], histogram_size(settings)).astype(np.float64)
    shared = _share(weights.reshape(bins))
    return np.asarray(shared / shared.sum(), dtype=np.float32).ravel()


@functools.lru_cache(maxsize=4)
def _middle(height: int, width: int) -> NDArray[np.float64]:
    """Return each pixel's weight (h, w): 1 in the middle, about a seventh in the middle of an edge."""
    down, across = (np.exp(-0.5 * (np.linspace(-1, 1, side) / MIDDLE) ** 2) for side in (height, width))
    return np.outer(down, across)


def _share(histogram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a histogram (hue, saturation, value) whose bins share with their neighbours; hue goes round."""
    for axis in range(3):
        ends = [(1, 1) if axis == along else (0, 0) for along in range(3)]
        padded = np.pad(histogram, ends, mode="wrap" if axis == 0 else "edge")
        before, after = (np.delete(padded, lost, axis) for lost in ((-1, -2), (0, 1)))
        histogram = (1 - SHARED) * histogram + SHARED / 2 * (before + after)
    return histogram


def chi_square(histograms: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return half the sum of (a − b)² / (a + b) over the last axis; broadcasts over the others.

    Between histograms that sum to 1 it is 0 for equal ones and 1 for ones that share no bin.
    """
    total = histograms + others
    total += EPSILON
    difference = histograms - others
    np.square(difference, out=difference)
    difference /= total
    return np.asarray(0.5 * difference.sum(axis=-1), dtype=np.float32)


def colour_score(histograms: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 − chi-square distance: 1 for the same colours in the same shares, 0 for no colour in common."""
    return 1 - chi_square(histograms, others)
