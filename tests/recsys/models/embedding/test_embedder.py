"""An embedder: from features or pictures to unit vectors, the same after a save."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from recsys.core.configuration import Backbone, Configuration
from recsys.core.errors import TrainingError
from recsys.models import features
from recsys.models.embedding.embedder import Embedder, head_inputs
from recsys.models.embedding.network import build_embedder, build_head, random_start
from tests.encoders import encoder_folder

pytestmark = pytest.mark.slow

DIMENSIONS, BINS = 1280, 768

CONFIGURATION = Configuration(backbone=Backbone(name="efficientnet_lite0", input_size=64))


@pytest.fixture(scope="module")
def head() -> Embedder:
    """Of the default backbone's features, as wide as they are, and of colours."""
    return Embedder.of_head("v1", build_head(*random_start(DIMENSIONS + BINS, 16, seed=3)), CONFIGURATION, 0.5)


def seen(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features and histograms of n pictures."""
    chance = np.random.default_rng(1)
    histograms = chance.random((n, BINS), np.float32)
    return chance.random((n, DIMENSIONS), np.float32), histograms / histograms.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), dtype=np.uint8)


def test_a_head_sees_colours_by_their_weight() -> None:
    features, histograms = seen(2)
    assert head_inputs(features, histograms, 0.0) is features
    both = head_inputs(features, histograms, 0.5)
    assert both.shape == (2, DIMENSIONS + BINS) and both.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(both[:, DIMENSIONS:], axis=1), 0.5, atol=1e-6)
    roots = histograms**0.25
    likeness = (roots[0] * roots[1]).sum() / np.sqrt((roots[0] ** 2).sum() * (roots[1] ** 2).sum())
    assert both[0, DIMENSIONS:] @ both[1, DIMENSIONS:] == pytest.approx(0.25 * likeness, rel=1e-5)


def test_pictures_have_the_vectors_that_their_features_and_histograms_have(
    head: Embedder, pictures: np.ndarray, tmp_path: Path
) -> None:
    vectors = head.embed_features(*features.describe(pictures, CONFIGURATION, tmp_path))
    assert vectors.shape == (3, 16) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(head.embed_pictures(pictures), vectors, atol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 5, 4_096, 5_000])
def test_any_number_of_features_has_as_many_vectors(head: Embedder, n: int) -> None:
    features, histograms = seen(n)
    vectors = head.embed_features(features, histograms)
    assert vectors.shape == (n, 16)
    if n:
        np.testing.assert_allclose(vectors[-1], head.embed_features(features[-1:], histograms[-1:])[0], atol=1e-5)


def test_a_saved_embedder_is_the_same(head: Embedder, tmp_path: Path) -> None:
    head.save(tmp_path)
    again = Embedder.load(tmp_path)
    assert (again.version, again.sees, again.size, again.backbone) == ("v1", "features", 16, head.backbone)
    assert (again.colour, again.colour_weight) == (head.colour, 0.5)
    np.testing.assert_allclose(again.embed_features(*seen(4)), head.embed_features(*seen(4)), atol=1e-6)


def test_an_embedder_of_before_onnx_is_converted_when_it_is_loaded(head: Embedder, tmp_path: Path) -> None:
    head.save(tmp_path)
    (tmp_path / "model.onnx").unlink()
    again = Embedder.load(tmp_path)
    np.testing.assert_allclose(again.embed_features(*seen(4)), head.embed_features(*seen(4)), atol=1e-6)
    assert (tmp_path / "model.onnx").is_file()


NO_WEIGHTS = """
import sys
from pathlib import Path
import numpy as np
from recsys.vision.backbones import weights
from recsys.core.errors import WeightsError

def none(*given):
    raise WeightsError("not available")

weights.locate = none
import recsys.vision.backbones
recsys.vision.backbones.locate = none
from recsys.models.embedding.embedder import Embedder

folder = Path(sys.argv[1])
np.save(folder / "vectors.npy", Embedder.load(folder / "whole").embed_pictures(np.load(folder / "pictures.npy")))
"""


def test_an_embedder_saved_whole_needs_no_weights_where_it_is_loaded(
    head: Embedder, pictures: np.ndarray, tmp_path: Path
) -> None:
    head.save(tmp_path / "whole", whole=True)
    np.save(tmp_path / "pictures.npy", pictures)
    done = subprocess.run(
        [sys.executable, "-c", NO_WEIGHTS, str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "vectors.npy"), head.embed_pictures(pictures), atol=1e-5)


def test_a_network_sees_pictures_of_any_size_and_no_features(tmp_path: Path, pictures: np.ndarray) -> None:
    pixels = keras.Input((32, 32, 3))
    small = keras.Model(pixels, keras.layers.Conv2D(4, 3)(pixels))
    network = Embedder.of_network("v2", build_embedder(small, embedding_size=8))
    network.save(tmp_path)
    again = Embedder.load(tmp_path)
    vectors = again.embed_pictures(pictures)
    assert again.sees == "pictures" and vectors.shape == (3, 8)
    np.testing.assert_allclose(vectors, network.embed_pictures(pictures), atol=1e-5)
    with pytest.raises(TrainingError, match="v2 takes pictures, not features"):
        again.embed_features(*seen(1))


def test_features_of_another_backbone_are_refused(head: Embedder) -> None:
    with pytest.raises(TrainingError, match=r"takes 2048 numbers .*, not 2816: .* is not efficientnet_lite0"):
        head.embed_features(np.zeros((2, 2048), np.float32), seen(2)[1])


@pytest.mark.parametrize("file", ["embedding.json", "model.onnx"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_damaged_or_missing_embedder_is_an_error(
    head: Embedder, tmp_path: Path, file: str, content: bytes | None
) -> None:
    head.save(tmp_path)
    (tmp_path / "model.keras").unlink()
    (tmp_path / file).unlink() if content is None else (tmp_path / file).write_bytes(content)
    with pytest.raises(TrainingError, match="damaged or missing"):
        Embedder.load(tmp_path)


def test_a_head_on_an_encoder_is_whole_without_the_encoders_folder(pictures: np.ndarray, tmp_path: Path) -> None:
    encoder = encoder_folder(tmp_path / "encoder")
    configuration = Configuration(backbone=Backbone(name=str(encoder)))
    head = Embedder.of_head("v1", build_head(*random_start(24 + BINS, 16, seed=3)), configuration, 0.5)
    vectors = head.embed_features(*features.describe(pictures, configuration, tmp_path))
    head.save(tmp_path / "whole", whole=True)
    encoder.rename(tmp_path / "elsewhere")
    np.testing.assert_allclose(Embedder.load(tmp_path / "whole").embed_pictures(pictures), vectors, atol=1e-5)
    (tmp_path / "whole" / "backbone" / "encoder.json").write_text("{", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"damaged.*is not JSON"):
        Embedder.load(tmp_path / "whole")
