"""`recsys models`: the embeddings of a shop: which there are, which serves, another in its place."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.console import clean, err, out, progress_shown, table
from cli.options import HomeOption, JsonOption, use
from recsys.core.configuration import HOME_DEFAULT, load

models = typer.Typer(
    name="models",
    help="Embeddings: list them, promote one, roll back to the one before.",
    rich_markup_mode="rich",
    epilog="[bold]Examples[/bold]\n\nrecsys models\n\nrecsys models promote 3f2a...\n\nrecsys models rollback",
)


@models.callback(invoke_without_command=True)
def show(context: typer.Context, home: HomeOption = HOME_DEFAULT, as_json: JsonOption = False) -> None:
    """List the trained embeddings: what each is worth, what the gate said, and which serves."""
    if context.invoked_subcommand is not None:
        use(home)
        return
    from recsys.models.embedding import serving
    from recsys.storage.store import Store

    configuration = load(use(home))
    Store(home, read_only=True)
    known, now = serving.models(home), serving.serving(home, configuration)
    before = serving.pointer(home).before
    note = serving.passed_over(home, configuration)
    if as_json:
        told = [{**asdict(model), "serves": model.version == now.version} for model in known]
        out.print_json(json.dumps({"serves": now.version, "before": before, "note": note, "models": told}))
        return
    if known:
        levels = sorted({level for model in known for level in model.precision})
        rows = [
            (
                *("serves" if model.version == now.version else "", model.version, Path(model.recipe).stem),
                f"{datetime.fromisoformat(model.trained_at).astimezone():%Y-%m-%d}",
                *(f"{model.precision[level]:.3f}" if level in model.precision else "–" for level in levels),
                "promoted" if model.promoted else "refused",
            )
            for model in known
        ]
        figures = [f"level {level}" for level in levels]
        columns = ["", "version", "recipe", "trained", *figures, "gate"]
        out.print(table("Embeddings, with their precision at 5 on held-out products", columns, rows, right=figures))
        for model in known:
            out.print(
                Text(clean(f"\n{model.version}, beside {model.against}: {model.reason}"), style="dim"), soft_wrap=True
            )
    serves = f"embedding {now.version}" if now.model else f"the raw backbone, {now.version}"
    out.print(Text(f"\nServes: {serves}" + ("" if known else "; 'recsys train embedding' trains one")))
    if before:
        out.print(Text(f"Before it: {before[-1] or 'the raw backbone'}; 'recsys models rollback' goes back to it"))
    if note:
        err.print(Text(f"note: {note}"), soft_wrap=True)


@models.command()
def promote(
    version: Annotated[str, typer.Argument(help="Of an embedding, as 'recsys models' lists it.")],
    home: HomeOption = HOME_DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Also one that the gate refuses.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Have an embedding serve, with its recommendations, if the gate lets it pass beside the one that serves now."""
    from recsys.lifecycle import promotion as registry
    from recsys.models.embedding import serving
    from recsys.storage.store import Store, lock

    configuration = load(use(home))
    with lock(home), progress_shown():
        store = Store(home)
        before = serving.serving(home, configuration)
        registry.promote(store, configuration, version, force=force)
        _changed(before.version, serving.serving(home, configuration), as_json)


@models.command()
def rollback(home: HomeOption = HOME_DEFAULT, as_json: JsonOption = False) -> None:
    """Have the embedding that served before serve again: model, index and recommendations, in one step."""
    from recsys.lifecycle import promotion as registry
    from recsys.models.embedding import serving
    from recsys.storage.store import Store, lock

    configuration = load(use(home))
    with lock(home), progress_shown():
        store = Store(home)
        before = serving.serving(home, configuration)
        _changed(before.version, registry.roll_back(store, configuration), as_json)


def _changed(before: str, now: Any, as_json: bool) -> None:
    if as_json:
        out.print_json(json.dumps({"served": before, "serves": now.version}))
    elif before == now.version:
        out.print(Text(f"{now.version} serves already"))
    else:
        what = "embedding" if now.model else "the raw backbone,"
        out.print(Text(f"Serves: {what} {now.version}, in place of {before}"))
