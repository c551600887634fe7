"""The original's classifier: what is frozen stays, what is not learns; and the head on frozen features."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from recsys.models.classifier.network import build_classifier, build_head
from recsys.models.classifier.recipe import load_recipe
from recsys.vision import backbones

pytestmark = pytest.mark.slow

LABELS = 3


@pytest.fixture(scope="module")
def classifier() -> keras.Model:
    model = build_classifier(backbones.build("resnet50", None, 32), LABELS, learning_rate=1e-3)
    model.run_eagerly = True  # compiling takes longer than the one step
    return model


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def test_a_training_step_changes_only_weights_that_are_not_frozen(classifier: keras.Model, images: np.ndarray) -> None:
    before = {weight.path: np.array(weight) for weight in classifier.weights}
    loss, accuracy = classifier.train_on_batch(images, np.eye(LABELS)[[0, 1, 2, 0]])
    assert np.isfinite(loss) and 0 <= accuracy <= 1
    changed = {
        weight.path for weight in classifier.weights if not np.array_equal(np.array(weight), before[weight.path])
    }
    of_last_stage = {path for path in before if path.startswith(("conv5", "labels"))}
    assert changed <= of_last_stage
    kernels = {path for path in of_last_stage if path.endswith("kernel")}
    assert kernels <= changed and len(kernels) == 11


def test_the_network_gives_a_probability_for_each_label(classifier: keras.Model, images: np.ndarray) -> None:
    probabilities = classifier.predict_on_batch(images)
    assert probabilities.shape == (4, LABELS)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_top_loss_and_optimizer_are_the_originals() -> None:
    model = build_classifier(backbones.build("efficientnet_lite0", None, 64), labels=20)
    flatten, dropout, dense = model.layers[-3:]
    assert isinstance(flatten, keras.layers.Flatten) and flatten.output.shape == (None, 2 * 2 * 1280)
    assert dropout.rate == 0.5
    assert dense.units == 20 and dense.activation is keras.activations.softmax
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-5)
    assert model.loss.name == "categorical_crossentropy"


def test_with_no_frozen_layers_every_layer_is_trained() -> None:
    backbone = backbones.build("efficientnet_lite0", None, 32)
    assert (
        len(build_classifier(backbone, LABELS, freeze_layers=0).trainable_weights)
        == len(backbone.trainable_weights) + 2
    )
    build_classifier(backbone, LABELS, freeze_layers=1000)
    assert not backbone.trainable_weights


def test_the_seed_decides_the_initial_weights() -> None:
    def kernel(seed: int) -> np.ndarray:
        image = keras.Input((8, 8, 3))
        backbone = keras.Model(image, keras.layers.Conv2D(2, 4, strides=4)(image))
        return np.array(build_classifier(backbone, LABELS, seed=seed).layers[-1].kernel)

    np.testing.assert_array_equal(kernel(1), kernel(1))
    assert (kernel(1) != kernel(2)).any()


def test_a_head_starts_with_zero_logits() -> None:
    head = build_head(64, LABELS, load_recipe("default"))
    features = np.eye(64, dtype=np.float32)[:5]
    np.testing.assert_array_equal(head.predict_on_batch(features), np.zeros((5, LABELS)))
    head.fit(features, np.eye(LABELS)[[0, 1, 2, 0, 1]], epochs=5, verbose=0)
    logits = head.predict_on_batch(features)
    assert (logits.argmax(axis=1) == [0, 1, 2, 0, 1]).all()
    assert not np.allclose(logits.sum(axis=1), 1)
