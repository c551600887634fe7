"""Seconds and peak memory of the scoreboard over 20,000 products: under 60 s, under 2 GB.

    python benchmarks/scoreboard.py                     # vectors drawn at random, of the shapes that real ones have
    python benchmarks/scoreboard.py --home recsys-home  # `recsys evaluate` over a home: photos, features, models

Without a home, what is timed is the judging of seven models, three baselines, the raw backbone and three trained heads,
a quarter of the products held out. Their vectors, histograms and category paths are drawn at random, in a process of
its own whose memory is measured whole: the figures mean nothing, the time and the memory are those of real ones. With a
home it is the whole command, reading and decoding included. The exit code is 1 when either limit is missed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import measuring
import numpy as np
import pandas as pd
from measuring import MB, out, table

from recsys.core.configuration import Evaluation

SIZES = {
    **{"random": 64, "pixels": 768, "HSV": 768, "raw backbone": 1280},
    **{"original": 256, "champion": 256, "challenger": 256},
}
BINS = 768
TOPS, BELOW = 20, (8, 6)
"""Values of the category path: twenty top levels of falling size, as the original's; so many below each value."""


def main() -> int:
    parser = measuring.argparse.ArgumentParser(
        description=__doc__, formatter_class=measuring.argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, metavar="FOLDER", help="a home that 'recsys run' has filled")
    parser.add_argument("--products", type=int, default=20_000, help="drawn without a home (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="promised (default: %(default)g)")
    parser.add_argument("--megabytes", type=float, default=2048, help="promised (default: %(default)g)")
    parser.add_argument("--judge", action="store_true", help=measuring.argparse.SUPPRESS)
    options = parser.parse_args()
    if options.judge:
        judge_drawn(options.products)
        return 0
    if options.home:
        what = f"recsys evaluate --home {options.home}"
        command = [str(measuring.RECSYS), "evaluate", "--home", str(options.home), "--json"]
        took = measuring.measure(command)
        seconds = took.seconds
    else:
        what = f"{options.products:,} products, vectors drawn at random"
        took = measuring.measure([sys.executable, __file__, "--judge", "--products", str(options.products)])
        seconds = float(took.output)
    rows = [(what, f"{seconds:.1f}", f"{took.peak_bytes / MB:.0f}")]
    out.print(table("The scoreboard", ["what", "seconds", "peak MB"], rows, right=["seconds", "peak MB"]))
    return measuring.verdict(
        (seconds <= options.seconds, f"at most {options.seconds:g} s: {seconds:.1f}"),
        (took.peak_bytes <= options.megabytes * MB, f"at most {options.megabytes:g} MB: {took.peak_bytes / MB:.0f}"),
    )


def judge_drawn(products: int) -> None:
    """Draw a catalogue and seven models, judge them, and print the seconds that the judging took."""
    from recsys.evaluation.scoreboard import scoreboard

    random = np.random.default_rng(12_345)
    share = 1 / np.arange(1, TOPS + 1)
    parts = [random.choice(TOPS, products, p=share / share.sum())]
    parts += [random.integers(0, below, products) for below in BELOW]
    group = np.arange(products)
    group[random.random(products) < 0.1] = 0  # a tenth are near-duplicates
    group[group == 0] = random.integers(0, products // 100, (group == 0).sum())
    frame = pd.DataFrame(
        {
            "product_id": np.arange(products).astype(str),
            "category_path": [(f"{a}", f"{a}.{b}", f"{a}.{b}.{c}") for a, b, c in zip(*parts, strict=True)],
            "group": group,
            "held_out": random.random(products)[group] < 0.25,
            "price_level": random.integers(1, 5, products).astype(float),
        }
    )
    models = {}
    for name, size in SIZES.items():
        vectors = random.standard_normal((products, size), dtype=np.float32)
        models[name] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    histograms = random.random((products, BINS), dtype=np.float32)
    histograms /= histograms.sum(axis=1, keepdims=True)
    began = time.monotonic()
    scoreboard(models, frame, Evaluation(), histograms)
    print(time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
