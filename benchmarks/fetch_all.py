"""Our side of the fetching benchmarks: work through all that a home has to fetch, as the flow does, without Prefect.

    python benchmarks/fetch_all.py HOME

Shards come from `recsys.ingest.images.ledger.missing`, `images.shards_at_once` of them in flight at once, each is
fetched and committed by `fetch_shard`, and one that is left with pending images is tried again after the flow's own
delays. Prints {"shards", "at_once", "seconds"} as JSON; what became of each product stands in the home's ledger.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.core.configuration import Configuration
    from recsys.storage.store import Shard

# Each process of the pool imports this file again; like the `recsys` script it imports the library only in functions.


def fetch_patiently(home: Path, shard: Shard, configuration: Configuration) -> None:
    """Fetch a shard; while images are pending try again, as often and as late as the flow would."""
    from recsys.core import progress
    from recsys.core.errors import PendingImagesError
    from recsys.ingest.images.ledger import fetch_shard
    from recsys.storage.store import Store

    for attempt in range(configuration.workflow.retries + 1):
        try:
            fetch_shard(Store(home), shard, configuration, lambda status: progress.advance(shard.stage, 1, status))
            return
        except PendingImagesError:
            if attempt < configuration.workflow.retries:
                time.sleep(configuration.workflow.retry_delay_s * 2**attempt)


def main() -> None:
    from cli.console import show_progress
    from recsys.core import progress
    from recsys.core.configuration import load
    from recsys.core.process import set_up_process
    from recsys.ingest.images.ledger import missing
    from recsys.storage.store import Store

    set_up_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, help="a home that has taken a catalogue in")
    home = parser.parse_args().home
    began = time.monotonic()
    configuration = load(home)
    shards = missing(Store(home), configuration)
    at_once = configuration.images.shards_at_once
    with show_progress(), ThreadPoolExecutor(at_once) as pool:
        progress.begin("images", sum(len(shard.keys) for shard in shards))
        for _ in pool.map(lambda shard: fetch_patiently(home, shard, configuration), shards):
            pass
        progress.finish("images", f"{len(shards)} shards, {at_once} in flight")
    print(json.dumps({"shards": len(shards), "at_once": at_once, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
