"""The evaluation set has the catalogue's own products, each photo once, and always the same held-out products."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recsys.core.configuration import load
from recsys.core.errors import NoImagesError
from recsys.evaluation.evaluation_set import (
    BACKBONE,
    HSV,
    PIXELS,
    RANDOM,
    EvaluationSet,
    load_evaluation_set,
    read_pictures,
    trained_models,
    with_trained_models,
)
from recsys.evaluation.scoreboard import metrics_of_models, scoreboard
from recsys.evaluation.training_pictures import training_pictures
from recsys.models.embedding import serving
from recsys.models.embedding.serving import Model, backbone_version
from recsys.storage import records
from recsys.storage.schemas import SCHEMAS, embeddings_schema
from recsys.storage.store import Store
from tests.recsys.conftest import DrawnShop


@pytest.fixture
def evaluation_set(drawn_shop: DrawnShop) -> EvaluationSet:
    return load_evaluation_set(drawn_shop.store, drawn_shop.configuration)


def test_only_products_with_a_catalogue_path_are_included(evaluation_set: EvaluationSet) -> None:
    frame = evaluation_set.frame
    assert "p1" not in set(frame["product_id"])  # its label is predicted
    assert "f" * 32 not in set(frame["image_digest"])  # scraped, not a product
    assert set(frame["product_id"]) == {f"p{n}" for n in range(48)} - {"p1"}
    assert frame["category_path"].map(len).min() > 0


def test_a_product_with_a_predicted_label_is_not_included(drawn_shop: DrawnShop, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(drawn_shop.home, home)
    prediction = {"product_id": "p6", "label": "Clothing", "source": "predicted", "confidence": 0.99}
    Store(home).write("labels", pa.Table.from_pylist([prediction], schema=SCHEMAS["labels"]))
    assert "p6" not in set(load_evaluation_set(Store(home), drawn_shop.configuration).frame["product_id"])


def test_near_duplicates_are_one_group_and_on_one_side(evaluation_set: EvaluationSet) -> None:
    frame = evaluation_set.frame.set_index("product_id")
    assert frame["group"]["p0"] == frame["group"]["p4"]
    assert frame.groupby("group")["held_out"].nunique().max() == 1
    assert 0 < frame["held_out"].mean() < 0.6


def test_the_same_products_are_held_out_each_time(drawn_shop: DrawnShop) -> None:
    first, second = (load_evaluation_set(drawn_shop.store, drawn_shop.configuration).frame for _ in range(2))
    assert first["held_out"].equals(second["held_out"])


def test_every_model_has_a_unit_vector_of_each_picture(evaluation_set: EvaluationSet) -> None:
    assert list(evaluation_set.models) == [RANDOM, PIXELS, HSV, BACKBONE]
    for vectors in evaluation_set.models.values():
        assert vectors.dtype == np.float32 and len(vectors) == len(evaluation_set.frame)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-4)
    same_photo = evaluation_set.models[BACKBONE][evaluation_set.frame["product_id"].isin(["p0", "p4"])]
    assert len(same_photo) == 2
    assert same_photo[0] @ same_photo[1] == pytest.approx(1, abs=1e-4)


def test_known_price_levels_are_1_to_4(evaluation_set: EvaluationSet) -> None:
    assert set(evaluation_set.frame["price_level"]) == {1, 2, 3, 4}


def test_the_backbone_beats_random_vectors(drawn_shop: DrawnShop, evaluation_set: EvaluationSet) -> None:
    settings = drawn_shop.configuration.evaluation
    board = scoreboard(evaluation_set.models, evaluation_set.frame, settings, evaluation_set.histograms)
    value = board.set_index(["model", "level", "metric", "k"])["value"]
    assert value[BACKBONE, 2, "precision", 5] > value[RANDOM, 2, "precision", 5] + 0.2
    assert value[HSV, 0, "colour", 5] > value[RANDOM, 0, "colour", 5]


def test_a_trained_model_is_evaluated_only_with_all_its_vectors(drawn_shop: DrawnShop, tmp_path: Path) -> None:
    shutil.copytree(drawn_shop.home, tmp_path / "home")
    store, configuration = Store(tmp_path / "home"), drawn_shop.configuration
    for version in ("0123456789abcdef", "fedcba9876543210"):
        model = Model(
            version, "default", "", "", "features", backbone_version(configuration), 2, "", "", "", True, "", ""
        )
        records.write(store.home, {f"embedding/{version}": asdict(model)})
    serving.point(store.home, serving.Pointer("0123456789abcdef"))
    evaluation_set = load_evaluation_set(store, configuration)
    digests = pa.array(evaluation_set.frame["image_digest"])
    vectors = evaluation_set.models[BACKBONE][:, :2].copy()
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 2)
    rows = pa.table([digests, column], schema=embeddings_schema(2))
    store.write("embeddings-0123456789abcdef", rows)
    store.write("embeddings-fedcba9876543210", rows.slice(1))

    trained = trained_models(store, configuration)
    assert set(trained) == {"champion 01234567", "default fedcba98"}
    with_models = with_trained_models(evaluation_set, store, trained)
    assert list(with_models.models) == [*evaluation_set.models, "champion 01234567"]
    assert np.array_equal(with_models.models["champion 01234567"], vectors)


def test_pictures_are_read_in_the_requested_order(drawn_shop: DrawnShop, evaluation_set: EvaluationSet) -> None:
    digests = evaluation_set.frame["image_digest"].tolist()
    first, second, again = read_pictures(drawn_shop.store, [digests[5], digests[2], digests[5]])
    assert first.shape == (256, 256, 3)
    assert np.array_equal(first, again) and not np.array_equal(first, second)


def test_the_pictures_of_a_training_are_drawn(drawn_shop: DrawnShop, evaluation_set: EvaluationSet) -> None:
    metrics = metrics_of_models(evaluation_set.models, evaluation_set.frame, drawn_shop.configuration.evaluation)
    drawn = training_pictures(drawn_shop.store, drawn_shop.configuration, evaluation_set, metrics, RANDOM, BACKBONE)
    assert {"tsne-before-after", "gained"} <= set(drawn) <= {"tsne-before-after", "triplets", "gained", "lost"}
    assert all(png.startswith(b"\x89PNG") for png in drawn.values())


def test_a_home_without_features_reports_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(NoImagesError, match="recsys run --catalogue"):
        load_evaluation_set(Store(tmp_path / "home"), load(environ={}))
