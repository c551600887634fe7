"""The Keras port and the ONNX graph of EfficientNet-Lite compute the features of the reference implementation."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from recsys.core.errors import WeightsError
from recsys.vision import backbones
from recsys.vision.backbones.efficientnet_lite import load_state_dict
from recsys.vision.backbones.efficientnet_lite_graph import build_graph
from recsys.vision.backbones.torch_pickle import read_state_dict
from recsys.vision.backbones.weights import locate
from recsys.vision.onnx_model import OnnxModel

pytestmark = pytest.mark.slow

REFERENCE = "reference_efficientnet_lite0.npz"


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return backbones.build("efficientnet_lite0", input_size=256)


def gradient_image() -> np.ndarray:
    """Return a picture that depends on no random number and no decoder: (1, 256, 256, 3) uint8."""
    y, x = np.mgrid[:256, :256]
    return np.stack([x, y, x * y // 256], axis=-1).astype(np.uint8)[None]


@pytest.mark.shared
def test_features_and_logits_equal_the_reference_implementation(shared_data: Path) -> None:
    reference = np.load(shared_data / REFERENCE)
    model = backbones.build("efficientnet_lite0", input_size=224)
    features = model.predict_on_batch(reference["rgb_uint8"]).mean(axis=(1, 2))  # (8, 1280)
    state = read_state_dict(locate("efficientnet_lite0", "imagenet"))
    logits = features @ state["_fc.weight"].T + state["_fc.bias"]  # (8, 1000)
    for actual, expected in ((features, reference["features"]), (logits, reference["logits"])):
        assert np.linalg.norm(actual - expected) < 1e-3 * np.linalg.norm(expected)
        assert np.abs(actual - expected).max() < 1e-3 * np.abs(expected).max()
    assert (logits.argmax(axis=1) == reference["logits"].argmax(axis=1)).all()


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_the_graph_computes_the_features_of_the_keras_network(name: str) -> None:
    model = backbones.build(name, input_size=128)
    images = np.random.default_rng(3).integers(0, 256, (3, 128, 128, 3), dtype=np.uint8)
    pooled = model.predict_on_batch(images).mean(axis=(1, 2))
    expected = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(OnnxModel(backbones.graph(name, input_size=128))(images), expected, atol=1e-5)


@pytest.mark.parametrize(("name", "parameters"), [("efficientnet_lite1", 5_416_680), ("efficientnet_lite2", 6_092_072)])
def test_every_tensor_of_the_larger_networks_is_used(name: str, parameters: int) -> None:
    """The published sizes, 5.4 and 6.1 million, with the top that is left out."""
    state = read_state_dict(locate(name, "imagenet"))
    top = state["_fc.weight"].size + state["_fc.bias"].size
    model = backbones.build(name, weights=None, input_size=64)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable + top == parameters
    assert (
        trainable
        == sum(tensor.size for key, tensor in state.items() if "running" not in key and "num_batches" not in key) - top
    )


def test_features_of_a_synthetic_image_equal_those_recorded_when_the_reference_agreed(model: keras.Model) -> None:
    feature_map = model.predict_on_batch(gradient_image())
    assert feature_map.shape == (1, 8, 8, 1280)
    features = feature_map.mean(axis=(0, 1, 2))
    assert np.linalg.norm(features) == pytest.approx(13.335813, rel=1e-3)
    assert features.sum() == pytest.approx(114.74646, rel=1e-3)
    assert features[2] == pytest.approx(0.3754301, rel=1e-3)
    assert np.argsort(-features)[:5].tolist() == [113, 897, 1006, 226, 930]


def test_pixels_may_be_integers_or_floats(model: keras.Model) -> None:
    image = gradient_image()
    as_floats = model.predict_on_batch(image.astype(np.float32))
    np.testing.assert_allclose(model.predict_on_batch(image), as_floats, atol=1e-5)


def test_it_has_the_published_number_of_weights(model: keras.Model) -> None:
    """4.65 million, with the top of 1280 × 1000 + 1000 that is left out."""
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable + 1280 * 1000 + 1000 == 4_652_008


def test_saved_keras_weights_give_the_same_features(model: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "backbone.weights.h5"
    model.save_weights(path)
    loaded = backbones.build("efficientnet_lite0", weights=str(path), input_size=256)
    image = gradient_image()
    np.testing.assert_array_equal(loaded.predict_on_batch(image), model.predict_on_batch(image))


def test_weights_are_random_only_if_weights_is_none(model: keras.Model) -> None:
    trained = model.get_layer("stem").get_weights()[0]
    random = backbones.build("efficientnet_lite0", weights=None, input_size=32).get_layer("stem").get_weights()[0]
    assert not np.allclose(random, trained, atol=0.01)


def test_weights_of_another_network_are_refused(model: keras.Model) -> None:
    state = read_state_dict(locate("efficientnet_lite0", "imagenet"))
    wrong_shape = {**state, "_conv_stem.weight": np.zeros((32, 3, 5, 5), np.float32)}
    incomplete = {name: tensor for name, tensor in state.items() if name != "_blocks.7._bn1.running_var"}
    for state_dict in (wrong_shape, incomplete):
        with pytest.raises(WeightsError, match=r"other\.pth: not weights of efficientnet_lite0"):
            load_state_dict(model, state_dict, source="other.pth")


def test_the_graph_refuses_weights_of_another_network() -> None:
    with pytest.raises(WeightsError, match=r"not weights of efficientnet_lite2: .* is missing or has a wrong shape"):
        build_graph("efficientnet_lite2", locate("efficientnet_lite0", "imagenet"), 64)


def test_a_damaged_keras_file_is_a_one_line_error_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "damaged.weights.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    with pytest.raises(WeightsError, match=r"damaged\.weights\.h5") as error:
        backbones.build("efficientnet_lite0", weights=str(path), input_size=32)
    assert "\n" not in str(error.value)
