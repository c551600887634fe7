"""`recsys models`: list the embeddings, promote one, roll back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.console import err, out, print_json, printable, show_progress, table
from cli.options import HomeOption, JsonOption, add_command, example_block
from recsys.core.configuration import HOME_DEFAULT, load

if TYPE_CHECKING:
    from recsys.models.embedding.serving import Model, Serving

models = typer.Typer(
    name="models",
    help="List the embeddings; promote one, or roll back to the previous one.",
    rich_markup_mode="rich",
    epilog=example_block("recsys models\nrecsys models promote 0123456789abcdef\nrecsys models rollback"),
)


@models.callback(invoke_without_command=True)
def list_models(context: typer.Context, home: HomeOption = HOME_DEFAULT, as_json: JsonOption = False) -> None:
    """List the trained embeddings: their precision, the decision of the gate, and which one serves."""
    if context.invoked_subcommand is not None:
        return
    from recsys.models.embedding import serving
    from recsys.storage.store import Store

    configuration = load(home)
    Store(home, read_only=True)  # raises if the home holds no shop
    trained, current = serving.models(home), serving.serving(home, configuration)
    previous = serving.pointer(home).before
    note = serving.encoder_note(home, configuration)
    if as_json:
        rows = [{**asdict(model), "serves": model.version == current.version} for model in trained]
        print_json({"serves": current.version, "before": previous, "note": note, "models": rows})
        return
    if trained:
        _print_models(trained, current.version)
    hint = "" if trained else "; 'recsys train embedding' trains one"
    out.print(Text(f"\nServes: {current}{hint}"))
    if previous:
        out.print(Text(f"Previous: {previous[-1] or 'the raw backbone'}; 'recsys models rollback' returns to it"))
    if note:
        err.print(Text(f"note: {note}"), soft_wrap=True)


def _print_models(trained: Sequence[Model], serves: str) -> None:
    """Print a table of the models, and the reason of each gate decision."""
    levels = sorted({level for model in trained for level in model.precision})
    rows = [
        (
            "serves" if model.version == serves else "",
            model.version,
            Path(model.recipe).stem,
            Path(model.input).name,
            f"{datetime.fromisoformat(model.trained_at).astimezone():%Y-%m-%d}",
            *(f"{model.precision[level]:.3f}" if level in model.precision else "–" for level in levels),
            "promoted" if model.promoted else "refused",
        )
        for model in trained
    ]
    figures = [f"level {level}" for level in levels]
    columns = ["", "version", "recipe", "sees", "trained", *figures, "gate"]
    out.print(table("Embeddings, with their precision at 5 on held-out products", columns, rows, right=figures))
    for model in trained:
        reason = f"\n{model.version}, compared with {model.against}: {model.reason}"
        out.print(Text(printable(reason), style="dim"), soft_wrap=True)


def promote(
    version: Annotated[str, typer.Argument(help="An embedding, as 'recsys models' lists it.")],
    home: HomeOption = HOME_DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Promote it even if it fails the gate.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make an embedding serve, with its recommendations, if it passes the gate against the current one.

    Examples:
        recsys models promote 0123456789abcdef
    """
    from recsys.lifecycle import promotion
    from recsys.models.embedding import serving
    from recsys.storage.lock import lock
    from recsys.storage.store import Store

    configuration = load(home)
    with lock(home), show_progress():
        store = Store(home)
        previous = serving.serving(home, configuration)
        promotion.promote(store, configuration, version, force=force)
        _print_change(previous, serving.serving(home, configuration), as_json)


def rollback(home: HomeOption = HOME_DEFAULT, as_json: JsonOption = False) -> None:
    """Make the previous embedding serve again: model, index and recommendations, in one step.

    Examples:
        recsys models rollback
    """
    from recsys.lifecycle import promotion
    from recsys.models.embedding import serving
    from recsys.storage.lock import lock
    from recsys.storage.store import Store

    configuration = load(home)
    with lock(home), show_progress():
        store = Store(home)
        previous = serving.serving(home, configuration)
        _print_change(previous, promotion.roll_back(store, configuration), as_json)


def _print_change(previous: Serving, current: Serving, as_json: bool) -> None:
    if as_json:
        print_json({"served": previous.version, "serves": current.version})
    elif previous.version == current.version:
        out.print(Text(f"{current.version} serves already"))
    else:
        out.print(Text(f"Serves: {current}; before: {previous.version}"))


add_command(models, promote)
add_command(models, rollback)
