"""The command `recsys`, assembled from the modules of this package.

Each command imports heavy packages itself, so that the others start fast.
"""

from typing import Annotated

import typer

import recsys
from cli.backbones import backbones
from cli.catalogue import catalogue
from cli.clean import clean
from cli.config import config
from cli.console import out
from cli.demo import demo, sample, serve_sample
from cli.deployments import notify
from cli.evaluate import evaluate
from cli.labels import labels
from cli.models import models
from cli.options import add_command
from cli.recommend import export, recommend, search
from cli.run import retry, run, scrape
from cli.serve import serve
from cli.status import broken, status
from cli.train import train
from cli.ui import ui

EXIT_CODES = """[bold]Exit codes[/bold]

 0 done                     9 a server did not start
 1 a defect of recsys      10 no usable image
 2 a wrong command line    11 images pending
 3 configuration           12 export
 4 catalogue               13 scraping
 5 home folder             14 training
 6 unknown product         15 answers of a review
 7 unusable photo          16 models
 8 weights                 17 a catalogue changes too much
130 stopped by Ctrl-C
"""

PANELS = {
    "Update a shop": (demo, catalogue, run, retry, train, scrape),
    "See results": (status, broken, recommend, search, export, evaluate, labels, models, backbones),
    "Serve and operate": (serve, ui, notify, config, clean),
    "Sample shop": (sample, serve_sample),
}
"""Headings in the help of `recsys`, each with its commands and command groups."""


def _print_version(requested: bool) -> None:
    if requested:
        out.print(recsys.__version__)
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


def _assemble() -> typer.Typer:
    assembled = typer.Typer(
        name="recsys",
        help="A visual recommender that a shop runs itself. From a catalogue it finds, for every product and any "
        "photo, the products that look similar, in similar colours, at a similar price level.",
        epilog=EXIT_CODES,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    assembled.callback()(_options)
    for panel, members in PANELS.items():
        for member in members:
            if isinstance(member, typer.Typer):
                assembled.add_typer(member, rich_help_panel=panel)
            else:
                add_command(assembled, member, panel)
    return assembled


app = _assemble()
