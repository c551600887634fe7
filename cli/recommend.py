"""`recsys recommend`, `recsys search`, `recsys export`: recommendations, products found by words, all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.console import out, printable, table
from cli.options import (
    ColourWeightOption,
    FilterOption,
    HomeOption,
    JsonOption,
    PriceWeightOption,
    RuleOption,
    VisualWeightOption,
    set_values,
)
from recsys.core.configuration import HOME_DEFAULT, load

if TYPE_CHECKING:
    from recsys.ranking.single_query import Answer

SCORES = ("visual", "colour", "price_score", "total")
COLUMNS = ("#", "product", "price", "level", "look", "colour", "price\nscore", "total")


def recommend(
    product_id: Annotated[str | None, typer.Argument(help="A product of the catalogue.")] = None,
    image: Annotated[Path | None, typer.Option("--image", help="A photo instead of a product.")] = None,
    home: HomeOption = HOME_DEFAULT,
    top: Annotated[
        int | None, typer.Option(min=1, max=100, help="Number of products to return. \\[default: 5]")
    ] = None,
    rule: RuleOption = None,
    filter_: FilterOption = None,
    visual_weight: VisualWeightOption = None,
    colour_weight: ColourWeightOption = None,
    price_weight: PriceWeightOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recommend products that look similar to a product or a photo, in similar colours, at a similar price level.

    The nearest products by look (--filter) are re-ranked by look, colour and price; the best (--top) are printed, each
    with its scores and a reason in words. A photo is compared with the whole shop, at a neutral price level.

    Examples:
        recsys recommend PRODUCT_ID --home my-shop
        recsys recommend --image photo.jpg --top 9
        recsys recommend PRODUCT_ID --price-weight 0 --json
    """
    if (product_id is None) == (image is None):
        raise typer.BadParameter("name either a product id or a photo with --image")
    from recsys.ingest.catalogue.facts import currency_of
    from recsys.ranking.single_query import recommend_photo, recommend_product
    from recsys.storage.store import Store

    rule_settings = set_values(
        rule=rule,
        top=top,
        filter=filter_,
        visual_weight=visual_weight,
        colour_weight=colour_weight,
        price_weight=price_weight,
    )
    configuration = load(home, {"recommend": rule_settings} if rule_settings else {})
    store = Store(home, read_only=True)
    if image is not None:
        answer = recommend_photo(store, configuration, image)
    else:
        answer = recommend_product(store, configuration, str(product_id))
    if as_json:
        out.print_json(answer.to_json())
    else:
        print_answer(answer, currency_of(home, configuration))


def print_answer(answer: Answer, currency: str) -> None:
    """Print recommendations as a table, the query above it; the currency is printed before prices."""
    query = (
        answer.label or "no label: whole shop",
        _price(answer.price, currency),
        f"price level {answer.price_level:g}",
    )
    out.print(Text(printable(f"{answer.name} ({', '.join(query)})"), style="bold"))
    rows = [
        (
            item["rank"],
            f"{item['name']}\n{item['product_id']}\n{item['why']}",
            _price(item["price"], currency),
            f"{item['price_level']:g}",
            *(f"{item[score]:.2f}" for score in SCORES),
        )
        for item in answer.items.to_dict("records")
    ]
    out.print(table("", COLUMNS, rows, right=[column for column in COLUMNS if column != "product"]))


def _price(value: float | None, currency: str) -> str:
    return "no price" if value is None or value != value else f"{currency}{value:,.0f}"


def search(
    words: Annotated[list[str], typer.Argument(help="Words in any order.")],
    home: HomeOption = HOME_DEFAULT,
    top: Annotated[int, typer.Option(min=1, max=100, help="Number of products to return.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Find products by words, in any order and also misspelled, as learned from the shop's own names.

    A product that has the words comes first; then those with similar words, and those that look like what the words
    usually mean in this shop.

    Examples:
        recsys search red floral curtain --home my-shop
        recsys search "analog wach" --top 5 --json
    """
    from recsys.ingest.catalogue.facts import currency_of
    from recsys.ranking.word_search import search_words
    from recsys.storage.store import Store

    configuration = load(home)
    found = search_words(Store(home, read_only=True), configuration, " ".join(words), top)
    if as_json:
        out.print_json(found.to_json(orient="records", double_precision=6))
        return
    if found.empty:
        out.print(Text(printable(f"No product of the shop has a word like '{' '.join(words)}'.")))
        return
    currency = currency_of(home, configuration)
    rows = [
        (
            item["rank"],
            "\n".join(filter(None, (item["name"], item["product_id"], item["why"]))),
            item["label"] or "",
            _price(item["price"], currency),
            f"{item['score']:.2f}",
        )
        for item in found.to_dict("records")
    ]
    out.print(table("", ("#", "product", "label", "price", "score"), rows, right=["#", "price", "score"]))


def export(
    output: Annotated[
        str, typer.Option("--out", "-o", help="A .csv, .jsonl or .parquet file, or a URL such as s3://bucket/all.csv.")
    ],
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Write the recommendations of all products, with scores and versions, to a file or an object store.

    Examples:
        recsys export --out recommendations.csv
        recsys export --out s3://bucket/recommendations.parquet
    """
    from recsys.ranking.export import export as write
    from recsys.storage.store import Store

    configuration = load(home)
    rows = write(Store(home, read_only=True), configuration, output)
    out.print(Text(f"{rows:,} recommendations written to {output}"))
