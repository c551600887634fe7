"""Augment pictures with Keras layers, on the training device: other variations in each epoch.

They vary pictures as far as `recsys.vision.augmentation.augment` does, and keep white white.
"""

import math
from typing import Any

import keras

from recsys.vision.augmentation import WHITE

BLACK_VALUE = 1 / 255
"""Value (of HSV, 0 to 1) below which a colour counts as black."""


def build_augmentation(
    *,
    rotation: float = 15.0,
    flip: bool = True,
    hue: float = 0.02,
    brightness: float = 0.15,
    seed: int = 0,
) -> keras.Sequential:
    """Return a model that varies each RGB picture at random.

    In: (n, h, w, 3), uint8 or float, 0 to 255. Out: the same shape, float32, 0 to 255. With `training=False` it returns
    the pictures unchanged. Two models with the same seed give the same pictures in the same order of calls. Colours
    change after the rotation, so that borders and uncovered corners have one colour.

    Args:
        rotation: maximum angle to either side, degrees.
        flip: whether to mirror half of the pictures left to right.
        hue: maximum shift to either side, as a share of the colour circle.
        brightness: maximum change of middle grey to either side, as a share of white; less than a half.
        seed: seed of all random numbers.
    """
    pixel_range = (0.0, 255.0)
    layers = [
        keras.Input((None, None, 3), name="image"),
        keras.layers.RandomRotation(rotation / 360, fill_mode="constant", fill_value=WHITE, seed=seed),
        keras.layers.RandomHue(2 * hue, value_range=pixel_range, seed=seed + 1),  # factor 1 is half the circle
        Brightness(brightness, seed=seed + 2),
    ]
    if flip:
        layers.insert(1, keras.layers.RandomFlip("horizontal", seed=seed + 3))
    return keras.Sequential(layers, name="augmentation")


class Brightness(keras.layers.Layer):
    """Layer that changes the value v of RGB pictures (n, h, w, 3), 0 to 255, to v ** gamma, one gamma per picture.

    Gamma makes middle grey lighter or darker by a random share of white between -maximum and maximum. Black and white
    do not change; neither do hue and saturation, because all three channels change by the same factor.
    """

    def __init__(self, maximum: float, *, seed: int) -> None:
        super().__init__(name="brightness")
        self._maximum, self._seed_generator = maximum, keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """Return the varied pictures, or the pictures unchanged outside training: (n, h, w, 3)."""
        if not training:
            return images
        shape = (keras.ops.shape(images)[0], 1, 1, 1)
        shift = keras.random.uniform(shape, -self._maximum, self._maximum, seed=self._seed_generator)
        gamma = keras.ops.log(0.5 + shift) / math.log(0.5)  # (n, 1, 1, 1)
        value = keras.ops.maximum(keras.ops.max(images, axis=-1, keepdims=True) / 255, BLACK_VALUE)  # (n, h, w, 1)
        return images * keras.ops.power(value, gamma - 1)
