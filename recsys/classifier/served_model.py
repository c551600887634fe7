"""The classifier as MLflow keeps and serves it: name, brand and features in, label and confidence out.

MLflow runs this file where it loads the model (https://mlflow.org/docs/latest/ml/model/models-from-code/).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from recsys.classifier.label_model import LabelModel


class ServedClassifier(PythonModel):
    """Answers for products: `name` and `brand` (strings, or null), and `features` of the picture, empty without one."""

    def load_context(self, context: Any) -> None:
        """Read the model from its artifact."""
        self.model = LabelModel.load(Path(context.artifacts["classifier"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return label, confidence, runner_up and runner_up_confidence of each product."""
        given = [np.asarray([] if row is None else row, np.float32) for row in model_input["features"]]
        pictured = np.array([len(row) > 0 for row in given], bool)
        features = np.stack([row for row in given if len(row)]) if pictured.any() else np.empty((0, 0), np.float32)
        names, brands = model_input["name"].tolist(), model_input["brand"].tolist()
        return self.model.predict(features, pictured, names, brands).drop(columns="evidence")


set_model(ServedClassifier())
