"""The likeness of two products by their pictures, their words and their colours.

    likeness = 0.9 × ((1 - w) × cosine of the pictures + w × cosine of the words) + 0.1 × cosine of the colours

w is the weight of the words, which each embedding has chosen in its training. Words name few colours, so the colours
have a small share of their own. A product without words, and a photo, are compared by pictures alone.
"""

import numpy as np
from numpy.typing import NDArray

from recsys.core.configuration import Colour

COLOUR_SHARE = 0.1
COARSE = (1, 2, 4)
"""Bins of hue, saturation and value that are joined, to 96 of 12 × 8 × 8."""
POWER = 0.25
"""Exponent of a colour's share, as in `recsys.models.embedding.embedder`."""


def beside_pictures(
    words: NDArray[np.float32], histograms: NDArray[np.float32], weight: float, settings: Colour
) -> tuple[NDArray[np.float32], float]:
    """Return one vector of words and colours for each product, and its share in the likeness.

    Args:
        words: (n, e) of unit length, or zeros for a product without words.
        histograms: (n, bins) that sum to 1.
        weight: share of the words beside the pictures, above 0.
        settings: bins of the histograms.

    Returns:
        (n, e + colours) of unit length, zeros for a product without words.
    """
    share = (1 - COLOUR_SHARE) * weight + COLOUR_SHARE
    of_words = (1 - COLOUR_SHARE) * weight / share
    bins = (settings.hue_bins, settings.saturation_bins, settings.value_bins)
    joined = [step if size % step == 0 else 1 for size, step in zip(bins, COARSE, strict=True)]
    split = [part for size, step in zip(bins, joined, strict=True) for part in (size // step, step)]
    coarse = histograms.reshape(-1, *split).sum(axis=(2, 4, 6)).reshape(len(histograms), -1)
    colours = np.power(coarse, POWER, dtype=np.float32)
    colours /= np.maximum(np.linalg.norm(colours, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    has_words = words.any(axis=1, keepdims=True)
    vectors = np.concatenate([np.sqrt(of_words) * words, np.sqrt(1 - of_words) * colours * has_words], axis=1)
    return vectors.astype(np.float32), share


def likeness_vectors(pictures: NDArray[np.float32], beside: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Return vectors (n, d + t) of unit length whose cosines are the likeness, see `beside_pictures`."""
    shares = np.where(beside.any(axis=1, keepdims=True), np.float32(share), np.float32(0))
    return np.concatenate([np.sqrt(1 - shares) * pictures, np.sqrt(shares) * beside], axis=1)
