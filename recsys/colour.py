"""Colour likeness: an HSV histogram split 12 × 8 × 8, compared by the chi-square distance.

The original's slides give distances "of the order 4.2 (near) and 18.4 (far)" without the formula. On real photos
chi-square reaches that order only over the concatenated histograms of five regions of the picture, each of unit
Euclidean length (0.6 to 20.5; over one such histogram of the whole picture 0.2 to 5.8), and has no upper end. Here a
histogram covers the whole picture and sums to 1, so that the distance lies in [0, 1] and the score is 1 − distance.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from recsys.configuration import Colour

EPSILON = 1e-10


def histogram_size(settings: Colour) -> int:
    """Return the number of bins: 768 for 12 × 8 × 8."""
    return settings.hue_bins * settings.saturation_bins * settings.value_bins


def histogram(image: NDArray[np.uint8], settings: Colour) -> NDArray[np.float32]:
    """Return the HSV histogram of a picture, summing to 1.

    Args:
        image: (h, w, 3) RGB.
        settings: bins of hue, saturation and value.

    Returns:
        (hue bins × saturation bins × value bins,) float32.
    """
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    bins = [settings.hue_bins, settings.saturation_bins, settings.value_bins]
    counts = cv2.calcHist([hsv], [0, 1, 2], None, bins, [0, 180, 0, 256, 0, 256]).ravel()
    return (counts / counts.sum()).astype(np.float32)


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
