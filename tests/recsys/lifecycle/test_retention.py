"""What `recsys clean` takes away, and above all what it leaves."""

import os
import time
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest

from recsys.core.configuration import Configuration, load
from recsys.lifecycle.retention import Leftover, leftovers, remove
from recsys.models import features
from recsys.models.classifier.registry import Classifier
from recsys.models.embedding import serving
from recsys.models.embedding.serving import Model, Pointer
from recsys.storage import records
from recsys.storage.schemas import schema_of
from recsys.storage.store import Store
from recsys.vision import backbones

pytestmark = pytest.mark.slow

CONFIGURATION = load(flags={"upkeep": {"models": 2, "classifiers": 1}}, environ={})
NOW = features.model_version(CONFIGURATION)
OTHER = "another-backbone-0f0f-hsv-print1"


def age(place: Path, days: float) -> None:
    then = time.time() - days * 86_400
    for each in [*place.rglob("*"), place]:
        os.utime(each, (then, then))


def embedding(home: Path, version: str, day: int, backbone: str = NOW) -> None:
    record = Model(
        version=version, recipe="default", recipe_digest="r", data_digest="d", sees=serving.SEES_FEATURES,
        backbone=backbone, size=8, trained_at=f"2026-01-{day:02}T00:00:00+00:00", run_id="run", registered="1",
        promoted=True, reason="", against=NOW,
    )  # fmt: skip
    records.write(home, {f"embedding/{version}": asdict(record)})
    (home / "embedding" / version / "model").mkdir(parents=True)
    (home / "embedding" / version / "model" / "weights").write_bytes(b"." * 1000)


def table(store: Store, name: str) -> None:
    row: dict[str, object] = {"product_id": "p", "image_digest": "p", "rank": 1, "embedding": [1.0], "histogram": [1.0]}
    schema = schema_of(name)
    store.write(name, pa.Table.from_pylist([{key: row.get(key) for key in schema.names}], schema=schema))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Six embeddings, of which e2 serves, and e1 and the raw backbone did before; e0 sees another's features."""
    made = Store(tmp_path / "home")
    table(made, "products")
    for number in range(6):
        embedding(made.home, f"e{number}", number + 1, OTHER if number == 0 else NOW)
        table(made, f"embeddings-e{number}")
        table(made, f"recommendations-e{number}")
    for version in (NOW, OTHER):
        table(made, f"features-{version}")
        table(made, f"recommendations-{version}")
    serving.point(made.home, Pointer("e2", ("e0", None, "e1")))
    for number in range(3):
        (made.home / "classifier" / f"c{number}").mkdir(parents=True)
        records.write(made.home, {f"classifier/c{number}": {}})
    current = Classifier("c0", "r", ("Pens",), 0.9, "run", "1")
    records.write(made.home, {"classifier/current": asdict(current)})
    return made


def names(found: list[Leftover], kind: str) -> set[str]:
    return {each.name for each in found if each.kind == kind}


def cleaned(store: Store, configuration: Configuration = CONFIGURATION) -> list[Leftover]:
    found = leftovers(store, configuration)
    remove(store, found)
    assert leftovers(store, configuration) == []  # a second time there is nothing to clean
    return found


def test_the_serving_model_rollback_targets_and_the_newest_models_are_kept(store: Store) -> None:
    found = cleaned(store)
    assert names(found, "trained embedding") == {"e0", "e3"}
    assert {model.version for model in serving.models(store.home)} == {"e1", "e2", "e4", "e5"}
    assert serving.pointer(store.home) == Pointer("e2", (None, "e1"))  # in whose place e0 would be gone back to
    left = {f"{kind}-e{number}" for kind in ("embeddings", "recommendations") for number in (1, 2, 4, 5)}
    assert set(store.tables()) == {"products", "records", *left, f"features-{NOW}", f"recommendations-{NOW}"}


def test_tables_of_another_backbone_stay_while_a_model_needs_them(store: Store) -> None:
    wide = load(flags={"upkeep": {"models": 6}}, environ={})
    assert not names(leftovers(store, wide), "table")
    serving.point(store.home, Pointer("e0"))
    cleaned(store)
    assert {f"features-{OTHER}", f"recommendations-{OTHER}", "embeddings-e0"} <= set(store.tables())


def test_backbones_that_no_model_needs_are_removed(store: Store) -> None:
    folder = store.home / "backbones"
    folder.mkdir()
    configured = backbones.version("efficientnet_lite0")
    for version in (configured, "resnet50-imagenet-256-0123abcd"):
        (folder / f"{version}.onnx").write_bytes(b"a model")
    assert names(cleaned(store), "backbone") == {"resnet50-imagenet-256-0123abcd.onnx"}
    assert [file.stem for file in folder.iterdir()] == [configured]


def test_the_current_classifier_is_kept_even_if_newer_ones_exist(store: Store) -> None:
    assert names(cleaned(store), "trained classifier") == {"c1"}


def test_a_waiting_challenger_is_kept(store: Store) -> None:
    records.write(store.home, {"embedding/challenger": {"version": "e3"}})
    assert names(cleaned(store), "trained embedding") == {"e0"}


def test_an_interrupted_training_is_removed_only_after_the_configured_days(store: Store) -> None:
    for name, days in (("fresh", 1.0), ("old", 31.0)):
        (store.home / "embedding" / name / "checkpoints").mkdir(parents=True)
        table(store, f"embeddings-{name}")
        age(store.home / "embedding" / name, days)
    found = cleaned(store)
    assert names(found, "training of an embedding") == {"old"}
    assert store.exists("embeddings-fresh") and not store.exists("embeddings-old")


def test_old_results_are_removed_except_the_newest_of_each_task_which_a_rerun_requests(store: Store) -> None:
    folder = store.home / "prefect" / "results"
    folder.mkdir(parents=True)
    hexed = "0123456789abcdef" * 2
    kept = [f"publish_results-{hexed}", f"evaluate_embedding-{hexed}", "9" * 32]
    for place, days in [*((name, 40.0 - at) for at, name in enumerate(kept)), (f"publish_results-{hexed[::-1]}", 50.0)]:
        (folder / place).write_text("{}")
        age(folder / place, days)
    (folder / "3b241101-e2bb-4255-8caf-4136c566a962").write_text("{}")  # of a flow, new
    assert names(cleaned(store), "Prefect result") == {"9" * 32, f"publish_results-{hexed[::-1]}"}


def test_a_long_log_keeps_its_end_and_unfinished_files_are_removed(store: Store) -> None:
    short = load(flags={"upkeep": {"models": 2, "log_bytes": 100}}, environ={})
    for place in ("logs", "scratch/catalogue-x"):
        (store.home / place).mkdir(parents=True)
    log = store.home / "logs" / "prefect.log"
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    (store.home / "scratch" / "catalogue-x" / "rows.csv").write_text("a")
    records.write(store.home, {"index/embeddings-e3": {}})
    (store.home / "home.part").write_text("{")
    with log.open("a") as server:  # which goes on writing
        found = cleaned(store, short)
        server.write("the last\n")
    assert log.read_text().startswith("line 9") and log.read_text().endswith("line 999\nthe last\n")
    assert names(found, "unfinished file") == {"catalogue-x", "home.part"}
    assert names(found, "index") == {"embeddings-e3"}


def test_the_reported_bytes_are_freed(store: Store) -> None:
    from recsys.storage.disk_use import size_of

    def size() -> int:
        return size_of(store.home) - size_of(store.home / "store" / "records.lance")

    before = size()
    found = cleaned(store)
    assert before - size() == sum(each.bytes for each in found)
    assert serving.pointer(store.home).version == "e2"
