"""What is judged out of the store: the catalogue's own products, once a photo, always the same ones held out."""

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
    judged_products,
    pictures_of,
    trained_models,
    with_trained,
)
from recsys.evaluation.scoreboard import judgements, scoreboard
from recsys.evaluation.training_pictures import pictures_of_training
from recsys.models.embedding import serving
from recsys.models.embedding.serving import Model, backbone_version
from recsys.storage import shared
from recsys.storage.store import SCHEMAS, Store, embeddings_schema


def test_only_products_with_a_catalogue_path_are_judged(judged_shop) -> None:  # type: ignore[no-untyped-def]
    frame = judged_products(judged_shop.store, judged_shop.configuration).frame
    assert "p1" not in set(frame["product_id"])  # its label is a model's
    assert "f" * 32 not in set(frame["image_digest"])  # scraped: no product
    assert set(frame["product_id"]) == {f"p{n}" for n in range(48)} - {"p1"}
    assert frame["category_path"].map(len).min() > 0


def test_a_path_of_the_catalogue_with_a_predicted_label_is_not_judged(judged_shop, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    home = tmp_path / "home"
    shutil.copytree(judged_shop.home, home)
    guess = {"product_id": "p6", "label": "Clothing", "source": "predicted", "confidence": 0.99}
    Store(home).write("labels", pa.Table.from_pylist([guess], schema=SCHEMAS["labels"]))
    assert "p6" not in set(judged_products(Store(home), judged_shop.configuration).frame["product_id"])


def test_near_duplicates_are_one_group_on_one_side(judged_shop) -> None:  # type: ignore[no-untyped-def]
    frame = judged_products(judged_shop.store, judged_shop.configuration).frame.set_index("product_id")
    assert frame.loc["p0", "group"] == frame.loc["p4", "group"]
    assert frame.groupby("group")["held_out"].nunique().max() == 1
    assert 0 < frame["held_out"].mean() < 0.6


def test_the_same_products_are_held_out_each_time(judged_shop) -> None:  # type: ignore[no-untyped-def]
    once, again = (judged_products(judged_shop.store, judged_shop.configuration).frame for _ in range(2))
    assert once["held_out"].equals(again["held_out"])


def test_every_model_has_a_unit_vector_of_each_picture(judged_shop) -> None:  # type: ignore[no-untyped-def]
    judged = judged_products(judged_shop.store, judged_shop.configuration)
    assert list(judged.models) == [RANDOM, PIXELS, HSV, BACKBONE]
    for vectors in judged.models.values():
        assert vectors.dtype == np.float32 and len(vectors) == len(judged.frame)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-4)
    place = judged.frame.set_index("product_id").index
    same = judged.models[BACKBONE][place.get_loc("p0")] @ judged.models[BACKBONE][place.get_loc("p4")]
    assert same == pytest.approx(1, abs=1e-4)


def test_price_levels_are_known_where_they_say_something(judged_shop) -> None:  # type: ignore[no-untyped-def]
    assert set(judged_products(judged_shop.store, judged_shop.configuration).frame["price_level"]) == {1, 2, 3, 4}


def test_the_backbone_beats_chance_on_the_board(judged_shop) -> None:  # type: ignore[no-untyped-def]
    judged = judged_products(judged_shop.store, judged_shop.configuration)
    board = scoreboard(judged.models, judged.frame, judged_shop.configuration.evaluation, judged.histograms)
    value = board.set_index(["model", "level", "metric", "k"])["value"]
    assert value[BACKBONE, 2, "precision", 5] > value[RANDOM, 2, "precision", 5] + 0.2
    assert value[HSV, 0, "colour", 5] > value[RANDOM, 0, "colour", 5]


def test_a_trained_model_is_judged_where_it_has_every_vector(judged_shop, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    shutil.copytree(judged_shop.home, tmp_path / "home")
    store, configuration = Store(tmp_path / "home"), judged_shop.configuration
    for version in ("0123456789abcdef", "fedcba9876543210"):
        told = Model(
            version, "default", "", "", "features", backbone_version(configuration), 2, "", "", "", True, "", ""
        )
        shared.write_json(store.home, serving.folder(store.home) / version / "trained.json", asdict(told))
    serving.point(store.home, serving.Pointer("0123456789abcdef"))
    judged = judged_products(store, configuration)
    digests = pa.array(judged.frame["image_digest"])
    vectors = judged.models[BACKBONE][:, :2].copy()
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 2)
    rows = pa.table([digests, column], schema=embeddings_schema(2))
    store.write("embeddings-0123456789abcdef", rows)
    store.write("embeddings-fedcba9876543210", rows.slice(1))

    trained = trained_models(store, configuration)
    assert set(trained) == {"champion 01234567", "default fedcba98"}
    both = with_trained(judged, store, trained)
    assert list(both.models) == [*judged.models, "champion 01234567"]
    assert np.array_equal(both.models["champion 01234567"], vectors)


def test_pictures_come_in_the_order_that_was_asked(judged_shop) -> None:  # type: ignore[no-untyped-def]
    digests = judged_products(judged_shop.store, judged_shop.configuration).frame["image_digest"].tolist()
    first, second, again = pictures_of(judged_shop.store, [digests[5], digests[2], digests[5]])
    assert first.shape == (256, 256, 3)
    assert np.array_equal(first, again) and not np.array_equal(first, second)


def test_the_pictures_of_a_training_are_drawn(judged_shop) -> None:  # type: ignore[no-untyped-def]
    judged = judged_products(judged_shop.store, judged_shop.configuration)
    told = judgements(judged.models, judged.frame, judged_shop.configuration.evaluation)
    drawn = pictures_of_training(judged_shop.store, judged_shop.configuration, judged, told, RANDOM, BACKBONE)
    assert {"tsne-before-after", "gained"} <= set(drawn) <= {"tsne-before-after", "triplets", "gained", "lost"}
    assert all(png.startswith(b"\x89PNG") for png in drawn.values())


def test_a_home_without_features_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoImagesError, match="recsys run --catalogue"):
        judged_products(Store(tmp_path / "home"), load(environ={}))
