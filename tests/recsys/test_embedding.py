"""The embedder gives unit vectors, and the triplet loss is the one on the slide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys import backbones, embedding
from recsys.backbones.quiet_keras import keras


def slow_triplet_loss(anchor: np.ndarray, positive: np.ndarray, negative: np.ndarray, margin: float) -> list[float]:
    """Return the losses as the slide has them, one triplet after the other."""
    losses = []
    for a, p, n in zip(anchor, positive, negative, strict=True):
        near = sum((x - y) ** 2 for x, y in zip(a, p, strict=True)) ** 0.5
        far = sum((x - y) ** 2 for x, y in zip(a, n, strict=True)) ** 0.5
        losses.append(max(near - far + margin, 0))
    return losses


def gradients(anchor: np.ndarray, positive: np.ndarray, negative: np.ndarray, margin: float) -> list[np.ndarray]:
    """Return the loss's gradients by the three embeddings; a training step finds them on any backend."""

    class Triplet(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.points = [
                self.add_weight(shape=x.shape, initializer=keras.initializers.Constant(x))
                for x in (anchor, positive, negative)
            ]

        def call(self, x: np.ndarray) -> np.ndarray:
            return embedding.triplet_loss(*self.points, margin) + 0 * x[:, 0]

    before = [np.array(x, np.float32) for x in (anchor, positive, negative)]
    inputs = keras.Input((1,), batch_size=len(anchor))
    model = keras.Model(inputs, Triplet()(inputs))
    model.compile(keras.optimizers.SGD(1.0), loss=lambda _, losses: keras.ops.sum(losses))
    model.train_on_batch(np.zeros((len(anchor), 1)), np.zeros(len(anchor)))
    return [x - after for x, after in zip(before, model.get_weights(), strict=True)]


def test_the_loss_is_what_a_hand_computes() -> None:
    anchor = np.array([[0.0, 0.0]] * 4)
    positive = np.array([[3.0, 4.0], [3.0, 4.0], [0.0, 1.0], [0.0, 0.0]])  # at 5, 5, 1, 0
    negative = np.array([[0.0, 2.0], [6.0, 8.0], [0.0, 1.0], [0.0, 0.0]])  # at 2, 10, 1, 0
    losses = keras.ops.convert_to_numpy(embedding.triplet_loss(anchor, positive, negative, margin=0.5))
    np.testing.assert_allclose(losses, [3.5, 0.0, 0.5, 0.5], atol=1e-6)


def test_the_loss_equals_the_slow_one() -> None:
    anchor, positive, negative = np.random.default_rng(0).normal(size=(3, 50, 8)).astype(np.float32)
    losses = keras.ops.convert_to_numpy(embedding.triplet_loss(anchor, positive, negative, margin=0.2))
    np.testing.assert_allclose(losses, slow_triplet_loss(anchor, positive, negative, 0.2), atol=1e-5)
    assert 0 < (losses > 0).sum() < 50


def test_the_gradient_pulls_the_positive_and_pushes_the_negative() -> None:
    by_anchor, by_positive, by_negative = gradients(
        np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]]), margin=0.5
    )
    np.testing.assert_allclose(by_positive, [[0.6, 0.8]], atol=1e-6)
    np.testing.assert_allclose(by_negative, [[0.0, -1.0]], atol=1e-6)
    np.testing.assert_allclose(by_anchor, [[-0.6, 0.2]], atol=1e-6)


@pytest.mark.parametrize(("positive", "negative"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_the_gradient_is_finite_where_embeddings_coincide(positive: float, negative: float) -> None:
    zeros = np.zeros((1, 4))
    for gradient in gradients(zeros, zeros + positive, zeros + negative, margin=5.0):
        assert np.isfinite(gradient).all()


def test_normalising_gives_unit_length_and_leaves_zero_at_zero() -> None:
    x = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -1e-3]], np.float32)
    unit = keras.ops.convert_to_numpy(embedding.l2_normalise(x))
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]], atol=1e-6)


def test_the_embedder_takes_pixels_and_gives_unit_vectors() -> None:
    embedder = embedding.build_embedder(backbones.build("efficientnet_lite0", input_size=64), embedding_size=16)
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    vectors = embedder.predict_on_batch(images)
    assert vectors.shape == (3, 16) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_embedder_is_saved_and_loaded_without_our_code(tmp_path: Path) -> None:
    pixels = keras.Input((32, 32, 3))
    small = keras.Model(pixels, keras.layers.Conv2D(4, 3)(pixels))
    embedder = embedding.build_embedder(small, embedding_size=8)
    embedder.save(tmp_path / "embedder.keras")
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    again = keras.saving.load_model(tmp_path / "embedder.keras")
    np.testing.assert_allclose(again.predict_on_batch(images), embedder.predict_on_batch(images), atol=1e-6)
