"""Options that several commands share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

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
CatalogueOption = Annotated[str, typer.Option(help="CSV (also .gz, .zip) or Parquet: a file or an http(s) URL.")]

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
