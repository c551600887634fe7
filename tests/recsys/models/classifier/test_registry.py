"""The classifier of a home: training, MLflow record, recovery after a crash, and predictions."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from recsys.core import progress
from recsys.core.configuration import load
from recsys.core.errors import TrainingError
from recsys.core.tracking import current_store, tracking_uri
from recsys.models import examples
from recsys.models.classifier import ledger, registry
from recsys.models.classifier.recipe import load_recipe
from recsys.models.classifier.training_record import MODEL_NAME
from recsys.models.labels.ledger import Filling, predicted_labels
from recsys.storage import records
from tests.listening import Steps
from tests.recsys.models.classifier.conftest import KINDS, QUICK, Shop, settings

pytestmark = pytest.mark.slow

EPOCHS = load_recipe(QUICK).epochs

TRAINING = """
import os, signal, sys
from recsys.models.classifier import registry
from recsys.core.configuration import load
from recsys.storage import records
from recsys.storage.store import Store

home, where, recipe = sys.argv[1:]

def die(*of):
    os.kill(os.getpid(), signal.SIGKILL)

def on_epoch(epoch, figures):
    if where == "in the second fold" and epoch == 2 and "fold_2/loss" in figures:
        die()

if where == "before it is recorded":
    records.write = die
if where == "before its run ends":
    import mlflow.tracking.fluent
    mlflow.tracking.fluent.end_run = die
flags = {"labels": {"merge": {kind: [kind] for kind in ("Watches", "Footwear", "Jewellery")}, "merge_coverage": 0},
         "classifier": {"precision": 0.9, "recipe": recipe}}
registry.train(Store(home), load(None, flags, environ={}), on_epoch)
"""


def train_until_killed(home: Path, where: str) -> None:
    """Train in a process that is killed."""
    command = [sys.executable, "-c", TRAINING, str(home), where, str(QUICK)]
    done = subprocess.run(command, cwd=Path(registry.__file__).parents[2], capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr


def runs(home: Path) -> list[Any]:
    client = mlflow.MlflowClient(tracking_uri(home))
    experiment = client.get_experiment_by_name(MODEL_NAME)
    return client.search_runs([experiment.experiment_id]) if experiment else []


def predict(shop: Shop, model: registry.Classifier) -> list[str]:
    """Run the stage of the predictions, and return the products that it had to judge."""
    loaded = registry.load_classifier(shop.store.home, model.version)
    shards = ledger.missing(shop.store, shop.configuration, model.version)
    for shard in shards:
        ledger.predict_shard(shop.store, shard, shop.configuration, loaded)
    return [key for shard in shards for key in shard.keys]


def test_a_training_is_one_mlflow_run_with_metrics_plots_and_a_registered_model(trained):
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
    champion = client.get_model_version_by_alias(MODEL_NAME, "champion")
    assert str(champion.version) == model.registered
    (logged,) = client.search_logged_models([run.info.experiment_id])
    linked = {metric.key: metric.value for metric in logged.metrics}
    assert linked["both/accuracy"] == run.data.metrics["both/accuracy"] and {"both/macro_f1", "coverage"} < set(linked)
    digest = run.data.params["data.digest"]
    assert {(each.dataset_name, each.dataset_digest) for each in logged.metrics} == {("labelled products", digest)}


def test_the_registered_model_can_be_loaded_from_mlflow_and_predicts(trained):
    with current_store(trained.shop.store.home):
        served = mlflow.pyfunc.load_model(f"models:/{MODEL_NAME}@champion")
        listed = mlflow.pyfunc.get_model_dependencies(f"models:/{MODEL_NAME}/{trained.model.registered}")
    assert served.metadata.signature is not None
    example = pd.DataFrame({"name": ["a leather shoe", None], "brand": [None, None]})
    example["features"] = [[], np.eye(16, dtype=np.float32)[0].tolist()]
    assert served.predict(example)["label"].tolist() == ["Footwear", "Watches"]
    assert all("==" in line for line in Path(listed).read_text().split())


def test_the_same_examples_and_recipe_train_nothing(trained):
    shop = trained.shop
    again = registry.train(shop.store, shop.configuration, lambda epoch, figures: pytest.fail("it trained"))
    assert again == trained.model == registry.current_classifier(shop.store.home)
    assert len(runs(shop.store.home)) == 1


def test_sure_predictions_fill_gaps_and_each_product_is_predicted_once(copied):
    shop, model = copied.shop, copied.model
    assert model.threshold is not None
    assert len(predict(shop, model)) == 6  # the others have out-of-fold predictions from the training
    assert predict(shop, model) == []
    shop.label(model.filling)
    rows = predicted_labels(shop.store)
    assert len(rows) and (rows["confidence"] >= model.threshold).all()
    assert all(KINDS[row.label] in row.name for row in rows.itertuples(index=False))
    assert registry.is_up_to_date(shop.store, shop.configuration, model)


def test_predicted_labels_are_not_trained_on(copied):
    shop, model = copied.shop, copied.model
    predict(shop, model)
    shop.label(Filling(model.version, 0.0))
    again = registry.train(shop.store, shop.configuration, lambda epoch, figures: pytest.fail("it trained"))
    assert again == model


def test_a_new_product_is_predicted_by_the_current_model_without_a_training(copied):
    shop, model = copied.shop, copied.model
    predict(shop, model)
    (new,) = shop.add(1, "Footwear", top_level="Something quite else")
    shop.label()
    assert registry.is_up_to_date(shop.store, shop.configuration, model)
    assert predict(shop, model) == [new]
    row = shop.store.read("predictions", where=f"product_id = '{new}'").to_pylist()[0]
    assert (row["label"], row["evidence"], row["fold"]) == ("Footwear", "both", None)


def test_a_product_without_a_picture_is_predicted_from_its_text(copied):
    (key,) = copied.shop.add(1, "Jewellery", top_level="Something quite else", pictured=False)
    predict(copied.shop, copied.model)
    row = copied.shop.store.read("predictions", where=f"product_id = '{key}'").to_pylist()[0]
    assert (row["label"], row["evidence"]) == ("Jewellery", "text")


def test_a_new_label_in_the_catalogue_makes_the_classifier_outdated(copied):
    copied.shop.add(3, "Bags")
    labels = {"merge": {kind: [kind] for kind in (*KINDS, "Bags")}, "merge_coverage": 0}
    changed = load(None, {"labels": labels, "classifier": {"recipe": str(QUICK)}}, environ={})
    copied.shop.configuration = changed
    copied.shop.label()
    assert not registry.is_up_to_date(copied.shop.store, changed, copied.model)


def test_another_recipe_is_another_run_and_the_old_model_stays(copied, tmp_path):
    shop, first = copied.shop, copied.model
    other = tmp_path / "other.toml"
    other.write_text(QUICK.read_text().replace(f"epochs = {EPOCHS}", "epochs = 1"))
    changed = settings(recipe=str(other))
    assert not registry.is_up_to_date(shop.store, changed, first)
    second = registry.train(shop.store, changed)
    assert second.version != first.version and second.registered != first.registered
    assert len(runs(shop.store.home)) == 2
    for model in (first, second):
        assert (registry.folder(shop.store.home) / model.version / "model" / "classifier.json").exists()
    assert registry.current_classifier(shop.store.home) == second


def test_a_killed_training_resumes_in_its_mlflow_run(shop):
    home = shop.store.home
    train_until_killed(home, "in the second fold")
    (killed,) = runs(home)
    assert killed.info.status == "RUNNING" and registry.current_classifier(home) is None
    epochs: list[str] = []
    model = registry.train(shop.store, shop.configuration, lambda epoch, figures: epochs.append(min(figures)))
    (run,) = runs(home)
    assert (run.info.run_id, run.info.status) == (killed.info.run_id, "FINISHED")
    assert model.run_id == run.info.run_id
    named = [name.split("/")[0] for name in epochs if "/" in name]
    assert named.count("fold_1") == 0 and named.count("fold_2") == EPOCHS - 1  # it had done those


def test_a_training_killed_at_its_end_is_one_run_and_one_model(tmp_path, mlflow_tables):
    shop = Shop(tmp_path / "home", settings()).with_tables(mlflow_tables)
    for kind in KINDS:
        shop.add(10, kind, pictured=False)
    shop.label()
    home = shop.store.home
    for where in ("before it is recorded", "before its run ends"):
        train_until_killed(home, where)
        (run,) = runs(home)
        assert run.info.status == "RUNNING" and registry.current_classifier(home) is None
    model = registry.train(shop.store, shop.configuration, lambda epoch, figures: pytest.fail("it trained"))
    (run,) = runs(home)
    assert (run.info.run_id, run.info.status) == (model.run_id, "FINISHED")
    client = mlflow.MlflowClient(tracking_uri(home))
    assert len(client.search_model_versions(f"name = '{MODEL_NAME}'")) == 1
    assert client.get_model_version_by_alias(MODEL_NAME, "champion").run_id == model.run_id
    (logged,) = client.search_logged_models([run.info.experiment_id])
    assert len({metric.key for metric in logged.metrics}) == len(logged.metrics) > 0
    assert registry.current_classifier(home) == model
    assert not (registry.folder(home) / model.version / "checkpoints").exists()


@pytest.mark.parametrize("damage", ["missing", "classifier.json", "head.onnx", "terms.json", "text.npz"])
def test_a_damaged_or_missing_model_is_an_error_and_is_trained_again(copied, damage):
    home, version = copied.shop.store.home, copied.model.version
    place = registry.folder(home) / version / "model"
    if damage == "missing":
        shutil.rmtree(place)
    else:
        next(place.rglob(damage)).write_bytes(b"{")
    with pytest.raises(TrainingError, match=r"damaged or missing \(.*\); run 'recsys train classifier'") as failure:
        registry.load_classifier(home, version)
    assert str(place) in str(failure.value) and "\n" not in str(failure.value)
    assert records.read(home, f"classifier/{version}") is None  # so it is trained again


def test_the_inputs_of_some_products_equal_those_of_all_products(trained):
    store, configuration = trained.shop.store, trained.shop.configuration
    everything = examples.classifier_inputs(store, configuration)
    keys = everything["product_id"].iloc[[3, 50, 7]].tolist()
    expected = everything[everything["product_id"].isin(keys)].reset_index(drop=True)
    pd.testing.assert_frame_equal(examples.classifier_inputs(store, configuration, keys), expected)
    assert examples.classifier_inputs(store, configuration, []).empty


@pytest.mark.parametrize(
    ("kinds", "message"),
    [((), "no labelled product"), (("Watches",), "only the label 'Watches'")],
)
def test_fewer_than_two_labels_are_an_error_on_one_line(tmp_path, kinds, message):
    shop = Shop(tmp_path / "home", settings())
    for kind in kinds or ("Nothing that is named",):
        shop.add(5, kind)
    shop.label()
    with pytest.raises(TrainingError, match=message) as failure:
        registry.train(shop.store, shop.configuration)
    assert "\n" not in str(failure.value)
    assert registry.current_classifier(shop.store.home) is None


def test_a_class_of_one_product_and_labels_in_other_scripts_are_learned(tmp_path, mlflow_tables):
    merge = {"Часы": ["Часы"], "鞋子": ["鞋子"], "خاتم": ["خاتم"]}
    flags = {"labels": {"merge": merge, "merge_coverage": 0}, "classifier": {"recipe": str(QUICK)}}
    configuration = load(None, flags, environ={})
    shop = Shop(tmp_path / "home", configuration).with_tables(mlflow_tables)
    shop.add(30, "Часы")
    shop.add(30, "鞋子")
    shop.add(1, "خاتم")
    shop.label()
    listener = Steps()
    with progress.listen(listener):
        model = registry.train(shop.store, configuration)
    assert model.labels == tuple(sorted(merge))
    (note,) = listener.notes
    assert note.startswith("no evaluation for the labels 'خاتم': ")
    assert runs(shop.store.home)[0].data.tags["mlflow.note.content"] == note
    assert "鞋子" in records.read(shop.store.home, "classifier/current")["labels"]
