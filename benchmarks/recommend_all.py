"""Recommendations of every product of a shop: the original's function, asked product by product, and ours, all at once.

    python benchmarks/recommend_all.py                      # 20,000 products
    python benchmarks/recommend_all.py --products 100000    # how it grows

Both have the embeddings ready. The original's function is rebuilt from its slides: a frame of pandas for each question,
histograms of the candidates computed from their picture files when asked. Ours reads features and histograms from the
store, ranks all products by the default rule and by the original's, and writes what came out to the store, which has no
recommendations before; all of that is timed, and the memory is that of the whole process. Of the products that the
original's function was asked for, the answers by its rule must be the same. The exit code is 1 when they are not, when
either rule takes longer than promised, or when ours is not as many times faster a product.

Twenty labels of the sizes that the original had, embeddings drawn in clusters, one thousand distinct pictures.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import cv2
import measuring
import numpy as np
import pandas as pd
import pyarrow as pa
from measuring import MB, out, say, table
from numpy.typing import NDArray

from recsys.core.configuration import Configuration, load
from recsys.models import features
from recsys.models.embedding.serving import Serving
from recsys.ranking.price_levels import price_levels
from recsys.ranking.recommendations import recommend_missing
from recsys.storage.store import SCHEMAS, Store, features_schema, literal
from recsys.vision import colour

LABELS = {
    "Clothing": 6198, "Jewellery": 3531, "Footwear": 1227, "Mobiles & Accessories": 1099, "Automotive": 1012,
    "Home Decor": 929, "Home Furnishing": 880, "Beauty": 753, "Kitchen": 671, "3C": 632, "Watches": 530, "Baby": 483,
    "Tools": 472, "Toys": 330, "Pens": 313, "Bags": 265, "Sports": 166, "Cameras": 82, "Eyewear": 50, "Pets": 30,
    None: 347,
}  # fmt: skip
"""Of the 20,000 (source: the design of this project)."""
PICTURES = 1_000
SIZE = 1280
"""Numbers of an embedding: those of the default backbone, before a trained head makes them fewer."""
SEED = 12_345


def main() -> int:
    parser = measuring.argparse.ArgumentParser(
        description=__doc__, formatter_class=measuring.argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--products", type=int, default=20_000, help="default: %(default)s")
    parser.add_argument("--asked", type=int, default=100, help="of the original's function (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="promised of either rule (default: %(default)g)")
    parser.add_argument("--times", type=float, default=100, help="promised, a product (default: %(default)g)")
    parser.add_argument("--fill", type=Path, help=measuring.argparse.SUPPRESS)
    parser.add_argument("--rule", help=measuring.argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        began = time.monotonic()
        recommend_missing(Store(options.fill), ruled(options.rule), None)
        print(time.monotonic() - began)
        return 0

    with tempfile.TemporaryDirectory(prefix="recsys-benchmark-") as scratch:
        home, folder = Path(scratch) / "home", Path(scratch) / "pictures"
        say(f"drawing {options.products:,} products")
        frame, embeddings = draw(options.products, home, folder)
        took = {}
        stored = Serving.of(None, ruled("original")).recommendations
        for rule in ("default", "original"):
            Store(home).drop(stored)  # writing over those of another rule would take half a second longer
            command = [sys.executable, __file__, "--fill", str(home), "--rule", rule]
            measured = measuring.measure(command)
            took[rule] = (float(measured.output), measured.peak_bytes / MB)
            say(f"ours, the {rule} rule: {took[rule][0]:.1f} s")
        asked = np.random.default_rng(SEED).choice(len(frame), min(options.asked, len(frame)), replace=False)
        began = time.monotonic()
        expected = [get_final_recommendation(frame, embeddings, int(row)) for row in asked]
        theirs = (time.monotonic() - began) / len(asked)
        same = agreeing(Store(home), stored, frame, asked, expected)

    ratios = {rule: theirs / (seconds / len(frame)) for rule, (seconds, _) in took.items()}
    rows = [("the original's function", f"{1e3 * theirs:.1f}", f"{theirs * len(frame):,.0f} (computed)", "", "1")]
    rows += [
        (f"ours, the {rule} rule", f"{1e3 * seconds / len(frame):.3f}", f"{seconds:.1f}", f"{peak:.0f}",
         f"{ratios[rule]:,.0f}")
        for rule, (seconds, peak) in took.items()
    ]  # fmt: skip
    columns = ["", "ms a product", "s for all", "peak MB", "times faster"]
    out.print(table(f"Recommendations of {len(frame):,} products", columns, rows, right=columns[1:]))
    slowest = max(seconds for seconds, _ in took.values())
    return measuring.verdict(
        (slowest <= options.seconds, f"at most {options.seconds:g} s for all, by either rule: {slowest:.1f}"),
        (min(ratios.values()) >= options.times, f"{options.times:g} times faster: {min(ratios.values()):.0f}"),
        (same == len(asked), f"the same answers by the original's rule: {same} of {len(asked)}"),
    )


def ruled(rule: str) -> Configuration:
    """Return the configuration whose recommendations are compared: what the original returned, and no more."""
    asked = {"rule": rule, "filter": 20, "top": 5, "demo_top": 5}
    return load(flags={"recommend": asked, "colour": {"mask": "none"}}, environ={})


def draw(count: int, home: Path, folder: Path) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """Draw a shop into a home and its pictures into a folder; return its frame, and its embeddings row by row."""
    random = np.random.default_rng(SEED)
    configuration = ruled("original")
    share = np.array(list(LABELS.values())) / sum(LABELS.values())
    label = random.choice(len(LABELS), count, p=share)
    names = np.array(list(LABELS), dtype=object)
    kinds = random.standard_normal((8 * len(LABELS), SIZE), dtype=np.float32)
    embeddings = kinds[8 * label + random.integers(0, 8, count)]
    embeddings += 1.5 * random.standard_normal((count, SIZE), dtype=np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    folder.mkdir()
    picture = random.integers(0, PICTURES, count)
    histograms = np.stack([draw_picture(folder / f"{number}.jpg", configuration) for number in range(PICTURES)])
    prices = np.round(random.lognormal(6, 1, count))
    prices[random.random(count) < 0.004] = np.nan
    frame = pd.DataFrame(
        {
            "product_id": [f"p{number:06}" for number in range(count)],
            "name": [f"Product {hex(number // 2)}" for number in range(count)],  # two of a name, not of a look
            "label": pd.Series(names[label], dtype=object),
            "price": prices,
            "file": [str(folder / f"{number}.jpg") for number in picture],
        }
    )
    frame["price_level"] = price_levels(frame["price"], frame["label"], configuration.price)
    write(Store(home), frame, embeddings, histograms[picture], random, configuration)
    return frame, embeddings


def draw_picture(path: Path, configuration: Configuration) -> NDArray[np.float32]:
    """Write a picture, a few coloured ellipses on white, as JPEG; return its histogram."""
    random = np.random.default_rng(int(path.stem))
    image = np.full((256, 256, 3), 255, np.uint8)
    for _ in range(6):
        centre, axes = random.integers(60, 196, 2).tolist(), random.integers(10, 80, 2).tolist()
        shade = random.integers(0, 256, 3).tolist()
        cv2.ellipse(image, centre, axes, int(random.integers(0, 180)), 0, 360, shade, -1)
    cv2.imwrite(str(path), image)
    return colour.histogram(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), configuration.colour)


def write(
    store: Store,
    frame: pd.DataFrame,
    embeddings: NDArray[np.float32],
    histograms: NDArray[np.float32],
    random: np.random.Generator,
    configuration: Configuration,
) -> None:
    """Write what the stages before would have written; the pictures themselves are not looked at."""
    ids, count = frame["product_id"].tolist(), len(frame)
    now = [datetime.now(UTC)] * count

    def rows(schema: pa.Schema, columns: dict[str, object]) -> pa.Table:
        return pa.table({name: columns.get(name, pa.nulls(count)) for name in schema.names}).cast(schema)

    given = {"product_id": ids, "row_digest": ids, "image_digest": ids, "position": list(range(count))}
    told = {name: frame[name].tolist() for name in ("name", "label")}
    spent = pa.array(frame["price"], from_pandas=True)
    seen = {"first_seen": now, "changed": now}
    store.write("products", rows(SCHEMAS["products"], {**given, **told, **seen, "price": spent}))
    store.write("images", rows(SCHEMAS["images"], {**given, "status": ["ok"] * count}))
    store.write("labels", rows(SCHEMAS["labels"], {**given, **told, "source": ["catalogue"] * count}))
    schema = features_schema(embeddings.shape[1], histograms.shape[1])
    vectors = {
        "embedding": pa.FixedSizeListArray.from_arrays(embeddings.ravel(), embeddings.shape[1]),
        "histogram": pa.FixedSizeListArray.from_arrays(histograms.ravel(), histograms.shape[1]),
        "fingerprint": pa.array(random.integers(0, 1 << 63, count), pa.uint64()),
    }
    store.write(features.table_name(configuration), rows(schema, {**given, **vectors}))


def get_final_recommendation(
    df: pd.DataFrame,
    embeddings: NDArray[np.float32],
    index: int,
    filter: int = 20,
    top: int = 5,
    price_weight: float = 1.0,
    color_weight: float = 1.0,
) -> list[tuple[str, float]]:
    """The original's function, from its slides; returns ids and totals, best first."""
    product = df.iloc[index]
    same = df[df["label"] == product["label"]] if product["label"] is not None else df
    same = same[same["product_id"] != product["product_id"]].copy()
    same["similarity"] = embeddings[same.index] @ embeddings[index]
    nearest = same.sort_values("similarity", ascending=False, kind="stable").head(filter).copy()
    histogram = original_histogram(product["file"])
    colours, prices = [], []
    for _, item in nearest.iterrows():
        other = original_histogram(item["file"])
        distance = 0.5 * np.sum((histogram - other) ** 2 / (histogram + other + 1e-10))
        colours.append(1 - distance)
        prices.append((3 - abs(product["price_level"] - item["price_level"])) / 3)
    nearest["color_score"], nearest["price_score"] = colours, prices
    nearest["total"] = nearest["price_score"] * price_weight + nearest["color_score"] * color_weight
    best = nearest.sort_values("total", ascending=False, kind="stable").head(top)
    return list(zip(best["product_id"], best["total"], strict=True))


def original_histogram(file: str) -> NDArray[np.float64]:
    """The histogram of a picture file, 12 × 8 × 8 of HSV."""
    hsv = cv2.cvtColor(cv2.imread(file), cv2.COLOR_BGR2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, [12, 8, 8], [0, 180, 0, 256, 0, 256]).ravel().astype(np.float64)
    return counts / counts.sum()


def agreeing(
    store: Store, stored: str, frame: pd.DataFrame, asked: NDArray[np.int64], expected: list[list[tuple[str, float]]]
) -> int:
    """Return to how many questions the store has the same answer: the same products in the same order, and totals."""
    same = 0
    for row, answer in zip(asked, expected, strict=True):
        where = f"product_id = {literal(frame['product_id'][row])}"
        found = store.read(stored, ["rank", "neighbour_id", "total"], where).to_pandas().sort_values("rank")
        same += found["neighbour_id"].tolist() == [key for key, _ in answer] and np.allclose(
            found["total"], [total for _, total in answer], atol=1e-5
        )
    return same


if __name__ == "__main__":
    sys.exit(main())
