"""Compute embeddings with a trained model, from features or from pictures; save and load it.

embedder = Embedder.load(folder)
embedder.embed_features(features, histograms)   features and histograms of the store  →  (n, e) float32, unit length
embedder.embed_pictures(images)                 (n, h, w, 3) uint8 RGB                →  the same

Vectors are computed by ONNX Runtime. A head is a small file and refers to its backbone by name; saved `whole`, it
includes the backbone. The Keras model is saved beside the ONNX model that was made of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recsys.core.configuration import Colour, Configuration
from recsys.core.errors import ConfigurationError, TrainingError, WeightsError
from recsys.vision import backbones
from recsys.vision.backbones.encoder_folder import Encoder
from recsys.vision.colour import histogram
from recsys.vision.trained_network import TrainedNetwork

if TYPE_CHECKING:
    import keras

SAVED_ATTRIBUTES = ("version", "sees", "size", "backbone", "colour", "colour_weight")
"""Attributes in the JSON file beside the model."""

MODEL, BACKBONE = "model", "backbone"
"""Names of the networks' files, without their suffixes."""

DAMAGED = (OSError, ValueError, LookupError, TypeError, WeightsError, ConfigurationError)
"""Exceptions that reading a damaged embedding raises."""

POWER = 0.25
"""Exponent applied to a histogram's bins in the inputs of a head."""
FEATURES_PER_BATCH = 4_096


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
        backbones_folder: keeps converted backbones, see `recsys.vision.backbones.network`; not saved.
        colour: for a head, section `colour` of the configuration of its histograms.
        colour_weight: weight of the histograms, see `head_inputs`.
        model: the network, from features (n, d) or pictures (n, h, w, 3) uint8 to vectors (n, e).
    """

    version: str
    sees: str
    size: int
    backbone: dict[str, Any]
    colour: dict[str, Any]
    colour_weight: float
    model: TrainedNetwork
    backbones_folder: Path | None = None
    _backbone: backbones.Network | None = field(default=None, repr=False)

    @classmethod
    def of_head(
        cls,
        version: str,
        model: keras.Model,
        configuration: Configuration,
        colour_weight: float,
        backbones_folder: Path | None = None,
    ) -> Embedder:
        """Return the embedder of a trained head and the configured backbone and histograms."""
        backbone = configuration.backbone.model_dump(include={"name", "weights", "input_size"})
        colour = configuration.colour.model_dump()
        size = model.output_shape[1]
        head = TrainedNetwork.of(model)
        return cls(version, "features", size, backbone, colour, colour_weight, head, backbones_folder)

    @classmethod
    def of_network(cls, version: str, model: keras.Model) -> Embedder:
        """Return the embedder of a trained network, whose only inputs are pictures."""
        backbone = {"input_size": model.input_shape[1]}
        return cls(version, "pictures", model.output_shape[1], backbone, {}, 0.0, TrainedNetwork.of(model))

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
        return self.model(np.asarray(inputs, np.float32), FEATURES_PER_BATCH)

    def embed_pictures(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the embeddings (n, e) float32, rows of unit length, of squared RGB pictures (n, h, w, 3) uint8.

        Raises:
            WeightsError: the weights of a head's backbone are not available.
        """
        if self.sees != "features":
            return self.model(images)
        settings = Colour.model_validate(self.colour)
        histograms = np.stack([histogram(image, settings) for image in images])
        return self.embed_features(self.backbone_network(images), histograms)

    @property
    def backbone_network(self) -> backbones.Network:
        """The network from pictures (n, h, w, 3) uint8 to a head's features (n, d).

        Raises:
            WeightsError: its weights are not available.
        """
        if self._backbone is None:
            self._backbone = backbones.network(**self.backbone, folder=self.backbones_folder)
        return self._backbone

    def save(self, folder: Path, *, whole: bool = False) -> None:
        """Write the embedder to a folder; create the folder if it does not exist.

        Args:
            folder: folder to write to.
            whole: include a head's backbone, so that the folder is complete.

        Raises:
            WeightsError: the weights of a head's backbone are not available.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save(folder, MODEL)
        if whole and self.sees == "features":
            self.backbone_network.save(folder, BACKBONE)
        attributes = {name: getattr(self, name) for name in SAVED_ATTRIBUTES}
        (folder / "embedding.json").write_text(json.dumps(attributes, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, backbones_folder: Path | None = None) -> Embedder:
        """Return the embedder that `save` wrote.

        Args:
            folder: the folder that it was saved to.
            backbones_folder: see the attribute.

        Raises:
            TrainingError: a file is missing or damaged.
        """
        try:
            attributes = json.loads((folder / "embedding.json").read_text(encoding="utf-8"))
            model = TrainedNetwork.load(folder, MODEL)
            return cls(**attributes, model=model, backbones_folder=backbones_folder, _backbone=_saved_backbone(folder))
        except DAMAGED as error:
            reason = " ".join(str(error).split())[:200]
            raise TrainingError(
                f"embedding {folder} is damaged or missing ({reason}); run 'recsys train embedding'"
            ) from error


def _saved_backbone(folder: Path) -> backbones.Network | None:
    """Return the backbone of an embedder that was saved `whole`; None if it was not."""
    if (folder / BACKBONE).is_dir():
        return Encoder(folder / BACKBONE)
    if any((folder / f"{BACKBONE}{suffix}").exists() for suffix in (".onnx", ".keras")):
        return TrainedNetwork.load(folder, BACKBONE)
    return None
