"""A whole run with an encoder that is not built in: an ONNX file, a preset of keras-hub, a dual encoder.

Each run trains an embedding on the encoder's features, and the gate judges it; then the embedding is put in service and
rolled back.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.core import progress
from recsys.core.configuration import Configuration, load
from recsys.core.errors import WeightsError
from recsys.core.tracking import tracking_uri
from recsys.evaluation.evaluation_set import read_vectors
from recsys.lifecycle import judging, promotion
from recsys.models import features
from recsys.models.embedding import serving
from recsys.ranking.gallery_loading import load_gallery
from recsys.ranking.single_query import recommend_image
from recsys.ranking.word_search import search_words
from recsys.storage.store import Store
from recsys.vision.square import decode_squared
from sample_shop import SampleHost, SampleShop
from tests import encoders
from tests.flows.conftest import FLAGS, running
from tests.flows.test_train import ANSWERING
from tests.listening import Steps

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
    if make is encoders.dual_encoder:
        assert_words_are_compared_with_pictures(store, configuration)


def assert_words_are_compared_with_pictures(store: Store, configuration: Configuration) -> None:
    """Search for a token that no product's text has: the picture nearest by the text tower is the first result."""
    _, gallery = load_gallery(store, configuration)
    tower = features.text_tower(configuration.backbone.name, gallery.picture_size)
    assert tower is not None
    best = search_words(store, configuration, "word", 3).iloc[0]
    nearest = int(np.argmax(gallery.pictures @ tower(["word"])[0]))
    assert best["product_id"] == gallery.product_ids[nearest] and "like it" in best["why"]


def test_a_wrong_encoder_stops_a_run_before_the_catalogue_is_read(
    prefect_url: str, shop: SampleShop, tmp_path: Path
) -> None:
    encoder = encoders.encoder_folder(tmp_path / "mine")
    (encoder / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"mine/model\.onnx: not an ONNX model"):
        running(tmp_path / "home")(shop.catalogue, backbone={"name": str(encoder)})
    assert Store(tmp_path / "home").count("products") == 0


def keys_of(store: Store, table: str, column: str = "image_digest") -> set[str]:
    """Return the keys of a table."""
    return set(store.read(table, [column])[column].to_pylist())


def test_a_champion_keeps_its_encoder_until_a_better_one_serves_and_after_a_roll_back(
    prefect_url: str, shop: SampleShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (encoders.encoder_folder(tmp_path / f"encoder {seed}", seed=seed) for seed in range(3))
    home, catalogue = tmp_path / "home", pd.read_csv(shop.catalogue, dtype=str, keep_default_na=False)
    store = Store(home)
    shared = {"evaluation": {"holdout_share": 0.4}}
    flags = {encoder: shared | {"backbone": {"name": str(encoder)}} for encoder in (first, second, third)}
    configured = {encoder: load(home, FLAGS | own, environ={}) for encoder, own in flags.items()}

    def run(encoder: Path, without: int = 0, last: str = "recommendations") -> list[str]:
        """Run with an encoder and all products but some; return the notes for the user."""
        catalogue.iloc[: len(catalogue) - without].to_csv(tmp_path / "catalogue.csv", index=False)
        with progress.listen(steps := Steps()):
            running(home)(tmp_path / "catalogue.csv", last, **flags[encoder])
        return steps.notes

    def described(encoder: Path) -> set[str]:
        """Return the pictures with features of an encoder."""
        return keys_of(store, features.table_name(configured[encoder]))

    def recommended(encoder: Path) -> set[str]:
        """Return the products with recommendations by what serves."""
        return keys_of(store, serving.serving(home, configured[encoder]).recommendations, "product_id")

    with SampleHost(shop.folder, port=int(shop.base_url.rsplit(":", 1)[1])):
        run(first, without=8)
        (champion,) = serving.models(home)
        promotion.promote(store, configured[first], champion.version, force=True)
        before = recommended(first)

        notes = run(second, without=4, last="results")
        _, refused = serving.models(home)
        assert not refused.promoted and refused.against == champion.version
        assert serving.champion(home, configured[second]) == champion
        assert any(f"{champion.version} keeps serving with its own encoder, {first}" in note for note in notes), notes
        assert described(first) == described(second) and before < recommended(second)
        _, photos = photos_of(store)
        answer = recommend_image(store, configured[second], photos[0], "photo")
        assert answer.items["visual"].max() == pytest.approx(1, abs=1e-4)  # itself, by the same encoder

        with monkeypatch.context() as patch:  # a shop of this size is too small for a real promotion
            decide = judging.decide
            patch.setattr(judging, "decide", lambda *models: replace(decide(*models), promoted=True))
            run(third, without=2)
        accepted = serving.champion(home, configured[third])
        assert accepted is not None and (accepted.input, accepted.against) == (str(third), champion.version)
        notes = run(third)
        assert not any("keeps serving" in note for note in notes), notes
        assert described(second) < described(first) < described(third)  # only those of the serving one are computed
        after = recommended(third)

        assert promotion.roll_back(store, configured[third]).model == champion
        assert recommended(third) == after and described(first) == described(third)
        first.rename(tmp_path / "elsewhere")
        notes = run(third)
        assert any(f"embedding {champion.version} cannot serve" in note for note in notes), notes
        assert serving.serving(home, configured[third]).version == features.model_version(configured[third])
        assert recommended(third) == after
