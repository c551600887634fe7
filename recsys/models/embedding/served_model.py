"""The embedding as an MLflow model: pictures in, unit vectors out.

    model = mlflow.pyfunc.load_model("models:/product-embedding@champion")
    model.predict(pictures)     # (n, h, w, 3) uint8 RGB  →  (n, e) float32, rows of unit length

Pictures may have any size: they are squared like those of the catalogue, the longest side scaled to 256 on white. For
the squared picture of a product, which the service returns (`GET /images/ID`), the result is its stored embedding.

MLflow runs this file when it loads the model (https://mlflow.org/docs/latest/ml/model/models-from-code/).
"""

from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import ModelSignature, set_model
from mlflow.pyfunc import PythonModel
from mlflow.types.schema import Schema, TensorSpec
from numpy.typing import NDArray

from recsys.models.embedding.embedder import Embedder
from recsys.vision.square import square

SIDE = 256
"""Side of a squared picture, pixels."""
PHOTOS = (-1, -1, -1, 3)


def signature(size: int) -> ModelSignature:
    """Return the schema of inputs and outputs for vectors of `size` numbers."""
    photos = Schema([TensorSpec(np.dtype(np.uint8), PHOTOS)])
    return ModelSignature(photos, Schema([TensorSpec(np.dtype(np.float32), (-1, size))]))


class ServedEmbedding(PythonModel):
    """Computes vectors of pictures."""

    def load_context(self, context: Any) -> None:
        """Read the model, its backbone included, from its artifact."""
        self.embedder = Embedder.load(Path(context.artifacts["embedder"]))

    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> NDArray[np.float32]:
        """Return (n, e) float32 unit vectors of pictures (n, h, w, 3) uint8 RGB."""
        pictures = model_input
        if pictures.ndim != 4 or pictures.shape[3] != 3:
            raise ValueError(f"pictures have the shape {pictures.shape}; use (n, height, width, 3), RGB, uint8")
        if pictures.shape[1:3] != (SIDE, SIDE):
            pictures = np.stack([square(picture, SIDE) for picture in pictures])
        return self.embedder.embed_pictures(pictures)


set_model(ServedEmbedding())
