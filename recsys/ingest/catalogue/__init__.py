"""Read a shop's export, normalise and validate it, and merge it into the `products` table.

source.py     a path or URL -> a plain local file
cells.py      one cell -> a text, a price, a category path, image URLs
table.py      a plain file -> `Table`: the configured cells of each row, with line numbers
reading.py    a `Table` -> `Reading`: the products, the rejected rows, the digest
products.py   a `Reading` -> the store's `products` table, and back
intake.py     the stage: all of the above in order
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
