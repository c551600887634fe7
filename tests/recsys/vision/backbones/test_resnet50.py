"""ResNet50 is Keras's network with its preprocessing inside. Tests use random weights: others need a download."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from recsys.vision import backbones
from recsys.vision.onnx_export import export
from recsys.vision.onnx_model import OnnxModel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return backbones.build("resnet50", weights=None, input_size=64)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)


def test_the_preprocessing_equals_that_of_keras(model: keras.Model, images: np.ndarray) -> None:
    actual = keras.Model(model.input, model.get_layer("preprocess").output).predict_on_batch(images)
    expected = keras.applications.resnet50.preprocess_input(images.astype(np.float32))
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_layers_and_weights_equal_those_of_keras_so_its_weights_files_fit(model: keras.Model) -> None:
    plain = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3))
    assert [w.path for w in model.weights] == [w.path for w in plain.weights]
    assert [w.shape for w in model.weights] == [w.shape for w in plain.weights]
    assert [layer.name for layer in model.layers if layer.name != "preprocess"][1:] == [
        layer.name for layer in plain.layers
    ][1:]


def test_the_feature_map_has_the_documented_size(model: keras.Model) -> None:
    assert model.output.shape == (None, 2, 2, backbones.FEATURE_SIZE["resnet50"])


def test_the_model_is_saved_and_loaded_without_custom_objects(model: keras.Model, images: np.ndarray) -> None:
    loaded = keras.models.model_from_json(model.to_json())
    loaded.set_weights(model.get_weights())
    np.testing.assert_array_equal(loaded.predict_on_batch(images), model.predict_on_batch(images))


def test_the_exported_network_computes_the_same(model: keras.Model, images: np.ndarray) -> None:
    random = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    expected = model.predict_on_batch(images).mean(axis=(1, 2))
    exported = OnnxModel(export(model, average=True))
    np.testing.assert_allclose(exported(images), expected, atol=1e-4 * np.abs(expected).max())
