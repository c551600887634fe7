"""Compare recommendations for all products: the original's function per product, and ours in one run.

    python benchmarks/recommend_all.py                      # 20,000 products
    python benchmarks/recommend_all.py --products 100000    # a larger shop

Both have the embeddings precomputed. The original's function is rebuilt from its slides: a pandas frame per query, and
histograms computed from the candidates' picture files at each query. Ours reads features and histograms from the store,
ranks all products by the default rule and by the original's, and writes the result to the store, which has no
recommendations before. The time includes all of that, and the memory is that of the whole process. For the products
that the original's function was called for, the answers by its rule must be the same. The exit code is 1 when they are
not, when either rule takes longer than promised, or when ours is not as many times faster per product.

Twenty labels of the sizes that the original had, random embeddings in clusters, one thousand distinct pictures.
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
from recsys.core.process import set_up_process
from recsys.models import features
from recsys.models.embedding.serving import Serving
from recsys.ranking.price_levels import price_levels
from recsys.ranking.recommendations import recommend_missing
from recsys.storage.schemas import SCHEMAS, features_schema
from recsys.storage.store import Store, literal
from recsys.vision import colour

LABELS = {
    "Clothing": 6198, "Jewellery": 3531, "Footwear": 1227, "Mobiles & Accessories": 1099, "Automotive": 1012,
    "Home Decor": 929, "Home Furnishing": 880, "Beauty": 753, "Kitchen": 671, "3C": 632, "Watches": 530, "Baby": 483,
    "Tools": 472, "Toys": 330, "Pens": 313, "Bags": 265, "Sports": 166, "Cameras": 82, "Eyewear": 50, "Pets": 30,
    None: 347,
}  # fmt: skip
"""Number of products per label, of the original's 20,000 (source: the design of this project)."""
PICTURES = 1_000
"""Number of distinct pictures."""
SIZE = 1280
"""Numbers of an embedding: those of the default backbone, without a trained head."""
SEED = 12_345


def main() -> int:
    parser = measuring.argparse.ArgumentParser(
        description=__doc__, formatter_class=measuring.argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--products", type=int, default=20_000, help="default: %(default)s")
    parser.add_argument(
        "--queries", type=int, default=100, help="queries to the original's function (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=10, help="time limit for either rule (default: %(default)g)")
    parser.add_argument("--times", type=float, default=100, help="required speed-up per product (default: %(default)g)")
    parser.add_argument("--rank", type=Path, help=measuring.argparse.SUPPRESS)
    parser.add_argument("--rule", help=measuring.argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank:
        started = time.monotonic()
        recommend_missing(Store(options.rank), configured(options.rule), None)
        print(time.monotonic() - started)
        return 0

    with tempfile.TemporaryDirectory(prefix="recsys-benchmark-") as scratch:
        home, folder = Path(scratch) / "home", Path(scratch) / "pictures"
        say(f"drawing {options.products:,} products")
        frame, embeddings = draw(options.products, home, folder)
        measured = measure_ours(home)
        sample = np.random.default_rng(SEED).choice(len(frame), min(options.queries, len(frame)), replace=False)
        started = time.monotonic()
        expected = [get_final_recommendation(frame, embeddings, int(row)) for row in sample]
        original_seconds = (time.monotonic() - started) / len(sample)
        same = count_same_answers(Store(home), frame, sample, expected)

    ratios = {rule: original_seconds / (seconds / len(frame)) for rule, (seconds, _) in measured.items()}
    total = f"{original_seconds * len(frame):,.0f} (computed)"
    rows = [("the original's function", f"{1e3 * original_seconds:.1f}", total, "", "1")]
    rows += [
        (f"ours, the {rule} rule", f"{1e3 * seconds / len(frame):.3f}", f"{seconds:.1f}", f"{peak:.0f}",
         f"{ratios[rule]:,.0f}")
        for rule, (seconds, peak) in measured.items()
    ]  # fmt: skip
    columns = ["", "ms per product", "s for all", "peak MB", "times faster"]
    out.print(table(f"Recommendations for {len(frame):,} products", columns, rows, right=columns[1:]))
    slowest = max(seconds for seconds, _ in measured.values())
    return measuring.verdict(
        (slowest <= options.seconds, f"at most {options.seconds:g} s for all, by either rule: {slowest:.1f}"),
        (min(ratios.values()) >= options.times, f"{options.times:g} times faster: {min(ratios.values()):.0f}"),
        (same == len(sample), f"the same answers by the original's rule: {same} of {len(sample)}"),
    )


def measure_ours(home: Path) -> dict[str, tuple[float, float]]:
    """Rank all products in a process per rule; return its seconds and peak MB, by rule. The original's comes last."""
    measured = {}
    for rule in ("default", "original"):
        Store(home).drop(recommendations_table())  # overwriting those of another rule would take half a second more
        process = measuring.measure([sys.executable, __file__, "--rank", str(home), "--rule", rule])
        measured[rule] = (float(process.output), process.peak_bytes / MB)
        say(f"ours, the {rule} rule: {measured[rule][0]:.1f} s")
    return measured


def recommendations_table() -> str:
    """Return the store's table of recommendations; it is the same for both rules."""
    return Serving.of(None, configured("original")).recommendations


def configured(rule: str) -> Configuration:
    """Return the configuration that is compared: as many recommendations as the original returned."""
    recommend = {"rule": rule, "filter": 20, "top": 5, "demo_top": 5}
    return load(flags={"recommend": recommend, "colour": {"mask": "none"}}, environ={})


def draw(count: int, home: Path, folder: Path) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """Draw a shop into a home, and its pictures into a folder; return its frame and its embeddings, row by row."""
    random = np.random.default_rng(SEED)
    configuration = configured("original")
    share = np.array(list(LABELS.values())) / sum(LABELS.values())
    label = random.choice(len(LABELS), count, p=share)
    names = np.array(list(LABELS), dtype=object)
    centres = random.standard_normal((8 * len(LABELS), SIZE), dtype=np.float32)
    embeddings = centres[8 * label + random.integers(0, 8, count)]
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
            "name": [f"Product {hex(number // 2)}" for number in range(count)],  # pairs with one name
            "label": pd.Series(names[label], dtype=object),
            "price": prices,
            "file": [str(folder / f"{number}.jpg") for number in picture],
        }
    )
    frame["price_level"] = price_levels(frame["price"], frame["label"], configuration.price)
    write(Store(home), frame, embeddings, histograms[picture], random, configuration)
    return frame, embeddings


def draw_picture(path: Path, configuration: Configuration) -> NDArray[np.float32]:
    """Write a picture, six coloured ellipses on white, as JPEG; return its histogram."""
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
    """Write the rows that the earlier stages would have written; the pictures themselves are not needed."""
    ids, count = frame["product_id"].tolist(), len(frame)
    timestamps = [datetime.now(UTC)] * count

    def rows(schema: pa.Schema, columns: dict[str, object]) -> pa.Table:
        return pa.table({name: columns.get(name, pa.nulls(count)) for name in schema.names}).cast(schema)

    keys = {"product_id": ids, "row_digest": ids, "image_digest": ids, "position": list(range(count))}
    texts = {name: frame[name].tolist() for name in ("name", "label")}
    dates = {"first_seen": timestamps, "changed": timestamps}
    prices = pa.array(frame["price"], from_pandas=True)
    store.write("products", rows(SCHEMAS["products"], {**keys, **texts, **dates, "price": prices}))
    store.write("images", rows(SCHEMAS["images"], {**keys, "status": ["ok"] * count}))
    store.write("labels", rows(SCHEMAS["labels"], {**keys, **texts, "source": ["catalogue"] * count}))
    schema = features_schema(embeddings.shape[1], histograms.shape[1])
    vectors = {
        "embedding": pa.FixedSizeListArray.from_arrays(embeddings.ravel(), embeddings.shape[1]),
        "histogram": pa.FixedSizeListArray.from_arrays(histograms.ravel(), histograms.shape[1]),
        "fingerprint": pa.array(random.integers(0, 1 << 63, count), pa.uint64()),
    }
    store.write(features.table_name(configuration), rows(schema, {**keys, **vectors}))


def get_final_recommendation(
    df: pd.DataFrame,
    embeddings: NDArray[np.float32],
    index: int,
    filter: int = 20,
    top: int = 5,
    price_weight: float = 1.0,
    color_weight: float = 1.0,
) -> list[tuple[str, float]]:
    """Return ids and totals, best first: the original's function, from its slides."""
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
    """Return the histogram of a picture file, 12 × 8 × 8 of HSV."""
    hsv = cv2.cvtColor(cv2.imread(file), cv2.COLOR_BGR2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, [12, 8, 8], [0, 180, 0, 256, 0, 256]).ravel().astype(np.float64)
    return counts / counts.sum()


def count_same_answers(
    store: Store, frame: pd.DataFrame, sample: NDArray[np.int64], expected: list[list[tuple[str, float]]]
) -> int:
    """Return for how many queries the store has the same products in the same order, with the same totals."""
    same = 0
    for row, answer in zip(sample, expected, strict=True):
        of_product = f"product_id = {literal(frame['product_id'][row])}"
        stored = store.read(recommendations_table(), ["rank", "neighbour_id", "total"], of_product).to_pandas()
        stored = stored.sort_values("rank")
        same += stored["neighbour_id"].tolist() == [key for key, _ in answer] and np.allclose(
            stored["total"], [total for _, total in answer], atol=1e-5
        )
    return same


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
