"""`recsys labels`: show the labels, suggest merges of similar top levels, review doubtful labels."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.console import err, out, print_json, printable, show_progress, table
from cli.options import HomeOption, JsonOption, add_command
from recsys.core.configuration import HOME_DEFAULT, Configuration, load

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 20
"""Rows of a long list that the terminal shows; the file has all."""

labels = typer.Typer(
    name="labels",
    help="Show the labels, suggest merges of similar top levels, review doubtful labels.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


def show(home: HomeOption = HOME_DEFAULT, as_json: JsonOption = False) -> None:
    """Show each label, its number of products, and the source of the label.

    Sources: the catalogue unchanged, the catalogue merged by labels.merge, the classifier, a person's review.

    Examples:
        recsys labels show
        recsys labels show --json
    """
    from recsys.models.labels.ledger import SOURCES, class_balance, class_sources
    from recsys.models.labels.merge_table import merge_table_notes
    from recsys.models.labels.review import review_list
    from recsys.storage.store import Store

    configuration = load(home)
    store = Store(home, read_only=True)
    balance = class_balance(store)
    unlabelled, to_review = balance.attrs["unlabelled"], len(review_list(store))
    classes = balance.merge(class_sources(store), on="label", how="left")
    notes = merge_table_notes(store, configuration)
    if as_json:
        print_json({"labels": _records(classes), "unlabelled": unlabelled, "to_review": to_review, "notes": notes})
        return
    rows = [
        (row["label"], f"{row['products']:,}", f"{row['share']:.1%}", *(f"{row[source]:,}" for source in SOURCES))
        for row in classes.to_dict("records")
    ]
    columns = ["label", "products", "share", *SOURCES]
    out.print(table("Labels", columns, rows, right=columns[1:]))
    out.print(Text(f"\n{unlabelled:,} products have no label; 'recsys labels review' lists {to_review:,} of them."))
    for note in notes:
        err.print(Text(printable(f"note: {note}")), soft_wrap=True)


def suggest(
    home: HomeOption = HOME_DEFAULT,
    output: Annotated[Path | None, typer.Option("--out", "-o", help="Write the table as a .toml, to edit.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Suggest a table of labels for this catalogue, with the evidence; apply nothing.

    Top levels of the category tree that are two spellings of one value, or small and similar to a larger one, should be
    merged. Top levels that are the name of a product or a brand should be dropped; the classifier then labels their
    products. With --out the table is written as the section [labels.merge] of a recsys.toml.

    Examples:
        recsys labels suggest
        recsys labels suggest --out merge.toml
            (edit it, then add it to HOME/recsys.toml)
    """
    from recsys.ingest.catalogue.products import active_products
    from recsys.models.labels.suggest import suggest_merges, write_suggestions
    from recsys.storage.store import Store

    load(home)
    store = Store(home, read_only=True)
    with show_progress():
        suggestions = suggest_merges(active_products(store, ["name", "brand", "category_path"]))
    if output:
        write_suggestions(suggestions, output)
    if as_json:
        print_json({"suggestions": _records(suggestions), "out": str(output) if output else None})
        return
    _print_merges(suggestions[suggestions["proposal"].isin(["merge", "consider"])])
    _print_dropped(suggestions[suggestions["proposal"] == "drop"])
    remaining = suggestions["proposal"].isin(["keep", "consider"]).sum()
    hint = f"Edit {output}, then add it to {home / 'recsys.toml'}." if output else "To edit the table: --out FILE"
    out.print(Text(f"\n{remaining:,} labels would remain of {len(suggestions):,} top levels; nothing was applied."))
    out.print(Text(hint))


def _print_merges(merges: pd.DataFrame) -> None:
    if merges.empty:
        out.print("No two top levels look like the same label.")
        return
    rows = [
        (row["proposal"], row["value"], f"{row['products']:,}", row["merge_into"], row["evidence"])
        for row in merges.to_dict("records")
    ]
    out.print(table("Similar top levels", ["", "top level", "products", "into", "evidence"], rows, right=["products"]))


def _print_dropped(dropped: pd.DataFrame) -> None:
    if dropped.empty:
        return
    head = dropped.head(MOST_ROWS).to_dict("records")
    rows = [(row["value"], f"{row['products']:,}", row["evidence"]) for row in head]
    out.print()
    out.print(table("Not categories", ["top level", "products", "evidence"], rows, right=["products"]))
    if len(dropped) > MOST_ROWS:
        out.print(Text(f"and {len(dropped) - MOST_ROWS:,} more, {dropped['products'].sum():,} products in all"))


def review(
    home: HomeOption = HOME_DEFAULT,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the list as a .csv, to answer in a spreadsheet.")
    ] = None,
    answers: Annotated[Path | None, typer.Option("--answers", "-a", help="The answered .csv.")] = None,
    allow_new: Annotated[bool, typer.Option("--allow-new", help="Accept answers that name a new label.")] = False,
    filled: Annotated[bool, typer.Option("--filled", help="List the products that the classifier labelled.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List doubtful labels for a person to answer, and read the answers.

    The list has the products without a label, and those whose label the classifier contradicts. An answer is a label;
    or "none" if the product has no label; or "forget" to withdraw an earlier answer. Answers override the catalogue and
    the classifier, and survive reruns and catalogue updates. A file with a wrong answer is rejected as a whole. With
    --filled the list has the labels that the classifier filled in, the least confident first: answer the wrong ones
    and leave the others empty.

    Examples:
        recsys labels review --out review.csv
            (fill in the column 'answer')
        recsys labels review --answers review.csv
        recsys labels review --filled --out filled.csv
    """
    from recsys.models.labels.review import filled_list, review_list, write_review
    from recsys.storage.store import Store

    if output and answers:
        raise typer.BadParameter("--out writes the list, --answers reads it: name one of them")
    if allow_new and not answers:
        raise typer.BadParameter("--allow-new goes with --answers")
    if filled and answers:
        raise typer.BadParameter("--filled lists labels, --answers reads a list: name one of them")
    configuration = load(home)
    store = Store(home, read_only=True)
    if answers:
        _save_answers(home, configuration, answers, allow_new, as_json)
        return
    doubtful = filled_list(store) if filled else review_list(store, configuration.labels.suspicious_above)
    if output:
        write_review(doubtful, output)
    if as_json:
        print_json({"review": _records(doubtful), "out": str(output) if output else None})
    elif doubtful.empty:
        out.print("The classifier has filled in no label." if filled else "No product waits for a review.")
    else:
        _print_review(doubtful, output)


def _save_answers(home: Path, configuration: Configuration, answers: Path, allow_new: bool, as_json: bool) -> None:
    """Save the answers of a file, update the labels, and print the counts."""
    from recsys.models.labels import ledger
    from recsys.models.labels.review import known_labels, read_answers, save_answers
    from recsys.storage.lock import lock
    from recsys.storage.store import Store

    with lock(home):
        store = Store(home)
        known = known_labels(store, configuration)
        rows = read_answers(answers, known, store, allow_new=allow_new)
        counts = save_answers(store, rows, datetime.now(UTC))
        relabelled = 0
        for shard in ledger.missing(store, configuration):
            ledger.label_shard(store, shard, configuration)
            relabelled += len(shard.keys)
    new_labels = sorted({*rows["label"].dropna()} - {*known})
    if as_json:
        saved = {"saved": counts.saved, "unchanged": counts.unchanged, "forgotten": counts.forgotten}
        print_json({**saved, "relabelled": relabelled, "new_labels": new_labels})
        return
    out.print(
        Text(
            f"{counts.saved:,} answers saved, {counts.unchanged:,} unchanged, {counts.forgotten:,} forgotten; "
            f"{relabelled:,} products relabelled."
        )
    )
    if new_labels:
        out.print(Text(f"New labels: {', '.join(new_labels)}"))
    if relabelled:
        out.print("The next 'recsys run' updates what depends on the labels.")


def _print_review(doubtful: pd.DataFrame, output: Path | None) -> None:
    rows = [
        (
            row["product_id"],
            row["name"] if isinstance(row["name"], str) else "",
            row["why"],
            f"{row['suggestion']} {row['confidence']:.2f}" if isinstance(row["suggestion"], str) else "",
        )
        for row in doubtful.head(MOST_ROWS).to_dict("records")
    ]
    out.print(table("To review", ["product", "name", "why", "suggestion"], rows))
    if output:
        out.print(Text(f"\n{len(doubtful):,} to review, in {output}: fill in the column 'answer'"))
        out.print(Text(f"Then: recsys labels review --answers {output}"))
    else:
        out.print(Text(f"\n{len(doubtful):,} to review\nTo answer in a spreadsheet: --out FILE.csv"))


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Return the rows of a frame for JSON; missing values become null."""
    rows: list[dict[str, object]] = json.loads(frame.to_json(orient="records", force_ascii=False))
    return rows


for command in (show, suggest, review):
    add_command(labels, command)
