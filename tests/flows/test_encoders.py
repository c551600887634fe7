"""A whole run with an encoder that is not built in: an ONNX file, a preset of keras-hub, a dual encoder.

Each run trains an embedding on the encoder's features, and the gate judges it; then the embedding is put in service and
rolled back.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys.core.configuration import load
from recsys.core.errors import WeightsError
from recsys.core.tracking import tracking_uri
from recsys.evaluation.evaluation_set import read_vectors
from recsys.lifecycle import promotion
from recsys.models import features
from recsys.models.embedding import serving
from recsys.ranking.single_query import recommend_image
from recsys.storage.store import Store
from recsys.vision.square import decode_squared
from sample_shop import SampleHost, SampleShop
from tests import encoders
from tests.flows.conftest import FLAGS, running
from tests.flows.test_train import ANSWERING

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("one run of a shop")]


def photos_of(store: Store) -> tuple[list[str], np.ndarray]:
    """Return three digests and their squared pictures."""
    rows = store.read("images", ["image_digest", "jpeg"], "status = 'ok'").slice(0, 3).to_pylist()
    return [row["image_digest"] for row in rows], np.stack([decode_squared(row["jpeg"]) for row in rows])


@pytest.mark.parametrize("make", [encoders.encoder_folder, encoders.hub_preset, encoders.dual_encoder])
def test_a_run_with_another_encoder_ends_with_a_judged_embedding_that_can_be_rolled_back(
    make: Callable[[Path], Path], prefect_url: str, shop: SampleShop, tmp_path: Path
) -> None:
    if make is encoders.hub_preset:
        pytest.importorskip("keras_hub")
    encoder, home = make(tmp_path / "My Encoder"), tmp_path / "home"
    with SampleHost(shop.folder, port=int(shop.base_url.rsplit(":", 1)[1])):
        done = running(home)(shop.catalogue, backbone={"name": str(encoder)})
        again = running(home)(shop.catalogue, backbone={"name": str(encoder)})
    assert done["features"] > 40 and done["recommendations"] > 40 and not any(again.values()), (done, again)

    configuration = load(home, FLAGS | {"backbone": {"name": str(encoder)}}, environ={})
    store = Store(home)
    version = features.model_version(configuration)
    assert version.startswith("my-encoder-")
    digests, photos = photos_of(store)
    stored = read_vectors(store, features.table_name(configuration), "embedding", digests)
    np.testing.assert_allclose(features.describe(photos, configuration, home)[0], stored, atol=1e-5)
    assert stored.shape == (3, 24)

    (model,) = serving.models(home)
    assert model.reason and model.backbone == version
    promotion.promote(store, configuration, model.version, force=True)
    serves = serving.serving(home, configuration)
    assert serves.model is not None and store.count(serves.recommendations, "rank = 1") > 40
    answer = recommend_image(store, configuration, photos[0], "photo")
    assert answer.items["visual"].max() == pytest.approx(1, abs=1e-4)  # itself, by the same model

    encoder.rename(tmp_path / "elsewhere")  # the registered model includes the encoder
    np.save(tmp_path / "photos.npy", photos)
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    bare |= {"MLFLOW_TRACKING_URI": tracking_uri(home)}
    command = [sys.executable, "-c", ANSWERING, str(tmp_path / "photos.npy"), str(tmp_path / "answer.npy")]
    loaded = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=300)
    assert loaded.returncode == 0, loaded.stderr
    embedded = read_vectors(store, serves.embeddings, "embedding", digests)
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), embedded, atol=1e-4)
    (tmp_path / "elsewhere").rename(encoder)

    promotion.roll_back(store, configuration)
    assert serving.serving(home, configuration).version == version


def test_a_wrong_encoder_stops_a_run_before_the_catalogue_is_read(
    prefect_url: str, shop: SampleShop, tmp_path: Path
) -> None:
    encoder = encoders.encoder_folder(tmp_path / "mine")
    (encoder / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"mine/model\.onnx: not an ONNX model"):
        running(tmp_path / "home")(shop.catalogue, backbone={"name": str(encoder)})
    assert Store(tmp_path / "home").count("products") == 0
