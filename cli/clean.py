"""`recsys clean`: delete what a home no longer needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.console import megabytes, out, print_json, table
from cli.options import HomeOption, JsonOption
from recsys.core.configuration import HOME_DEFAULT, load

if TYPE_CHECKING:
    from recsys.lifecycle.retention import Leftover

MOST_NAMES = 4
"""Names of one kind that the terminal lists; JSON has all."""


def clean(
    home: HomeOption = HOME_DEFAULT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be deleted, and its size.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete what the home no longer needs: old models with their tables, old Prefect results, the start of long logs.

    The serving model and the models that a rollback returns to stay; the section [upkeep] of the configuration sets how
    many models and how many days. Runs drop old versions of tables by themselves. MLflow's runs stay.

    Examples:
        recsys clean --dry-run
        recsys clean --home my-shop
    """
    from recsys.lifecycle.retention import leftovers, remove
    from recsys.storage.lock import lock
    from recsys.storage.store import Store

    configuration = load(home)
    store = Store(home, read_only=True)  # raises if the home holds no shop
    if dry_run:
        deletable = leftovers(store, configuration)
    else:
        with lock(home):
            store = Store(home)
            deletable = leftovers(store, configuration)
            remove(store, deletable)
    freed = sum(leftover.bytes for leftover in deletable)
    if as_json:
        rows = [{"kind": item.kind, "name": item.name, "why": item.why, "bytes": item.bytes} for item in deletable]
        print_json({"dry_run": dry_run, "bytes": freed, "leftovers": rows})
    elif not deletable:
        out.print("There is nothing to clean.")
    else:
        title = "Would be deleted" if dry_run else "Deleted"
        out.print(table(title, ["", "kind", "names", "reason", "MB"], _rows(deletable), right=["", "MB"]))
        out.print(Text(f"\n{megabytes(freed)} MB {'would be' if dry_run else 'are'} freed"))


def _rows(deletable: Sequence[Leftover]) -> list[tuple[str, ...]]:
    """Return a row for each kind and reason: count, kind, names, reason, megabytes."""
    rows: list[tuple[str, ...]] = []
    for kind, reason in dict.fromkeys((leftover.kind, leftover.why) for leftover in deletable):
        group = [leftover for leftover in deletable if (leftover.kind, leftover.why) == (kind, reason)]
        names = ", ".join(leftover.name for leftover in group[:MOST_NAMES])
        more = f" and {len(group) - MOST_NAMES:,} more" if len(group) > MOST_NAMES else ""
        size = megabytes(sum(leftover.bytes for leftover in group))
        rows.append((f"{len(group):,}", kind, names + more, reason, size))
    return rows
