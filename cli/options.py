"""Options that several commands share, and the help of commands."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from recsys.core.configuration import HOME_DEFAULT, load


@dataclass
class Invocation:
    """State of one run of the command line, kept in the command's context.

    Attributes:
        home: of the running command; used to explain failures.
    """

    home: Path = HOME_DEFAULT


def _remember_home(context: typer.Context, home: Path) -> Path:
    if invocation := context.find_object(Invocation):
        invocation.home = home
    return home


HomeOption = Annotated[
    Path,
    typer.Option(
        "--home", envvar="RECSYS_HOME", callback=_remember_home, help="The folder that holds all data of one shop."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of a table.")]
AllowHostOption = Annotated[
    list[str] | None,
    typer.Option(help="Allow images from this host although its address is private. Repeatable."),
]
CatalogueOption = Annotated[
    str,
    typer.Option(
        help="Products: a CSV, TSV, JSON, XML, Excel or Parquet file (also compressed), a folder, a pattern, an "
        "http(s) or object-store URL, or a database URL. See 'recsys catalogue'."
    ),
]

RuleOption = Annotated[
    Literal["default", "original"] | None,
    typer.Option(
        "--rule",
        help="How candidates are ranked. default: by look, colour and price. original (course project): by colour and "
        "price only.",
    ),
]
FilterOption = Annotated[
    int | None,
    typer.Option("--filter", min=1, max=1000, help="Number of nearest products to re-rank. \\[default: 20]"),
]
VisualWeightOption = Annotated[
    float | None,
    typer.Option("--visual-weight", min=0, help="Weight of the visual score (rule default only). \\[default: 2]"),
]
ColourWeightOption = Annotated[float | None, typer.Option(min=0, help="Weight of the colour score. \\[default: 1]")]
PriceWeightOption = Annotated[
    float | None, typer.Option(min=0, help="Weight of the price score. \\[default: 0.5; original: 1]")
]


def set_values(**values: Any) -> dict[str, Any]:
    """Return the options that were set on the command line."""
    return {name: value for name, value in values.items() if value is not None}


def allow_hosts(home: Path, hosts: list[str] | None) -> Mapping[str, Any]:
    """Return the flags that add hosts to the configured `images.allow_hosts`."""
    return {"images": {"allow_hosts": [*load(home).images.allow_hosts, *hosts]}} if hosts else {}


def add_command(app: typer.Typer, function: Callable[..., None], panel: str | None = None) -> None:
    """Add a function as the command of the same name; its docstring is the help text.

    Line breaks within a paragraph go, since the terminal wraps the text. The lines after "Examples:" are printed as
    they are, at the end of the help.

    Args:
        app: the command group.
        function: the command; an underscore in its name becomes a dash.
        panel: the heading that lists the command in the help of the group.
    """
    text, _, examples = inspect.cleandoc(function.__doc__ or "").partition("\n\nExamples:\n")
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    help_text = escape("\n\n".join(paragraphs))
    app.command(help=help_text, epilog=example_block(examples), rich_help_panel=panel)(function)


def example_block(examples: str) -> str | None:
    """Return the end of a help text that lists examples, one a line; None if there are no examples."""
    return f"[bold]Examples[/bold]\n\n{escape(inspect.cleandoc(examples))}" if examples else None
