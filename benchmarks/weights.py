"""The rule's weights of look, colour and price: relevance and agreement of each combination on held-out products.

    python benchmarks/weights.py --home HOME

Relevance is the precision of the five best at the finest level of the category path with enough queries; agreement is
in colour and price. The one-standard-error rule selects the weights with the highest agreement among those whose
relevance is at most one standard error below the best. The defaults of `recsys.core.configuration.Recommend` come from
this benchmark. The exit code is 1 when the home's own weights are below that limit.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from measuring import out, table, verdict

from recsys.core.configuration import load
from recsys.core.process import set_up_process
from recsys.evaluation.weight_selection import measure_trade_off
from recsys.reporting.pictures import weights_picture
from recsys.storage.store import Store


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="of a shop, with the features of its configuration")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="file to draw the curve into")
    options = parser.parse_args()
    trade_off = measure_trade_off(Store(options.home, read_only=True), load(options.home))
    if trade_off is None:
        raise SystemExit(f"error: {options.home} has too few held-out products with features and a category path")
    if options.picture:
        options.picture.write_bytes(weights_picture(trade_off))
    curve, relevance, error = trade_off.curve, trade_off.precision, f"error_{trade_off.level}"
    best = curve.loc[curve[relevance].idxmax()]
    points = {"configured": trade_off.configured, "selected": trade_off.selected, "most relevant": best}
    points |= {f"{name} alone": curve.loc[curve[name].idxmax()] for name in ("visual", "colour", "price")}
    names = ["visual", "colour", "price", relevance, error, "colour_agreement", "price_agreement", "coverage"]
    rows = [(name, *(f"{point[column]:.3f}" for column in names)) for name, point in points.items()]
    columns = ["", *(name.replace("_", " ") for name in names)]
    out.print(table(f"{trade_off.queries} held-out products", columns, rows, right=columns[1:]))
    limit = best[relevance] - best[error]
    configured = trade_off.configured[relevance]
    return verdict(
        (configured >= limit, f"configured: {configured:.3f}, the best minus its standard error: {limit:.3f}")
    )


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
