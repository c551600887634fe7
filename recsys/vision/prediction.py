"""Run a Keras model on many inputs, in batches of few different lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras


def predict_in_batches(model: keras.Model, inputs: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
    """Return the outputs of a model, (n, d) float32, for inputs (n, ...).

    The last batch is padded with zeros to a power of two, because Keras compiles the model again for each new length.
    """
    outputs = np.empty((len(inputs), *model.output_shape[1:]), np.float32)
    for start in range(0, len(inputs), batch_size):
        batch = inputs[start : start + batch_size]
        length = min(batch_size, 1 << (len(batch) - 1).bit_length())
        padding = np.zeros((length - len(batch), *batch.shape[1:]), batch.dtype)
        padded = np.concatenate([batch, padding]) if len(padding) else batch
        outputs[start : start + len(batch)] = model.predict_on_batch(padded)[: len(batch)]
    return outputs
