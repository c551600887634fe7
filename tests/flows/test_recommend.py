"""The main flow on a real Prefect server, a real image host, a real MLflow store."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import uuid
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from flows import Stage
from recsys.core.configuration import load
from recsys.core.errors import NoImagesError, PendingImagesError
from recsys.models.embedding.serving import serving
from recsys.reporting.funnel import count_funnel
from recsys.reporting.publication import report_path
from recsys.storage.store import Store
from sample_shop import SampleHost, SampleShop
from tests.flows.conftest import CONFIGURATION, FLAGS, ROOT, Ran, Run, recorded, running

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("one run of a shop")]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that does not exist yet."""
    return tmp_path / "home"


@pytest.fixture
def run(prefect_url: str, home: Path) -> Run:
    """Run the flow on the home."""
    return running(home)


@pytest.fixture
def as_ran(ran: Ran, home: Path) -> dict[str, int]:
    """Copy a home, and return what was done there; Prefect's cache treats the copy as another home."""
    shutil.copytree(ran.copy, home)
    mark = home / "home.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"id": uuid.uuid4().hex}))
    return ran.done


def mlflow_runs(home: Path) -> int:
    with sqlite3.connect(home / "mlflow" / "mlflow.db") as database:
        return int(database.execute("SELECT count(*) FROM runs").fetchone()[0])


def test_a_catalogue_becomes_recommendations_and_a_rerun_does_nothing_twice(
    ran: Ran, shop: SampleShop, host: SampleHost, tmp_path: Path
) -> None:
    home, done, run, asked = ran.home, ran.done, running(ran.home), 0  # of the host that is there now
    assert list(done) == list(get_args(Stage)) and ran.asked >= done["images"]
    store = Store(home)
    counts = count_funnel(store, CONFIGURATION)
    assert done["catalogue"] >= counts.products and done["images"] == counts.products
    assert counts.with_image + counts.broken == counts.products and counts.broken > 0
    assert counts.recommended == counts.with_image > 40
    serves = serving(home, CONFIGURATION)
    neighbours = store.read(serves.recommendations, ["product_id", "neighbour_id", "rank", "total"]).to_pandas()
    assert (neighbours["product_id"] != neighbours["neighbour_id"]).all()
    lists = neighbours.groupby("product_id")["rank"].apply(sorted)
    assert all(ranks == list(range(1, len(ranks) + 1)) for ranks in lists) and lists.map(len).max() == 9
    assert report_path(home).stat().st_size > 10_000
    assert mlflow_runs(home) == 3  # the trainings of classifier and embedding, and the run

    versions = {name: store.version(name) for name in ("products", "images", serves.recommendations)}
    assert run(shop.catalogue) == dict.fromkeys(done, 0)
    assert sum(host.stats().values()) == asked
    assert {name: store.version(name) for name in versions} == versions
    assert mlflow_runs(home) == 3  # the trainings of classifier and embedding, and the run

    report_path(home).unlink()
    assert run(shop.catalogue) == dict.fromkeys(done, 0) | {"results": 1}
    assert report_path(home).exists()
    assert sum(host.stats().values()) == asked

    changed = pd.read_csv(shop.catalogue, dtype=str)
    changed.loc[changed["discounted_price"].notna().idxmax(), "discounted_price"] = "123456"
    changed.to_csv(tmp_path / "changed.csv", index=False)
    again = run(tmp_path / "changed.csv")
    assert (again["catalogue"], again["images"], again["features"], again["embeddings"]) == (1, 0, 0, 0)
    assert again["recommendations"] > 0 and sum(host.stats().values()) == asked


def test_stages_are_named_in_prefect_and_leave_artifacts(
    run: Run, shop: SampleShop, host: SampleHost, home: Path
) -> None:
    run(shop.catalogue, stop_after="images")
    tasks, found = recorded(home)
    named = {task.name for task in tasks}
    assert {"labels: what is missing", "images 1/4", "images 4/4", "images: broken links by cause"} <= named
    assert {"class-balance", "broken-links", "broken-links-by-host"} <= set(found)
    progress = found["images-progress"]
    assert progress.type == "progress" and progress.data == 100
    counts = count_funnel(Store(home), CONFIGURATION)
    description = f"images: 4 of 4 shards, {counts.with_image} ok, {counts.broken} broken"
    assert progress.description == description


def test_a_run_stops_after_the_requested_stage(run: Run, shop: SampleShop, home: Path) -> None:
    assert list(run(shop.catalogue, stop_after="catalogue")) == ["catalogue"]
    assert Store(home).count("images") == 0


def test_images_of_a_host_that_is_down_stay_pending_and_only_they_are_requested_later(
    run: Run, shop: SampleShop, home: Path
) -> None:
    with pytest.raises(PendingImagesError, match="pending"):
        run(shop.catalogue)
    counts = count_funnel(Store(home), CONFIGURATION)
    assert counts.pending == counts.products and counts.broken == 0
    with SampleHost(shop.folder, port=int(shop.base_url.rsplit(":", 1)[1])):
        run(shop.catalogue, stop_after="images")
    counts = count_funnel(Store(home), CONFIGURATION)
    assert counts.pending == 0 and counts.with_image > 40


def test_a_catalogue_with_only_broken_urls_is_an_error(
    run: Run, shop: SampleShop, host: SampleHost, home: Path, tmp_path: Path
) -> None:
    rows = pd.read_csv(shop.catalogue, dtype=str).dropna(subset=["uniq_id"]).drop_duplicates("uniq_id")
    rows["image"] = [f'["{host.url}/images/nowhere-{n}.jpg"]' for n in range(len(rows))]
    rows.to_csv(tmp_path / "broken.csv", index=False)
    with pytest.raises(NoImagesError, match="http_404"):
        run(tmp_path / "broken.csv")
    assert count_funnel(Store(home), CONFIGURATION).broken == len(rows)


def test_further_photos_are_fetched_on_request_and_change_no_recommendation(
    as_ran: dict[str, int], run: Run, shop: SampleShop, host: SampleHost, home: Path
) -> None:
    store = Store(home)
    before = store.read(serving(home, CONFIGURATION).recommendations).to_pandas()
    several = FLAGS["images"] | {"views": 3}
    done = run(shop.catalogue, stop_after="recommendations", images=several)
    further = store.read("views", ["product_id", "status"]).to_pandas()
    assert done["images"] == further["product_id"].nunique() > 10
    assert sum(host.stats().values()) >= len(further)
    assert done["features"] > 10 and done["recommendations"] == 0
    pd.testing.assert_frame_equal(store.read(serving(home, CONFIGURATION).recommendations).to_pandas(), before)
    assert run(shop.catalogue, stop_after="recommendations", images=several) == dict.fromkeys(done, 0)


def test_another_weight_re_ranks_without_new_features(
    as_ran: dict[str, int], run: Run, shop: SampleShop, host: SampleHost, home: Path
) -> None:
    first = {stage: count for stage, count in as_ran.items() if stage != "results"}
    again = run(shop.catalogue, stop_after="recommendations", recommend={"visual_weight": 0, "price_weight": 0})
    assert again == dict.fromkeys(first, 0) | {"recommendations": first["recommendations"]}
    totals = Store(home).read(serving(home, CONFIGURATION).recommendations, ["colour", "total"]).to_pandas()
    pd.testing.assert_series_equal(totals["colour"], totals["total"], check_names=False, atol=1e-6)


def test_the_configuration_of_the_home_is_used(run: Run, shop: SampleShop, home: Path) -> None:
    Store(home)
    (home / "recsys.toml").write_text('[labels.merge]\nEverything = ["Clothing", "Watches"]\n')
    run(shop.catalogue, stop_after="catalogue", labels={"merge_coverage": 0})
    assert load(home).labels.merge == {"Everything": ("Clothing", "Watches")}
    labels = set(Store(home).read("labels", ["label"])["label"].to_pylist())
    assert labels == {"Everything", None}


ARGUMENTS = """
import sys
from pathlib import Path

home, catalogue, photo = map(Path, sys.argv[1:])
"""
IMPORTED = """
imported = {"keras", "tensorflow", "jax", "torch"} & set(sys.modules)
assert not imported, imported
"""
REFRESH = """
from tests.flows.conftest import running
assert running(home)(catalogue)["recommendations"] > 0
"""
QUESTIONS = """
from recsys.core.configuration import load
from recsys.ranking.single_query import recommend_photo
from recsys.service.answers import answer_for_photo
from recsys.service.snapshot import NO_FILTERS, SimilarOptions, load_snapshot
from recsys.storage.store import Store
from tests.flows.conftest import FLAGS

configuration = load(home, FLAGS, environ={})
assert len(recommend_photo(Store(home), configuration, photo).items)
snapshot = load_snapshot(home, configuration, 1)
options = SimilarOptions(configuration.recommend, NO_FILTERS)
assert b"recommendations" in answer_for_photo(snapshot, photo.read_bytes(), None, options)
"""


@pytest.mark.parametrize("code", [REFRESH, QUESTIONS], ids=["a refresh", "questions"])
def test_a_refresh_and_questions_import_no_keras(
    as_ran: dict[str, int], home: Path, shop: SampleShop, host: SampleHost, tmp_path: Path, code: str
) -> None:
    catalogue = pd.read_csv(shop.catalogue)
    assert catalogue["discounted_price"].iloc[0] > 0
    catalogue.loc[catalogue.index[:3], "discounted_price"] *= 20
    catalogue.iloc[:-3].to_csv(tmp_path / "changed.csv", index=False)
    photo = next((shop.folder / "images").glob("*.jpg"))
    command = [sys.executable, "-c", ARGUMENTS + code + IMPORTED, str(home), str(tmp_path / "changed.csv"), str(photo)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
