"""Augment pictures in memory: rotation, flip and colour shift, as the original project grew its small classes.

Squared pictures have white borders. Therefore a rotation uncovers white corners, and brightness keeps white and black
and changes middle grey most; otherwise a network could recognise augmented pictures by grey borders.
`recsys.vision.augmentation_layers` does the same inside a training.
"""

import cv2
import numpy as np

from recsys.core.configuration import Augmentation

WHITE = 255.0


def augment(images: np.ndarray, seeds: np.ndarray, settings: Augmentation) -> np.ndarray:
    """Return the variation of each picture that belongs to its seed.

    A variation depends only on the picture, its seed and the settings, not on the other pictures.

    Args:
        images: (n, h, w, 3) uint8 RGB.
        seeds: (n,) integers from 0.
        settings: section `augmentation` of the configuration.

    Returns:
        (n, h, w, 3) uint8.
    """
    varied = np.empty_like(images)
    for row, (image, seed) in enumerate(zip(images, seeds, strict=True)):
        varied[row] = _vary(image, np.random.default_rng(int(seed)), settings)
    return varied


def _vary(image: np.ndarray, generator: np.random.Generator, settings: Augmentation) -> np.ndarray:
    """Return a variation of one picture (h, w, 3) uint8."""
    # Draw all numbers whatever the settings are, so that each setting changes only its own effect.
    limits = (settings.rotation, settings.hue, settings.brightness)
    degrees, hue_shift, grey_shift = generator.uniform(-1, 1, 3) * limits
    if generator.random() < 0.5 and settings.flip:
        image = cv2.flip(image, 1)
    if degrees:
        image = _rotate(image, degrees)
    hsv = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    hue, saturation, value = cv2.split(hsv)  # (h, w) each; 0 to 360, 0 to 1, 0 to 1
    hue += np.float32(360 * hue_shift % 360)
    hue -= np.float32(360) * (hue >= 360)
    value = cv2.pow(value, float(np.log(0.5 + grey_shift) / np.log(0.5)))
    rgb = cv2.cvtColor(cv2.merge([hue, saturation, value]), cv2.COLOR_HSV2RGB)
    return cv2.convertScaleAbs(rgb, alpha=255)


def _rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    height, width = image.shape[:2]
    rotation = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    return cv2.warpAffine(image, rotation, (width, height), borderValue=(WHITE,) * 3)
