"""The embedding as MLflow keeps and serves it: pictures in, unit vectors out; nothing else of this project is needed.

    model = mlflow.pyfunc.load_model("models:/product-embedding@champion")
    model.predict(pictures)     # (n, h, w, 3) uint8 RGB  →  (n, e) float32, rows of unit length

Pictures may be of any size: they are squared as the catalogue's are, the longest side scaled to 256 on white. For the
squared picture of a product, as the store keeps it and the service shows it (`GET /images/ID`), the answer is its
stored embedding.

MLflow runs this file where it loads the model (https://mlflow.org/docs/latest/ml/model/models-from-code/).
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
"""Pixels of a squared picture."""
PHOTOS = (-1, -1, -1, 3)


def signature(size: int) -> ModelSignature:
    """Return what goes in and what comes out, given the numbers of a vector."""
    photos = Schema([TensorSpec(np.dtype(np.uint8), PHOTOS)])
    return ModelSignature(photos, Schema([TensorSpec(np.dtype(np.float32), (-1, size))]))


class ServedEmbedding(PythonModel):
    """Answers for pictures."""

    def load_context(self, context: Any) -> None:
        """Read the model, its backbone included, from its artifact."""
        self.embedder = Embedder.load(Path(context.artifacts["embedder"]))

    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> NDArray[np.float32]:
        """Return (n, e) float32 unit vectors of pictures (n, h, w, 3) uint8 RGB."""
        pictures = model_input
        if pictures.ndim != 4 or pictures.shape[3] != 3:
            raise ValueError(f"pictures of shape {pictures.shape}: (n, height, width, 3) is needed, RGB, uint8")
        if pictures.shape[1:3] != (SIDE, SIDE):
            pictures = np.stack([square(picture, SIDE) for picture in pictures])
        return self.embedder.embed_pictures(pictures)


set_model(ServedEmbedding())
