"""The page about production works as described: PostgreSQL, S3, machines that share only the network.

The page's commands are typed as they stand, each where it belongs: the workers' in two network namespaces with
addresses and files of their own. One of the two is killed in the middle of its work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import machines
from recsys.models.embedding import serving
from recsys.storage.store import Store
from sample_shop import SampleHost, SampleShop
from tests.docs.conftest import PAGES, Running, Terminal, blocks
from tests.waiting import wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]

PAGE = PAGES["docs/production.md"]
LACKING = machines.lacking() or (None if machines.postgres_programs() else "needs Debian's postgresql")
COMPARED = {
    "images": ["product_id", "status", "cause", "image_digest"],
    "labels": ["product_id", "label", "source"],
    "recommendations-": ["product_id", "rank", "neighbour_id"],
}
"""Tables, or prefixes of their names, and the columns that do not depend on time or machine."""


@pytest.mark.skipif(LACKING is not None, reason=str(LACKING))
def test_the_page_about_production(
    terminal: Callable[[], Terminal],
    prefect_url: str,
    shop: SampleShop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two machines give the same tables as threads, even if one is killed."""
    at, home, alone = terminal(), tmp_path / "shop", tmp_path / "alone"
    home.mkdir()
    with (
        machines.network(2) as net,
        machines.postgres(tmp_path / "postgres", ()) as database,
        machines.s3_server(net.address, tmp_path / "s3") as s3,
        SampleHost(shop.folder, net.address, machines.free_port(net.address), latency_ms=20) as host,
    ):
        catalogue = at.folder / "catalogue.csv"
        catalogue.write_text(catalogue.read_text().replace(shop.base_url, host.url))
        at.environment |= {"RECSYS_IMAGES__ALLOW_HOSTS": f'["{net.address}"]', "RECSYS_IMAGES__SHARD_SIZE": "16"}
        at.run(f"PREFECT_API_URL={prefect_url}/api recsys run --catalogue catalogue.csv --home {alone}")
        ours = Store(alone)

        own = {port: machines.free_port(net.address) for port in (4200, 5000, 8786)}
        at.stand_ins |= {f"10.0.0.1:{port}": f"{net.address}:{mine}" for port, mine in own.items()}
        at.stand_ins |= {f"10.0.0.1 --port {port}": f"{net.address} --port {mine}" for port, mine in own.items()}
        at.stand_ins |= {"/srv/shop": str(home), "--nworkers 2": "--nworkers 1"}  # there are two cores for both
        at.stand_ins |= {"AWS_REGION=eu-central-1": "AWS_REGION=us-east-1", "AWS_REGION=…": "AWS_REGION=us-east-1"}
        at.stand_ins |= {"shop:PASSWORD@db.internal": database, "https://s3.internal": s3["AWS_ENDPOINT_URL"]}
        at.stand_ins |= {f"{name}=…": f"{name}={value}" for name, value in s3.items()}
        address, _, port = database.partition("@")[2].partition(":")
        at.environment |= {"PGHOST": address, "PGPORT": port, "PGUSER": "shop", "AWS_ALLOW_HTTP": "true"}
        at.environment |= {"PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK": "remote-file-system/shop"}
        at.environment["PATH"] += f":{machines.postgres_programs()}"
        (home / "recsys.toml").write_text(at.own("".join(blocks(PAGE, "toml"))))
        at.machines["dask worker"] = [machines.on(name, home) for name in net.namespaces]

        def look() -> None:
            for name, value in at.environment.items():
                if name.startswith(("AWS_", "MLFLOW_", "RECSYS_STORE__")):
                    monkeypatch.setenv(name, value)
            theirs = Store(tmp_path / "a-third-machine", read_only=True)
            assert theirs.is_shared and not (home / "store").exists()
            assert_same(theirs, ours)
            at.run(f"recsys status --home {tmp_path / 'another-machine'}")
            version = serving.models(theirs.home)[0].version
            assert serving.loaded(theirs.home, version).size > 0  # where nothing was trained
            at.run("test $(psql -At prefect -c \"select count(*) from task_run where name like 'images %/%'\") -gt 1")
            at.run("test $(psql -At mlflow -c 'select count(*) from runs') -gt 0")
            for kept in ("results", "mlflow"):
                assert objects(kept), kept

        killer = threading.Thread(target=kill_a_worker, args=[at], daemon=True)
        killer.start()
        at.walk(PAGE, look)
        killer.join()
    assert [server.command.split()[:2] for server in at.servers if server.is_killed] == [["dask", "worker"]]


def kill_a_worker(at: Terminal) -> None:
    """Kill the first machine during its work."""

    def at_work() -> Running | None:
        workers = [server for server in at.servers if server.command.startswith("dask worker")]
        return workers[0] if len(workers) == 2 and "images " in workers[0].log.read_text() else None

    wait_for(at_work, 300).kill()


def assert_same(theirs: Store, ours: Store) -> None:
    """Assert that both have the same tables, and the same rows in `COMPARED`."""
    assert theirs.tables() == ours.tables()
    for kind, columns in COMPARED.items():
        (table,) = [name for name in ours.tables() if name == kind or (kind[-1] == "-" and name.startswith(kind))]
        assert rows(theirs, table, columns) == rows(ours, table, columns)


def rows(store: Store, table: str, columns: list[str]) -> list[dict[str, Any]]:
    return store.read(table, columns).sort_by([(name, "ascending") for name in columns[:2]]).to_pylist()


def objects(prefix: str) -> int:
    """Count the objects on S3."""
    from obstore.store import from_url

    return sum(len(found) for found in from_url("s3://shop").list(prefix))
