"""Keras networks are converted to ONNX models that compute the same."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest

from recsys.core.errors import TrainingError, WeightsError
from recsys.vision.onnx_export import export
from recsys.vision.onnx_model import OnnxModel

layers = keras.layers
SIDE = 12


def of_pictures(*layer: keras.layers.Layer) -> keras.Model:
    pixels = keras.Input((SIDE, SIDE, 3))
    x = pixels
    for each in layer:
        x = each(x)
    return keras.Model(pixels, x)


LAYERS: dict[str, Callable[[], list[keras.layers.Layer]]] = {
    "convolution": lambda: [layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"), layers.Flatten()],
    "valid convolution": lambda: [layers.Conv2D(4, 3, strides=2), layers.Flatten()],
    "depthwise": lambda: [layers.DepthwiseConv2D(5, strides=2, padding="same"), layers.ReLU(6), layers.Flatten()],
    "pooling": lambda: [
        layers.ZeroPadding2D(((1, 2), (0, 3))),
        layers.MaxPooling2D(3, strides=2),
        layers.AveragePooling2D(2),
        layers.Flatten(),
    ],
    "normalisation": lambda: [
        layers.Rescaling(1 / 64, offset=[-1, 0, 1]),
        layers.BatchNormalization(),
        layers.Flatten(),
    ],
    "vectors": lambda: [
        layers.GlobalAveragePooling2D(),
        layers.Rescaling(0.01),
        layers.Dropout(0.5),
        layers.Dense(5, activation="softmax"),
        layers.UnitNormalization(),
        layers.Activation("linear"),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_each_kind_of_layer_computes_the_same(name: str) -> None:
    model = of_pictures(*LAYERS[name]())
    for layer in model.layers:
        random = np.random.default_rng(5)
        layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    images = np.random.default_rng(6).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    expected = model.predict_on_batch(images)
    np.testing.assert_allclose(OnnxModel(export(model))(images), expected, rtol=1e-4, atol=1e-4)


def test_an_unknown_layer_is_an_error_that_names_it() -> None:
    with pytest.raises(TrainingError, match=r"layer up \(UpSampling2D\).* cannot be converted"):
        export(of_pictures(layers.UpSampling2D(name="up")))


def test_pictures_of_another_size_are_resized_as_keras_does() -> None:
    model = of_pictures(layers.GlobalAveragePooling2D())
    images = np.random.default_rng(7).integers(0, 256, (2, 31, 20, 3), dtype=np.uint8)
    resized = layers.Resizing(SIDE, SIDE)(images.astype(np.float32))
    exported = OnnxModel(export(model))
    np.testing.assert_allclose(exported(images), model.predict_on_batch(resized), atol=1e-3)
    assert (exported.side, exported.output_shape) == (SIDE, (None, 3))


@pytest.mark.parametrize("content", [b"", b"{}", b"\x08\x0a"])
def test_a_file_that_is_no_model_is_an_error(content: bytes) -> None:
    with pytest.raises(WeightsError, match="not a model that ONNX Runtime can load"):
        OnnxModel(content)
