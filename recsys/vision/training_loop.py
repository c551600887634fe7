"""Train a network in epochs with checkpoints, so that a killed training resumes.

    Batches     the batches of each epoch
    fit         trains with a checkpoint after each epoch, and resumes from the last one
    state       copies the weights of a model and its optimizer; `set_state` restores them
    outputs     computes a model's outputs for rows
    precision   sets the precision of the layers built inside the context

All random numbers of an epoch (order, dropout, augmentation) depend on the training's seed and the epoch's number.
Therefore a resumed training ends like an uninterrupted one.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from recsys.core.device import training_device
from recsys.core.errors import TrainingError
from recsys.vision.loading import Load

log = logging.getLogger(__name__)

OnEpoch = Callable[[int, dict[str, float]], None]
"""Called with the epoch, from 1, and its figures: loss, the compiled metrics and, if there is validation data, the same
with the prefix `val_`. An epoch that was interrupted before its checkpoint is reported again."""
History = list[dict[str, float]]
"""Figures of each epoch, from the first."""
Diagnose = Callable[[History], None]
"""Raises TrainingError if the last epoch shows that the training has failed."""


@dataclass(eq=False)
class Batches:
    """The batches of each epoch.

    Attributes:
        steps: batches per epoch.
        batch: function from epoch and step, both from 0, to a batch: (inputs, targets) or (inputs, targets, weights).
    """

    steps: int
    batch: Callable[[int, int], tuple[Any, ...]]

    def epoch(self, number: int) -> Iterator[tuple[Any, ...]]:
        """Yield the batches of an epoch, from 0; the next batch is loaded while one is in use."""
        with ThreadPoolExecutor(1) as loader:
            following = loader.submit(self.batch, number, 0)
            for step in range(1, self.steps + 1):
                batch = following.result()
                if step < self.steps:
                    following = loader.submit(self.batch, number, step)
                yield batch


def fit(
    model: keras.Model,
    batches: Batches,
    epochs: int,
    *,
    checkpoint_folder: Path,
    seed: int,
    diagnose: Diagnose,
    on_epoch: OnEpoch | None = None,
    validation_data: Batches | None = None,
) -> History:
    """Train a compiled model in place, from the folder's checkpoint if there is one, and return its figures.

    A checkpoint holds weights, optimizer state and the figures so far. It is replaced atomically, so that a kill at any
    time leaves a complete one. The device is logged before the first step, which compiles the network for minutes.

    Args:
        checkpoint_folder: folder of this training only; created if it does not exist.
        seed: seed of dropout and augmentation; `batches` have their own.
        diagnose: called with the figures after each epoch, before they are reported and saved.
        validation_data: its first epoch is used after each epoch.

    Raises:
        TrainingError: `diagnose` raises it, or the checkpoint is of another network.
    """
    log.info("training on %s", training_device())
    checkpoint = checkpoint_folder / "checkpoint.npz"
    history = _restore(model, checkpoint)
    if len(history) < epochs:
        _create_variables(model, *batches.batch(0, 0))
    for epoch in range(len(history), epochs):
        _seed(model, seed, epoch)
        figures = _run_epoch(model.train_on_batch, model, batches, epoch)
        if validation_data is not None:
            validation = _run_epoch(model.test_on_batch, model, validation_data, 0)
            figures |= {f"val_{name}": value for name, value in validation.items()}
        history.append(figures)
        diagnose(history)
        if on_epoch is not None:
            on_epoch(epoch + 1, figures)
        _save(model, checkpoint, history)
    return history


def _run_epoch(step: Callable[..., Any], model: keras.Model, batches: Batches, epoch: int) -> dict[str, float]:
    """Train or test a model with the batches of an epoch, and return its figures, the means over the epoch.

    `keras.Model.fit` does the same, but its work per epoch takes longer than the epoch of a head.
    """
    model.reset_metrics()
    figures: dict[str, Any] = {}
    for batch in batches.epoch(epoch):
        figures = step(*batch, return_dict=True)
    return {name: float(value) for name, value in figures.items()}


def _seed(model: keras.Model, seed: int, epoch: int) -> None:
    """Set the seeds of dropout and augmentation."""
    generator = np.random.default_rng([seed, epoch])
    for variable in model.variables:
        if "seed_generator_state" in variable.path:
            variable.assign(generator.integers(1 << 31, size=2))


def _create_variables(model: keras.Model, inputs: Any, targets: Any, weights: Any = None) -> None:
    """Create the variables of optimizer and metrics; otherwise the first step creates them and is traced twice.

    Tracing ResNet50 takes 5 to 15 seconds.
    """
    model.optimizer.build(model.trainable_variables)
    model.compute_metrics(inputs, targets, np.zeros((len(targets), *model.output_shape[1:]), np.float32), weights)
    model.reset_metrics()


def state(model: keras.Model) -> list[NDArray[Any]]:
    """Return copies of all values that a training changes and depends on."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in _variables(model)]


def set_state(model: keras.Model, values: Sequence[NDArray[Any]]) -> None:
    """Restore what `state` returned; a model that is trained several times is compiled once."""
    for variable, value in zip(_variables(model), values, strict=True):
        variable.assign(value)


def _variables(model: keras.Model) -> list[Any]:
    model.optimizer.build(model.trainable_variables)
    return [*model.weights, *model.optimizer.variables]


def _save(model: keras.Model, checkpoint: Path, history: History) -> None:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    scratch = checkpoint.with_suffix(".part")
    with scratch.open("wb") as file:
        np.savez(file, *state(model), history=np.array(json.dumps(history)))
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(checkpoint)


def _restore(model: keras.Model, checkpoint: Path) -> History:
    """Restore a model from its checkpoint and return the figures so far; empty if there is no checkpoint."""
    if not checkpoint.is_file():
        return []
    with np.load(checkpoint) as saved:
        history: History = json.loads(str(saved["history"]))
        values = [saved[name] for name in saved.files if name != "history"]
    if [value.shape for value in values] != [tuple(variable.shape) for variable in _variables(model)]:
        raise TrainingError(f"checkpoint {checkpoint} is of another network; delete it to train from the start")
    set_state(model, values)
    return history


def outputs(model: keras.Model, load: Load, rows: NDArray[np.int64], batch_size: int) -> NDArray[Any]:
    """Return the outputs of a model for rows, (n, ...), n at least 1.

    The last batch is padded to a power of two, because Keras compiles the model again for each new size.
    """
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    sizes = [min(batch_size, 1 << (len(batch) - 1).bit_length()) for batch in batches]
    predicted = [model.predict_on_batch(load(np.resize(b, n)))[: len(b)] for b, n in zip(batches, sizes, strict=True)]
    return np.concatenate(predicted)


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Build layers with this precision inside the context."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
