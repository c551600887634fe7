"""Build ResNet50 of `keras.applications`, with the preprocessing of its weights inside.

The original project's backbone. Paper: https://arxiv.org/abs/1512.03385.
"""

from pathlib import Path

import keras

from recsys.vision.backbones.weights import load_keras_weights

MEAN_BGR = (103.939, 116.779, 123.68)
"""ImageNet mean of each channel, 0 to 255. Caffe's preprocessing subtracts it after RGB to BGR and does not scale."""


def build(weights: Path | None, input_size: int) -> keras.Model:
    """Return the network from RGB pixels to its last feature map.

    In: (n, s, s, 3), uint8 or float, 0 to 255, s = `input_size`, at least 32. Out: (n, s / 32, s / 32, 2048) float.

    Args:
        weights: a Keras weights file (`.h5`) without the top; None leaves them random.
        input_size: s, pixels.

    Raises:
        WeightsError: the file is not a weights file, or does not fit this network.
    """
    inputs = keras.Input((input_size, input_size, 3), name="image")
    bgr = inputs[..., ::-1]
    x = keras.layers.Rescaling(1.0, offset=[-mean for mean in MEAN_BGR], name="preprocess")(bgr)  # (n, s, s, 3)
    network = keras.applications.ResNet50(include_top=False, weights=None, input_tensor=x)
    model = keras.Model(inputs, network.output, name="resnet50")
    if weights is not None:
        load_keras_weights(model, weights)
    return model
