"""The device of a training, as a log names it."""

from __future__ import annotations

import re
from types import SimpleNamespace

import keras
import pytest

from recsys.core import device
from recsys.core.device import training_device


def test_the_device_of_this_machine_has_a_kind_a_backend_and_a_model() -> None:
    name = device.BACKENDS[keras.backend.backend()]
    assert re.fullmatch(rf"(cpu: {name} [\d.]+, \d+ cores?|gpu: {name} [\d.]+, .+)", training_device())


def test_a_gpu_of_tensorflow_is_named_by_its_details() -> None:
    details = {"device_name": "NVIDIA H200"}
    experimental = SimpleNamespace(get_device_details=lambda gpu: details)
    config = SimpleNamespace(
        list_physical_devices=lambda kind: [SimpleNamespace(name="/physical_device:GPU:0")] if kind == "GPU" else [],
        experimental=experimental,
    )
    tensorflow = SimpleNamespace(config=config)
    assert device._tensorflow_gpu(tensorflow) == "NVIDIA H200"
    details.clear()
    assert device._tensorflow_gpu(tensorflow) == "/physical_device:GPU:0"
    config.list_physical_devices = lambda kind: []
    assert device._tensorflow_gpu(tensorflow) is None


@pytest.mark.parametrize(("platform", "name"), [("gpu", "NVIDIA H200"), ("cpu", None)])
def test_a_gpu_of_jax_is_named_by_its_kind(platform: str, name: str | None) -> None:
    jax = SimpleNamespace(devices=lambda: [SimpleNamespace(platform=platform, device_kind="NVIDIA H200")])
    assert device._jax_gpu(jax) == name


def test_another_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    assert training_device() == "torch backend of Keras"
