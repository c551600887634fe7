"""Read the description of an encoder: its ONNX file, and how pictures become its input.

    FOLDER/encoder.json               this project's format, see `EncoderDescription`
    FOLDER/preprocessor_config.json   the format of Hugging Face; keys of `encoder.json` take precedence

One of the two is required, because pictures of another size or scale give wrong features without any error.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from recsys.core.errors import ConfigurationError, WeightsError

OWN, HUGGING_FACE = "encoder.json", "preprocessor_config.json"
"""Names of the descriptions."""
ONNX_FILES = ("vision_model.onnx", "model.onnx", "onnx/vision_model.onnx", "onnx/model.onnx")
"""Names of the ONNX file. Beside `vision_model.onnx`, `model.onnx` is the whole dual encoder, with texts as input."""
TEXT_FILES = ("text_model.onnx", "onnx/text_model.onnx")
TOKENIZER = "tokenizer.json"
MAX_JSON_BYTES = 1 << 20
"""Largest size of a description, bytes; real ones have about 1 kB."""
MAX_SIDE = 2_048
"""Largest side of an input, pixels."""

RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Filters by Pillow's number, which Hugging Face's files contain."""


def _inside(path: str) -> str:
    """Require a relative path that stays inside its folder."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path or "\0" in path:
        raise ValueError("name a file inside the encoder's folder, without '..'")
    return path


InnerPath = Annotated[str, AfterValidator(_inside)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Size = Side | tuple[Side, Side]
"""A side of a square, or height and width, pixels."""
Triple = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
PositiveTriple = tuple[
    Annotated[FiniteFloat, Field(gt=0)], Annotated[FiniteFloat, Field(gt=0)], Annotated[FiniteFloat, Field(gt=0)]
]


class TextDescription(BaseModel):
    """The text tower of a dual encoder, such as CLIP."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: InnerPath
    """ONNX file with the inputs `input_ids` and, where the model has it, `attention_mask`."""
    tokenizer: InnerPath = TOKENIZER
    """Tokenizer in the format of the package `tokenizers`."""
    output: str | None = None
    """Default: `text_embeds`, else `pooler_output`, else the first one."""
    max_length: Annotated[int, Field(ge=2, le=4_096)] | None = None
    """Tokens to which texts are padded and truncated. Default: that of the model, else of the tokenizer."""


class EncoderDescription(BaseModel):
    """An encoder of pictures. Preprocessing is (pixels · scale - mean) / std, with pixels from 0 to 255."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: InnerPath
    """Default: the first of `ONNX_FILES`, else the only `.onnx` file of the folder."""
    output: str | None = None
    """Default: `image_embeds`, else `pooler_output`, else the first one."""
    pooling: Literal["none", "mean", "first"] | None = None
    """How an output becomes a vector: mean over space or tokens, or the first token. Default: the mean of (n, c, h, w),
    the first token of (n, tokens, d), none for (n, d)."""
    layout: Literal["NCHW", "NHWC"] | None = None
    """Order of the input's dimensions; default: from the shape of the input."""
    size: Size | None = None
    """Size to which pictures are resized; default: that of the model's input, else no resizing."""
    resize: Literal["stretch", "shortest_edge"] = "stretch"
    """`stretch` to the size, or scale the shortest edge to it; on squared pictures both are the same."""
    crop: Size | None = None
    """Size of the part in the middle that is used after resizing; default: all."""
    resample: Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"] = "bicubic"
    scale: FiniteFloat = 1 / 255
    mean: Triple = (0.0, 0.0, 0.0)
    std: PositiveTriple = (1.0, 1.0, 1.0)
    text: TextDescription | None = None
    """Default: the first of `TEXT_FILES` that is in the folder, with `TOKENIZER`; null: none."""

    @model_validator(mode="after")
    def _one_edge(self) -> EncoderDescription:
        if self.resize == "shortest_edge" and isinstance(self.size, tuple):
            raise ValueError("resize: shortest_edge needs a size of one number")
        return self


class _HuggingFace(BaseModel):
    """The keys of a `preprocessor_config.json` that this project uses; others are ignored."""

    do_resize: bool = True
    size: Side | dict[str, Side | None] | None = None
    resample: Annotated[int, Field(ge=0, le=5)] = 3
    do_center_crop: bool | None = None
    crop_size: Side | dict[str, Side | None] | None = None
    do_rescale: bool = True
    rescale_factor: FiniteFloat = 1 / 255
    do_normalize: bool | None = None
    image_mean: Triple | None = None
    image_std: PositiveTriple | None = None

    @model_validator(mode="after")
    def _complete(self) -> _HuggingFace:
        if self.do_normalize and (self.image_mean is None or self.image_std is None):
            raise ValueError("do_normalize needs image_mean and image_std; add them")
        return self

    def keys(self) -> dict[str, Any]:
        """Return the same preprocessing as keys of `encoder.json`."""
        keys: dict[str, Any] = {
            "resample": RESAMPLING[self.resample],
            "scale": self.rescale_factor if self.do_rescale else 1.0,
        }
        if self.do_resize and self.size is not None:
            keys["size"], keys["resize"] = _size(self.size, "size")
        if self.crop_size is not None and self.do_center_crop is not False:
            keys["crop"], _ = _size(self.crop_size, "crop_size")
        if self.image_mean is not None and self.image_std is not None and self.do_normalize is not False:
            keys["mean"], keys["std"] = self.image_mean, self.image_std
        return keys


def _size(size: int | dict[str, int | None], key: str) -> tuple[int | tuple[int, int], str]:
    """Return a size of Hugging Face as size and way of resizing."""
    if isinstance(size, int):
        return size, "stretch"
    if (edge := size.get("shortest_edge")) is not None:
        return edge, "shortest_edge"
    height, width = size.get("height"), size.get("width")
    if height is None or width is None:
        raise ValueError(f"{key} needs height and width, or shortest_edge, not {', '.join(size) or 'nothing'}")
    return (height, width), "stretch"


def read_description(folder: Path) -> EncoderDescription:
    """Return the description of an encoder's folder.

    Raises:
        ConfigurationError: a description is missing, or has an unknown key or a wrong value; the message names both.
        WeightsError: the folder has no ONNX file.
    """
    own, other = folder / OWN, folder / HUGGING_FACE
    if not own.is_file() and not other.is_file():
        raise ConfigurationError(
            f"{folder}: has neither {OWN} nor {HUGGING_FACE}, which say how pictures are preprocessed; add one of them"
        )
    keys: dict[str, Any] = {}
    try:
        if other.is_file():
            file = other
            keys = _HuggingFace.model_validate(_read_json(other)).keys()
        if own.is_file():
            file = own
            own_keys = _read_json(own)
            if "size" in own_keys:
                keys.pop("resize", None)
            keys |= own_keys
        keys.setdefault("file", _onnx_file(folder))
        if text_file := _first(folder, TEXT_FILES):
            keys.setdefault("text", {"file": text_file})
        description = EncoderDescription.model_validate(keys)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(
            str(part) for part in first["loc"] if isinstance(part, str) and not part.startswith("constrained")
        )
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{file}: impossible value{f' for {key!r}' if key else ''}: {message}") from error
    except ValueError as error:
        raise ConfigurationError(f"{file}: {error}") from error
    for inner in [description.file, *([description.text.file, description.text.tokenizer] if description.text else [])]:
        if not (folder / inner).is_file():
            raise WeightsError(f"{folder / inner}: no such file; correct its name in {own}, or add the file")
    return description


def _read_json(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        ValueError: it is too large, or no JSON object.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_JSON_BYTES + 1)
        if len(content) > MAX_JSON_BYTES:
            raise ValueError(f"has more than {MAX_JSON_BYTES:,} bytes, and is no description of an encoder")
        parsed = json.loads(content)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise ValueError("is not a JSON object")
    return parsed


def _onnx_file(folder: Path) -> str:
    """Return the path of a folder's ONNX file inside it."""
    if name := _first(folder, ONNX_FILES):
        return name
    files = sorted(file.name for file in folder.glob("*.onnx"))
    if len(files) == 1:
        return files[0]
    if files:
        raise WeightsError(f"{folder}: has {len(files)} ONNX files; name one as 'file' in {folder / OWN}")
    is_transformers = any((folder / name).is_file() for name in ("model.safetensors", "pytorch_model.bin"))
    remedy = (
        "export it: pip install 'optimum[onnx]', then optimum-cli export onnx --task "
        "feature-extraction --model FOLDER OUTPUT_FOLDER"
        if is_transformers
        else f"add {' or '.join(ONNX_FILES)}"
    )
    raise WeightsError(f"{folder}: has no ONNX file; {remedy}")


def _first(folder: Path, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if (folder / name).is_file()), None)
