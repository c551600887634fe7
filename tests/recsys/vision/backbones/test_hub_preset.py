"""Presets of keras-hub: converted to an encoder folder once, with the features that Keras computes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recsys.core.errors import ConfigurationError, WeightsError
from recsys.vision import backbones
from recsys.vision.backbones import hub_preset
from tests import encoders

pytestmark = pytest.mark.slow

keras_hub = pytest.importorskip("keras_hub")
SCALE, OFFSET = [1 / 50, 1 / 60, 1 / 70], [-2.0, -1.5, -1.0]


@pytest.fixture
def images() -> np.ndarray:
    """Three pictures of the preset's own size, which need no resizing, (3, 40, 40, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), np.uint8)


@pytest.mark.parametrize("kind", ["resnet", "vit", "clip"])
def test_a_converted_preset_has_the_features_of_keras(kind: str, tmp_path: Path, images: np.ndarray) -> None:
    preset = encoders.hub_preset(tmp_path / "Preset", kind)
    extractor = backbones.FeatureExtractor(str(preset), folder=tmp_path / "home" / "backbones")
    backbone = keras_hub.models.Backbone.from_preset(str(preset))
    inputs = images.astype(np.float32) * np.array(SCALE, np.float32) + np.array(OFFSET, np.float32)
    if kind == "clip":
        expected = np.asarray(backbone.get_vision_embeddings(inputs))
    else:
        output = np.asarray(backbone(inputs))
        expected = output.mean(axis=(1, 2)) if kind == "resnet" else output[:, 0]
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(extractor(images), expected, atol=1e-4)
    assert re.fullmatch(r"preset-[0-9a-f]{8}", extractor.version)
    assert [file.name for file in (tmp_path / "home" / "backbones").iterdir()] == [extractor.version]
    assert backbones.load_text_tower(str(preset), 24) is None


def test_a_preset_is_converted_once_and_then_needs_no_keras(tmp_path: Path, images: np.ndarray) -> None:
    preset, folder = encoders.hub_preset(tmp_path / "preset"), tmp_path / "backbones"
    features = backbones.FeatureExtractor(f"hub:{preset}", folder=folder)(images)
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, numpy as np; from pathlib import Path; from recsys.vision import backbones\n"
        f"extract = backbones.FeatureExtractor('hub:{preset}', folder=Path('{folder}'))\n"
        f"np.save('{tmp_path}/features.npy', extract(np.load('{tmp_path}/images.npy')))\n"
        "print({'keras', 'keras_hub', 'tensorflow'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env={**os.environ})
    assert done.stdout == "set()\n", done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "features.npy"), features)


def test_the_version_changes_with_the_preset_and_with_an_address(tmp_path: Path) -> None:
    preset = encoders.hub_preset(tmp_path / "preset")
    versions = [backbones.version(str(preset))]
    assert backbones.version(f"hub:{preset}") == versions[0]
    converter = preset / "image_converter.json"
    converter.write_text(converter.read_text().replace("40", "48"))
    versions.append(backbones.version(str(preset)))
    addresses = ("hub:vit_base", "hub:vit_large", "hf://keras/vit_base", "kaggle://keras/vit/keras/vit_base/3")
    versions += [backbones.version(address) for address in addresses]
    assert len(set(versions)) == len(versions)
    assert all(re.fullmatch(r"[a-z0-9-]+-[0-9a-f]{8}", version) for version in versions)


def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_preset, "PACKAGES", ("keras_hub", "no_such_package"))
    with pytest.raises(ConfigurationError, match=r"no_such_package.*pip install 'visual-recommender\[hub\]'"):
        backbones.FeatureExtractor("hub:vit_base", folder=tmp_path)


def test_a_preset_that_is_unknown_or_damaged_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "backbones"
    with pytest.raises(WeightsError, match=r"backbone hub:no_such_preset: the preset cannot be loaded"):
        backbones.FeatureExtractor("hub:no_such_preset", folder=folder)
    preset = encoders.hub_preset(tmp_path / "preset")
    (preset / "model.weights.h5").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"preset: the preset cannot be loaded"):
        backbones.FeatureExtractor(str(preset), folder=folder)
    assert not list(folder.iterdir())
