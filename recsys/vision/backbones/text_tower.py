"""Encode texts by the text tower of a dual encoder, so that they can be compared with pictures.

tower = backbones.load_text_tower(name, d)    see `recsys.vision.backbones`
tower(["red dress", "mug"])              (2, d) float32, rows of unit length; longer texts are cut
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.core.errors import ConfigurationError, WeightsError
from recsys.core.vectors import unit_rows
from recsys.vision.backbones.encoder_description import OWN, TextDescription
from recsys.vision.backbones.encoder_folder import checked_vector, chosen_output
from recsys.vision.onnx_model import Device, load_session, shape_of

TEXT_OUTPUTS = ("text_embeds", "pooler_output")
"""Outputs that are used by default, if the model has one of them."""
IDS, MASK = "input_ids", "attention_mask"
DTYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
"""NumPy's type of each type of input that is possible."""
TOKENIZER_CONFIG = "tokenizer_config.json"
"""Hugging Face's file with the length and the padding of texts, beside the tokenizer."""
LONGEST = 4_096
"""Largest number of tokens; Hugging Face writes 10^30 for no limit."""


class TextTower:
    """The text tower of a dual encoder. It may be called from several threads.

    Attributes:
        size: d, length of a vector; the same as that of the picture's features.
        max_length: tokens to which texts are padded and truncated.
    """

    def __init__(self, folder: Path, description: TextDescription, size: int, device: Device = "cpu") -> None:
        """Load the model and its tokenizer, and check them with one word.

        Args:
            folder: folder of the encoder.
            description: names the files inside it.
            size: number of features of a picture.
            device: where the model runs.

        Raises:
            ConfigurationError: the package `tokenizers` is not installed, or `text.max_length` is not known.
            WeightsError: a file is damaged, or a vector has another length than the features of a picture.
        """
        self._file, self._key = folder / description.file, f"{folder / OWN}: 'text"
        self._session = load_session(self._file, device)
        self._inputs = self._known_inputs()
        self._output = chosen_output(self._session, description.output, TEXT_OUTPUTS, f"{self._key}.output'")
        tokenizer = folder / description.tokenizer
        self._tokenizer = _load_tokenizer(tokenizer)
        self.max_length = self._length(description, tokenizer)
        self._tokenizer.enable_truncation(self.max_length)
        self._tokenizer.enable_padding(length=self.max_length, **_padding(self._tokenizer, tokenizer))
        self.size = self._checked_size(size)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (n, d) float32, rows of unit length, of texts."""
        if not len(texts):
            return np.zeros((0, self.size), np.float32)
        return np.concatenate([self._run(text) for text in texts])

    def _run(self, text: str) -> NDArray[np.float32]:
        """Return the vector (1, d) of a text; texts are few, and one by one they fit a model with a fixed batch."""
        encoded = self._tokenizer.encode(text)
        values = {IDS: encoded.ids, MASK: encoded.attention_mask}
        inputs = {name: np.array([values[name]], dtype) for name, dtype in self._inputs.items()}  # (1, max_length)
        return unit_rows(np.asarray(self._session.run([self._output], inputs)[0], np.float32))

    def _known_inputs(self) -> dict[str, Any]:
        """Return NumPy's type of each input."""
        inputs = {each.name: DTYPES.get(each.type) for each in self._session.get_inputs()}
        if IDS not in inputs or set(inputs) - {IDS, MASK} or None in inputs.values():
            raise WeightsError(
                f"{self._file}: takes {', '.join(inputs)[:200]}, not {IDS} and {MASK} as whole numbers; set "
                f"{self._key}.file' to the text model's file, such as text_model.onnx"
            )
        return inputs

    def _length(self, description: TextDescription, tokenizer: Path) -> int:
        ids = next(each for each in self._session.get_inputs() if each.name == IDS)
        own = shape_of(ids)[1] if len(ids.shape) == 2 else None
        truncation = (self._tokenizer.truncation or {}).get("max_length")
        lengths = (description.max_length, own, truncation, _configured(tokenizer).get("model_max_length"))
        length = next((int(each) for each in lengths if each and 2 <= each <= LONGEST), None)
        if length is None:
            raise ConfigurationError(f"{self._key}.max_length' is missing, and neither model nor tokenizer has it")
        return length

    def _checked_size(self, size: int) -> int:
        try:
            vector = self._run("word")
        except Exception as error:  # ONNX Runtime has an exception class of its own for each cause
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(
                f"{self._file}: does not take a text ({reason}); correct {self._key}.max_length'"
            ) from error
        if checked_vector(vector, self._file) != size:
            raise WeightsError(
                f"{self._file}: gives vectors of {vector.shape[1]} numbers, and pictures have {size}: set "
                f"{self._key}.output' and 'output' to text_embeds and image_embeds or the like"
            )
        return size


def _load_tokenizer(file: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ConfigurationError(
            "the encoder's texts need the package tokenizers, which is not installed: pip install "
            f"'visual-recommender[hub]', or switch them off by \"text\": null in {file.parent / OWN}"
        ) from error
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the package raises plain exceptions
        raise WeightsError(f"{file}: not a tokenizer: {' '.join(str(error).split())[:200]}") from error


def _padding(tokenizer: Any, file: Path) -> dict[str, Any]:
    """Return id and text of the token that pads: that of the tokenizer, else of its configuration, else 0."""
    if tokenizer.padding:
        return {key: tokenizer.padding[key] for key in ("pad_id", "pad_token")}
    token = _configured(file).get("pad_token")
    token = token.get("content") if isinstance(token, dict) else token
    number = tokenizer.token_to_id(token) if isinstance(token, str) else None
    return {} if number is None else {"pad_id": number, "pad_token": token}


def _configured(tokenizer: Path) -> dict[str, Any]:
    """Return Hugging Face's configuration of a tokenizer; empty if there is none."""
    try:
        content = json.loads((tokenizer.parent / TOKENIZER_CONFIG).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
