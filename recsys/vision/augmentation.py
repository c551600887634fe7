"""Augmentation: new pictures of a product from the one at hand, by rotation, flip and colour shift.

The original project grew its small classes so. The squared pictures have white borders, so what a rotation lays bare is
white too, and white stays white: brightness moves middle grey by a share of white, at most, lighter and darker colours
by less, and white and black not at all. Else varied pictures could be known by their grey borders.

build_augmentation   on the fly, as Keras layers on the training device: other pictures every epoch
augment              materialised: the picture that a seed stands for, such as those of a class that was grown
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from recsys.core.configuration import Augmentation

if TYPE_CHECKING:  # it takes seconds
    import keras

WHITE = 255.0


def build_augmentation(
    *,
    rotation: float = 15.0,
    flip: bool = True,
    hue: float = 0.02,
    brightness: float = 0.15,
    seed: int = 0,
) -> keras.Sequential:
    """Return a model that varies RGB pictures at random, each on its own.

    In: (n, h, w, 3), uint8 or float, 0 to 255. Out: the same shape, float32, 0 to 255. It runs on the
    training device; with `training=False` it returns the pictures as they are. Two models with one seed give
    the same pictures in the same order of calls. Colours shift after the rotation, so that borders and bared
    corners stay one colour.

    Args:
        rotation: degrees, at most, to either side.
        flip: whether half of the pictures are mirrored left to right.
        hue: share of the colour circle, at most, to either side.
        brightness: share of white that is added to middle grey or taken off it, at most; less than a half.
    """
    import keras

    from recsys.vision.brightness import Brightness

    pixels = (0.0, 255.0)
    layers = [
        keras.Input((None, None, 3), name="image"),
        keras.layers.RandomRotation(rotation / 360, fill_mode="constant", fill_value=WHITE, seed=seed),
        keras.layers.RandomHue(2 * hue, value_range=pixels, seed=seed + 1),  # its 1 is half the circle
        Brightness(brightness, seed=seed + 2),
    ]
    if flip:
        layers.insert(1, keras.layers.RandomFlip("horizontal", seed=seed + 3))
    return keras.Sequential(layers, name="augmentation")


def augment(images: np.ndarray, seeds: np.ndarray, settings: Augmentation) -> np.ndarray:
    """Return of each picture the variation that its seed stands for.

    A variation depends on the picture, its seed and the settings alone, not on what else is in the batch. It is as far
    from the picture as the Keras layers' are.

    Args:
        images: (n, h, w, 3) uint8 RGB.
        seeds: (n,) integers from 0.
        settings: the configuration's `augmentation`.

    Returns:
        (n, h, w, 3) uint8.
    """
    varied = np.empty_like(images)
    for row, (image, seed) in enumerate(zip(images, seeds, strict=True)):
        varied[row] = _variation(image, np.random.default_rng(int(seed)), settings)
    return varied


def _variation(image: np.ndarray, generator: np.random.Generator, settings: Augmentation) -> np.ndarray:
    """Return a variation of one picture (h, w, 3) uint8."""
    # All are drawn, whatever is in use: so that a setting changes what it is about and nothing else.
    degrees, turn, shift = generator.uniform(-1, 1, 3) * (settings.rotation, settings.hue, settings.brightness)
    mirrored = generator.random() < 0.5
    if settings.flip and mirrored:
        image = cv2.flip(image, 1)
    if degrees:
        height, width = image.shape[:2]
        rotation = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
        image = cv2.warpAffine(image, rotation, (width, height), borderValue=(WHITE,) * 3)
    colours = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    hue, saturation, value = cv2.split(colours)  # to 360, to 1, to 1
    hue += np.float32(360 * turn % 360)
    hue -= np.float32(360) * (hue >= 360)
    value = cv2.pow(value, float(np.log(0.5 + shift) / np.log(0.5)))
    colours = cv2.merge([hue, saturation, value])
    return cv2.convertScaleAbs(cv2.cvtColor(colours, cv2.COLOR_HSV2RGB), alpha=255)
