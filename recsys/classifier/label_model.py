"""The classifier as a whole: what the picture says and what the row says, calibrated, with the threshold that fills.

model = LabelModel.load(folder)
model.predict(features, has_picture, names, brands)    →  label, confidence, runner-up, evidence
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.classifier.calibration import Calibration, evidence
from recsys.classifier.text import TextModel, Texts, has_text

NOTHING = ("none",)


@dataclass(frozen=True, eq=False)
class LabelModel:
    """A trained classifier.

    Attributes:
        version: names it in the store, see `recsys.classifier.registry`.
        labels: that it knows, in the order of the scores.
        calibration: of the scores.
        threshold: the least confidence that fills a label; None where none is right often enough.
        head: from features (n, d) to scores (n, k); None where no product had a picture.
        text: None where the recipe wants none, or no product has a name.
    """

    version: str
    labels: tuple[str, ...]
    calibration: Calibration
    threshold: float | None
    head: Any = None
    text: TextModel | None = None

    def predict(
        self, features: NDArray[np.float32], has_picture: NDArray[np.bool_], names: Texts, brands: Texts
    ) -> pd.DataFrame:
        """Return what it says of n products.

        Args:
            features: (m, d), unit features of those that have a picture, in their order.
            has_picture: (n,), m of them true.
            names, brands: n each.

        Returns:
            As `told`.
        """
        picture = None
        if self.head is not None:
            picture = np.full((len(has_picture), len(self.labels)), np.nan, np.float32)
            if has_picture.any():
                picture[has_picture] = np.asarray(self.head(features))
        text = self.text.logits(names, brands) if self.text is not None else None
        given = (picture, text, has_picture, has_text(names, brands))
        return told(self.calibration.probabilities(*given), evidence(*given), self.labels)

    def save(self, folder: Path) -> None:
        """Write the model to a folder, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.head is not None:
            self.head.save(folder / "head.keras")
        if self.text is not None:
            self.text.save(folder / "text")
        about = {
            "version": self.version,
            "labels": self.labels,
            "threshold": self.threshold,
            "calibration": dataclasses.asdict(self.calibration),
        }
        (folder / "classifier.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> LabelModel:
        """Return the model that `save` wrote.

        Raises:
            OSError: a file cannot be read.
        """
        about = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
        head = None
        if (folder / "head.keras").exists():
            from recsys.backbones.quiet_keras import keras

            head = keras.models.load_model(folder / "head.keras", compile=False)
        return cls(
            version=about["version"],
            labels=tuple(about["labels"]),
            calibration=Calibration.from_dict(about["calibration"]),
            threshold=about["threshold"],
            head=head,
            text=TextModel.load(folder / "text") if (folder / "text").exists() else None,
        )


def told(probabilities: NDArray[np.float64], by: NDArray[np.object_], labels: Sequence[str]) -> pd.DataFrame:
    """Return probabilities (n, k) as predictions.

    Columns: label, confidence, runner_up, runner_up_confidence (null where there is one label only), evidence; all null
    where there is nothing to judge by.
    """
    names = np.array(labels, dtype=object)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    rows = np.arange(len(probabilities))
    frame = pd.DataFrame({"label": names[order[:, 0]], "confidence": probabilities[rows, order[:, 0]]})
    several = len(names) > 1
    frame["runner_up"] = names[order[:, 1]] if several else None
    frame["runner_up_confidence"] = probabilities[rows, order[:, 1]] if several else np.nan
    frame["evidence"] = by
    frame = frame.astype({"label": object, "runner_up": object, "evidence": object})
    frame.loc[by == "none"] = None
    return frame
