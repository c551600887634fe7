"""797 real products with their photos, 62 of them broken in ten ways: from the catalogue to recommendations."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.servers import free_port
from recsys.core.configuration import load
from recsys.evaluation.leave_one_out import evaluate_shop
from recsys.models.embedding.serving import serving
from recsys.reporting.funnel import count_funnel
from recsys.storage.store import Store

pytestmark = [pytest.mark.shared, pytest.mark.slow]
CAUSES = {"hang": "timeout", "404": "http_404", "410": "http_410", "403": "http_403", "500": "http_500"}


@pytest.fixture
def host(shared_data: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The catalogue's image host on a free port, and the catalogue with its address."""
    original = shared_data / "flipkart-photos" / "catalogue.csv"
    port = free_port()
    command = [sys.executable, str(shared_data.parent / "tools" / "image_host.py"), "--catalogue", str(original)]
    command += ["--broken", "62", "--flaky", "40", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    catalogue = tmp_path / "catalogue.csv"
    catalogue.write_text(original.read_text(encoding="utf-8").replace(":8765/", f":{port}/"), encoding="utf-8")
    yield f"http://127.0.0.1:{port}", catalogue
    process.kill()
    process.wait()


def test_real_photos_become_recommendations(prefect_url: str, host: tuple[str, Path], tmp_path: Path) -> None:
    from flows.recommend import recommend

    address, catalogue = host
    home = tmp_path / "home"
    recommend(str(home), str(catalogue), {"images": {"allow_hosts": ["127.0.0.1"]}})
    store = Store(home, read_only=True)

    counts = count_funnel(store, load(environ={}))
    assert (counts.products, counts.with_image, counts.broken, counts.pending) == (797, 735, 62, 0)
    assert counts.recommended == 735
    with urllib.request.urlopen(f"{address}/faults.json") as answer:
        faults = {key: fault for key, fault in json.load(answer).items() if not fault.endswith("_then_ok")}
    ledger = store.read("images", ["product_id", "cause"], "status = 'broken'").to_pylist()
    assert {row["product_id"]: row["cause"] for row in ledger} == {
        key: CAUSES.get(fault, fault) for key, fault in faults.items()
    }

    figures = evaluate_shop(store, load(environ={})).set_index(["k", "level"])["precision"].loc[5]
    print("precision at 5, levels 1 / 2 / 3:", " / ".join(f"{value:.3f}" for value in figures))
    assert list(figures >= [0.79, 0.69, 0.62]) == [True, True, True], figures

    with catalogue.open(encoding="utf-8", newline="") as file:
        names = {row["uniq_id"]: row["product_name"] for row in csv.DictReader(file)}
    neighbours = store.read(serving(home, load(environ={})).recommendations, ["product_id", "neighbour_id"]).to_pylist()
    assert {row["neighbour_id"] for row in neighbours} <= names.keys() - faults.keys()
