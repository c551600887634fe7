"""The GPU command, rehearsed on the CPU with tiny sizes and only the packages that its machine has."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from benchmarks import gpu
from recsys.models.embedding.network import build_head, random_start
from sample_shop import SampleShop

PARTS = ["peak", "resnet50", "scoreboard"]
"""The rehearsed parts; the fourth is `resnet50` with another name."""
SIZES = ("--side", "32", "--batch", "16", "--steps", "2", "--repeats", "1", "--epochs", "1", "--matrix", "64")
OPTIONS = gpu.Options(Path(), side=256, batch=128, steps=40, repeats=3, epochs=40, matrix=8192)

ABSENT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
"""The start of a Python in which packages are missing."""
NOT_CARRIED = {"cv2", "lancedb", "matplotlib", "mlflow", "onnxruntime", "prefect", "pyarrow", "sklearn", "typer"}


@pytest.fixture(scope="module")
def carried(shop: SampleShop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is carried, of the sample shop's photos; the packages are installed."""
    folder = tmp_path_factory.mktemp("carried")
    assert gpu.pack(shop.folder, folder, python=None) == 0
    return folder


@pytest.mark.slow
def test_the_command_measures_with_the_packages_of_a_gpu_machine(carried: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(ABSENT.format(absent=NOT_CARRIED), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, gpu.__file__, "--carry", str(carried), "--limit", "3000", *SIZES, "--parts", *PARTS]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(" after")[0] for line in lines[:3]] == [f"{part}: complete" for part in PARTS]
    (device,) = [line for line in lines if line.startswith("measured on ")]
    assert "32 x 32 pixels, batches of 16" in device
    cells = {row[0]: row[1:] for line in lines if (row := [cell.strip() for cell in line.strip("|").split("|")])[1:]}
    assert float(cells["resnet50"][0].replace(",", "")) > 0 and "-" not in cells["resnet50"]
    board = {name: [float(value) for value in cells[name] if value != "-"] for name in (gpu.RAW, gpu.HEAD, gpu.NETWORK)}
    assert all(values and 0 <= min(values) <= max(values) <= 1 for values in board.values())
    assert [line.split(",")[0] for line in lines if "it took" in line] == [
        "the original's classifier",
        "the original's embedding",
    ]


def test_the_carried_photos_are_what_a_training_needs(carried: Path) -> None:
    photos = gpu.Photos.read(carried / "photos.npz", 64)
    frame = photos.frame
    assert photos.pictures.shape == (len(frame), 64, 64, 3) and photos.pictures.dtype == np.uint8
    assert len(frame) > 40 and 0 < frame["held_out"].sum() < len(frame) / 2
    assert frame.groupby("group")["held_out"].nunique().max() == 1  # near-duplicates are on one side
    assert all(path and all(path) for path in frame["category_path"])
    np.testing.assert_allclose(np.linalg.norm(photos.colours, axis=1), 1, rtol=1e-5)


def test_the_flop_of_a_network_are_two_for_each_weight_at_each_position() -> None:
    picture = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(picture)  # 4 x 4 positions, 3 x 3 x 3 x 4 weights
    x = keras.layers.DepthwiseConv2D(5, padding="same")(x)  # 4 x 4 positions, 5 x 5 x 4 weights
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(picture, keras.layers.Dense(7)(x))
    assert gpu.forward_flop(model) == 2 * (16 * 108 + 16 * 100 + 4 * 7)
    assert gpu.forward_flop(build_head(*random_start(10, 6, seed=0))) == 2 * 60


def test_the_originals_time_is_its_epochs_of_its_pictures_at_a_rate() -> None:
    hours = gpu.original_hours(training=1000.0, features=4000.0)
    assert hours["classifier"] == (pytest.approx(30 * (17.2 + 4.3 / 4) / 3600), 2.5)
    assert hours["embedding"] == (pytest.approx(30 * (17.2 + 0.5 / 4) / 3600), 5.0)


def test_the_share_of_the_peak_counts_a_step_as_three_forward_passes() -> None:
    results: dict[str, dict[str, Any]] = {
        "peak": {"state": "complete", "flags": "", "device": "gpu: JAX 0.11.2, NVIDIA H200", "peak": 800e12},
        "resnet50": {"state": "complete", "flags": "", "flop": 10e9, "training": 4000.0, "compiled": 61.0},
    }
    lines = list(gpu.summary(results, OPTIONS))
    assert "measured on gpu: JAX 0.11.2, NVIDIA H200; 256 x 256 pixels, batches of 128" in lines
    assert "peak: 800.00 TFLOP/s, product of two bfloat16 matrices of 8192 x 8192" in lines
    assert "| resnet50 | - | 4,000 | 30.00 | 15.0 % | 61 |" in lines
    assert "| efficientnet_lite0 | - | - | - | - | - |" in lines  # a part that is missing is no error


def test_a_part_that_is_killed_at_its_limit_leaves_its_results_and_is_repeated_without_autotuning(
    carried: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags: list[str] = []

    def run(command: list[str], env: dict[str, str], timeout: float, check: bool) -> Any:
        flags.append(env["XLA_FLAGS"])
        assert timeout <= gpu.LIMITS_S["resnet50"] or len(flags) > 1
        file = Path(command[command.index("--results") + 1])
        file.write_text(json.dumps({"flop": 10} if len(flags) == 1 else {"training": 4.0}), encoding="utf-8")
        if len(flags) == 1:
            raise subprocess.TimeoutExpired(command, timeout)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.setattr(subprocess, "run", run)
    (result,) = gpu.measure_parts(options_with(carried), ["resnet50"], gpu.LIMIT_S).values()
    assert result == {"flop": 10, "training": 4.0, "state": "complete", "flags": gpu.XLA_FLAGS_AGAIN}
    assert flags == [gpu.XLA_FLAGS, gpu.XLA_FLAGS_AGAIN]
    assert any(line.startswith("without autotuning") for line in gpu.summary({"resnet50": result}, OPTIONS))


def test_a_part_is_not_started_without_photos_or_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("started"))
    assert gpu.measure_parts(options_with(tmp_path), ["scoreboard"], gpu.LIMIT_S) == {}
    assert gpu.measure_parts(options_with(tmp_path), ["peak"], 1) == {}
    scoreboard, peak = capsys.readouterr().out.splitlines()
    assert "photos.npz is missing: see --pack" in scoreboard and peak == "peak: not started, no time is left"


def test_carried_wheels_precede_installed_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "keras-0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("keras/__init__.py", "")
    monkeypatch.setenv("PYTHONPATH", "/mine")
    environment = gpu.environment_of(options_with(tmp_path), tmp_path)
    site, *others = environment["PYTHONPATH"].split(os.pathsep)
    assert (Path(site) / "keras" / "__init__.py").is_file() and others == [str(gpu.ROOT), "/mine"]
    if importlib.util.find_spec("jax") is not None:
        assert environment["KERAS_BACKEND"] == os.environ.get("KERAS_BACKEND", "jax")


def test_every_package_to_carry_has_a_pinned_version() -> None:
    pins = (gpu.ROOT / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    assert [name for name in gpu.WHEELS if f"\n{name}==" not in pins] == []


def options_with(carry: Path) -> gpu.Options:
    return gpu.Options(carry, *(getattr(OPTIONS, name) for name in gpu.Options.__dataclass_fields__ if name != "carry"))
