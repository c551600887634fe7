"""Draw a whole sample shop into a folder, and load it again.

    out/catalogue.csv       the catalogue, PromptCloud schema
    out/images/<name>       the pictures
    out/shop.json           arguments, counts and fault plan; written last, so it marks a complete shop

An image's name is a digest of its content, so existing pictures are never drawn again: not by a second run, not by
a run after a killed one, and not when the shop grows or gets another base URL.
"""

import csv
import io
import json
import multiprocessing
import os
import re
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from recsys.core import progress
from recsys.core.errors import CatalogueError, HomeError
from sample_shop.catalogue import COLUMNS, Picture, pictures, rows
from sample_shop.faults import plan_faults
from sample_shop.scene import DRAWING, draw_picture

SMALLEST, LARGEST = 50, 100_000  # products
STAGE = "sample shop"  # label of the progress report
MOST_VIEWS = 8  # pictures of one product
SHARD = 32  # pictures that a worker draws before it reports
ALONE_BELOW = 64  # pictures below which no extra processes are started
IMAGE_NAME = re.compile(r"[0-9a-f]{32}\.(jpg|png|webp|gif)")


@dataclass(frozen=True)
class SampleShop:
    """Describe a drawn shop.

    Attributes:
        folder: its folder.
        catalogue: its CSV.
        products: requested number of rows.
        rows: rows of the CSV; a few more than products, since some are repeated.
        images: distinct image URLs, broken ones included.
        faults: the fault of each faulty image, by its name.
        base_url: address that the CSV's image URLs begin with.
        seed: its random seed.
        drawn: pictures that this call drew; 0 if all existed.
    """

    folder: Path
    catalogue: Path
    products: int
    rows: int
    images: int
    faults: dict[str, str]
    base_url: str
    seed: int
    drawn: int = 0


def draw_shop(
    out: Path,
    products: int = 600,
    seed: int = 12345,
    base_url: str = "http://127.0.0.1:8764",
    views: int | None = None,
    *,
    processes: int | None = None,
) -> SampleShop:
    """Draw a shop into the folder `out`, or return it unchanged if it exists.

    The same arguments give the same files byte for byte. A shop left incomplete by a killed run is completed.

    Args:
        out: output folder; created if missing.
        products: number of products, 50 to 100,000.
        seed: random seed of the shop.
        base_url: address that will serve the images, see `SampleHost`.
        views: pictures per product, 1 to 8; by default two thirds have one and the others two or three.
        processes: number of processes; by default one per core. They are spawned, so a script that calls this
            at its top level needs `if __name__ == "__main__":`, or `processes=1`.

    Raises:
        ValueError: `products`, `seed` or `views` is out of range.
        HomeError: the folder cannot be written to.
    """
    if not SMALLEST <= products <= LARGEST:
        raise ValueError(f"A sample shop has {SMALLEST} to {LARGEST:,} products, not {products:,}.")
    if seed < 0:
        raise ValueError(f"The seed of a sample shop is zero or more, not {seed}.")
    if views is not None and not 1 <= views <= MOST_VIEWS:
        raise ValueError(f"A product of a sample shop has 1 to {MOST_VIEWS} pictures, not {views}.")
    out, base_url = Path(out), base_url.rstrip("/")
    wanted = {"drawing": DRAWING, "seed": seed, "products": products, "base_url": base_url, "views": views}
    marker = _marker(out)
    try:
        if marker and wanted.items() <= marker.items() and _is_whole(out, marker):
            shop = _shop(out, marker)
        else:
            shop = _draw_shop(out, wanted, processes)
    except OSError as error:
        raise HomeError(f"The sample shop cannot be written to {out}: {error.strerror or error}.") from error
    progress.finish(STAGE, f"{shop.drawn:,} of {shop.images:,} pictures drawn")
    return shop


def _draw_shop(out: Path, wanted: dict[str, Any], processes: int | None) -> SampleShop:
    products, seed, base_url, views = (wanted[name] for name in ("products", "seed", "base_url", "views"))
    images = out / "images"
    images.mkdir(parents=True, exist_ok=True)

    plan = {picture.name: picture for index in range(products) for picture in pictures(seed, index, views)}
    there = {entry.name for entry in os.scandir(images)}
    missing = [picture for name, picture in plan.items() if name not in there]
    (out / "shop.json").unlink(missing_ok=True)
    for name in there - plan.keys():
        if IMAGE_NAME.fullmatch(name.removesuffix(".part")):  # from another or an incomplete shop
            (images / name).unlink()
    progress.begin(STAGE, len(missing))
    _draw(missing, images, processes)
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    written = 0
    for row in rows(seed, products, base_url, views):
        writer.writerow(row)
        written += 1
    _write(out / "catalogue.csv", table.getvalue().encode("utf-8-sig"))
    marker = wanted | {"rows": written, "images": len(plan), "faults": plan_faults(seed, plan)}
    _write(out / "shop.json", json.dumps(marker, indent=1).encode())
    return _shop(out, marker, drawn=len(missing))


def load_shop(folder: Path) -> SampleShop:
    """Return the shop that `draw_shop` drew into a folder.

    Raises:
        CatalogueError: there is no complete shop.
    """
    marker = _marker(Path(folder))
    if marker is None:
        raise CatalogueError(f"{folder} holds no complete sample shop; draw one with 'recsys sample --out {folder}'.")
    return _shop(Path(folder), marker)


def _is_whole(folder: Path, marker: dict[str, Any]) -> bool:
    """Return whether every file that the marker counts exists."""
    images = folder / "images"
    there = sum(IMAGE_NAME.fullmatch(entry.name) is not None for entry in os.scandir(images)) if images.is_dir() else 0
    return there == marker["images"] and (folder / "catalogue.csv").is_file()


def _shop(folder: Path, marker: dict[str, Any], drawn: int = 0) -> SampleShop:
    known = {name: marker[name] for name in ("products", "rows", "images", "faults", "base_url", "seed")}
    return SampleShop(folder=folder, catalogue=folder / "catalogue.csv", drawn=drawn, **known)


def _marker(folder: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads((folder / "shop.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)


def _draw(missing: list[Picture], images: Path, processes: int | None) -> None:
    """Draw pictures in shards, with several processes if there are enough pictures."""
    processes = processes or len(os.sched_getaffinity(0))
    shards = [missing[start : start + SHARD] for start in range(0, len(missing), SHARD)]
    draw = partial(_draw_shard, images)
    if processes == 1 or len(missing) < ALONE_BELOW:
        _report(map(draw, shards))
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(shards)), spawn, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        futures = [pool.submit(draw, shard) for shard in shards]
        try:
            _report(future.result() for future in as_completed(futures))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _report(counts: Iterable[int]) -> None:
    for count in counts:
        progress.advance(STAGE, count)


def _draw_shard(images: Path, shard: list[Picture]) -> int:
    """Draw and write the pictures of one shard; return their number."""
    for picture in shard:
        _write(images / picture.name, draw_picture(picture.product, picture.view))
    return len(shard)
