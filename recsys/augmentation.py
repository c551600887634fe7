"""Augmentation: new pictures of a product from the one at hand, by rotation, flip and colour shift.

The original project grew its small classes so. The squared pictures have white borders, so what a rotation
lays bare is white too. Colours shift after the rotation, so that borders and bared corners stay one colour.
"""

from __future__ import annotations

from recsys.backbones.quiet_keras import keras

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
    the same pictures in the same order of calls.

    Args:
        rotation: degrees, at most, to either side.
        flip: whether half of the pictures are mirrored left to right.
        hue: share of the colour circle, at most, to either side.
        brightness: share of white that is added or taken off, at most.
    """
    pixels = (0.0, 255.0)
    layers = [
        keras.Input((None, None, 3), name="image"),
        keras.layers.RandomRotation(rotation / 360, fill_mode="constant", fill_value=WHITE, seed=seed),
        keras.layers.RandomHue(2 * hue, value_range=pixels, seed=seed + 1),  # its 1 is half the circle
        keras.layers.RandomBrightness(brightness, value_range=pixels, seed=seed + 2),
    ]
    if flip:
        layers.insert(1, keras.layers.RandomFlip("horizontal", seed=seed + 3))
    return keras.Sequential(layers, name="augmentation")
