"""Compare one run by threads with one by Dask over two machines, and on PostgreSQL and S3: equal tables.

    python benchmarks/scale_out.py                     # 2,000 products
    python benchmarks/scale_out.py --products 400      # a quick look

As root on Linux, with `pip install -e '.[dask,dev,servers]'` and Debian's postgresql. The two machines are network
namespaces with addresses of their own; they share this machine's cores, so the ratio measures the overhead, not the
speed-up. Each run is a whole `recsys run`, trainings included. Promised, or the exit code is 1:

    Dask over two machines, one of which is killed when half of the features are there, gives the tables of threads
    so does Dask with Prefect and MLflow on PostgreSQL, tables, models, results and artifacts on S3, and no file shared
    Dask takes at most 1.5 times as long as threads
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import machines
import measuring
import pandas as pd
from machines import Network
from measuring import out, say, table

from recsys.core.process import set_up_process
from recsys.storage.schemas import TIME, key_of
from recsys.storage.store import Store
from sample_shop import SampleHost

MOST = 1.5
RESULTS = "from prefect.filesystems import RemoteFileSystem as R; R(basepath='s3://shop/results').save('shop')"
"""Settings for Prefect to keep results on S3."""


def main() -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("--products", type=int, default=2_000, help="(default: %(default)s)")
    options = parser.parse_args()
    if reason := machines.lacking() or (None if machines.postgres_programs() else "needs Debian's postgresql"):
        raise SystemExit(f"error: {reason}")
    shop = measuring.shop_of(options)
    assert shop.folder is not None
    products = shop.listed(options.products)
    tables: dict[str, dict[str, pd.DataFrame]] = {}
    took: dict[str, float] = {}
    with measuring.scratch(options) as folder, machines.network(2) as net:
        port = machines.free_port(net.address)
        catalogue = measuring.write_catalogue(folder / "catalogue.csv", products, f"http://{net.address}:{port}")
        ours = measuring.settings(options, allow_hosts=json.dumps([net.address]))
        ours["RECSYS_BACKBONE__SHARD_SIZE"] = "64"  # so that there is a half-time
        host = functools.partial(SampleHost, shop.folder, net.address, port)  # a new one a run: some faults pass
        with machines.prefect_server(net.address, folder / "prefect", {}) as api:
            given = ours | {"PREFECT_API_URL": api}
            for name in ("threads", "dask", "dask, one killed"):
                home = folder / name.replace(", ", "-").replace(" ", "-")
                with host():
                    took[name] = run(name, home, catalogue, given, net, folder)
                tables[name] = contents(home)
                say(f"  {took[name]:.0f} s, other tables than threads: {differ(tables[name], tables)[1] or 'none'}")
        name = "dask, PostgreSQL and S3"
        with host():
            took[name], tables[name] = in_production(name, folder, catalogue, ours, net)
    rows = [
        (
            name,
            f"{took[name]:.0f}",
            f"{took[name] / took['threads']:.2f}",
            sum(map(len, held.values())),
            *differ(held, tables),
        )
        for name, held in tables.items()
    ]
    columns = ["run", "seconds", "ratio", "rows", "tables", "that differ"]
    out.print(table(f"{options.products:,} products", columns, rows, right=columns[1:]))
    different = {name: differ(held, tables)[1] for name, held in tables.items()}
    return measuring.verdict(
        *((not different[name], f"{name}: the tables of threads ({different[name] or 'equal'})") for name in different),
        (took["dask"] <= MOST * took["threads"], f"Dask takes {took['dask'] / took['threads']:.2f} times as long"),
    )


def run(
    name: str,
    home: Path,
    catalogue: Path,
    given: Mapping[str, str],
    net: Network,
    folder: Path,
    *,
    own_files: bool = False,
) -> float:
    """Run a shop to the end, by threads or by workers in the namespaces, and return the seconds of the command."""
    say(name)
    command = [str(measuring.RECSYS), "run", "--catalogue", str(catalogue), "--home", str(home), "--json"]
    environment = dict(given)
    with ExitStack() as stack:
        if name != "threads":
            logs = folder / f"logs-{home.name}"
            cluster = machines.dask_cluster(net, logs, home, given, own_files=own_files)
            address, workers = stack.enter_context(cluster)
            environment |= {"RECSYS_WORKFLOW__RUNNER": "dask", "RECSYS_WORKFLOW__DASK_ADDRESS": address}
        began = time.monotonic()
        with (folder / f"{home.name}.log").open("w") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        while "killed" in name and process.poll() is None:
            time.sleep(0.2)
            if features(home) >= features_of_half(home):
                say(f"  one of two machines is killed, {features(home):,} features are there")
                machines.kill(workers[0])
                break
        if process.wait() != 0:
            raise SystemExit((folder / f"{home.name}.log").read_text()[-3000:])
        return time.monotonic() - began


def in_production(
    name: str, folder: Path, catalogue: Path, ours: Mapping[str, str], net: Network
) -> tuple[float, dict[str, pd.DataFrame]]:
    """Run a shop on servers as production has them, its workers with no file of it; return the seconds, and tables."""
    with ExitStack() as stack:
        database = stack.enter_context(machines.postgres(folder / "postgres"))
        s3 = stack.enter_context(machines.s3_server(net.address, folder / "s3.log"))
        backend = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{database}/prefect"}
        api = stack.enter_context(machines.prefect_server(net.address, folder / "prefect-production", backend))
        runs = (f"postgresql+psycopg://{database}/mlflow", "s3://shop/mlflow")
        mlflow = stack.enter_context(machines.mlflow_server(net.address, *runs, folder / "mlflow.log", s3))
        subprocess.run([sys.executable, "-c", RESULTS], env=ours | {"PREFECT_API_URL": api}, check=True)
        given = (
            ours
            | s3
            | {
                "PREFECT_API_URL": api,
                "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK": "remote-file-system/shop",
                "MLFLOW_TRACKING_URI": mlflow,
                "RECSYS_STORE__URL": "s3://shop/recsys",
            }
        )
        seconds = run(name, folder / "production", catalogue, given, net, folder, own_files=True)
        os.environ |= s3 | {"RECSYS_STORE__URL": given["RECSYS_STORE__URL"]}
        return seconds, contents(folder / "another-machine")


def features(home: Path) -> int:
    """Return the number of pictures with features."""
    return sum(Store(home).count(name) for name in _named(home, "features-")) if (home / "home.json").exists() else 0


def features_of_half(home: Path) -> int:
    """Return half of the final number of pictures with features; unknown while images are fetched."""
    if not (home / "home.json").exists() or not _named(home, "features-"):
        return sys.maxsize
    return Store(home).count("images", "status = 'ok'") // 2


def contents(home: Path) -> dict[str, pd.DataFrame]:
    """Return each table of a store, by its key, without times and a count of passing failures."""
    store, held = Store(home), {}
    for name in _named(home, ""):
        frame = store.read(name)
        times = [column.name for column in frame.schema if column.type == TIME or column.name == "attempts"]
        held[name] = frame.drop_columns(times).to_pandas().sort_values(list(key_of(name))).reset_index(drop=True)
    return held


def _named(home: Path, begin: str) -> list[str]:
    return [name for name in Store(home).tables() if name.startswith(begin)]


def differ(held: Mapping[str, pd.DataFrame], tables: Mapping[str, Mapping[str, pd.DataFrame]]) -> tuple[int, str]:
    """Return the number of tables, and which of them, by which columns, differ from those that threads gave."""
    wanted, found = tables["threads"], []
    for name in sorted(held.keys() | wanted.keys()):
        one, other = held.get(name), wanted.get(name)
        if one is None or other is None or len(one) != len(other):
            found.append(name)
        elif columns := [column for column in one if not same(one[column], other[column])]:
            found.append(f"{name} ({', '.join(columns)})")
    return len(held), "; ".join(found)


def same(one: pd.Series, other: pd.Series) -> bool:
    """Return whether two columns are equal, bit by bit."""
    try:
        pd.testing.assert_series_equal(one, other, check_exact=True)
    except AssertionError:
        return False
    return True


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
