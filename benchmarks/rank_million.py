"""The recommendations of large shops: time, memory and recall against the number of products.

    python benchmarks/rank_million.py                                       # 20,000 to 1,000,000 products
    python benchmarks/rank_million.py --sizes 200000 --vectors noisy        # the harder case
    python benchmarks/rank_million.py --plot docs/pictures/rank-million.webp

Four processes run per size. The first draws the shop into a home. The second ranks all of it as a run does: it splits
the large labels (`recsys.ranking.partitions`), ranks, and writes; its time and memory are reported. The third changes
1 % of the products (a quarter each: new, removed, another picture, another price) and ranks what these outdate. The
fourth compares a sample of the stored candidates with exact search. The table has the seconds of both rankings, those
to split, the peak memory, the recall at 20, the products that the change outdates, the labels that are split and the
partitions searched. The exit code is 1 when the largest shop takes longer, or more memory, than promised, when a recall
is too low, or when the time grows faster than the given power of the size, by a straight line through all sizes in
logarithms.

The vectors have 128 numbers and the structure of a catalogue: twenty labels of the sizes that the original had, with
categories, product lines and products below them. Each level adds noise whose variance falls with the number of the
dimension, as in real embeddings. `noisy` ones have strong noise, equal in all dimensions, around the product lines.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from measuring import MB, out, say, table
from numpy.typing import NDArray

from recsys.core.configuration import Configuration, load
from recsys.core.process import set_up_process
from recsys.models import features
from recsys.models.embedding.serving import Serving
from recsys.ranking.gallery import Queries
from recsys.ranking.gallery_loading import load_gallery
from recsys.ranking.nearest_neighbours import search
from recsys.ranking.outdated import candidates_table
from recsys.ranking.partitions import stored_splits
from recsys.ranking.recommendations import recommend_missing
from recsys.storage.schemas import SCHEMAS, TIME, features_schema
from recsys.storage.store import Store, among

SIZES = (20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
LABELS = (6198, 3531, 1227, 1099, 1012, 929, 880, 753, 671, 632, 530, 483, 472, 330, 313, 265, 166, 82, 50, 30)
"""Number of products per label, of the original's 20,000 (source: the design of this project)."""
NUMBERS = 128
PER_CATEGORY, PER_LINE = 600, 30
"""Mean number of products of a category and of a product line."""
NOISE = {"catalogue": 0.5, "noisy": 1.0}
"""Length of the noise of a product around its line; a line's is 0.6, a category's 0.8, a label's 1."""
BLOCK = 50_000
SAMPLE = 1_000
SEED = 12_345


def main() -> int:
    parser = measuring.argparse.ArgumentParser(
        description=__doc__, formatter_class=measuring.argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="products (default: %(default)s)")
    parser.add_argument("--vectors", choices=NOISE, default="catalogue", help="(default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=15, help="largest accepted time (default: %(default)g)")
    parser.add_argument("--gigabytes", type=float, default=8, help="largest accepted memory (default: %(default)g)")
    parser.add_argument("--recall", type=float, default=0.99, help="required recall at 20 (default: %(default)g)")
    parser.add_argument("--exponent", type=float, default=1.15, help="largest accepted power (default: %(default)g)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the costs into a picture")
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="folder for the homes (default: temporary)")
    parser.add_argument("--step", help=measuring.argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=measuring.argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        steps = {"draw": draw, "rank": rank, "change": change, "compare": compare}
        print(json.dumps(steps[options.step](options.home, options.sizes[0], options.vectors)))
        return 0

    measured = pd.DataFrame([measure_size(size, options) for size in options.sizes])
    names = {
        "products": "{:,.0f}", "seconds": "{:.1f}", "split": "{:.1f}", "rank_mb": "{:,.0f}", "recall": "{:.4f}",
        "changed_seconds": "{:.1f}", "outdated": "{:,.0f}", "split_labels": "{:.0f}", "searched": "{}",
    }  # fmt: skip
    lines = [tuple(form.format(row[name]) for name, form in names.items()) for _, row in measured.iterrows()]
    columns = [
        "products",
        "s for all",
        "of it, s to split",
        "peak MB",
        "recall at 20",
        "s for 1 % changed",
        "ranked again",
        "labels split",
        "searched",
    ]
    out.print(table(f"Ranking, {options.vectors} vectors", columns, lines, right=columns[:-1]))
    last, exponent = measured.iloc[-1], power_law(measured)[0] if len(measured) > 1 else float("nan")
    if options.plot:
        plot(measured, options.plot)
    minutes, gigabytes = last["seconds"] / 60, last["rank_mb"] / 1024
    return measuring.verdict(
        (minutes <= options.minutes, f"at most {options.minutes:g} minutes: {minutes:.1f}"),
        (gigabytes <= options.gigabytes, f"at most {options.gigabytes:g} GB: {gigabytes:.1f}"),
        (measured["recall"].min() >= options.recall, f"recall of {options.recall:g}: {measured['recall'].min():.4f}"),
        (not exponent > options.exponent, f"time grows with at most the power {options.exponent:g}: {exponent:.2f}"),
    )


def measure_size(size: int, options: Any) -> dict[str, Any]:
    """Measure the costs of a shop of this size."""
    costs: dict[str, Any] = {"products": size}
    with tempfile.TemporaryDirectory(prefix="recsys-benchmark-", dir=options.scratch) as scratch:
        for step in ("draw", "rank", "change", "compare"):
            command = [sys.executable, __file__, "--step", step, "--home", str(Path(scratch) / "home")]
            process = measuring.measure([*command, "--sizes", str(size), "--vectors", options.vectors])
            costs |= json.loads(process.output.splitlines()[-1]) | {f"{step}_mb": process.peak_bytes / MB}
            say(f"{size:,} products: {step} {process.seconds:.0f} s, {process.peak_bytes / MB:,.0f} MB")
    return costs


def configured() -> Configuration:
    return load(flags={"colour": {"mask": "none"}}, environ={})


# -- the steps -------------------------------------------------------------------------------------------------------


def draw(home: Path, size: int, vectors: str) -> dict[str, float]:
    """Write the rows that the earlier stages would have written; the pictures themselves are not needed."""
    store, random, configuration = Store(home), np.random.default_rng(SEED), configured()
    label = random.choice(len(LABELS), size, p=np.array(LABELS) / sum(LABELS))
    embeddings, line = draw_vectors(label, vectors, random)
    bins = np.minimum(random.exponential(20, (1_000, 12)).astype(int), 767)  # a dozen of colours in each picture
    histograms = np.zeros((1_000, 768), np.float32)
    np.add.at(histograms, (np.arange(1_000)[:, None], bins * 97 % 768), random.random((1_000, 12), np.float32))
    histograms /= histograms.sum(axis=1, keepdims=True)
    prices = np.round(random.lognormal(6, 1, size))
    for start in range(0, size, BLOCK):
        block = slice(start, min(size, start + BLOCK))
        ids = [f"p{number:07}" for number in range(block.start, block.stop)]
        common: dict[str, Any] = {
            "product_id": ids, "row_digest": ids, "image_digest": ids, "position": range(block.start, block.stop),
            "name": [f"thing {each:x} {number // 2:x}" for number, each in enumerate(line[block].tolist(), start)],
            "brand": [f"brand {each % 50}" for each in line[block].tolist()],
            "label": [f"label {each}" for each in label[block].tolist()], "price": prices[block],
            "status": ["ok"] * len(ids), "source": ["catalogue"] * len(ids),
            "first_seen": [datetime.now(UTC)] * len(ids), "changed": [datetime.now(UTC)] * len(ids),
        }  # fmt: skip
        for name in ("products", "images", "labels"):
            columns = {key: common.get(key, pa.nulls(len(ids))) for key in SCHEMAS[name].names}
            store.write(name, pa.table(columns).cast(SCHEMAS[name]), new=True)
        picture = random.integers(0, len(histograms), len(ids))
        columns = {
            "image_digest": pa.array(ids),
            "embedding": pa.FixedSizeListArray.from_arrays(embeddings[block].ravel(), NUMBERS),
            "histogram": pa.FixedSizeListArray.from_arrays(histograms[picture].ravel(), histograms.shape[1]),
            "fingerprint": pa.array(random.integers(0, 1 << 63, len(ids)), pa.uint64()),
        }
        schema = features_schema(NUMBERS, histograms.shape[1])
        store.write(features.table_name(configuration), pa.table(columns, schema=schema), new=True)
    return {}


def draw_vectors(
    label: NDArray[np.int64], kind: str, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the vector (n, 128) and the product line (n,) of each product."""
    falling = 1 / np.arange(1, NUMBERS + 1)
    falling = np.sqrt(falling / falling.sum()).astype(np.float32)
    own = falling if kind == "catalogue" else np.full(NUMBERS, NUMBERS**-0.5, np.float32)

    def noise(count: int, length: float, shape: NDArray[np.float32]) -> NDArray[np.float32]:
        drawn: NDArray[np.float32] = random.standard_normal((count, NUMBERS), np.float32) * (length * shape)
        return drawn

    vectors, lines = np.empty((len(label), NUMBERS), np.float32), np.empty(len(label), np.int64)
    labels = noise(len(LABELS), 1, falling)
    for number in range(len(LABELS)):
        rows = np.flatnonzero(label == number)
        basis = np.linalg.qr(random.standard_normal((NUMBERS, NUMBERS)))[0].astype(np.float32)
        categories = labels[number] + noise(max(3, len(rows) // PER_CATEGORY), 0.8, falling) @ basis
        count = max(5, len(rows) // PER_LINE)
        sizes = random.dirichlet(np.full(len(categories), 0.5))  # large and small ones
        centres = categories[random.choice(len(categories), count, p=sizes)] + noise(count, 0.6, falling)
        lines[rows] = random.choice(count, len(rows), p=random.dirichlet(np.full(count, 0.7)))
        vectors[rows] = centres[lines[rows]] + noise(len(rows), NOISE[kind], own)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, lines


def rank(home: Path, *_: object) -> dict[str, Any]:
    """Rank all products, as a run does."""
    store, configuration, started = Store(home), configured(), time.monotonic()
    recommend_missing(store, configuration, None)
    seconds = time.monotonic() - started
    splits = stored_splits(store, Serving.of(None, configuration))
    searched = sorted({split.searched for split in splits})
    return {
        "seconds": seconds, "split": sum(split.seconds for split in splits), "split_labels": len(splits),
        "searched": ", ".join(map(str, searched)),
    }  # fmt: skip


def change(home: Path, size: int, *_: object) -> dict[str, float]:
    """Change 1 % of the products in the tables, and rank what these outdate."""
    store, configuration, random = Store(home), configured(), np.random.default_rng(SEED)
    ids = [f"p{number:07}" for number in np.sort(random.choice(size, size // 100, replace=False))]
    removed, pictured, priced, copied = (ids[part::4] for part in range(4))
    now = pa.scalar(datetime.now(UTC), TIME)

    products = store.read("products", where=among("product_id", [*removed, *priced, *copied]))
    for key, values in (
        (removed, {"removed": lambda rows: pa.array([now] * len(rows))}),
        (priced, {"price": lambda rows: pc.multiply(rows["price"], 5.0)}),
        (copied, {"product_id": renamed, "position": lambda rows: pc.add(rows["position"], size)}),
    ):
        rows = products.filter(pc.is_in(products["product_id"], pa.array(key)))
        store.write("products", with_columns(rows, values))
    for name in ("images", "labels"):
        rows = store.read(name, where=among("product_id", copied))
        store.write(name, with_columns(rows, {"product_id": renamed, "image_digest": renamed}))
    rows = store.read("images", where=among("product_id", pictured))
    store.write("images", with_columns(rows, {"image_digest": renamed}))
    table = features.table_name(configuration)
    rows = store.read(table, where=among("image_digest", [*pictured, *copied]))
    vectors = rows["embedding"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    vectors = vectors + 0.02 * random.standard_normal(vectors.shape, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    column = pa.FixedSizeListArray.from_arrays(vectors.ravel(), NUMBERS)
    store.write(table, with_columns(rows, {"image_digest": renamed, "embedding": lambda _: column}))

    started = time.monotonic()
    outdated = recommend_missing(store, configuration, None)
    return {"changed_seconds": time.monotonic() - started, "outdated": outdated}


def renamed(rows: pa.Table) -> pa.ChunkedArray:
    """Return the first column of rows, the product's id or its picture's, with a mark."""
    return pc.binary_join_element_wise(rows.column(0), "new", "-")


def with_columns(rows: pa.Table, values: dict[str, Any]) -> pa.Table:
    """Return rows with other values of the columns that they have."""
    computed = {name: compute(rows) for name, compute in values.items() if name in rows.column_names}
    for name, column in computed.items():
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column)
    return rows


def compare(home: Path, *_: object) -> dict[str, float]:
    """Return the recall at 20 of the stored candidates of a sample; those as like as the last exact one count."""
    store, configuration = Store(home), configured()
    serves = Serving.of(None, configuration)
    _, gallery = load_gallery(store, configuration, serves)
    rows = np.sort(np.random.default_rng(SEED).choice(len(gallery), min(SAMPLE, len(gallery)), replace=False))
    stored = store.read(candidates_table(serves), where=among("product_id", gallery.product_ids[rows].tolist()))
    ids = dict(zip(stored["product_id"].to_pylist(), stored["neighbour_ids"].to_pylist(), strict=True))
    queries, rule, shares = Queries.of(gallery, rows), configuration.recommend, []
    for exact in search(queries, gallery, rule.filter, collapse=rule.collapses):
        for query, cosines in zip(exact.queries, exact.cosines, strict=True):
            found = gallery.rows_of(ids[gallery.product_ids[rows[query]]])
            likeness = gallery.embeddings[found] @ queries.embeddings[query]
            shares.append((likeness >= np.nanmin(cosines) - 1e-5).sum() / np.isfinite(cosines).sum())
    return {"recall": float(np.mean(shares))}


# -- the curve -------------------------------------------------------------------------------------------------------


def power_law(measured: pd.DataFrame) -> tuple[float, float]:
    """Return exponent and factor of the time: a straight line through all sizes in logarithms."""
    exponent, logarithm = np.polyfit(np.log(measured["products"]), np.log(measured["seconds"]), 1)
    return float(exponent), float(np.exp(logarithm))


def plot(measured: pd.DataFrame, path: Path) -> None:
    """Draw the time and the memory against the size."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    exponent, factor = power_law(measured)
    axes[0].loglog(measured["products"], measured["seconds"], "o-", label="measured")
    ends = np.array([measured["products"].min(), measured["products"].max()])
    axes[0].loglog(ends, factor * ends**exponent, "--", linewidth=1, label=f"products to the power {exponent:.2f}")
    axes[0].set(title="All recommendations, s", xlabel="products")
    axes[0].legend()
    axes[1].loglog(measured["products"], measured["rank_mb"], "o-")
    axes[1].set(title="Memory, peak MB", xlabel="products")
    for axis in axes:
        axis.grid(which="both", alpha=0.2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, format=path.suffix[1:])


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
