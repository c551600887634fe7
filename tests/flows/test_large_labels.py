"""A flow splits large labels, logs the recall, and ranks by partitions on several threads."""

from __future__ import annotations

import shutil
from pathlib import Path

import mlflow
import pytest

from recsys.core.tracking import tracking_uri
from recsys.models.embedding.serving import serving
from recsys.ranking import partitions
from recsys.ranking.ann_index_building import EXPERIMENT
from recsys.ranking.outdated import candidates_table
from recsys.storage.store import Store
from sample_shop import SampleHost, SampleShop
from tests.flows.conftest import CONFIGURATION, Ran, running

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("one run of a shop")]


def test_a_run_splits_large_labels_and_logs_their_recall(
    ran: Ran, shop: SampleShop, host: SampleHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "SIZE", 2)
    monkeypatch.setattr(partitions, "FEWEST_SEARCHED", 1)
    home = shutil.copytree(ran.copy, tmp_path / "home")
    store, serves = Store(home), serving(home, CONFIGURATION)
    products = store.count(candidates_table(serves))
    store.drop(candidates_table(serves))  # so that all products are ranked again
    index = {"from_label": 6, "recall": 0.1}
    done = running(home)(shop.catalogue, stop_after="recommendations", index=index, recommend={"shard_size": 16})
    assert done["recommendations"] == store.count(candidates_table(serves)) == products
    splits = partitions.stored_splits(store, serves)
    assert splits and any(split.searched for split in splits)
    client = mlflow.MlflowClient(tracking_uri(home))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    logged = {run.info.run_name: run.data for run in client.search_runs([experiment.experiment_id])}
    assert {name: data.metrics["recall"] for name, data in logged.items()} == {
        split.figures["table"]: split.recall for split in splits
    }
    assert {data.params["kind"] for data in logged.values()} == {"partitions"}
    assert running(home)(shop.catalogue, stop_after="recommendations", index=index)["recommendations"] == 0
