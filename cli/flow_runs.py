"""Run a flow on a Prefect server and print what it did."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rich.text import Text

from cli.console import err, out, print_json, show_progress, table
from cli.status import print_status, status_figures
from recsys.core.errors import ScrapingError

MIN_FREE = 128 << 20
"""Free disk space that a run requires at its start, bytes."""


def run_flow(
    name: Literal["recommend", "recheck", "train"], home: Path, parameters: dict[str, Any], *, as_json: bool = False
) -> None:
    """Run a flow on a Prefect server, and print the items of each stage and the status of the home."""
    from cli.servers import prefect_server

    started = time.monotonic()
    if not as_json:
        err.print(Text("Prefect server: connecting, or starting one"))
    with prefect_server(home, meanwhile=load_flows):
        ready = time.monotonic()
        flow = load_flows()[name]
        with show_progress():
            done = flow(str(home), **parameters)
        seconds = time.monotonic() - ready
    if as_json:
        print_json({"done": done, "seconds": seconds, **status_figures(home)})
        return
    if not any(done.values()):
        out.print("\n[bold]Nothing to do:[/bold] everything is up to date.")
    print_status(home)
    out.print(f"\nThe run took {seconds:.1f} s, the start of the Prefect server {ready - started:.1f} s.")


def load_flows() -> dict[str, Any]:
    """Return the flows by name; their import takes seconds. Call it when Prefect's settings are set."""
    from flows.recheck import recheck
    from flows.recommend import recommend
    from flows.train import train

    return {"recommend": recommend, "recheck": recheck, "train": train}


def run_scraping(home: Path, labels: list[str] | None, flags: Mapping[str, Any], *, as_json: bool = False) -> None:
    """Run the scraping flow on a Prefect server, and print the outcome of each keyword.

    Raises:
        ScrapingError: keywords failed; the outcomes are printed before.
    """
    from cli.servers import prefect_server
    from recsys.storage.store import Store

    done: dict[str, int] = {}
    failure: ScrapingError | None = None
    with prefect_server(home):
        from flows.scrape import scrape
        from recsys.ingest.scraping.harvest import outcomes

        try:
            with show_progress():
                done = scrape(str(home), labels, dict(flags))
        except ScrapingError as error:
            failure = error
    keywords = outcomes(Store(home, read_only=True)).to_dict("records")
    if as_json:
        print_json({"done": done, "keywords": keywords})
    else:
        counts = ["found", "kept", "duplicates", "broken"]
        rows = [
            (k["label"], k["keyword"], k["cause"] or k["status"], *(f"{k[count]:,}" for count in counts))
            for k in keywords
        ]
        out.print()
        out.print(table("Scraped", ["label", "keyword", "status", *counts], rows, right=counts))
        if done and not done["searches"]:
            out.print("\nNothing to search for: every label with few pictures was searched for already.")
    if failure:
        raise failure
