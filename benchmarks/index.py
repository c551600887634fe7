"""One query to a large shop: exact search against LanceDB's index, as `recsys.ranking.ann_index` uses it.

    python benchmarks/index.py                                       # 20,000 to 1,000,000 products, ten minutes
    python benchmarks/index.py --kind ivf_pq --sizes 200000          # another index
    python benchmarks/index.py --plot docs/pictures/index.webp

Per size three processes, one after another: one draws the shop, in blocks; one builds the index and measures its recall
on a sample, as a run does; one holds the gallery and is asked, a question at a time, exactly and with the index. The
memory is that of the last two, each as a whole. Questions are new photos: members of the shop, changed a little. Asked
is for the 20 nearest, of the whole shop, of a label (5 %), of a price level (30 %), of what is in stock (80 %) and of
all brands but one. The exit code is 1 when a recall is under the bound, the memory above the promise, or, at the
largest size, the index no faster.

What a larger shop would take is computed from the three largest sizes, by a power law: a straight line in logarithms.

Drawn are 2,000 clusters of 128 numbers, large and small, wide in some directions and narrow in others, a hundred about
each of 20 labels: the 20th nearest has a cosine of about 0.8.
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
from recsys.models.embedding.serving import Serving
from recsys.ranking.ann_index import load_index
from recsys.ranking.ann_index_building import ensure_index
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.nearest_neighbours import Shortlist, search
from recsys.storage.store import Store, embeddings_schema

SIZES = (20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
LARGER = 5_800_000
NUMBERS, CLUSTERS, LABELS, BRANDS = 128, 2_000, 20, 30
SPREAD, CHANGE = 0.7, 0.3
"""Length of a member's way from the middle of its cluster, and of a photo's from its product; of the middle, 1."""
BLOCK = 50_000
QUESTIONS, FIRST = 200, 20
"""Timed, and asked before."""
COUNT = 20
SEED = 12_345
SERVES = Serving("drawn", None, "embeddings-drawn", "recommendations-drawn")


def main() -> int:
    parser = measuring.argparse.ArgumentParser(
        description=__doc__, formatter_class=measuring.argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="products (default: %(default)s)")
    parser.add_argument("--kind", default="ivf_flat", help="of index (default: %(default)s)")
    parser.add_argument("--recall", type=float, default=0.99, help="promised (default: %(default)g)")
    parser.add_argument("--gigabytes", type=float, default=6, help="promised (default: %(default)g)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the costs into a picture")
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="where shops are drawn (default: temporary)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured, too")
    parser.add_argument("--step", help=measuring.argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=measuring.argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        steps = {"draw": draw, "build": build, "ask": ask}
        print(json.dumps(steps[options.step](options.home, options.sizes[0], options.kind, options.recall)))
        return 0

    measured = pd.DataFrame([of_size(size, options) for size in options.sizes])
    if options.json:
        measured.to_json(options.json, orient="records", indent=1)
    show(measured)
    if len(measured) > 2:
        show_larger(measured)
    if options.plot:
        plot(measured, options.plot)
    last = measured.iloc[-1]
    recalls = [last[name] for name in measured if name.startswith("recall")]
    peak = max(last["build_mb"], last["ask_mb"]) / 1024
    return measuring.verdict(
        (min(recalls) >= options.recall, f"recall at 20 of {options.recall:g}, filtered too: {min(recalls):.4f}"),
        (peak <= options.gigabytes, f"{options.gigabytes:g} GB of memory: {peak:.1f}"),
        (
            last["index_p50"] < last["exact_p50"],
            f"the index is faster: {last['exact_p50'] / last['index_p50']:.1f} times",
        ),
    )


def of_size(size: int, options: Any) -> dict[str, float]:
    """Return what a shop of a size costs."""
    facts: dict[str, float] = {"products": size}
    with tempfile.TemporaryDirectory(prefix="recsys-benchmark-", dir=options.scratch) as scratch:
        for step in ("draw", "build", "ask"):
            command = [sys.executable, __file__, "--step", step, "--home", str(Path(scratch) / "home")]
            command += ["--sizes", str(size), "--kind", options.kind, "--recall", str(options.recall)]
            done = measuring.measure(command)
            facts |= json.loads(done.output.splitlines()[-1]) | {f"{step}_mb": done.peak_bytes / MB}
    say(
        f"{size:,} products: " + ", ".join(f"{name} {value:.4g}" for name, value in facts.items() if name != "products")
    )
    return facts


def configured(size: int, kind: str, recall: float) -> Configuration:
    """Return a configuration that has the index used at this size, and not where a filter leaves a label."""
    return load(flags={"index": {"from_products": size // 5, "kind": kind, "recall": recall}}, environ={})


# -- drawing ---------------------------------------------------------------------------------------------------------


def draw(home: Path, size: int, *_: object) -> dict[str, float]:
    """Write the embeddings of a shop, and what its filters look at."""
    store, random = Store(home), np.random.default_rng(SEED)
    cluster = random.choice(CLUSTERS, size, p=shares(random))
    for start, vectors in members(cluster, random):
        keys = pa.array(f"{row:08x}" for row in range(start, start + len(vectors)))
        column = pa.FixedSizeListArray.from_arrays(vectors.ravel(), NUMBERS)
        store.write(SERVES.embeddings, pa.table([keys, column], schema=embeddings_schema(NUMBERS)), new=True)
    levels = random.choice([1.0, 2.0, 3.0, 4.0], size, p=[0.30, 0.35, 0.25, 0.10])
    brands = (cluster // LABELS + random.integers(0, 3, size)) % BRANDS  # kin of the look
    np.savez(home / "shop.npz", labels=cluster % LABELS, levels=levels, stock=random.random(size) < 0.8, brands=brands)
    return {}


def shares(random: np.random.Generator) -> NDArray[np.float64]:
    """Return how large each cluster is; of the labels, the first is 5 %."""
    drawn = random.lognormal(0, 1, CLUSTERS)
    first = np.arange(CLUSTERS) % LABELS == 0
    drawn[first] *= 0.05 / 0.95 * drawn[~first].sum() / drawn[first].sum()
    return np.asarray(drawn / drawn.sum())


def members(cluster: NDArray[np.int64], random: np.random.Generator) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the first row and the vectors (b, 128), of unit length, block by block."""

    def drawn(count: int) -> NDArray[np.float32]:
        return unit(random.standard_normal((count, NUMBERS), dtype=np.float32))

    middle = unit(drawn(CLUSTERS) + 0.6 * drawn(LABELS)[np.arange(CLUSTERS) % LABELS])
    wide = SPREAD * unit(np.exp(random.standard_normal((CLUSTERS, NUMBERS), dtype=np.float32)))
    for start in range(0, len(cluster), BLOCK):
        kind = cluster[start : start + BLOCK]
        way = wide[kind] * random.standard_normal((len(kind), NUMBERS), dtype=np.float32)
        yield start, unit(middle[kind] + way)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors at unit length."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


# -- measuring -------------------------------------------------------------------------------------------------------


def build(home: Path, size: int, kind: str, recall: float) -> dict[str, float]:
    """Build the index as a run does."""
    began = time.monotonic()
    known = ensure_index(Store(home), configured(size, kind, recall), SERVES)
    assert known is not None
    if not known.is_good:
        raise SystemExit(f"error: {kind} of {size:,} products reaches a recall of {known.recall:.4f} only")
    told = {"build_s": known.seconds, "ensure_s": time.monotonic() - began, "index_mb": known.bytes / MB}
    return told | {"effort": known.effort, "sampled_recall": known.recall}


def ask(home: Path, size: int, kind: str, recall: float) -> dict[str, float]:
    """Ask questions, one at a time, exactly and with the index, with and without filters."""
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
    facts: dict[str, float] = {}
    for name, allowed in filters.items():
        suffix = f"_{name}" if name else ""
        exact, truth = asked(queries, gallery, allowed, None)
        indexed, found = asked(queries, gallery, allowed, shortlist)
        facts[f"recall{suffix}"] = float(np.mean([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)]))
        for which, took in (("exact", exact), ("index", indexed)):
            facts[f"{which}_p50{suffix}"], facts[f"{which}_p99{suffix}"] = np.percentile(1e3 * took, [50, 99]).tolist()
    return facts


def gallery_of(store: Store, shop: Any) -> tuple[Gallery, pd.DataFrame]:
    """Return the shop as it is compared; nobody asks for its colours here."""
    rows = store.read(SERVES.embeddings)
    keys = rows["image_digest"].to_numpy()
    stored = rows["embedding"].combine_chunks().flatten().to_numpy()
    embeddings = stored.reshape(len(rows), NUMBERS).copy()  # a gallery's are numpy's, on large pages: twice as fast
    labels = np.char.add("label ", shop["labels"].astype(str)).astype(object)
    empty = np.zeros((len(rows), 1), np.float32)
    return Gallery(SERVES.version, keys, labels, shop["levels"], embeddings, empty), pd.DataFrame(
        {"image_digest": keys}
    )


def photos(gallery: Gallery) -> Queries:
    """Return new photos of some of the shop's products."""
    random = np.random.default_rng(SEED + 1)
    count = FIRST + QUESTIONS
    vectors = gallery.embeddings[random.choice(len(gallery), count, replace=False)]
    vectors = unit(vectors + CHANGE * unit(random.standard_normal(vectors.shape, dtype=np.float32)))
    unknown = np.full(count, None, dtype=object)
    return Queries(
        SERVES.version, np.full(count, -1), unknown, np.full(count, 2.5), vectors, np.zeros((count, 1), np.float32)
    )


def asked(
    queries: Queries, gallery: Gallery, allowed: NDArray[np.bool_] | None, shortlist: Shortlist | None
) -> tuple[NDArray[np.float64], list[NDArray[np.int64]]]:
    """Return the seconds and the rows of each question."""
    took, found = [], []
    for k in range(len(queries.rows)):
        one = Queries(
            queries.version, *(getattr(queries, name)[k : k + 1] for name in ("rows", "labels", "price_levels")),
            *(getattr(queries, name)[k : k + 1] for name in ("embeddings", "histograms")),
        )  # fmt: skip
        began = time.perf_counter()
        ((_, rows, _),) = search(one, gallery, COUNT, allowed=allowed, shortlist=shortlist)
        took.append(time.perf_counter() - began)
        found.append(rows[0])
    return np.array(took[FIRST:]), found[FIRST:]


# -- telling ---------------------------------------------------------------------------------------------------------

COSTS = {
    "build_s": "build s",
    "index_mb": "index MB",
    "build_mb": "building, peak MB",
    "ask_mb": "asked, peak MB",
    "exact_p50": "exact p50 ms",
    "index_p50": "index p50 ms",
}
"""That grow, and by which a larger shop is computed."""


def show(measured: pd.DataFrame) -> None:
    """Print what each size costs, and what filters cost at the largest."""
    ways = [f"{way}_p{rank}" for way in ("exact", "index") for rank in (50, 99)]
    costs, answers = [], []
    for _, row in measured.iterrows():
        size = f"{row['products']:,.0f}"
        costs.append((size, *(f"{row[name]:,.1f}" for name in COSTS if name not in ways)))
        answers.append((size, *(f"{row[name]:.1f}" for name in ways), f"{row['effort']:.0f}", f"{row['recall']:.4f}"))
    columns = ["products", *(text for name, text in COSTS.items() if name not in ways)]
    out.print(table("The index", columns, costs, right=columns))
    columns = ["products", "exact p50 ms", "p99", "index p50 ms", "p99", "looked at", "recall at 20"]
    out.print(table("One question to the whole shop", columns, answers, right=columns))
    last = measured.iloc[-1]
    filters = {
        "_label": "a label, 5 %",
        "_price": "a price level, 30 %",
        "_stock": "in stock, 80 %",
        "_brand": "all brands but one",
    }
    told = [
        (text, *(f"{last[f'{which}_{rank}{name}']:.1f}" for which in ("exact", "index") for rank in ("p50", "p99")),
         f"{last[f'recall{name}']:.4f}")
        for name, text in {"": "the whole shop", **filters}.items()
    ]  # fmt: skip
    columns = ["", "exact p50 ms", "p99", "index p50 ms", "p99", "recall at 20"]
    out.print(table(f"Filtered, {last['products']:,.0f} products", columns, told, right=columns[1:]))


def power_law(measured: pd.DataFrame, cost: str) -> tuple[float, float]:
    """Return exponent and factor of cost = factor × products ^ exponent, by the three largest sizes."""
    last = measured.tail(3)
    exponent, logarithm = np.polyfit(np.log(last["products"]), np.log(last[cost]), 1)
    return float(exponent), float(np.exp(logarithm))


def show_larger(measured: pd.DataFrame) -> None:
    """Print what a larger shop would cost."""
    rows = []
    for cost, text in COSTS.items():
        exponent, factor = power_law(measured, cost)
        rows.append((text, f"{exponent:.2f}", f"{factor * LARGER**exponent:,.1f}"))
    columns = ["", "exponent", "computed"]
    out.print(table(f"{LARGER:,} products, by a power law", columns, rows, right=columns[1:]))


def plot(measured: pd.DataFrame, path: Path) -> None:
    """Draw the costs against the size, measured and computed."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    panels = {
        "One question, ms (median)": {"exact_p50": "exact", "index_p50": "with the index"},
        "Memory and disk, MB": {"build_mb": "building, peak", "ask_mb": "asked, peak", "index_mb": "index on disk"},
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
    figure.suptitle("A shop of 20,000 to 1,000,000 products on 2 cores; dashed: computed up to 5,800,000")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, format=path.suffix[1:])


if __name__ == "__main__":
    sys.exit(main())
