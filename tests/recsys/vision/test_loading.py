"""Stored pictures as a network's input."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.vision.loading import pictures
from recsys.vision.square import encode


def test_stored_pictures_load_at_the_networks_size_and_augmented_on_request() -> None:
    jpegs = [encode(np.full((256, 256, 3), shade, np.uint8), 95) for shade in (0, 100, 200)]
    loaded = pictures(jpegs, 64)(np.array([2, 0]))
    assert loaded.shape == (2, 64, 64, 3) and loaded.dtype == np.uint8
    assert loaded.mean(axis=(1, 2, 3)).tolist() == pytest.approx([200, 0], abs=1)
    varied = pictures(jpegs, 256, lambda row, image: image + np.uint8(row))(np.array([1, 2]))
    assert varied.mean(axis=(1, 2, 3)).tolist() == pytest.approx([101, 202], abs=1)
