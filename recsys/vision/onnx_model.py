"""Run models with ONNX Runtime, which starts at once and needs no TensorFlow.

model = OnnxModel(path)
model(pictures)             # (n, h, w, 3) uint8  →  (n, d) float32
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recsys.core.device import usable_cores
from recsys.core.errors import ConfigurationError, WeightsError

Device = Literal["auto", "cpu", "cuda"]
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""ONNX Runtime's name of each device."""
SIDE = "side"
"""Name of the model's property with the side of its pictures, pixels."""
ERRORS_ONLY = 3
"""Lowest severity of ONNX Runtime's messages that is printed."""


class OnnxModel:
    """A model with one input and one output. It may be called from several threads.

    Attributes:
        input_shape: shape of the input; None for a dimension of any size.
        output_shape: shape of the output, likewise.
        side: side to which the model resizes pictures, pixels; None if it does not say so.
    """

    def __init__(self, source: Path | bytes, device: Device = "auto") -> None:
        """Load a model.

        Args:
            source: path or content of an ONNX file.
            device: where it runs; `auto` is a GPU if the installed ONNX Runtime can use one.

        Raises:
            ConfigurationError: the device is not available.
            WeightsError: the file is missing, damaged, or no model with one input and one output.
        """
        self._session = load_session(source, device)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            count = f"{len(inputs)} inputs and {len(outputs)} outputs"
            raise WeightsError(f"{source!s:.200}: a model with {count}, not one each")
        self._input, self._output = inputs[0], outputs[0]
        self.input_shape, self.output_shape = shape_of(self._input), shape_of(self._output)
        side = self._session.get_modelmeta().custom_metadata_map.get(SIDE)
        self.side = int(side) if side else None

    def __call__(self, inputs: NDArray[Any], batch_size: int = 1) -> NDArray[np.float32]:
        """Return the outputs (n, ...) float32 of inputs (n, ...).

        Args:
            batch_size: inputs per run. On a CPU 1 is as fast as more, needs the least memory, and makes each output
                independent of the other inputs.
        """
        if not len(inputs):
            return np.zeros((0, *(size or 0 for size in self.output_shape[1:])), np.float32)
        batches = [inputs[start : start + batch_size] for start in range(0, len(inputs), batch_size)]
        if len(batches) == 1:
            return self._run(inputs)
        with ThreadPoolExecutor(usable_cores()) as pool:  # a thread idles where a model has too little work for all
            return np.concatenate(list(pool.map(self._run, batches)))

    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        outputs: NDArray[np.float32] = self._session.run(None, {self._input.name: batch})[0]
        return outputs


def load_session(source: Path | bytes, device: Device) -> Any:
    """Return a model as ONNX Runtime's session. Arguments and errors as `OnnxModel`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.log_severity_level = ERRORS_ONLY
    # Threads that spin while they wait slow down those of NumPy, which work between two photos.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = _providers(device)
    content = source if isinstance(source, bytes) else str(source)
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # ONNX Runtime has an exception class of its own for each cause
        name = "the ONNX model" if isinstance(source, bytes) else source
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"{name}: not a model that ONNX Runtime can load ({reason})") from error


def _providers(device: Device) -> list[str]:
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if device == "cuda" and PROVIDERS["cuda"] not in available:
        raise ConfigurationError(
            "backbone.device is cuda, which the installed ONNX Runtime cannot use: install onnxruntime-gpu instead of "
            "onnxruntime, or set backbone.device to cpu"
        )
    names = ["cuda", "cpu"] if device != "cpu" else ["cpu"]
    return [PROVIDERS[name] for name in names if PROVIDERS[name] in available]


def shape_of(value: Any) -> tuple[int | None, ...]:
    """Return the shape of a model's input or output; None for a dimension of any size."""
    return tuple(size if isinstance(size, int) else None for size in value.shape)
