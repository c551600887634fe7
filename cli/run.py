"""`recsys run`, `recsys retry`, `recsys scrape`: update a shop from its catalogue, retry what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, get_args

import typer

from cli.flow_runs import MIN_FREE, run_flow, run_scraping
from cli.options import (
    AllowHostOption,
    CatalogueOption,
    ColourWeightOption,
    FilterOption,
    HomeOption,
    JsonOption,
    PriceWeightOption,
    RuleOption,
    VisualWeightOption,
    allow_hosts,
    set_values,
)
from cli.status import print_next_steps
from flows import Stage
from recsys.core.configuration import HOME_DEFAULT, load

if TYPE_CHECKING:
    from recsys.storage.store import Store

StopAfterOption = Annotated[
    Stage, typer.Option(metavar="STAGE", help=f"The last stage to run: {', '.join(get_args(Stage))}.")
]

DAYS_PER_UNIT = {"d": 1.0, "h": 1 / 24, "m": 1 / (24 * 60)}
"""Days per unit of an age such as 7d, 12h or 30m."""


def run(
    catalogue: CatalogueOption,
    home: HomeOption = HOME_DEFAULT,
    stop_after: StopAfterOption = "results",
    rule: RuleOption = None,
    filter_: FilterOption = None,
    visual_weight: VisualWeightOption = None,
    colour_weight: ColourWeightOption = None,
    price_weight: PriceWeightOption = None,
    allow_host: AllowHostOption = None,
    accept: Annotated[
        bool,
        typer.Option("--accept", help="Go on even if the catalogue removes, renames or merges many products."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Update a shop from its catalogue: fetch images, label, compare, recommend, report.

    A run does only what is missing. After a failure it repeats what failed; after a catalogue update it processes what
    changed. Prefect runs the stages: on the server of PREFECT_API_URL if that is set, else on a server that is started
    for this run. 'recsys ui' shows the run later.

    Examples:
        recsys run --catalogue catalogue.csv --home my-shop
        recsys run --catalogue https://shop.example/all.csv.gz --stop-after images
        recsys run --catalogue catalogue.csv --allow-host images.intranet
    """
    from recsys.ingest.catalogue.source import check_source
    from recsys.storage.home import require_space
    from recsys.storage.lock import lock
    from recsys.storage.store import Store

    check_source(catalogue)
    rule_settings = set_values(
        rule=rule,
        filter=filter_,
        visual_weight=visual_weight,
        colour_weight=colour_weight,
        price_weight=price_weight,
    )
    flags = {**({"recommend": rule_settings} if rule_settings else {}), **allow_hosts(home, allow_host)}
    load(home, flags)
    with lock(home):
        Store(home)
        require_space(home, MIN_FREE)
        parameters = {"catalogue": catalogue, "flags": flags, "stop_after": stop_after, "accept": accept}
        run_flow("recommend", home, parameters, as_json=as_json)
        if not as_json:
            print_next_steps(home)


def retry(
    home: HomeOption = HOME_DEFAULT,
    broken: Annotated[bool, typer.Option("--broken", help="Retry broken links too.")] = False,
    cause: Annotated[
        list[str] | None,
        typer.Option(help="Retry broken links with this cause (404, timeout, ...). Repeatable."),
    ] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Instead, check whether images behind working links changed.")
    ] = False,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only links last checked at least this long ago: 7d, 12h, 30m.")
    ] = None,
    stop_after: StopAfterOption = "results",
    allow_host: AllowHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Retry only the images that failed, and update what depends on them.

    Without options it retries pending images: those whose host was down. With --changed it sends conditional requests,
    so an unchanged image is not transferred again.

    Examples:
        recsys retry
        recsys retry --broken --older-than 7d
        recsys retry --cause 404 --cause timeout
        recsys retry --changed --older-than 30d
    """
    from recsys.storage.home import require_space
    from recsys.storage.lock import lock
    from recsys.storage.store import Store

    if changed and (broken or cause):
        raise typer.BadParameter("--changed is for working links, --broken and --cause are for broken links")
    if older_than and not (broken or cause or changed):
        raise typer.BadParameter("--older-than goes with --broken, --cause or --changed")
    days = _days(older_than) if older_than else 0.0
    load(home, flags := allow_hosts(home, allow_host))
    store = Store(home, read_only=True)
    with lock(home):
        require_space(home, MIN_FREE)
        parameters = {
            "status": "ok" if changed else "broken" if broken or cause else "pending",
            "causes": _checked_causes(store, cause or []),
            "older_than_days": days,
            "flags": flags,
            "stop_after": stop_after,
        }
        run_flow("recheck", home, parameters, as_json=as_json)


def _checked_causes(store: Store, causes: list[str]) -> list[str]:
    """Return causes by their names in the ledger; a number is an HTTP status.

    Raises:
        BadParameter: no link is broken for one of the causes.
    """
    from recsys.ingest.images.ledger import broken_by_cause

    names = [f"http_{cause}" if cause.isdecimal() else cause for cause in causes]
    recorded = [str(cause) for cause in broken_by_cause(store)["cause"]]
    if unknown := [name for name in names if name not in recorded]:
        choice = f"the recorded causes are {', '.join(recorded)}" if recorded else "no link is broken"
        raise typer.BadParameter(f"no link is broken for the cause '{unknown[0]}'; {choice}")
    return names


def _days(age: str) -> float:
    """Return the days in an age such as 7d, 12h or 30m."""
    try:
        return float(age[:-1]) * DAYS_PER_UNIT[age[-1]]
    except (ValueError, KeyError):
        raise typer.BadParameter(f"'{age}' is not an age; write 7d, 12h or 30m") from None


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
