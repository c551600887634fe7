"""Epochs: they survive being killed, follow from seed and epoch alone, and are judged before they are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from recsys.core.device import training_device
from recsys.core.errors import TrainingError
from recsys.vision.training_loop import Batches, History, fit, outputs, precision, set_state, state

N, SIZE, BATCH = 96, 8, 32
STEPS = N // BATCH


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, SIZE)).astype(np.float32)


def batches(inputs: np.ndarray, on_step: Callable[[int, int], None] = lambda epoch, step: None) -> Batches:
    """Which side of a plane a row is on; in an order that the epoch decides."""
    targets = (inputs.sum(axis=1, keepdims=True) > 0).astype(np.float32)

    def batch(epoch: int, step: int) -> tuple[Any, ...]:
        on_step(epoch, step)
        rows = np.random.default_rng(epoch).permutation(N)[step * BATCH : (step + 1) * BATCH]
        return inputs[rows], targets[rows]

    return Batches(STEPS, batch)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """A network with dropout, so that chance matters; compiled once for all of these tests."""
    first = keras.initializers.GlorotUniform(1)
    layers = [keras.layers.Dropout(0.3, seed=1), keras.layers.Dense(1, "sigmoid", kernel_initializer=first)]
    made = keras.Sequential([keras.Input((SIZE,)), *layers])
    made.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return made


@pytest.fixture(scope="module")
def untrained(network: keras.Model) -> list[np.ndarray]:
    return state(network)


@pytest.fixture
def model(network: keras.Model, untrained: list[np.ndarray]) -> keras.Model:
    set_state(network, untrained)
    return network


def fine(history: History) -> None:
    """Any training will do."""


def train(model: keras.Model, data: Batches, folder: Path, **how: Any) -> History:
    return fit(model, data, 5, checkpoint_folder=folder, seed=1, **{"diagnose": fine, **how})


@pytest.fixture(scope="module")
def whole(
    network: keras.Model, untrained: list[np.ndarray], inputs: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[np.ndarray], History, Path]:
    """Return the state, figures and folder of an uninterrupted training."""
    set_state(network, untrained)
    folder = tmp_path_factory.mktemp("whole")
    figures = train(network, batches(inputs), folder)
    return state(network), figures, folder


def same(model: keras.Model, whole: tuple[list[np.ndarray], History, Path], again: History) -> bool:
    for value, expected in zip(state(model), whole[0], strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)
    for after, before in zip(again, whole[1], strict=True):
        assert after == pytest.approx(before, abs=1e-4)
    return True


def test_a_training_cut_off_in_an_epoch_and_run_again_ends_as_one_that_was_not(
    model: keras.Model, inputs: np.ndarray, whole: tuple[list[np.ndarray], History, Path], tmp_path: Path
) -> None:
    def power_cut(epoch: int, step: int) -> None:
        if (epoch, step) == (3, 1):
            raise RuntimeError("power cut")

    with pytest.raises(Exception, match="power cut"):
        train(model, batches(inputs, power_cut), tmp_path)
    kept = json.loads(str(np.load(tmp_path / "checkpoint.npz")["history"]))
    assert len(kept) == 3
    reported: list[int] = []
    again = train(model, batches(inputs), tmp_path, on_epoch=lambda epoch, _: reported.append(epoch))
    assert reported == list(range(len(kept) + 1, 6))
    assert same(model, whole, again)


def test_ctrl_c_keeps_the_last_checkpoint(
    model: keras.Model, inputs: np.ndarray, whole: tuple[list[np.ndarray], History, Path], tmp_path: Path
) -> None:
    def stop(epoch: int, figures: dict[str, float]) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(model, batches(inputs), tmp_path, on_epoch=stop)
    reported: list[int] = []
    again = train(model, batches(inputs), tmp_path, on_epoch=lambda epoch, _: reported.append(epoch))
    assert reported == [3, 4, 5]
    assert same(model, whole, again)


def test_a_finished_training_is_not_done_again(
    model: keras.Model, inputs: np.ndarray, whole: tuple[list[np.ndarray], History, Path]
) -> None:
    reported: list[int] = []
    again = train(model, batches(inputs), whole[2], on_epoch=lambda epoch, _: reported.append(epoch))
    assert reported == []
    assert same(model, whole, again)


def test_a_half_written_checkpoint_is_never_loaded(
    model: keras.Model, inputs: np.ndarray, whole: tuple[list[np.ndarray], History, Path], tmp_path: Path
) -> None:
    content = (whole[2] / "checkpoint.npz").read_bytes()
    (tmp_path / "checkpoint.part").write_bytes(content[: len(content) // 2])
    again = train(model, batches(inputs), tmp_path)
    assert len(again) == 5 and same(model, whole, again)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_a_checkpoint_of_another_network_is_refused(
    inputs: np.ndarray, whole: tuple[list[np.ndarray], History, Path]
) -> None:
    other = keras.Sequential([keras.Input((SIZE,)), keras.layers.Dense(2)])
    other.compile("adam", "mse")
    with pytest.raises(TrainingError, match=r"checkpoint\.npz is of another network; delete it"):
        train(other, batches(inputs), whole[2])


def test_an_epoch_that_is_diagnosed_as_lost_ends_the_training_and_is_not_kept(
    model: keras.Model, inputs: np.ndarray, tmp_path: Path
) -> None:
    def lost(history: History) -> None:
        if len(history) == 3:
            raise TrainingError(f"the loss is {history[-1]['loss']:.1f}")

    reported: list[int] = []
    with pytest.raises(TrainingError, match="the loss is"):
        train(model, batches(inputs), tmp_path, diagnose=lost, on_epoch=lambda epoch, _: reported.append(epoch))
    assert reported == [1, 2]
    assert len(json.loads(str(np.load(tmp_path / "checkpoint.npz")["history"]))) == 2


def test_what_a_model_says_of_rows_is_in_their_order_whatever_the_batch(model: keras.Model, inputs: np.ndarray) -> None:
    rows = np.array([5, 3, 90, 5, 7])
    expected = model.predict_on_batch(inputs)[rows]
    np.testing.assert_allclose(outputs(model, inputs.__getitem__, rows, 4), expected, atol=1e-6)
    np.testing.assert_allclose(outputs(model, inputs.__getitem__, rows[:1], 4), expected[:1], atol=1e-6)


def test_a_precision_is_of_the_layers_built_within() -> None:
    with precision("mixed_bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
    assert keras.layers.Dense(1).compute_dtype == "float32"


def test_the_device_is_logged_before_the_first_epoch(
    model: keras.Model, inputs: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "recsys.vision.training_loop")
    logged: list[str] = []
    train(model, batches(inputs), tmp_path, on_epoch=lambda epoch, _: logged.append(f"{epoch}: {caplog.messages}"))
    assert logged[0] == f"1: {[f'training on {training_device()}']}"
