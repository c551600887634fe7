"""More than one machine: Dask workers with nothing but the network, on a shared store, and production servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks import machines
from recsys.configuration import load
from recsys.errors import ConfigurationError, ServerError
from recsys.sample_shop import SampleHost, SampleShop
from recsys.store import Store

from .conftest import FLAGS

lacking = machines.lacking() or (None if machines.postgres_programs() else "needs Debian's postgresql")
RESULTS = "from prefect.filesystems import RemoteFileSystem as R; R(basepath='s3://shop/results').save('shop')"


@dataclass
class Production:
    """Servers as production has them.

    Attributes:
        net: this machine's address, and two others.
        database: where PostgreSQL has Prefect's and MLflow's.
        environment: names the servers, the store and its credentials.
    """

    net: machines.Network
    database: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """PostgreSQL, S3, a Prefect and an MLflow server on them, and a network of two machines."""
    folder = tmp_path_factory.mktemp("production")
    with (
        machines.network(2) as net,
        machines.postgres(folder / "postgres") as database,
        machines.s3_server(net.address, folder / "s3.log") as s3,
        machines.mlflow_server(
            net.address, f"postgresql+psycopg://{database}/mlflow", "s3://shop/mlflow", folder / "mlflow.log", s3
        ) as mlflow,
        machines.prefect_server(
            net.address,
            folder / "prefect",
            {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{database}/prefect"},
        ) as prefect,
    ):
        given = {
            **s3,
            "PREFECT_API_URL": prefect,
            "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK": "remote-file-system/shop",
            "MLFLOW_TRACKING_URI": mlflow,
            "RECSYS_STORE__URL": "s3://shop/recsys",
        }
        subprocess.run([sys.executable, "-c", RESULTS], env=os.environ | given, check=True, capture_output=True)
        yield Production(net, database, given)


def run(home: Path, catalogue: Path, environment: dict[str, str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the shop in a process of its own, as a machine does."""
    given = {f"RECSYS_{section.upper()}__{key.upper()}": value for section, key, value in _flags()}
    command = [str(Path(sys.executable).with_name("recsys")), "run", "--catalogue", str(catalogue), "--home", str(home)]
    env = os.environ | given | environment
    return subprocess.run([*command, "--json"], env=env, capture_output=True, text=True, timeout=400, check=False)


def _flags() -> Iterator[tuple[str, str, str]]:
    for section, keys in FLAGS.items():
        for key, value in keys.items():
            yield section, key, json.dumps(value) if isinstance(value, list) else str(value)


@pytest.mark.skipif(lacking is not None, reason=str(lacking))
def test_two_machines_make_what_threads_make_though_one_is_killed(
    production: Production, shop: SampleShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole process on PostgreSQL, S3 and Dask, beside the same in one process, on files."""
    net = production.net
    port = machines.free_port(net.address)
    catalogue = tmp_path / "catalogue.csv"
    catalogue.write_text(shop.catalogue.read_text().replace(shop.base_url, f"http://{net.address}:{port}"))
    hosts = {"RECSYS_IMAGES__ALLOW_HOSTS": f'["{net.address}"]'}
    alone, home = tmp_path / "alone", tmp_path / "home"
    with SampleHost(shop.folder, net.address, port, latency_ms=20):
        done = run(alone, catalogue, hosts | {"PREFECT_API_URL": production.environment["PREFECT_API_URL"]})
        assert done.returncode == 0, done.stderr
        with machines.dask_cluster(net, tmp_path / "logs", home, production.environment) as (address, workers):
            dask = {"RECSYS_WORKFLOW__RUNNER": "dask", "RECSYS_WORKFLOW__DASK_ADDRESS": address}
            log = tmp_path / "logs" / f"{net.namespaces[0]}.log"

            def kill_the_first_in_its_work() -> None:
                until = time.monotonic() + 120
                while "images " not in log.read_text() and time.monotonic() < until:
                    time.sleep(0.02)
                machines.kill(workers[0])

            killer = threading.Thread(target=kill_the_first_in_its_work)
            killer.start()
            done = run(home, catalogue, production.environment | hosts | dask)
            killer.join()
        assert done.returncode == 0, done.stderr
    ours = Store(alone)
    for name, value in production.environment.items():
        monkeypatch.setenv(name, value)
    theirs = Store(tmp_path / "a-third-machine", read_only=True)
    assert theirs.is_shared and not (home / "store").exists()
    for table, columns in {
        "images": ["product_id", "status", "cause", "image_digest"],
        "labels": ["product_id", "label", "source"],
    }.items():
        assert rows(theirs, table, columns) == rows(ours, table, columns)
    for kind in ("features-", "embeddings-", "recommendations-"):
        assert [name for name in theirs.tables() if name.startswith(kind)] == [
            name for name in ours.tables() if name.startswith(kind)
        ]
    recommended = next(name for name in ours.tables() if name.startswith("recommendations-"))
    assert rows(theirs, recommended, ["product_id", "rank", "neighbour_id"]) == rows(
        ours, recommended, ["product_id", "rank", "neighbour_id"]
    )
    assert_in_production(production, theirs)


def rows(store: Store, table: str, columns: list[str]) -> list[dict[str, Any]]:
    return store.read(table, columns).sort_by([(name, "ascending") for name in columns[:2]]).to_pylist()


def assert_in_production(production: Production, store: Store) -> None:
    """Runs and results are where the configuration says: in PostgreSQL, and on S3."""
    import psycopg
    from obstore.store import from_url

    from recsys.embedding import serving

    def count(database: str, query: str) -> int:
        with psycopg.connect(f"postgresql://{production.database}/{database}") as connection:
            cursor = connection.cursor()
            cursor.execute(query)
            return int(cursor.fetchone()[0])

    assert count("prefect", "select count(*) from task_run where name like 'images %/%'") > 1
    assert count("mlflow", "select count(*) from runs") > 0
    objects = from_url("s3://shop")
    for prefix in ("results", "mlflow"):
        assert sum(len(found) for found in objects.list(prefix)), prefix
    version = serving.models(store.home)[0].version
    assert serving.loaded(store.home, version).size > 0  # on a machine that has trained nothing


def test_workers_that_could_not_reach_prefects_server_are_told_before_the_first_shard() -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.workers import _require_reachable

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4200/api"}):
        _require_reachable("tcp://127.0.0.1:8786")
        _require_reachable(None)
        with pytest.raises(ServerError, match=r"cannot reach Prefect's server at http://127"):
            _require_reachable("tcp://10.0.0.9:8786")
    with temporary_settings({PREFECT_API_URL: "http://10.0.0.1:4200/api"}):
        _require_reachable("tcp://10.0.0.9:8786")


def test_a_store_that_only_a_flow_is_told_of_is_refused(tmp_path: Path) -> None:
    """Its workers, the service and every other command would look elsewhere."""
    from flows.stages import alone

    told = load(None, {"store": {"url": "s3://shop/recsys"}}, environ={})
    with pytest.raises(ConfigurationError, match=r"store\.url is no parameter"), alone(str(tmp_path), told):
        pass
