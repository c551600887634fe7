"""Options that many commands have, and the home that the running command works on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recsys.core.configuration import HOME_DEFAULT

HomeOption = Annotated[
    Path,
    typer.Option("--home", envvar="RECSYS_HOME", help="The folder that holds everything of one shop."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a script instead of a table.")]

_home = HOME_DEFAULT


def current_home() -> Path:
    """Return the home that the running command works on."""
    return _home


def use(home: Path) -> Path:
    """Return the home, having noted that the running command works on it."""
    global _home
    _home = home
    return home
