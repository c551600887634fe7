"""The classifier of a home: trained once, kept in MLflow, asked about each product once, filling what it is sure of."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from recsys.classifier import ledger, record, registry
from recsys.classifier.label_model import LabelModel
from recsys.classifier.recipe import load_recipe
from recsys.configuration import load
from recsys.errors import TrainingError
from recsys.labels.ledger import Filling, filled
from recsys.tracking import current_store, tracking_uri

from .conftest import KINDS, Shop, settings

EPOCHS = load_recipe("default").epochs

SLOW = """
import sys, time
from pathlib import Path
from recsys.classifier import registry
from recsys.configuration import load
from recsys.store import Store
flags = {"labels": {"merge": {kind: [kind] for kind in ("Watches", "Footwear", "Jewellery")}, "merge_coverage": 0},
         "classifier": {"precision": 0.9}}
registry.train(Store(sys.argv[1]), load(None, flags, environ={}), lambda epoch, figures: time.sleep(0.1))
"""


def runs(home: Path) -> list[Any]:
    client = mlflow.MlflowClient(tracking_uri(home))
    experiment = client.get_experiment_by_name(record.EXPERIMENT)
    return client.search_runs([experiment.experiment_id]) if experiment else []


def predict(shop: Shop, model: registry.AtHand) -> list[str]:
    """Run the stage of the predictions, and return the products that it had to judge."""
    loaded = LabelModel.load(registry.folder(shop.store.home) / model.version / "model")
    shards = ledger.missing(shop.store, shop.configuration, model.version)
    for shard in shards:
        ledger.predict_shard(shop.store, shard, shop.configuration, loaded)
    return [key for shard in shards for key in shard.keys]


def test_a_training_is_one_mlflow_run_with_figures_pictures_and_a_registered_model(trained):
    home, model = trained.shop.store.home, trained.model
    (run,) = runs(home)
    assert (run.info.run_id, run.info.status) == (model.run_id, "FINISHED")
    assert run.data.metrics["both/accuracy"] > 0.95
    figures = {"picture/accuracy", "text/accuracy", "calibration_error", "coverage", "accuracy", "loss"}
    assert figures <= set(run.data.metrics)
    assert run.data.params["recipe.digest"] == model.recipe_digest
    assert run.data.params["data.examples"] == "120"
    client = mlflow.MlflowClient(tracking_uri(home))
    assert len(client.get_metric_history(model.run_id, "loss")) == len(set(trained.epochs)) == EPOCHS
    kept = {file.path for file in client.list_artifacts(model.run_id)}
    assert {"confusion.png", "reliability.png", "mistakes.csv", "reliability.csv", "both", "text", "picture"} <= kept
    champion = client.get_model_version_by_alias(record.REGISTERED, "champion")
    assert str(champion.version) == model.registered


def test_the_registered_model_answers_anybody_who_loads_it_from_mlflow(trained):
    with current_store(trained.shop.store.home):
        served = mlflow.pyfunc.load_model(f"models:/{record.REGISTERED}@champion")
        listed = mlflow.pyfunc.get_model_dependencies(f"models:/{record.REGISTERED}/{trained.model.registered}")
    assert served.metadata.signature is not None
    asked = pd.DataFrame({"name": ["a leather shoe", None], "brand": [None, None]})
    asked["features"] = [[], np.eye(16, dtype=np.float32)[0].tolist()]
    assert served.predict(asked)["label"].tolist() == ["Footwear", "Watches"]
    assert all("==" in line for line in Path(listed).read_text().split())


def test_the_same_examples_and_recipe_train_nothing(trained):
    shop = trained.shop
    again = registry.train(shop.store, shop.configuration, lambda epoch, figures: pytest.fail("it trained"))
    assert again == trained.model == registry.at_hand(shop.store.home)
    assert len(runs(shop.store.home)) == 1


def test_gaps_are_filled_by_a_prediction_that_is_sure_and_each_product_is_judged_once(copied):
    shop, model = copied.shop, copied.model
    assert model.threshold is not None
    assert len(predict(shop, model)) == 6  # the others were judged in the training, by models that had not seen them
    assert predict(shop, model) == []
    shop.label(model.filling)
    rows = filled(shop.store)
    assert len(rows) and (rows["confidence"] >= model.threshold).all()
    assert all(KINDS[row.label] in row.name for row in rows.itertuples(index=False))
    assert registry.fits(shop.store, shop.configuration, model)


def test_what_the_classifier_filled_teaches_it_nothing(copied):
    shop, model = copied.shop, copied.model
    predict(shop, model)
    shop.label(Filling(model.version, 0.0))
    again = registry.train(shop.store, shop.configuration, lambda epoch, figures: pytest.fail("it trained"))
    assert again == model


def test_one_new_product_is_judged_by_the_model_at_hand_and_trains_nothing(copied):
    shop, model = copied.shop, copied.model
    predict(shop, model)
    (new,) = shop.add(1, "Footwear", top_level="Something quite else")
    shop.label()
    assert registry.fits(shop.store, shop.configuration, model)
    assert predict(shop, model) == [new]
    row = shop.store.read("predictions", where=f"product_id = '{new}'").to_pylist()[0]
    assert (row["label"], row["evidence"], row["fold"]) == ("Footwear", "both", None)


def test_a_product_without_a_picture_is_judged_by_its_text(copied):
    (key,) = copied.shop.add(1, "Jewellery", top_level="Something quite else", pictured=False)
    predict(copied.shop, copied.model)
    row = copied.shop.store.read("predictions", where=f"product_id = '{key}'").to_pylist()[0]
    assert (row["label"], row["evidence"]) == ("Jewellery", "text")


def test_another_label_in_the_catalogue_asks_for_a_training(copied):
    copied.shop.add(3, "Bags")
    changed = load(
        None, {"labels": {"merge": {kind: [kind] for kind in (*KINDS, "Bags")}, "merge_coverage": 0}}, environ={}
    )
    copied.shop.configuration = changed
    copied.shop.label()
    assert not registry.fits(copied.shop.store, changed, copied.model)


def test_another_recipe_is_another_run_and_the_old_model_stays(shop, tmp_path):
    recipe = tmp_path / "shorter.toml"
    shipped = (Path(registry.__file__).parent / "recipes" / "default.toml").read_text()
    recipe.write_text(shipped.replace(f"epochs = {EPOCHS}", "epochs = 3").replace("folds = 5", "folds = 2"))
    shorter, shortest = settings(recipe=str(recipe)), tmp_path / "shortest.toml"
    shortest.write_text(recipe.read_text().replace("epochs = 3", "epochs = 2"))
    first = registry.train(shop.store, shorter)
    changed = settings(recipe=str(shortest))
    assert not registry.fits(shop.store, changed, first)
    second = registry.train(shop.store, changed)
    assert second.version != first.version and second.registered != first.registered
    assert len(runs(shop.store.home)) == 2
    for model in (first, second):
        assert (registry.folder(shop.store.home) / model.version / "model" / "classifier.json").exists()
    assert registry.at_hand(shop.store.home) == second


def test_a_training_that_was_killed_goes_on_in_its_own_mlflow_run(shop):
    home = shop.store.home
    training = subprocess.Popen([sys.executable, "-c", SLOW, str(home)], cwd=Path(registry.__file__).parents[2])
    noted, deadline = None, time.monotonic() + 60
    while time.monotonic() < deadline and training.poll() is None:
        if next(home.glob("classifier/*/checkpoints/fold_2/checkpoint.npz"), None):
            noted = next(home.glob("classifier/*/mlflow-run")).read_text()
            break
        time.sleep(0.05)
    training.send_signal(signal.SIGKILL)
    training.wait()
    assert noted is not None
    epochs: list[str] = []
    model = registry.train(shop.store, shop.configuration, lambda epoch, figures: epochs.append(min(figures)))
    assert model.run_id == noted
    assert len(runs(home)) == 1 and runs(home)[0].info.status == "FINISHED"
    assert not any(name.startswith("fold_1/") for name in epochs)  # it had done that


@pytest.mark.parametrize(
    ("kinds", "told"),
    [((), "no labelled product"), (("Watches",), "only the label 'Watches'")],
)
def test_too_little_to_learn_from_is_said_in_one_line(tmp_path, kinds, told):
    shop = Shop(tmp_path / "home", settings())
    for kind in kinds or ("Nothing that is named",):
        shop.add(5, kind)
    shop.label()
    with pytest.raises(TrainingError, match=told) as failure:
        registry.train(shop.store, shop.configuration)
    assert "\n" not in str(failure.value)
    assert registry.at_hand(shop.store.home) is None


def test_a_class_of_one_product_and_labels_in_other_scripts_are_learned(tmp_path):
    merge = {"Часы": ["Часы"], "鞋子": ["鞋子"], "خاتم": ["خاتم"]}
    configuration = load(None, {"labels": {"merge": merge, "merge_coverage": 0}}, environ={})
    shop = Shop(tmp_path / "home", configuration)
    shop.add(30, "Часы")
    shop.add(30, "鞋子")
    shop.add(1, "خاتم")
    shop.label()
    model = registry.train(shop.store, configuration)
    assert model.labels == tuple(sorted(merge))
    told = json.loads((registry.folder(shop.store.home) / "at-hand.json").read_text(encoding="utf-8"))
    assert "鞋子" in told["labels"]
