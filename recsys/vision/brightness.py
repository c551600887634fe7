"""The Keras layer that varies brightness and leaves white white, as `recsys.vision.augmentation` promises."""

from __future__ import annotations

import math
from typing import Any

import keras

DARKEST = 1 / 255
"""Value, of hue, saturation and value, under which a colour is as good as black."""


class Brightness(keras.layers.Layer):
    """Moves the value v of RGB pictures (n, h, w, 3), 0 to 255, to v ** gamma, each picture on its own.

    Gamma is such that middle grey becomes lighter or darker by a share of white that is drawn between -most and most,
    as `recsys.vision.augmentation.augment` does it; black and white stay. Hue and saturation stay, since all three
    channels change by one factor. Outside training it does nothing.
    """

    def __init__(self, most: float, *, seed: int) -> None:
        """Draw shares up to `most`, which is less than a half."""
        super().__init__(name="brightness")
        self._most, self._chance = most, keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """Return the pictures, varied."""
        if not training:
            return images
        each = (keras.ops.shape(images)[0], 1, 1, 1)
        shift = keras.random.uniform(each, -self._most, self._most, seed=self._chance)
        gamma = keras.ops.log(0.5 + shift) / math.log(0.5)
        value = keras.ops.maximum(keras.ops.max(images, axis=-1, keepdims=True) / 255, DARKEST)
        return images * keras.ops.power(value, gamma - 1)
