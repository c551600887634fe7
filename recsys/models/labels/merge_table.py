"""Assign the catalogue's label to each product: the top level of its category path, merged by the configured table.

The rule is the original's: only the first part of the category path counts; its 200+ values are merged into 20 labels;
a value that is no category (mostly the product's name) gives no label.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from recsys.core.configuration import FLIPKART_LABELS, Configuration
from recsys.core.digests import digest
from recsys.ingest.catalogue.facts import read_facts
from recsys.ingest.catalogue.products import ACTIVE
from recsys.storage.store import Store, among

RULE_VERSION = 1
"""Version of this rule's code; raised when the same catalogue row would get another label."""


@dataclass(frozen=True)
class MergeTable:
    """Merge table of a catalogue.

    Attributes:
        labels: label of each top-level value; empty if the table is not applied.
        applied: whether the configured table covers enough of the products. If not, each top-level value is its own
            label, unless it is the product's name.
        coverage: share of the products whose top level the configured table lists.
    """

    labels: Mapping[str, str]
    applied: bool
    coverage: float

    def __str__(self) -> str:
        if self.applied:
            return f"labels.merge lists the top level of {self.coverage:.1%} of the products and is applied"
        return (
            f"labels.merge lists the top level of only {self.coverage:.1%} of the products: each top level is its "
            "own label; use your own table to merge some of them"
        )

    @classmethod
    def choose(cls, labels: Mapping[str, str], listed: int, products: int, configuration: Configuration) -> MergeTable:
        """Return the table for a catalogue of which `labels` lists the top level of some products."""
        coverage = listed / products if products else 0.0
        applied = bool(labels) and coverage >= configuration.labels.merge_coverage
        return cls(labels if applied else {}, applied, coverage)


def top_level(category_path: Sequence[str] | None) -> str | None:
    """Return the first part of a category path; None if there is none."""
    return category_path[0] if isinstance(category_path, Sequence) and category_path else None


def merge_table(top_levels: pd.Series, configuration: Configuration) -> MergeTable:
    """Return the merge table of some products.

    Args:
        top_levels: top level of each product, null if it has none.
        configuration: `labels.merge`, applied if it lists the top level of at least `labels.merge_coverage` of them.
    """
    labels = _labels_by_value(configuration)
    listed = int(top_levels.isin(list(labels)).sum())
    return MergeTable.choose(labels, listed, len(top_levels), configuration)


def stored_merge_table(store: Store, configuration: Configuration) -> MergeTable:
    """Return the merge table of the store's active products, without reading them."""
    if "merge" not in configuration.labels.model_fields_set and read_facts(store.home).labels != "original":
        return MergeTable({}, False, 0.0)
    labels = _labels_by_value(configuration)
    listed = store.count("products", f"{ACTIVE} AND {among('category_path[1]', labels)}")
    return MergeTable.choose(labels, listed, store.count("products", ACTIVE), configuration)


def merge_table_notes(store: Store, configuration: Configuration) -> tuple[str, ...]:
    """Return notes on the shop's own merge table, a sentence each; none on the built-in table.

    The table is not applied; or it lists values that no product has; or it has a label but does not list the top level
    of the same name. These are no errors: the next catalogue may have the missing values.
    """
    if configuration.labels.merge in ({}, FLIPKART_LABELS):
        return ()
    table = stored_merge_table(store, configuration)
    if not table.applied:
        return (f"{table}",)
    paths = store.read("products", ["category_path"], ACTIVE)["category_path"].to_pylist()
    sizes = Counter(top_level(path) for path in paths)
    notes = []
    for value in table.labels:
        if value not in sizes:
            close = difflib.get_close_matches(value, [top for top in sizes if top and top not in table.labels], n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            notes.append(f"labels.merge lists '{value}', which is not the top level of any product{hint}")
    for label in configuration.labels.merge:
        if label in sizes and label not in table.labels:
            notes.append(
                f"labels.merge does not list '{label}' among the values of the label '{label}': "
                f"{sizes[label]:,} products of that top level have no label"
            )
    return tuple(notes)


def assign_labels(
    products: pd.DataFrame, configuration: Configuration, table: MergeTable | None = None
) -> pd.DataFrame:
    """Return the rows of the table `labels` that the catalogue gives.

    Args:
        products: product_id, name, category_path.
        configuration: section `labels`.
        table: merge table of the whole catalogue, if `products` are a part of it (default: of `products`).

    Returns:
        product_id; label (null if there is none); source (`catalogue` if the label is the top level, `merged` if the
        table gives another, null without a label); confidence (1.0, null without a label); model_version (null); basis
        (digest of the top level and its label: a row with the same basis is up to date).
    """
    values = [top_level(path) for path in products["category_path"]]
    table = table or merge_table(pd.Series(values, dtype="str"), configuration)
    labels: list[str | None]
    if table.applied:
        labels = [table.labels.get(value) if value is not None else None for value in values]
    else:
        labels = [
            None if value is None or (len(path) == 1 and is_product_name(value, name)) else value
            for value, path, name in zip(values, products["category_path"], products["name"], strict=True)
        ]
    pairs = list(zip(values, labels, strict=True))
    bases = {pair: digest([RULE_VERSION, list(pair)]) for pair in set(pairs)}
    sources = [None if label is None else "catalogue" if label == value else "merged" for value, label in pairs]
    rows = pd.DataFrame(
        {
            "product_id": products["product_id"],
            "label": labels,
            "source": sources,
            "confidence": [None if label is None else 1.0 for label in labels],
            "model_version": None,
            "basis": [bases[pair] for pair in pairs],
        },
        index=products.index,
    )
    return rows.astype({**dict.fromkeys(("label", "source", "model_version", "basis"), "str"), "confidence": "float32"})


def is_product_name(value: str, name: Any) -> bool:
    """Return whether the only part of a category path is the product's name: as it is, cut off with dots, or extended.

    Examples from the real catalogue, of products with that name up to the bracket: `Sumo Baby Walker (Red)`, and
    `Bengal Blooms Rose Artificial Plant with Pot (3...`.
    """
    if not isinstance(name, str):
        return False
    cut = value.removesuffix("...").removesuffix("…")
    return value == name or value.startswith(f"{name} (") or (cut != value and bool(cut) and name.startswith(cut))


def _labels_by_value(configuration: Configuration) -> dict[str, str]:
    """Return the label of each top-level value that the configured table lists."""
    return {value: label for label, values in configuration.labels.merge.items() for value in values}
