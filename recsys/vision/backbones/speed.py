"""Measure how many pictures a second a backbone takes on this machine."""

import time

import numpy as np

from recsys.vision.backbones import FeatureExtractor

SIDE = 256
"""Side of the pictures, pixels, as the store has them."""
MAX_PICTURES = 64
MAX_SECONDS = 2.0
"""A measurement ends after one of the two."""


def pictures_per_second(extractor: FeatureExtractor) -> float:
    """Return the rate of an extractor, in its batches, on random pictures; the first call, which is slow, is left out.

    It is the rate of preprocessing and network only, without reading pictures.
    """
    size = extractor.batch_size
    pictures = np.random.default_rng(0).integers(0, 256, (size, SIDE, SIDE, 3), np.uint8)
    extractor(pictures)
    started, done = time.perf_counter(), 0
    while done < MAX_PICTURES and time.perf_counter() - started < MAX_SECONDS:
        extractor(pictures)
        done += size
    return done / (time.perf_counter() - started)
