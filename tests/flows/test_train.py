"""The embedding, from the catalogue to a program that loads it from MLflow, on a real Prefect server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recsys.core.configuration import load
from recsys.core.tracking import tracking_uri
from recsys.evaluation.evaluation_set import read_vectors
from recsys.lifecycle import promotion as registry
from recsys.models.embedding import serving
from recsys.ranking.single_query import recommend_image
from recsys.storage.store import Store
from recsys.vision.square import decode_squared
from tests.flows.conftest import FLAGS, Ran, recorded

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("one run of a shop")]

ANSWERING = """
import mlflow, numpy, sys
model = mlflow.pyfunc.load_model("models:/product-embedding@champion")
numpy.save(sys.argv[2], model.predict(numpy.load(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def home(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop after one run."""
    return shutil.copytree(ran.copy, tmp_path_factory.mktemp("trained") / "home")


def test_a_run_trains_an_embedding_once_and_the_gate_decides_what_serves(home: Path, ran: Ran) -> None:
    from flows.train import train

    configuration = load(home, FLAGS, environ={})
    (model,) = serving.models(home)
    serves = serving.serving(home, configuration)
    assert (serves.model == model) is model.promoted
    assert serving.challenger(home, configuration) is None
    assert Store(home).count(serves.recommendations, "rank = 1") > 40
    assert train(str(home), ["embedding"], FLAGS) == {"models": 0}
    _, artifacts = recorded(ran.home)
    assert model.reason in str(artifacts["embedding"].data)
    assert {"embedding-gate", "embedding-scoreboard"} <= set(artifacts)


def test_the_champion_loaded_from_mlflow_gives_the_stored_embedding(home: Path, tmp_path: Path) -> None:
    configuration, store = load(home, FLAGS, environ={}), Store(home)
    (model,) = serving.models(home)
    registry.promote(store, configuration, model.version, force=True)
    rows = store.read("images", ["image_digest", "jpeg"], "status = 'ok'").slice(0, 3).to_pylist()
    photos = np.stack([decode_squared(row["jpeg"]) for row in rows])
    np.save(tmp_path / "photos.npy", photos)
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    bare |= {"MLFLOW_TRACKING_URI": tracking_uri(home)}
    command = [sys.executable, "-c", ANSWERING, str(tmp_path / "photos.npy"), str(tmp_path / "answer.npy")]
    done = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    stored = read_vectors(store, f"embeddings-{model.version}", "embedding", [row["image_digest"] for row in rows])
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), stored, atol=1e-4)

    answer = recommend_image(store, configuration, photos[0], "photo")
    assert answer.items["visual"].max() == pytest.approx(1, abs=1e-4)  # itself, by the same model
