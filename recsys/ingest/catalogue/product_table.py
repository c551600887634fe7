"""Collect products in an Arrow table, which takes a third of the memory of Python objects."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recsys.core.digests import digest
from recsys.ingest.catalogue.joining import Product
from recsys.storage.schemas import SCHEMAS

CHUNK_ROWS = 1_000
"""Number of products that are converted at once."""

LEVELS = " > "
"""Sign between the levels of a path that is stored as one text."""

DIGESTED = ("product_id", "name", "brand", "category_path", "price", "retail_price", "image_urls")

SCHEMA = pa.schema([field for field in SCHEMAS["products"] if field.name not in ("first_seen", "changed", "removed")])
"""Columns of the table `products` that a catalogue fills."""


def product_table(products: Iterable[Product]) -> tuple[pa.Table, str, list[str]]:
    """Return a table of products with `SCHEMA`, the currency of most prices, and sentences for the user.

    Prices in another currency cannot be compared, so they are left empty.
    """
    chunks = list(_chunks(iter(products)))
    table = pa.concat_tables(chunks) if chunks else SCHEMA.empty_table()
    counts = {
        pair["values"]: pair["counts"]
        for pair in pc.value_counts(table["currency"].filter(table["price"].is_valid())).to_pylist()
        if pair["values"]
    }
    main = max(counts, key=lambda code: counts[code], default="")
    others = {code: count for code, count in counts.items() if code != main}
    if not others:
        return table, main, []
    listed = ", ".join(f"{count:,} in {code}" for code, count in others.items())
    note = f"most prices are in {main}; those in another currency are left empty: {listed}"
    return _without_prices(table, list(others)), main, [note]


def row_digest(product: Mapping[str, Any]) -> str:
    """Return the digest of a row of the table, over all columns but its place and its stock, which changes often."""
    variants = [[variant["id"], variant["options"], variant["price"]] for variant in product["variants"]]
    attributes = [[attribute["name"], attribute["value"]] for attribute in product["attributes"]]
    further = [path.split(LEVELS) for path in product["further_paths"]]
    return _digest([product[key] for key in DIGESTED], variants, attributes, further)


def _digest(parts: list[Any], variants: Sequence[Any], attributes: Sequence[Any], further: Sequence[Any]) -> str:
    """Return a digest; it has no more parts than the digests of a catalogue without variants always had."""
    extra = [variants, attributes, further] if variants or attributes or further else []
    return digest([json.dumps(parts + extra)])


def _digest_of(product: Product) -> str:
    row = product.row
    path = row.paths[0] if row.paths else ()
    parts = [product.id, row.name, row.brand, path, row.price, row.retail_price, row.images]
    variants = [[variant["id"], variant["options"], variant["price"]] for variant in product.variants]
    return _digest(parts, variants, row.attributes, row.paths[1:])


def _chunks(products: Iterator[Product]) -> Iterator[pa.Table]:
    while chunk := list(islice(products, CHUNK_ROWS)):
        rows = [product.row for product in chunk]
        columns = {
            "product_id": [product.id for product in chunk],
            "position": [row.position for row in rows],
            "name": [row.name for row in rows],
            "brand": [row.brand for row in rows],
            "category_path": [row.paths[0] if row.paths else () for row in rows],
            "price": [row.price for row in rows],
            "retail_price": [row.retail_price for row in rows],
            "image_urls": [row.images for row in rows],
            "row_digest": [_digest_of(product) for product in chunk],
            "in_stock": [row.in_stock for row in rows],
            "currency": [row.currency or None for row in rows],
            "further_paths": [[LEVELS.join(path) for path in row.paths[1:]] for row in rows],
            "variants": [product.variants for product in chunk],
            "attributes": [[{"name": name, "value": text} for name, text in row.attributes] for row in rows],
        }
        yield pa.table(columns, SCHEMA)


def _without_prices(table: pa.Table, currencies: list[str]) -> pa.Table:
    """Return a table whose products in these currencies have no price."""
    is_other = pc.is_in(table["currency"], pa.array(currencies))
    changed = table.filter(is_other).to_pylist()
    for product in changed:
        product |= {"price": None, "retail_price": None}
        product["variants"] = [variant | {"price": None} for variant in product["variants"]]
        product["row_digest"] = row_digest(product)
    kept = table.filter(pc.fill_null(pc.invert(is_other), True))
    return pa.concat_tables([kept, pa.Table.from_pylist(changed, SCHEMA)]).sort_by("position")
