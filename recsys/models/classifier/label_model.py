"""Predict labels with a trained classifier: picture scores and text scores, calibrated, with a confidence threshold.

model = LabelModel.load(folder)
model.predict(inputs, has_picture, names, brands)    →  label, confidence, runner-up, evidence
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.errors import TrainingError, WeightsError
from recsys.models.classifier.calibration import Calibration, evidence
from recsys.models.text_model import TextModel, Texts, has_text
from recsys.vision.loading import pictures
from recsys.vision.trained_network import TrainedNetwork

DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, WeightsError)
"""Exceptions that reading a damaged model raises, depending on the damaged file."""

FEATURES_PER_BATCH = 4_096
SIDE = 256
"""Side of a squared picture, pixels."""
MIN_PROBABILITY = 1e-12
"""Lower bound of a probability before its logarithm is taken."""

PictureInputs = NDArray[np.float32] | Sequence[bytes]
"""Inputs of the picture model: unit features (m, d) of a head, or m squared pictures as JPEG bytes of a network."""


@dataclass(frozen=True, eq=False)
class LabelModel:
    """Trained classifier.

    Attributes:
        version: its name in the store, see `recsys.models.classifier.registry`.
        labels: names of the k labels, in the order of the scores.
        calibration: calibration of the scores.
        threshold: lowest confidence that fills a label; None if no confidence is enough.
        head: from features (n, d) to scores (n, k); None with a network, or without pictures.
        network: from pictures (n, h, w, 3) uint8 to probabilities (n, k); None with a head, or without pictures.
        text: text model; None if the recipe has none, or no product has a name or brand.
    """

    version: str
    labels: tuple[str, ...]
    calibration: Calibration
    threshold: float | None
    head: TrainedNetwork | None = None
    network: TrainedNetwork | None = None
    text: TextModel | None = None

    def predict(
        self, inputs: PictureInputs, has_picture: NDArray[np.bool_], names: Texts, brands: Texts
    ) -> pd.DataFrame:
        """Return the predictions for n products, see `prediction_table`.

        Args:
            inputs: of the m products that have a picture, in their order.
            has_picture: (n,), m of them true.
            names, brands: n each.
        """
        scores = self._picture_scores(inputs, has_picture), self._text_scores(names, brands)
        return prediction_table(self.calibration.probabilities(*scores), evidence(*scores), self.labels)

    def _picture_scores(self, inputs: PictureInputs, has_picture: NDArray[np.bool_]) -> NDArray[np.float32] | None:
        """Return (n, k) scores, NaN in rows without a picture; None without a picture model."""
        if self.head is None and self.network is None:
            return None
        scores = np.full((len(has_picture), len(self.labels)), np.nan, np.float32)
        if has_picture.any() and self.network is not None:
            scores[has_picture] = self._network_logits(self.network, inputs)
        elif has_picture.any() and self.head is not None:
            scores[has_picture] = self.head(np.asarray(inputs, np.float32), FEATURES_PER_BATCH)
        return scores

    @staticmethod
    def _network_logits(network: TrainedNetwork, jpegs: Any) -> NDArray[np.float32]:
        load = pictures(jpegs, network.model.side or SIDE)
        probabilities = np.concatenate([network(load(np.array([row]))) for row in range(len(jpegs))])
        return np.log(np.maximum(probabilities, MIN_PROBABILITY))

    def _text_scores(self, names: Texts, brands: Texts) -> NDArray[np.float32] | None:
        """Return (n, k) scores, NaN in rows without text; None without a text model."""
        if self.text is None:
            return None
        scores = self.text.logits(names, brands)
        scores[~has_text(names, brands)] = np.nan
        return scores

    def save(self, folder: Path) -> None:
        """Write the model to a folder, which is created if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.head is not None:
            self.head.save(folder, "head")
        if self.network is not None:
            self.network.save(folder, "network")
        if self.text is not None:
            self.text.save(folder / "text")
        metadata = {
            "version": self.version,
            "labels": self.labels,
            "threshold": self.threshold,
            "sees": "features" if self.head is not None else "pictures" if self.network is not None else None,
            "text": self.text is not None,
            "calibration": dataclasses.asdict(self.calibration),
        }
        (folder / "classifier.json").write_text(json.dumps(metadata, ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> LabelModel:
        """Return a saved model.

        Raises:
            TrainingError: it is missing or damaged.
        """
        try:
            return cls._load(folder)
        except DAMAGED as error:
            reason = " ".join(str(error).split())[:200]
            raise TrainingError(
                f"classifier {folder} is damaged or missing ({reason}); run 'recsys train classifier'"
            ) from error

    @classmethod
    def _load(cls, folder: Path) -> LabelModel:
        metadata = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
        # Older models, from before networks were possible, lack the keys `sees` and `text`.
        sees = metadata.get("sees", "features" if (folder / "head.keras").exists() else None)
        has_text_model = metadata.get("text", (folder / "text").exists())
        return cls(
            version=metadata["version"],
            labels=tuple(metadata["labels"]),
            calibration=Calibration.from_dict(metadata["calibration"]),
            threshold=metadata["threshold"],
            head=TrainedNetwork.load(folder, "head") if sees == "features" else None,
            network=TrainedNetwork.load(folder, "network") if sees == "pictures" else None,
            text=TextModel.load(folder / "text") if has_text_model else None,
        )


def prediction_table(
    probabilities: NDArray[np.float64], sources: NDArray[np.object_], labels: Sequence[str]
) -> pd.DataFrame:
    """Return probabilities (n, k) as a table of predictions.

    Columns: label, confidence, runner_up, runner_up_confidence (null if there is only one label), evidence (see
    `calibration.evidence`). A row without evidence is null in all columns.
    """
    names = np.array(labels, dtype=object)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    rows = np.arange(len(probabilities))
    table = pd.DataFrame({"label": names[order[:, 0]], "confidence": probabilities[rows, order[:, 0]]})
    has_runner_up = len(names) > 1
    table["runner_up"] = names[order[:, 1]] if has_runner_up else None
    table["runner_up_confidence"] = probabilities[rows, order[:, 1]] if has_runner_up else np.nan
    table["evidence"] = sources
    table = table.astype({"label": object, "runner_up": object, "evidence": object})
    table.loc[sources == "none"] = None
    return table
