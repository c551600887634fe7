"""Read a shop's export, normalise and validate it, and merge it into the `products` table.

source.py     a path, folder, pattern or URL → plain local files
formats/      a file → its rows, whatever its format
preset.py     the names of its columns → the kind of export (`presets/*.toml`)
mapping.py    → the columns that have a product's fields
cells.py      one cell → a text, a price, category paths, image addresses
rows.py       a row → its values, or the faults of its cells
joining.py    the rows of one product → the product with its variants
reading.py    all of these → `Reading`: the products, the rejected rows, the digest
products.py   a `Reading` → the store's `products` table, and back
intake.py     the stage: all of the above in order
"""
