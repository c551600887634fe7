"""Generate the sample shop's catalogue: a CSV in the PromptCloud schema, with the data errors of the real one.

The real sample (20,000 products of Flipkart) has category trees that hold the product's name instead of a category
(1.7 %), trees cut off with `...`, rows without prices (0.4 %), products listed twice, and text with unusual
characters. This catalogue has each of these errors at least once in the smallest shop, and at the real rates in
larger shops.
"""

import hashlib
import html
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from sample_shop.assortment import DIRT, TEXT, Product, product, stream
from sample_shop.scene import DRAWING, image_format

COLUMNS = (
    "uniq_id", "crawl_timestamp", "product_url", "product_name", "product_category_tree", "pid", "retail_price",
    "discounted_price", "image", "is_FK_Advantage_product", "description", "product_rating", "overall_rating",
    "brand", "product_specifications",
)  # fmt: skip

# Dirt: the index that has it in every shop, and the share of the products from CLEAN_FROM on that have it.
DIRTY: dict[str, tuple[int, float]] = {
    "invalid_tree": (41, 0.017),
    "truncated_tree": (42, 0.06),
    "no_price": (43, 0.004),
    "odd_text": (44, 0.05),
    "relisted": (45, 0.015),
    "html_text": (46, 0.03),
    "multiline_text": (47, 0.08),
    "no_image": (48, 0.0),
    "repeated_row": (49, 0.003),
    "no_id": (77, 0.0),  # not in the smallest shops: one rejected row in 50 is enough
}
FIXED_BELOW = 50  # below this index only DIRTY places errors, so that no label loses all its products
TRUNCATED_AT = 96  # characters of a tree before its "..."

ODD_TEXT = (
    "{name} ™", "{name} – “Limited” Edition", "{name} (नया)", "{name} ✨", "{name} &amp; Gift Box",
    "{name} 2’s Pack", "  {name}  ", "{name} ®  Crème", "{name} 100% \"Genuine\"", "शुभ {name}", "{name} ½ Price",
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """Identify one picture: its product, view and file name."""

    product: Product
    view: int
    name: str


def digest(seed: int, *parts: int | str) -> str:
    """Return a digest of the seed and the parts, 32 hex digits."""
    return hashlib.md5(":".join(map(str, (seed, *parts))).encode(), usedforsecurity=False).hexdigest()


@lru_cache(maxsize=200_000)
def dirt(seed: int, index: int) -> frozenset[str]:
    """Return the kinds of data error in the row of product `index`."""
    chances = stream(seed, index, DIRT).random(len(DIRTY))
    return frozenset(
        kind
        for (kind, (first, share)), chance in zip(DIRTY.items(), chances, strict=True)
        if index == first or (index >= FIXED_BELOW and chance < share)
    )


def original(seed: int, index: int) -> int:
    """Return the index of the product that row `index` lists: its own, or an earlier one that it repeats."""
    while "relisted" in dirt(seed, index):
        index = int(stream(seed, index, TEXT).integers(0, min(index, 40)) if index < 80 else index - 37)
    return index


def pictures(seed: int, index: int, views: int | None = None) -> list[Picture]:
    """Return the pictures of the product that row `index` lists: `views` of them, or by default the product's number.

    None for a row without an image.
    """
    if "no_image" in dirt(seed, index):
        return []
    index = original(seed, index)
    shown = product(seed, index)
    return [
        Picture(
            shown, view, f"{digest(seed, 'drawing', DRAWING, index, view)}.{image_format(seed, index, view).suffix}"
        )
        for view in range(views or shown.views)
    ]


def tree(shown: Product, name: str, flaws: frozenset[str]) -> str:
    """Return the category tree in the shop's format: `["Clothing >> ... >> Nimbara Dresses >> <name>"]`."""
    levels = [*shown.kind.path, f"{shown.brand.name} {shown.kind.path[-1]}", name]
    path = name if "invalid_tree" in flaws else " >> ".join(levels)
    if "truncated_tree" in flaws:
        path = path[: min(TRUNCATED_AT, len(path) - 6)] + "..."
    return f'["{path}"]'


def description(shown: Product, name: str, flaws: frozenset[str]) -> str:
    """Return a product description of a few sentences."""
    colour, noun = shown.colour.name.lower(), shown.kind.noun.lower()
    texts = (
        f"Buy {name} for Rs.{shown.price} online. {name} at best prices with FREE shipping & cash on delivery.",
        f"Key Features of {name} {shown.colour.name} {noun}, Designed by {shown.brand.name}, Pattern: {shown.pattern}.",
        f"This {colour} {noun} by {shown.brand.name} goes with everything you own.",
    )
    text = texts[int(stream(shown.seed, shown.index, TEXT).integers(len(texts)))]
    if "multiline_text" in flaws:
        text = f'{text}\n\t\t\tPrice: Rs. {shown.price}\n\n"Loved it!", says a buyer; 5" × 7", as shown.'
    if "html_text" in flaws:
        text = html.escape(text) + "<br/>Made with care&nbsp;&mdash; caf&eacute; quality &#9733;"
    return text


def row(seed: int, index: int, base_url: str, views: int | None = None) -> dict[str, str]:
    """Return one row of the CSV, keyed by `COLUMNS`; it lists `views` pictures, or as many as the product has."""
    flaws = dirt(seed, index)
    shown = product(seed, original(seed, index))
    rng = stream(seed, index, TEXT)
    odd = ODD_TEXT[int(rng.integers(len(ODD_TEXT)))]
    name = odd.format(name=shown.name) if "odd_text" in flaws else shown.name
    pid = digest(seed, "pid", shown.index)[:12].upper()
    slug = "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in shown.name.lower()).split())
    urls = [f"{base_url}/images/{picture.name}" for picture in pictures(seed, index, views)]
    rating = str(rng.choice(["3", "3.5", "4", "4.5", "5"])) if rng.random() < 0.1 else "No rating available"
    specification = ", ".join(
        f'{{"key"=>"{key}", "value"=>"{value}"}}'
        for key, value in (("Colour", shown.colour.name), ("Pattern", shown.pattern.title()), ("Type", shown.kind.noun))
    )
    return {
        "uniq_id": "" if "no_id" in flaws else digest(seed, index),
        "crawl_timestamp": f"2016-{1 + index % 6:02d}-{1 + index // 6 % 28:02d} 11:{index % 60:02d}:45 +0000",
        "product_url": f"http://shop.example/{slug}/p/itm{pid.lower()}?pid={pid}",
        "product_name": name,
        "product_category_tree": tree(shown, name, flaws),
        "pid": pid,
        "retail_price": "" if "no_price" in flaws else str(shown.retail_price),
        "discounted_price": "" if "no_price" in flaws else str(shown.price),
        "image": json.dumps(urls) if urls else "",
        "is_FK_Advantage_product": "TRUE" if rng.random() < 0.04 else "FALSE",
        "description": description(shown, name, flaws),
        "product_rating": rating,
        "overall_rating": rating,
        "brand": "" if rng.random() < 0.12 else shown.brand.name,
        "product_specifications": f'{{"product_specification"=>[{specification}]}}',
    }


def rows(seed: int, products: int, base_url: str, views: int | None = None) -> Iterator[dict[str, str]]:
    """Yield the rows of the CSV; repeated rows are at the end."""
    repeated = []
    for index in range(products):
        written = row(seed, index, base_url, views)
        yield written
        if "repeated_row" in dirt(seed, index):
            repeated.append(written)
    yield from repeated
