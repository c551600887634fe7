"""Make the ONNX graph of an EfficientNet-Lite from PyTorch weights, without TensorFlow."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from recsys.core.errors import WeightsError
from recsys.vision.backbones.efficientnet_lite_blocks import (
    BATCH_NORM_EPSILON,
    DEVIATION,
    HEAD_CHANNELS,
    MEAN,
    Block,
    blocks,
    torch_name,
)
from recsys.vision.backbones.torch_pickle import read_state_dict
from recsys.vision.onnx_graph import GraphBuilder

MAXIMUM = 6.0
"""Upper bound of ReLU6."""


def build_graph(name: str, weights: Path, input_size: int) -> onnx.ModelProto:
    """Return the graph from RGB pictures (n, h, w, 3) uint8 to unit-length features (n, 1280) float32.

    Args:
        name: `efficientnet_lite0`, `efficientnet_lite1` or `efficientnet_lite2`.
        weights: a legacy PyTorch state dict.
        input_size: side to which pictures are resized, pixels.

    Raises:
        WeightsError: the file is not a weights file, or does not fit this network.
    """
    network = _Network(name, read_state_dict(weights), str(weights))
    graph = network.graph
    x = graph.scale(graph.pictures(input_size), 1 / DEVIATION, -MEAN / DEVIATION)
    x = network.convolution(x, "stem", stride=2)
    for block in blocks(name):
        x = network.inverted_residual(x, block)
    x = graph.average(network.convolution(x, "head"))
    return graph.model(graph.unit_length(x), ["n", HEAD_CHANNELS])


class _Network:
    """The graph of a network and its weights."""

    def __init__(self, name: str, state: dict[str, NDArray[np.float32]], source: str) -> None:
        self.graph = GraphBuilder(name, ["n", "h", "w", 3], pixels=True)
        self._name, self._state, self._source = name, state, source

    def inverted_residual(self, x: str, block: Block) -> str:
        shortcut = x
        if block.expansion != 1:
            x = self.convolution(x, f"{block.name}_expand")
        x = self.convolution(x, f"{block.name}_depthwise", stride=block.stride, depthwise=True)
        x = self.convolution(x, f"{block.name}_project", rectified=False)
        return self.graph.node("Add", shortcut, x) if block.adds_input else x

    def convolution(
        self, x: str, name: str, *, stride: int = 1, depthwise: bool = False, rectified: bool = True
    ) -> str:
        """Convolve without bias, normalise, and rectify."""
        kernel = self._tensor(f"{torch_name(name)}.weight", dimensions=4)
        x = self.graph.convolution(x, kernel, stride=stride, groups=len(kernel) if depthwise else 1)
        norm = torch_name(f"{name}_bn")
        parts = ("weight", "bias", "running_mean", "running_var")
        parameters = [self._tensor(f"{norm}.{part}", dimensions=1) for part in parts]
        x = self.graph.batch_norm(x, parameters, BATCH_NORM_EPSILON)
        return self.graph.relu(x, MAXIMUM) if rectified else x

    def _tensor(self, name: str, dimensions: int) -> NDArray[np.float32]:
        tensor = self._state.get(name)
        if tensor is None or tensor.ndim != dimensions:
            raise WeightsError(f"{self._source}: not weights of {self._name}: {name} is missing or has a wrong shape")
        return tensor
