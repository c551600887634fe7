"""Fetch and square a catalogue's images with img2dataset and with this project: same URLs, host, size and time-out.

    python benchmarks/fetch_vs_img2dataset.py                                   # the sample shop's pictures
    python benchmarks/fetch_vs_img2dataset.py --image-host image_host.py --catalogue catalogue.csv    # real ones

Three rounds, each side in a process of its own, with a newly started host: 7.77 % of the pictures are broken
permanently, 2 % succeed at the third request. The time is from the process's start to its end; throughput counts the
fetched images; memory is the peak of the process tree (PSS). Sides:

    img2dataset   1.47, its border mode at 256 pixels, quality 95, its best number of threads (tried out first, unless
                  --threads says it), as many processes as there are cores, the shards as large as they can be without
                  leaving one of them idle, parquet for output (its fastest or level with it), no EXIF, as we keep none
    ours          a home with the catalogue, all shards fetched as the flow does, every outcome committed with its cause
    whole run     for information: `recsys run --stop-after images`, with reading the catalogue, labels, and Prefect's
                  server started and stopped

img2dataset does not retry here, which is its own default and its fastest: it loses the pictures that fail at first.
With --retries 2 it makes as many attempts as ours, gets them too, and waits three times for what hangs. Its update
check is off, since it would wait for a network.
The exit code is 1 when our throughput is not --at-least times as high, or one cause is not exactly right.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import measuring
import pyarrow.parquet as pq
from measuring import MB, Host, Product, Shop, middle, out, say, table
from rich.table import Table

from recsys.core.process import set_up_process

PINS = (
    "img2dataset==1.47.0",
    "albumentations==1.4.24",
    "albucore==0.0.23",
    "fsspec==2026.9.0",
    "numpy==2.4.6",
    "opencv-python-headless==4.14.0.94",
    "pandas==2.3.3",
    "pyarrow==26.0.1",
    "webdataset==0.2.111",
)
"""Versions for img2dataset. It has an environment of its own, because its OpenCV and pandas differ from ours."""

CORES = len(os.sched_getaffinity(0))
THREADS = (16, 32, 64, 128, 256)
PEER, OURS, WHOLE = "img2dataset", "ours", "whole run"


@dataclass(frozen=True)
class Result:
    """The result of one side in one round; `causes` counts the recorded causes of each fault of the host."""

    side: str
    seconds: float
    ok: int
    failed: int
    peak_bytes: int
    causes: dict[str, Counter[str]]
    wrong: list[str]

    @property
    def rate(self) -> float:
        """Fetched images per second."""
        return self.ok / self.seconds


def main() -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N products only")
    parser.add_argument("--latency-ms", type=float, default=0, help="latency of the host (default: 0)")
    parser.add_argument("--broken", type=int, help="pictures that always fail (default: 7.77 %% of the host's)")
    parser.add_argument("--flaky", type=int, help="pictures that fail twice (default: 2 %% of the host's)")
    parser.add_argument("--retries", type=int, default=0, help="img2dataset's retries (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="threads per img2dataset process (default: the fastest of several)")
    parser.add_argument(
        "--tune-on", type=int, default=5_000, metavar="N", help="URLs for the choice of --threads (default: 5000)"
    )
    parser.add_argument("--output-format", default="parquet", help="img2dataset's output format (default: %(default)s)")
    parser.add_argument(
        "--img2dataset",
        type=Path,
        default=measuring.HERE / ".venv-img2dataset",
        metavar="FOLDER",
        help="img2dataset's virtual environment, created if missing (default: %(default)s)",
    )
    parser.add_argument("--skip-whole-run", action="store_true", help="skip the run with Prefect")
    parser.add_argument("--at-least", type=float, default=2.5, help="required ratio (default: %(default)g)")
    options = parser.parse_args()
    shop = measuring.shop_of(options)
    program = installed(options.img2dataset)
    with measuring.scratch(options) as folder:
        return Comparison(options, shop, program, folder).run()


def installed(folder: Path) -> Path:
    """Return img2dataset's program; install it into an environment of its own if it is missing."""
    program = folder / "bin" / "img2dataset"
    if not program.exists():
        say(f"installing {PINS[0]} into {folder}, once")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        try:
            subprocess.run([*pip, *PINS], check=True, stderr=subprocess.PIPE, text=True)
        except subprocess.CalledProcessError as error:
            shutil.rmtree(folder)
            raise SystemExit(f"error: img2dataset could not be installed\n{error.stderr[-2_000:]}") from None
    return program


class Comparison:
    """The rounds of one comparison, all on one port and one list of products."""

    def __init__(self, options: argparse.Namespace, shop: Shop, program: Path, folder: Path) -> None:
        self.options, self.shop, self.program, self.folder = options, shop, program, folder
        self.products = shop.listed(options.limit)
        self.port = measuring.free_port()
        self.url = f"http://{measuring.LOOPBACK}:{self.port}"
        self.environment = measuring.settings(options)
        self.catalogue = measuring.write_catalogue(folder / "catalogue.csv", self.products, self.url)

    def run(self) -> int:
        """Measure, print the tables, and return the exit code."""
        threads = self.options.threads or self.best_threads()
        say(f"taking {len(self.products):,} products into a home")
        measuring.prepared_home(self.folder / "prepared", self.catalogue, self.environment)
        rounds: list[list[Result]] = []
        for number in range(1, self.options.rounds + 1):
            say(f"round {number} of {self.options.rounds}")
            results = [self.peer(self.products, threads), self.ours()]
            if not self.options.skip_whole_run:
                results.append(self.whole_run())
            rounds.append(results)
            out.print(round_table(f"\nRound {number}: {len(self.products):,} URLs", results))
        out.print(causes_table(rounds[-1]))
        return self.conclusion(rounds, threads)

    def conclusion(self, rounds: Sequence[Sequence[Result]], threads: int) -> int:
        """Print the medians and the promises; return the exit code."""
        sides = [[results[at] for results in rounds] for at in range(len(rounds[0]))]
        rates = [middle([result.rate for result in side]) for side in sides]
        peaks = [middle([result.peak_bytes for result in side]) for side in sides]
        rows = [
            (side[0].side, f"{rate:.0f}", f"{rate / rates[0]:.2f}", f"{peak / MB:.0f}", f"{peak / peaks[0]:.2f}")
            for side, rate, peak in zip(sides, rates, peaks, strict=True)
        ]
        columns = ["median of the rounds", "images/s", "ratio", "peak MB", "memory ratio"]
        out.print()
        out.print(table(f"{PEER} with {CORES} × {threads} threads", columns, rows, right=columns[1:]))
        wrong = [line for side in sides[1:] for result in side for line in result.wrong]
        for line in wrong[:20]:
            out.print(f"  {line}")
        return measuring.verdict(
            (rates[1] >= self.options.at_least * rates[0], f"at least {self.options.at_least:g} times its throughput"),
            (not wrong, f"every cause exactly as the host planned it, in each round ({len(wrong)} wrong)"),
        )

    def best_threads(self) -> int:
        """Return the number of threads with which img2dataset fetches most images per second, on some products."""
        products = self.products[: self.options.tune_on]
        say(f"finding {PEER}'s best number of threads on {len(products):,} URLs")
        tried = {threads: self.peer(products, threads) for threads in THREADS}
        rows = [
            (threads, f"{result.rate:.0f}", result.ok, result.failed, f"{result.peak_bytes / MB:.0f}")
            for threads, result in tried.items()
        ]
        columns = ["threads", "images/s", "ok", "failed", "peak MB"]
        out.print(table(f"{PEER}, {CORES} processes", columns, rows, right=columns))
        return max(tried, key=lambda threads: tried[threads].rate)

    def peer(self, products: Sequence[Product], threads: int) -> Result:
        """Measure img2dataset."""
        urls, output = self.folder / "urls.csv", self.folder / "img2dataset"
        shutil.rmtree(output, ignore_errors=True)
        addresses = [self.url + product.path for product in products]
        with urls.open("w", newline="") as file:
            csv.writer(file).writerows([["url"], *([address] for address in addresses)])
        parameters = {
            **{"url_list": urls, "input_format": "csv", "url_col": "url"},
            **{"output_folder": output, "output_format": self.options.output_format},
            **{"processes_count": CORES, "thread_count": threads},
            "number_sample_per_shard": min(10_000, -(-len(products) // CORES)),
            **{"image_size": 256, "resize_mode": "border", "encode_quality": 95, "extract_exif": False},
            **{"timeout": round(self.options.timeout_s), "retries": self.options.retries},
        }
        command = [str(self.program), *(f"--{name}={value}" for name, value in parameters.items())]
        environment = os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"}
        with self.host() as host:
            took = measuring.measure(command, environment, self.folder / "img2dataset.log")
            faults = host.faults()
        rows = [
            row
            for file in sorted(output.glob("*.parquet"))
            for row in pq.read_table(file, columns=["url", "status", "error_message"]).to_pylist()
        ]
        picture = dict(zip(addresses, (product.picture for product in products), strict=True))
        causes: dict[str, Counter[str]] = defaultdict(Counter)
        for row in rows:
            if fault := faults.get(picture[row["url"]]):
                causes[fault][row["error_message"] or row["status"]] += 1
        ok = sum(row["status"] == "success" for row in rows)
        return Result(PEER, took.seconds, ok, len(products) - ok, took.peak_bytes, causes, [])

    def ours(self) -> Result:
        """Measure our stage on a copy of the prepared home."""
        home = self.folder / "home"
        shutil.copytree(self.folder / "prepared", home)
        return self.recorded(OURS, home, measuring.fetch_command(home))

    def whole_run(self) -> Result:
        """Measure the whole command, from the catalogue on."""
        home = self.folder / "home"
        return self.recorded(WHOLE, home, measuring.run_command(home, self.catalogue))

    def recorded(self, side: str, home: Path, command: Sequence[str]) -> Result:
        """Measure a command of ours, read its ledger, and remove the home."""
        with self.host() as host:
            took = measuring.measure(command, self.environment)
            faults = host.faults()
        rows = measuring.ledger(home)
        shutil.rmtree(home)
        causes: dict[str, Counter[str]] = defaultdict(Counter)
        for product in self.products:
            if fault := faults.get(product.picture):
                status, cause = rows.get(product.id, ("missing", None))
                causes[fault][cause or status] += 1
        ok = sum(status == "ok" for status, _ in rows.values())
        wrong = measuring.wrong_causes(rows, self.products, faults)
        return Result(side, took.seconds, ok, len(self.products) - ok, took.peak_bytes, causes, wrong)

    def host(self) -> AbstractContextManager[Host]:
        """Return a newly started image host, because flaky pictures count their requests."""
        options = self.options
        return measuring.image_host(
            self.shop, self.port, broken=options.broken, flaky=options.flaky, latency_ms=options.latency_ms
        )


def round_table(title: str, results: Sequence[Result]) -> Table:
    """Return a round's table."""
    columns = ["side", "seconds", "ok", "failed", "images/s", "ratio", "peak MB", "causes"]
    rows = [
        (
            *(result.side, f"{result.seconds:.1f}", f"{result.ok:,}", f"{result.failed:,}", f"{result.rate:.0f}"),
            *(f"{result.rate / results[0].rate:.2f}", f"{result.peak_bytes / MB:.0f}"),
            "messages" if result.side == PEER else f"{len(result.wrong)} wrong" if result.wrong else "all right",
        )
        for result in results
    ]
    return table(title, columns, rows, right=columns[1:-1])


def causes_table(results: Sequence[Result]) -> Table:
    """Return the table of the causes that each side recorded for each fault of the host."""
    sides = results[:2]
    rows = [(fault, *(most_common(result.causes, fault) for result in sides)) for fault in sorted(sides[-1].causes)]
    return table("\nWhat was recorded for each fault", ["fault", *(result.side for result in sides)], rows)


def most_common(causes: Mapping[str, Counter[str]], fault: str) -> str:
    """Return the most frequent recorded cause of a fault, and the number of others."""
    if not causes.get(fault):
        return "nothing"
    (cause, _), *others = causes[fault].most_common()
    short = " ".join(cause.split())
    short = short if len(short) <= 48 else f"{short[:45]}..."
    return f"{short} (and {len(others)} more)" if others else short


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
