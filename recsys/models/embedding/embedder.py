"""A trained embedding as a whole: from features or pictures to unit vectors, in a folder of its own.

embedder = Embedder.load(folder)
embedder.embed_features(features, histograms)   what the store has of pictures   →  (n, e) float32, rows of unit length
embedder.embed_pictures(images)                 (n, h, w, 3) uint8 RGB           →  the same

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

from recsys.core.configuration import Colour, Configuration
from recsys.core.errors import TrainingError
from recsys.vision.colour import histogram

TOLD = ("version", "sees", "size", "backbone", "colour", "colour_weight")
"""Attributes that a JSON file keeps beside the model."""

DAMAGED = (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile)
"""What reading a damaged embedding raises, by which of its files is damaged."""

POWER = 0.25
"""Of a histogram's bins, as a head sees them."""
ROWS = 4_096
"""Features that a head sees at once, at most; fewer are filled up to a power of two."""
PICTURES = 8
"""Pictures that a network sees at once: as fast as any on 2 cores, see `recsys.vision.backbones`."""


def beside(features: NDArray[np.float32], histograms: NDArray[np.float32], colour_weight: float) -> NDArray[np.float32]:
    """Return what a head sees of pictures, (n, d) or (n, d + bins): their features, and their colours if they weigh.

    Of a histogram the fourth root is taken, brought to unit length, so that the few pixels of an emblem or a seam say
    something beside the many of the cloth. It is the power normalisation of F. Perronnin et al., "Improving the Fisher
    kernel for large-scale image classification" (ECCV 2010).

    Args:
        features: (n, d), of unit length.
        histograms: (n, bins), summing to 1.
        colour_weight: see `recsys.models.embedding.recipe.Recipe`.
    """
    if not colour_weight:
        return features
    colours = np.power(histograms, POWER, dtype=np.float32)
    colours /= np.linalg.norm(colours, axis=1, keepdims=True)
    return np.concatenate([features, np.float32(colour_weight) * colours], axis=1)


@dataclass(eq=False)
class Embedder:
    """A trained embedding.

    Attributes:
        version: names its vectors in the store.
        sees: `features`, which a head was trained on; or `pictures`, which a network was.
        size: e, numbers of a vector.
        backbone: name, weights and input_size of what gives a head its features; of a network, what it started from.
        colour: the section `colour` of the histograms that a head sees beside them.
        colour_weight: of these, see `beside`.
        model: the Keras model, head or network.
    """

    version: str
    sees: str
    size: int
    backbone: dict[str, Any]
    colour: dict[str, Any]
    colour_weight: float
    model: Any
    _backbone_model: Any = field(default=None, repr=False)

    @classmethod
    def of_head(cls, version: str, model: Any, configuration: Configuration, colour_weight: float) -> Embedder:
        """Return a trained head with the backbone and the histograms that it was trained on."""
        backbone = configuration.backbone.model_dump(include={"name", "weights", "input_size"})
        colour = configuration.colour.model_dump()
        return cls(version, "features", model.output_shape[1], backbone, colour, colour_weight, model)

    @classmethod
    def of_network(cls, version: str, model: Any) -> Embedder:
        """Return a trained network, which sees pictures alone."""
        size = {"input_size": model.input_shape[1]}
        return cls(version, "pictures", model.output_shape[1], size, {}, 0.0, model)

    def embed_features(self, features: NDArray[np.float32], histograms: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, e) float32 rows of unit length, given what a head sees.

        Args:
            features: (n, d), rows of unit length, of its backbone.
            histograms: (n, bins), rows that sum to 1.

        Raises:
            TrainingError: it was trained on pictures, and sees nothing else; or the features are of another length.
        """
        if self.sees != "features":
            raise TrainingError(f"embedding {self.version} sees pictures, not features of a backbone")
        seen = beside(features, histograms, self.colour_weight)
        if seen.shape[1] != self.model.input_shape[1]:
            raise TrainingError(
                f"embedding {self.version} sees {self.model.input_shape[1]} numbers of a picture, not "
                f"{seen.shape[1]}: the configured backbone is another than {self.backbone['name']}, or the histograms "
                "have other bins; train anew"
            )
        return _predicted(self.model, np.asarray(seen, np.float32), self.size, ROWS)

    def embed_pictures(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (n, e) float32 rows of unit length, given RGB pictures (n, h, w, 3) uint8, squared.

        Raises:
            WeightsError: those of a head's backbone cannot be had.
        """
        if self.sees != "features":
            return _predicted(self._resizing, images, self.size, PICTURES)
        seen_by = self.backbone_model
        features = _predicted(seen_by, images, seen_by.output_shape[1], PICTURES)
        settings = Colour.model_validate(self.colour)
        return self.embed_features(features, np.stack([histogram(image, settings) for image in images]))

    @property
    def backbone_model(self) -> Any:
        """The Keras model from pictures (n, h, w, 3), preprocessing inside, to a head's features (n, d).

        Raises:
            WeightsError: its weights cannot be had.
        """
        if self._backbone_model is None:
            from recsys.vision.backbones import FeatureExtractor

            self._backbone_model = FeatureExtractor(**self.backbone).model
        return self._backbone_model

    @functools.cached_property
    def _resizing(self) -> Any:
        """The network behind a layer that brings pictures (n, h, w, 3) to its input size."""
        import keras

        images = keras.Input((None, None, 3), name="image")
        side = self.backbone["input_size"]
        return keras.Model(images, self.model(keras.layers.Resizing(side, side)(images)), name="embedder")

    def save(self, folder: Path, *, whole: bool = False) -> None:
        """Write the embedding to a folder, which is made where it is missing.

        Args:
            whole: with the backbone that a head needs for pictures, so that nothing else is needed where it is loaded.
        """
        import keras

        folder.mkdir(parents=True, exist_ok=True)
        # a model of its own, since the one that was trained brings its optimizer, larger than itself
        keras.Model(self.model.inputs, self.model.outputs).save(folder / "model.keras")
        if whole and self.sees == "features":
            self.backbone_model.save(folder / "backbone.keras")
        told = {name: getattr(self, name) for name in TOLD}
        (folder / "embedding.json").write_text(json.dumps(told, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Embedder:
        """Return the embedding that `save` wrote.

        Raises:
            TrainingError: it is not there, or damaged.
        """
        import keras

        try:
            told = json.loads((folder / "embedding.json").read_text(encoding="utf-8"))
            model = keras.models.load_model(folder / "model.keras", compile=False)
            file = folder / "backbone.keras"
            backbone = keras.models.load_model(file, compile=False) if file.exists() else None
            return cls(**told, model=model, _backbone_model=backbone)
        except DAMAGED as error:
            reason = " ".join(str(error).split())[:200]
            raise TrainingError(
                f"embedding {folder} is damaged or missing ({reason}); run 'recsys train embedding'"
            ) from error


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
