"""Embeddings of a home: trained once, judged, put in service by the gate alone, and taken back as if never there."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from cli import execute
from recsys.core.configuration import Configuration
from recsys.core.errors import ModelError, TrainingError
from recsys.core.tracking import tracking_uri
from recsys.evaluation.evaluation_set import trained_models
from recsys.evaluation.outside_queries import photo_embedder
from recsys.lifecycle import promotion
from recsys.models import features
from recsys.models.embedding import ledger, serving, store_training
from recsys.models.embedding.serving import REGISTERED
from recsys.ranking import recommendations
from recsys.ranking.gallery_loading import load_gallery
from recsys.ranking.single_query import recommend_product
from recsys.service.snapshot_holder import SnapshotHolder
from recsys.storage import records
from recsys.storage.store import Store
from recsys.vision import backbones
from recsys.vision.backbones import hub_preset
from tests.recsys.models.embedding.small_shop import Shop, draw, flags, recipe, settings

pytestmark = pytest.mark.slow

WEAK, STRONG = 1, 3
"""Epochs: both are better than the raw features, and the second than the first."""

TRAINING = """
import json, os, signal, sys
import mlflow
from recsys.lifecycle import promotion
from recsys.core.configuration import load
from recsys.storage import records
from recsys.storage.store import Store

home, flags, where = sys.argv[1:]

def die(*of, **more):
    os.kill(os.getpid(), signal.SIGKILL)

if where == "before it is recorded":
    records.write = die
if where == "while it is logged":
    mlflow.MlflowClient.log_model_artifacts = die
if where == "before it is registered":
    mlflow.MlflowClient.create_model_version = die
flags = json.loads(flags)
on_epoch = lambda epoch, figures: die() if where == "in the second epoch" and epoch == 2 else None
promotion.train(Store(home), load(None, flags, environ={}), on_epoch)
"""


@dataclass
class Home:
    """A shop, and a configuration for each of two recipes."""

    shop: Shop
    weak: Configuration
    strong: Configuration

    @property
    def store(self) -> Store:
        return self.shop.store

    @property
    def path(self) -> Path:
        return self.shop.home


def rank(home: Home) -> None:
    """Fill the recommendations of what serves."""
    recommendations.recommend_missing(home.store, home.weak, serving.champion(home.path, home.weak))


def put_in_service(home: Home, configuration: Configuration) -> serving.Model:
    """Train, fill the tables as the flow's stages do, and serve."""
    outcome = promotion.train(home.store, configuration)
    assert outcome.waits, outcome.model.reason
    assert ledger.missing(home.store, configuration, outcome.model) == []
    recommendations.recommend_missing(home.store, configuration, outcome.model)
    promotion.serve(home.store, configuration, outcome.model)
    return outcome.model


def recommended(home: Home) -> pd.DataFrame:
    """Return all that is recommended by what serves."""
    table = serving.serving(home.path, home.weak).recommendations
    rows = home.store.read(table).to_pandas()
    return rows.sort_values(["product_id", "rank"], ignore_index=True)


def runs(home: Home) -> list[Any]:
    client = mlflow.MlflowClient(tracking_uri(home.path))
    experiment = client.get_experiment_by_name(REGISTERED)
    return client.search_runs([experiment.experiment_id]) if experiment else []


def champion_in_mlflow(home: Home) -> str | None:
    client = mlflow.MlflowClient(tracking_uri(home.path))
    aliases = client.get_registered_model(REGISTERED).aliases
    return str(aliases["champion"]) if "champion" in aliases else None


def logged_models(home: Home, **search: Any) -> list[Any]:
    """Return the models of the experiment as the MLflow UI lists them."""
    client = mlflow.MlflowClient(tracking_uri(home.path))
    experiment = client.get_experiment_by_name(REGISTERED)
    return list(client.search_logged_models([experiment.experiment_id], **search))


def ranked(home: Home, metric: str, digest: str) -> list[str]:
    """Return the run ids of the models in the order of a metric of the held-out products, the best first."""
    key = {"field_name": f"metrics.{metric}", "ascending": False}
    dataset = {"dataset_name": "held-out products", "dataset_digest": digest}
    models = logged_models(home, order_by=[key | dataset], filter_string=f"metrics.`{metric}` >= 0", datasets=[dataset])
    return [model.source_run_id for model in models]


def train_until_killed(home: Home, recipe: str, where: str) -> None:
    command = [sys.executable, "-c", TRAINING, str(home.path), json.dumps(flags(recipe)), where]
    root = Path(promotion.__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr


def configured(folder: Path, shop: Shop) -> Home:
    return Home(shop, settings(recipe(folder, "weak", WEAK)), settings(recipe(folder, "strong", STRONG)))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, mlflow_tables: Path) -> Home:
    """A shop whose raw features have ranked it; to be copied."""
    folder = tmp_path_factory.mktemp("drawn")
    home = configured(folder, draw(folder / "home"))
    (home.path / "mlflow").mkdir()
    shutil.copy(mlflow_tables, home.path / "mlflow" / "mlflow.db")
    rank(home)
    return home


@pytest.fixture(scope="module")
def served(drawn: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One with a weak champion in service; to be looked at, not to be changed."""
    home = copy_of(drawn, tmp_path_factory.mktemp("served"))
    put_in_service(home, home.weak)
    return home


@pytest.fixture
def home(served: Home, tmp_path: Path) -> Home:
    """A copy of it."""
    return copy_of(served, tmp_path)


def copy_of(home: Home, folder: Path) -> Home:
    shutil.copytree(home.path, folder / "home")
    return Home(Shop(folder / "home", products=home.shop.products), home.weak, home.strong)


def test_a_training_is_one_mlflow_run_with_scoreboard_gate_pictures_and_a_registered_model(served: Home) -> None:
    (run,) = runs(served)
    (model,) = serving.models(served.path)
    assert (run.info.run_id, run.info.status) == (model.run_id, "FINISHED")
    figures = run.data.metrics
    for name in ("random", "pixels", "HSV", "raw_backbone", "originals_recipe", "challenger"):
        assert f"{name}/level_2_precision_at_5" in figures and f"{name}/level_1_map_at_r" in figures
    assert figures["challenger/level_2_precision_at_5"] == pytest.approx(model.precision["2"])
    assert figures["challenger/level_2_precision_at_5"] > figures["raw_backbone/level_2_precision_at_5"]
    assert {"loss", "val_loss", "active_share", "positive_distance", "negative_distance", "learning_rate"} <= set(
        figures
    )
    assert run.data.params["data.digest"] == model.data_digest == run.inputs.dataset_inputs[0].dataset.digest
    assert run.data.tags["recsys.gate"] == "promoted"
    kept = {file.path for file in mlflow.MlflowClient(tracking_uri(served.path)).list_artifacts(model.run_id)}
    assert {"scoreboard.csv", "gate.csv", "tsne-before-after.png", "gained.png"} <= kept
    assert champion_in_mlflow(served) == model.registered


def test_a_model_in_mlflow_has_its_own_metrics_linked_to_the_held_out_products(served: Home) -> None:
    (model,), (logged,), (run,) = serving.models(served.path), logged_models(served), runs(served)
    assert logged.source_run_id == model.run_id and logged.params["recipe.digest"] == model.recipe_digest
    assert {(metric.dataset_name, metric.dataset_digest) for metric in logged.metrics} == {
        ("held-out products", model.data_digest)
    }
    metrics = {metric.key: metric.value for metric in logged.metrics}
    ranks, levels = (1, 5, 10), (1, 2)
    of_levels = [*(f"{name}_at_{k}" for name in ("precision", "recall") for k in ranks), "map_at_r"]
    assert {f"{name}/level_{level}" for name in of_levels for level in levels} < set(metrics)
    assert {"colour_at_5", "coverage_at_5", "hubness_at_5"} < set(metrics) and len(metrics) == len(logged.metrics)
    assert metrics["precision_at_5/level_2"] == run.data.metrics["challenger/level_2_precision_at_5"]
    evaluation = next(each for each in run.inputs.dataset_inputs if each.dataset.name == "held-out products")
    assert [tag.value for tag in evaluation.tags] == ["evaluation"]
    assert json.loads(evaluation.dataset.profile)["num_rows"] == int(run.data.params["data.held_out"])
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": REGISTERED, "version": 1}]


def test_mlflow_ranks_the_better_model_first_also_on_a_catalogue_that_grew(home: Home) -> None:
    (weak,) = serving.models(home.path)
    home.shop.add(9, 1, 1)
    strong = promotion.train(home.store, home.strong).model
    assert strong.data_digest != weak.data_digest and strong.against == weak.version
    for metric in ("precision_at_5/level_1", "precision_at_5/level_2"):
        assert ranked(home, metric, strong.data_digest) == [strong.run_id, weak.run_id]
        assert ranked(home, metric, weak.data_digest) == [weak.run_id]


def test_a_training_goes_on_when_the_champions_run_was_deleted_in_mlflow(home: Home) -> None:
    (weak,) = serving.models(home.path)
    mlflow.MlflowClient(tracking_uri(home.path)).delete_run(weak.run_id)
    strong = promotion.train(home.store, home.strong).model
    assert strong.promoted
    assert ranked(home, "precision_at_5/level_2", strong.data_digest)[0] == strong.run_id


def test_the_same_pictures_and_recipe_train_nothing(served: Home) -> None:
    again = promotion.train(served.store, served.weak, lambda epoch, figures: pytest.fail("it trained"))
    assert (again.new, again.waits) == (False, False)
    assert not promotion.wanted(served.store, served.weak) and promotion.wanted(served.store, served.strong)
    assert len(runs(served)) == 1


def test_a_challenger_trained_with_shuffled_categories_is_refused_and_the_champion_serves(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    champion, before = serving.champion(home.path, home.weak), recommended(home)
    train_embedder = store_training.train_embedder

    def train_shuffled(store: Store, configuration: Configuration, recipe: Any, rows: pd.DataFrame, *rest: Any) -> Any:
        paths = np.random.default_rng(0).permutation(rows["category_path"].to_numpy())
        return train_embedder(store, configuration, recipe, rows.assign(category_path=paths), *rest)

    monkeypatch.setattr(store_training, "train_embedder", train_shuffled)
    outcome = promotion.train(home.store, settings(recipe(tmp_path, "shuffled", STRONG, rate=4e-3)))
    assert not outcome.model.promoted and not outcome.waits
    assert "refused: worse at level 1" in outcome.model.reason and outcome.model.against == champion.version
    assert serving.champion(home.path, home.weak) == champion
    pd.testing.assert_frame_equal(recommended(home), before)
    assert champion_in_mlflow(home) == champion.registered != outcome.model.registered
    run = mlflow.MlflowClient(tracking_uri(home.path)).get_run(outcome.model.run_id)
    assert run.data.tags["recsys.gate"] == "refused" and run.data.metrics["gate/promoted"] == 0
    with pytest.raises(ModelError, match="refused: worse at level 1"):
        promotion.promote(home.store, home.weak, outcome.model.version)
    assert serving.champion(home.path, home.weak) == champion
    promotion.promote(home.store, home.weak, outcome.model.version, force=True)
    assert champion_in_mlflow(home) == outcome.model.registered
    assert promotion.roll_back(home.store, home.weak).model == champion


def test_a_better_one_is_promoted_and_a_roll_back_restores_every_recommendation(home: Home) -> None:
    weak, before = serving.champion(home.path, home.weak), recommended(home)
    product = before["product_id"].iloc[7]
    expected = recommend_product(home.store, home.weak, product).to_json()
    strong = put_in_service(home, home.strong)
    assert "promoted: better at level 2" in strong.reason and strong.against == weak.version
    assert serving.champion(home.path, home.strong) == strong
    assert champion_in_mlflow(home) == strong.registered
    assert not recommended(home)["visual"].equals(before["visual"])
    assert load_gallery(home.store, home.strong)[1].version == strong.version
    assert recommend_product(home.store, home.strong, product).to_json() != expected

    assert promotion.roll_back(home.store, home.strong).model == weak
    assert serving.champion(home.path, home.strong) == weak and champion_in_mlflow(home) == weak.registered
    pd.testing.assert_frame_equal(recommended(home), before, check_exact=True)
    assert recommend_product(home.store, home.strong, product).to_json() == expected
    assert promotion.train(home.store, home.strong).waits is False  # a rollback is deliberate

    promotion.roll_back(home.store, home.strong)  # to the raw backbone, the first of all
    assert serving.serving(home.path, home.strong).model is None and champion_in_mlflow(home) is None
    with pytest.raises(ModelError, match="nothing to roll back to"):
        promotion.roll_back(home.store, home.strong)
    assert promotion.promote(home.store, home.strong, strong.version) == strong
    assert champion_in_mlflow(home) == strong.registered


def test_a_roll_back_after_a_catalogue_update_ranks_what_came_since(home: Home) -> None:
    (new,) = home.shop.add(1, 0, 0)
    (shard,) = recommendations.missing(home.store, home.weak, None)
    assert new in shard.keys
    assert promotion.roll_back(home.store, home.weak).model is None
    assert new in set(recommended(home)["product_id"])
    assert recommendations.missing(home.store, home.weak, None) == []


def test_a_catalogue_that_changes_back_is_ranked_again(home: Home) -> None:
    """Prefect keeps results by the digest of a shard: what was done for the first ranking is not that of the third."""
    digests = []
    for price in (100.0, 9_000.0, 100.0, 9_000.0):
        home.shop.reprice("p0000", price)
        work = recommendations.missing(home.store, home.weak, None)
        assert len(work) <= 1
        for shard in work:
            digests.append(shard.digest)
            recommendations.recommend_shard(home.store, shard, home.weak, None)
    assert len(set(digests)) == len(digests) >= 3


def test_a_picture_is_embedded_once_a_model(home: Home) -> None:
    model = serving.champion(home.path, home.weak)
    assert ledger.missing(home.store, home.weak, model) == []
    home.shop.add(3, 1, 1)
    (shard,) = ledger.missing(home.store, home.weak, model)
    assert len(shard.keys) == 3
    assert ledger.embed_shard(home.store, shard, home.weak, model).images == 3
    assert ledger.missing(home.store, home.weak, model) == []
    assert ledger.missing(home.store, home.weak, None) == []


@pytest.mark.parametrize("version", ["nosuchversion", "../classifier", "", "x" * 500])
def test_a_version_that_is_none_is_refused(served: Home, version: str) -> None:
    with pytest.raises(ModelError, match="there is no embedding"):
        promotion.promote(served.store, served.weak, version)


def on_another_encoder(home: Home, configuration: Configuration, *, shuffled: bool = False) -> Configuration:
    """Return a configuration with another encoder, whose features the home has: the same, or of other pictures."""
    other = configuration.with_backbone("efficientnet_lite0", weights="imagenet", input_size=64)
    rows = home.store.read(features.table_name(configuration))
    order = np.random.default_rng(0).permutation(len(rows)) if shuffled else np.arange(len(rows))
    home.store.write(
        features.table_name(other), rows.set_column(0, rows.schema.field(0), rows["image_digest"].take(order))
    )
    return other


def change_record(home: Home, version: str, without: str = "", **fields: Any) -> None:
    """Change fields of a model's record, or remove one, as an older version had it."""
    record = asdict(serving.model(home.path, version)) | fields
    record.pop(without, None)
    records.write(home.path, {f"embedding/{version}": record})


def test_after_a_change_of_the_encoder_the_champion_serves_with_its_own(home: Home) -> None:
    (model,), before = serving.models(home.path), recommended(home)
    other = settings(home.weak.embedding.recipe, backbone={"input_size": 64, "batch_size": 7})
    assert model.encoder == {"name": "efficientnet_lite0", "weights": "imagenet", "input_size": 256}
    assert serving.champion(home.path, other) == model and promotion.wanted(home.store, other)
    seen = serving.seen_by(home.path, model, other)
    assert seen.backbone == other.backbone.model_copy(update={"input_size": 256})
    assert serving.encoders_in_use(home.path, other) == [other, seen]
    assert serving.encoders_in_use(home.path, home.weak) == [home.weak]
    assert "keeps serving with its own encoder, efficientnet_lite0" in str(serving.encoder_note(home.path, other))
    assert serving.encoder_note(home.path, home.weak) is None

    assert recommendations.missing(home.store, other, model) == []
    product = before["product_id"].iloc[7]
    expected = recommend_product(home.store, home.weak, product).to_json()
    assert recommend_product(home.store, other, product).to_json() == expected
    photo = np.random.default_rng(0).integers(0, 255, (1, 256, 256, 3), np.uint8)
    answers = [
        serving.describe(photo, home.path, serving.serving(home.path, each), each)[0] for each in (home.weak, other)
    ]
    np.testing.assert_array_equal(*answers)
    raw, histograms = features.describe(photo, other, home.path)  # of the configured encoder
    embed = photo_embedder(home.store, model, other)
    np.testing.assert_allclose(embed(photo, raw, histograms), answers[0], atol=1e-5)
    snapshot = SnapshotHolder(home.path, other).current()
    assert snapshot.serves.model == model and snapshot.stored_recommendations(snapshot.row(product)) is not None
    assert list(trained_models(home.store, other)) == [f"champion {model.version[:8]} on efficientnet_lite0"]


def test_the_commands_show_the_encoder_of_what_serves(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    (model,) = serving.models(home.path)
    bins = "hue_bins = 2\nsaturation_bins = 2\nvalue_bins = 2\n"
    (home.path / "recsys.toml").write_text(f"[colour]\n{bins}[backbone]\ninput_size = 64\n", encoding="utf-8")

    def printed(*command: str) -> str:
        assert execute([*command, "--home", str(home.path)]) == 0
        return capsys.readouterr().out

    serves = f"embedding {model.version}, which sees efficientnet_lite0"
    assert f"Serves: {serves}" in printed("models")
    listed = json.loads(printed("models", "--json"))
    assert "keeps serving with its own encoder" in listed["note"]
    assert listed["models"][0]["encoder"] == model.encoder and listed["models"][0]["serves"]
    assert json.loads(printed("status", "--json"))["serves"] == serves
    rows = json.loads(printed("backbones", "--no-rate", "--json"))
    assert [row["serves"] for row in rows] == [""] * (len(rows) - 1) + [f"embedding {model.version[:8]}"]
    assert json.loads(printed("models", "rollback", "--json")) == {
        "served": model.version,
        "serves": features.model_version(settings(backbone={"input_size": 64})),
    }


def test_a_worse_challenger_on_another_encoder_is_refused_and_a_better_one_can_be_rolled_back(home: Home) -> None:
    (weak,), before = serving.models(home.path), recommended(home)
    worse = on_another_encoder(home, home.weak, shuffled=True)
    refused = promotion.train(home.store, worse)
    assert (refused.waits, refused.model.against) == (False, weak.version)
    assert refused.model.reason.startswith("refused: worse at level 1")
    assert serving.champion(home.path, worse) == weak and not promotion.wanted(home.store, worse)

    better = on_another_encoder(home, home.strong)
    strong = put_in_service(home, better)
    assert strong.against == weak.version and strong.encoder["input_size"] == 64
    assert serving.encoders_in_use(home.path, better) == [better] and serving.encoder_note(home.path, better) is None
    assert promotion.roll_back(home.store, better).model == weak
    pd.testing.assert_frame_equal(recommended(home), before, check_exact=True)
    assert len(serving.encoders_in_use(home.path, better)) == 2

    (new,) = home.shop.add(1, 0, 0)  # without features of the other encoder
    assert promotion.promote(home.store, home.weak, strong.version) == strong
    assert new in set(recommended(home)["product_id"])
    assert serving.seen_by(home.path, strong, home.weak).backbone.input_size == 64


def test_the_record_of_an_older_version_has_the_encoder_of_its_features(home: Home) -> None:
    (model,) = serving.models(home.path)
    change_record(home, model.version, without="encoder")
    for configuration in (home.weak, home.weak.with_backbone("efficientnet_lite2")):
        assert serving.champion(home.path, configuration) == model
        assert serving.seen_by(home.path, model, configuration).backbone == home.weak.backbone


GONE = {"name": "gone/mine", "weights": "imagenet", "input_size": 256}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"backbone": "mine-0123abcd-hsv-print1", "encoder": {}}, "its record has no settings of the encoder"),
        ({"backbone": "mine-0123abcd-hsv-print1", "encoder": GONE}, "no folder of this path exists"),
        ({"backbone": "efficientnet_lite0-imagenet-256-changed-hsv-print1"}, "the files of today"),
        ({"backbone": backbones.version("hub:vit"), "encoder": GONE | {"name": "hub:vit"}}, "needs keras_hub to be"),
    ],
)
def test_without_its_encoder_the_champion_does_not_serve(
    home: Home, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], reason: str
) -> None:
    monkeypatch.setattr(hub_preset, "missing_packages", lambda: ["keras_hub"])
    (model,) = serving.models(home.path)
    change_record(home, model.version, **fields)
    assert serving.serving(home.path, home.weak).model is None
    assert serving.encoders_in_use(home.path, home.weak) == [home.weak]
    note = str(serving.encoder_note(home.path, home.weak))
    assert reason in note and note.endswith(f"The raw backbone {features.model_version(home.weak)} serves")
    with pytest.raises(ModelError, match=re.escape(reason)):
        promotion.promote(home.store, home.weak, model.version, force=True)


def test_with_other_histograms_the_champion_does_not_serve(home: Home) -> None:
    other = settings(home.weak.embedding.recipe, colour={"hue_bins": 4, "saturation_bins": 2, "value_bins": 2})
    assert serving.champion(home.path, other) is None
    assert "the section 'colour'" in str(serving.encoder_note(home.path, other))


def test_a_converted_preset_needs_no_extra(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_preset, "missing_packages", lambda: ["keras_hub"])
    (model,), version = serving.models(home.path), backbones.version("hub:vit")
    change_record(home, model.version, backbone=version, encoder=GONE | {"name": "hub:vit"})
    (features.backbones_folder(home.path) / version).mkdir(parents=True)
    assert serving.serving(home.path, home.weak).version == model.version


def test_a_shop_that_is_too_small_is_an_error_and_leaves_no_run(tmp_path: Path) -> None:
    small = configured(tmp_path, draw(tmp_path / "home", each=2))
    with pytest.raises(TrainingError, match="held out to judge it by, and it takes 10"):
        promotion.train(small.store, small.weak)
    assert not (small.path / "mlflow").exists()


def test_an_empty_shop_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="of 0 products"):
        promotion.train(Store(tmp_path / "home"), settings())


KILLS = [
    ("in the second epoch", 2),
    ("while it is logged", 0),
    ("before it is registered", 0),
    ("before it is recorded", 0),
]
"""Where a training is killed, and the number of epochs that are left."""


@pytest.mark.parametrize(("where", "left"), KILLS)
def test_a_killed_training_resumes_in_its_mlflow_run(home: Home, where: str, left: int) -> None:
    train_until_killed(home, home.strong.embedding.recipe, where)
    assert len(serving.models(home.path)) == 1
    (killed,) = [run for run in runs(home) if run.info.status == "RUNNING"]
    epochs: list[int] = []
    model = promotion.train(home.store, home.strong, lambda epoch, figures: epochs.append(epoch)).model
    assert model.run_id == killed.info.run_id and len(runs(home)) == 2
    assert epochs == list(range(STRONG + 1 - left, STRONG + 1))
    client = mlflow.MlflowClient(tracking_uri(home.path))
    assert client.get_run(model.run_id).info.status == "FINISHED"
    assert len(client.search_model_versions(f"name = '{REGISTERED}'")) == 2
    logged, _ = logged_models(home)
    assert logged.source_run_id == model.run_id and logged.status == "READY"
    assert len({metric.key for metric in logged.metrics}) == len(logged.metrics) > 0
    assert not (serving.folder(home.path) / model.version / "checkpoints").exists()


def test_a_damaged_model_is_an_error_and_is_trained_again(home: Home) -> None:
    (model,) = serving.models(home.path)
    (serving.folder(home.path) / model.version / "model" / "model.onnx").write_bytes(b"nothing of the kind")
    serving.loaded.cache_clear()
    with pytest.raises(TrainingError, match="damaged"):
        serving.loaded(str(home.path), model.version)

    class Trains(Exception):
        """It does."""

    def stop(epoch: int, figures: dict[str, float]) -> None:
        raise Trains

    with pytest.raises(Trains):
        promotion.train(home.store, home.weak, stop)
