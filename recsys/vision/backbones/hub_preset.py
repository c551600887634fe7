"""Convert presets of keras-hub to encoder folders, once: by name, from Hugging Face or Kaggle, or from a folder.

    hub:vit_base_patch16_224_imagenet            a preset of the library
    hub:/path, or the folder itself              a preset in a folder, as `save_to_preset` writes it
    hf://user/preset, kaggle://user/model/...    a preset of another hub

An address stands for its content: where the hub has versions (`kaggle://.../3`), use one. Conversion needs the extra
`hub`; afterwards the folder is used like every encoder, without Keras.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.core.configuration import HUB_ADDRESSES
from recsys.core.errors import ConfigurationError, WeightsError
from recsys.vision.backbones.encoder_description import ONNX_FILES, OWN
from recsys.vision.backbones.weights import file_digest

if TYPE_CHECKING:
    import keras

HUB = HUB_ADDRESSES[0]
FILE = ONNX_FILES[1]
PACKAGES = ("keras_hub", "tf2onnx")
INSTALL = "pip install 'visual-recommender[hub]'"
DEFAULT_SIDE = 224
"""Side of the input of a network that takes any size and has no preprocessing, pixels."""


def is_preset(name: str) -> bool:
    """Return whether the name of a backbone is an address of a hub, or a folder with a preset of keras-hub."""
    return name.startswith(HUB_ADDRESSES) or _is_preset_folder(Path(name).expanduser())


def preset_name(name: str) -> str:
    """Return the name of a preset for display."""
    return name.rstrip("/").removeprefix(HUB).rpartition("/")[2] if _folder(name) else name.partition(":")[2]


def fingerprint(name: str) -> str:
    """Return a digest of a preset: of the files in its folder, or else of its address.

    Raises:
        WeightsError: a file cannot be read.
    """
    folder = _folder(name)
    if folder is None:
        return name
    files = sorted(file for pattern in ("*.json", "*.h5") for file in folder.glob(pattern))
    return hashlib.sha256(" ".join(f"{file.name} {file_digest(file, 'sha256')}" for file in files).encode()).hexdigest()


def missing_packages() -> list[str]:
    """Return the packages that a conversion needs and that are not installed."""
    return [package for package in PACKAGES if importlib.util.find_spec(package) is None]


def require_packages(name: str) -> None:
    """Raise ConfigurationError if the extra `hub`, which a conversion needs, is not installed."""
    if missing := missing_packages():
        raise ConfigurationError(f"backbone {name} needs {' and '.join(missing)} to be converted to ONNX: {INSTALL}")


def convert(name: str, folder: Path) -> None:
    """Write the encoder folder of a preset; the folder appears when it is complete.

    Raises:
        ConfigurationError: the extra `hub` is not installed.
        WeightsError: the preset is not available, or cannot be converted.
    """
    require_packages(name)
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    part.mkdir(parents=True, exist_ok=True)
    try:
        model, preprocessing = _load(name)
        _export(model, part / FILE)
        (part / OWN).write_text(json.dumps(preprocessing, indent=1), encoding="utf-8")
        if not folder.is_dir():  # another process may have been faster
            part.replace(folder)
    except (ConfigurationError, WeightsError):
        raise
    except Exception as error:  # Keras, tf2onnx and the hubs' clients have no common exception
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"backbone {name}: cannot be converted to ONNX ({type(error).__name__}: {reason})"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _load(name: str) -> tuple[keras.Model, dict[str, Any]]:
    """Return the network of pictures of a preset, and its preprocessing as keys of `encoder.json`.

    Raises:
        WeightsError: the preset is not available, or has no network of pictures.
    """
    import keras
    import keras_hub

    address = str(_folder(name) or name.removeprefix(HUB))
    try:
        backbone = keras_hub.models.Backbone.from_preset(address)
        converter = keras_hub.layers.ImageConverter.from_preset(address)
    except Exception as error:  # the hubs' clients have no common exception
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"backbone {name}: the preset cannot be loaded ({reason}); correct the name, or download the preset "
            "elsewhere and set backbone.name to its folder"
        ) from error
    height, width = converter.image_size or (DEFAULT_SIDE, DEFAULT_SIDE)
    if hasattr(backbone, "get_vision_embeddings"):  # a dual encoder
        pictures = keras.Input((height, width, 3))
        backbone = keras.Model(pictures, backbone.get_vision_embeddings(pictures))
    if len(backbone.inputs) != 1 or len(backbone.inputs[0].shape) != 4:
        raise WeightsError(f"backbone {name}: takes more than pictures; choose a preset of a picture encoder")
    scale = np.broadcast_to(np.asarray(1.0 if converter.scale is None else converter.scale, float), 3)
    offset = np.broadcast_to(np.asarray(0.0 if converter.offset is None else converter.offset, float), 3)
    # pixels · scale + offset, as (pixels - mean) / std
    keys = {"scale": 1.0, "mean": (-offset / scale).tolist(), "std": (1 / scale).tolist()}
    return backbone, {
        "file": FILE,
        "layout": "NHWC",
        "size": [height, width],
        "resample": converter.interpolation,
        **keys,
    }


def _export(model: keras.Model, file: Path) -> None:
    """Write a model as ONNX by Keras, which needs one call before; repair what tf2onnx leaves."""
    import onnx

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # it reports the operator that is replaced here as an error
    height, width = (side or DEFAULT_SIDE for side in model.inputs[0].shape[1:3])
    model(np.zeros((1, height, width, 3), np.float32))
    model.export(str(file), format="onnx", verbose=False)
    exported = onnx.load(str(file))
    _replace_erfc(exported.graph)
    _drop_unused_inputs(exported.graph)
    onnx.save(exported, str(file))


def _replace_erfc(graph: Any) -> None:
    """Replace erfc(x), TensorFlow's operator in an exact GELU, by 1 - erf(x)."""
    from onnx import helper, numpy_helper

    nodes = []
    for node in graph.node:
        if node.op_type == "Erfc":
            one, erf = f"{node.name}/one", f"{node.name}/erf"
            graph.initializer.append(numpy_helper.from_array(np.array(1.0, np.float32), one))
            nodes.append(helper.make_node("Erf", list(node.input), [erf]))
            nodes.append(helper.make_node("Sub", [one, erf], list(node.output)))
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _drop_unused_inputs(graph: Any) -> None:
    """Remove inputs that no node reads, such as a constant that was folded."""
    read = {name for node in graph.node for name in node.input}
    used = [each for each in graph.input if each.name in read]
    del graph.input[:]
    graph.input.extend(used)


def _folder(name: str) -> Path | None:
    """Return the folder of a preset; None for an address."""
    if name.startswith(HUB_ADDRESSES[1:]):
        return None
    folder = Path(name.removeprefix(HUB)).expanduser()
    return folder if _is_preset_folder(folder) else None


def _is_preset_folder(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.weights.h5")) and not any(folder.glob("*.onnx"))
