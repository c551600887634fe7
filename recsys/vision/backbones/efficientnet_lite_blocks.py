"""Describe the blocks of EfficientNet-Lite0, -Lite1 and -Lite2, and PyTorch's names of their weights.

Source: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
"""Channels of stem and head; the lite models do not scale them."""
BATCH_NORM_EPSILON = 1e-3
MEAN, DEVIATION = 127.0, 128.0
"""Preprocessing of a pixel x: (x - 127) / 128."""


class Scaling(NamedTuple):
    """Factors of EfficientNet-B0's channels and repeats, and the side of the pictures of the training, pixels."""

    width: float
    depth: float
    side: int


SCALING = {
    "efficientnet_lite0": Scaling(1.0, 1.0, 224),
    "efficientnet_lite1": Scaling(1.0, 1.1, 240),
    "efficientnet_lite2": Scaling(1.1, 1.2, 260),
}


class Stage(NamedTuple):
    """Repeated blocks of EfficientNet-B0; the first one has the stride and changes the number of channels."""

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


class Block(NamedTuple):
    """An inverted residual block: expand the channels, filter each one separately, project back.

    Attributes:
        name: Keras's name, such as `block3`.
        kernel, stride: of the depthwise convolution.
        expansion: factor of the channels; 1 has no expanding convolution.
        channels: channels of the result.
        adds_input: whether the input is added to the result.
    """

    name: str
    kernel: int
    stride: int
    expansion: int
    channels: int
    adds_input: bool


def blocks(name: str) -> Iterator[Block]:
    """Yield the blocks of a network in order."""
    scaling, channels, number = SCALING[name], STEM_CHANNELS, 0
    for stage in STAGES:
        is_scaled = stage not in (STAGES[0], STAGES[-1])  # the lite models repeat the first and last block once
        repeats = math.ceil(stage.repeats * scaling.depth) if is_scaled else stage.repeats
        width = _rounded(stage.channels * scaling.width)
        for repeat in range(repeats):
            stride = stage.stride if repeat == 0 else 1
            adds_input = stride == 1 and channels == width
            yield Block(f"block{number}", stage.kernel, stride, stage.expansion, width, adds_input)
            channels, number = width, number + 1


def _rounded(channels: float, divisor: int = 8) -> int:
    """Return a number of channels as a multiple of 8 that is at most a tenth smaller."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


_BLOCK_PARTS = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}
"""PyTorch's convolution and batch norm of each part of a block."""


def torch_name(name: str) -> str:
    """Return PyTorch's name of a layer: `block3_project_bn` is `_blocks.3._bn2`."""
    section, *parts = name.split("_")
    is_batch_norm = parts[-1:] == ["bn"]
    if section == "stem":
        return "_bn0" if is_batch_norm else "_conv_stem"
    if section == "head":
        return "_bn1" if is_batch_norm else "_conv_head"
    return f"_blocks.{section.removeprefix('block')}.{_BLOCK_PARTS[parts[0]][is_batch_norm]}"
