"""Our side of the fetching benchmarks: fetch all missing images of a home, as the flow does, without Prefect.

    python benchmarks/fetch_all.py HOME

Shards come from `recsys.ingest.images.ledger.missing`, `images.shards_at_once` of them in flight at once, each is
fetched and committed by `fetch_shard`, and a shard with pending images is retried after the flow's delays. Prints
{"shards", "at_once", "seconds"} as JSON; the outcome of each product is in the home's ledger.
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
    from recsys.storage.shards import Shard

# Each process of the pool imports this file again; like the `recsys` script it imports the library only in functions.


def fetch_with_retries(home: Path, shard: Shard, configuration: Configuration) -> None:
    """Fetch a shard, and retry as the flow does while images are pending."""
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
    parser.add_argument("home", type=Path, help="a home with a catalogue")
    home = parser.parse_args().home
    start = time.monotonic()
    configuration = load(home)
    shards = missing(Store(home), configuration)
    at_once = configuration.images.shards_at_once
    with show_progress(), ThreadPoolExecutor(at_once) as pool:
        progress.begin("images", sum(len(shard.keys) for shard in shards))
        for _ in pool.map(lambda shard: fetch_with_retries(home, shard, configuration), shards):
            pass
        progress.finish("images", f"{len(shards)} shards, {at_once} in flight")
    print(json.dumps({"shards": len(shards), "at_once": at_once, "seconds": time.monotonic() - start}))


if __name__ == "__main__":
    main()
