"""Measure the service under load over the loopback interface, with the load on the same machine.

    python benchmarks/service.py                  # stored products, then photos: one minute
    python benchmarks/service.py --minutes 10     # then both together, with a new ranking after half of the time
    python benchmarks/service.py --minutes 10 --home HOME     # with a change of the embedding

The load is requests for the recommendations of 20,000 generated products, in random order, over 32 open connections,
and five photos a second. With --minutes, both run together. After half of that time the products are ranked again
by another rule, as after a training, and the service switches to the new ranking. With --home, the shop is a copy of
your home, and after half of the time another of its trained embeddings is promoted, or the only one is rolled back: all
products are embedded and ranked by it, and the service switches to it. The vectors of the raw backbone are wider and
need more memory, so compare two embeddings to check that the memory does not grow. The exit code is 1 when fewer than
1,500 requests a second are answered, the 99th percentile is 50 ms or more (photos: 400 ms), a request fails, or the
memory grows.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import cv2
import measuring
import numpy as np
from measuring import MB, out, say, table
from recommend_all import configured, draw

from cli.servers import LOOPBACK, free_port
from recsys.core.configuration import load
from recsys.core.process import set_up_process
from recsys.models.embedding.serving import models, pointer
from recsys.ranking.gallery_loading import load_gallery
from recsys.ranking.recommendations import recommend_missing
from recsys.storage.store import Store, literal

CONNECTIONS = 32
PHOTOS_A_SECOND = 5
SETTINGS = {"RECSYS_COLOUR__MASK": "none", "RECSYS_RECOMMEND__DEMO_TOP": "5"}  # as `configured`


@dataclass
class Outcome:
    """The outcome of one kind of request: the seconds of each answered request, and the failures."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def ms(self, share: float) -> float:
        """Return a quantile of the times, milliseconds."""
        return 1e3 * float(np.quantile(self.seconds, share)) if self.seconds else float("nan")


def main() -> int:
    parser = measuring.argparse.ArgumentParser(
        description=__doc__, formatter_class=measuring.argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--products", type=int, default=20_000, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=20, help="duration of each load alone (default: %(default)g)")
    parser.add_argument("--home", type=Path, metavar="FOLDER", help="a home with a trained embedding")
    parser.add_argument(
        "--minutes", type=float, default=0, help="duration of both loads together (default: %(default)g)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recsys-benchmark-") as scratch:
        home = Path(scratch) / "home"
        shop = copy_shop(options.home, home) if options.home else generate_shop(options.products, home)
        paths, photo = [f"/products/{quote(key, safe='')}/similar" for key in shop.products], shop.photo
        with serving(home, shop.settings) as (port, process):
            asyncio.run(send_load(port, paths, 3, photo=photo))  # warm-up: loads the network
            say("stored products")
            products, _ = asyncio.run(send_load(port, paths, options.seconds))
            say("photos")
            _, photos = asyncio.run(send_load(port, [], options.seconds, photo=photo))
            together, memory = None, (0, 0)
            if options.minutes:
                say(f"both, for {options.minutes:g} minutes")
                together, memory = mixed(shop.swap, port, process.pid, paths, photo, 60 * options.minutes)

    rate = len(products.seconds) / options.seconds
    rows = [row("stored products", products, f"{rate:,.0f}"), row("photos", photos, f"{PHOTOS_A_SECOND}")]
    if together:
        rows += [row(f"together: {name}", outcome, "") for name, outcome in together.items()]
    columns = ["", "answered", "failed", "per second", "p50 ms", "p99 ms"]
    out.print(table(f"{len(paths):,} products, {CONNECTIONS} connections", columns, rows, right=columns[1:]))
    checks = [
        (rate >= 1_500, f"at least 1,500 stored products a second: {rate:,.0f}"),
        (products.ms(0.99) < 50, f"p99 below 50 ms: {products.ms(0.99):.1f}"),
        (photos.ms(0.99) < 400, f"p99 of photos below 400 ms: {photos.ms(0.99):.0f}"),
        (not products.failures + photos.failures, f"no failure: {(products.failures + photos.failures)[:3]}"),
    ]
    if together:
        failures = [failure for outcome in together.values() for failure in outcome.failures]
        checks += [
            (not failures, f"no failure with both together: {failures[:3]}"),
            (memory[1] <= 1.1 * memory[0], f"memory does not grow: {memory[0] / MB:.0f} and {memory[1] / MB:.0f} MB"),
        ]
    return measuring.verdict(*checks)


def row(name: str, outcome: Outcome, rate: str) -> tuple[str, ...]:
    return (name, f"{len(outcome.seconds):,}", f"{len(outcome.failures)}", rate, f"{outcome.ms(0.5):.1f}",
            f"{outcome.ms(0.99):.1f}")  # fmt: skip


@dataclass(frozen=True)
class Shop:
    """The product ids, a photo, the settings of the service, and the command that changes the ranking or the model."""

    products: list[str]
    photo: bytes
    settings: dict[str, str]
    swap: list[str]


def generate_shop(count: int, home: Path) -> Shop:
    """Generate a shop in a home."""
    say(f"generating {count:,} products")
    pictures = home.with_name("pictures")
    frame, _ = draw(count, home, pictures)
    recommend_missing(Store(home), configured("default"), None)
    program = f"from recommend_all import *; recommend_missing(Store({str(home)!r}), configured('original'), None)"
    photo = next(pictures.iterdir()).read_bytes()
    return Shop(frame["product_id"].tolist(), photo, SETTINGS, [sys.executable, "-c", program])


def copy_shop(source: Path, home: Path) -> Shop:
    """Copy a shop."""
    shutil.copytree(source, home)
    configuration, store = load(home), Store(home)
    if not (trained := models(home)):
        raise SystemExit(f"error: {source} has no trained embedding; run 'recsys train embedding --home {source}'")
    others = [model.version for model in trained if model.version != pointer(home).version]
    swap = ["promote", "--force", others[-1]] if others else ["rollback"]
    products = load_gallery(store, configuration)[1].product_ids.tolist()
    photo = store.read("images", ["jpeg"], f"product_id = {literal(products[0])}")["jpeg"][0].as_py()
    return Shop(products, photo, {}, [str(measuring.RECSYS), "models", *swap, "--home", str(home)])


@contextlib.contextmanager
def serving(home: Path, settings: Mapping[str, str]) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run `recsys serve` over a home."""
    port = free_port()
    command = [str(measuring.RECSYS), "serve", "--home", str(home), "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                asyncio.run(_send_once(port, _get("/ready")))
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("error: the service did not start")
            time.sleep(0.2)
        yield port, process
    finally:
        process.terminate()
        process.wait()


def mixed(
    swap: list[str], port: int, pid: int, paths: list[str], photo: bytes, seconds: float
) -> tuple[dict[str, Outcome], tuple[int, int]]:
    """Run both loads with a change after half of the time; return the outcomes and the memory, bytes."""
    memory: list[int] = []

    async def run() -> tuple[Outcome, Outcome]:
        work = asyncio.create_task(send_load(port, paths, seconds, photo=photo))
        for share in (0.4, 0.1, 0.4):
            await asyncio.sleep(share * seconds)
            memory.append(measuring.pss(pid))
            if len(memory) == 1:
                swapping = await asyncio.create_subprocess_exec(*swap, cwd=measuring.HERE)
        if await swapping.wait():
            raise SystemExit(f"error: {' '.join(swap)} failed")
        return await work

    products, photos = asyncio.run(run())
    return {"products": products, "photos": photos}, (memory[0], memory[-1])


async def send_load(port: int, paths: list[str], seconds: float, photo: bytes | None = None) -> tuple[Outcome, Outcome]:
    """Request products over all connections, and a photo five times a second, for this time."""
    products, photos = Outcome(), Outcome()
    end = time.monotonic() + seconds
    order = np.random.default_rng(0).permutation(len(paths))

    async def request_products(number: int) -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        for turn in range(10**9):
            if time.monotonic() > end:
                break
            path = paths[order[(number + turn * CONNECTIONS) % len(order)]]
            reader, writer = await _timed(port, reader, writer, _get(path), products)
        writer.close()

    async def request_photo(body: bytes) -> None:
        head = f"POST /similar HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        _, writer = await _timed(port, reader, writer, head.encode() + body, photos)
        writer.close()

    async def request_photos(body: bytes) -> None:
        tasks = []
        while time.monotonic() < end:
            tasks.append(asyncio.create_task(request_photo(body)))
            await asyncio.sleep(1 / PHOTOS_A_SECOND)
        await asyncio.gather(*tasks)

    work = [request_products(number) for number in range(CONNECTIONS)] if paths else []
    await asyncio.gather(*work, *([request_photos(_phone_sized(photo))] if photo else []))
    return products, photos


async def _timed(
    port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, outcome: Outcome
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request and time its answer; a broken connection is a failure and is opened again."""
    started = time.perf_counter()
    try:
        status = await _send(reader, writer, request)
    except (OSError, asyncio.IncompleteReadError) as error:
        outcome.failures.append(repr(error))
        return await asyncio.open_connection(LOOPBACK, port)
    if status == 200:
        outcome.seconds.append(time.perf_counter() - started)
    else:
        outcome.failures.append(str(status))
    return reader, writer


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


async def _send_once(port: int, request: bytes) -> int:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        return await _send(reader, writer, request)
    finally:
        writer.close()


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def _phone_sized(photo: bytes) -> bytes:
    """Return the photo in the size that the page on a phone uploads."""
    image = cv2.resize(cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR), (1024, 1024))
    return cv2.imencode(".jpg", image)[1].tobytes()


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
