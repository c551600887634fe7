"""Provide the benchmarks' tools: an image host with known faults, prepared homes, peak memory of a process tree.

    Shop            distinct products, one picture each, and the command of their image host
    image_host      that host, as a separate process, on the loopback interface
    prepared_home   a home with an imported catalogue
    measure         run a command to its end: seconds, and the peak memory of its whole process tree
    wrong_causes    the rows of a ledger that differ from what the host planned

The pictures are those of the sample shop, which is drawn once. With --image-host and --catalogue they are those of
another host that reports its faults: a script that takes --catalogue, --port, --broken, --flaky, --latency-ms and
--hang-s, and serves /faults.json and /stats.json. Linux only, since memory is read from /proc.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from cli.console import err, out, show_progress, table
from cli.servers import DIE_WITH_PARENT, LOOPBACK, free_port
from recsys.core.configuration import Configuration, load
from recsys.ingest.catalogue.intake import take_in
from recsys.storage.store import Store
from sample_shop import SampleHost, draw_shop, host
from sample_shop.faults import FLAKY, PERMANENT

HERE = Path(__file__).resolve().parent
RECSYS = Path(sys.executable).with_name("recsys")
"""Path of the `recsys` command, installed beside this Python."""

SAMPLE_PRODUCTS = 2_000
"""Number of distinct pictures; large enough that copies of one never look like a placeholder, at any catalogue size."""
EVERY_S = 0.5
"""Sampling interval of a process tree's memory, seconds."""
MB = 1 << 20

CAUSES = {"404": "http_404", "410": "http_410", "403": "http_403", "500": "http_500", "hang": "timeout"}
"""Causes in the ledger for the host's faults, where the names differ."""


@dataclass(frozen=True)
class Product:
    """Describe a catalogue row with one picture.

    Attributes:
        row: its columns, without the image column.
        path: path of the picture on its host.
        picture: the picture's name in the host's faults and counts.
    """

    row: dict[str, str]
    path: str
    picture: str

    @property
    def id(self) -> str:
        return self.row["uniq_id"]


@dataclass(frozen=True)
class Shop:
    """Hold distinct products with one picture each, and the source of their host: a drawn folder or a script."""

    products: list[Product]
    folder: Path | None = None
    script: Path | None = None
    catalogue: Path | None = None

    def listed(self, count: int | None = None) -> list[Product]:
        """Return `count` products (default: all); further ones are copies, distinguished by `?n=1` and so on."""
        return copies(self.products, len(self.products) if count is None else count)


@dataclass(frozen=True)
class Host:
    """Describe a running image host."""

    url: str
    process: subprocess.Popen[bytes]

    def faults(self) -> dict[str, str]:
        """Return the fault of each faulty picture, by its name."""
        return dict(_json(f"{self.url}/faults.json"))

    def stats(self) -> dict[str, int]:
        """Return the number of requests of each picture, by name; pictures without requests are absent."""
        return dict(_json(f"{self.url}/stats.json"))


@dataclass(frozen=True)
class Measured:
    """Hold the time, memory and result of a command.

    Attributes:
        seconds: from its start to its end, as a whole process.
        peak_bytes: the highest sum, over its process tree, of each process's memory share (PSS).
        output: its standard output.
        code: its exit code.
    """

    seconds: float
    peak_bytes: int
    output: str
    code: int


def copies(products: Sequence[Product], count: int) -> list[Product]:
    """Return `count` products, repeating these cyclically: same picture, own id, own URL."""
    made = []
    for number in range(count):
        product, copy = products[number % len(products)], number // len(products)
        if copy:
            row = product.row | {"uniq_id": f"{product.id}-{copy}"}
            product = Product(row, f"{product.path}?n={copy}", product.picture)
        made.append(product)
    return made


# -- options ---------------------------------------------------------------------------------------------------------


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark of the image stage has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--image-host", type=Path, metavar="SCRIPT", help="an image host's script, with --catalogue")
    made.add_argument("--catalogue", type=Path, metavar="CSV", help="the catalogue whose images that host serves")
    made.add_argument(
        "--shop",
        type=Path,
        default=HERE / ".sample-shop",
        metavar="FOLDER",
        help="folder of the sample shop, drawn once (default: %(default)s)",
    )
    made.add_argument("--scratch", type=Path, metavar="FOLDER", help="folder for homes (default: temporary)")
    made.add_argument("--timeout-s", type=float, default=10, help="time limit of one attempt (default: %(default)g)")
    return made


def shop_of(options: argparse.Namespace) -> Shop:
    """Return the shop that the options name: the script's, else the sample shop, drawn if missing."""
    if (options.image_host is None) != (options.catalogue is None):
        raise SystemExit("error: give --image-host and --catalogue together")
    if options.image_host is not None:
        products = _products(options.catalogue, lambda path: Path(path).stem)
        return Shop(products, script=options.image_host, catalogue=options.catalogue)
    with show_progress():
        drawn = draw_shop(options.shop, SAMPLE_PRODUCTS)
    return Shop(_products(drawn.catalogue, lambda path: Path(path).name), folder=options.shop)


def _products(catalogue: Path, name: Any) -> list[Product]:
    """Return the rows of a catalogue that have an id and a picture that no row before them has."""
    columns = ("uniq_id", "product_name", "product_category_tree", "discounted_price")
    with catalogue.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    products: dict[str, Product] = {}
    ids = set()
    for row in rows:
        urls = json.loads(row["image"] or "[]")
        if not row["uniq_id"] or row["uniq_id"] in ids or not urls:
            continue
        path = urlsplit(urls[0]).path
        ids.add(row["uniq_id"])
        products.setdefault(path, Product({column: row[column] for column in columns}, path, name(path)))
    return list(products.values())


@contextlib.contextmanager
def scratch(options: argparse.Namespace) -> Iterator[Path]:
    """Yield a folder that is removed at the end."""
    if options.scratch:
        options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="recsys-benchmark-", dir=options.scratch) as folder:
        yield Path(folder)


# -- the image host --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def image_host(
    shop: Shop,
    port: int,
    *,
    broken: int | None = None,
    flaky: int | None = None,
    latency_ms: float = 0,
    hang_s: float = 30,
) -> Iterator[Host]:
    """Run the host of a shop's pictures until the context ends; a new host counts requests from 0.

    Args:
        shop: shop whose pictures are served.
        port: port on the loopback interface; the catalogue's URLs contain it.
        broken: pictures that always fail (default: the host's own share, 7.77 %).
        flaky: pictures that succeed after two failures (default: the host's own share, 2 %).
        latency_ms: milliseconds before each answer.
        hang_s: seconds that a hanging picture keeps its client waiting.
    """
    if shop.script is not None:
        options = {"--port": port, "--latency-ms": latency_ms, "--hang-s": hang_s, "--broken": broken, "--flaky": flaky}
        given = [str(part) for name, value in options.items() if value is not None for part in (name, value)]
        command, plan = [sys.executable, str(shop.script), "--catalogue", str(shop.catalogue), *given], {}
    else:
        command = [sys.executable, str(Path(__file__))]
        plan = {
            **{"folder": str(shop.folder), "port": port, "latency_ms": latency_ms, "hang_s": hang_s},
            **{"names": [product.picture for product in shop.products], "broken": broken, "flaky": flaky},
        }
    process = _start(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        assert process.stdin is not None
        with process.stdin as stdin:
            stdin.write(json.dumps(plan).encode())
        running = Host(f"http://{LOOPBACK}:{port}", process)
        _wait_for(running)
        yield running
    finally:
        kill_tree(process)


def _wait_for(running: Host) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError):
            running.faults()
            return
        if running.process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"error: the image host did not start on {running.url}")
        time.sleep(0.05)


def _serve_sample(folder: str, names: list[str], broken: int | None, flaky: int | None, **options: Any) -> None:
    """Run the sample shop's host with the requested number of faults; the kinds take turns."""
    host.CONNECTIONS = (
        16_384  # the default limit protects a desktop, and would disconnect a client with many connections
    )
    serving = SampleHost(Path(folder), **options)
    planned = serving.shop.faults
    if broken is not None or flaky is not None:
        broken = sum(fault in PERMANENT for fault in planned.values()) if broken is None else broken
        flaky = sum(fault in FLAKY for fault in planned.values()) if flaky is None else flaky
        names = sorted(names)  # digests: an order independent of the catalogue's
        planned = {name: PERMANENT[at % len(PERMANENT)] for at, name in enumerate(names[:broken])}
        planned |= {name: FLAKY[at % len(FLAKY)] for at, name in enumerate(names[broken : broken + flaky])}
    serving.shop = dataclasses.replace(serving.shop, faults=planned)
    serving.serve_forever()


def _json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


# -- our side --------------------------------------------------------------------------------------------------------


def settings(options: argparse.Namespace, **images: Any) -> dict[str, str]:
    """Return the environment for our side: the hosts here are on the loopback interface, which it refuses otherwise."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PREFECT_API_URL", "RECSYS_HOME")}
    wanted = {"allow_hosts": json.dumps([LOOPBACK]), "timeout_s": options.timeout_s, **images}
    return environment | {f"RECSYS_IMAGES__{key.upper()}": str(value) for key, value in wanted.items()}


def write_catalogue(path: Path, products: Sequence[Product], url: str) -> Path:
    """Write the products as a catalogue whose images are on the host at `url`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*products[0].row, "image"])
        writer.writeheader()
        for product in products:
            writer.writerow(product.row | {"image": json.dumps([url + product.path])})
    return path


def prepared_home(home: Path, catalogue: Path, environment: Mapping[str, str]) -> Configuration:
    """Make a home that has taken the catalogue in and fetched nothing; return its configuration."""
    configuration = load(home, environ=environment)
    store = Store(home)
    take_in(store, str(catalogue), configuration, datetime.now(UTC))
    return configuration


def fetch_command(home: Path) -> list[str]:
    """Return the command that works through all that a prepared home has to fetch."""
    return [sys.executable, str(HERE / "fetch_all.py"), str(home)]


def run_command(home: Path, catalogue: Path) -> list[str]:
    """Return the command that does the same from the catalogue on, with Prefect and its server."""
    return [
        *(str(RECSYS), "run", "--catalogue", str(catalogue), "--home", str(home)),
        *("--stop-after", "images", "--json"),
    ]


def ledger(home: Path) -> dict[str, tuple[str, str | None]]:
    """Return (status, cause) of each product that has a row."""
    rows = Store(home, read_only=True).read("images", ["product_id", "status", "cause"]).to_pylist()
    return {row["product_id"]: (row["status"], row["cause"]) for row in rows}


def wrong_causes(
    rows: Mapping[str, tuple[str, str | None]], products: Sequence[Product], faults: Mapping[str, str]
) -> list[str]:
    """Return a line a product whose row is not what the host's plan makes it, none when all are exactly right."""
    wrong = []
    for product in products:
        fault = faults.get(product.picture, "")
        right = ("ok", None) if not fault or fault.endswith("_then_ok") else ("broken", CAUSES.get(fault, fault))
        if rows.get(product.id) != right:
            wrong.append(f"{product.id}: {fault or 'no fault'} is recorded as {rows.get(product.id)}")
    return wrong


# -- processes -------------------------------------------------------------------------------------------------------


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None, log: Path | None = None) -> Measured:
    """Run a command to its end and return what it took.

    Args:
        command: with its arguments.
        environment: of the process (default: this one's).
        log: where its standard error goes (default: to the terminal, where ours shows its progress).

    Raises:
        SystemExit: it failed.
    """
    with tempfile.TemporaryFile() as output, contextlib.ExitStack() as stack:
        errors = stack.enter_context(log.open("wb")) if log else None
        began = time.monotonic()
        process = _start(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environment)
        try:
            with PeakMemory(process.pid) as memory:
                code = process.wait()
                seconds = time.monotonic() - began
        finally:
            kill_tree(process)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if code:
        told = (log.read_text(errors="replace") if log else text)[-2_000:]
        raise SystemExit(f"error: {' '.join(map(str, command))} ended with code {code}\n{told}")
    return Measured(seconds, memory.bytes, text, code)


class PeakMemory:
    """Watches a process tree: the highest sum of its processes' memory (PSS), sampled every half second.

    PSS counts a page that several processes map once, divided among them, so that a sum is honest.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            self.bytes = max(self.bytes, sum(map(pss, process_tree(self.pid))))


def pss(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0  # it has just ended


def process_tree(pid: int) -> list[int]:
    """Return a process and all that it started, and they, and so on."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            number = int(entry.name)
            parent = int(Path(entry.path, "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(number)
    tree, at = [pid], 0
    while at < len(tree):
        tree += children.get(tree[at], [])
        at += 1
    return tree


def _start(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own; the kernel ends it when this one is killed."""
    return subprocess.Popen(
        [sys.executable, "-c", DIE_WITH_PARENT, *map(str, command)], start_new_session=True, **options
    )


def start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command without its output."""
    return _start(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, at once (SIGKILL)."""
    if process.poll() is None:
        for pid in process_tree(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


# -- telling ---------------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    """Tell what is being done, on standard error."""
    err.print(f"{datetime.now():%H:%M:%S}  {text}", soft_wrap=True)


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    return float(median(values))


def verdict(*promises: tuple[bool, str]) -> int:
    """Print each promise with whether it was kept; return the exit code, 1 when one was missed."""
    for kept, promise in promises:
        out.print(f"{'[green]kept[/green]  ' if kept else '[red]MISSED[/red]'}  {promise}")
    return 0 if all(kept for kept, _ in promises) else 1


__all__ = [
    "MB", "Host", "Measured", "PeakMemory", "Product", "Shop", "copies", "fetch_command", "free_port", "image_host",
    "kill_tree", "ledger", "measure", "middle", "out", "parser", "prepared_home", "process_tree", "run_command", "say",
    "scratch", "settings", "shop_of", "start", "table", "verdict", "write_catalogue", "wrong_causes",
]  # fmt: skip


if __name__ == "__main__":  # a sample shop's host, started by `image_host`
    _serve_sample(**json.load(sys.stdin))
