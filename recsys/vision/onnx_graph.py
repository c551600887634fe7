"""Build ONNX graphs of convolutional networks, node by node.

Inside a graph, pictures and feature maps are (n, c, h, w), the layout of ONNX. See
https://onnx.ai/onnx/operators/ for the operators.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from recsys.vision.onnx_model import SIDE

OPSET = 20
"""Version of the operators: https://onnx.ai/onnx/operators/."""
IR_VERSION = 10
"""Version of the file format that belongs to `OPSET`."""
EPSILON = 1e-12
"""Lower bound of a squared length, by which a vector is divided; the value of `keras.layers.UnitNormalization`."""

Shape = Sequence[int | str]


class GraphBuilder:
    """A graph with one input and one output. Each method adds nodes and returns the name of their result."""

    def __init__(self, name: str, shape: Shape, *, pixels: bool = False) -> None:
        """Start a graph.

        Args:
            name: name of the graph.
            shape: shape of the input; a string is the name of a dimension of any size.
            pixels: whether the input is uint8; else it is float32.
        """
        self._name = name
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._side: int | None = None
        element = TensorProto.UINT8 if pixels else TensorProto.FLOAT
        self._input = helper.make_tensor_value_info("input", element, shape)

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        output = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """Add an array."""
        name = f"weights_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def pictures(self, side: int) -> str:
        """Return the input pixels (n, h, w, 3) as float32 pictures (n, 3, side, side), 0 to 255.

        They are resized bilinearly where they have another size, as `keras.layers.Resizing` does.
        """
        self._side = side
        x = self.node("Cast", "input", to=TensorProto.FLOAT)
        x = self.node("Transpose", x, perm=[0, 3, 1, 2])
        sizes = self.constant([side, side], np.int64)
        return self.node("Resize", x, "", "", sizes, axes=[2, 3], mode="linear")

    def scale(self, x: str, scale: Any, offset: Any) -> str:
        """Return x · scale + offset; an array has one value for each channel of pictures."""
        factor, term = (self.constant(np.reshape(values, (-1, 1, 1))) for values in (scale, offset))
        return self.node("Add", self.node("Mul", x, factor), term)

    def convolution(
        self,
        x: str,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32] | None = None,
        *,
        stride: int = 1,
        groups: int = 1,
        same: bool = True,
    ) -> str:
        """Convolve; `same` pads as TensorFlow does, the odd pixel on the right and at the bottom.

        Args:
            kernel: (out, in / groups, h, w).
            bias: (out,).
        """
        weights = [self.constant(kernel)] + ([] if bias is None else [self.constant(bias)])
        pad = "SAME_UPPER" if same else "VALID"
        return self.node("Conv", x, *weights, strides=[stride, stride], group=groups, auto_pad=pad)

    def batch_norm(self, x: str, parameters: Sequence[NDArray[np.float32]], epsilon: float) -> str:
        """Normalise by scale, offset, mean and variance (c,) each; ONNX Runtime folds them into the convolution."""
        return self.node("BatchNormalization", x, *map(self.constant, parameters), epsilon=epsilon)

    def relu(self, x: str, maximum: float | None = None) -> str:
        """Rectify; values above the maximum become the maximum."""
        if maximum is None:
            return self.node("Relu", x)
        return self.node("Clip", x, self.constant(0.0), self.constant(maximum))

    def dense(self, x: str, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        """Return x (n, d) · kernel (d, e) + bias (e,)."""
        return self.node("Gemm", x, self.constant(kernel), self.constant(bias))

    def average(self, x: str) -> str:
        """Return the averages (n, c) of feature maps (n, c, h, w)."""
        return self.node("ReduceMean", x, self.constant([2, 3], np.int64), keepdims=0)

    def unit_length(self, x: str) -> str:
        """Scale the rows (n, d) to length 1; a row of zeros stays."""
        squares = self.node("ReduceSumSquare", x, self.constant([1], np.int64), keepdims=1)
        length = self.node("Sqrt", self.node("Max", squares, self.constant(EPSILON)))
        return self.node("Div", x, length)

    def model(self, output: str, shape: Shape) -> onnx.ModelProto:
        """Return the checked model with a float32 output of this shape, and the property `SIDE` if it has pictures."""
        nodes = [*self._nodes, helper.make_node("Identity", [output], ["output"])]
        result = helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)
        graph = helper.make_graph(nodes, self._name, [self._input], [result], self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        if self._side is not None:
            helper.set_model_props(model, {SIDE: str(self._side)})
        onnx.checker.check_model(model)
        return model
