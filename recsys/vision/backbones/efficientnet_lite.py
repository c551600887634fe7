"""Build EfficientNet-Lite0, -Lite1 and -Lite2 in Keras, to train them.

Variants of EfficientNet for small devices: no squeeze-and-excitation, ReLU6 instead of swish. Strided convolutions
pad as TensorFlow does: `same`, the odd pixel on the right and at the bottom.

Papers: https://arxiv.org/abs/1905.11946 (EfficientNet), https://arxiv.org/abs/1801.04381 (its blocks).
"""

from pathlib import Path

import keras
import numpy as np

from recsys.core.errors import WeightsError
from recsys.vision.backbones.efficientnet_lite_blocks import (
    BATCH_NORM_EPSILON,
    DEVIATION,
    HEAD_CHANNELS,
    MEAN,
    STEM_CHANNELS,
    Block,
    blocks,
    torch_name,
)
from recsys.vision.backbones.torch_pickle import read_state_dict
from recsys.vision.backbones.weights import is_keras, load_keras_weights

BATCH_NORM_MOMENTUM = 0.99


def build(name: str, weights: Path | None, input_size: int) -> keras.Model:
    """Return the network from RGB pixels to its last feature map.

    In: (n, s, s, 3), uint8 or float, 0 to 255, s = `input_size`. Out: (n, s / 32, s / 32, 1280) float.
    Preprocessing, (x - 127) / 128, is the first layer.

    Args:
        name: `efficientnet_lite0`, `efficientnet_lite1` or `efficientnet_lite2`.
        weights: a legacy PyTorch state dict, or Keras weights (`.h5`, `.keras`); None leaves them random.
        input_size: s, pixels.

    Raises:
        WeightsError: the file is not a weights file, or does not fit this network.
    """
    inputs = keras.Input((input_size, input_size, 3), name="image")
    x = keras.layers.Rescaling(1 / DEVIATION, offset=-MEAN / DEVIATION, name="preprocess")(inputs)
    x = _convolution(x, STEM_CHANNELS, kernel=3, stride=2, name="stem")  # (n, s / 2, s / 2, 32)
    for block in blocks(name):
        x = _inverted_residual(x, block)
    x = _convolution(x, HEAD_CHANNELS, kernel=1, stride=1, name="head")  # (n, s / 32, s / 32, 1280)
    model = keras.Model(inputs, x, name=name)
    if weights is not None and is_keras(weights):
        load_keras_weights(model, weights)
    elif weights is not None:
        load_state_dict(model, read_state_dict(weights), source=str(weights))
    return model


def _inverted_residual(x: keras.KerasTensor, block: Block) -> keras.KerasTensor:
    """Add a block: (n, h, w, c) -> (n, h / stride, w / stride, block.channels)."""
    shortcut, channels, name = x, x.shape[-1], block.name
    if block.expansion != 1:
        x = _convolution(x, channels * block.expansion, kernel=1, stride=1, name=f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(
        block.kernel, block.stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = _batch_norm(x, f"{name}_depthwise")
    x = keras.layers.ReLU(6, name=f"{name}_depthwise_relu")(x)
    x = keras.layers.Conv2D(block.channels, 1, use_bias=False, name=f"{name}_project")(x)
    x = _batch_norm(x, f"{name}_project")
    return keras.layers.Add(name=f"{name}_add")([shortcut, x]) if block.adds_input else x


def _convolution(x: keras.KerasTensor, channels: int, kernel: int, stride: int, name: str) -> keras.KerasTensor:
    x = keras.layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=name)(x)
    x = _batch_norm(x, name)
    return keras.layers.ReLU(6, name=f"{name}_relu")(x)


def _batch_norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, name=f"{name}_bn")(
        x
    )


def load_state_dict(model: keras.Model, state: dict[str, np.ndarray], source: str) -> None:
    """Set the model's weights from a PyTorch state dict; kernels change from (out, in, h, w) to (h, w, in, out).

    Raises:
        WeightsError: `state` lacks a tensor, or a tensor has a wrong shape.
    """
    for layer in model.layers:
        if not layer.weights:
            continue
        name = torch_name(layer.name)
        try:
            if isinstance(layer, keras.layers.BatchNormalization):
                parts = ("weight", "bias", "running_mean", "running_var")
                layer.set_weights([state[f"{name}.{part}"] for part in parts])
            elif isinstance(layer, keras.layers.DepthwiseConv2D):
                layer.set_weights([state[f"{name}.weight"].transpose(2, 3, 0, 1)])  # from (out, 1, h, w)
            else:
                layer.set_weights([state[f"{name}.weight"].transpose(2, 3, 1, 0)])
        except (KeyError, ValueError) as error:
            raise WeightsError(
                f"{source}: not weights of {model.name}: {name} is missing or has a wrong shape"
            ) from error
