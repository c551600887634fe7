"""`recsys sample`, `recsys serve-sample`: draw a sample shop, serve its images."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli.console import out, show_progress


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
