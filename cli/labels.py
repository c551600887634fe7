"""`recsys labels`: which labels there are, which top levels could be merged, and what a person says of the doubtful."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.console import clean, err, out, progress_shown, table
from cli.options import HomeOption, JsonOption, use
from recsys.core.configuration import HOME_DEFAULT, Configuration, load

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 20
"""Rows of a long list that the terminal shows; the file has all."""

labels = typer.Typer(
    name="labels",
    help="Labels: show them, suggest merges of grey areas, review the doubtful ones.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

EXAMPLES = "[bold]Examples[/bold]\n\n{}"


@labels.command(epilog=EXAMPLES.format("recsys labels show\n\nrecsys labels show --json"))
def show(home: HomeOption = HOME_DEFAULT, as_json: JsonOption = False) -> None:
    """Show the labels: how many products have each, and who gave it.

    The catalogue gives a label as it is, or merged by labels.merge; the classifier predicts it; a person reviews it.
    """
    from recsys.models.labels.ledger import SOURCES, class_balance, class_sources
    from recsys.models.labels.review import review_list
    from recsys.models.labels.tree import table_notes
    from recsys.storage.store import Store

    configuration = load(use(home))
    store = Store(home, read_only=True)
    balance = class_balance(store)
    unlabelled, to_review = balance.attrs["unlabelled"], len(review_list(store))
    classes = balance.merge(class_sources(store), on="label", how="left")
    notes = table_notes(store, configuration)
    if as_json:
        told = {"labels": _records(classes), "unlabelled": unlabelled, "to_review": to_review, "notes": notes}
        out.print_json(json.dumps(told))
        return
    numbers = ["products", *SOURCES]
    rows = [
        (row["label"], f"{row['products']:,}", f"{row['share']:.1%}", *(f"{row[source]:,}" for source in SOURCES))
        for row in classes.to_dict("records")
    ]
    out.print(table("Labels", ["label", "products", "share", *SOURCES], rows, right=[*numbers, "share"]))
    out.print(Text(f"\n{unlabelled:,} products have no label; {to_review:,} of them wait for 'recsys labels review'."))
    _note(notes)


@labels.command(
    epilog=EXAMPLES.format(
        "recsys labels suggest\n\nrecsys labels suggest --out merge.toml   (edit it, then put it into HOME/recsys.toml)"
    )
)
def suggest(
    home: HomeOption = HOME_DEFAULT,
    to: Annotated[Path | None, typer.Option("--out", "-o", help="A .toml with the table, to edit.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Suggest a table of labels for this catalogue, with the evidence; nothing is applied.

    Which top levels of the category tree are another spelling of one, or small and much like a bigger one: to merge.
    Which are a product's or a brand's name: to drop, so that their products are left to the classifier. With --out
    the table is written as the \\[labels.merge] of a recsys.toml, to be edited and put there.
    """
    from recsys.ingest.catalogue.products import active_products
    from recsys.models.labels.suggest import suggest_merges, write_suggestions
    from recsys.storage.store import Store

    load(use(home))
    store = Store(home, read_only=True)
    with progress_shown():
        suggestions = suggest_merges(active_products(store, ["name", "brand", "category_path"]))
    if to:
        write_suggestions(suggestions, to)
    if as_json:
        out.print_json(json.dumps({"suggestions": _records(suggestions), "out": str(to) if to else None}))
        return
    doubtful = suggestions[suggestions["proposal"].isin(["merge", "consider"])]
    if doubtful.empty:
        out.print("No two top levels look like one.")
    else:
        rows = [
            (row["proposal"], row["value"], f"{row['products']:,}", row["merge_into"], row["evidence"])
            for row in doubtful.to_dict("records")
        ]
        out.print(table("Grey areas", ["", "top level", "products", "into", "evidence"], rows, right=["products"]))
    dropped = suggestions[suggestions["proposal"] == "drop"]
    if len(dropped):
        rows = [
            (row["value"], f"{row['products']:,}", row["evidence"]) for row in dropped.head(SHOWN).to_dict("records")
        ]
        out.print()
        out.print(table("No categories", ["top level", "products", "evidence"], rows, right=["products"]))
        if len(dropped) > SHOWN:
            out.print(Text(f"and {len(dropped) - SHOWN:,} more, {dropped['products'].sum():,} products in all"))
    kept = suggestions["proposal"].isin(["keep", "consider"]).sum()
    out.print(Text(f"\n{kept:,} labels would be left of {len(suggestions):,} top levels; nothing was applied."))
    out.print(Text(f"Edit {to}, then put it into {home / 'recsys.toml'}." if to else "As a table to edit: --out FILE"))


@labels.command(
    epilog=EXAMPLES.format(
        "recsys labels review --out review.csv       (fill in the column 'answer')\n\n"
        "recsys labels review --answers review.csv\n\n"
        "recsys labels review --filled --out filled.csv   (answer the wrong ones)"
    )
)
def review(
    home: HomeOption = HOME_DEFAULT,
    to: Annotated[Path | None, typer.Option("--out", "-o", help="A .csv to be answered in a spreadsheet.")] = None,
    answers: Annotated[Path | None, typer.Option("--answers", "-a", help="The answered .csv.")] = None,
    allow_new: Annotated[bool, typer.Option("--allow-new", help="An answer may name a label that is new.")] = False,
    filled: Annotated[bool, typer.Option("--filled", help="List the products whose label was filled in.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the products without a label, and those whose label the classifier contradicts; take in the answers.

    An answer is a label; or none, where the product has none; or forget, which takes an earlier answer back. It
    outranks the catalogue and the classifier, and stays through reruns and catalogue updates. A file with a wrong
    answer is refused as a whole. With --filled the list has the labels that the classifier filled in, the least sure
    first: answer those that are wrong, and leave the others empty.
    """
    from recsys.models.labels.review import filled_list, review_list, write_review
    from recsys.storage.store import Store

    if to and answers:
        raise typer.BadParameter("--out writes the list, --answers takes it in: name one of them")
    if allow_new and not answers:
        raise typer.BadParameter("--allow-new goes with --answers")
    if filled and answers:
        raise typer.BadParameter("--filled makes a list, --answers takes one in: name one of them")
    configuration = load(use(home))
    store = Store(home, read_only=True)
    if answers:
        _take_in(home, configuration, answers, allow_new, as_json)
        return
    doubtful = filled_list(store) if filled else review_list(store, configuration.labels.suspicious_above)
    if to:
        write_review(doubtful, to)
    if as_json:
        out.print_json(json.dumps({"review": _records(doubtful), "out": str(to) if to else None}))
    else:
        _show_list(doubtful, to, "No label was filled in." if filled else "No product waits for a review.")


def _take_in(home: Path, configuration: Configuration, answers: Path, allow_new: bool, as_json: bool) -> None:
    """Save the answers of a file, bring the labels up to date with them, and tell."""
    from recsys.models.labels import ledger
    from recsys.models.labels.review import known_labels, read_answers, save_answers
    from recsys.storage.store import Store, lock

    with lock(home):
        store = Store(home)
        known = known_labels(store, configuration)
        given = read_answers(answers, known, store, allow_new=allow_new)
        counts = save_answers(store, given, datetime.now(UTC))
        changed = 0
        for shard in ledger.missing(store, configuration):
            ledger.label_shard(store, shard, configuration)
            changed += len(shard.keys)
    new = sorted({*given["label"].dropna()} - {*known})
    if as_json:
        told = {"saved": counts.saved, "unchanged": counts.unchanged, "forgotten": counts.forgotten}
        out.print_json(json.dumps({**told, "relabelled": changed, "new_labels": new}))
        return
    out.print(
        Text(
            f"{counts.saved:,} answers saved, {counts.unchanged:,} as before, {counts.forgotten:,} forgotten; "
            f"{changed:,} products labelled anew."
        )
    )
    if new:
        out.print(Text(f"New labels: {', '.join(new)}"))
    if changed:
        out.print("What depends on the labels follows with the next 'recsys run'.")


def _show_list(doubtful: pd.DataFrame, to: Path | None, if_empty: str) -> None:
    if doubtful.empty:
        out.print(if_empty)
        return
    rows = [
        (
            row["product_id"],
            row["name"] if isinstance(row["name"], str) else "",
            row["why"],
            f"{row['suggestion']} {row['confidence']:.2f}" if isinstance(row["suggestion"], str) else "",
        )
        for row in doubtful.head(SHOWN).to_dict("records")
    ]
    out.print(table("To review", ["product", "name", "why", "suggestion"], rows))
    out.print(Text(f"\n{len(doubtful):,} to review" + (f", in {to}: fill in the column 'answer'" if to else "")))
    out.print(Text(f"Then: recsys labels review --answers {to}" if to else "As a table to answer: --out FILE.csv"))


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Return rows for JSON, null where a value is missing."""
    rows: list[dict[str, object]] = json.loads(frame.to_json(orient="records", force_ascii=False))
    return rows


def _note(notes: tuple[str, ...]) -> None:
    for note in notes:
        err.print(Text(clean(f"note: {note}")), soft_wrap=True)
