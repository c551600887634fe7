"""Compare the features of pictures by Keras and by ONNX Runtime: rate, start, memory, and that they are equal.

    python benchmarks/inference.py                                # efficientnet_lite0, 256 noise pictures
    python benchmarks/inference.py --backbone efficientnet_lite2  # another backbone
    python benchmarks/inference.py --photos FOLDER                # real pictures

Each measurement is a process of its own; the sides alternate. Keras runs batches of 8, its fastest on two cores. The
exit code is 1 when ONNX Runtime is less than 1.8 times as fast, when a single picture takes over 1.2 times its share of
a batch of 8, or when two features differ by more than 1e-4.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measuring import MB, middle, out, say, table, verdict

from recsys.core.configuration import Images
from recsys.core.process import set_up_process

SIDES = (("keras", 8), ("onnx", 1), ("onnx", 8))
SIDE = 256
KEPT = 1e-4
"""Largest difference of two features, of vectors of length 1."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="efficientnet_lite0", help="(default: %(default)s)")
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="folder of pictures (default: noise)")
    parser.add_argument("--pictures", type=int, default=256, help="number of pictures (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--measure", nargs=3, metavar=("SIDE", "BATCH", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        side, batch, folder = options.measure
        print(json.dumps(measure(side, int(batch), options.backbone, Path(folder))))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.save(folder / "pictures.npy", pictures(options.photos, options.pictures))
        results: dict[tuple[str, int], list[dict[str, float]]] = {side: [] for side in SIDES}
        for number in range(1, options.rounds + 1):
            for side in SIDES:
                results[side].append(run(side, options.backbone, folder))
            rates = ", ".join(f"{side} {batch}: {found[-1]['rate']:.1f}" for (side, batch), found in results.items())
            say(f"round {number} of {options.rounds}, pictures a second: {rates}")
        features = [np.load(folder / f"{side}-{batch}.npy") for side, batch in SIDES]
    rate = {side: middle([found["rate"] for found in rounds]) for side, rounds in results.items()}
    rows = [
        (
            {"keras": "Keras, TensorFlow", "onnx": "ONNX Runtime"}[side[0]],
            str(side[1]),
            f"{rate[side]:.1f}",
            f"{middle([found['start'] for found in rounds]):.2f}",
            f"{max(found['peak'] for found in rounds) / MB:.0f}",
        )
        for side, rounds in results.items()
    ]
    columns = ["features", "batch", "pictures/s", "start, s", "peak memory, MB"]
    out.print(table(f"{options.backbone}, {len(features[0])} pictures", columns, rows, right=columns[1:]))
    keras, single, batch = (rate[side] for side in SIDES)
    difference = max(float(np.abs(features[0] - other).max()) for other in features[1:])
    return verdict(
        (single >= 1.8 * keras, f"{single / keras:.2f} times the pictures a second of Keras, at least 1.8"),
        (1.2 * single >= batch, f"a single picture takes {batch / single:.2f} times its share of a batch, at most 1.2"),
        (difference <= KEPT, f"features differ by at most {difference:.1e}, allowed {KEPT:.0e}"),
    )


def pictures(photos: Path | None, count: int) -> np.ndarray:
    """Return squared pictures (n, 256, 256, 3) uint8."""
    if photos is None:
        return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    from recsys.vision.square import read_photo

    files = sorted(file for file in photos.iterdir() if file.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    return np.stack([read_photo(file, Images()) for file in files[:count]])


def run(side: tuple[str, int], backbone: str, folder: Path) -> dict[str, float]:
    """Measure one side in a process of its own."""
    command = [sys.executable, __file__, "--backbone", backbone, "--measure", side[0], str(side[1]), str(folder)]
    result: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return result


def measure(side: str, batch: int, backbone: str, folder: Path) -> dict[str, float]:
    """Return pictures a second, seconds until the first picture's features, and peak memory in bytes."""
    set_up_process()
    images = np.load(folder / "pictures.npy", mmap_mode="r")
    began = time.perf_counter()
    extract = {"keras": with_keras, "onnx": with_onnx}[side](backbone, batch)
    extract(images[:batch])
    started = time.perf_counter()
    features = np.concatenate([extract(images[row : row + batch]) for row in range(0, len(images), batch)])
    seconds = time.perf_counter() - started
    np.save(folder / f"{side}-{batch}.npy", features)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"rate": len(images) / seconds, "start": started - began, "peak": peak}


def with_keras(backbone: str, batch: int) -> Any:
    """Return a function from pictures to unit features, as Keras predicts them."""
    import keras

    from recsys.vision import backbones

    network = backbones.build(backbone, input_size=SIDE)
    pooled = keras.layers.GlobalAveragePooling2D()(network.output)
    model = keras.Model(network.input, keras.layers.UnitNormalization()(pooled))
    return model.predict_on_batch


def with_onnx(backbone: str, batch: int) -> Any:
    """Return a function from pictures to unit features, as this project computes them."""
    from recsys.vision import backbones

    return backbones.FeatureExtractor(backbone, input_size=SIDE, batch_size=batch)


if __name__ == "__main__":
    sys.exit(main())
