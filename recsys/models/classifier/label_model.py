"""The classifier as a whole: what the picture says and what the row says, calibrated, with the threshold that fills.

model = LabelModel.load(folder)
model.predict(shown, has_picture, names, brands)    →  label, confidence, runner-up, evidence
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

from recsys.core.errors import TrainingError
from recsys.models.classifier.calibration import Calibration, evidence
from recsys.models.text_model import TextModel, Texts, has_text
from recsys.vision.loading import pictures

DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, zipfile.BadZipFile)
"""What reading a damaged model raises, by which of its files is damaged."""

AT_ONCE = 8
"""Pictures that a network sees at once: as fast as any on 2 cores, see `recsys.vision.backbones`."""


@dataclass(frozen=True, eq=False)
class LabelModel:
    """A trained classifier.

    Attributes:
        version: names it in the store, see `recsys.models.classifier.registry`.
        labels: that it knows, in the order of the scores.
        calibration: of the scores.
        threshold: the least confidence that fills a label; None where none is right often enough.
        head: from features (n, d) to scores (n, k); None where no product had a picture, or there is a network.
        network: from pictures (n, s, s, 3) uint8 to probabilities (n, k); None where there is a head, or no picture.
        text: None where the recipe wants none, or no product has a name.
    """

    version: str
    labels: tuple[str, ...]
    calibration: Calibration
    threshold: float | None
    head: Any = None
    network: Any = None
    text: TextModel | None = None

    def predict(
        self,
        shown: NDArray[np.float32] | Sequence[bytes],
        has_picture: NDArray[np.bool_],
        names: Texts,
        brands: Texts,
    ) -> pd.DataFrame:
        """Return what it says of n products.

        Args:
            shown: of those that have a picture, in their order: for a head their unit features (m, d), for a network
                the m squared pictures as JPEG bytes.
            has_picture: (n,), m of them true.
            names, brands: n each.

        Returns:
            As `told`.
        """
        picture = None
        if self.head is not None or self.network is not None:
            picture = np.full((len(has_picture), len(self.labels)), np.nan, np.float32)
            if has_picture.any():
                picture[has_picture] = np.asarray(self.head(shown)) if self.network is None else self._see(shown)
        text = self.text.logits(names, brands) if self.text is not None else None
        given = (picture, text, has_picture, has_text(names, brands))
        return told(self.calibration.probabilities(*given), evidence(*given), self.labels)

    def _see(self, jpegs: Any) -> NDArray[np.float32]:
        from recsys.models.classifier.network import logits

        load = pictures(jpegs, self.network.input_shape[1])
        return logits(self.network, load, np.arange(len(jpegs)), AT_ONCE)

    def save(self, folder: Path) -> None:
        """Write the model to a folder, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.head is not None:
            self.head.save(folder / "head.keras")
        if self.network is not None:
            import keras

            # a model of its own, since the one that was trained brings its optimizer, larger than itself
            keras.Model(self.network.inputs, self.network.outputs).save(folder / "network.keras")
        if self.text is not None:
            self.text.save(folder / "text")
        about = {
            "version": self.version,
            "labels": self.labels,
            "threshold": self.threshold,
            "sees": "features" if self.head is not None else "pictures" if self.network is not None else None,
            "text": self.text is not None,
            "calibration": dataclasses.asdict(self.calibration),
        }
        (folder / "classifier.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> LabelModel:
        """Return the model that `save` wrote.

        Raises:
            TrainingError: it is not there, or damaged.
        """
        try:
            about = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
            # models of before there were networks say neither
            sees = about.get("sees", "features" if (folder / "head.keras").exists() else None)
            text = about.get("text", (folder / "text").exists())
            return cls(
                version=about["version"],
                labels=tuple(about["labels"]),
                calibration=Calibration.from_dict(about["calibration"]),
                threshold=about["threshold"],
                head=_loaded(folder / "head.keras") if sees == "features" else None,
                network=_loaded(folder / "network.keras") if sees == "pictures" else None,
                text=TextModel.load(folder / "text") if text else None,
            )
        except DAMAGED as error:
            reason = " ".join(str(error).split())[:200]
            raise TrainingError(
                f"classifier {folder} is damaged or missing ({reason}); run 'recsys train classifier'"
            ) from error


def _loaded(file: Path) -> Any:
    import keras

    return keras.models.load_model(file, compile=False)


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
