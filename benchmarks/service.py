"""The service under load over the loopback interface, with the load on the same machine.

    python benchmarks/service.py                  # stored products, then photos: a minute
    python benchmarks/service.py --minutes 10     # then both at once, with another ranking taking over in the middle
    python benchmarks/service.py --minutes 10 --home HOME     # of a shop with a trained embedding, which takes over

Asked are the recommendations of 20,000 drawn products, in any order, over 32 connections that stay open, and those of
photos, five a second. With --minutes both go on together for so long; half-way the products are ranked anew by another
rule, as after a training, and the service takes up what came out. With --home it is a shop of your own, copied first,
and half-way another of its trained embeddings is promoted, or rolled back where there is one only: all products are
embedded and ranked by it, and the service goes over to it. The raw backbone's vectors are wider and take more memory:
whether that stays flat, two embeddings show. The exit code is 1 when fewer than 1,500 requests a second are answered,
one in a hundred takes 50 ms or longer (a photo: 400 ms), a request fails, or memory grows.
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
from recsys.models.embedding.serving import models, pointer
from recsys.ranking.gallery_loading import load_gallery
from recsys.ranking.recommendations import recommend_missing
from recsys.storage.store import Store, literal

CONNECTIONS = 32
PHOTOS_A_SECOND = 5
SETTINGS = {"RECSYS_COLOUR__MASK": "none", "RECSYS_RECOMMEND__DEMO_TOP": "5"}  # as `configured`


@dataclass
class Asked:
    """What came of a kind of request: seconds of each that was answered, and what else happened."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def ms(self, share: float) -> float:
        return 1e3 * float(np.quantile(self.seconds, share)) if self.seconds else float("nan")


def main() -> int:
    parser = measuring.argparse.ArgumentParser(
        description=__doc__, formatter_class=measuring.argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--products", type=int, default=20_000, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=20, help="of each kind alone (default: %(default)g)")
    parser.add_argument("--home", type=Path, metavar="FOLDER", help="a home with a trained embedding")
    parser.add_argument("--minutes", type=float, default=0, help="of both together (default: %(default)g)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recsys-benchmark-") as scratch:
        home = Path(scratch) / "home"
        shop = copied(options.home, home) if options.home else drawn(options.products, home)
        paths, photo = [f"/products/{quote(key, safe='')}/similar" for key in shop.products], shop.photo
        with serving(home, shop.settings) as (port, process):
            asyncio.run(asking(port, paths, 3, photo=photo))  # the network is loaded by then
            say("stored products")
            products, _ = asyncio.run(asking(port, paths, options.seconds))
            say("photos")
            _, photos = asyncio.run(asking(port, [], options.seconds, photo=photo))
            together, memory = None, (0, 0)
            if options.minutes:
                say(f"both, for {options.minutes:g} minutes")
                together, memory = mixed(shop.swap, port, process.pid, paths, photo, 60 * options.minutes)

    rate = len(products.seconds) / options.seconds
    rows = [row("stored products", products, f"{rate:,.0f}"), row("photos", photos, f"{PHOTOS_A_SECOND}")]
    if together:
        rows += [row(f"together: {name}", each, "") for name, each in together.items()]
    columns = ["", "asked", "failed", "a second", "p50 ms", "p99 ms"]
    out.print(table(f"{len(paths):,} products, {CONNECTIONS} connections", columns, rows, right=columns[1:]))
    kept = [
        (rate >= 1_500, f"at least 1,500 stored products a second: {rate:,.0f}"),
        (products.ms(0.99) < 50, f"99 of 100 within 50 ms: {products.ms(0.99):.1f}"),
        (photos.ms(0.99) < 400, f"99 of 100 photos within 400 ms: {photos.ms(0.99):.0f}"),
        (not products.failures + photos.failures, f"none failed: {(products.failures + photos.failures)[:3]}"),
    ]
    if together:
        failures = [failure for each in together.values() for failure in each.failures]
        kept += [
            (not failures, f"none failed of both together: {failures[:3]}"),
            (memory[1] <= 1.1 * memory[0], f"memory flat: {memory[0] / MB:.0f} and {memory[1] / MB:.0f} MB"),
        ]
    return measuring.verdict(*kept)


def row(name: str, asked: Asked, rate: str) -> tuple[str, ...]:
    return (name, f"{len(asked.seconds):,}", f"{len(asked.failures)}", rate, f"{asked.ms(0.5):.1f}",
            f"{asked.ms(0.99):.1f}")  # fmt: skip


@dataclass(frozen=True)
class Shop:
    """What is asked for, a photo, the service's settings, and the command that has something else serve."""

    products: list[str]
    photo: bytes
    settings: dict[str, str]
    swap: list[str]


def drawn(count: int, home: Path) -> Shop:
    """Draw a shop into a home."""
    say(f"drawing {count:,} products")
    pictures = home.with_name("pictures")
    frame, _ = draw(count, home, pictures)
    recommend_missing(Store(home), configured("default"), None)
    program = f"from recommend_all import *; recommend_missing(Store({str(home)!r}), configured('original'), None)"
    photo = next(pictures.iterdir()).read_bytes()
    return Shop(frame["product_id"].tolist(), photo, SETTINGS, [sys.executable, "-c", program])


def copied(own: Path, home: Path) -> Shop:
    """Copy a shop's home."""
    shutil.copytree(own, home)
    configuration, store = load(home), Store(home)
    if not (trained := models(home)):
        raise SystemExit(f"error: {own} has no trained embedding; run 'recsys train embedding --home {own}'")
    others = [each.version for each in trained if each.version != pointer(home).version]
    swap = ["promote", "--force", others[-1]] if others else ["rollback"]
    products = load_gallery(store, configuration)[1].product_ids.tolist()
    photo = store.read("images", ["jpeg"], f"product_id = {literal(products[0])}")["jpeg"][0].as_py()
    return Shop(products, photo, {}, [str(measuring.RECSYS), "models", *swap, "--home", str(home)])


@contextlib.contextmanager
def serving(home: Path, settings: Mapping[str, str]) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run `recsys serve` over a home while the context lasts."""
    port = free_port()
    command = [str(measuring.RECSYS), "serve", "--home", str(home), "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                asyncio.run(_one(port, _get("/ready")))
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
) -> tuple[dict[str, Asked], tuple[int, int]]:
    """Ask for both kinds, have something else serve half-way; return what came, and memory near begin and end."""
    memory: list[int] = []

    async def all_of_it() -> tuple[Asked, Asked]:
        work = asyncio.create_task(asking(port, paths, seconds, photo=photo))
        for share in (0.4, 0.1, 0.4):
            await asyncio.sleep(share * seconds)
            memory.append(measuring._pss(pid))
            if len(memory) == 1:
                swapping = await asyncio.create_subprocess_exec(*swap, cwd=measuring.HERE)
        if await swapping.wait():
            raise SystemExit(f"error: {' '.join(swap)} failed")
        return await work

    products, photos = asyncio.run(all_of_it())
    return {"products": products, "photos": photos}, (memory[0], memory[-1])


async def asking(port: int, paths: list[str], seconds: float, photo: bytes | None = None) -> tuple[Asked, Asked]:
    """Ask for products over all connections, and for a photo five times a second, for so long."""
    products, photos = Asked(), Asked()
    end = time.monotonic() + seconds
    order = np.random.default_rng(0).permutation(len(paths))

    async def ask_for_products(number: int) -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        for turn in range(10**9):
            if time.monotonic() > end:
                break
            path = paths[order[(number + turn * CONNECTIONS) % len(order)]]
            reader, writer = await _timed(port, reader, writer, _get(path), products)
        writer.close()

    async def ask_for_photo(body: bytes) -> None:
        head = f"POST /similar HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        _, writer = await _timed(port, reader, writer, head.encode() + body, photos)
        writer.close()

    async def ask_for_photos(body: bytes) -> None:
        asked = []
        while time.monotonic() < end:
            asked.append(asyncio.create_task(ask_for_photo(body)))
            await asyncio.sleep(1 / PHOTOS_A_SECOND)
        await asyncio.gather(*asked)

    work = [ask_for_products(number) for number in range(CONNECTIONS)] if paths else []
    await asyncio.gather(*work, *([ask_for_photos(_varied(photo))] if photo else []))
    return products, photos


async def _timed(
    port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, asked: Asked
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request and time its answer; a connection that breaks counts as a failure, and is opened anew."""
    began = time.perf_counter()
    try:
        status = await _answered(reader, writer, request)
    except (OSError, asyncio.IncompleteReadError) as error:
        asked.failures.append(repr(error))
        return await asyncio.open_connection(LOOPBACK, port)
    if status == 200:
        asked.seconds.append(time.perf_counter() - began)
    else:
        asked.failures.append(str(status))
    return reader, writer


async def _answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


async def _one(port: int, request: bytes) -> int:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        return await _answered(reader, writer, request)
    finally:
        writer.close()


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def _varied(photo: bytes) -> bytes:
    """Return the photo at the size that a phone's browser sends it."""
    image = cv2.resize(cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR), (1024, 1024))
    return cv2.imencode(".jpg", image)[1].tobytes()


if __name__ == "__main__":
    sys.exit(main())
