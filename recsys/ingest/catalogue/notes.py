"""Sentences for the user on what a catalogue lacks, and on values that are valid but seldom meant."""

import pyarrow as pa
import pyarrow.compute as pc

from recsys.core.text import counted, money, shorten
from recsys.ingest.catalogue.advice import hint
from recsys.ingest.catalogue.formats import RawTable
from recsys.ingest.catalogue.joining import RowJoiner
from recsys.ingest.catalogue.mapping import ColumnMapping

SUSPICIOUS = 0.2
"""Share of products with such a value from which there is a note."""
SAME_PICTURE = 10
"""Number of products with one picture up to which there is no note."""


def notes_on_gaps(table: pa.Table, mapping: ColumnMapping, file: RawTable) -> list[str]:
    """Return sentences on the names, prices and categories that products lack.

    Args:
        table: the products.
        mapping: columns of the first file.
        file: this file.
    """
    notes = []
    for field, lacking, label, effect in (
        ("name", table["name"].null_count, "name", "products are shown by their ids"),
        ("price", table["price"].null_count, "price", "price levels are neutral, and no price is shown"),
        ("category_tree", table.num_rows - len(_filled(table["category_path"])), "category", "products have no label"),
    ):
        known = field in mapping.fields or (field == "category_tree" and "category_levels" in mapping.fields)
        if not known:
            question = hint(file, field, mapping.columns)
            notes.append(f"the catalogue has no {label} column{question}: {effect} (see catalogue.columns.{field})")
        elif lacking:
            notes.append(f"{lacking:,} of {counted(table.num_rows, 'product')} have no {label}")
    return notes


def notes_on_content(table: pa.Table) -> list[str]:
    """Return sentences on categories that are numbers, and on one picture of many products."""
    notes = []
    top = pc.list_element(_filled(table["category_path"]), 0)
    numbers = pc.sum(pc.match_substring_regex(top, r"^\d+$")).as_py() or 0
    if numbers > SUSPICIOUS * max(len(top), 1):
        column = "set catalogue.columns.category_tree to a column with their names, if there is one"
        notes.append(f"the categories of {counted(numbers, 'product')} are numbers: {column}")
    pictures = pc.value_counts(pc.list_element(table["image_urls"], 0))
    most = pictures[pc.index(pictures.field("counts"), pc.max(pictures.field("counts"))).as_py()].as_py()
    if most["counts"] > max(SAME_PICTURE, SUSPICIOUS * table.num_rows):
        notes.append(f"{most['counts']:,} products have the same picture, {shorten(most['values'], 100)}")
    return notes


def notes_on_variants(joiner: RowJoiner, unit: str) -> list[str]:
    """Return sentences on variants without their product.

    Args:
        joiner: after all rows were joined.
        unit: what the lines of the rows count.
    """
    notes = []
    if joiner.left_out:
        rows = counted(joiner.left_out, "row is", "rows are")
        notes.append(f"{rows} left out too, as variants of products that are not for sale")
    if joiner.orphans:
        rows = counted(len(joiner.orphans), "row names", "rows name")
        notes.append(
            f"{rows} a product that the catalogue does not have, the first at {unit} {joiner.orphans[0]}; they are "
            "products of their own (is the column of the ids or SKUs missing?)"
        )
    if joiner.unlike:
        first, other = joiner.unlike[0]
        products = counted(len(joiner.unlike), "product has", "products have")
        notes.append(
            f"{products} variants with different names, the first '{shorten(first, 40)}' and '{shorten(other, 40)}': "
            "are these one product? (see catalogue.columns.group)"
        )
    return notes


def first_products(table: pa.Table, count: int) -> list[str]:
    """Return a sentence on each of the first products: its id, name, category, price, variants and images."""
    sentences = []
    for product in table.slice(0, count).to_pylist():
        parts = [product["name"] or "no name", " > ".join(product["category_path"]) or "no category"]
        parts.append(f"{money(product['price'], '')} {product['currency'] or ''}".strip())
        if product["variants"]:
            parts.append(counted(len(product["variants"]), "variant"))
        images = counted(len(product["image_urls"]), "image")
        parts.append(f"{images}, the first {shorten(product['image_urls'][0], 100)}")
        sentences.append(f"read as product {shorten(product['product_id'], 40)}: {'; '.join(parts)}")
    return sentences


def _filled(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the lists that are not empty."""
    return lists.filter(pc.greater(pc.list_value_length(lists), 0))
