"""Read a state dict of PyTorch's legacy format (before 1.6) safely and without PyTorch.

A pickle can name any function to call. This reader accepts only the few names that a state dict consists of, and
refuses any other file. A file contains in this order:

    pickle  magic number
    pickle  protocol version, 1001
    pickle  properties of the machine that wrote it, such as `little_endian`
    pickle  the state dict; each tensor has the key of its storage, an offset, a shape and strides
    pickle  the list of storage keys, in the order of the storages
    then for each storage: int64 number of elements, then the elements

Source: `torch/serialization.py`, `_legacy_save`.
"""

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from recsys.core.errors import WeightsError

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
STORAGE_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}
"""NumPy's name of each element type. Strings, because a pickle can neither call nor change a string."""


class _Storage(NamedTuple):
    key: str
    dtype: str
    size: int  # elements


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int  # elements
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # elements


class _StateDictUnpickler(pickle.Unpickler):
    """Unpickler that resolves only ordered dicts, tensors and storages."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
        if module == "torch" and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no weights file needs")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, size, view = pid
        if kind != "storage" or dtype not in STORAGE_DTYPES.values() or view is not None:
            raise pickle.UnpicklingError("a storage of an unknown kind")
        return _Storage(key, dtype, size)


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """Return the tensors of a legacy PyTorch state dict by name, with PyTorch's shapes and the saved dtypes.

    Raises:
        WeightsError: the file is missing, is not a legacy PyTorch state dict, is truncated, or its pickle names
            something other than tensors. Nothing that the file names was called.
    """
    try:
        with Path(path).open("rb") as file:
            return _read(file)
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the weights file: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle can raise any exception
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise WeightsError(f"{path}: not a legacy PyTorch state dict ({reason})") from error


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    def load() -> Any:
        return _StateDictUnpickler(file).load()

    if load() != MAGIC_NUMBER or load() != PROTOCOL_VERSION:
        raise ValueError("wrong magic number or protocol version")
    if not load()["little_endian"]:
        raise ValueError("written on a big-endian machine")
    tensors: dict[str, _Tensor] = load()
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    file_size = os.fstat(file.fileno()).st_size
    elements: dict[str, np.ndarray] = {}
    for key in load():
        storage = storages[key]
        dtype = np.dtype(storage.dtype)
        count = int.from_bytes(file.read(8), "little")
        if count != storage.size or file.tell() + count * dtype.itemsize > file_size:
            raise ValueError("truncated, or a storage of the wrong size")
        elements[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    return {name: _view(elements[tensor.storage.key], tensor) for name, tensor in tensors.items()}


def _view(elements: np.ndarray, tensor: _Tensor) -> np.ndarray:
    """Return the tensor as a read-only view; NumPy raises ValueError if it extends beyond the storage."""
    return np.ndarray(
        tensor.shape,
        elements.dtype,
        buffer=elements,
        offset=tensor.offset * elements.itemsize,
        strides=[stride * elements.itemsize for stride in tensor.strides],
    )
