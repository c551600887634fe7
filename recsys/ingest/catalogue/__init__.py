"""The catalogue: a shop's export comes in, is normalised and checked, and is merged into the `products` table.

source.py     a path or URL -> a plain local file
cells.py      one cell -> a text, a price, a category path, image URLs
reading.py    a plain file -> `Reading`: the products, the rows set aside, the digest
products.py   a `Reading` -> the store's `products` table, and back
"""

from recsys.ingest.catalogue.products import CatalogueChange, active_products, update_products
from recsys.ingest.catalogue.reading import Reading, read_catalogue, write_rejects

__all__ = [
    "CatalogueChange",
    "Reading",
    "active_products",
    "read_catalogue",
    "update_products",
    "write_rejects",
]
