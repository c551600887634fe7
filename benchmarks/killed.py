"""A run that is killed five times and restarted has the outcomes of an undisturbed run, and fetches no image twice.

    python benchmarks/killed.py                                         # the sample shop's pictures
    python benchmarks/killed.py --image-host image_host.py --catalogue catalogue.csv --products 4000

`recsys run --stop-after images` runs once undisturbed, then in another home, where its whole process tree, Prefect's
server included, is killed (SIGKILL) after random numbers of requests to the image host, by --seed. Between
the kills the home's ledger is read and held against the host's counts. Promised, or the exit code is 1:

    the final ledger is that of the undisturbed run, status and cause of every product
    no product that was committed at a kill is requested again after it
    the products that are requested again after a kill are at most those of the shards that were in flight
"""

from __future__ import annotations

import itertools
import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from subprocess import Popen

import measuring
from measuring import Host, out, say, table

from recsys.core.configuration import load
from recsys.core.process import set_up_process

POLL_S = 0.1
"""Polling interval for the host's counts, seconds."""
SETTLE_S = 1.0
"""Pause after a kill, seconds, until the host has counted the requests in flight."""


def main() -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("--products", type=int, help="number of products (default: all with a picture)")
    parser.add_argument("--kills", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=12_345, help="seed of their times (default: %(default)s)")
    parser.add_argument("--latency-ms", type=float, default=0, help="latency of the host (default: 0)")
    parser.add_argument("--broken", type=int, help="pictures that always fail (default: 7.77 %% of the host's)")
    parser.add_argument("--flaky", type=int, help="pictures that fail twice (default: 2 %% of the host's)")
    parser.add_argument("--shard-size", type=int, default=256, help="images.shard_size (default: %(default)s)")
    options = parser.parse_args()
    shop = measuring.shop_of(options)
    products = shop.products[: options.products]  # no copies: the host counts by picture
    port = measuring.free_port()
    environment = measuring.settings(options, shard_size=options.shard_size)
    faulty = {"broken": options.broken, "flaky": options.flaky, "latency_ms": options.latency_ms}
    with measuring.scratch(options) as folder:
        catalogue = measuring.write_catalogue(folder / "catalogue.csv", products, f"http://{measuring.LOOPBACK}:{port}")
        with measuring.image_host(shop, port, **faulty) as host:
            say(f"{len(products):,} products, undisturbed")
            undisturbed = folder / "undisturbed"
            took = measuring.measure(measuring.run_command(undisturbed, catalogue), environment)
            expected, requests = measuring.ledger(undisturbed), sum(host.stats().values())
            wrong = measuring.wrong_causes(expected, products, host.faults())
        say(f"{took.seconds:.0f} s, {requests:,} requests; now with {options.kills} kills")
        configuration = load(folder / "killed", environ=environment)
        in_flight = configuration.images.shards_at_once * configuration.images.shard_size
        with measuring.image_host(shop, port, **faulty) as host:
            home = folder / "killed"
            command = measuring.run_command(home, catalogue)
            chance = random.Random(options.seed)
            moments = sorted(chance.randrange(requests // 50, requests * 49 // 50) for _ in range(options.kills))
            kills = [Kill(0, {}, {})]
            for moment in moments:
                process = measuring.start(command, environment)
                reached = wait_for(host, moment, process)
                measuring.kill_tree(process)
                time.sleep(SETTLE_S)
                kills.append(Kill(moment, done(home), host.stats()))
                state = "killed" if reached else "had ended before"
                say(f"{state} at {sum(kills[-1].requests.values()):,} requests, {len(kills[-1].done):,} committed")
            say("the last start, to the end")
            measuring.measure(command, environment)
            final = measuring.ledger(home)
            kills.append(Kill(requests, done(home), host.stats()))
    rows, repeated_committed, most_again = [], 0, 0
    for number, (before, after) in enumerate(itertools.pairwise(kills), start=1):
        again = {
            product.id
            for product in products
            if 0 < before.requests.get(product.picture, 0) < after.requests.get(product.picture, 0)
        }
        repeated = len(again & before.done.keys())
        repeated_committed += repeated
        most_again = max(most_again, len(again))
        requested = sum(after.requests.values())
        ends = "killed" if number <= options.kills else "ended"
        rows.append((number, ends, f"{requested:,}", f"{len(after.done):,}", len(again), in_flight, repeated))
    columns = ["start", "", "requests", "committed", "requested again", "bound", "committed ones"]
    out.print(table("Killed and restarted", columns, rows, right=[c for c in columns if c]))
    different = [key for key in expected.keys() | final.keys() if expected.get(key) != final.get(key)]
    for line in [*wrong[:10], *(f"{key}: {expected.get(key)}, {final.get(key)}" for key in different[:10])]:
        out.print(f"  {line}")
    return measuring.verdict(
        (not wrong, f"undisturbed, every cause is exactly right ({len(wrong)} wrong)"),
        (not different, f"the ledger ends as that of the undisturbed run ({len(different)} products differ)"),
        (not repeated_committed, f"no committed image is requested again ({repeated_committed} are)"),
        (most_again <= in_flight, f"requested again are at most the images in flight: {most_again} of {in_flight}"),
    )


class Kill:
    """The state at a kill: the committed products, and the host's counts."""

    def __init__(self, moment: int, committed: Mapping[str, str], requests: Mapping[str, int]) -> None:
        self.moment, self.done, self.requests = moment, dict(committed), dict(requests)


def done(home: Path) -> dict[str, str]:
    """Return the status of each ok or broken product; empty without a ledger."""
    if not (home / "home.json").exists():
        return {}
    return {key: status for key, (status, _) in measuring.ledger(home).items() if status != "pending"}


def wait_for(host: Host, moment: int, process: Popen[bytes]) -> bool:
    """Wait until the host has received this number of requests; False when the run ended first."""
    while sum(host.stats().values()) < moment:
        if process.poll() is not None:
            return False
        time.sleep(POLL_S)
    return process.poll() is None


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
