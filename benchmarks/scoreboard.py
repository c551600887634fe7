"""Measure seconds and peak memory of the scoreboard over 20,000 products; limits: 60 s and 2 GB.

    python benchmarks/scoreboard.py                     # random vectors, of the shapes of real ones
    python benchmarks/scoreboard.py --home recsys-home  # `recsys evaluate` on a home: photos, features, models

Without a home it measures the evaluation of seven models: three baselines, the raw backbone and three trained heads,
with a quarter of the products held out. Vectors, histograms and category paths are random, so the scores mean nothing;
time and memory are those of real data. The evaluation runs in a separate process, whose whole memory is measured. With
a home it measures the whole command, with reading and decoding. The exit code is 1 if a limit is exceeded.
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
from recsys.core.process import set_up_process

SIZES = {
    **{"random": 64, "pixels": 768, "HSV": 768, "raw backbone": 1280},
    **{"original": 256, "champion": 256, "challenger": 256},
}
BINS = 768
TOP_LEVELS, VALUES_BELOW = 20, (8, 6)
"""Numbers of values: top levels (of decreasing size, as in the original), and values below each value."""


def main() -> int:
    parser = measuring.argparse.ArgumentParser(
        description=__doc__, formatter_class=measuring.argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, metavar="FOLDER", help="home after a 'recsys run'")
    parser.add_argument(
        "--products", type=int, default=20_000, help="number of products without a home (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=60, help="time limit (default: %(default)g)")
    parser.add_argument("--megabytes", type=float, default=2048, help="memory limit (default: %(default)g)")
    parser.add_argument("--evaluate-only", action="store_true", help=measuring.argparse.SUPPRESS)
    options = parser.parse_args()
    if options.evaluate_only:
        evaluate_random_models(options.products)
        return 0
    if options.home:
        title = f"recsys evaluate --home {options.home}"
        command = [str(measuring.RECSYS), "evaluate", "--home", str(options.home), "--json"]
        usage = measuring.measure(command)
        seconds = usage.seconds
    else:
        title = f"{options.products:,} products, random vectors"
        usage = measuring.measure([sys.executable, __file__, "--evaluate-only", "--products", str(options.products)])
        seconds = float(usage.output)
    rows = [(title, f"{seconds:.1f}", f"{usage.peak_bytes / MB:.0f}")]
    out.print(table("The scoreboard", ["what", "seconds", "peak MB"], rows, right=["seconds", "peak MB"]))
    return measuring.verdict(
        (seconds <= options.seconds, f"at most {options.seconds:g} s: {seconds:.1f}"),
        (usage.peak_bytes <= options.megabytes * MB, f"at most {options.megabytes:g} MB: {usage.peak_bytes / MB:.0f}"),
    )


def evaluate_random_models(products: int) -> None:
    """Draw a random catalogue and seven random models, evaluate them, and print the seconds of the evaluation."""
    from recsys.evaluation.scoreboard import scoreboard

    random = np.random.default_rng(12_345)
    share = 1 / np.arange(1, TOP_LEVELS + 1)
    parts = [random.choice(TOP_LEVELS, products, p=share / share.sum())]
    parts += [random.integers(0, below, products) for below in VALUES_BELOW]
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
    started = time.monotonic()
    scoreboard(models, frame, Evaluation(), histograms)
    print(time.monotonic() - started)


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
