"""`recsys demo`, `recsys sample`, `recsys serve-sample`: the sample shop, and the whole workflow on it."""

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.console import out, show_progress
from cli.flow_runs import MIN_FREE, load_flows, run_flow, run_scraping
from cli.options import HomeOption
from cli.recommend import print_answer
from cli.status import print_next_steps
from recsys.core.configuration import HOME_DEFAULT, Configuration, load
from recsys.core.errors import RecsysError

DEMO_IMAGES = {"timeout_s": 2, "allow_hosts": ["127.0.0.1"]}
"""Settings for an image host on this machine: a request without a reply after 2 s is one of the host's faults."""

DEMO_LABELS = ["Cameras & Accessories", "Eyewear", "Pet Supplies"]
DEMO_SCRAPING = {"delay_s": 0, "pages": 1}
"""Settings for a marketplace on this machine. Its search for Eyewear answers with a captcha twice."""


def demo(
    home: HomeOption = HOME_DEFAULT,
    products: Annotated[
        int | None, typer.Option(min=50, max=100_000, help="Products of the sample shop. \\[default: 600]")
    ] = None,
) -> None:
    """Draw a sample shop, run the whole workflow on it, and show the results.

    The image host of the sample shop runs on this machine. 7.77 % of its image URLs are broken, the share in the
    original course project. A marketplace on the same host is scraped for three labels with few products. A second
    demo finds nothing to do.

    Examples:
        recsys demo
        recsys demo --home my-demo --products 100
    """
    from cli.servers import prefect_server
    from recsys.models.embedding.serving import models
    from recsys.storage.home import require_space
    from recsys.storage.lock import lock
    from recsys.storage.store import Store
    from sample_shop import SampleHost, draw_shop, load_shop

    with lock(home):
        require_space(home, MIN_FREE)
        Store(home)
        flags: dict[str, Any] = {"images": DEMO_IMAGES} | ({"sample": {"products": products}} if products else {})
        settings = load(home, flags).sample
        folder = home / "sample-shop"

        def prepare() -> None:
            with show_progress():
                draw_shop(folder, settings.products, settings.seed, _sample_url(folder, settings.port))
            load_flows()
            if not models(home):
                import recsys.models.embedding.training  # noqa: F401 - TensorFlow; the demo will train

        with contextlib.ExitStack() as stack:
            stack.enter_context(prefect_server(home, meanwhile=prepare))
            shop = load_shop(folder)
            host = stack.enter_context(SampleHost(shop.folder, port=int(shop.base_url.rsplit(":", 1)[1])))
            run_flow("recommend", home, {"catalogue": str(shop.catalogue), "flags": flags})
            requests = sum(host.stats().values())
            scraping = DEMO_SCRAPING | {"url": f"{host.url}/s?k={{keyword}}&page={{page}}"}
            run_scraping(home, DEMO_LABELS, flags | {"scraping": scraping, "workflow": {"retry_delay_s": 0.5}})
        out.print(f"\nThe image host of the sample shop got {requests:,} requests.")
        _print_example(home, load(home, flags))
        print_next_steps(home)


def _sample_url(folder: Path, port: int) -> str:
    """Return the address of the sample shop's host: the one in an existing catalogue, else one with a free port."""
    from cli.servers import LOOPBACK, free_port
    from sample_shop import load_shop

    with contextlib.suppress(RecsysError):
        return load_shop(folder).base_url
    return f"http://{LOOPBACK}:{free_port(port)}"


def _print_example(home: Path, configuration: Configuration) -> None:
    """Print the recommendations of one product: the first watch, else the first product."""
    from recsys.ingest.catalogue.facts import currency_of
    from recsys.ranking.cache_keys import products_with_image
    from recsys.ranking.single_query import recommend_product
    from recsys.storage.store import Store

    store = Store(home, read_only=True)
    products = products_with_image(store)
    watches = products[products["label"] == "Watches"]
    example = (watches if len(watches) else products)["product_id"].iloc[0]
    out.print(f"\nFor example, 'recsys recommend {example}':\n")
    print_answer(recommend_product(store, configuration, example), currency_of(home, configuration))


def sample(
    output: Annotated[Path, typer.Option("--out", "-o", help="The folder to draw into.")],
    products: Annotated[int, typer.Option(min=50, max=100_000, help="Number of products.")] = 600,
    seed: Annotated[int, typer.Option(help="The same seed draws the same shop, byte for byte.")] = 12_345,
    base_url: Annotated[str, typer.Option(help="The address that will serve the images.")] = "http://127.0.0.1:8764",
    views: Annotated[
        int | None,
        typer.Option(min=1, max=8, help="Pictures per product. \\[default: 1 to 3; two thirds have one]"),
    ] = None,
) -> None:
    """Draw a sample shop: pictures of products, and a catalogue with the errors of a real one.

    Examples:
        recsys sample --out my-sample
        recsys serve-sample my-sample
        recsys run --catalogue my-sample/catalogue.csv --allow-host 127.0.0.1
    """
    from sample_shop import draw_shop

    with show_progress():
        shop = draw_shop(output, products, seed, base_url, views)
    out.print(Text(f"{shop.catalogue}: {shop.rows:,} rows, {shop.products:,} products, {shop.images:,} pictures"))
    out.print(
        Text(f"Next: recsys serve-sample {output}, and in another terminal: recsys run --catalogue {shop.catalogue}")
    )


def serve_sample(
    folder: Annotated[Path, typer.Argument(help="A folder that 'recsys sample' drew.")],
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="The port. \\[default: the one in the catalogue]")
    ] = None,
) -> None:
    """Serve the images of a sample shop until Ctrl-C; 7.77 % of them fail, in ten ways.

    /faults.json lists the images that fail, /stats.json counts the requests for each image.

    Examples:
        recsys serve-sample my-sample
    """
    from sample_shop import SampleHost, load_shop

    shop = load_shop(folder)
    host = SampleHost(shop.folder, port=port or int(shop.base_url.rsplit(":", 1)[1]))
    out.print(Text(f"{shop.images:,} images on {shop.base_url}, {len(shop.faults):,} faulty; Ctrl-C stops the host"))
    with contextlib.suppress(KeyboardInterrupt):
        host.serve_forever()
