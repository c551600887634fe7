"""`recsys evaluate`: the scoreboard, by the catalogue's held-out products or by a folder of photos from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.console import clean, err, out, progress_shown, table
from cli.options import HomeOption, JsonOption, use
from recsys.core.configuration import HOME_DEFAULT, load

if TYPE_CHECKING:
    import pandas as pd

    from recsys.evaluation.outside_queries import SkippedRow

NAMED = 10
"""Rows that could not be used, of those that the terminal names."""

EPILOG = """[bold]Examples[/bold]

recsys evaluate

recsys evaluate --out scoreboard.csv

recsys evaluate --queries customers.csv --images photos/   (columns: file, category_path, price, product_id)
"""

OTHERS = {
    "view": ("same product", "recall at 1 of another photo of the product", "{:.3f}"),
    "colour": ("colour", "mean colour score of the five nearest", "{:.3f}"),
    "price_same": ("price level", "share of the five nearest at the query's price level", "{:.3f}"),
    "price_apart": ("levels apart", "mean difference from the query's price level", "{:.2f}"),
    "coverage": ("coverage", "share of the products that are among the five nearest of any", "{:.3f}"),
    "hubness": ("hubness", "skewness of how often each is: 0 is even", "{:.2f}"),
}


def evaluate(
    home: HomeOption = HOME_DEFAULT,
    queries: Annotated[
        Path | None, typer.Option("--queries", help="Ask by photos from elsewhere: a .csv that says what they show.")
    ] = None,
    images: Annotated[Path | None, typer.Option("--images", help="The folder of those photos.")] = None,
    to: Annotated[Path | None, typer.Option("--out", "-o", help="A .csv with all figures and intervals.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge every model at every level of the category path, beside chance, pixels, colours and the raw backbone.

    Asked are the products that no training sees, about all others; near-duplicates of a query are no answer. With
    --queries and --images: photos from elsewhere, about this shop. Intervals are 95 %, by a bootstrap over groups.
    """
    from recsys.core.errors import ExportError
    from recsys.evaluation.evaluation_set import load_evaluation_set, trained_models, with_trained_models
    from recsys.evaluation.outside_queries import photo_embedder, with_outside_queries
    from recsys.evaluation.scoreboard import scoreboard
    from recsys.storage.spreadsheet import write_csv
    from recsys.storage.store import Store

    if (queries is None) != (images is None):
        raise typer.BadParameter("--queries says what is on the photos, --images where they are: give both")
    configuration = load(use(home))
    store = Store(home, read_only=True)
    skipped: list[SkippedRow] = []
    with progress_shown():
        trained = trained_models(store, configuration)
        judged = with_trained_models(load_evaluation_set(store, configuration), store, trained)
        if queries is not None and images is not None:
            embed = {name: photo_embedder(store, trained[name]) for name in judged.models if name in trained}
            judged, skipped = with_outside_queries(judged, queries, images, configuration, embed)
        figures = scoreboard(judged.models, judged.frame, configuration.evaluation, judged.histograms)
    if to:
        try:
            write_csv(figures, to)
        except OSError as error:
            raise ExportError(f"cannot write {to}: {error.strerror or error}") from error
    if as_json:
        told = {"scoreboard": json.loads(figures.to_json(orient="records")), "skipped": [[*row] for row in skipped]}
        out.print_json(json.dumps(told))
        return
    for row in skipped[:NAMED]:
        err.print(Text(clean(f"note: line {row.line}: {row.reason}")), soft_wrap=True)
    if len(skipped) > NAMED:
        err.print(Text(f"note: and {len(skipped) - NAMED:,} more rows that could not be used; --json names all"))
    _show(figures)
    asked = int(judged.frame["held_out"].sum())
    listed = len(judged.frame) - (asked if queries else 0)
    out.print(Text(f"\n{asked:,} pictures asked, about {listed:,}." + (f" All figures: {to}" if to else "")))


def _show(figures: pd.DataFrame) -> None:
    """Print a table a level, and one of the figures that are of no level."""
    for level, rows in figures[figures["level"] > 0].groupby("level"):
        queries = int(rows["queries"].max())
        if not queries:
            out.print(Text(f"Level {level}: no held-out product has a value that is frequent enough\n"))
            continue
        told: list[tuple[str, int]] = list(dict.fromkeys(zip(rows["metric"], rows["k"], strict=True)))
        names = {(metric, k): _name(metric, k) for metric, k in told if metric != "recall"}
        names |= {
            ("recall", k): _name("recall", k) for k in sorted(set(rows["k"])) if k > 1
        }  # at 1 it is the precision
        cells = [(model, *(_cell(figure, key) for key in names)) for model, figure in rows.groupby("model", sort=False)]
        columns = ["model", *names.values()]
        out.print(table(f"Level {level}, {queries:,} queries", columns, cells, right=columns[1:]))
        out.print()
    rest = figures[figures["level"] == 0]
    shown = [metric for metric in OTHERS if metric in set(rest["metric"])]
    cells = []
    for model, rows in rest.groupby("model", sort=False):
        value = rows.set_index("metric")["value"]
        cells.append((model, *(OTHERS[metric][2].format(value[metric]) for metric in shown)))
    columns = ["model", *(OTHERS[metric][0] for metric in shown)]
    out.print(table("The five nearest, and the catalogue", columns, cells, right=columns[1:]))
    out.print(Text("\n" + "\n".join(f"{OTHERS[metric][0]}: {OTHERS[metric][1]}" for metric in shown), style="dim"))


def _name(metric: str, k: int) -> str:
    return "MAP@R" if metric == "map_at_r" else f"{metric[0].upper()}@{k}"


def _cell(rows: pd.DataFrame, key: tuple[str, int]) -> str:
    """Return a value, with its interval where it is what models are decided by, or MAP@R."""
    row = rows[(rows["metric"] == key[0]) & (rows["k"] == key[1])].iloc[0]
    interval = f" ({row['low']:.3f}–{row['high']:.3f})" if key in (("precision", 5), ("map_at_r", 0)) else ""
    return f"{row['value']:.3f}{interval}"
