"""The original project's Model 1: its recipe, as it is, on pictures of the sample shop, from store to MLflow."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pytest

from recsys.core.configuration import Images, load
from recsys.core.errors import WeightsError
from recsys.core.tracking import current_store, tracking_uri
from recsys.models.classifier import ledger, registry
from recsys.models.classifier.recipe import RECIPE_FOLDER
from recsys.models.classifier.training_record import MODEL_NAME
from recsys.vision import backbones
from recsys.vision.square import encode, square_photo
from sample_shop.assortment import product
from sample_shop.scene import draw_picture
from tests.recsys.models.classifier.conftest import Shop, settings

pytestmark = pytest.mark.slow

PICTURES = 80


def recipe(to: Path, weights: str) -> Path:
    """Write the original's recipe, but for one epoch, its weights, and a set that is grown to 100 and not to 21,500."""
    text = (RECIPE_FOLDER / "original.toml").read_text(encoding="utf-8")
    for old, new in (("epochs = 30", "epochs = 1"), ("21_500", "100"), ('"imagenet"', f'"{weights}"')):
        assert old in text
        text = text.replace(old, new)
    to.write_text(text, encoding="utf-8")
    return to


def test_the_original_recipe_trains_on_80_pictures_and_its_model_predicts_products(
    tmp_path: Path, mlflow_tables: Path
) -> None:
    weights = tmp_path / "untrained.weights.h5"
    backbones.build("resnet50", None).save_weights(weights)
    drawn = [product(7, index) for index in range(PICTURES)]
    labels = sorted({each.label for each in drawn})
    flags = {
        "labels": {"merge": {label: [label] for label in labels}, "merge_coverage": 0},
        "classifier": {"recipe": str(recipe(tmp_path / "once.toml", str(weights)))},
    }
    shop = Shop(tmp_path / "home", load(None, flags, environ={})).with_tables(mlflow_tables)
    jpegs = [encode(square_photo(draw_picture(each, 0), Images()), 95) for each in drawn]
    for label in labels:
        own = [jpeg for jpeg, each in zip(jpegs, drawn, strict=True) if each.label == label]
        shop.add(len(own), label, jpegs=own)
    shop.label()

    epochs: list[dict[str, float]] = []
    model = registry.train(shop.store, shop.configuration, lambda epoch, figures: epochs.append(figures))

    assert model.labels == tuple(labels) and len(labels) == 20
    client = mlflow.MlflowClient(tracking_uri(shop.store.home))
    run = client.get_run(model.run_id)
    assert run.info.status == "FINISHED"
    (epoch,) = epochs
    for name in ("accuracy", "loss", "val_accuracy", "val_loss"):
        (metric,) = client.get_metric_history(model.run_id, name)
        assert (metric.step, metric.value) == (1, epoch[name]) and np.isfinite(metric.value)
    counts = {name: run.data.metrics[f"pictures/{name}"] for name in ("catalogue", "augmented")}
    assert counts == {"catalogue": 80, "augmented": 20}
    assert 10 <= run.data.metrics["picture/examples"] <= 20  # of the catalogue's own, a fifth
    version = client.get_model_version_by_alias(MODEL_NAME, "champion")
    assert str(version.version) == model.registered
    with current_store(shop.store.home):
        inputs = mlflow.models.get_model_info(version.source).signature.inputs.to_dict()
    assert [column["name"] for column in inputs] == ["name", "brand", "picture"] and inputs[2]["type"] == "binary"

    (new,) = shop.add(1, "no label of this shop", jpegs=jpegs[:1])
    loaded = registry.load_classifier(shop.store.home, model.version)
    for shard in ledger.missing(shop.store, shop.configuration, model.version):
        counted = ledger.predict_shard(shop.store, shard, shop.configuration, loaded)
        assert (counted.picture, counted.none) == (1, 0)
    row = shop.store.read("predictions", where=f"product_id = '{new}'").to_pylist()[0]
    assert row["label"] in labels and row["evidence"] == "picture" and 1 / 20 <= row["confidence"] <= 1


def test_missing_weights_are_an_error_before_the_training_starts(tmp_path: Path) -> None:
    missing = recipe(tmp_path / "mine.toml", str(tmp_path / "nowhere.weights.h5"))
    shop = Shop(tmp_path / "home", settings(recipe=str(missing)))
    shop.add(3, "Watches")
    shop.add(3, "Footwear")
    shop.label()
    with pytest.raises(WeightsError, match=r"mine\.toml.*nowhere\.weights\.h5: no such weights file") as failure:
        registry.train(shop.store, shop.configuration)
    assert "\n" not in str(failure.value)
    assert registry.current_classifier(shop.store.home) is None and not (shop.store.home / "mlflow").exists()
