"""Serve the classifier from MLflow: name, brand and picture in, label and confidence out.

MLflow runs this file when it loads the model (https://mlflow.org/docs/latest/ml/model/models-from-code/).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from recsys.models.classifier.label_model import LabelModel


class ServedClassifier(PythonModel):
    """MLflow model that predicts the labels of products.

    Input columns: `name` and `brand` (strings, or null); and `features` (unit vectors) for a head, or `picture` (the
    squared picture as JPEG bytes) for a network, empty or null for a product without a picture.
    """

    def load_context(self, context: Any) -> None:
        """Read the model from its artifact."""
        self.model = LabelModel.load(Path(context.artifacts["classifier"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return label, confidence, runner_up and runner_up_confidence of each product."""
        values = model_input["picture" if self.model.network is not None else "features"]
        has_picture = np.array([value is not None and len(value) > 0 for value in values], bool)
        present = [value for value, exists in zip(values, has_picture, strict=True) if exists]
        inputs = present if self.model.network is not None else np.array(present, np.float32)
        names, brands = model_input["name"].tolist(), model_input["brand"].tolist()
        return self.model.predict(inputs, has_picture, names, brands).drop(columns="evidence")


set_model(ServedClassifier())
