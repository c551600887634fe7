"""Training: it learns all levels, survives being killed, is the same again, and says so when it leads nowhere."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from recsys.core.errors import TrainingError
from recsys.models.embedding.diagnosis import MAX_GROWTH, PATIENCE, diagnose, metrics
from recsys.models.embedding.recipe import Batches, Network, Recipe, load_recipe
from recsys.models.embedding.training import Trained, epochs_of, train_head, train_network
from recsys.vision import backbones
from recsys.vision.training_loop import precision

pytestmark = pytest.mark.slow

HEADS = ["default", "original_head"]


def recipe(name: str = "default", **changes: Any) -> Recipe:
    small = {"epochs": 8, "embedding_size": 24, "batches": Batches(size=64, run=8)} if name == "default" else {}
    return load_recipe(name).model_copy(update={**small, **changes})


def agreement(vectors: np.ndarray, examples: pd.DataFrame, level: int) -> float:
    """Return the share of the five nearest of each held-out picture that have its value of a level."""
    cut = np.array([path[level - 1] if len(path) >= level else "" for path in examples["category_path"]])
    queries = np.flatnonzero(examples["held_out"].to_numpy() & (cut != ""))
    likeness = vectors[queries] @ vectors.T
    likeness[np.arange(len(queries)), queries] = -np.inf
    nearest = np.argsort(-likeness, axis=1)[:, :5]
    return float((cut[nearest] == cut[queries, None]).mean())


def weights(trained: Trained) -> np.ndarray:
    return np.concatenate([np.ravel(weight) for weight in trained.model.get_weights()])


# --- the head -------------------------------------------------------------------------------------------------------


def test_the_default_is_nearer_at_every_level_than_the_features_are(
    features: np.ndarray, examples: pd.DataFrame, tmp_path: Path
) -> None:
    trained = train_head(features, examples, recipe(epochs=20), checkpoint_folder=tmp_path)
    vectors = trained.model.predict(features, verbose=0)
    assert vectors.dtype == np.float32 and vectors.shape == (len(features), 24)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for level in (1, 2, 3):
        assert agreement(vectors, examples, level) > agreement(features, examples, level) + 0.05
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]


@pytest.mark.parametrize("name", HEADS)
def test_each_epoch_reports_its_metrics(
    features: np.ndarray, examples: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    reported: list[tuple[int, dict[str, float]]] = []
    short = recipe(name, epochs=3)
    trained = train_head(
        features, examples, short, checkpoint_folder=tmp_path, on_epoch=lambda *figures: reported.append(figures)
    )
    measured = {"loss", "active_share", "positive_distance", "negative_distance", "distance_deviation", "spread"}
    assert [epoch for epoch, _ in reported] == [1, 2, 3]
    assert set(reported[0][1]) == measured | {f"val_{each}" for each in measured} | {"learning_rate"}
    assert [figures for _, figures in reported] == trained.history
    last = trained.history[-1]
    assert 0 < last["positive_distance"] < last["negative_distance"] < 2 and 0 <= last["active_share"] <= 1


def test_what_is_held_out_changes_nothing(features: np.ndarray, examples: pd.DataFrame, tmp_path: Path) -> None:
    other, shuffled = features.copy(), examples.copy()
    held_out = examples["held_out"].to_numpy()
    other[held_out] = other[held_out][::-1]
    shuffled.loc[held_out, "category_path"] = pd.Series([["something else"]] * len(examples))[held_out]
    one = train_head(features, examples, recipe(epochs=2), checkpoint_folder=tmp_path / "one")
    two = train_head(other, shuffled, recipe(epochs=2), checkpoint_folder=tmp_path / "two")
    np.testing.assert_array_equal(weights(one), weights(two))


def test_a_seed_gives_one_embedding_and_another_seed_another(
    features: np.ndarray, examples: pd.DataFrame, tmp_path: Path
) -> None:
    one, same, other = (
        train_head(features, examples, recipe(epochs=2, seed=seed), checkpoint_folder=tmp_path / folder)
        for seed, folder in ((1, "one"), (1, "same"), (2, "other"))
    )
    np.testing.assert_allclose(weights(one), weights(same), atol=1e-6)
    assert np.abs(weights(one) - weights(other)).max() > 1e-3


def test_an_interrupted_training_resumes_with_the_same_result(
    features: np.ndarray, examples: pd.DataFrame, tmp_path: Path
) -> None:
    whole = train_head(features, examples, recipe(), checkpoint_folder=tmp_path / "whole")

    def stop(epoch: int, figures: dict[str, float]) -> None:
        if epoch == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_head(features, examples, recipe(), checkpoint_folder=tmp_path / "stopped", on_epoch=stop)
    reported: list[int] = []
    resumed = train_head(
        features, examples, recipe(), checkpoint_folder=tmp_path / "stopped", on_epoch=lambda *f: reported.append(f[0])
    )
    assert reported == [4, 5, 6, 7, 8]
    np.testing.assert_allclose(weights(resumed), weights(whole), atol=1e-5)
    assert [figures["learning_rate"] for figures in resumed.history] == pytest.approx(
        [recipe().learning_rate * (1 - epoch / 8) for epoch in range(1, 9)]
    )


def test_several_pictures_of_one_product_come_to_lie_together(examples: pd.DataFrame, tmp_path: Path) -> None:
    """Their categories say nothing: only the product tells what is the same in its pictures and what is not."""
    chance, rows = np.random.default_rng(0), np.arange(len(examples))
    own, other = chance.normal(size=(len(rows) // 2, 24))[rows // 2], chance.normal(size=(len(rows), 24))
    views = np.concatenate([own, 1.5 * other], axis=1).astype(np.float32)
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    pairs = examples.assign(product_id=[f"p{n // 2}" for n in rows], view=rows % 2, held_out=rows >= 160)
    pairs["category_path"] = [["one"], ["other"]] * (len(rows) // 2)

    def found(vectors: np.ndarray) -> float:
        likeness = vectors[160:] @ vectors.T
        likeness[np.arange(80), rows[160:]] = -2
        return float((likeness.argmax(axis=1) // 2 == rows[160:] // 2).mean())

    finest = recipe(epochs=60, learning_rate=0.01, product_weight=5.0)
    trained = train_head(views, pairs, finest, checkpoint_folder=tmp_path)
    assert found(trained.model.predict(views, verbose=0)) > found(views) + 0.15


def test_a_large_catalogue_has_fewer_epochs(examples: pd.DataFrame) -> None:
    many = pd.concat([examples] * 100)  # 19,200 of them are trained on: 300 batches
    assert epochs_of(recipe(epochs=100, most_steps=1_000), many) == 4
    assert epochs_of(recipe(epochs=100, most_steps=1_000), examples) == 100
    assert epochs_of(recipe(epochs=100, most_steps=None), many) == 100


# --- what leads nowhere ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HEADS)
def test_a_learning_rate_of_10_stops_within_two_epochs_and_says_what_to_try(
    features: np.ndarray, examples: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    wild = load_recipe(name).model_copy(update={"learning_rate": 10.0})
    reported: list[int] = []
    with pytest.raises(TrainingError, match=r"diverges: .*in epoch [12]\b.*; use a recipe with a lower learning_rate"):
        train_head(
            features, examples, wild, checkpoint_folder=tmp_path, on_epoch=lambda epoch, figures: reported.append(epoch)
        )
    assert len(reported) <= 1


def test_features_that_are_all_the_same_are_a_collapse(examples: pd.DataFrame, tmp_path: Path) -> None:
    same = np.full((len(examples), 48), 48**-0.5, np.float32)
    with pytest.raises(TrainingError, match=r"collapsed: in epoch 1 all pictures have nearly one embedding .*; use a"):
        train_head(same, examples, recipe("original_head"), checkpoint_folder=tmp_path)


HEALTHY = {"loss": 0.1, "spread": 0.9, "distance_deviation": 0.2, "negative_distance": 1.4}


@pytest.mark.parametrize(
    ("figures", "epochs", "growth", "message"),
    [
        ({}, 1, 1.0, None),
        ({"loss": float("nan")}, 1, 1.0, "diverges: its loss is nan in epoch 1; .* lower learning_rate"),
        ({"loss": 0.3}, 2, 1.0, r"diverges: its loss was 0\.15 at the start and is 0\.3 in epoch 2"),
        ({}, 2, MAX_GROWTH + 1, "diverges: in epoch 2 the last layer is 51 times as large"),
        ({"spread": 1e-4}, 3, 1.0, "collapsed: in epoch 3 all pictures have nearly one embedding"),
        ({"distance_deviation": 1e-3}, 3, 1.0, "collapsed: in epoch 3 all embeddings are equally far apart"),
        ({"loss": 0.201}, PATIENCE - 1, 1.0, None),
        ({"loss": 0.201}, PATIENCE, 1.0, r"collapsed: for 10 epochs its loss is 0\.201, as if all pictures were"),
    ],
)
def test_each_way_to_fail_has_its_sentence(
    figures: dict[str, float], epochs: int, growth: float, message: str | None
) -> None:
    history = [{**HEALTHY, **figures}] * epochs
    how = {"first_loss": 0.15, "collapsed_loss": 0.2, "growth": growth}
    if message is None:
        diagnose(history, **how)
    else:
        with pytest.raises(TrainingError, match=message):
            diagnose(history, **how)


def test_what_is_measured_is_what_it_is_called() -> None:
    x = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    reported = {metric.__name__: float(metric(np.array([[0], [0], [1]]), x)) for metric in metrics(0.2)}
    far = np.sqrt([2, 2, 4])
    assert reported == pytest.approx(
        {
            "active_share": 0.5,  # 0 is 2 from the negative; 1 as near to it as to the positive
            "positive_distance": 2**0.5,
            "negative_distance": (2 + 2**0.5) / 2,
            "distance_deviation": far.std(),
            "spread": 1 - np.linalg.norm(x.mean(axis=0)) ** 2,
        },
        abs=1e-5,
    )


@pytest.mark.parametrize(
    ("paths", "said"),
    [([["one"]], "of 1 categories"), ([[f"{n}"] for n in range(240)], "with one picture each")],
)
def test_what_cannot_teach_anything_is_an_error(
    features: np.ndarray, examples: pd.DataFrame, tmp_path: Path, paths: list[list[str]], said: str
) -> None:
    poor = examples.assign(category_path=paths * (240 // len(paths)))
    with pytest.raises(TrainingError, match=f"cannot start: .*{said}"):
        train_head(features, poor, recipe(), checkpoint_folder=tmp_path)
    with pytest.raises(TrainingError, match="cannot start"):
        train_head(features[:0], examples[:0], recipe(), checkpoint_folder=tmp_path)


def test_features_that_are_not_finite_are_an_error(
    features: np.ndarray, examples: pd.DataFrame, tmp_path: Path
) -> None:
    broken = features.copy()
    broken[5, 5] = np.nan
    with pytest.raises(TrainingError, match="cannot start: the features hold values that are not finite"):
        train_head(broken, examples, recipe(), checkpoint_folder=tmp_path)


ON_JAX = """
import sys
from pathlib import Path
import numpy as np, pandas as pd
from recsys.models.embedding.recipe import Recipe
from recsys.models.embedding.training import train_head

folder = Path(sys.argv[1])
features, examples = np.load(folder / "features.npy"), pd.read_pickle(folder / "examples.pkl")
recipe = Recipe.model_validate_json((folder / "recipe.json").read_text())
trained = train_head(features, examples, recipe, checkpoint_folder=folder / "jax")
np.save(folder / "vectors.npy", trained.model.predict(features, verbose=0))
print("tensorflow" in sys.modules)
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.parametrize("name", HEADS)
def test_the_jax_backend_trains_the_same_embedding(
    features: np.ndarray, examples: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    here = train_head(features, examples, recipe(name), checkpoint_folder=tmp_path / "here")
    np.save(tmp_path / "features.npy", features)
    examples.to_pickle(tmp_path / "examples.pkl")
    (tmp_path / "recipe.json").write_text(recipe(name).model_dump_json())
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", ON_JAX, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.stdout == "False\n", done.stderr
    there = np.load(tmp_path / "vectors.npy")
    np.testing.assert_allclose(there, here.model.predict(features, verbose=0), atol=1e-2)


# --- the network ----------------------------------------------------------------------------------------------------


def network(**changes: Any) -> Recipe:
    """A recipe for pictures of 32 pixels a side."""
    tiny = Network(
        backbone="resnet50",
        weights="none",
        input_size=32,
        precision="float32",
        freeze_batch_norm=True,
        head_epochs=2,
        head_learning_rate=0.01,
    )
    small = {"epochs": 5, "embedding_size": 8, "batches": Batches(size=20, run=5), "learning_rate": 0.01}
    return load_recipe("fine_tuning").model_copy(update={"network": tiny, **small, **changes})


def tiny_backbone() -> keras.Model:
    image = keras.Input((32, 32, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="preprocess")(image)
    first = keras.initializers.HeNormal(0)
    x = keras.layers.Conv2D(6, 8, strides=8, kernel_initializer=first, name="convolution")(x)
    return keras.Model(image, keras.layers.Activation("relu")(keras.layers.BatchNormalization(name="norm")(x)))


@pytest.fixture(scope="module")
def colours() -> tuple[np.ndarray, pd.DataFrame]:
    """Noisy pictures of three colours, two shades each: (60, 32, 32, 3) uint8; every fifth is held out."""
    chance, rows = np.random.default_rng(0), np.arange(60)
    images = chance.integers(0, 90, (60, 32, 32, 3))
    images[rows, ..., rows % 3] += np.where(rows % 6 < 3, 90, 160)[:, None, None]
    paths = [[f"colour {n % 3}", f"shade {n % 6}"] for n in rows]
    examples = pd.DataFrame({"product_id": rows.astype(str), "category_path": paths, "held_out": rows % 5 == 4})
    return images.astype(np.uint8), examples.assign(label=[path[0] for path in paths])


def test_a_network_learns_its_head_first_and_then_all(colours: tuple[np.ndarray, pd.DataFrame], tmp_path: Path) -> None:
    images, examples = colours
    seen: list[tuple[int, np.ndarray]] = []
    backbone = tiny_backbone()
    first = backbone.get_layer("convolution").get_weights()[0]

    def look(epoch: int, figures: dict[str, float]) -> None:
        seen.append((epoch, backbone.get_layer("convolution").get_weights()[0]))

    trained = train_network(
        images.__getitem__, examples, network(), checkpoint_folder=tmp_path, on_epoch=look, backbone=backbone
    )
    assert [epoch for epoch, _ in seen] == [1, 2, 3, 4, 5] and len(trained.history) == 5
    assert [bool((kernel != first).any()) for _, kernel in seen] == [False, False, True, True, True]
    norm = backbone.get_layer("norm")
    np.testing.assert_array_equal(norm.get_weights(), [np.ones(6), np.zeros(6), np.zeros(6), np.ones(6)])
    assert trained.history[-1]["val_loss"] < trained.history[0]["val_loss"]
    np.testing.assert_allclose(np.linalg.norm(trained.model.predict(images, verbose=0), axis=1), 1, atol=1e-5)


def train_tiny(colours: tuple[np.ndarray, pd.DataFrame], folder: Path, **how: Any) -> Trained:
    images, examples = colours
    return train_network(
        images.__getitem__, examples, network(), checkpoint_folder=folder, backbone=tiny_backbone(), **how
    )


@pytest.fixture(scope="module")
def unstopped(colours: tuple[np.ndarray, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_tiny(colours, tmp_path_factory.mktemp("unstopped"))


@pytest.mark.parametrize("at", [2, 4])
def test_the_training_of_a_network_resumes_in_either_phase(
    colours: tuple[np.ndarray, pd.DataFrame], unstopped: Trained, tmp_path: Path, at: int
) -> None:
    def stop(epoch: int, figures: dict[str, float]) -> None:
        if epoch == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_tiny(colours, tmp_path, on_epoch=stop)
    resumed = train_tiny(colours, tmp_path)
    np.testing.assert_allclose(weights(resumed), weights(unstopped), atol=1e-4)
    assert len(resumed.history) == 5


def test_mixed_precision_gives_float32_vectors(colours: tuple[np.ndarray, pd.DataFrame], tmp_path: Path) -> None:
    images, examples = colours
    mixed = network().network.model_copy(update={"precision": "mixed_bfloat16", "head_epochs": 0})  # type: ignore[union-attr]
    with precision("mixed_bfloat16"):
        backbone = tiny_backbone()
    assert backbone.get_layer("convolution").compute_dtype == "bfloat16"
    trained = train_network(
        images.__getitem__, examples, network(network=mixed, epochs=2), checkpoint_folder=tmp_path, backbone=backbone
    )
    vectors = trained.model.predict(images, verbose=0)
    assert vectors.dtype == np.float32 and np.isfinite(vectors).all()


def test_the_originals_recipe_trains_resnet50(colours: tuple[np.ndarray, pd.DataFrame], tmp_path: Path) -> None:
    """One epoch on few small pictures, from random weights: the network, the loss and the optimizer are its own."""
    images, examples = colours
    original = load_recipe("original").model_copy(update={"epochs": 1})
    trained = train_network(
        images[:30].__getitem__,
        examples[:30].assign(held_out=False),
        original,
        checkpoint_folder=tmp_path,
        backbone=backbones.build("resnet50", weights=None, input_size=32),
    )
    assert trained.model.output_shape == (None, 128)
    assert 0 < trained.history[0]["loss"] < 1 and np.isfinite(list(trained.history[0].values())).all()
    assert isinstance(trained.model.optimizer, keras.optimizers.Adam)
    assert float(trained.model.optimizer.learning_rate) == pytest.approx(1e-5)
    assert "val_loss" not in trained.history[0]
