"""Collect products in an Arrow table, which takes a third of the memory of Python objects."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recsys.core.digests import digest
from recsys.ingest.catalogue.joining import Product
from recsys.storage.schemas import SCHEMAS

CHUNK_ROWS = 1_000
"""Number of products that are converted at once."""

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
    """Return the digest of a row of the table, over all columns but its place and the stock, which changes every hour.

    It has no more parts than the digests of a catalogue without variants always had.
    """
    parts = [product[key] for key in DIGESTED]
    if product["variants"] or product["attributes"] or product["further_paths"]:
        parts += [
            [[variant["id"], variant["options"], variant["price"]] for variant in product["variants"]],
            [[attribute["name"], attribute["value"]] for attribute in product["attributes"]],
            [path.split(" > ") for path in product["further_paths"]],
        ]
    return digest([json.dumps(parts)])


def _chunks(products: Iterator[Product]) -> Iterator[pa.Table]:
    while chunk := [_row(product) for product in islice(products, CHUNK_ROWS)]:
        yield pa.Table.from_pylist(chunk, SCHEMA)


def _row(product: Product) -> dict[str, Any]:
    row = product.row
    values = {
        "product_id": product.id,
        "position": row.position,
        "name": row.name,
        "brand": row.brand,
        "category_path": row.paths[0] if row.paths else (),
        "price": row.price,
        "retail_price": row.retail_price,
        "image_urls": row.images,
        "in_stock": row.in_stock,
        "currency": row.currency or None,
        "further_paths": [" > ".join(path) for path in row.paths[1:]] if len(row.paths) > 1 else (),
        "variants": product.variants,
        "attributes": [{"name": name, "value": value} for name, value in row.attributes] if row.attributes else (),
    }
    values["row_digest"] = row_digest(values)
    return values


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
