"""Training of the picture model: batches, cross-validation, resumption, divergence and collapse."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from recsys.core.configuration import Configuration
from recsys.core.errors import TrainingError
from recsys.models import grouping
from recsys.models.classifier.network import build_head
from recsys.models.classifier.recipe import Network, Recipe, load_recipe
from recsys.models.classifier.training import PATIENCE, ExampleBatches, diagnose, train_head, train_network
from recsys.models.labels.merge_table import assign_labels
from recsys.vision import backbones
from recsys.vision.perceptual_hash import fingerprint
from recsys.vision.square import square_photo
from recsys.vision.training_loop import History, fit

pytestmark = pytest.mark.slow

LABELS, SIZE, EACH = 3, 32, 40
N = LABELS * EACH


def recipe(**changes: Any) -> Recipe:
    small = {"epochs": 6, "batch_size": 32, "learning_rate": 0.01, "weight_decay": 0.0}
    return load_recipe("default").model_copy(update={**small, **changes})


def network(**changes: Any) -> Recipe:
    """A recipe for `tiny` pictures and `tiny_backbone`."""
    tiny = Network(backbone="resnet50", weights="none", input_size=32, freeze_layers=0, precision="float32")
    return recipe(network=tiny, folds=1, learning_rate=0.03, dropout=0.0, **changes)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return np.arange(N) % LABELS


@pytest.fixture(scope="module")
def features(truth: np.ndarray) -> np.ndarray:
    """Unit vectors around one centre per label, so near that a model distinguishes most of them: (120, 32) float32."""
    x = np.random.default_rng(0).normal(size=(N, SIZE)) + 2.5 * np.eye(LABELS, SIZE)[truth] * np.sqrt(LABELS)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def folds() -> np.ndarray:
    return np.arange(N) // LABELS % 5


def weights(model: keras.Model) -> np.ndarray:
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


# --- examples -------------------------------------------------------------------------------------------------------


def rows_of_epoch(data: ExampleBatches, epoch: int) -> list[int]:
    return [row for step in range(data.steps) for row in data.batch(epoch, step)[0].tolist()]


def test_the_order_depends_only_on_seed_and_epoch(truth: np.ndarray) -> None:
    def examples(seed: int) -> ExampleBatches:
        return ExampleBatches(np.copy, truth, LABELS, np.arange(10, N), 32, seed=seed)

    assert rows_of_epoch(examples(5), 2) == rows_of_epoch(examples(5), 2)
    assert (
        len(
            {
                tuple(rows_of_epoch(examples(5), 1)),
                tuple(rows_of_epoch(examples(5), 2)),
                tuple(rows_of_epoch(examples(6), 1)),
            }
        )
        == 3
    )
    assert sorted(rows_of_epoch(examples(5), 1)) == list(range(10, N))


def test_without_a_seed_the_rows_keep_their_order(truth: np.ndarray) -> None:
    data = ExampleBatches(np.copy, truth, LABELS, np.arange(7, 60), 32)
    assert rows_of_epoch(data, 0) == rows_of_epoch(data, 4) == list(range(7, 60))


def test_balanced_labels_have_the_same_weight_for_any_number_of_examples() -> None:
    truth = np.array([0] * 90 + [1] * 9 + [2])
    data = ExampleBatches(np.copy, truth, 3, np.arange(100), 100, balanced=True)
    _, targets, given = data.batch(0, 0)
    totals = (targets * given[:, None]).sum(axis=0)
    assert totals.tolist() == pytest.approx([100 / 3] * 3, rel=1e-5)
    assert data.prior_loss == pytest.approx(np.log(3))


def test_the_prior_loss_is_the_entropy_of_the_label_frequencies() -> None:
    even, uneven = np.array([0, 1] * 50), np.array([0] * 90 + [1] * 10)
    assert ExampleBatches(np.copy, even, 2, np.arange(100), 10).prior_loss == pytest.approx(np.log(2))
    expected = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert ExampleBatches(np.copy, uneven, 2, np.arange(100), 10).prior_loss == pytest.approx(expected)


def test_smoothing_spreads_a_share_of_the_target_over_all_labels(truth: np.ndarray) -> None:
    targets = ExampleBatches(np.copy, truth, LABELS, np.arange(N), N, smoothing=0.3).batch(0, 0)[1]
    np.testing.assert_allclose(targets[0], [0.8, 0.1, 0.1], atol=1e-6)


# --- divergence and collapse ----------------------------------------------------------------------------------------


def train(model: keras.Model, data: ExampleBatches, epochs: int, folder: Path, **how: Any) -> History:
    aim = functools.partial(diagnose, prior_loss=data.prior_loss)
    return fit(model, data, epochs, checkpoint_folder=folder, seed=1, diagnose=aim, **how)


@pytest.mark.parametrize("learning_rate", [1.0, 1e3])
def test_a_diverging_training_stops_with_a_suggestion(truth: np.ndarray, tmp_path: Path, learning_rate: float) -> None:
    noise = np.random.default_rng(0).normal(size=(N, SIZE)).astype(np.float32)
    model = build_head(SIZE, LABELS, recipe(learning_rate=learning_rate))
    data = ExampleBatches(noise.__getitem__, np.roll(truth, 1), LABELS, np.arange(N), 32, seed=1)
    with pytest.raises(TrainingError, match=r"diverges: .* in epoch \d+; use a recipe with a lower learning_rate"):
        train(model, data, 60, tmp_path)


def test_a_loss_of_nan_stops_at_once(features: np.ndarray, truth: np.ndarray, tmp_path: Path) -> None:
    broken = features.copy()
    broken[5, 5] = np.nan
    data = ExampleBatches(broken.__getitem__, truth, LABELS, np.arange(N), 32, seed=1)
    with pytest.raises(TrainingError, match="is nan in epoch 1"):
        train(build_head(SIZE, LABELS, recipe()), data, 6, tmp_path)
    assert not (tmp_path / "checkpoint.npz").exists()


def test_a_collapsed_training_stops_when_patience_ends(truth: np.ndarray, tmp_path: Path) -> None:
    """A network whose features died: all pictures look the same to it."""
    dead = np.zeros((N, SIZE), np.float32)
    model = build_head(SIZE, LABELS, recipe())
    data = ExampleBatches(dead.__getitem__, truth, LABELS, np.arange(N), 32, seed=1)
    reported: list[int] = []
    with pytest.raises(TrainingError, match=r"collapsed: its loss is 1\.1 in epoch 11, no lower than 10 epochs before"):
        train(model, data, 60, tmp_path, on_epoch=lambda epoch, _: reported.append(epoch))
    assert len(reported) == PATIENCE


# --- the head on folds ----------------------------------------------------------------------------------------------


def test_the_head_learns_and_reports_each_epoch_of_each_fold(
    features: np.ndarray, truth: np.ndarray, folds: np.ndarray, tmp_path: Path
) -> None:
    reports: list[tuple[int, dict[str, float]]] = []
    trained = train_head(
        features,
        truth,
        LABELS,
        recipe(),
        folds,
        checkpoint_folder=tmp_path,
        on_epoch=lambda *report: reports.append(report),
    )
    assert (trained.logits.argmax(axis=1) == truth).mean() > 0.75
    assert (trained.model.predict(features, verbose=0).argmax(axis=1) == truth).mean() > 0.8
    assert list(trained.history) == ["fold_1", "fold_2", "fold_3", "fold_4", "fold_5", "all"]
    assert [epoch for epoch, _ in reports] == list(range(1, 7)) * 6
    assert set(reports[0][1]) == {f"fold_1/{name}" for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    assert set(reports[-1][1]) == {"loss", "accuracy"}
    assert trained.history["all"][-1]["loss"] < trained.history["all"][0]["loss"]


def test_an_example_is_predicted_by_a_model_that_was_not_trained_on_it(folds: np.ndarray, tmp_path: Path) -> None:
    """Labels without a reason can be learned by heart, and only so."""
    random = np.random.default_rng(0)
    noise = random.normal(size=(N, 200)).astype(np.float32)
    truth = random.integers(0, LABELS, N)
    by_heart = recipe(epochs=10, dropout=0.0, learning_rate=0.03, folds=2)
    trained = train_head(noise, truth, LABELS, by_heart, folds % 2, checkpoint_folder=tmp_path)
    assert (trained.model.predict(noise, verbose=0).argmax(axis=1) == truth).mean() > 0.95
    assert (trained.logits.argmax(axis=1) == truth).mean() < 0.5


def test_examples_that_are_not_held_out_or_not_validated_have_no_logits(
    features: np.ndarray, truth: np.ndarray, folds: np.ndarray, tmp_path: Path
) -> None:
    folds[:10] = grouping.TRAINING
    validated = np.arange(N) < 100
    once = recipe(epochs=1, folds=5)
    trained = train_head(features, truth, LABELS, once, folds, checkpoint_folder=tmp_path, validated=validated)
    assert np.flatnonzero(np.isfinite(trained.logits).all(axis=1)).tolist() == list(range(10, 100))


def test_the_model_of_a_single_split_is_the_validated_one(
    features: np.ndarray, truth: np.ndarray, tmp_path: Path
) -> None:
    held_out = np.where(np.arange(N) < 24, 0, grouping.TRAINING)
    trained = train_head(features, truth, LABELS, recipe(folds=1), held_out, checkpoint_folder=tmp_path)
    assert list(trained.history) == ["fold_1"]
    np.testing.assert_allclose(trained.model.predict(features[:24], verbose=0), trained.logits[:24], atol=1e-5)
    assert np.isnan(trained.logits[24:]).all()


def test_a_label_with_one_example_is_no_error(features: np.ndarray, folds: np.ndarray, tmp_path: Path) -> None:
    truth = np.zeros(N, int)
    truth[7] = 1
    trained = train_head(
        features, truth, 2, recipe(epochs=PATIENCE + 1, folds=2), folds % 2, checkpoint_folder=tmp_path
    )
    assert np.isfinite(trained.logits).all()


@pytest.mark.parametrize("examples", [0, 1, N])
def test_fewer_than_two_labels_are_an_error(
    features: np.ndarray, folds: np.ndarray, tmp_path: Path, examples: int
) -> None:
    with pytest.raises(TrainingError, match=r"cannot start: .* examples of at least two labels"):
        train_head(
            features[:examples],
            np.zeros(examples, int),
            LABELS,
            recipe(),
            folds[:examples],
            checkpoint_folder=tmp_path,
        )


def test_a_fold_without_training_examples_has_no_logits(
    features: np.ndarray, truth: np.ndarray, tmp_path: Path
) -> None:
    trained = train_head(features, truth, LABELS, recipe(), np.zeros(N, int), checkpoint_folder=tmp_path)
    assert np.isnan(trained.logits).all() and list(trained.history) == ["all"]


def test_features_that_are_not_finite_are_an_error(
    features: np.ndarray, truth: np.ndarray, folds: np.ndarray, tmp_path: Path
) -> None:
    broken = features.copy()
    broken[5, 5] = np.inf
    with pytest.raises(TrainingError, match=r"cannot start: .* not finite"):
        train_head(broken, truth, LABELS, recipe(), folds, checkpoint_folder=tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_the_jax_backend_trains_the_same_head(
    features: np.ndarray, truth: np.ndarray, folds: np.ndarray, tmp_path: Path
) -> None:
    still = recipe(dropout=0.0)  # each backend has its own generator
    here = train_head(features, truth, LABELS, still, folds, checkpoint_folder=tmp_path / "here")
    np.savez(tmp_path / "arrays.npz", features=features, truth=truth, folds=folds)
    code = (
        "import sys, json, numpy as np; from pathlib import Path\n"
        "from recsys.models.classifier.recipe import Recipe; from recsys.models.classifier.training import train_head\n"
        "folder = Path(sys.argv[1]); recipe = Recipe.model_validate(json.loads(sys.argv[2]))\n"
        "a = np.load(folder / 'arrays.npz')\n"
        "out = train_head(a['features'], a['truth'], 3, recipe, a['folds'], checkpoint_folder=folder / 'jax')\n"
        "np.save(folder / 'logits.npy', out.logits); print('tensorflow' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path), still.model_dump_json()]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.stdout == "False\n", done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), here.logits, atol=1e-2)


# --- the network on pictures ----------------------------------------------------------------------------------------


def tiny_backbone() -> keras.Model:
    image = keras.Input((32, 32, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="preprocess")(image)
    first = keras.initializers.HeNormal(0)
    return keras.Model(image, keras.layers.Conv2D(4, 16, strides=16, activation="relu", kernel_initializer=first)(x))


@pytest.fixture(scope="module")
def red_or_cyan() -> np.ndarray:
    """Pictures of two colours, each the other's negative: (60, 32, 32, 3) uint8."""
    images = np.zeros((60, 32, 32, 3), np.uint8)
    images[0::2, ..., 0] = 255
    images[1::2, ..., 1:] = 255
    return images


def train_tiny(images: np.ndarray, folder: Path, augmentation: keras.Model | None = None, **changes: Any) -> Any:
    return train_network(
        images.__getitem__,
        np.arange(len(images)) % 2,
        2,
        network(**changes),
        np.where(np.arange(len(images)) < 12, 0, grouping.TRAINING),
        checkpoint_folder=folder,
        augmentation=augmentation,
        backbone=tiny_backbone(),
    )


def test_a_network_learns_pictures_and_gives_probabilities(red_or_cyan: np.ndarray, tmp_path: Path) -> None:
    trained = train_tiny(red_or_cyan, tmp_path)
    probabilities = trained.model.predict(red_or_cyan, verbose=0)
    assert (probabilities.argmax(axis=1) == np.arange(60) % 2).all()
    np.testing.assert_allclose(np.exp(trained.logits[:12]), probabilities[:12], atol=1e-5)


@keras.saving.register_keras_serializable("test_training")
class Negative(keras.layers.Layer):
    """An augmentation that inverts the colours."""

    def call(self, x: Any, training: bool = False) -> Any:
        return 255.0 - keras.ops.cast(x, "float32") if training else keras.ops.cast(x, "float32")


def test_pictures_are_augmented_in_training_and_never_in_validation(red_or_cyan: np.ndarray, tmp_path: Path) -> None:
    trained = train_tiny(red_or_cyan, tmp_path, keras.Sequential([keras.Input((32, 32, 3)), Negative()]))
    last = trained.history["fold_1"][-1]
    assert (last["accuracy"], last["val_accuracy"]) == (1, 0)
    assert (trained.logits[:12].argmax(axis=1) != np.arange(12) % 2).all()


def test_a_training_with_augmentation_resumes_as_if_never_stopped(red_or_cyan: np.ndarray, tmp_path: Path) -> None:
    def varied() -> keras.Model:
        layers = [keras.Input((32, 32, 3)), keras.layers.RandomFlip(seed=1), keras.layers.RandomBrightness(0.5, seed=2)]
        return keras.Sequential(layers)

    whole = train_tiny(red_or_cyan, tmp_path / "whole", varied(), epochs=4)
    train_tiny(red_or_cyan, tmp_path / "parts", varied(), epochs=2)
    resumed = train_tiny(red_or_cyan, tmp_path / "parts", varied(), epochs=4)
    np.testing.assert_allclose(weights(resumed.model), weights(whole.model), atol=1e-5)


def test_a_recipe_without_a_network_is_an_error(red_or_cyan: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no section \[network\]"):
        train_network(red_or_cyan.__getitem__, np.zeros(60, int), 2, recipe(), np.zeros(60), checkpoint_folder=tmp_path)


# --- real data ------------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_on_real_photos_the_picture_alone_predicts_the_label(
    shared_data: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    folder = shared_data / "flipkart-photos"
    catalogue = pd.read_csv(folder / "catalogue.csv")
    paths = [[part.strip() for part in json.loads(tree)[0].split(">>")] for tree in catalogue["product_category_tree"]]
    products = pd.DataFrame({"product_id": catalogue["uniq_id"], "name": catalogue["product_name"]})
    given = assign_labels(products.assign(category_path=paths), Configuration())["label"]
    truth, labels = pd.factorize(given, sort=True)
    settings = Configuration().images
    images = np.stack(
        [square_photo((folder / "images" / f"{key}.jpeg").read_bytes(), settings) for key in catalogue["uniq_id"]]
    )
    prints = [fingerprint(image) for image in images]
    groups = grouping.assign_groups(catalogue["product_name"], catalogue["brand"], prints)
    features = backbones.FeatureExtractor("efficientnet_lite0", batch_size=8)(images)

    began = time.monotonic()
    default = load_recipe("default")
    folds = grouping.assign_folds(truth, groups, default.folds, default.seed)
    trained = train_head(features, truth, len(labels), default, folds, checkpoint_folder=tmp_path)
    seconds = time.monotonic() - began
    accuracy = float((trained.logits.argmax(axis=1) == truth).mean())
    print(f"picture alone: {accuracy:.3f} of {len(truth)} photos, {len(labels)} labels, in {seconds:.1f} s")
    assert len(labels) == 7
    assert accuracy >= 0.86
    assert seconds < 60
