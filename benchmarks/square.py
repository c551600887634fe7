"""Compare decoding and squaring of large pictures: this project and the original project's full decode.

    python benchmarks/square.py                       # large JPEGs, drawn on the fly
    python benchmarks/square.py --photos originals    # a folder of real ones

Alternating rounds over the same bytes in one process and one thread; each side ends with a JPEG of 256 × 256 pixels
at quality 95. It also prints the difference between the two results, and of each from an anti-aliased reference
(the full picture, scaled by area), as the mean absolute difference of a channel on the scale of 0 to 255. Pictures
that are not JPEG are decoded in full on both sides. The exit code is 1 when ours is slower, or further from the
reference than the original recipe.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from measuring import MB, middle, out, say, table, verdict

from recsys.core.configuration import Images
from recsys.core.process import set_up_process
from recsys.vision.image_decoding import PictureError, decode
from recsys.vision.square import encode, square_picture

SIDE = 256
SETTINGS = Images()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--photos", type=Path, metavar="FOLDER", help="folder of original pictures (default: drawn ones)"
    )
    parser.add_argument("--drawn", type=int, default=24, help="pictures to draw (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pictures = photos(options.photos) if options.photos else drawn(options.drawn)
    encode(ours(pictures[0]), SETTINGS.jpeg_quality)  # the first call of all loads and sets up what it needs
    say(f"{len(pictures)} pictures, {sum(map(len, pictures)) / MB:.0f} MB")
    sides: dict[str, Callable[[bytes], np.ndarray]] = {"original": original, "ours": ours}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(1, options.rounds + 1):
        for name, squared in sides.items():
            began = time.perf_counter()
            for data in pictures:
                encode(squared(data), SETTINGS.jpeg_quality)
            seconds[name].append(time.perf_counter() - began)
        message = ", ".join(f"{name} {took[-1]:.1f} s" for name, took in seconds.items())
        say(f"round {number} of {options.rounds}: {message}")
    say("comparing the results")
    compared = [(original(data), ours(data), reference(data)) for data in pictures]
    apart = {
        "ours to original": [difference(a, b) for a, b, _ in compared],
        "original to reference": [difference(a, c) for a, _, c in compared],
        "ours to reference": [difference(b, c) for _, b, c in compared],
    }
    rates = {name: [len(pictures) / took for took in took_all] for name, took_all in seconds.items()}
    ratio = middle(rates["ours"]) / middle(rates["original"])
    rows = [(name, *(f"{rate:.1f}" for rate in rated), f"{middle(rated):.1f}") for name, rated in rates.items()]
    columns = ["images/s", *(f"round {number + 1}" for number in range(options.rounds)), "median"]
    out.print(table("Decode, square, encode", columns, rows, right=columns[1:]))
    rows = [(name, f"{statistics.mean(values):.2f}", f"{max(values):.2f}") for name, values in apart.items()]
    columns = ["mean absolute difference of 255", "mean", "worst picture"]
    out.print()
    out.print(table("Likeness", columns, rows, right=columns[1:]))
    near = statistics.mean(apart["ours to reference"])
    far = statistics.mean(apart["original to reference"])
    return verdict(
        (ratio >= 1, f"not slower than the original recipe: {ratio:.2f} times as fast"),
        (near <= far, f"not further from the anti-aliased reference: {near:.2f}, the original recipe {far:.2f}"),
    )


def ours(data: bytes) -> np.ndarray:
    """Return a picture squared by this project: (256, 256, 3) RGB."""
    return square_picture(decode(data, SETTINGS.max_pixels, SIDE), SIDE)


def original(data: bytes) -> np.ndarray:
    """Return a picture squared by the original project's recipe: (256, 256, 3) RGB."""
    return bordered(data, cv2.INTER_CUBIC)


def reference(data: bytes) -> np.ndarray:
    """Return a picture squared without aliasing: (256, 256, 3) RGB."""
    return bordered(data, cv2.INTER_AREA)


def bordered(data: bytes, interpolation: int) -> np.ndarray:
    """Decode in full, scale the longest side to 256, truncate the other, add white; the odd pixel right or bottom."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    longest = max(height, width)
    # In whole numbers, as ours: the recipe's int(width * (256 / longest)) loses a pixel to rounding, as for 98.
    width, height = (max(1, length * SIDE // longest) for length in (width, height))
    image = cv2.resize(image, (width, height), interpolation=interpolation)
    left, top = (SIDE - width) // 2, (SIDE - height) // 2
    image = cv2.copyMakeBorder(
        *(image, top, SIDE - height - top, left, SIDE - width - left, cv2.BORDER_CONSTANT), value=(255, 255, 255)
    )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean absolute difference of two pictures."""
    return float(cv2.absdiff(one, other).mean())


def photos(folder: Path) -> list[bytes]:
    """Return the files of a folder that both sides can read."""
    pictures = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        data = path.read_bytes()
        try:
            decode(data, SETTINGS.max_pixels, SIDE)
        except PictureError as error:
            say(f"{path.name} is left out: {error}")
            continue
        pictures.append(data)
    if not pictures:
        raise SystemExit(f"error: {folder} holds no picture")
    return pictures


def drawn(count: int) -> list[bytes]:
    """Return JPEGs of 2 to 24 megapixels, like a shop's: a textured object with many edges on a white background."""
    random = np.random.default_rng(12_345)
    pictures = []
    for number in range(count):
        height, width = (int(side) for side in random.integers(1_400, 4_900, 2))
        texture = random.integers(0, 256, (height // 40, width // 40, 3)).astype(np.uint8)
        image = cv2.resize(texture, (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(400):
            centre = int(random.integers(width)), int(random.integers(height))
            axes = int(random.integers(2, width // 20)), int(random.integers(2, height // 20))
            colour = tuple(int(value) for value in random.integers(0, 256, 3))
            thickness = int(random.choice([-1, 1, 2, 5]))
            cv2.ellipse(image, centre, axes, float(random.integers(360)), 0, 360, colour, thickness, cv2.LINE_AA)
        shape = np.zeros((height, width), np.uint8)
        cv2.ellipse(shape, (width // 2, height // 2), (width * 2 // 5, height * 2 // 5), 0, 0, 360, 255, -1)
        image[shape == 0] = 255
        noise = random.normal(0, 4, (height, width, 1)).astype(np.int8)
        image = np.clip(image.astype(np.int16) + noise, 0, 255).astype(np.uint8)
        pictures.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85 + number % 10])[1].tobytes())
    return pictures


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
