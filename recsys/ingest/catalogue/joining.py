"""Join the rows of one product: name, category and price from the row that has them, images and variants from all."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from recsys.ingest.catalogue.preset import Rows
from recsys.ingest.catalogue.rows import CatalogueRow


@dataclass(slots=True)
class Product:
    """A product of the catalogue.

    Attributes:
        id: its id: the group's, or the parent row's, if it has several rows.
        row: its values; of several rows, joined.
        variants: id, options, price and in_stock of each variant; empty if it has only one.
        rows: number of its rows.
    """

    id: str
    row: CatalogueRow
    variants: list[dict[str, Any]]
    rows: int


def join_rows(rows: Iterable[CatalogueRow], rules: Rows, *, grouped: bool) -> tuple[list[Product], list[CatalogueRow]]:
    """Return the products of some rows in the order of their first rows, and the rows that repeat an id.

    Args:
        rows: all rows of the catalogue.
        rules: how rows belong together besides `CatalogueRow.group`.
        grouped: whether rows have groups, parents or kinds; if not, a row is a product.
    """
    if not grouped:
        return _separate(rows)
    listed = list(_of_first_kinds(rows, rules))
    groups: dict[str, list[CatalogueRow]] = {}
    keys = _parents(listed)
    for row in listed:
        groups.setdefault(keys.get(id(row)) or row.group or row.id, []).append(row)
    products, repeated = [], []
    for key, everything in groups.items():
        members = _for_sale(key, everything, keys)
        if not members:
            continue
        if len(members) > 1 and not any(_belongs(row, key) for row in members):
            products.append(Product(members[0].id, members[0], [], 1))
            repeated += members[1:]
        else:
            products.append(_joined(key, members, keys))
    return products, repeated


def _separate(rows: Iterable[CatalogueRow]) -> tuple[list[Product], list[CatalogueRow]]:
    products: dict[str, Product] = {}
    repeated = []
    for row in rows:
        if row.id in products and row.id:
            repeated.append(row)
        else:
            products[row.id or f"\0{row.line}"] = Product(row.id, row, [], 1)
    return list(products.values()), repeated


def _for_sale(key: str, rows: list[CatalogueRow], keys: dict[int, str]) -> list[CatalogueRow]:
    """Return the rows that are for sale; those of a product that is not for sale are not."""
    head = next((row for row in rows if row.id == key and id(row) not in keys), None)
    sold = [row for row in rows if row.for_sale]
    if head is None or head.for_sale:
        return sold
    return [row for row in sold if row.id != key and id(row) not in keys and not row.kind]


def _belongs(row: CatalogueRow, key: str) -> bool:
    """Return whether a row states that it is a variant of the product with this key."""
    return bool(row.group or row.parent or row.kind) or row.id != key


def _of_first_kinds(rows: Iterable[CatalogueRow], rules: Rows) -> Iterable[CatalogueRow]:
    """Yield the rows; a row of another kind than the first ones gets the group of the row above it."""
    if not rules.kind:
        yield from rows
        return
    above = ""
    for row in rows:
        if row.kind in rules.first_kinds or not row.kind.strip():
            above = row.group or row.id
            row.group = row.group or above
            yield row
        elif above:
            row.group = above
            yield row


def _parents(rows: list[CatalogueRow]) -> dict[int, str]:
    """Return the id of the product of each row that has a parent, or is a member of one, by the row's identity.

    A member gets the options that its product lists for it.
    """
    keys: dict[int, str] = {}
    member_of = {member: (row.id, options) for row in rows for member, options in row.members.items()}
    named = {alias: row.id for row in reversed(rows) if not row.parent for alias in (*row.aliases, row.id) if alias}
    for row in rows:
        if row.parent:
            keys[id(row)] = named.get(row.parent, row.parent)
        elif row.id in member_of:
            keys[id(row)], options = member_of[row.id]
            row.options = row.options or ((("options", options),) if options else ())
    return keys


def _joined(key: str, rows: list[CatalogueRow], keys: dict[int, str]) -> Product:
    """Return the product of several rows; the row with the product's own id comes first."""
    first = next((row for row in rows if row.id == key and id(row) not in keys), rows[0])
    rows = [first, *(row for row in rows if row is not first)]
    first_line, position = min(row.line for row in rows), min(row.position for row in rows)
    sold = _variants(key, rows, keys)
    priced = [row for row in sold if row.price is not None and row.price > 0]
    cheapest = min(priced, key=lambda row: row.price or 0.0, default=first)
    stocks = [row.in_stock for row in (sold if any(row.in_stock is not None for row in sold) else rows)]
    row = CatalogueRow(
        line=first_line,
        position=position,
        id=key,
        group=key,
        parent="",
        aliases=(),
        variant_id="",
        kind=first.kind,
        members={},
        name=_first_of(row.name for row in rows),
        brand=_first_of(row.brand for row in rows),
        paths=next((row.paths for row in rows if row.paths), []),
        price=cheapest.price,
        retail_price=cheapest.retail_price,
        currency=cheapest.currency,
        images=_images(rows, sold),
        in_stock=any(stocks) if any(stock is not None for stock in stocks) else None,
        options=(),
        attributes=next((row.attributes for row in rows if row.attributes), ()),
    )
    variants = [_variant(row) for row in sold if row.options or (row.id != key and row.price is not None)]
    return Product(key, row, variants if len(variants) > 1 else [], len(rows))


def _variants(key: str, rows: list[CatalogueRow], keys: dict[int, str]) -> list[CatalogueRow]:
    """Return the rows that are sold: the variants, without the product's own row if others are its variants.

    A variant without a price has that of its product, and if the pieces of the product are not counted, nor are its.
    """
    first, others = rows[0], [row for row in rows[1:] if row.options or (row.id != key and row.price is not None)]
    variants = [row for row in others if id(row) in keys or row.kind != first.kind]
    if first.id != key or not variants:
        return rows
    for row in variants:
        if row.price is None:
            row.price, row.retail_price, row.currency = first.price, first.retail_price, first.currency
        if not first.tracked:
            row.in_stock = None
    return variants


def _images(rows: list[CatalogueRow], sold: list[CatalogueRow]) -> list[str]:
    """Return the images of the product, then those of its variants."""
    variants = {id(row) for row in sold} if len(sold) < len(rows) else set()
    ordered = sorted(rows, key=lambda row: id(row) in variants)
    return list(dict.fromkeys(image for row in ordered for image in row.images))


def _variant(row: CatalogueRow) -> dict[str, Any]:
    options = " / ".join(text for _, text in row.options)
    return {"id": row.variant_id or row.id, "options": options or None, "price": row.price, "in_stock": row.in_stock}


def _first_of(texts: Iterable[str | None]) -> str | None:
    return next((text for text in texts if text), None)
