"""Join the rows of one product: name, category and price from the row that has them, images and variants from all."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from recsys.ingest.catalogue.preset import Rows
from recsys.ingest.catalogue.rows import CatalogueRow

LIKE_NAMES = 0.5
"""Share of the words of the shorter one that two names of variants have in common at least."""


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
    variants: Sequence[dict[str, Any]] = ()
    rows: int = 1


@dataclass
class RowJoiner:
    """Joins the rows of each product.

    Attributes:
        rules: how rows belong together besides `CatalogueRow.group`.
        grouped: whether rows have groups, parents or kinds; if not, a row is a product.
        repeated: rows that repeat the id of an earlier row, or a variant; complete after the products are read.
        left_out: number of variants of products that are not for sale.
        orphans: lines of variants whose product is not in the catalogue.
        unlike: names of two variants of one product that have little in common, for each such product.
    """

    rules: Rows
    grouped: bool
    repeated: list[CatalogueRow] = field(default_factory=list)
    left_out: int = 0
    orphans: list[int] = field(default_factory=list)
    unlike: list[tuple[str, str]] = field(default_factory=list)

    def products(self, rows: Iterable[CatalogueRow]) -> Iterator[Product]:
        """Yield the products of all rows of a catalogue in the order of their first rows.

        If the rows are grouped, all are held in memory, since any may belong to any.
        """
        if self.grouped:
            yield from sorted(self._joined_products(rows), key=lambda product: product.row.position)
            return
        ids = set()
        for row in rows:
            if row.id in ids:
                self.repeated.append(row)
            else:
                ids.add(row.id)
                yield Product(row.id, row)

    def _joined_products(self, rows: Iterable[CatalogueRow]) -> Iterator[Product]:
        listed = list(_of_first_kinds(rows, self.rules))
        groups: dict[str, list[CatalogueRow]] = {}
        keys = self._parents(listed)
        for row in listed:
            groups.setdefault(keys.get(id(row)) or row.group or row.id, []).append(row)
        for key, everything in groups.items():
            members = self._for_sale(key, everything, keys)
            if not members:
                continue
            if not key:  # each of these rows lacks an id
                yield from (Product("", row) for row in members)
            elif len(members) > 1 and not any(_belongs(row, key) for row in members):
                yield Product(members[0].id, members[0])
                self.repeated += members[1:]
            else:
                variants = self._without_repeated(key, members)
                self.unlike += _unlike_names(variants)
                yield _joined(key, variants, keys)

    def _parents(self, rows: list[CatalogueRow]) -> dict[int, str]:
        """Return the id of the product of each row that has a parent, or is a member of one, by the row's identity.

        A member gets the options that its product lists for it.
        """
        keys: dict[int, str] = {}
        member_of = {member: (row.id, options) for row in rows for member, options in row.members}
        named = {alias: row.id for row in reversed(rows) if not row.parent for alias in (*row.aliases, row.id) if alias}
        for row in rows:
            if row.parent:
                keys[id(row)] = named.get(row.parent, row.parent)
                if row.parent not in named:
                    self.orphans.append(row.line)
            elif row.id in member_of:
                keys[id(row)], options = member_of[row.id]
                row.options = row.options or ((("options", options),) if options else ())
        return keys

    def _for_sale(self, key: str, rows: list[CatalogueRow], keys: dict[int, str]) -> list[CatalogueRow]:
        """Return the rows that are for sale; those of a product that is not for sale are not."""
        head = next((row for row in rows if row.id == key and id(row) not in keys), None)
        sold = [row for row in rows if row.for_sale]
        if head is None or head.for_sale:
            return sold
        members = [row for row in sold if row.id not in ("", key) and id(row) not in keys and not row.kind]
        self.left_out += len(sold) - len(members)
        return members

    def _without_repeated(self, key: str, rows: list[CatalogueRow]) -> list[CatalogueRow]:
        """Return the rows of a product without those that repeat a variant, as two exports in one folder do."""
        first: dict[tuple[str, Any], tuple[int, int]] = {}
        kept = []
        for row in rows:
            ids = (row.variant_id, row.id)
            named = next((one for one in ids if one and one != key), "" if row.options else row.name or "")
            record = (row.file, row.line)  # rows of one record do not repeat each other
            if (named or row.options) and first.setdefault((named, row.options), record) != record:
                self.repeated.append(row)
            else:
                kept.append(row)
        return kept


def _unlike_names(rows: list[CatalogueRow]) -> list[tuple[str, str]]:
    """Return the first two names of a product's rows that have few words in common besides the options."""
    options = {word for row in rows for _, text in row.options for word in _words(text)}
    names = list(dict.fromkeys(row.name for row in rows if row.name and not row.kind))
    for name in names[1:]:
        first, other = _words(names[0]) - options, _words(name) - options
        if first and other and len(first & other) < LIKE_NAMES * min(len(first), len(other)):
            return [(names[0], name)]
    return []


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _belongs(row: CatalogueRow, key: str) -> bool:
    """Return whether a row states that it is a variant of the product with this key."""
    return bool(row.group or row.parent or row.kind) or row.id != key


def _of_first_kinds(rows: Iterable[CatalogueRow], rules: Rows) -> Iterable[CatalogueRow]:
    """Yield the rows; a row without an id, or of another kind than the first ones, gets the group of the row above."""
    if not (rules.kind or rules.continued):
        yield from rows
        return
    above = ""
    for row in rows:
        if row.id if rules.continued else (row.kind in rules.first_kinds or not row.kind.strip()):
            above = row.group or row.id
            row.group = row.group or above
            yield row
        elif above:
            row.group = above
            yield row


def _joined(key: str, rows: list[CatalogueRow], keys: dict[int, str]) -> Product:
    """Return the product of several rows; the row with the product's own id comes first."""
    first = next((row for row in rows if row.id == key and id(row) not in keys), rows[0])
    rows = [first, *(row for row in rows if row is not first)]
    top = min(rows, key=lambda row: row.position)
    sold = _variants(key, rows, keys)
    _keep_one_currency(sold)
    priced = [row for row in sold if row.price is not None and row.price > 0]
    cheapest = min(priced, key=lambda row: row.price or 0.0, default=first)
    stocks = [row.in_stock for row in (sold if any(row.in_stock is not None for row in sold) else rows)]
    row = CatalogueRow(
        line=top.line,
        position=top.position,
        file=top.file,
        id=key,
        group=key,
        kind=first.kind,
        name=_first_of(row.name for row in rows),
        brand=_first_of(row.brand for row in rows),
        paths=next((row.paths for row in rows if row.paths), []),
        price=cheapest.price,
        retail_price=cheapest.retail_price,
        currency=cheapest.currency,
        images=_images(rows, sold),
        in_stock=any(stocks) if any(stock is not None for stock in stocks) else None,
        attributes=next((row.attributes for row in rows if row.attributes), ()),
    )
    variants = [_variant(row) for row in sold if row.options or (row.id != key and row.price is not None)]
    return Product(key, row, variants if len(variants) > 1 else (), len(rows))


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
            if row.surcharge:
                row.price, row.retail_price = (row.price or 0.0) + row.surcharge, None
        if not first.tracked:
            row.in_stock = None
    return variants


def _keep_one_currency(variants: list[CatalogueRow]) -> None:
    """Remove the prices that are not in the currency of the first one, with which they cannot be compared."""
    currency = next((row.currency for row in variants if row.price is not None), "")
    for row in variants:
        if row.price is not None and row.currency != currency:
            row.price = row.retail_price = None


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
