"""`recsys evaluate`: compare all models on held-out products, or on photos from outside the catalogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.console import err, out, print_json, printable, show_progress, table
from cli.options import HomeOption, JsonOption
from recsys.core.configuration import HOME_DEFAULT, Configuration, load

if TYPE_CHECKING:
    import pandas as pd

    from recsys.evaluation.evaluation_set import EvaluationSet
    from recsys.evaluation.outside_queries import SkippedRow

MOST_SKIPPED_ROWS = 10
"""Unusable rows that the terminal lists; JSON has all."""

WITH_INTERVAL = (("precision", 5), ("map_at_r", 0))
"""Figures printed with their confidence interval: the one that decides between models, and MAP@R."""

OTHER_FIGURES = {
    "view": ("same product", "recall at 1 of another photo of the product", "{:.3f}"),
    "colour": ("colour", "mean colour score of the five nearest", "{:.3f}"),
    "price_same": ("price level", "share of the five nearest at the query's price level", "{:.3f}"),
    "price_apart": ("levels apart", "mean difference from the query's price level", "{:.2f}"),
    "coverage": ("coverage", "share of the products that are among the five nearest of any query", "{:.3f}"),
    "hubness": ("hubness", "skewness of how often each product is among them; 0 is even", "{:.2f}"),
    "pictures_per_second": ("pictures/s", "pictures a second on this machine, without reading them", "{:.1f}"),
}
"""Figures that belong to no level of the category path: column, meaning, number format."""


def evaluate(
    home: HomeOption = HOME_DEFAULT,
    queries: Annotated[
        Path | None, typer.Option("--queries", help="Use photos from outside as queries: a .csv that describes them.")
    ] = None,
    images: Annotated[Path | None, typer.Option("--images", help="The folder of those photos.")] = None,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            "--backbone",
            help="Compare the features of encoders: built-in names, folders, hub addresses. Repeatable.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write a .csv with all figures and intervals.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare all models at each level of the category path, with chance, pixels, colours and the raw backbone.

    The queries are products that no training uses; they are compared with all other products, and near-duplicates of a
    query do not count as matches. With --queries and --images the queries are photos from outside the catalogue.
    Intervals are 95 %, from a bootstrap over groups of similar products.

    With --backbone the features of these encoders are compared instead, without training, with the rate of each on this
    machine. Missing features are computed and kept in the home; what serves does not change.

    Examples:
        recsys evaluate
        recsys evaluate --backbone efficientnet_lite0 --backbone my-encoder/
        recsys evaluate --out scoreboard.csv
        recsys evaluate --queries customers.csv --images photos/
            (columns of customers.csv: file, category_path, price, product_id)
    """
    from recsys.evaluation.encoder_comparison import compared_encoders, with_rates
    from recsys.evaluation.scoreboard import scoreboard

    if (queries is None) != (images is None):
        raise typer.BadParameter("--queries describes the photos, --images is their folder: give both")
    if queries is not None and backbone:
        raise typer.BadParameter("--backbone compares encoders on held-out products: give no --queries")
    configuration = load(home)
    with show_progress():
        skipped: list[SkippedRow] = []
        rates: dict[str, float] = {}
        if backbone:
            queried, rates = compared_encoders(home, configuration, backbone)
        else:
            queried, skipped = _load(home, configuration, queries, images)
        figures = scoreboard(queried.models, queried.frame, configuration.evaluation, queried.histograms)
        if rates:
            figures = with_rates(figures, rates)
    if output:
        _write(figures, output)
    if as_json:
        rows = json.loads(figures.to_json(orient="records"))
        print_json({"scoreboard": rows, "skipped": [[*row] for row in skipped]})
        return
    for row in skipped[:MOST_SKIPPED_ROWS]:
        err.print(Text(printable(f"note: line {row.line}: {row.reason}")), soft_wrap=True)
    if len(skipped) > MOST_SKIPPED_ROWS:
        more = len(skipped) - MOST_SKIPPED_ROWS
        err.print(Text(f"note: {more:,} more rows could not be used; --json lists all of them"))
    _print_scoreboard(figures)
    held_out = int(queried.frame["held_out"].sum())
    gallery = len(queried.frame) - (held_out if queries else 0)
    ending = f" All figures: {output}" if output else ""
    out.print(Text(f"\n{held_out:,} query pictures, compared with {gallery:,} products.{ending}"))


def _load(
    home: Path, configuration: Configuration, queries: Path | None, images: Path | None
) -> tuple[EvaluationSet, list[SkippedRow]]:
    """Return the models with their queries, and the rows of `queries` that could not be used."""
    from recsys.evaluation.evaluation_set import load_evaluation_set, trained_models, with_trained_models
    from recsys.evaluation.outside_queries import photo_embedder, with_outside_queries
    from recsys.storage.store import Store

    store = Store(home, read_only=True)
    trained = trained_models(store, configuration)
    queried = with_trained_models(load_evaluation_set(store, configuration), store, trained)
    if queries is None or images is None:
        return queried, []
    embed = {name: photo_embedder(store, trained[name], configuration) for name in queried.models if name in trained}
    return with_outside_queries(queried, queries, images, configuration, home, embed)


def _write(figures: pd.DataFrame, output: Path) -> None:
    """Write the figures as CSV.

    Raises:
        ExportError: the file cannot be written.
    """
    from recsys.core.errors import ExportError
    from recsys.storage.spreadsheet import write_csv

    try:
        write_csv(figures, output)
    except OSError as error:
        raise ExportError(f"cannot write {output}: {error.strerror or error}") from error


def _print_scoreboard(figures: pd.DataFrame) -> None:
    """Print one table per level of the category path, and one of the figures that belong to no level."""
    for level, rows in figures[figures["level"] > 0].groupby("level"):
        _print_level(int(str(level)), rows)
    others = figures[figures["level"] == 0]
    metrics = [metric for metric in OTHER_FIGURES if metric in set(others["metric"])]
    cells = []
    for model, rows in others.groupby("model", sort=False):
        values = rows.set_index("metric")["value"]
        cells.append((model, *(OTHER_FIGURES[metric][2].format(values[metric]) for metric in metrics)))
    columns = ["model", *(OTHER_FIGURES[metric][0] for metric in metrics)]
    legend = "\n".join(f"{OTHER_FIGURES[metric][0]}: {OTHER_FIGURES[metric][1]}" for metric in metrics)
    out.print(table("The five nearest, and the catalogue", columns, cells, right=columns[1:]))
    out.print(Text(f"\n{legend}", style="dim"))


def _print_level(level: int, rows: pd.DataFrame) -> None:
    """Print the table of one level of the category path."""
    queries = int(rows["queries"].max())
    if not queries:
        out.print(Text(f"Level {level}: no held-out product has a value that occurs often enough\n"))
        return
    figures = dict.fromkeys(zip(rows["metric"], rows["k"], strict=True))
    names = {(metric, k): _name(metric, k) for metric, k in figures if metric != "recall"}
    # recall at 1 equals precision at 1
    names |= {("recall", k): _name("recall", k) for k in sorted(set(rows["k"])) if k > 1}
    cells = [(model, *(_cell(figure, key) for key in names)) for model, figure in rows.groupby("model", sort=False)]
    columns = ["model", *names.values()]
    out.print(table(f"Level {level}, {queries:,} queries", columns, cells, right=columns[1:]))
    out.print()


def _name(metric: str, k: int) -> str:
    return "MAP@R" if metric == "map_at_r" else f"{metric[0].upper()}@{k}"


def _cell(rows: pd.DataFrame, key: tuple[str, int]) -> str:
    """Return a value, with its interval if the figure is in `WITH_INTERVAL`."""
    row = rows[(rows["metric"] == key[0]) & (rows["k"] == key[1])].iloc[0]
    interval = f" ({row['low']:.3f}–{row['high']:.3f})" if key in WITH_INTERVAL else ""
    return f"{row['value']:.3f}{interval}"
