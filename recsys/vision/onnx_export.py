"""Convert Keras networks to ONNX, on every backend of Keras.

Keras's own `model.export(format="onnx")` needs TensorFlow, which machines that train with JAX may not have. Only the
layers of this project's networks are converted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.core.errors import TrainingError
from recsys.vision.onnx_graph import GraphBuilder

if TYPE_CHECKING:
    import keras

CHANNELS_REVERSED = [2, 1, 0]
"""From RGB to BGR."""


def export(model: keras.Model, *, average: bool = False, unit_length: bool = False) -> bytes:
    """Return a functional Keras model as the content of an ONNX file.

    A model of vectors (n, d) float32 keeps its input. A model of pictures takes RGB pixels (n, h, w, 3) uint8 of any
    size and resizes them to its own. The output is float32.

    Args:
        model: of one input and one output.
        average: average the feature maps (n, h, w, c) of the output to vectors (n, c).
        unit_length: scale the output to length 1.

    Raises:
        TrainingError: the model has a layer that is not known here.
    """
    shape = model.inputs[0].shape
    has_pixels = len(shape) == 4
    graph = GraphBuilder(model.name, ["n", "h", "w", 3] if has_pixels else ["n", shape[1]], pixels=has_pixels)
    names: dict[int, str] = {}
    for layer in model.operations:
        kind = type(layer).__name__
        if kind == "InputLayer":
            names[id(layer.output)] = graph.pictures(shape[1]) if has_pixels else "input"
            continue
        if kind not in CONVERTERS:
            raise TrainingError(f"the layer {layer.name} ({kind}) of {model.name} cannot be converted to ONNX")
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        names[id(layer.output)] = CONVERTERS[kind](graph, layer, *[names[id(each)] for each in inputs])
    output = names[id(model.outputs[0])]
    size = model.outputs[0].shape[-1]
    if average:
        output = graph.average(output)
    if unit_length:
        output = graph.unit_length(output)
    content: bytes = graph.model(output, ["n", size]).SerializeToString()
    return content


def _convolution(graph: GraphBuilder, layer: Any, x: str) -> str:
    kernel, *bias = map(np.asarray, layer.get_weights())  # (h, w, in, out)
    x = graph.convolution(
        x,
        kernel.transpose(3, 2, 0, 1),
        bias[0] if bias else None,
        stride=layer.strides[0],
        same=layer.padding == "same",
    )
    return _activation(graph, layer, x)


def _depthwise(graph: GraphBuilder, layer: Any, x: str) -> str:
    kernel, *bias = map(np.asarray, layer.get_weights())  # (h, w, c, 1)
    return graph.convolution(
        x,
        kernel.transpose(2, 3, 0, 1),
        bias[0] if bias else None,
        stride=layer.strides[0],
        groups=kernel.shape[2],
        same=layer.padding == "same",
    )


def _batch_norm(graph: GraphBuilder, layer: Any, x: str) -> str:
    return graph.batch_norm(x, layer.get_weights(), layer.epsilon)


def _dense(graph: GraphBuilder, layer: Any, x: str) -> str:
    return _activation(graph, layer, graph.dense(x, *layer.get_weights()))


def _activation(graph: GraphBuilder, layer: Any, x: str) -> str:
    name = layer.activation.__name__
    if name == "linear":
        return x
    return graph.node({"relu": "Relu", "softmax": "Softmax"}[name], x)


def _zero_padding(graph: GraphBuilder, layer: Any, x: str) -> str:
    (top, bottom), (left, right) = layer.padding
    return graph.node("Pad", x, graph.constant([0, 0, top, left, 0, 0, bottom, right], np.int64))


def _pooling(graph: GraphBuilder, layer: Any, x: str) -> str:
    operator = {"MaxPooling2D": "MaxPool", "AveragePooling2D": "AveragePool"}[type(layer).__name__]
    pad = "SAME_UPPER" if layer.padding == "same" else "VALID"
    return graph.node(operator, x, kernel_shape=layer.pool_size, strides=layer.strides, auto_pad=pad)


def _flatten(graph: GraphBuilder, layer: Any, x: str) -> str:
    return graph.node("Flatten", graph.node("Transpose", x, perm=[0, 2, 3, 1]))  # in Keras's order: h, w, c


def _rescaling(graph: GraphBuilder, layer: Any, x: str) -> str:
    if len(layer.output.shape) == 4:
        return graph.scale(x, layer.scale, layer.offset)
    return graph.node("Add", graph.node("Mul", x, graph.constant(layer.scale)), graph.constant(layer.offset))


def _reversed_channels(graph: GraphBuilder, layer: Any, x: str) -> str:
    return graph.node("Gather", x, graph.constant(CHANNELS_REVERSED, np.int64), axis=1)


CONVERTERS: dict[str, Callable[..., str]] = {
    "Activation": _activation,
    "Add": lambda graph, layer, x, y: graph.node("Add", x, y),
    "AveragePooling2D": _pooling,
    "BatchNormalization": _batch_norm,
    "Conv2D": _convolution,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Dropout": lambda graph, layer, x: x,
    "Flatten": _flatten,
    "GetItem": _reversed_channels,  # `pixels[..., ::-1]` in `backbones.resnet50`
    "GlobalAveragePooling2D": lambda graph, layer, x: graph.average(x),
    "MaxPooling2D": _pooling,
    "ReLU": lambda graph, layer, x: graph.relu(x, layer.max_value),
    "Rescaling": _rescaling,
    "UnitNormalization": lambda graph, layer, x: graph.unit_length(x),
    "ZeroPadding2D": _zero_padding,
}
"""A function for each kind of layer."""
