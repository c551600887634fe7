"""Keep a trained network in two forms: ONNX, which answers questions, and Keras, which can be trained further."""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from recsys.vision.onnx_model import Device, OnnxModel

if TYPE_CHECKING:
    import keras
    import numpy as np


@dataclass(eq=False)
class TrainedNetwork:
    """A trained network with one input and one output.

    Attributes:
        content: the ONNX model, see `recsys.vision.onnx_export`.
        trained: the Keras model that it was made of; None if the network was loaded.
        device: where it runs.
    """

    content: bytes = field(repr=False)
    trained: keras.Model | None = field(default=None, repr=False)
    device: Device = "auto"

    @classmethod
    def of(cls, model: keras.Model, device: Device = "auto") -> TrainedNetwork:
        """Return a network that Keras has trained.

        Raises:
            TrainingError: it has a layer that cannot be converted.
        """
        from recsys.vision.onnx_export import export

        return cls(export(model), model, device)

    @functools.cached_property
    def model(self) -> OnnxModel:
        """The loaded ONNX model.

        Raises:
            WeightsError: it is damaged.
        """
        return OnnxModel(self.content, self.device)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of the input; None for a dimension of any size."""
        return self.model.input_shape

    def __call__(self, inputs: NDArray[Any], batch_size: int = 1) -> NDArray[np.float32]:
        """Return the outputs (n, ...) float32 of inputs (n, ...), see `OnnxModel`."""
        return self.model(inputs, batch_size)

    def save(self, folder: Path, name: str) -> None:
        """Write `<name>.onnx`, and `<name>.keras` where Keras has trained it, to a folder that exists."""
        if self.trained is not None:
            import keras

            # A new model around the same layers: the trained one would save its optimizer, which is larger.
            keras.Model(self.trained.inputs, self.trained.outputs).save(folder / f"{name}.keras")
        (folder / f"{name}.onnx").write_bytes(self.content)

    @classmethod
    def load(cls, folder: Path, name: str, device: Device = "auto") -> TrainedNetwork:
        """Return a saved network.

        One that was saved before ONNX Runtime was used has only the Keras file: it is converted, and the ONNX file
        written, if the folder is writable.

        Raises:
            OSError, ValueError, WeightsError: its files are missing or damaged.
            TrainingError: the Keras model has a layer that cannot be converted.
        """
        onnx, trained = folder / f"{name}.onnx", folder / f"{name}.keras"
        if onnx.exists() or not trained.exists():
            network = cls(onnx.read_bytes(), device=device)
        else:
            import keras

            network = cls.of(keras.models.load_model(trained, compile=False), device)
            keep(network.content, onnx)
            network.trained = None
        _ = network.model  # a damaged file is found here
        return network


def keep(content: bytes, file: Path) -> None:
    """Write a file at once, with its folder; do nothing where the disk is full or read-only, as a home may be."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(content)
        part.replace(file)
