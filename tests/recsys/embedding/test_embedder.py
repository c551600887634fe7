"""An embedder: from features or pictures to unit vectors, the same after a save."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recsys.backbones import FeatureExtractor
from recsys.backbones.quiet_keras import keras
from recsys.configuration import Backbone
from recsys.embedding.embedder import Embedder
from recsys.embedding.network import build_embedder, build_head, random_start
from recsys.errors import TrainingError


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(name="efficientnet_lite0", input_size=64)


@pytest.fixture(scope="module")
def head(backbone: Backbone) -> Embedder:
    """Of the default backbone's features, as wide as they are."""
    return Embedder.of_head("v1", build_head(*random_start(1280, 16, seed=3)), backbone)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), dtype=np.uint8)


def test_pictures_have_the_vectors_that_their_features_have(
    head: Embedder, backbone: Backbone, pictures: np.ndarray
) -> None:
    features = FeatureExtractor(backbone.name, backbone.weights, backbone.input_size)(pictures)
    vectors = head.embed_features(features)
    assert vectors.shape == (3, 16) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(head.embed_pictures(pictures), vectors, atol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 5, 4_096, 5_000])
def test_any_number_of_features_has_as_many_vectors(head: Embedder, n: int) -> None:
    features = np.random.default_rng(1).random((n, 1280), np.float32)
    vectors = head.embed_features(features)
    assert vectors.shape == (n, 16)
    if n:
        np.testing.assert_allclose(vectors[-1], head.embed_features(features[-1:])[0], atol=1e-5)


def test_a_saved_embedder_is_the_same(head: Embedder, tmp_path: Path) -> None:
    head.save(tmp_path)
    again = Embedder.load(tmp_path)
    features = np.random.default_rng(1).random((4, 1280), np.float32)
    assert (again.version, again.sees, again.size, again.backbone) == ("v1", "features", 16, head.backbone)
    np.testing.assert_allclose(again.embed_features(features), head.embed_features(features), atol=1e-6)


NO_WEIGHTS = """
import sys
from pathlib import Path
import numpy as np
from recsys.backbones import weights
from recsys.errors import WeightsError

def none(*given):
    raise WeightsError("none at hand")

weights.locate = none
import recsys.backbones
recsys.backbones.locate = none
from recsys.embedding.embedder import Embedder

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
    with pytest.raises(TrainingError, match="v2 sees pictures, not features"):
        again.embed_features(np.zeros((1, 4), np.float32))


def test_features_of_another_backbone_are_refused(head: Embedder) -> None:
    with pytest.raises(TrainingError, match=r"features of length 1280, not 2048: .* another than efficientnet_lite0"):
        head.embed_features(np.zeros((2, 2048), np.float32))


@pytest.mark.parametrize("file", ["embedding.json", "model.keras"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_damaged_or_missing_embedder_is_an_error(
    head: Embedder, tmp_path: Path, file: str, content: bytes | None
) -> None:
    head.save(tmp_path)
    (tmp_path / file).unlink() if content is None else (tmp_path / file).write_bytes(content)
    with pytest.raises(TrainingError, match="damaged or missing"):
        Embedder.load(tmp_path)
