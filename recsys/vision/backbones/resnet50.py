"""ResNet50 as `keras.applications` has it, with the preprocessing that its weights were trained with inside.

The original project's backbone. Paper: https://arxiv.org/abs/1512.03385.
"""

from __future__ import annotations

from pathlib import Path

import keras

from recsys.vision.backbones.weights import load_keras_weights

# Caffe's preprocessing: channels from RGB to BGR, and ImageNet's mean of each taken off; no scaling.
MEAN_BGR = (103.939, 116.779, 123.68)


def build(weights: Path | None, input_size: int) -> keras.Model:
    """Return the network from RGB pixels to its last feature map.

    In: (n, s, s, 3), uint8 or float, 0 to 255, s = `input_size`, at least 32. Out: (n, s / 32, s / 32, 2048)
    float.

    Args:
        weights: a Keras weights file (`.h5`) without the top; None leaves them random.

    Raises:
        WeightsError: the file is no weights file, or one of another network.
    """
    inputs = keras.Input((input_size, input_size, 3), name="image")
    bgr = inputs[..., ::-1]
    x = keras.layers.Rescaling(1.0, offset=[-mean for mean in MEAN_BGR], name="preprocess")(bgr)
    network = keras.applications.ResNet50(include_top=False, weights=None, input_tensor=x)
    model = keras.Model(inputs, network.output, name="resnet50")
    if weights is not None:
        load_keras_weights(model, weights)
    return model
