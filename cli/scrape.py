"""`recsys scrape`: pictures from a marketplace for labels with few products."""

from typing import Annotated

import typer

from cli.flow_runs import MIN_FREE, run_scraping
from cli.options import AllowHostOption, HomeOption, JsonOption, allow_hosts
from recsys.core.configuration import HOME_DEFAULT, load


def scrape(
    home: HomeOption = HOME_DEFAULT,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Scrape for this label, whatever its size. Repeatable. \\[default: all small labels]"),
    ] = None,
    allow_host: AllowHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search a marketplace for labels with few pictures, and store its pictures for training.

    The pictures are stored apart from the catalogue and never become products. The marketplace is scraping.url; a
    label is small below scraping.grow_below pictures. You are responsible for complying with the marketplace's terms.
    robots.txt is obeyed. A captcha fails only its keyword; the next run repeats only failed keywords.

    Examples:
        recsys scrape
        recsys scrape --label Eyewear --label "Pet Supplies"
    """
    from recsys.storage.home import require_space
    from recsys.storage.lock import lock
    from recsys.storage.store import Store

    load(home, flags := allow_hosts(home, allow_host))
    Store(home, read_only=True)
    with lock(home):
        require_space(home, MIN_FREE)
        run_scraping(home, label, flags, as_json=as_json)
