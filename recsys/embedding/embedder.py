"""A trained embedding as a whole: from features or pictures to unit vectors, in a folder of its own.

embedder = Embedder.load(folder)
embedder.embed_features(features)    (n, d) float32 unit features of its backbone  →  (n, e) float32, unit
embedder.embed_pictures(images)      (n, h, w, 3) uint8 RGB                        →  (n, e) float32, unit

A head knows its backbone by name, and is a small file; saved `whole`, it brings the backbone along.
"""

from __future__ import annotations

import functools
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.configuration import Backbone
from recsys.errors import TrainingError

DAMAGED = (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile)
"""What reading a damaged embedding raises, by which of its files is damaged."""

ROWS = 4_096
"""Features that a head sees at once, at most; fewer are filled up to a power of two."""
PICTURES = 8
"""Pictures that a network sees at once: as fast as any on 2 cores, see `recsys.backbones`."""


@dataclass(eq=False)
class Embedder:
    """A trained embedding.

    Attributes:
        version: names its vectors in the store.
        sees: `features`, which a head was trained on; or `pictures`, which a network was.
        size: e, numbers of a vector.
        backbone: name, weights and input_size of what gives a head its features; of a network, what it started from.
        model: the Keras model, head or network; None where it was saved whole and loaded to see pictures.
    """

    version: str
    sees: str
    size: int
    backbone: dict[str, Any]
    model: Any
    _whole: Any = field(default=None, repr=False)

    @classmethod
    def of_head(cls, version: str, model: Any, backbone: Backbone) -> Embedder:
        """Return a trained head with the backbone that it was trained on."""
        told = backbone.model_dump(include={"name", "weights", "input_size"})
        return cls(version, "features", model.output_shape[1], told, model)

    @classmethod
    def of_network(cls, version: str, model: Any) -> Embedder:
        """Return a trained network, which sees pictures alone."""
        size = {"input_size": model.input_shape[1]}
        return cls(version, "pictures", model.output_shape[1], size, model)

    def embed_features(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, e) float32 rows of unit length, given unit features (n, d) of its backbone.

        Raises:
            TrainingError: it was trained on pictures, and sees nothing else; or the features are of another length.
        """
        if self.sees != "features":
            raise TrainingError(f"embedding {self.version} sees pictures, not features of a backbone")
        if features.shape[1] != self.model.input_shape[1]:
            raise TrainingError(
                f"embedding {self.version} is of features of length {self.model.input_shape[1]}, not "
                f"{features.shape[1]}: the configured backbone is another than {self.backbone['name']}; train anew"
            )
        return _predicted(self.model, np.asarray(features, np.float32), self.size, ROWS)

    def embed_pictures(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (n, e) float32 rows of unit length, given RGB pictures (n, h, w, 3) uint8, resized where need be.

        Raises:
            WeightsError: those of a head's backbone cannot be had.
        """
        return _predicted(self.whole, images, self.size, PICTURES)

    @functools.cached_property
    def whole(self) -> Any:
        """Return the Keras model from pictures (n, h, w, 3), preprocessing inside, to unit vectors (n, e) float32.

        Raises:
            WeightsError: those of a head's backbone cannot be had.
        """
        if self._whole is not None:
            return self._whole
        from recsys.backbones import FeatureExtractor
        from recsys.backbones.quiet_keras import keras

        if self.sees == "features":
            seen = FeatureExtractor(**self.backbone).model
            return keras.Model(seen.input, self.model(seen.output), name="embedder")
        images = keras.Input((None, None, 3), name="image")
        side = self.backbone["input_size"]
        return keras.Model(images, self.model(keras.layers.Resizing(side, side)(images)), name="embedder")

    def save(self, folder: Path, *, whole: bool = False) -> None:
        """Write the embedding to a folder, which is made where it is missing.

        Args:
            whole: with the backbone that a head needs for pictures, so that nothing else is needed where it is loaded.
        """
        from recsys.backbones.quiet_keras import keras

        folder.mkdir(parents=True, exist_ok=True)
        # a model of its own, since the one that was trained brings its optimizer, larger than itself
        keras.Model(self.model.inputs, self.model.outputs).save(folder / "model.keras")
        if whole:
            self.whole.save(folder / "whole.keras")
        told = {name: getattr(self, name) for name in ("version", "sees", "size", "backbone")}
        (folder / "embedding.json").write_text(json.dumps(told, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Embedder:
        """Return the embedding that `save` wrote.

        Raises:
            TrainingError: it is not there, or damaged.
        """
        from recsys.backbones.quiet_keras import keras

        try:
            told = json.loads((folder / "embedding.json").read_text(encoding="utf-8"))
            model = keras.models.load_model(folder / "model.keras", compile=False)
            file = folder / "whole.keras"
            whole = keras.models.load_model(file, compile=False) if file.exists() else None
            return cls(**told, model=model, _whole=whole)
        except DAMAGED as error:
            reason = " ".join(str(error).split())[:200]
            raise TrainingError(f"embedding {folder} is damaged or missing ({reason}); run 'recsys train'") from error


def _predicted(model: Any, rows: NDArray[Any], size: int, at_once: int) -> NDArray[np.float32]:
    """Return what a model says of rows, (n, size); batches are filled up, since Keras compiles anew for each length."""
    vectors = np.empty((len(rows), size), np.float32)
    for start in range(0, len(rows), at_once):
        batch = rows[start : start + at_once]
        length = min(at_once, 1 << (len(batch) - 1).bit_length())
        blank = np.zeros((length - len(batch), *batch.shape[1:]), batch.dtype)
        said = model.predict_on_batch(np.concatenate([batch, blank]) if len(blank) else batch)
        vectors[start : start + len(batch)] = said[: len(batch)]
    return vectors
