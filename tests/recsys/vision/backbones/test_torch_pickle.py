"""The reader of legacy PyTorch files: correct for valid files, and never calls what a malicious file names."""

from __future__ import annotations

import io
import os
import pickle
import sys
import types
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.core.errors import WeightsError
from recsys.vision.backbones.torch_pickle import MAGIC_NUMBER, PROTOCOL_VERSION, read_state_dict


class Storage:
    def __init__(self, key: str, elements: np.ndarray) -> None:
        self.key, self.elements = key, elements


class Tensor:
    """What PyTorch pickles for a tensor: a function of PyTorch, a storage, and a view of it."""

    def __init__(self, storage: Storage, offset: int, shape: tuple, strides: tuple) -> None:
        self.arguments: tuple[Any, ...] = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self) -> Any:
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Provide the parts of PyTorch that its pickles name."""
    torch, torch_utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2() -> None: ...

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    torch_utils.__dict__["_rebuild_tensor_v2"] = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", torch_utils)
    return torch


def save(torch: types.ModuleType, state: Any, storages: list[Storage]) -> bytes:
    """Return the bytes that `torch.save` wrote for a state dict before version 1.6."""
    file = io.BytesIO()
    for header in (MAGIC_NUMBER, PROTOCOL_VERSION, {"little_endian": True}):
        pickle.dump(header, file, protocol=2)

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if not isinstance(value, Storage):
                return None
            kind = torch.FloatStorage if value.elements.dtype == np.float32 else torch.LongStorage
            return ("storage", kind, value.key, "cpu", value.elements.size, None)

    Pickler(file, protocol=2).dump(state)
    pickle.dump([storage.key for storage in storages], file, protocol=2)
    for storage in storages:
        file.write(storage.elements.size.to_bytes(8, "little") + storage.elements.tobytes())
    return file.getvalue()


def test_tensors_are_read_with_shape_dtype_and_strides(torch: types.ModuleType, tmp_path: Path) -> None:
    numbers = Storage("1", np.arange(12, dtype=np.float32))
    steps = Storage("2", np.array([7], dtype=np.int64))
    state = OrderedDict(
        whole=Tensor(numbers, 0, (3, 4), (4, 1)),
        transposed=Tensor(numbers, 0, (4, 3), (1, 4)),
        tail=Tensor(numbers, 10, (2,), (1,)),
        steps=Tensor(steps, 0, (), ()),
    )
    path = tmp_path / "model.pth"
    path.write_bytes(save(torch, state, [numbers, steps]))
    read = read_state_dict(path)
    whole = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(read["whole"], whole)
    np.testing.assert_array_equal(read["transposed"], whole.T)
    np.testing.assert_array_equal(read["tail"], [10, 11])
    assert read["whole"].dtype == np.float32
    assert read["steps"].dtype == np.int64 and read["steps"] == 7


@pytest.mark.parametrize("position", range(5))
def test_code_in_a_pickle_is_refused_and_not_run(position: int, tmp_path: Path) -> None:
    marker = tmp_path / "it-ran"

    class Malice:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(marker),)

    parts: list[Any] = [MAGIC_NUMBER, PROTOCOL_VERSION, {"little_endian": True}, OrderedDict(), []]
    parts[position] = Malice()
    path = tmp_path / "model.pth"
    path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
    with pytest.raises(WeightsError, match="mkdir"):
        read_state_dict(path)
    assert not marker.exists()


@pytest.mark.parametrize("function", ["builtins eval", "numpy.lib.format read_array", "torch.hub load", "torch load"])
def test_any_other_function_is_refused_by_name(function: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(b"c" + function.replace(" ", "\n").encode() + b"\n(V1\ntR.")
    with pytest.raises(WeightsError, match=function.replace(" ", r"\.")):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (13,), (1,)), (11, (2,), (1,)), (-1, (2,), (1,)), (0, (2,), (-1,)), (0, (2,), (99,))],
)
def test_a_tensor_that_extends_beyond_its_storage_is_refused(
    torch: types.ModuleType, tmp_path: Path, offset: int, shape: tuple, strides: tuple
) -> None:
    numbers = Storage("1", np.arange(12, dtype=np.float32))
    path = tmp_path / "model.pth"
    path.write_bytes(save(torch, OrderedDict(x=Tensor(numbers, offset, shape, strides)), [numbers]))
    with pytest.raises(WeightsError, match=r"model\.pth"):
        read_state_dict(path)


def test_a_truncated_file_is_refused(torch: types.ModuleType, tmp_path: Path) -> None:
    numbers = Storage("1", np.arange(12, dtype=np.float32))
    whole = save(torch, OrderedDict(x=Tensor(numbers, 0, (12,), (1,))), [numbers])
    path = tmp_path / "model.pth"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError):
            read_state_dict(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x89HDF\r\n\x1a\n", b"not a pickle at all\n"])
def test_a_file_of_another_kind_is_a_one_line_error_with_its_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"model\.pth") as error:
        read_state_dict(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.pth.*No such file"):
        read_state_dict(tmp_path / "absent.pth")
