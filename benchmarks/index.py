"""One query to a large shop: exact search against LanceDB's index, as `recsys.ranking.ann_index` uses it.

    python benchmarks/index.py                                       # 20,000 to 1,000,000 products, ten minutes
    python benchmarks/index.py --kind ivf_pq --sizes 200000          # another index
    python benchmarks/index.py --plot docs/pictures/index.webp

Three processes run per size, one after another. The first draws the shop, in blocks. The second builds the index and
measures its recall on a sample, as a run does. The third holds the gallery and answers queries one at a time, exactly
and with the index. The memory is that of the last two, each as a whole process. Queries are new photos: members of the
shop, changed a little. They retrieve the 20 nearest of the whole shop, of a label (5 %), of a price level (30 %), of
the products in stock (80 %), and of all brands but one. The exit code is 1 when a recall is below the bound, the memory
above the promise, or the index not faster at the largest size.

The costs of a larger shop are extrapolated from the three largest sizes by a power law: a straight line in logarithms.

The embeddings are in 2,000 clusters of 128 numbers, large and small, wide in some directions and narrow in others, a
hundred around each of 20 labels: the 20th nearest has a cosine of about 0.8.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pandas as pd
import pyarrow as pa
from measuring import MB, out, say, table
from numpy.typing import NDArray

from recsys.core.configuration import Configuration, load
from recsys.core.process import set_up_process
from recsys.models.embedding.serving import Serving
from recsys.ranking.ann_index import load_index
from recsys.ranking.ann_index_building import ensure_index
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.nearest_neighbours import Shortlist, search
from recsys.storage.schemas import embeddings_schema
from recsys.storage.store import Store

SIZES = (20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
LARGER = 5_800_000
NUMBERS, CLUSTERS, LABELS, BRANDS = 128, 2_000, 20, 30
SPREAD, CHANGE = 0.7, 0.3
"""Distance of a member from the centre of its cluster, and of a photo from its product; a centre has length 1."""
BLOCK = 50_000
"""Number of products that are drawn at once."""
QUERIES, WARM_UP = 200, 20
"""Number of timed queries, and of queries before them."""
COUNT = 20
"""Number of neighbours per query."""
SEED = 12_345
SERVES = Serving("drawn", None, "embeddings-drawn", "recommendations-drawn")


def main() -> int:
    parser = measuring.argparse.ArgumentParser(
        description=__doc__, formatter_class=measuring.argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="products (default: %(default)s)")
    parser.add_argument("--kind", default="ivf_flat", help="kind of the index (default: %(default)s)")
    parser.add_argument("--recall", type=float, default=0.99, help="required recall (default: %(default)g)")
    parser.add_argument("--gigabytes", type=float, default=6, help="largest accepted memory (default: %(default)g)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the costs into a picture")
    parser.add_argument(
        "--scratch", type=Path, metavar="FOLDER", help="folder for the drawn shops (default: temporary)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the measurements")
    parser.add_argument("--step", help=measuring.argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=measuring.argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        steps = {"draw": draw, "build": build, "query": query}
        print(json.dumps(steps[options.step](options.home, options.sizes[0], options.kind, options.recall)))
        return 0

    measured = pd.DataFrame([measure_size(size, options) for size in options.sizes])
    if options.json:
        measured.to_json(options.json, orient="records", indent=1)
    print_costs(measured)
    if len(measured) > 2:
        print_extrapolated(measured)
    if options.plot:
        plot(measured, options.plot)
    last = measured.iloc[-1]
    recalls = [last[name] for name in measured if name.startswith("recall")]
    peak = max(last["build_mb"], last["query_mb"]) / 1024
    return measuring.verdict(
        (min(recalls) >= options.recall, f"recall at 20 of {options.recall:g}, filtered too: {min(recalls):.4f}"),
        (peak <= options.gigabytes, f"{options.gigabytes:g} GB of memory: {peak:.1f}"),
        (
            last["index_p50"] < last["exact_p50"],
            f"the index is faster: {last['exact_p50'] / last['index_p50']:.1f} times",
        ),
    )


def measure_size(size: int, options: Any) -> dict[str, float]:
    """Measure the costs of a shop of this size."""
    costs: dict[str, float] = {"products": size}
    with tempfile.TemporaryDirectory(prefix="recsys-benchmark-", dir=options.scratch) as scratch:
        for step in ("draw", "build", "query"):
            command = [sys.executable, __file__, "--step", step, "--home", str(Path(scratch) / "home")]
            command += ["--sizes", str(size), "--kind", options.kind, "--recall", str(options.recall)]
            process = measuring.measure(command)
            costs |= json.loads(process.output.splitlines()[-1]) | {f"{step}_mb": process.peak_bytes / MB}
    say(
        f"{size:,} products: " + ", ".join(f"{name} {value:.4g}" for name, value in costs.items() if name != "products")
    )
    return costs


def configured(size: int, kind: str, recall: float) -> Configuration:
    """Return a configuration that uses the index at this size, but not within one label."""
    return load(flags={"index": {"from_products": size // 5, "kind": kind, "recall": recall}}, environ={})


# -- drawing ---------------------------------------------------------------------------------------------------------


def draw(home: Path, size: int, *_: object) -> dict[str, float]:
    """Write the embeddings of a shop, and the values that are filtered by."""
    store, random = Store(home), np.random.default_rng(SEED)
    cluster = random.choice(CLUSTERS, size, p=shares(random))
    for start, vectors in members(cluster, random):
        keys = pa.array(f"{row:08x}" for row in range(start, start + len(vectors)))
        column = pa.FixedSizeListArray.from_arrays(vectors.ravel(), NUMBERS)
        store.write(SERVES.embeddings, pa.table([keys, column], schema=embeddings_schema(NUMBERS)), new=True)
    levels = random.choice([1.0, 2.0, 3.0, 4.0], size, p=[0.30, 0.35, 0.25, 0.10])
    brands = (cluster // LABELS + random.integers(0, 3, size)) % BRANDS  # correlated with the embedding
    np.savez(home / "shop.npz", labels=cluster % LABELS, levels=levels, stock=random.random(size) < 0.8, brands=brands)
    return {}


def shares(random: np.random.Generator) -> NDArray[np.float64]:
    """Return the share of each cluster; the first label has 5 %."""
    sizes = random.lognormal(0, 1, CLUSTERS)
    first = np.arange(CLUSTERS) % LABELS == 0
    sizes[first] *= 0.05 / 0.95 * sizes[~first].sum() / sizes[first].sum()
    return np.asarray(sizes / sizes.sum())


def members(cluster: NDArray[np.int64], random: np.random.Generator) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the first row and the vectors (b, 128), of unit length, block by block."""

    def random_unit(count: int) -> NDArray[np.float32]:
        return unit(random.standard_normal((count, NUMBERS), dtype=np.float32))

    centres = unit(random_unit(CLUSTERS) + 0.6 * random_unit(LABELS)[np.arange(CLUSTERS) % LABELS])
    widths = SPREAD * unit(np.exp(random.standard_normal((CLUSTERS, NUMBERS), dtype=np.float32)))
    for start in range(0, len(cluster), BLOCK):
        of_block = cluster[start : start + BLOCK]
        offsets = widths[of_block] * random.standard_normal((len(of_block), NUMBERS), dtype=np.float32)
        yield start, unit(centres[of_block] + offsets)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


# -- measuring -------------------------------------------------------------------------------------------------------


def build(home: Path, size: int, kind: str, recall: float) -> dict[str, float]:
    """Build the index as a run does."""
    started = time.monotonic()
    record = ensure_index(Store(home), configured(size, kind, recall), SERVES)
    assert record is not None
    if not record.is_good:
        raise SystemExit(f"error: {kind} of {size:,} products has a recall of only {record.recall:.4f}")
    costs = {"build_s": record.seconds, "ensure_s": time.monotonic() - started, "index_mb": record.bytes / MB}
    return costs | {"effort": record.effort, "sampled_recall": record.recall}


def query(home: Path, size: int, kind: str, recall: float) -> dict[str, float]:
    """Run queries, one at a time, exactly and with the index, with and without filters."""
    store = Store(home)
    shop = np.load(home / "shop.npz")
    gallery, frame = gallery_of(store, shop)
    shortlist = load_index(store, configured(size, kind, recall), SERVES, frame, gallery)
    assert shortlist is not None
    queries = photos(gallery)
    filters = {
        "": None,
        "label": shop["labels"] == 0,
        "price": shop["levels"] == 1,
        "stock": shop["stock"],
        "brand": shop["brands"] != 0,
    }
    results: dict[str, float] = {}
    for name, allowed in filters.items():
        suffix = f"_{name}" if name else ""
        exact_seconds, truth = timed_search(queries, gallery, allowed, None)
        index_seconds, rows = timed_search(queries, gallery, allowed, shortlist)
        results[f"recall{suffix}"] = float(np.mean([np.isin(a, b).mean() for a, b in zip(truth, rows, strict=True)]))
        for method, seconds in (("exact", exact_seconds), ("index", index_seconds)):
            p50, p99 = np.percentile(1e3 * seconds, [50, 99]).tolist()
            results |= {f"{method}_p50{suffix}": p50, f"{method}_p99{suffix}": p99}
    return results


def gallery_of(store: Store, shop: Any) -> tuple[Gallery, pd.DataFrame]:
    """Return the shop as a gallery, with empty histograms, and the digests of its pictures."""
    rows = store.read(SERVES.embeddings)
    keys = rows["image_digest"].to_numpy()
    stored = rows["embedding"].combine_chunks().flatten().to_numpy()
    embeddings = stored.reshape(len(rows), NUMBERS).copy()  # numpy's memory, as in a gallery: twice as fast
    labels = np.char.add("label ", shop["labels"].astype(str)).astype(object)
    empty = np.zeros((len(rows), 1), np.float32)
    return Gallery(SERVES.version, keys, labels, shop["levels"], embeddings, empty), pd.DataFrame(
        {"image_digest": keys}
    )


def photos(gallery: Gallery) -> Queries:
    """Return new photos of some of the shop's products."""
    random = np.random.default_rng(SEED + 1)
    count = WARM_UP + QUERIES
    vectors = gallery.embeddings[random.choice(len(gallery), count, replace=False)]
    vectors = unit(vectors + CHANGE * unit(random.standard_normal(vectors.shape, dtype=np.float32)))
    unknown = np.full(count, None, dtype=object)
    return Queries(
        SERVES.version, np.full(count, -1), unknown, np.full(count, 2.5), vectors, np.zeros((count, 1), np.float32)
    )


def timed_search(
    queries: Queries, gallery: Gallery, allowed: NDArray[np.bool_] | None, shortlist: Shortlist | None
) -> tuple[NDArray[np.float64], list[NDArray[np.int64]]]:
    """Return the seconds and the neighbours of each query after the warm-up."""
    arrays = ("rows", "labels", "price_levels", "embeddings", "histograms")
    seconds, neighbours = [], []
    for k in range(len(queries.rows)):
        single = Queries(queries.version, *(getattr(queries, name)[k : k + 1] for name in arrays))
        started = time.perf_counter()
        ((_, rows, _),) = search(single, gallery, COUNT, allowed=allowed, shortlist=shortlist)
        seconds.append(time.perf_counter() - started)
        neighbours.append(rows[0])
    return np.array(seconds[WARM_UP:]), neighbours[WARM_UP:]


# -- reporting ---------------------------------------------------------------------------------------------------------

COSTS = {
    "build_s": "build s",
    "index_mb": "index MB",
    "build_mb": "build, peak MB",
    "query_mb": "query, peak MB",
    "exact_p50": "exact p50 ms",
    "index_p50": "index p50 ms",
}
"""Hold the costs that are extrapolated to a larger shop."""


def print_costs(measured: pd.DataFrame) -> None:
    """Print the costs of each size, and those of filters at the largest."""
    times = [f"{method}_p{rank}" for method in ("exact", "index") for rank in (50, 99)]
    costs, answers = [], []
    for _, row in measured.iterrows():
        size = f"{row['products']:,.0f}"
        costs.append((size, *(f"{row[name]:,.1f}" for name in COSTS if name not in times)))
        answers.append((size, *(f"{row[name]:.1f}" for name in times), f"{row['effort']:.0f}", f"{row['recall']:.4f}"))
    columns = ["products", *(text for name, text in COSTS.items() if name not in times)]
    out.print(table("The index", columns, costs, right=columns))
    columns = ["products", "exact p50 ms", "p99", "index p50 ms", "p99", "partitions", "recall at 20"]
    out.print(table("One query to the whole shop", columns, answers, right=columns))
    last = measured.iloc[-1]
    filters = {
        "_label": "a label, 5 %",
        "_price": "a price level, 30 %",
        "_stock": "in stock, 80 %",
        "_brand": "all brands but one",
    }
    rows = [
        (text, *(f"{last[column + name]:.1f}" for column in times), f"{last['recall' + name]:.4f}")
        for name, text in {"": "the whole shop", **filters}.items()
    ]  # fmt: skip
    columns = ["", "exact p50 ms", "p99", "index p50 ms", "p99", "recall at 20"]
    out.print(table(f"Filtered, {last['products']:,.0f} products", columns, rows, right=columns[1:]))


def power_law(measured: pd.DataFrame, cost: str) -> tuple[float, float]:
    """Fit cost = factor × products ^ exponent to the three largest sizes; return exponent and factor."""
    last = measured.tail(3)
    exponent, logarithm = np.polyfit(np.log(last["products"]), np.log(last[cost]), 1)
    return float(exponent), float(np.exp(logarithm))


def print_extrapolated(measured: pd.DataFrame) -> None:
    """Print the extrapolated costs of a larger shop."""
    rows = []
    for cost, text in COSTS.items():
        exponent, factor = power_law(measured, cost)
        rows.append((text, f"{exponent:.2f}", f"{factor * LARGER**exponent:,.1f}"))
    columns = ["", "exponent", "extrapolated"]
    out.print(table(f"{LARGER:,} products, by a power law", columns, rows, right=columns[1:]))


def plot(measured: pd.DataFrame, path: Path) -> None:
    """Draw the costs against the size, measured and extrapolated."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    panels = {
        "One query, ms (median)": {"exact_p50": "exact", "index_p50": "with the index"},
        "Memory and disk, MB": {"build_mb": "build, peak", "query_mb": "query, peak", "index_mb": "index on disk"},
        "Building, s": {"build_s": "the index", "measuring_s": "measuring its recall"},
    }
    measured = measured.assign(measuring_s=measured["ensure_s"] - measured["build_s"])
    figure, axes = plt.subplots(1, len(panels), figsize=(13, 4.2), layout="constrained")
    for axis, (title, costs) in zip(axes, panels.items(), strict=True):
        for cost, text in costs.items():
            (line,) = axis.loglog(measured["products"], measured[cost], "o-", label=text)
            exponent, factor = power_law(measured, cost)
            ends = np.array([measured["products"].iloc[-3], LARGER])
            axis.loglog(ends, factor * ends**exponent, "--", color=line.get_color(), linewidth=1)
        axis.axvline(LARGER, color="grey", linewidth=0.5)
        axis.set(title=title, xlabel="products")
        axis.grid(which="both", alpha=0.2)
        axis.legend()
    figure.suptitle("A shop of 20,000 to 1,000,000 products on 2 cores; dashed: extrapolated to 5,800,000")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, format=path.suffix[1:])


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
