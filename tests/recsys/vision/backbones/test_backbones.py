"""Backbones by name, versions of their features, and the feature extractor."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pytest

from recsys.core.errors import ConfigurationError, WeightsError
from recsys.vision import backbones

pytestmark = pytest.mark.slow

SIDE = 96


@pytest.fixture(scope="module")
def extractor() -> backbones.FeatureExtractor:
    return backbones.FeatureExtractor("efficientnet_lite0", input_size=SIDE, batch_size=4)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Return seven smooth synthetic pictures: (7, 96, 96, 3) uint8."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    waves = [np.sin(6 * (x * (i + 1) + y * c) + i) for i in range(7) for c in (1, 2, 3)]
    return (127.5 + 127.5 * np.stack(waves).reshape(7, 3, SIDE, SIDE)).transpose(0, 2, 3, 1).astype(np.uint8)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KERAS_"))}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env={**inherited, **environment}
    )


def test_features_are_float32_rows_of_unit_length(extractor: backbones.FeatureExtractor, images: np.ndarray) -> None:
    features = extractor(images)
    assert features.shape == (7, backbones.FEATURE_SIZE["efficientnet_lite0"])
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)


def test_features_are_the_pooled_and_normalised_map_of_the_backbone(
    extractor: backbones.FeatureExtractor, images: np.ndarray
) -> None:
    pooled = backbones.build("efficientnet_lite0", input_size=SIDE).predict_on_batch(images).mean(axis=(1, 2))
    expected = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(extractor(images), expected, atol=1e-5)


def test_a_feature_does_not_depend_on_the_other_images_of_the_call(
    extractor: backbones.FeatureExtractor, images: np.ndarray
) -> None:
    single = backbones.FeatureExtractor("efficientnet_lite0", input_size=SIDE)
    together = single(images)
    for count in (1, 2, 3, 5):
        np.testing.assert_array_equal(single(images[:count]), together[:count])
    np.testing.assert_allclose(extractor(images), together, atol=1e-5)  # in batches of 4
    assert np.abs(together[0] - together[1]).max() > 0.01


def test_zero_images_give_zero_rows(extractor: backbones.FeatureExtractor, images: np.ndarray) -> None:
    assert extractor(images[:0]).shape == (0, 1280)


def test_two_threads_get_the_same_features_as_one(extractor: backbones.FeatureExtractor, images: np.ndarray) -> None:
    calls = [images[i % 7 : i % 7 + 1 + i % 3] for i in range(20)]
    with ThreadPoolExecutor(2) as pool:
        for features, call in zip(pool.map(extractor, calls), calls, strict=True):
            np.testing.assert_allclose(features, extractor(call), atol=1e-5)


def test_images_of_another_size_are_resized(extractor: backbones.FeatureExtractor, images: np.ndarray) -> None:
    doubled = images.repeat(2, axis=1).repeat(2, axis=2)
    similarity = (extractor(doubled) * extractor(images)).sum(axis=1)
    assert (similarity > 0.95).all()


def test_the_extractor_has_the_version_of_its_features(extractor: backbones.FeatureExtractor) -> None:
    assert extractor.version == backbones.version("efficientnet_lite0", "imagenet", SIDE)


def test_the_version_contains_backbone_weights_size_and_a_digest() -> None:
    version = backbones.version("efficientnet_lite0")
    assert re.fullmatch(r"efficientnet_lite0-imagenet-256-[0-9a-f]{8}", version)
    assert re.fullmatch(r"resnet50-imagenet-256-[0-9a-f]{8}", backbones.version("resnet50"))


def test_the_version_changes_with_size_weights_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "user.weights.h5"
    file.write_bytes(b"one")
    versions = [
        backbones.version("efficientnet_lite0"),
        backbones.version("efficientnet_lite0", input_size=224),
        backbones.version("efficientnet_lite0", str(file)),
    ]
    file.write_bytes(b"two")
    versions.append(backbones.version("efficientnet_lite0", str(file)))
    monkeypatch.setattr(backbones, "FEATURES_VERSION", -1)
    versions.append(backbones.version("efficientnet_lite0"))
    assert len(set(versions)) == len(versions)


def test_an_unknown_backbone_is_an_error_that_lists_the_known_ones() -> None:
    for function in (backbones.build, backbones.version, backbones.FeatureExtractor):
        with pytest.raises(ConfigurationError, match=r"backbone\.name.*vgg16.*efficientnet_lite0, .*resnet50"):
            function("vgg16")


def test_missing_weights_are_never_replaced_by_random_ones(tmp_path: Path) -> None:
    for function in (backbones.build, backbones.version, backbones.FeatureExtractor):
        with pytest.raises(WeightsError, match=r"absent\.h5"):
            function("resnet50", str(tmp_path / "absent.h5"))


def test_features_are_computed_without_keras() -> None:
    completed = python(
        "import sys, numpy as np; from recsys.vision import backbones; backbones.version('efficientnet_lite0');"
        "backbones.FeatureExtractor('efficientnet_lite0')(np.zeros((2, 256, 256, 3), np.uint8));"
        "print([m for m in ('keras', 'tensorflow', 'jax', 'torch') if m in sys.modules])"
    )
    assert (completed.stdout, completed.stderr) == ("[]\n", "")


def test_the_onnx_model_is_made_once_per_folder(images: np.ndarray, tmp_path: Path) -> None:
    weights = tmp_path / "resnet50.weights.h5"
    model = backbones.build("resnet50", None, 64)
    model.save_weights(weights)
    folder = tmp_path / "home" / "backbones"
    extractor = backbones.FeatureExtractor("resnet50", str(weights), 64, folder=folder)
    pooled = model.predict_on_batch(keras.ops.image.resize(images.astype(np.float32), (64, 64))).mean(axis=(1, 2))
    np.testing.assert_allclose(extractor(images), pooled / np.linalg.norm(pooled, axis=1, keepdims=True), atol=1e-4)
    assert [file.name for file in folder.iterdir()] == [f"{extractor.version}.onnx"]
    completed = python(
        "import sys, numpy as np; from pathlib import Path; from recsys.vision import backbones\n"
        f"extract = backbones.FeatureExtractor('resnet50', r'{weights}', 64, folder=Path(r'{folder}'))\n"
        "print(extract(np.zeros((1, 64, 64, 3), np.uint8)).shape, 'keras' in sys.modules)"
    )
    assert completed.stdout == "(1, 2048) False\n", completed.stderr


def test_a_device_that_is_not_available_is_an_error_with_the_remedy() -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("a GPU is available")
    with pytest.raises(ConfigurationError, match=r"backbone\.device is cuda.*onnxruntime-gpu"):
        backbones.FeatureExtractor("efficientnet_lite0", device="cuda")
