"""The command line: one-line errors, documented exit codes, an intact store."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import typer

from cli.servers import free_port
from flows import Stage
from recsys.core.configuration import load
from recsys.core.digests import digest
from recsys.ingest.catalogue.intake import take_in
from recsys.models import features
from recsys.models.embedding.serving import Serving
from recsys.ranking import recommendations
from recsys.storage import records
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store
from sample_shop import SampleHost, SampleShop
from tests.waiting import wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]

RECSYS = Path(sys.executable).with_name("recsys")
QUICK = {
    "RECSYS_IMAGES__TIMEOUT_S": "1",
    "RECSYS_IMAGES__BACKOFF_S": "0.05",
    "RECSYS_IMAGES__ALLOW_HOSTS": '["127.0.0.1"]',
    "RECSYS_WORKFLOW__RETRIES": "0",
    "RECSYS_REPORT__GRIDS": "3",
}
Recsys = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def recsys(prefect_url: str, tmp_path: Path) -> Recsys:
    """Run a command in its own process, on its own home."""

    def run(*arguments: str | Path, home: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | QUICK | {"RECSYS_HOME": str(home or tmp_path / "home"), "COLUMNS": "100"} | environ
        command = [str(RECSYS), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=240, cwd=tmp_path)

    return run


def fails(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Assert that a command failed as documented: its code, one error line with these words, no traceback."""
    assert done.returncode == code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and done.stderr.rstrip().endswith(errors[0]), done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    for word in words:
        assert word in errors[0]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, shop: SampleShop) -> Path:
    """A home with everything that queries need, with random features."""
    home = tmp_path_factory.mktemp("filled") / "home"
    store, configuration = Store(home), load(environ={})
    take_in(store, str(shop.catalogue), configuration, pd.Timestamp.now("UTC").to_pydatetime())
    products = store.read("products", ["product_id", "image_urls"]).to_pylist()
    broken, *shown = [product["product_id"] for product in products]
    images = [{"product_id": key, "status": "ok", "image_digest": key} for key in shown]
    images += [{"product_id": broken, "status": "broken", "cause": "http_404", "url": "http://shop.example/x.jpg"}]
    urls = {product["product_id"]: digest(product["image_urls"]) for product in products}
    images = [row | {"urls_digest": urls[row["product_id"]]} for row in images]
    store.write("images", pa.Table.from_pylist(images, schema=SCHEMAS["images"]))
    rng = np.random.default_rng(0)
    vectors = [rng.random((len(shown), size)).astype(np.float32) for size in (1280, 768)]
    vectors[0] /= np.linalg.norm(vectors[0], axis=1, keepdims=True)
    vectors[1] /= vectors[1].sum(axis=1, keepdims=True)
    store.write(features.table_name(configuration), features.rows_of(shown, *vectors))
    return home


def some_product(home: Path, row: int = 5) -> str:
    return str(Store(home, read_only=True).read("products", ["product_id"])["product_id"][row])


# --- asking -----------------------------------------------------------------------------------------------------------


def test_recommend_prints_the_top_five_with_their_scores(recsys: Recsys, filled: Path) -> None:
    product = some_product(filled)
    shown = recsys("recommend", product, home=filled)
    assert shown.returncode == 0 and "price level" in shown.stdout
    result = json.loads(recsys("recommend", product, "--json", "--top", "3", home=filled).stdout)
    assert result["query"]["product_id"] == product
    assert [item["rank"] for item in result["recommendations"]] == [1, 2, 3]
    for item in result["recommendations"]:
        assert item["product_id"] != product and item["product_id"] in shown.stdout
        total = 2 * item["visual"] + item["colour"] + 0.5 * item["price_score"]
        assert item["total"] == pytest.approx(total, abs=1e-4)
        assert item["why"].endswith(("price level", "lower", "higher", "not compared"))
    result = json.loads(recsys("recommend", product, "--json", "--rule", "original", home=filled).stdout)
    for item in result["recommendations"]:
        assert item["total"] == pytest.approx(item["colour"] + item["price_score"], abs=1e-4)


def test_the_weights_decide_the_order(recsys: Recsys, filled: Path) -> None:
    weights = ("--visual-weight", "0", "--colour-weight", "0", "--price-weight", "3")
    arguments = ("recommend", some_product(filled), "--json", *weights)
    items = json.loads(recsys(*arguments, home=filled).stdout)["recommendations"]
    assert [item["total"] for item in items] == pytest.approx([3 * item["price_score"] for item in items])


def test_queries_write_nothing(recsys: Recsys, filled: Path) -> None:
    def state() -> dict[str, float]:
        return {str(path): path.stat().st_mtime for path in filled.rglob("*")}

    before = state()
    assert recsys("recommend", some_product(filled), home=filled).returncode == 0
    assert recsys("status", home=filled).returncode == 0
    assert state() == before


def test_clean_lists_leftovers_then_removes_them_and_then_finds_none(
    recsys: Recsys, filled: Path, tmp_path: Path
) -> None:
    home = shutil.copytree(filled, tmp_path / "own")
    (home / "scratch").mkdir(exist_ok=True)
    left = home / "scratch" / "half-a-download"
    left.write_bytes(b"x" * 4_096)
    result = json.loads(recsys("clean", "--dry-run", "--json", home=home).stdout)
    assert [(each["name"], each["bytes"]) for each in result["leftovers"]] == [(left.name, 4_096)] and left.exists()
    assert left.name in recsys("clean", home=home).stdout and not left.exists()
    assert "nothing to clean" in recsys("clean", home=home).stdout
    assert Store(home).count("products") == Store(filled).count("products")


@pytest.mark.parametrize("words", [("retry",), ("train",)])
def test_commands_without_a_shop_are_an_error(recsys: Recsys, tmp_path: Path, words: tuple[str, ...]) -> None:
    """The error comes at once: no server is started and no home created."""
    fails(recsys(*words, home=tmp_path / "nowhere"), 5, "holds no shop yet", "recsys run --catalogue")
    assert not (tmp_path / "nowhere").exists()


def test_a_wrong_query_is_an_error_on_one_line(recsys: Recsys, filled: Path, tmp_path: Path) -> None:
    product = some_product(filled)
    (tmp_path / "text.jpg").write_text("this is no picture")
    fails(recsys("recommend", "missing", home=filled), 6, "'missing' is not in the catalogue")
    fails(recsys("recommend", some_product(filled, 0), home=filled), 6, "has no picture", "http_404")
    fails(recsys("recommend", "--image", tmp_path / "text.jpg", home=filled), 7, "text.jpg")
    fails(recsys("recommend", "--image", tmp_path / "nowhere.jpg", home=filled), 7, "nowhere.jpg")
    fails(recsys("recommend", "--image", tmp_path, home=filled), 7, "is a folder")
    fails(recsys("recommend", product, "--top", "0", home=filled), 2, "--top")
    fails(recsys("recommend", product, "--price-weight", "-1", home=filled), 2, "--price-weight")
    fails(recsys("recommend", product, "--top", "30", "--filter", "20", home=filled), 3, "filter (20)", "top (30)")
    fails(recsys("recommend", home=filled), 2, "product id or a photo")
    fails(recsys("recommend", product, home=tmp_path / "nowhere"), 5, "holds no shop yet")
    fails(recsys("recommend", product, home=filled, RECSYS_BACKBONE__WEIGHTS="/none.h5"), 8, "/none.h5")
    fails(recsys("status", home=filled, RECSYS_IMAGES__TIMOUT_S="1"), 3, "RECSYS_IMAGES__TIMOUT_S")
    fails(recsys("frobnicate"), 2, "frobnicate")


def test_a_catalogue_cannot_control_the_terminal(recsys: Recsys, filled: Path, tmp_path: Path) -> None:
    store, product = Store(filled), some_product(filled)
    row = store.read("products", where=f"product_id = '{product}'")
    at = row.schema.get_field_index("name")
    hostile = pa.array(["\x1b]0;owned\x07\x1b[2J[bold]name[/bold]"])
    store.write("products", row.set_column(at, row.schema.field(at), hostile))
    shown = recsys("recommend", product, home=filled).stdout
    assert "\x1b]0" not in shown and "\x07" not in shown and "[bold]name[/bold]" in shown


def test_export_writes_whole_files_only(recsys: Recsys, filled: Path, tmp_path: Path) -> None:
    fails(recsys("export", "--out", tmp_path / "x.csv", home=filled), 12, "no recommendations yet")
    fails(recsys("export", "--out", tmp_path / "x.doc", home=filled), 12, ".csv, .jsonl, .parquet")
    assert not list(tmp_path.glob("*.csv"))


def test_export_writes_every_recommendation(recsys: Recsys, filled: Path, tmp_path: Path) -> None:
    home = tmp_path / "copy"
    shutil.copytree(filled, home)
    store, configuration = Store(home), load(environ={})
    for shard in recommendations.missing(store, configuration, None):
        recommendations.recommend_shard(store, shard, configuration, None)
    readers = {"csv": pd.read_csv, "jsonl": lambda path: pd.read_json(path, lines=True), "parquet": pd.read_parquet}
    for suffix, read in readers.items():
        out = tmp_path / "out" / f"all.{suffix}"
        assert recsys("export", "--out", out, home=home).returncode == 0
        rows = read(out)
        assert len(rows) == store.count(Serving.of(None, configuration).recommendations) > 100
        assert {"product_id", "rank", "neighbour_id", "visual", "colour", "price", "total"} <= set(rows.columns)
        assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []


def test_a_shop_without_models_is_served_by_the_raw_backbone(recsys: Recsys, filled: Path) -> None:
    shown = recsys("models", home=filled)
    assert shown.returncode == 0 and "Serves: the raw backbone, efficientnet_lite0" in shown.stdout
    result = json.loads(recsys("models", "--json", home=filled).stdout)
    assert result["models"] == result["before"] == [] and result["serves"] == features.model_version(load(environ={}))
    fails(recsys("models", "rollback", home=filled), 16, "nothing to roll back to")
    fails(recsys("models", "promote", "0123456789abcdef", home=filled), 16, "there is no embedding '0123456789abcdef'")
    records.write(filled, {"embedding/champion": {"before": 5}})
    fails(recsys("recommend", some_product(filled), home=filled), 16, "record 'embedding/champion'", "is damaged")
    records.write(filled, {}, delete=["embedding/champion"])


def test_a_recipe_needs_the_name_of_a_model(recsys: Recsys, tmp_path: Path) -> None:
    fails(recsys("train", "--recipe", "default"), 2, "name the model of the recipe")
    fails(recsys("train", "everything"), 2, "classifier")
    fails(
        recsys("train", "embedding", "--recipe", "nosuch"), 3, "embedding.recipe: there is no recipe or file 'nosuch'"
    )
    assert not (tmp_path / "home").exists()


def test_config_shows_the_source_of_each_value(recsys: Recsys, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "recsys.toml").write_text("[recommend]\ntop = 7\n")
    values = json.loads(recsys("config", "--json").stdout)
    assert values["recommend.top"] == {"value": 7, "source": str(tmp_path / "home" / "recsys.toml")}
    assert values["images.timeout_s"] == {"value": 1.0, "source": "environment"}
    assert values["tsne.perplexity"] == {"value": 40.0, "source": "default"}


def test_help_explains_every_command(recsys: Recsys) -> None:
    top = recsys("--help").stdout
    for command in ("demo", "run", "status", "recommend", "export", "sample", "serve-sample", "ui", "notify", "config"):
        assert command in top
        assert recsys(command, "--help").returncode == 0
    assert "Exit codes" in top


def test_help_shows_text_in_brackets() -> None:
    """Rich would treat it as markup."""
    from cli.app import app

    def texts(command: Any) -> Iterator[str]:
        yield command.help or ""
        yield from (getattr(option, "help", None) or "" for option in command.params)
        for each in getattr(command, "commands", {}).values():
            yield from texts(each)

    taken = [tag for text in texts(typer.main.get_command(app)) for tag in re.findall(r"(?<!\\)\[/?[a-z][^]]*]", text)]
    assert taken == []


# --- running ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nowhere.csv", None, ["nowhere.csv", "does not exist"]),
        ("folder", "", ["folder", "directory"]),
        ("empty.csv", b"", ["empty.csv", "empty"]),
        ("header.csv", b"uniq_id,product_name,image,product_category_tree\n", ["header.csv", "no products"]),
        (
            "column.csv",
            b"uniq_id,product_name,product_category_tree\n",
            ["no column 'image'", "catalogue.columns.images"],
        ),
        ("binary.csv", bytes(range(256)) * 40, ["binary.csv"]),
    ],
)
def test_an_unusable_catalogue_is_refused(
    recsys: Recsys, tmp_path: Path, name: str, content: bytes | str | None, words: list[str]
) -> None:
    if content == "":
        (tmp_path / name).mkdir()
    elif isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    fails(recsys("run", "--catalogue", tmp_path / name), 4, *words)


def test_a_refused_catalogue_leaves_the_store_unchanged(recsys: Recsys, shop: SampleShop, tmp_path: Path) -> None:
    packed = tmp_path / "catalogue.csv.gz"
    packed.write_bytes(gzip.compress(shop.catalogue.read_bytes()))
    done = recsys("run", "--catalogue", packed, "--stop-after", "catalogue", "--json")
    before = json.loads(done.stdout)["funnel"]
    assert before["products"] > 50
    bad = pd.read_csv(shop.catalogue, dtype=str)
    bad["discounted_price"] = "expensive"
    bad.to_csv(tmp_path / "bad.csv", index=False)
    fails(recsys("run", "--catalogue", tmp_path / "bad.csv"), 4, "discounted_price", "line 2")
    assert json.loads(recsys("status", "--json").stdout)["funnel"] == before


def test_a_catalogue_with_only_broken_urls_is_an_error(recsys: Recsys, shop: SampleShop, host: SampleHost) -> None:
    rows = pd.read_csv(shop.catalogue, dtype=str).dropna(subset=["uniq_id", "image"])
    rows["image"] = f'["{host.url}/images/none.jpg"]'
    broken = Path(shop.folder).parent / "broken.csv"
    rows.to_csv(broken, index=False)
    fails(recsys("run", "--catalogue", broken), 10, "http_404", "none is usable")


def test_a_host_that_is_down_leaves_everything_pending(recsys: Recsys, shop: SampleShop) -> None:
    fails(recsys("run", "--catalogue", shop.catalogue), 11, "pending", "run again")


def test_a_home_that_cannot_be_used_is_refused(recsys: Recsys, shop: SampleShop, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "home.json").write_text('{"format": 99, "id": "x"}')
    fails(recsys("run", "--catalogue", shop.catalogue, home=newer), 5, "newer version")
    fails(recsys("run", "--catalogue", shop.catalogue, home=Path("/proc/home")), 5, "/proc/home")
    fails(recsys("status", home=newer), 5, "newer version")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A separate disk of 160 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_read_only_disk_is_refused_for_runs_but_queries_work(
    recsys: Recsys, filled: Path, small_disk: Path, shop: SampleShop
) -> None:
    subprocess.run(["cp", "-r", str(filled), str(small_disk / "home")], check=True)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    refused = recsys("run", "--catalogue", shop.catalogue, home=small_disk / "home")
    fails(refused, 5, "cannot be written to")
    assert recsys("recommend", some_product(filled), home=small_disk / "home").returncode == 0


def test_a_nearly_full_disk_is_refused_at_once(recsys: Recsys, small_disk: Path, shop: SampleShop) -> None:
    (small_disk / "fill").write_bytes(bytes(100 << 20))
    fails(recsys("run", "--catalogue", shop.catalogue, home=small_disk / "home"), 5, "MB free")


@pytest.mark.parametrize("stage", ["images", "features"])
def test_a_disk_that_fills_up_keeps_what_was_committed(
    recsys: Recsys, small_disk: Path, shop: SampleShop, host: SampleHost, stage: str
) -> None:
    home = small_disk / "home"

    def fill_when_the_stage_begins() -> None:
        while not list((home / "store").glob(f"{stage}*.lance")):
            time.sleep(0.02)
        with (small_disk / "fill").open("wb") as file:
            while True:
                try:
                    file.write(bytes(1 << 20))
                    file.flush()
                except OSError:
                    return

    threading.Thread(target=fill_when_the_stage_begins, daemon=True).start()
    fails(
        recsys("run", "--catalogue", shop.catalogue, home=home, RECSYS_IMAGES__SHARD_SIZE="8"), 5, "full", "run again"
    )
    kept: dict[str, Any] = json.loads(recsys("status", "--json", home=home).stdout)["funnel"]
    assert kept["products"] > 50
    (small_disk / "fill").unlink()
    assert recsys("run", "--catalogue", shop.catalogue, "--stop-after", "images", home=home).returncode == 0
    assert json.loads(recsys("status", "--json", home=home).stdout)["funnel"]["with_image"] > 40


def test_a_run_can_stop_after_each_stage_of_the_process(recsys: Recsys) -> None:
    fails(recsys("run", "--catalogue", "any.csv", "--stop-after", "nowhere"), 2, "'nowhere'", *get_args(Stage))


@contextmanager
def ui(home: Path, log: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], list[str]]]:
    """Start `recsys ui` over a home at ports of its own, and return it with its addresses once it answers."""
    ports = [text for name in ("prefect", "mlflow", "serve") for text in (f"--{name}-port", str(free_port()))]
    free = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [str(RECSYS), "ui", "--home", str(home), *ports, *options]
    with log.open("w") as output:
        running = subprocess.Popen(command, stdout=output, stderr=output, env=free | {"COLUMNS": "200"})
    try:
        wait_for(
            lambda: "Ctrl-C stops" in log.read_text() or running.poll() is not None,
            180,
            pause_s=0.2,
            message=log.read_text,
        )
        yield running, re.findall(r"http://127\.0\.0\.1:\d+", log.read_text())
    finally:
        running.terminate()
        running.wait(60)


@pytest.fixture
def home_with_servers(filled: Path, prefect_database: Path, tmp_path: Path) -> Path:
    """A filled home with a migrated Prefect database."""
    home = shutil.copytree(filled, tmp_path / "home")
    (home / "prefect").mkdir(exist_ok=True)
    shutil.copy(prefect_database, home / "prefect")
    return home


def test_all_servers_of_a_home_start_with_its_deployments_and_stop_together(
    tmp_path: Path, home_with_servers: Path, shop: SampleShop
) -> None:
    with ui(home_with_servers, tmp_path / "ui.log") as (running, urls):
        assert len(urls) == 4, (tmp_path / "ui.log").read_text()
        for url, path in zip(urls, ("/api/health", "/health", "/health", "/health"), strict=True):
            with urllib.request.urlopen(url + path) as answer:
                assert answer.status == 200
        query = urllib.request.Request(
            f"{urls[0]}/api/deployments/filter", b"{}", {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(query) as answer:
            deployments = {each["name"]: each for each in json.load(answer)}
        assert deployments.keys() == {"recommend", "refresh", "retrain", "fine-tune", "recheck", "scrape"}
        refresh = deployments["refresh"]
        assert refresh["parameters"] == {"home": str(home_with_servers), "catalogue": str(shop.catalogue)}
        assert not any(schedule["active"] for each in deployments.values() for schedule in each["schedules"])
        running.terminate()  # a service manager's stop is a Ctrl-C
        assert running.wait(60) == 0
    for url in urls:
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(url)


def test_a_configured_server_that_does_not_answer_is_an_error_with_the_reason(
    recsys: Recsys, shop: SampleShop, prefect_url: str
) -> None:
    run = ("run", "--catalogue", shop.catalogue)
    fails(recsys(*run, PREFECT_API_URL="http://127.0.0.1:1/api"), 9, "http://127.0.0.1:1/api; start it, or unset")
    fails(recsys(*run, PREFECT_API_URL=f"{prefect_url}/"), 9, f"the server's address ends in /api: {prefect_url}/api")


def test_a_server_that_ends_is_reported_with_its_log_and_stops_the_others(
    tmp_path: Path, home_with_servers: Path
) -> None:
    log = tmp_path / "ui.log"
    with ui(home_with_servers, log, "--no-worker") as (running, urls):
        assert len(urls) == 3, log.read_text()
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        (mlflow,) = [pid for pid in children if "mlflow" in Path(f"/proc/{pid}/cmdline").read_text()]
        os.kill(int(mlflow), signal.SIGKILL)
        assert running.wait(60) == 9
    logged = " ".join(log.read_text().split())
    assert (
        f"the MLflow server ended with code -9, and the others were stopped; its log is {home_with_servers}" in logged
    )
    for url in urls:
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(url)


# --- links that failed, and classes that are small -------------------------------------------------------------------


def test_images_at_a_private_address_are_refused_with_the_setting_that_allows_them(
    recsys: Recsys, shop: SampleShop, host: SampleHost
) -> None:
    arguments = ("run", "--catalogue", shop.catalogue, "--stop-after", "images")
    refused = recsys(*arguments, RECSYS_IMAGES__ALLOW_HOSTS="[]")
    fails(refused, 10, "private_address", "images.allow_hosts")
    assert not host.stats()
    other = recsys(*arguments, "--allow-host", "127.0.0.1:1", RECSYS_IMAGES__ALLOW_HOSTS="[]")
    fails(other, 10, "private_address")
    wrong = recsys(*arguments, "--allow-host", "10.0.0.0/64")
    fails(wrong, 3, "allow_hosts")


def test_broken_links_are_shown_by_cause_and_host_and_written(recsys: Recsys, filled: Path, tmp_path: Path) -> None:
    shown = recsys("broken", "--out", tmp_path / "broken.csv", home=filled)
    assert shown.returncode == 0, shown.stderr
    assert "http_404" in shown.stdout and "shop.example" in shown.stdout and "1 links" in shown.stdout
    written = pd.read_csv(tmp_path / "broken.csv")
    assert written[["cause", "url"]].values.tolist() == [["http_404", "http://shop.example/x.jpg"]]
    result = json.loads(recsys("broken", "--json", home=filled).stdout)
    assert result["by_cause"][0]["products"] == result["by_host"][0]["products"] == 1
    fails(recsys("broken", "--out", tmp_path, home=filled), 12, str(tmp_path))


def test_a_small_class_grows_by_a_marketplace_and_a_rerun_requests_only_what_failed(
    recsys: Recsys, shop: SampleShop, host: SampleHost
) -> None:
    market = {
        "RECSYS_SCRAPING__URL": f"{host.url}/s?k={{keyword}}&page={{page}}",
        "RECSYS_SCRAPING__DELAY_S": "0",
        "RECSYS_SCRAPING__PAGES": "1",
        "RECSYS_SCRAPING__KEYWORDS": '{"Watches": ["Watches", "Eyewear"]}',
    }
    assert recsys("run", "--catalogue", shop.catalogue, "--stop-after", "images", **market).returncode == 0
    for _ in range(2):  # its host asks for a captcha twice
        fails(recsys("scrape", "--label", "Watches", **market), 13, "Eyewear (blocked)", "run again")
    done = recsys("scrape", "--label", "Watches", "--json", **market)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["done"]["searches"] == 1 and result["done"]["kept"] > 0
    assert {keyword["status"] for keyword in result["keywords"]} == {"ok"}
    assert "Nothing to search for" in recsys("scrape", "--label", "Watches", **market).stdout
    fails(recsys("scrape", "--label", "Watch", **market), 3, "did you mean 'Watches'?")
