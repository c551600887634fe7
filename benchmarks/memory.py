"""Measure peak memory of `recsys run --stop-after images` with 20,000 and 100,000 products; it should hardly grow.

    python benchmarks/memory.py                                         # the sample shop's pictures
    python benchmarks/memory.py --image-host image_host.py --catalogue catalogue.csv

Both catalogues are made of the same pictures, with copies of the products (own id, own URL), so each image is
requested, squared and stored. No image is broken unless --broken is given. The memory is the peak of the whole process
tree, Prefect's server included, as the sum of each process's own share (PSS), taken every half second; the homes need
some 20 kB a product on the disk. The exit code is 1 when the larger run takes more than --at-most times the memory.
"""

from __future__ import annotations

import shutil
import sys

import measuring
from measuring import MB, out, say, table

from recsys.core.process import set_up_process


def main() -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("--small", type=int, default=20_000, help="products (default: %(default)s)")
    parser.add_argument("--large", type=int, default=100_000, help="products (default: %(default)s)")
    parser.add_argument("--broken", type=int, default=0, help="pictures that always fail (default: %(default)s)")
    parser.add_argument("--at-most", type=float, default=1.15, help="largest accepted ratio (default: %(default)g)")
    options = parser.parse_args()
    shop = measuring.shop_of(options)
    port = measuring.free_port()
    environment = measuring.settings(options)
    rows, peaks, complete = [], [], True
    for count in (options.small, options.large):
        say(f"{count:,} products from {len(shop.products):,} pictures")
        with measuring.scratch(options) as folder:
            home, products = folder / "home", shop.listed(count)
            with measuring.image_host(shop, port, broken=options.broken, flaky=0) as host:
                catalogue = measuring.write_catalogue(folder / "catalogue.csv", products, host.url)
                took = measuring.measure(measuring.run_command(home, catalogue), environment)
                wrong = measuring.wrong_causes(measuring.ledger(home), products, host.faults())
            shutil.rmtree(home)
        complete = complete and not wrong
        for line in wrong[:10]:
            out.print(f"  {line}")
        peaks.append(took.peak_bytes)
        rows.append((f"{count:,}", f"{took.seconds:.0f}", f"{count / took.seconds:.0f}", f"{took.peak_bytes / MB:.0f}"))
    columns = ["products", "seconds", "products/s", "peak MB"]
    out.print(table("Peak memory of the whole run", columns, rows, right=columns))
    ratio = peaks[1] / peaks[0]
    return measuring.verdict(
        (ratio <= options.at_most, f"at most {options.at_most:g} times the memory: {ratio:.2f}"),
        (complete, "every product ends as it should"),
    )


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
