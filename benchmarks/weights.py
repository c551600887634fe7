"""The rule's weights of look, colour and price: what each mixture gives on held-out products, and which are earned.

    python benchmarks/weights.py --home HOME

Relevance is the precision of the best five at the finest level of the category path that can be judged; agreement is
in colour and price. The weights that are earned have the most agreement among those whose relevance is no worse than
the best by more than its standard error. The defaults of `recsys.core.configuration.Recommend` come from this; the
exit code is 1 when the home's own weights are worse than the best by more than that.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from measuring import out, table, verdict

from recsys.core.configuration import load
from recsys.evaluation.weight_selection import measure_trade_off
from recsys.reporting.pictures import weights_picture
from recsys.storage.store import Store


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="of a shop, with the features of its configuration")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="where to draw the curve")
    options = parser.parse_args()
    found = measure_trade_off(Store(options.home, read_only=True), load(options.home))
    if found is None:
        raise SystemExit(f"error: {options.home} has too few held-out products with features and a category path")
    if options.picture:
        options.picture.write_bytes(weights_picture(found))
    curve, relevance, error = found.curve, found.precision, f"error_{found.level}"
    best = curve.loc[curve[relevance].idxmax()]
    points = {
        "configured": found.configured,
        "earned": found.selected,
        "most relevant": best,
        **{
            f"{name} alone": curve.loc[curve[name].idxmax()] for name in ("visual", "colour", "price")
        },
    }  # fmt: skip
    shown = ["visual", "colour", "price", relevance, error, "colour_agreement", "price_agreement", "coverage"]
    rows = [(name, *(f"{point[column]:.3f}" for column in shown)) for name, point in points.items()]
    columns = ["", *(column.replace("_", " ") for column in shown)]
    out.print(table(f"{found.queries} held-out products", columns, rows, right=columns[1:]))
    least = best[relevance] - best[error]
    told = f"configured: {found.configured[relevance]:.3f}, the best less its standard error: {least:.3f}"
    return verdict((found.configured[relevance] >= least, told))


if __name__ == "__main__":
    sys.exit(main())
