"""`recsys status`, `recsys broken`: how far the products got, and which image links are broken."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.console import megabytes, out, print_json, table
from cli.options import HomeOption, JsonOption
from recsys.core.configuration import HOME_DEFAULT, load

MOST_HOSTS = 20
"""Hosts that the terminal lists; JSON has all."""


def status(home: HomeOption = HOME_DEFAULT, as_json: JsonOption = False) -> None:
    """Show how many products reached each stage, why the others did not, and the disk use of the home.

    Examples:
        recsys status --home my-shop
        recsys status --json
    """
    from recsys.storage.disk_use import disk_use

    load(home)
    if as_json:
        print_json(status_figures(home) | {"disk": disk_use(home)})
        return
    print_status(home)
    parts = disk_use(home)
    rows = [(part, megabytes(size)) for part, size in [*parts.items(), ("all", sum(parts.values()))]]
    out.print()
    out.print(table("Disk", ["part", "MB"], rows, right=["MB"]))


def status_figures(home: Path) -> dict[str, Any]:
    """Return the funnel, what serves, the broken images by cause, and the products of each label."""
    from recsys.ingest.images.ledger import broken_by_cause
    from recsys.models.embedding.serving import serving
    from recsys.models.labels.ledger import class_balance
    from recsys.reporting.funnel import count_funnel
    from recsys.storage.store import Store

    store, configuration = Store(home, read_only=True), load(home)
    causes = broken_by_cause(store)
    balance = class_balance(store)
    return {
        "funnel": count_funnel(store, configuration).as_dict(),
        "serves": str(serving(home, configuration)),
        "broken_by_cause": dict(zip(causes["cause"], causes["products"].tolist(), strict=True)),
        "labels": dict(zip(balance["label"], balance["products"].tolist(), strict=True)),
        "unlabelled": balance.attrs["unlabelled"],
    }


def print_status(home: Path) -> None:
    """Print the funnel, the labels and the broken images."""
    figures = status_figures(home)
    funnel = figures["funnel"]
    steps = [
        ("rows", funnel["rows"], f"{funnel['rejected']:,} rejected" if funnel["rejected"] else ""),
        ("valid", funnel["products"], f"{funnel['products'] - funnel['with_price']:,} without a price"),
        ("labelled", funnel["labelled"], f"{figures['unlabelled']:,} without a label"),
        ("with image", funnel["with_image"], f"{funnel['broken']:,} broken, {funnel['pending']:,} pending"),
        ("recommended", funnel["recommended"], ""),
    ]
    rows = [(step, f"{products:,}", remark) for step, products, remark in steps]
    out.print()
    out.print(table("Funnel", ["", "products", ""], rows, right=["products"]))
    out.print(Text(f"Serves: {figures['serves']}"))
    _print_counts("Labels", "label", figures["labels"])
    if figures["broken_by_cause"]:
        _print_counts("Broken images", "cause", figures["broken_by_cause"])


def _print_counts(title: str, column: str, counts: dict[str, int]) -> None:
    rows = [(name, f"{products:,}") for name, products in counts.items()]
    out.print()
    out.print(table(title, [column, "products"], rows, right=["products"]))


def print_next_steps(home: Path) -> None:
    """Print where the results are and the commands that show them."""
    from recsys.reporting.publication import report_path

    option = "" if home == HOME_DEFAULT else f" --home {home}"
    rejects = home / "rejects.csv"
    steps = [
        ("report", report_path(home) if report_path(home).exists() else None),
        ("rejected rows", rejects if rejects.exists() else None),
        ("Prefect, MLflow", f"recsys ui{option}"),
        ("one product", f"recsys recommend PRODUCT_ID{option}"),
        ("all products", f"recsys export --out recommendations.csv{option}"),
    ]
    out.print("\n[bold]Where to look[/bold]")
    for step, answer in steps:
        if answer is not None:
            out.print(Text(f"  {step:<16}  {answer}"))


def broken(
    home: HomeOption = HOME_DEFAULT,
    output: Annotated[Path | None, typer.Option("--out", "-o", help="Write a .csv, one row per broken link.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the broken image links by cause and by host, and write them to a file for the catalogue's owner.

    Examples:
        recsys broken
        recsys broken --out broken.csv
    """
    from recsys.ingest.images.ledger import broken_by_cause, broken_by_host, write_broken_links
    from recsys.storage.store import Store

    load(home)
    store = Store(home, read_only=True)
    causes, hosts = broken_by_cause(store), broken_by_host(store)
    links = write_broken_links(store, output) if output else 0
    if as_json:
        print_json({"by_cause": causes.to_dict("records"), "by_host": hosts.to_dict("records")})
        return
    if causes.empty:
        out.print("No link is broken.")
        return
    rows = [(c["cause"], f"{c['products']:,}", c["meaning"], c["remedy"]) for c in causes.to_dict("records")]
    out.print(table("By cause", ["cause", "products", "meaning", "remedy"], rows, right=["products"]))
    host_rows = [
        (h["host"] or "no host", f"{h['products']:,}", h["causes"]) for h in hosts.head(MOST_HOSTS).to_dict("records")
    ]
    out.print()
    out.print(table("By host", ["host", "products", "causes"], host_rows, right=["products"]))
    ending = f"{links:,} links written to {output}" if output else "For a spreadsheet: recsys broken --out FILE.csv"
    out.print(Text(f"\n{ending}"))
