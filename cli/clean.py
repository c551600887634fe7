"""`recsys clean`: what a home has no use for any more goes, or is told."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.text import Text

from cli.console import megabytes, out, table
from cli.options import HomeOption, JsonOption, use
from recsys.core.configuration import HOME_DEFAULT, load


def clean(
    home: HomeOption = HOME_DEFAULT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go, and how many bytes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove what the home has no use for any more: old models with their tables, old results of Prefect, long logs.

    What serves stays, and what a roll-back goes to; section \\[upkeep] of the configuration says how many models and
    how many days. Old versions of the tables need no cleaning: runs drop them. MLflow's runs stay.
    """
    from recsys.lifecycle.retention import leftovers, remove
    from recsys.storage.store import Store, lock

    configuration = load(use(home))
    store = Store(home, read_only=True)  # there is a shop
    if dry_run:
        going = leftovers(store, configuration)
    else:
        with lock(home):
            store = Store(home)
            going = leftovers(store, configuration)
            remove(store, going)
    freed = sum(each.bytes for each in going)
    if as_json:
        told = [{"kind": each.kind, "name": each.name, "why": each.why, "bytes": each.bytes} for each in going]
        out.print_json(json.dumps({"dry_run": dry_run, "bytes": freed, "leftovers": told}))
        return
    if not going:
        out.print("There is nothing to clean.")
        return
    rows = []
    for kind, why in dict.fromkeys((each.kind, each.why) for each in going):
        of_kind = [each for each in going if (each.kind, each.why) == (kind, why)]
        named = ", ".join(each.name for each in of_kind[:SHOWN])
        more = f" and {len(of_kind) - SHOWN:,} more" if len(of_kind) > SHOWN else ""
        rows.append((f"{len(of_kind):,}", kind, named + more, why, megabytes(sum(each.bytes for each in of_kind))))
    title = "Would go" if dry_run else "Gone"
    out.print(table(title, ["", "what", "which", "why", "MB"], rows, right=["", "MB"]))
    out.print(Text(f"\n{megabytes(freed)} MB {'would be' if dry_run else 'are'} free again"))


SHOWN = 4
"""Names of a kind that are printed."""
