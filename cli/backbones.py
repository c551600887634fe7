"""`recsys backbones`: list the encoders that can be used, with size, rate and scoreboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.console import err, megabytes, out, print_json, show_progress, table
from cli.options import HomeOption, JsonOption
from recsys.core.configuration import BUILT_IN_BACKBONES, HOME_DEFAULT, Configuration, load

if TYPE_CHECKING:
    from recsys.storage.store import Store


@dataclass(frozen=True)
class Listed:
    """A backbone in the list.

    Attributes:
        name: its name, folder or address.
        features: length of a vector; None if that is not known yet.
        bytes: size of its files; None if they are not on this machine.
        pictures_per_second: rate on this machine; None if it was not measured.
        weights: where they are, how to get them, or why they cannot be used.
        precision: at 5 by level of the category path, of its features in the home.
        serves: what serves in the home with these features; empty if nothing does.
    """

    name: str
    features: int | None
    bytes: int | None
    pictures_per_second: float | None
    weights: str
    precision: dict[int, float] = field(default_factory=dict)
    serves: str = ""


def backbones(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Further encoders: folders, hub addresses.")
    ] = None,
    home: HomeOption = HOME_DEFAULT,
    rate: Annotated[bool, typer.Option("--rate/--no-rate", help="Measure the rate on this machine.")] = True,
    as_json: JsonOption = False,
) -> None:
    """List the encoders that can be used here: the built-in ones, the configured one, and those that are named.

    With the home of a shop it also prints the precision at 5 of the features that the home has, on held-out products,
    and which of them serve. 'recsys evaluate --backbone A --backbone B' computes those that are missing.

    Examples:
        recsys backbones
        recsys backbones my-encoder/ --no-rate
    """
    from recsys.storage.store import Store

    configuration = load(home)
    store = None if home == HOME_DEFAULT and not home.exists() else Store(home, read_only=True)
    unique = dict.fromkeys([*BUILT_IN_BACKBONES, configuration.backbone.name, *(names or [])])
    encoders = [configuration.with_backbone(name) for name in unique]
    serves, of_serving = _serving(home, configuration) if store else ("", configuration)
    with show_progress():
        every = encoders if of_serving in encoders else [*encoders, of_serving]
        listed = [_describe(own, home, store, rate, serves if own == of_serving else "") for own in every]
    if as_json:
        print_json([asdict(each) for each in listed])
        return
    _print(listed)


def _print(listed: Sequence[Listed]) -> None:
    levels = sorted({level for each in listed for level in each.precision})
    right = ["features", "MB", "pictures/s", *(f"level {level}" for level in levels)]
    rows = [
        (
            each.name,
            "–" if each.features is None else each.features,
            "–" if each.bytes is None else megabytes(each.bytes),
            "–" if each.pictures_per_second is None else f"{each.pictures_per_second:,.1f}",
            *(f"{each.precision[level]:.3f}" if level in each.precision else "–" for level in levels),
            *([each.serves] if levels else []),
            each.weights,
        )
        for each in listed
    ]
    columns = ["name", *right, *(["serves"] if levels else []), "weights"]
    out.print(table("Backbones", columns, rows, right=right))
    if levels:
        out.print(Text("\nlevel 1, 2, ...: precision at 5 of the features, on held-out products", style="dim"))


def _describe(own: Configuration, home: Path, store: Store | None, measure: bool, serves: str) -> Listed:
    """Return a backbone's row; one that cannot be used has the reason instead of its figures."""
    from recsys.core.errors import NoImagesError, RecsysError
    from recsys.models.features import backbones_folder
    from recsys.vision.backbones.inventory import describe

    known = describe(own.backbone, backbones_folder(home), measure=measure)
    precision = {}
    if store is not None:
        from recsys.evaluation.encoder_comparison import precision_of_features

        try:
            precision = precision_of_features(store, own) or {}
        except NoImagesError:
            precision = {}
        except RecsysError as error:
            err.print(Text(f"note: {error}"), soft_wrap=True)
    return Listed(own.backbone.name, *known, precision, serves)


def _serving(home: Path, configuration: Configuration) -> tuple[str, Configuration]:
    """Return what serves, for display, and the configuration of the features that it sees."""
    from recsys.models.embedding.serving import seen_by, serving

    model = serving(home, configuration).model
    name = f"embedding {model.version[:8]}" if model else "features"
    return name, seen_by(home, model, configuration)
