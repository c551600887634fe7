"""The commands of `recsys`. Heavy packages are imported by the command that needs them, so that each starts fast."""

from __future__ import annotations

import contextlib
import enum
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

import recsys
from cli.clean import clean as clean_home
from cli.console import clean, err, megabytes, out, progress_shown, table
from cli.evaluate import EPILOG, evaluate
from cli.labels import labels
from cli.models import models
from cli.options import HomeOption, JsonOption, current_home
from cli.options import use as _use
from recsys.core.configuration import HOME_DEFAULT, Configuration, explain, load
from recsys.core.errors import RecsysError

if TYPE_CHECKING:
    from recsys.ranking.single_query import Answer

EXIT_CODES = """
[bold]Exit codes[/bold]

0 done · 1 a defect of this program · 2 a wrong command line · 3 configuration · 4 catalogue · 5 home folder ·
6 unknown product · 7 unusable photo · 8 weights · 9 a server did not start · 10 no usable image · 11 images pending ·
12 export · 13 scraping · 14 training · 15 answers · 16 models · 130 stopped by Ctrl-C
"""

MIN_FREE = 128 << 20
"""Bytes that the home's disk must have free before a run starts."""

DEMO_IMAGES = {"timeout_s": 2, "allow_hosts": ["127.0.0.1"]}
"""The demo's image host is this machine: what has not answered in two seconds hangs on purpose."""

DEMO_LABELS = ["Cameras & Accessories", "Eyewear", "Pet Supplies"]
DEMO_SCRAPING = {"delay_s": 0, "pages": 1}
"""The demo's marketplace is this machine too; searched for Eyewear, it asks for a captcha twice."""

app = typer.Typer(
    name="recsys",
    help="A visual recommender that a shop's data team runs itself: a catalogue goes in; out come, for every product "
    "and any photo, the products that look like it, in its colours, at its price level.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(labels)
app.add_typer(models)
app.command(epilog=EPILOG)(evaluate)
app.command("clean")(clean_home)


class Stage(enum.StrEnum):
    """Where a run may stop; the names of `flows.recommend.Stage`."""

    CATALOGUE = "catalogue"
    IMAGES = "images"
    FEATURES = "features"
    EMBEDDINGS = "embeddings"
    LABELS = "labels"
    RECOMMENDATIONS = "recommendations"
    RESULTS = "results"


FilterOption = Annotated[
    int | None, typer.Option("--filter", min=1, max=1000, help="How many of the nearest by look are reranked. [20]")
]
RuleOption = Annotated[
    Literal["default", "original"] | None,
    typer.Option("--rule", help="'original': the look chooses the candidates; colour and price rank them."),
]
LookOption = Annotated[
    float | None, typer.Option("--visual-weight", min=0, help="Weight of the visual score, by the default rule. [2]")
]
ColourOption = Annotated[float | None, typer.Option(min=0, help="Weight of the colour score. [1]")]
PriceOption = Annotated[float | None, typer.Option(min=0, help="Weight of the price score. [0.5; original: 1]")]

CONNECTIONS = 1_000
"""At once, of 'recsys serve'; who comes on top is answered 503."""

AllowHostOption = Annotated[
    list[str] | None,
    typer.Option(help="A host of your own whose images may come from a private address; may be repeated."),
]


def _version(wanted: bool) -> None:
    if wanted:
        out.print(recsys.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


@app.command()
def demo(
    home: HomeOption = HOME_DEFAULT,
    products: Annotated[
        int | None, typer.Option(min=50, max=100_000, help="Products of the sample shop. [600]")
    ] = None,
) -> None:
    """Draw a sample shop, run the whole workflow on it, and show what came out.

    The shop's image host breaks 7.77 % of its image URLs, as the original project's catalogue had it; a marketplace on
    the same host is scraped for three small classes. Running the demo again does nothing twice.
    """
    from cli.servers import prefect_server
    from recsys.storage.store import Store, lock, require_space
    from sample_shop import SampleHost, draw_shop

    with lock(_use(home)):
        require_space(home, MIN_FREE)
        Store(home)
        flags: dict[str, Any] = {"images": DEMO_IMAGES} | ({"sample": {"products": products}} if products else {})
        settings = load(home, flags).sample
        folder = home / "sample-shop"
        with progress_shown():
            shop = draw_shop(folder, settings.products, settings.seed, _sample_url(folder, settings.port))
        port = int(shop.base_url.rsplit(":", 1)[1])
        with SampleHost(shop.folder, port=port) as host, prefect_server(home):
            _run(home, {"catalogue": str(shop.catalogue), "flags": flags})
            requests = sum(host.stats().values())
            scraping = DEMO_SCRAPING | {"url": f"{host.url}/s?k={{keyword}}&page={{page}}"}
            _scrape(home, DEMO_LABELS, flags | {"scraping": scraping, "workflow": {"retry_delay_s": 0.5}})
        out.print(f"\nThe sample shop's image host was asked for {requests:,} images.")
        _example(home, load(home, flags))
        _where_to_look(home)


def _sample_url(folder: Path, port: int) -> str:
    """Return the address of the sample shop's host: the one its catalogue names already, else a free port."""
    from cli.servers import LOOPBACK, free_port
    from sample_shop import load_shop

    with contextlib.suppress(RecsysError):
        return load_shop(folder).base_url
    return f"http://{LOOPBACK}:{free_port(port)}"


@app.command()
def run(
    catalogue: Annotated[str, typer.Option(help="CSV (also .gz, .zip) or Parquet: a file or an http(s) URL.")],
    home: HomeOption = HOME_DEFAULT,
    stop_after: Annotated[Stage, typer.Option(help="The last stage to run.")] = Stage.RESULTS,
    rule_: RuleOption = None,
    filter_: FilterOption = None,
    visual_weight: LookOption = None,
    colour_weight: ColourOption = None,
    price_weight: PriceOption = None,
    allow_host: AllowHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the home up to date with a catalogue: fetch, label, compare, recommend, report.

    What is there already is not done again, so a rerun after a failure costs what failed, and after a catalogue
    update what changed. Prefect runs it: on the server of PREFECT_API_URL where that is set, else on one that is
    started for this run over the home's own database ('recsys ui' shows it later).
    """
    from recsys.ingest.catalogue.source import check_source
    from recsys.storage.store import Store, lock, require_space

    check_source(catalogue)
    weights = {"visual_weight": visual_weight, "colour_weight": colour_weight, "price_weight": price_weight}
    rule = _given(rule=rule_, filter=filter_, **weights)
    flags = ({"recommend": rule} if rule else {}) | _allowing(allow_host)
    load(_use(home), flags)
    with lock(home):
        Store(home)
        require_space(home, MIN_FREE)
        _run(home, {"catalogue": catalogue, "flags": flags, "stop_after": str(stop_after)}, as_json)
        if not as_json:
            _where_to_look(home)


@app.command()
def retry(
    home: HomeOption = HOME_DEFAULT,
    broken: Annotated[bool, typer.Option("--broken", help="Also the broken links, which may be mended.")] = False,
    cause: Annotated[
        list[str] | None,
        typer.Option(help="Of the broken ones, those with this cause (404, timeout, ...); may be repeated."),
    ] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Instead: look for pictures that changed at their address.")
    ] = False,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only what was last checked so long ago: 7d, 12h, 30m.")
    ] = None,
    stop_after: Annotated[Stage, typer.Option(help="The last stage to run.")] = Stage.RESULTS,
    allow_host: AllowHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask again only for the images that failed, and bring what depends on them up to date.

    Without an option: those that are pending, because their host was down. With --broken: broken links as well. With
    --changed: pictures that are there, on the condition that they changed, so that an unchanged one is not sent again.
    """
    from recsys.ingest.images.ledger import broken_by_cause
    from recsys.storage.store import Store, lock, require_space

    if changed and (broken or cause):
        raise typer.BadParameter(
            "--changed looks at pictures that are there, --broken and --cause at those that are not"
        )
    days = _days(older_than) if older_than else 0.0
    if older_than and not (broken or cause or changed):
        raise typer.BadParameter("--older-than goes with --broken, --cause or --changed")
    load(_use(home), flags := _allowing(allow_host))
    store = Store(home, read_only=True)
    with lock(home):
        require_space(home, MIN_FREE)
        causes = [f"http_{word}" if word.isdecimal() else word for word in cause or ()]
        known = [str(word) for word in broken_by_cause(store)["cause"]]
        if unknown := [word for word in causes if word not in known]:
            there = f"the ledger has {', '.join(known)}" if known else "no link is broken"
            raise typer.BadParameter(f"no link is broken for the cause '{unknown[0]}'; {there}")
        status = "ok" if changed else "broken" if broken or cause else "pending"
        asked = {"status": status, "causes": causes, "older_than_days": days}
        _run(home, asked | {"flags": flags, "stop_after": str(stop_after)}, as_json, flow="recheck")


class Trained(enum.StrEnum):
    """What may be trained; the names of `flows.train.What`."""

    CLASSIFIER = "classifier"
    EMBEDDING = "embedding"


@app.command()
def train(
    what: Annotated[Trained | None, typer.Argument(help="classifier or embedding. \\[both]")] = None,
    home: HomeOption = HOME_DEFAULT,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="The name of a recipe, or a changed copy of one as a .toml. \\[classifier.recipe, embedding.recipe]"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train the models on the shop as it is now: the classifier fills missing labels, the embedding says what is alike.

    'recsys run' trains each once and then uses it. The same data and recipe train nothing; a training that was
    interrupted goes on from its last epoch. A new embedding serves only if the gate finds it better at one level of
    the category path and worse at none, on products that no training sees; else the one before it goes on, and
    'recsys models' shows both.
    """
    from recsys.storage.store import Store, lock, require_space

    if recipe and what is None:
        raise typer.BadParameter("say whose recipe it is: recsys train classifier, or recsys train embedding")
    flags = {str(what): {"recipe": recipe}} if recipe else {}
    configuration = load(_use(home), flags)
    for each in [what] if what else Trained:
        _check_recipe(each, configuration)
    Store(home, read_only=True)
    with lock(home):
        require_space(home, MIN_FREE)
        _run(home, {"flags": flags, **({"what": [str(what)]} if what else {})}, as_json, flow="train")
        if not as_json:
            _where_to_look(home)


def _check_recipe(what: Trained, configuration: Configuration) -> None:
    """Raise ConfigurationError where the configured recipe is none, before a server is started."""
    if what == Trained.CLASSIFIER:
        from recsys.models.classifier.recipe import load_recipe

        load_recipe(configuration.classifier.recipe)
    else:
        from recsys.models.embedding.recipe import load_recipe as load_embedding_recipe

        load_embedding_recipe(configuration.embedding.recipe)


def _allowing(hosts: list[str] | None) -> dict[str, Any]:
    """Return the flags that allow hosts of one's own, beside those of the file and the environment."""
    if not hosts:
        return {}
    return {"images": {"allow_hosts": [*load(current_home()).images.allow_hosts, *hosts]}}


def _days(age: str) -> float:
    """Return the days in 7d, 12h or 30m."""
    units = {"d": 1.0, "h": 24.0, "m": 24.0 * 60}
    try:
        return float(age[:-1]) / units[age[-1]]
    except (ValueError, KeyError):
        raise typer.BadParameter(f"'{age}' is no age; write 7d, 12h or 30m") from None


@app.command()
def broken(
    home: HomeOption = HOME_DEFAULT,
    to: Annotated[Path | None, typer.Option("--out", "-o", help="A .csv with one row a broken link.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the broken image links by cause and by host, and write them out for whoever mends the catalogue."""
    from recsys.ingest.images.ledger import broken_by_cause, broken_by_host, write_broken_links
    from recsys.storage.store import Store

    load(_use(home))
    store = Store(home, read_only=True)
    causes, hosts = broken_by_cause(store), broken_by_host(store)
    links = write_broken_links(store, to) if to else 0
    if as_json:
        out.print_json(json.dumps({"by_cause": causes.to_dict("records"), "by_host": hosts.to_dict("records")}))
        return
    if causes.empty:
        out.print("No link is broken.")
        return
    rows = [(c["cause"], f"{c['products']:,}", c["meaning"], c["remedy"]) for c in causes.to_dict("records")]
    out.print(table("By cause", ["cause", "products", "what it means", "what to do"], rows, right=["products"]))
    out.print()
    rows = [(h["host"] or "no host", f"{h['products']:,}", h["causes"]) for h in hosts.head(20).to_dict("records")]
    out.print(table("By host", ["host", "products", "causes"], rows, right=["products"]))
    out.print(
        Text(f"\n{links:,} links in {to}" if to else "\nAs a table for a spreadsheet: recsys broken --out FILE.csv")
    )


@app.command()
def scrape(
    home: HomeOption = HOME_DEFAULT,
    label: Annotated[
        list[str] | None, typer.Option(help="A label to grow, whatever its size; may be repeated. \\[all small ones]")
    ] = None,
    allow_host: AllowHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Grow small classes: search a marketplace for them, and keep the pictures apart from the catalogue's.

    Searched is scraping.url, for the labels with fewer pictures than scraping.grow_below; whether its terms allow
    this is for you to know. robots.txt is obeyed, and a robot check fails its keyword alone. What was searched for is
    not asked for again; after a failure that is only what failed.
    """
    from recsys.storage.store import Store, lock, require_space

    load(_use(home), flags := _allowing(allow_host))
    Store(home, read_only=True)
    with lock(home):
        require_space(home, MIN_FREE)
        _scrape(home, label, flags, as_json)


def _scrape(home: Path, labels: list[str] | None, flags: dict[str, Any], as_json: bool = False) -> None:
    """Run the scraping flow on a Prefect server and tell what became of each keyword, also where some failed."""
    from cli.servers import prefect_server
    from recsys.core.errors import ScrapingError
    from recsys.storage.store import Store

    done: dict[str, int] = {}
    failure: ScrapingError | None = None
    with prefect_server(home):
        from flows.scrape import scrape as flow
        from recsys.ingest.scraping.harvest import outcomes

        try:
            with progress_shown():
                done = flow(str(home), labels, flags)
        except ScrapingError as error:
            failure = error
    keywords = outcomes(Store(home, read_only=True)).to_dict("records")
    if as_json:
        out.print_json(json.dumps({"done": done, "keywords": keywords}, default=str))
    else:
        counts = ["found", "kept", "duplicates", "broken"]
        rows = [
            (k["label"], k["keyword"], k["cause"] or k["status"], *(f"{k[count]:,}" for count in counts))
            for k in keywords
        ]
        out.print()
        out.print(table("Scraped", ["label", "keyword", "status", *counts], rows, right=counts))
        if done and not done["searches"]:
            out.print("\nNothing to search for: no small class is left that was not searched for.")
    if failure:
        raise failure


def _run(home: Path, parameters: dict[str, Any], as_json: bool = False, flow: str = "recommend") -> None:
    """Run a flow on a Prefect server and tell what it did."""
    from cli.servers import prefect_server

    started = time.monotonic()
    if not as_json:
        err.print(Text("Prefect server: starting, or taking the one that runs"))
    with prefect_server(home):
        ready = time.monotonic()
        from flows.recheck import recheck
        from flows.recommend import recommend
        from flows.train import train

        run: Any = {"recommend": recommend, "recheck": recheck, "train": train}[flow]
        with progress_shown():
            done = run(str(home), **parameters)
        work = time.monotonic() - ready
    if as_json:
        out.print_json(json.dumps({"done": done, "seconds": work, **_status(home)}))
        return
    if not any(done.values()):
        out.print("\n[bold]Nothing to do:[/bold] everything is up to date.")
    _tell(home)
    out.print(f"\nWork {work:.1f} s, Prefect server's start {ready - started:.1f} s.")


@app.command()
def status(home: HomeOption = HOME_DEFAULT, as_json: JsonOption = False) -> None:
    """Show how many products got how far, why the others did not, and what takes how much of the disk."""
    from recsys.storage.compaction import disk_use

    load(_use(home))
    if as_json:
        out.print_json(json.dumps(_status(home) | {"disk": disk_use(home)}))
        return
    _tell(home)
    parts = disk_use(home)
    rows = [(part, megabytes(size)) for part, size in [*parts.items(), ("all", sum(parts.values()))]]
    out.print()
    out.print(table("Disk", ["part", "MB"], rows, right=["MB"]))


def _status(home: Path) -> dict[str, Any]:
    from recsys.ingest.images.ledger import broken_by_cause
    from recsys.models.labels.ledger import class_balance
    from recsys.reporting.funnel import funnel
    from recsys.storage.store import Store

    store = Store(home, read_only=True)
    causes = broken_by_cause(store)
    balance = class_balance(store)
    return {
        "funnel": funnel(store, load(home)).as_dict(),
        "broken_by_cause": dict(zip(causes["cause"], causes["products"].tolist(), strict=True)),
        "labels": dict(zip(balance["label"], balance["products"].tolist(), strict=True)),
        "unlabelled": balance.attrs["unlabelled"],
    }


def _tell(home: Path) -> None:
    """Print the funnel, the labels and the broken links."""
    told = _status(home)
    funnel = told["funnel"]
    steps = [("rows", funnel["rows"], f"{funnel['rejected']:,} set aside" if funnel["rejected"] else "")]
    steps += [
        ("valid", funnel["products"], f"{funnel['products'] - funnel['with_price']:,} without a price"),
        ("labelled", funnel["labelled"], f"{told['unlabelled']:,} without a label"),
        ("with image", funnel["with_image"], f"{funnel['broken']:,} broken, {funnel['pending']:,} pending"),
        ("recommended", funnel["recommended"], ""),
    ]
    out.print()
    out.print(table("Funnel", ["", "products", ""], [(n, f"{c:,}", t) for n, c, t in steps], right=["products"]))
    out.print()
    labels = [(label, f"{count:,}") for label, count in told["labels"].items()]
    out.print(table("Labels", ["label", "products"], labels, right=["products"]))
    if told["broken_by_cause"]:
        out.print()
        causes = [(cause, f"{count:,}") for cause, count in told["broken_by_cause"].items()]
        out.print(table("Broken images", ["cause", "products"], causes, right=["products"]))


@app.command()
def recommend(
    product_id: Annotated[str | None, typer.Argument(help="A product of the catalogue.")] = None,
    image: Annotated[Path | None, typer.Option("--image", help="A photo instead of a product.")] = None,
    home: HomeOption = HOME_DEFAULT,
    top: Annotated[int | None, typer.Option(min=1, max=100, help="How many to return. [5]")] = None,
    rule_: RuleOption = None,
    filter_: FilterOption = None,
    visual_weight: LookOption = None,
    colour_weight: ColourOption = None,
    price_weight: PriceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recommend the products that look like a product or a photo, in its colours, at its price level.

    The nearest by look (--filter) are reranked by look, colour and price, and the best (--top) are shown, each with
    its three scores and the reason in words. A photo is compared with the whole shop, at a neutral price level.
    """
    if (product_id is None) == (image is None):
        raise typer.BadParameter("name either a product id or a photo with --image")
    from recsys.ranking.single_query import recommend_photo, recommend_product
    from recsys.storage.store import Store

    weights = {"visual_weight": visual_weight, "colour_weight": colour_weight, "price_weight": price_weight}
    rule = _given(rule=rule_, top=top, filter=filter_, **weights)
    configuration = load(_use(home), {"recommend": rule} if rule else {})
    store = Store(home, read_only=True)
    if image is not None:
        answer = recommend_photo(store, configuration, image)
    else:
        answer = recommend_product(store, configuration, str(product_id))
    if as_json:
        out.print_json(answer.to_json())
    else:
        _show(answer, configuration)


def _show(answer: Answer, configuration: Configuration) -> None:
    """Print an answer as a table."""
    sign = configuration.catalogue.currency

    def price(value: float | None) -> str:
        return "no price" if value is None or value != value else f"{sign}{value:,.0f}"

    about = [answer.label or "no label: whole shop", price(answer.price), f"price level {answer.price_level:g}"]
    out.print(Text(clean(f"{answer.name} ({', '.join(about)})"), style="bold"))
    rows = [
        (
            *(
                item["rank"],
                f"{item['name']}\n{item['product_id']}\n{item['why']}",
                price(item["price"]),
                f"{item['price_level']:g}",
            ),
            *(f"{item[score]:.2f}" for score in ("visual", "colour", "price_score", "total")),
        )
        for item in answer.items.to_dict("records")
    ]
    columns = ["#", "product", "price", "level", "look", "colour", "price\nscore", "total"]
    out.print(table("", columns, rows, right=[column for column in columns if column != "product"]))


def _example(home: Path, configuration: Configuration) -> None:
    """Print the recommendations of one product, always the same one."""
    from recsys.ranking.cache_keys import products_with_image
    from recsys.ranking.single_query import recommend_product
    from recsys.storage.store import Store

    store = Store(home, read_only=True)
    products = products_with_image(store)
    watches = products[products["label"] == "Watches"]
    example = (watches if len(watches) else products)["product_id"].iloc[0]
    out.print(f"\nFor example, 'recsys recommend {example}':\n")
    _show(recommend_product(store, configuration, example), configuration)


@app.command()
def export(
    to: Annotated[
        str, typer.Option("--out", "-o", help="A .csv, .jsonl or .parquet file, or a URL such as s3://bucket/all.csv.")
    ],
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Write every product's recommendations, with their scores and versions, to a file or an object store."""
    from recsys.ranking.export import export as write
    from recsys.storage.store import Store

    configuration = load(_use(home))
    rows = write(Store(home, read_only=True), configuration, to)
    out.print(Text(f"{rows:,} recommendations in {to}"))


@app.command()
def sample(
    to: Annotated[Path, typer.Option("--out", "-o", help="The folder to draw into.")],
    products: Annotated[int, typer.Option(min=50, max=100_000, help="How many products.")] = 600,
    seed: Annotated[int, typer.Option(help="The same seed draws the same shop, byte for byte.")] = 12_345,
    base_url: Annotated[str, typer.Option(help="Where its images will be served.")] = "http://127.0.0.1:8764",
    views: Annotated[
        int | None, typer.Option(min=1, max=8, help="Pictures of each product. [1 to 3, two thirds have one]")
    ] = None,
) -> None:
    """Draw a sample shop: a catalogue with the dirt of a real one, and the pictures of its products."""
    from sample_shop import draw_shop

    with progress_shown():
        shop = draw_shop(to, products, seed, base_url, views)
    out.print(Text(f"{shop.catalogue}: {shop.rows:,} rows, {shop.products:,} products, {shop.images:,} pictures"))
    out.print(Text(f"Next: recsys serve-sample {to} (and in another terminal) recsys run --catalogue {shop.catalogue}"))


@app.command("serve-sample")
def serve_sample(
    folder: Annotated[Path, typer.Argument(help="A folder that 'recsys sample' drew.")],
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Default: the one in its catalogue.")] = None,
) -> None:
    """Serve a sample shop's images, 7.77 % of them broken in ten ways, until Ctrl-C.

    /faults.json lists the broken ones, /stats.json counts the requests for each.
    """
    from sample_shop import SampleHost, load_shop

    shop = load_shop(folder)
    host = SampleHost(shop.folder, port=port or int(shop.base_url.rsplit(":", 1)[1]))
    out.print(Text(f"{shop.images:,} images on {shop.base_url}, {len(shop.faults):,} faulty; Ctrl-C stops it"))
    with contextlib.suppress(KeyboardInterrupt):
        host.serve_forever()


@app.command()
def serve(
    home: HomeOption = HOME_DEFAULT,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port to listen on.")] = 8080,
    requests: Annotated[bool, typer.Option("--log-requests", help="A line of JSON for each request.")] = False,
) -> None:
    """Open the page for merchandisers, and answer programs over HTTP, until Ctrl-C.

    The page is at /. GET /products/ID/similar, POST /similar (a photo as the body), GET /images/ID, /products, /labels,
    /health, /ready, /metrics; /openapi.json describes them. Section \\[service] of the configuration has the limits.
    """
    import logging

    import uvicorn

    from recsys.service import create_service
    from recsys.service.protocol import HeadersTimeoutProtocol

    service = create_service(_use(home), load(home))
    if requests:
        logging.getLogger("recsys.requests").addHandler(logging.StreamHandler())
        logging.getLogger("recsys.requests").setLevel(logging.INFO)
    out.print(Text(f"Listening on http://{host}:{port}; Ctrl-C stops it"))
    quiet = {"log_level": "warning", "access_log": False, "server_header": False}
    uvicorn.run(service, host=host, port=port, http=HeadersTimeoutProtocol, limit_concurrency=CONNECTIONS, **quiet)


@app.command()
def ui(
    home: HomeOption = HOME_DEFAULT,
    prefect_port: Annotated[int | None, typer.Option(min=1, max=65_535, help="[4200, or a free one]")] = None,
    mlflow_port: Annotated[int | None, typer.Option(min=1, max=65_535, help="[5000, or a free one]")] = None,
    serve_port: Annotated[int | None, typer.Option(min=1, max=65_535, help="[8080, or a free one]")] = None,
    worker_: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Deploy what prefect.yaml holds, and run a worker for it.")
    ] = True,
    schedules: Annotated[
        bool,
        typer.Option("--schedules/--no-schedules", help="Let the deployments run by themselves, by their schedules."),
    ] = False,
    catalogue: Annotated[
        str | None, typer.Option(help="What the deployments take in. \\[the one that was read last]")
    ] = None,
) -> None:
    """Bring up all servers of this home, until Ctrl-C: Prefect and a worker, MLflow, and the page for merchandisers.

    What prefect.yaml holds is deployed for this home and its catalogue, to be run from the Prefect UI by a button; with
    --schedules also by itself: a refresh every hour, a training and a recheck every week. Who is to be told of
    failures (\\[notify] of the configuration) is set up too. They stop together; if one ends by itself, the others are
    stopped, and it is said which, with its log.
    """
    from cli.servers import free_port, mlflow_server, prefect_server, service, watch, worker
    from recsys.reporting.publication import report_path
    from recsys.storage.store import Store

    configuration, store = load(_use(home)), Store(home)
    catalogue = catalogue or _last_catalogue(store)
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        prefect = stack.enter_context(prefect_server(home, prefect_port or free_port(4200)))
        from cli import deployments

        deploying = deployments.begin_to_deploy(home, catalogue) if worker_ and catalogue else None
        if configuration.notify.channels:
            deployments.notify(configuration.notify.channels)
        servers = [
            prefect,
            stack.enter_context(mlflow_server(home, mlflow_port or free_port(5000))),
            stack.enter_context(service(home, serve_port or free_port(8080))),
        ]
        does = ["what ran, what failed, what was done again", "figures and pictures of each run", "the shop's page"]
        if deploying is not None:
            count = deployments.deployed(deploying, home, schedules)
            servers.append(stack.enter_context(worker(home)))
            when = "by their schedules" if schedules else "when you say so (--schedules: by themselves)"
            does.append(f"runs {count} deployments {when}")
        rows = [(server.name, server.url, what) for server, what in zip(servers, does, strict=True)]
        if report_path(home).exists():
            rows.append(("Report", report_path(home).absolute().as_uri(), "the last run's"))
        out.print(table("", ["server", "address", ""], rows))
        if worker_ and not catalogue:
            out.print("No worker: no catalogue was read yet; name one with --catalogue.")
        out.print("Ctrl-C stops all of them.")
        watch(servers)


def _last_catalogue(store: Any) -> str | None:
    """Return the catalogue that was read last, as an absolute path or a URL; None where there was none."""
    read = store.read("catalogues", ["source", "read_at"]).sort_by([("read_at", "descending")])["source"].to_pylist()
    if not read:
        return None
    return read[0] if "://" in read[0] else str(Path(read[0]).absolute())


@app.command()
def notify(
    home: HomeOption = HOME_DEFAULT,
    test: Annotated[bool, typer.Option("--test", help="Send a message to each channel, and change nothing.")] = False,
) -> None:
    """Have the Prefect server tell of failed runs, of embeddings that the gate refuses, and of drift.

    Told are the channels of the section \\[notify]: webhook, slack, email. Their addresses are secrets: they belong in
    the environment (RECSYS_NOTIFY__SLACK, ...) or in the home's recsys.toml. Run it again after a change of them;
    without any, nobody is told any more. 'recsys ui' does it by itself.
    """
    from cli.servers import prefect_server

    channels = load(_use(home)).notify.channels
    with prefect_server(home):
        from cli import deployments

        if test:
            deployments.send_test(channels)
            out.print(Text(f"Sent to {', '.join(channels) or 'nobody: no channel is set in [notify]'}"))
            return
        for name in deployments.notify(channels):
            out.print(Text(f"{name}: tells {', '.join(channels)}"))
    if not channels:
        out.print("Nobody is told: no channel is set in [notify].")


@app.command()
def config(home: HomeOption = HOME_DEFAULT, as_json: JsonOption = False) -> None:
    """Print the effective configuration, each value with where it came from.

    Set a value in HOME/recsys.toml, or by an environment variable such as RECSYS_IMAGES__TIMEOUT_S=5, which outranks
    the file; a flag outranks both. RECSYS_CONFIG names another file.
    """
    values = explain(_use(home))
    if as_json:
        out.print_json(json.dumps({v.key: {"value": v.value, "source": v.source} for v in values}, default=str))
        return
    rows = [(v.key, json.dumps(v.value, ensure_ascii=False, default=str), v.source) for v in values]
    out.print(table(f"Configuration of {home}", ["key", "value", "from"], rows))


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _where_to_look(home: Path) -> None:
    from recsys.reporting.publication import report_path

    option = "" if home == HOME_DEFAULT else f" --home {home}"
    out.print("\n[bold]Where to look[/bold]")
    if report_path(home).exists():
        out.print(Text(f"  the report        {report_path(home)}"))
    if (home / "rejects.csv").exists():
        out.print(Text(f"  rows set aside    {home / 'rejects.csv'}"))
    out.print(Text(f"  Prefect, MLflow   recsys ui{option}"))
    out.print(Text(f"  one product       recsys recommend PRODUCT_ID{option}"))
    out.print(Text(f"  everything        recsys export --out recommendations.csv{option}"))
