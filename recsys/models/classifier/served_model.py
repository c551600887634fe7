"""The classifier as MLflow keeps and serves it: name, brand and the picture in, label and confidence out.

MLflow runs this file where it loads the model (https://mlflow.org/docs/latest/ml/model/models-from-code/).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from recsys.models.classifier.label_model import LabelModel


class ServedClassifier(PythonModel):
    """Answers for products: `name` and `brand` (strings, or null), and what it sees of their pictures.

    That is `features`, unit vectors, or, where a network was trained, `picture`, the squared picture as JPEG bytes;
    either is empty, or null, where there is none.
    """

    def load_context(self, context: Any) -> None:
        """Read the model from its artifact."""
        self.model = LabelModel.load(Path(context.artifacts["classifier"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return label, confidence, runner_up and runner_up_confidence of each product."""
        seen = model_input["picture" if self.model.network is not None else "features"]
        pictured = np.array([row is not None and len(row) > 0 for row in seen], bool)
        given = [row for row, there in zip(seen, pictured, strict=True) if there]
        shown = given if self.model.network is not None else np.array(given, np.float32)
        names, brands = model_input["name"].tolist(), model_input["brand"].tolist()
        return self.model.predict(shown, pictured, names, brands).drop(columns="evidence")


set_model(ServedClassifier())
