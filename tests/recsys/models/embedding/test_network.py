"""The networks: unit vectors out of pixels and of features, from the same start on every backend."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from recsys.models.embedding.network import build_embedder, build_head, principal_start, random_start
from recsys.vision import backbones

pytestmark = pytest.mark.slow


def test_the_embedder_takes_pixels_and_gives_unit_vectors() -> None:
    embedder = build_embedder(backbones.build("efficientnet_lite0", weights=None, input_size=64), embedding_size=16)
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    vectors = embedder.predict_on_batch(images)
    assert vectors.shape == (3, 16) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_embedder_is_saved_and_loaded_without_our_code(tmp_path: Path) -> None:
    pixels = keras.Input((32, 32, 3))
    small = keras.Model(pixels, keras.layers.Conv2D(4, 3)(pixels))
    embedder = build_embedder(small, embedding_size=8)
    embedder.save(tmp_path / "embedder.keras")
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    again = keras.saving.load_model(tmp_path / "embedder.keras")
    np.testing.assert_allclose(again.predict_on_batch(images), embedder.predict_on_batch(images), atol=1e-6)


def test_frozen_batch_norms_are_frozen_and_nothing_else() -> None:
    frozen, free = (
        build_embedder(backbones.build("efficientnet_lite0", weights=None, input_size=32), 8, freeze_batch_norm=freeze)
        for freeze in (True, False)
    )
    assert {type(layer).__name__ for layer in frozen.layers if not layer.trainable} == {"BatchNormalization"}
    assert all(layer.trainable for layer in free.layers)


def test_the_head_starts_as_the_features_are(features: np.ndarray) -> None:
    """On all principal axes cosines are those of the centred features."""
    head = build_head(*principal_start(features, features.shape[1]))
    vectors = head.predict_on_batch(features)
    centred = features - features.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors @ vectors.T, centred @ centred.T, atol=1e-4)


def test_few_features_have_the_same_axes_as_many(features: np.ndarray) -> None:
    """With fewer rows than numbers the axes are found from the other side."""
    few = np.concatenate([features[:30], np.zeros((30, 40), np.float32)], axis=1)  # (30, 88)
    kernel, bias = principal_start(few, 20)
    narrow, narrow_bias = principal_start(np.concatenate([features[:30]] * 2), 20)  # (60, 48), the same distribution
    np.testing.assert_allclose(kernel[:48], narrow, atol=1e-3)
    np.testing.assert_allclose(bias, narrow_bias, atol=1e-3)
    assert not kernel[48:].any()
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(20), atol=1e-4)


def test_more_axes_than_there_are_rows_are_as_many_as_rows(features: np.ndarray) -> None:
    kernel, _ = principal_start(features[:10], 32)
    assert kernel.shape == (48, 10) and np.isfinite(kernel).all()


def test_a_random_start_follows_from_the_seed() -> None:
    one, same, other = (random_start(48, 16, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any() and np.abs(one).max() <= np.sqrt(6 / 64)


def test_a_feature_of_zeros_has_a_finite_embedding(features: np.ndarray) -> None:
    head = build_head(*principal_start(features, 8))
    head.get_layer("embedding").bias.assign(np.zeros(8))
    assert np.isfinite(head.predict_on_batch(np.zeros((1, features.shape[1]), np.float32))).all()
