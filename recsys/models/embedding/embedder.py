"""Compute embeddings with a trained model, from features or from pictures; save and load it.

embedder = Embedder.load(folder)
embedder.embed_features(features, histograms)   features and histograms of the store  →  (n, e) float32, unit length
embedder.embed_pictures(images)                 (n, h, w, 3) uint8 RGB                →  the same

A head is a small file and refers to its backbone by name; saved `whole`, it includes the backbone.
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
from recsys.vision.prediction import predict_in_batches

SAVED_ATTRIBUTES = ("version", "sees", "size", "backbone", "colour", "colour_weight")
"""Attributes in the JSON file beside the model."""

DAMAGED = (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile)
"""Exceptions that reading a damaged embedding raises."""

POWER = 0.25
"""Exponent applied to a histogram's bins in the inputs of a head."""
FEATURES_PER_BATCH = 4_096
PICTURES_PER_BATCH = 8
"""As fast as larger batches on 2 cores, see `recsys.vision.backbones`."""


def head_inputs(
    features: NDArray[np.float32], histograms: NDArray[np.float32], colour_weight: float
) -> NDArray[np.float32]:
    """Return the inputs of a head: features and, if their weight is not 0, colours; (n, d) or (n, d + bins).

    Histograms are raised to the power 1/4 and scaled to unit length, so that the few pixels of an emblem or a seam
    count beside the many of the cloth: the power normalisation of F. Perronnin et al., "Improving the Fisher kernel
    for large-scale image classification" (ECCV 2010).

    Args:
        features: (n, d), rows of unit length.
        histograms: (n, bins), rows that sum to 1.
        colour_weight: see `recsys.models.embedding.recipe.Recipe`.
    """
    if not colour_weight:
        return features
    colours = np.power(histograms, POWER, dtype=np.float32)  # (n, bins)
    colours /= np.linalg.norm(colours, axis=1, keepdims=True)
    return np.concatenate([features, np.float32(colour_weight) * colours], axis=1)


@dataclass(eq=False)
class Embedder:
    """A trained embedding.

    Attributes:
        version: version of its vectors in the store.
        sees: inputs of the model: `features` for a head, `pictures` for a network.
        size: e, length of a vector.
        backbone: for a head, name, weights and input_size of the backbone of its features; for a network, input_size.
        colour: for a head, section `colour` of the configuration of its histograms.
        colour_weight: weight of the histograms, see `head_inputs`.
        model: the Keras model.
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
        """Return the embedder of a trained head and the configured backbone and histograms."""
        backbone = configuration.backbone.model_dump(include={"name", "weights", "input_size"})
        colour = configuration.colour.model_dump()
        return cls(version, "features", model.output_shape[1], backbone, colour, colour_weight, model)

    @classmethod
    def of_network(cls, version: str, model: Any) -> Embedder:
        """Return the embedder of a trained network, whose only inputs are pictures."""
        size = {"input_size": model.input_shape[1]}
        return cls(version, "pictures", model.output_shape[1], size, {}, 0.0, model)

    def embed_features(self, features: NDArray[np.float32], histograms: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the embeddings (n, e) float32, rows of unit length, of features and histograms.

        Args:
            features: (n, d), rows of unit length, of the head's backbone.
            histograms: (n, bins), rows that sum to 1.

        Raises:
            TrainingError: the model is a network, or the length of its inputs is different.
        """
        if self.sees != "features":
            raise TrainingError(f"embedding {self.version} takes pictures, not features of a backbone")
        inputs = head_inputs(features, histograms, self.colour_weight)  # (n, d) or (n, d + bins)
        if inputs.shape[1] != self.model.input_shape[1]:
            raise TrainingError(
                f"embedding {self.version} takes {self.model.input_shape[1]} numbers per picture, not "
                f"{inputs.shape[1]}: the configured backbone is not {self.backbone['name']}, or the histograms have "
                "other bins; train it again"
            )
        return predict_in_batches(self.model, np.asarray(inputs, np.float32), FEATURES_PER_BATCH)

    def embed_pictures(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the embeddings (n, e) float32, rows of unit length, of squared RGB pictures (n, h, w, 3) uint8.

        Raises:
            WeightsError: the weights of a head's backbone are not available.
        """
        if self.sees != "features":
            return predict_in_batches(self._resizing_model, images, PICTURES_PER_BATCH)
        features = predict_in_batches(self.backbone_model, images, PICTURES_PER_BATCH)
        settings = Colour.model_validate(self.colour)
        return self.embed_features(features, np.stack([histogram(image, settings) for image in images]))

    @property
    def backbone_model(self) -> Any:
        """Return the Keras model from pictures (n, h, w, 3), preprocessing inside, to a head's features (n, d).

        Raises:
            WeightsError: its weights are not available.
        """
        if self._backbone_model is None:
            from recsys.vision.backbones import FeatureExtractor

            self._backbone_model = FeatureExtractor(**self.backbone).model
        return self._backbone_model

    @functools.cached_property
    def _resizing_model(self) -> Any:
        """Return the network with a layer before it that resizes pictures (n, h, w, 3) to its input size."""
        import keras

        images = keras.Input((None, None, 3), name="image")
        side = self.backbone["input_size"]
        return keras.Model(images, self.model(keras.layers.Resizing(side, side)(images)), name="embedder")

    def save(self, folder: Path, *, whole: bool = False) -> None:
        """Write the embedder to a folder; create the folder if it does not exist.

        Args:
            folder: folder to write to.
            whole: include a head's backbone, so that the folder is complete.
        """
        import keras

        folder.mkdir(parents=True, exist_ok=True)
        # a new model, because the trained one includes its optimizer, which is larger than the model
        keras.Model(self.model.inputs, self.model.outputs).save(folder / "model.keras")
        if whole and self.sees == "features":
            self.backbone_model.save(folder / "backbone.keras")
        attributes = {name: getattr(self, name) for name in SAVED_ATTRIBUTES}
        (folder / "embedding.json").write_text(json.dumps(attributes, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Embedder:
        """Return the embedder that `save` wrote.

        Raises:
            TrainingError: a file is missing or damaged.
        """
        import keras

        try:
            attributes = json.loads((folder / "embedding.json").read_text(encoding="utf-8"))
            model = keras.models.load_model(folder / "model.keras", compile=False)
            file = folder / "backbone.keras"
            backbone = keras.models.load_model(file, compile=False) if file.exists() else None
            return cls(**attributes, model=model, _backbone_model=backbone)
        except DAMAGED as error:
            reason = " ".join(str(error).split())[:200]
            raise TrainingError(
                f"embedding {folder} is damaged or missing ({reason}); run 'recsys train embedding'"
            ) from error
