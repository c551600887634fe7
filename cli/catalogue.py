"""`recsys catalogue`: check how a catalogue will be read, list the presets."""

from __future__ import annotations

import json
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from cli.console import out, print_json, printable, table
from cli.options import HomeOption, JsonOption, add_command
from recsys.core.configuration import HOME_DEFAULT, Columns, Configuration, load
from recsys.core.errors import CatalogueError, ConfigurationError
from recsys.core.text import counted, money, shorten

if TYPE_CHECKING:
    from recsys.ingest.catalogue.guard import PlannedChange
    from recsys.ingest.catalogue.reading import Reading

SHOWN_PRODUCTS = 5
LISTED_FIELDS = ("name", "title", "requires", "documentation", "limits")

catalogue = typer.Typer(
    name="catalogue",
    help="Check how a catalogue will be read; list the known kinds of export.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


def check(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A file, folder, pattern or URL, as of 'recsys run'.")],
    home: HomeOption = HOME_DEFAULT,
    rows: Annotated[int | None, typer.Option(min=1, help="Read only the first rows.")] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="FIELD=COLUMN", help="Use a column for a field; can be repeated."),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write the preset and the columns to the home's recsys.toml.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read a catalogue without changing anything, and show how it was understood.

    It shows the kind of export, the columns, five products as they will be stored, all warnings with the rows that
    caused them, and what a run would change in the home. If something is wrong, set it in the section [catalogue] of
    recsys.toml and check again.

    Examples:
        recsys catalogue check products_export.csv
        recsys catalogue check "exports/*.csv.gz" --home my-shop
        recsys catalogue check feed.xml --rows 1000
        recsys catalogue check products_export.csv --home my-shop --write
        recsys catalogue check scraped.csv --column id=link --column images=photo --write
    """
    from recsys.ingest.catalogue.reading import read_catalogue

    configuration = load(home, {"catalogue": {"columns": _columns(columns or [])}} if columns else {})
    with tempfile.TemporaryDirectory() as scratch:
        reading = read_catalogue(source, configuration, Path(scratch), max_rows=rows)
    change = _planned_change(home, reading)
    if as_json:
        print_json(_summary(reading, change))
    else:
        _print(source, reading, change, configuration)
    if write:
        _write_settings(home, reading)
        out.print(f"Written to {home / 'recsys.toml'}.")


def _columns(assignments: list[str]) -> dict[str, list[str]]:
    """Return the columns of each field that the options `--column` name."""
    columns: dict[str, list[str]] = {}
    for assignment in assignments:
        field, sign, column = assignment.partition("=")
        if not sign or field not in Columns.model_fields or not column:
            known = ", ".join(Columns.model_fields)
            raise ConfigurationError(f"--column {assignment}: write FIELD=COLUMN; fields are {known}")
        columns.setdefault(field, []).append(column)
    return columns


def presets(as_json: JsonOption = False) -> None:
    """List the kinds of export that are recognised by their columns.

    Examples:
        recsys catalogue presets
    """
    from recsys.ingest.catalogue.preset import GENERIC
    from recsys.ingest.catalogue.preset import presets as known

    listed = [preset for preset in known() if preset.name != GENERIC]
    if as_json:
        print_json(
            [preset.model_dump(include={"name", "title", "requires", "documentation", "limits"}) for preset in listed]
        )
        return
    rows = [(preset.name, preset.title, ", ".join(preset.requires)) for preset in listed]
    out.print(table("Presets", ["preset", "export", "recognised by the columns"], rows))


def _planned_change(home: Path, reading: Reading) -> PlannedChange | None:
    """Return what the catalogue would change in a home; None if there is no home."""
    from recsys.ingest.catalogue.guard import planned_change
    from recsys.storage.store import Store

    return planned_change(Store(home, read_only=True), reading) if (home / "home.json").exists() else None


def _summary(reading: Reading, change: PlannedChange | None) -> dict[str, Any]:
    return {
        "format": reading.format,
        "preset": reading.recognition.preset.name,
        "share_of_usual_columns": round(reading.recognition.share, 3),
        "columns": reading.columns,
        "settings": reading.settings,
        "rows": reading.rows,
        "products": reading.table.num_rows,
        "rejected": reading.rejected,
        "duplicates": reading.duplicates,
        "first_products": reading.table.slice(0, SHOWN_PRODUCTS).to_pylist(),
        "notes": reading.notes,
        "change": vars(change) if change else None,
    }


def _print(source: str, reading: Reading, change: PlannedChange | None, configuration: Configuration) -> None:
    from recsys.ingest.catalogue.facts import CatalogueFacts
    from recsys.ingest.catalogue.source import display_name

    currency = configuration.catalogue.currency or CatalogueFacts.of(reading).currency
    out.print(Text(printable(f"{display_name(source)}: {reading.format}"), style="bold"))
    out.print(Text(printable(f"Recognised: {reading.recognition}")))
    columns = [(field, printable(column)) for field, column in reading.columns.items()]
    out.print(table("", ["field", "column"], columns))
    out.print(
        table("Products as they will be read", ["product", "category", "price"], _product_rows(reading, currency))
    )
    counts = f"{counted(reading.rows, 'row')}, {counted(reading.table.num_rows, 'product')}"
    variants = reading.variants
    counts += f", {counted(variants, 'variant')}" if variants else ""
    out.print(f"\n{counts}, {counted(reading.rejected, 'bad row')}, {counted(reading.duplicates, 'repeated id')}")
    for note in reading.notes:
        out.print(Text(printable(f"- {note}")))
    if change is not None:
        out.print(f"A run would add {change.new:,}, remove {change.removed:,} and rename {change.renamed:,} products.")
        for phrase in change.excess(configuration.catalogue.change_share):
            out.print(Text(f"It would stop, since it would {phrase}; --accept lets it go on.", style="bold red"))


def _product_rows(reading: Reading, currency: str) -> list[tuple[str, str, str]]:
    rows = []
    for product in reading.table.slice(0, SHOWN_PRODUCTS).to_pylist():
        images = product["image_urls"]
        more = f" (and {len(images) - 1} more)" if len(images) > 1 else ""
        variants = [str(variant["options"] or variant["id"]) for variant in product["variants"]]
        listed = f"\n{len(variants)} variants: {shorten('; '.join(variants), 60)}" if variants else ""
        name = product["name"] or "no name"
        rows.append(
            (
                printable(f"{name}\n{product['product_id']}\n{images[0]}{more}{listed}"),
                printable(" > ".join(product["category_path"]) or "none"),
                money(product["price"], currency),
            )
        )
    return rows


def _write_settings(home: Path, reading: Reading) -> None:
    """Append the section [catalogue] to the home's recsys.toml."""
    file = home / "recsys.toml"
    try:
        existing = file.read_text(encoding="utf-8") if file.exists() else ""
        if "catalogue" in tomllib.loads(existing):
            raise ConfigurationError(f"{file} has a section [catalogue] already; edit it:\n{_toml(reading)}")
        home.mkdir(parents=True, exist_ok=True)
        separator = "\n" if existing and not existing.endswith("\n\n") else ""
        file.write_text(f"{existing}{separator}{_toml(reading)}", encoding="utf-8")
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CatalogueError(f"{file} cannot be written ({error}); correct it, or name another home") from error


def _toml(reading: Reading) -> str:
    """Return the section [catalogue] that reads this catalogue in the same way."""
    lines = ["[catalogue]", f"preset = {json.dumps(reading.recognition.preset.name)}"]
    lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in reading.settings.items() if value]
    lines += ["", "[catalogue.columns]"]
    lines += [
        f"{field} = {json.dumps(column.split(', '), ensure_ascii=False)}" for field, column in reading.columns.items()
    ]
    return "\n".join(lines) + "\n"


for command in (check, presets):
    add_command(catalogue, command)
