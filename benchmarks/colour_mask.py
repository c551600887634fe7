"""Compare the colour score with the product's mask and with the original's histogram of the whole square.

    python benchmarks/colour_mask.py --home HOME                    # a home with features
    python benchmarks/colour_mask.py --photos FOLDER                # photos alone, as products of one label
    python benchmarks/colour_mask.py --home HOME --grids grids.png  # twenty queries with their best five, both ways

It prints the time of a picture's histogram both ways, in alternating rounds in one thread, and how often the best five
agree with their query in the dominant colour and in the colour words of the catalogue (see
`recsys/evaluation/colour_agreement.py`). The exit code is 1 when the masked histogram takes more than 5 ms a picture,
or raises the agreement of the dominant colour among the best five by colour by less than a fifth.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from measuring import middle, out, say, table, verdict

from recsys.core.configuration import Colour, load
from recsys.core.process import set_up_process
from recsys.evaluation.colour_agreement import (
    TOP,
    ColourFeatures,
    colour_features,
    compare_masks,
    draw_sample,
    nearest_by_colour,
)
from recsys.storage.store import Store
from recsys.vision.colour import histogram
from recsys.vision.image_decoding import PictureError, decode
from recsys.vision.square import decode_squared, encode, square_picture

MOST_MS = 5.0
LEAST_RATIO = 1.2
SIDE = 128
"""Pixels for GrabCut: finer than in the report, which has less time."""
GRIDS, TILE, GAP = 20, 96, 6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--home", type=Path, help="home of a shop with features")
    source.add_argument("--photos", type=Path, metavar="FOLDER", help="folder of pictures")
    parser.add_argument("--products", type=int, default=1_000, help="largest number of products (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="timing rounds (default: %(default)s)")
    parser.add_argument("--grids", type=Path, metavar="PNG", help="draw twenty queries with their best five")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    gallery = rule = None
    if options.home:
        configuration = load(options.home)
        drawn = draw_sample(Store(options.home), configuration, options.products, options.products)
        if drawn is None:
            raise SystemExit(f"error: {options.home} has no features of its configuration; run 'recsys run' first")
        jpegs, sizes, texts, labels = drawn.jpegs, drawn.sizes, drawn.texts, drawn.gallery.labels
        gallery, rule, settings = drawn.gallery, configuration.recommend, configuration.colour
    else:
        jpegs, sizes, texts = photos(options.photos, options.products)
        labels, settings = np.full(len(jpegs), "photos", dtype=object), Colour()
    pictures = [decode_squared(jpeg) for jpeg in jpegs]
    say(f"{len(pictures)} pictures")
    milliseconds = timed(pictures, settings, options.rounds)
    say("comparing the best five")
    seen = colour_features(pictures, sizes, settings, SIDE)
    figures = compare_masks(seen, labels, texts, gallery, rule)
    if options.grids:
        options.grids.write_bytes(grids(pictures, seen, labels))
        say(f"{options.grids}: of each query the best five without (upper row) and with the mask")

    columns = ["ms a picture", *(f"round {number + 1}" for number in range(options.rounds)), "median"]
    rows = [(name, *(f"{took:.2f}" for took in each), f"{middle(each):.2f}") for name, each in milliseconds.items()]
    out.print(table("The histogram", columns, rows, right=columns[1:]))
    columns = ["judged by", "ranked by", "products", "without", "with mask", "ratio", "95 %"]
    rows = [
        (f.judged_by, f.ranked_by, f"{f.products}", f"{f.without:.3f}", f"{f.masked:.3f}", f"{f.ratio:.2f}",
         f"{f.low:.2f} to {f.high:.2f}")
        for f in figures
    ]  # fmt: skip
    out.print()
    out.print(table("Agreement of the best five with their query", columns, rows, right=columns[2:]))
    ratio = next((f.ratio for f in figures if (f.judged_by, f.ranked_by) == ("dominant colour", "colour")), 0.0)
    took = middle(milliseconds["product"])
    return verdict(
        (took <= MOST_MS, f"at most {MOST_MS:g} ms a picture with the mask: {took:.2f}"),
        (
            ratio >= LEAST_RATIO,
            f"dominant colour among the best five by colour: {ratio:.2f} times as often, promised 1.2",
        ),
    )


def timed(pictures: Sequence[np.ndarray], settings: Colour, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds a picture of each variant's rounds."""
    took: dict[str, list[float]] = {"none": [], "product": []}
    for number in range(1, rounds + 1):
        for mask, all_took in took.items():
            variant = settings.model_copy(update={"mask": mask})
            began = time.perf_counter()
            for picture in pictures:
                histogram(picture, variant)
            all_took.append(1e3 * (time.perf_counter() - began) / len(pictures))
        say(f"round {number} of {rounds}: " + ", ".join(f"{mask} {each[-1]:.2f} ms" for mask, each in took.items()))
    return took


def photos(folder: Path, count: int) -> tuple[list[bytes], list[tuple[int, int]], list[str]]:
    """Return the first pictures of a folder as the store would keep them, their sizes and their names."""
    jpegs, sizes, names = [], [], []
    for path in sorted(path for path in folder.iterdir() if path.is_file())[:count]:
        try:
            picture = decode(path.read_bytes(), 100_000_000, 256)
        except PictureError as error:
            say(f"{path.name} is left out: {error}")
            continue
        jpegs.append(encode(square_picture(picture, 256), 95))
        sizes.append((picture.width, picture.height))
        names.append(path.stem)
    if not jpegs:
        raise SystemExit(f"error: {folder} holds no picture")
    return jpegs, sizes, names


def grids(pictures: Sequence[np.ndarray], seen: ColourFeatures, labels: np.ndarray) -> bytes:
    """Return a PNG of twenty queries in two columns, each with its best five by colour, without and with the mask."""
    queries = np.random.default_rng(12_345).choice(len(pictures), min(GRIDS, len(pictures)), replace=False)
    ranked = [nearest_by_colour(histograms, labels) for histograms in (seen.without, seen.masked)]
    tiles = [cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_AREA) for picture in pictures]
    empty = np.full_like(tiles[0], 128)
    blocks = []
    for query in queries:
        rows = [
            np.hstack([tiles[query], *(tiles[row] if row >= 0 else empty for row in neighbours[query])])
            for neighbours in ranked
        ]
        block = np.vstack(rows)
        block[:, TILE - 1 : TILE + 1] = (200, 30, 30)
        blocks.append(cv2.copyMakeBorder(block, GAP, GAP, GAP, GAP, cv2.BORDER_CONSTANT, value=(60, 60, 60)))
    blocks += [np.full_like(blocks[0], 60)] * (len(blocks) % 2)
    half = len(blocks) // 2
    sheet = np.hstack([np.vstack(blocks[:half]), np.vstack(blocks[half:])])
    assert sheet.shape[1] == 2 * ((TOP + 1) * TILE + 2 * GAP)
    return cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes()


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
