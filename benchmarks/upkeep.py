"""Measure disk use and duration over a hundred refreshes of a home, each of 1 % of its catalogue.

    python benchmarks/upkeep.py                       # 300 products, 100 refreshes: some ten minutes
    python benchmarks/upkeep.py --refreshes 10        # a quick look
    python benchmarks/upkeep.py --without             # the same without upkeep, for comparison

Each refresh is the flow `refresh` on a Prefect server of its own, over a catalogue in which prices, pictures and
products have changed: a third of the 1 % each, and what was removed returns later. Meanwhile `recsys serve` serves the
home under continuous requests, and a process reads whole tables repeatedly. The pause between two refreshes is longer
than `upkeep.grace_s`. At the end each table is compared with the same rows written once.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pandas as pd
from measuring import out, say, table

from cli.servers import LOOPBACK, free_port, prefect_server
from recsys.core.configuration import load
from recsys.core.process import set_up_process
from recsys.models.embedding.serving import serving
from recsys.storage.compaction import files_of
from recsys.storage.disk_use import disk_use, size_of
from recsys.storage.store import Store
from sample_shop import SampleHost, draw_shop

GRACE_S = 2.0
FLAGS: dict[str, Any] = {
    "images": {"timeout_s": 1, "backoff_s": 0.05, "retry_after_max_s": 0.1, "allow_hosts": [LOOPBACK]},
    "report": {"grids": 4},
    "tsne": {"iterations": 250},
}
OUT_OF_THE_WAY = {"dead_share": 1.0, "fragments": 1_000_000, "grace_s": 1e9}
PLAIN = {"images": ["product_id", "image_digest", "jpeg"]}
"""Tables that the reader reads repeatedly, besides recommendations."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=300, help="(default: %(default)s)")
    parser.add_argument("--refreshes", type=int, default=100, help="(default: %(default)s)")
    parser.add_argument("--without", action="store_true", help="without upkeep")
    options = parser.parse_args()
    changes = max(1, options.products // 300)  # of each kind a refresh
    spare = options.refreshes * changes * 3 // 2 + 10
    with tempfile.TemporaryDirectory(prefix="recsys-benchmark-") as scratch:
        folder = Path(scratch)
        base = f"http://{LOOPBACK}:{free_port()}"
        say(f"drawing {options.products + spare:,} products")
        shop = draw_shop(folder / "shop", options.products + spare, seed=7, base_url=base)
        rows = pd.read_csv(shop.catalogue, dtype=str, keep_default_na=False)
        rows = rows[(rows["uniq_id"] != "") & (rows["image"] != "")].drop_duplicates("uniq_id").reset_index(drop=True)
        listed, spares = rows[: options.products].copy(), rows[options.products :]
        with SampleHost(shop.folder, port=int(base.rsplit(":", 1)[1])):
            return _through(folder, listed, spares, options, changes)


def _through(folder: Path, listed: pd.DataFrame, spares: pd.DataFrame, options: argparse.Namespace, n: int) -> int:
    home, catalogue = folder / "home", folder / "catalogue.csv"
    kept_up = OUT_OF_THE_WAY if options.without else {"grace_s": GRACE_S}
    flags = FLAGS | {"upkeep": kept_up}
    configuration = load(home, flags, environ={})
    listed.to_csv(catalogue, index=False)
    random = np.random.default_rng(12_345)
    seconds: list[float] = []
    ratios: list[float] = []
    Store(home)
    with prefect_server(home):
        from flows.recommend import recommend
        from flows.refresh import refresh

        say("the first run")
        began = time.monotonic()
        recommend(str(home), str(catalogue), flags)
        first = time.monotonic() - began
        refresh(str(home), str(catalogue), flags)
        store = Store(home, read_only=True)
        beside = {place: size_of(home / place) for place in ("prefect/prefect.db", "mlflow")}
        data = {name: _data(store, name) for name in store.tables()}
        with _service(home, str(listed["uniq_id"][0])) as asked, _reader(home, configuration) as read:
            for number in range(options.refreshes):
                time.sleep(GRACE_S + 0.5)
                listed, spares = _changed(listed, spares, random, n)
                listed.to_csv(catalogue, index=False)
                began = time.monotonic()
                done = refresh(str(home), str(catalogue), flags)
                seconds.append(time.monotonic() - began)
                ratios.append(size_of(home / "store") / sum(_data(store, name) for name in store.tables()))
                if not number % 10:
                    say(f"refresh {number + 1}: {seconds[-1]:.1f} s, store {ratios[-1]:.2f} times its data, {done}")
        grown = {place: (size_of(home / place) - size) / 1e6 for place, size in beside.items()}
    once = Store(folder / "once")
    names = store.tables()
    for name in names:
        once.write(name, store.read(name), new=True)
    told, sizes = [], []
    for name in names:
        kind = name.split("-")[0]
        size, alone = (size_of(each.home / "store" / f"{name}.lance") for each in (store, once))
        files = files_of(store, name)
        sizes.append((size, alone))
        told.append(
            (kind, f"{files.rows - files.dead:,}", files.fragments, len(files.made), f"{size / 1e6:.2f}",
             f"{alone / 1e6:.2f}", f"{size / alone:.2f}")
        )  # fmt: skip
    size, alone = (sum(each) for each in zip(*sizes, strict=True))
    told.append(("all", "", "", "", f"{size / 1e6:.2f}", f"{alone / 1e6:.2f}", f"{size / alone:.2f}"))
    columns = ["table", "rows", "fragments", "versions", "MB", "written once", "ratio"]
    out.print(table(f"After {options.refreshes} refreshes", columns, told, right=columns[1:]))
    head, tail = (float(np.median(part)) for part in (seconds[:10], seconds[-10:]))
    out.print(f"\nfirst run {first:.1f} s; a refresh: the first ten {head:.2f} s, the last ten {tail:.2f} s (medians)")
    middle = measuring.middle(ratios)
    out.print(
        f"the store at the end of a refresh: at most {max(ratios):.2f} times its data, in the median {middle:.2f}"
    )
    out.print(f"the service got {asked['asked']:,} requests, whole tables were read {read.value:,} times")
    for place, megabytes in grown.items():
        out.print(f"{place} grew by {megabytes / options.refreshes:.2f} MB a refresh")
    out.print(f"at the beginning the data was {sum(data.values()) / 1e6:.1f} MB; the home now: {_told(disk_use(home))}")
    return measuring.verdict(
        (size / alone <= 2, f"the store is within twice its data: {size / alone:.2f}"),
        (max(ratios) <= 2, f"and was so at the end of each refresh: {max(ratios):.2f}"),
        (tail <= 1.25 * head, f"a refresh takes no longer at the end: {tail:.2f} s, {head:.2f} s at the beginning"),
        (not asked["failed"], f"the service answered every time ({asked['failed']} failed {asked['how']})"),
        (read.value > 0 and read.well.value == 1, "no reader of tables is disturbed"),
    )


def _data(store: Store, name: str) -> int:
    return files_of(store, name).live_bytes


def _told(parts: dict[str, int]) -> str:
    return ", ".join(f"{part} {size / 1e6:.1f} MB" for part, size in parts.items())


def _changed(
    listed: pd.DataFrame, spares: pd.DataFrame, random: np.random.Generator, n: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the catalogue with `n` prices, pictures and products changed (never the first row), and the other spares.

    Turns alternate: one adds new products, the next returns the products that the turn before removed.
    """
    listed = listed.reset_index(drop=True)
    priced, pictured, replaced = random.choice(np.arange(1, len(listed)), (3, n), replace=False)
    listed.loc[priced, "discounted_price"] = [str(price) for price in random.integers(100, 5_000, n)]
    listed.loc[pictured, "image"] = spares["image"][:n].tolist()
    returning = listed.loc[replaced]
    came = spares[n : 2 * n] if len(spares) % 2 else spares[-n:]
    left = spares[2 * n :] if len(spares) % 2 else spares[n:-n]
    listed = pd.concat([listed.drop(index=replaced), came])
    return listed, pd.concat([left, returning])  # the last n of the spares return in the next turn


@contextlib.contextmanager
def _service(home: Path, product: str) -> Iterator[dict[str, Any]]:
    """Serve the home and send requests continuously."""
    port = free_port()
    command = [str(measuring.RECSYS), "serve", "--home", str(home), "--port", str(port)]
    process = measuring.start(command, dict(os.environ))
    asked: dict[str, Any] = {"asked": 0, "failed": 0, "how": ""}
    url = f"http://{LOOPBACK}:{port}"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/ready", timeout=2):
            break
        time.sleep(0.2)
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(0.2):
            for path in (f"/products/{product}/similar", f"/images/{product}"):
                asked["asked"] += 1
                try:
                    urllib.request.urlopen(url + path, timeout=30).read()
                except OSError as error:
                    asked["failed"] += 1
                    asked["how"] = f"{path}: {error}"

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield asked
    finally:
        ended.set()
        thread.join()
        measuring.kill_tree(process)


@contextlib.contextmanager
def _reader(home: Path, configuration: Any) -> Iterator[Any]:
    """Read whole tables in another process, repeatedly; the value counts the reads, `well` is 0 after a failed read."""
    context = multiprocessing.get_context("spawn")
    count, well = context.Value("i", 0), context.Value("i", 1)
    process = context.Process(target=_read, args=(home, configuration, count, well), daemon=True)
    process.start()
    count.well = well
    try:
        yield count
    finally:
        process.kill()
        process.join()


def _read(home: Path, configuration: Any, count: Any, well: Any) -> None:
    try:
        while True:
            store = Store(home, read_only=True)
            ranked = serving(home, configuration).recommendations
            opened = {name: store.table(name) for name in ("images", ranked)}
            time.sleep(GRACE_S / 3)  # the delay of a slow reader between opening a table and reading it
            for name, each in opened.items():
                rows = each.search().select(PLAIN.get(name, ["product_id", "rank", "total"])).to_arrow()
                assert rows.num_rows, name
            count.value += 1
    except BaseException:
        well.value = 0
        raise


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
