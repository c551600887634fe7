"""Vectors and pictures that the tests of evaluation share."""

from __future__ import annotations

import cv2
import numpy as np

COLOURS = {
    "black": (15, 15, 18), "white": (252, 252, 250), "grey": (128, 128, 128), "red": (200, 20, 30),
    "orange": (245, 135, 20), "yellow": (250, 225, 30), "green": (30, 140, 60), "blue": (30, 70, 190),
    "purple": (120, 40, 150), "pink": (250, 160, 190), "brown": (110, 65, 30),
}  # fmt: skip
"""RGB of an example of each basic colour."""


def unit_vectors(degrees: list[float]) -> np.ndarray:
    """Return vectors (n, 2) of unit length at these angles."""
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def coloured_photo(colour: tuple[int, int, int], radius: int) -> np.ndarray:
    """Return a disc in front of white (200, 300, 3), with the noise of a camera."""
    image = np.full((200, 300, 3), 255, np.uint8)
    cv2.circle(image, (150, 100), radius, colour, -1)
    noise = np.random.default_rng(radius).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)
