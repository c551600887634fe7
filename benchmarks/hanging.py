"""Measure the cost of hanging links: a catalogue with 10 % hanging links, and the same catalogue without them.

    python benchmarks/hanging.py                                        # the sample shop's pictures
    python benchmarks/hanging.py --image-host image_host.py --catalogue catalogue.csv

The host of a hanging link accepts the connection and never answers. Both catalogues have the same good products, with
copies up to --products; the hanging links are at random places. The benchmark measures the whole `recsys run
--stop-after images`, and the stage alone: all shards of a prepared home as the flow fetches them, without Prefect and
without reading the catalogue. A hanging link ends after three attempts of 1, 2 and 4 s when its host usually answers
sooner, so the last one costs 7 s at any size of the catalogue.
The exit code is 1 when the ratio of the runs is over --at-most, or when a product has a wrong outcome.
"""

from __future__ import annotations

import random
import shutil
import sys

import measuring
from measuring import Product, middle, out, say, table

from recsys.core.process import set_up_process

WITHOUT, WITH = "none hangs", "some hang"
RUN, STAGE = "whole run", "stage alone"


def main() -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("--products", type=int, default=20_000, help="number of products (default: %(default)s)")
    parser.add_argument("--share", type=float, default=0.1, help="share of hanging products (default: %(default)g)")
    parser.add_argument("--latency-ms", type=float, default=200, help="latency of the host (default: %(default)g)")
    parser.add_argument("--rounds", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=12_345, help="seed of the positions of hanging products (default: %(default)s)"
    )
    parser.add_argument("--at-most", type=float, default=1.3, help="largest accepted ratio (default: %(default)g)")
    options = parser.parse_args()
    shop = measuring.shop_of(options)
    port = measuring.free_port()
    host_options = {
        **{"broken": len(shop.products) // 2, "flaky": 0},  # every tenth of the broken ones hangs
        **{"latency_ms": options.latency_ms, "hang_s": options.timeout_s + 5},
    }
    with measuring.scratch(options) as folder:
        with measuring.image_host(shop, port, **host_options) as host:
            faults = host.faults()
        good = [product for product in shop.products if product.picture not in faults]
        hanging = [product for product in shop.products if faults.get(product.picture) == "hang"]
        hangs = round(options.share * options.products)
        listed = measuring.copies(good, options.products - hangs)
        catalogues = {WITHOUT: listed, WITH: scattered(listed, measuring.copies(hanging, hangs), options.seed)}
        environment = measuring.settings(options)
        for name, products in catalogues.items():
            path = measuring.write_catalogue(folder / f"{name}.csv", products, host.url)
            measuring.prepared_home(folder / name, path, environment)

        def seconds_of(name: str, part: str) -> tuple[float, list[str]]:
            """Return the seconds for a catalogue, and the wrong outcomes."""
            home = folder / "home"
            if part == STAGE:
                shutil.copytree(folder / name, home)
            command = (
                measuring.fetch_command(home) if part == STAGE else measuring.run_command(home, folder / f"{name}.csv")
            )
            with measuring.image_host(shop, port, **host_options):
                took = measuring.measure(command, environment)
            rows = measuring.ledger(home)
            shutil.rmtree(home)
            return took.seconds, measuring.wrong_causes(rows, catalogues[name], faults)

        seconds: dict[tuple[str, str], list[float]] = {}
        wrong: list[str] = []
        for number in range(1, options.rounds + 1):
            for part in (RUN, STAGE):
                for name, products in catalogues.items():
                    say(f"round {number} of {options.rounds}: {len(products):,} products, {name}, {part}")
                    took, faulty = seconds_of(name, part)
                    seconds.setdefault((name, part), []).append(took)
                    wrong += faulty
    medians = {key: middle(rounds) for key, rounds in seconds.items()}
    ratio = {part: medians[WITH, part] / medians[WITHOUT, part] for part in (RUN, STAGE)}
    rows = [
        (part, *(f"{medians[name, part]:.1f}" for name in catalogues), f"{ratio[part]:.2f}") for part in (RUN, STAGE)
    ]
    columns = ["seconds", *(f"{len(products):,}, {name}" for name, products in catalogues.items()), "ratio"]
    out.print(table(f"Hanging links, latency {options.latency_ms:g} ms", columns, rows, right=columns[1:]))
    for line in wrong[:20]:
        out.print(f"  {line}")
    return measuring.verdict(
        (ratio[RUN] <= options.at_most, f"a run takes at most {options.at_most:g} times as long: {ratio[RUN]:.2f}"),
        (not wrong, f"every product has the right outcome ({len(wrong)} have not)"),
    )


def scattered(good: list[Product], hanging: list[Product], seed: int) -> list[Product]:
    """Return the good products in their order, with the hanging ones at random places."""
    places = set(random.Random(seed).sample(range(len(good) + len(hanging)), len(hanging)))
    goods, hangs = iter(good), iter(hanging)
    return [next(hangs if place in places else goods) for place in range(len(good) + len(hanging))]


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
