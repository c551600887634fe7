"""Compute features by an encoder in a folder: any ONNX file, with a description of its preprocessing.

    encoder = Encoder(folder)
    encoder(pictures)       (n, h, w, 3) uint8 RGB  →  (n, d) float32, rows of unit length

Pictures are resized and cropped by Pillow, as Hugging Face does. See `encoder_description` for the folder's files.
"""

from __future__ import annotations

import functools
import hashlib
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.core.errors import WeightsError
from recsys.core.vectors import unit_rows
from recsys.vision.backbones.encoder_description import OWN, EncoderDescription, read_description
from recsys.vision.backbones.weights import file_digest
from recsys.vision.onnx_model import Device, load_session, shape_of

DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
"""NumPy's type of each type of input that is possible."""
IMAGE_OUTPUTS = ("image_embeds", "pooler_output")
"""Outputs that are used by default, if the model has one of them."""
POOLING = {2: "none", 3: "first", 4: "mean"}
"""Default pooling by the number of an output's dimensions."""
DIMENSIONS = {"none": (2,), "first": (3,), "mean": (3, 4)}
"""Numbers of dimensions that each pooling takes."""
MIN_SIZE, MAX_SIZE = 8, 8_192
"""Smallest and largest number of features."""
TRIAL_SIDE = 256
"""Side of the picture by which an encoder is checked, pixels."""


class Encoder:
    """An encoder of pictures. It may be called from several threads.

    Attributes:
        folder: its files.
        description: its file and preprocessing, with defaults filled in.
        size: d, the number of features.
    """

    def __init__(self, folder: Path, device: Device = "auto") -> None:
        """Load an encoder, and check it with one picture.

        Raises:
            ConfigurationError: the description is missing or wrong, or the device is not available.
            WeightsError: the ONNX file is missing or damaged, or does not give one finite vector of a picture.
        """
        description = read_description(folder)
        self.folder, self._file = folder, folder / description.file
        self._session = load_session(self._file, device)
        self._input = self._picture_input()
        self.description = self._with_defaults(description)
        self.size = self._checked_size()

    def __call__(self, images: NDArray[np.uint8], batch_size: int = 1) -> NDArray[np.float32]:
        """Return the features (n, d) float32, rows of unit length, of RGB pictures (n, h, w, 3) uint8."""
        if not len(images):
            return np.zeros((0, self.size), np.float32)
        if isinstance(shape_of(self._input)[0], int):
            batch_size = 1  # the only one that has been checked
        return np.concatenate(
            [self._run(images[start : start + batch_size]) for start in range(0, len(images), batch_size)]
        )

    def preprocessed(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the input of an RGB picture (h, w, 3) uint8: (3, h', w') or, for the layout NHWC, (h', w', 3)."""
        from PIL import Image

        settings, picture = self.description, Image.fromarray(image)
        if settings.size is not None:
            size = _pair(settings.size)
            if settings.resize == "shortest_edge":
                shortest = min(picture.size)
                size = (picture.height * size[0] // shortest, picture.width * size[0] // shortest)
            picture = picture.resize(size[::-1], Image.Resampling[settings.resample.upper()])
        if settings.crop is not None:
            height, width = _pair(settings.crop)
            top, left = (picture.height - height) // 2, (picture.width - width) // 2
            picture = picture.crop((left, top, left + width, top + height))
        scaled = np.asarray(picture, np.float32) * np.float32(settings.scale)
        mean, std = np.array(settings.mean, np.float32), np.array(settings.std, np.float32)
        pixels: NDArray[np.float32] = (scaled - mean) / std
        return pixels if settings.layout == "NHWC" else pixels.transpose(2, 0, 1)

    def save(self, folder: Path, name: str) -> None:
        """Copy what is needed to compute features into the folder `name` below a folder."""
        target = folder / name
        for file in model_files(self._file):
            copy = target / file.relative_to(self.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        (target / OWN).write_text(self.description.model_dump_json(exclude={"text"}, indent=1), encoding="utf-8")

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return unit_rows(self._pooled(self._output(images)))

    def _output(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the output of the model: (n, d), (n, tokens, d), (n, d, h, w) or (n, h, w, d)."""
        batch = np.stack([self.preprocessed(image) for image in images]).astype(DTYPES[self._input.type])
        return np.asarray(self._session.run([self.description.output], {self._input.name: batch})[0], np.float32)

    def _pooled(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.description.pooling == "first":
            return output[:, 0]
        if self.description.pooling == "mean":
            axes = (1,) if output.ndim == 3 else (1, 2) if self.description.layout == "NHWC" else (2, 3)
            return output.mean(axis=axes)
        return output

    def _picture_input(self) -> Any:
        """Return the only input, which takes pictures."""
        inputs = self._session.get_inputs()
        names = [each.name for each in inputs]
        if "input_ids" in names:
            raise WeightsError(
                f"{self._file}: takes texts (input_ids); set 'file' in {self.folder / OWN} to the vision model's file, "
                "such as vision_model.onnx"
            )
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise WeightsError(f"{self._file}: takes {', '.join(names)[:200]}, not one batch of pictures")
        if inputs[0].type not in DTYPES:
            raise WeightsError(f"{self._file}: takes {inputs[0].type}, not one of {', '.join(DTYPES)}")
        return inputs[0]

    def _with_defaults(self, description: EncoderDescription) -> EncoderDescription:
        """Return the description with layout, size, output and pooling filled in."""
        shape = shape_of(self._input)  # (n, 3, h, w) or (n, h, w, 3)
        layout = description.layout
        if layout is None:
            if (shape[1] == 3) == (shape[3] == 3):
                raise self._key_error("layout", f"is not clear from the input {_text(shape)}: set it to NCHW or NHWC")
            layout = "NCHW" if shape[1] == 3 else "NHWC"
        channels, sides = (shape[1], shape[2:]) if layout == "NCHW" else (shape[3], shape[1:3])
        if channels not in (3, None):
            raise self._key_error("layout", f"{layout} does not fit the input {_text(shape)}")
        size = description.size
        if size is None and description.crop is None and None not in sides:
            size = (sides[0] or 0, sides[1] or 0)
        used = description.crop or size
        if used is not None and any(side not in (None, own) for side, own in zip(sides, _pair(used), strict=True)):
            key = "crop" if description.crop else "size"
            raise self._key_error(key, f"is {_text(_pair(used))}, and the model takes {_text(shape)}: change it")
        plain = (description.scale, description.mean, description.std) == (1, (0, 0, 0), (1, 1, 1))
        if DTYPES[self._input.type] == np.uint8 and not plain:
            raise self._key_error("scale", "is not 1, or mean and std are set, and the model takes whole numbers")
        output = chosen_output(self._session, description.output, IMAGE_OUTPUTS, f"{self.folder / OWN}: 'output'")
        return description.model_copy(update={"layout": layout, "size": size, "output": output})

    def _checked_size(self) -> int:
        """Return the number of features of one picture; fill in the pooling, which depends on the output."""
        picture = np.random.default_rng(0).integers(0, 256, (1, TRIAL_SIDE, TRIAL_SIDE, 3), np.uint8)
        try:
            output = self._output(picture)
        except Exception as error:  # ONNX Runtime has an exception class of its own for each cause
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(
                f"{self._file}: does not take a picture ({reason}); correct layout, size or crop in {self.folder / OWN}"
            ) from error
        pooling = self.description.pooling or POOLING.get(output.ndim, "none")
        if output.ndim not in DIMENSIONS[pooling]:
            name = self.description.output
            raise self._key_error(
                "pooling", f"{pooling} does not fit the output {name}, {_text(output.shape)}: change it"
            )
        self.description = self.description.model_copy(update={"pooling": pooling})
        return checked_vector(self._pooled(output), self._file)

    def _key_error(self, key: str, reason: str) -> WeightsError:
        return WeightsError(f"{self.folder / OWN}: '{key}' {reason} ({self._file.name})")


def chosen_output(session: Any, name: str | None, preferred: tuple[str, ...], key: str) -> str:
    """Return the name of a model's output: the requested one, else the preferred one, else the first.

    Raises:
        WeightsError: the model has no output of this name.
    """
    outputs = [output.name for output in session.get_outputs()]
    if name is None:
        return next((each for each in preferred if each in outputs), outputs[0])
    if name not in outputs:
        raise WeightsError(f"{key} is '{name}'; the model has {', '.join(outputs)[:200]}")
    return name


def checked_vector(vectors: NDArray[np.float32], file: Path) -> int:
    """Return the length of the only vector.

    Raises:
        WeightsError: it is not one finite vector of a possible length.
    """
    if vectors.ndim != 2 or len(vectors) != 1 or not MIN_SIZE <= vectors.shape[1] <= MAX_SIZE:
        raise WeightsError(
            f"{file}: gives {_text(vectors.shape)} for one input, not one vector of {MIN_SIZE} to {MAX_SIZE:,} "
            "numbers; set output and pooling"
        )
    if not np.isfinite(vectors).all():
        raise WeightsError(f"{file}: gives infinite numbers or none; export it again, in float32")
    return int(vectors.shape[1])


def slug(name: str) -> str:
    """Return a name as a part of a table's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-") or "encoder"


def fingerprint(folder: Path) -> str:
    """Return a digest of an encoder's ONNX file, its external data and its description, the same on every machine.

    Raises:
        ConfigurationError, WeightsError: as `Encoder`, as far as the files show it without loading the model.
    """
    description = read_description(folder)
    digests = [file_digest(file, "sha256") for file in model_files(folder / description.file)]
    return hashlib.sha256(" ".join([*digests, description.model_dump_json(exclude={"text"})]).encode()).hexdigest()


def model_files(file: Path) -> list[Path]:
    """Return an ONNX file, and the files beside it that contain its weights, if there are any.

    Raises:
        WeightsError: the file is no ONNX model, or names a file outside its folder or one that is missing.
    """
    try:
        status = file.stat()
    except OSError as error:
        raise WeightsError(f"{file}: cannot be read: {error.strerror}") from error
    names = _external_names(file, status.st_mtime_ns, status.st_size)
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not (file.parent / path).is_file():
            raise WeightsError(
                f"{file}: its weights are in '{name[:100]}', which is not in its folder; export it again"
            )
    return [file, *(file.parent / name for name in names)]


@functools.lru_cache(maxsize=8)
def _external_names(file: Path, mtime_ns: int, size: int) -> tuple[str, ...]:
    import onnx  # takes a fifth of a second, and is not needed for the built-in backbones

    try:
        graph = onnx.load(str(file), load_external_data=False).graph
    except Exception as error:  # protobuf's exception depends on its implementation
        raise WeightsError(f"{file}: not an ONNX model; export it again, or name the right file") from error
    locations = (entry.value for each in graph.initializer for entry in each.external_data if entry.key == "location")
    return tuple(sorted(set(locations)))


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _text(shape: Any) -> str:
    return " × ".join(str(side if side is not None else "any") for side in shape)
