"""The label that the catalogue gives: the top level of the category tree, grey areas merged by the configured table.

The rule is the original's: only the tree's first part counts; its 200+ values are merged into 20 labels; what is no
category (mostly a product's name in its place) is no label.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from recsys.core.configuration import FLIPKART_LABELS, Configuration
from recsys.ingest.catalogue.products import ACTIVE
from recsys.storage.store import Store, among, digest

RULE_VERSION = 1
"""Of the rule's code; raised when the same catalogue row would get another label."""


@dataclass(frozen=True)
class LabelTable:
    """Which top-level values are which label.

    Attributes:
        labels: top-level value -> label.
        applied: whether the configured table names enough of this shop's rows to be its table. Where it does not,
            each top-level value is its own label, unless it is evidently the product's name.
        coverage: the share of the rows whose top level the configured table names.
    """

    labels: Mapping[str, str]
    applied: bool
    coverage: float

    def __str__(self) -> str:
        if self.applied:
            return f"labels.merge names the top level of {self.coverage:.1%} of the products and is applied"
        return (
            f"labels.merge names the top level of only {self.coverage:.1%} of the products: each top level is its "
            "own label; bring your own table if some of them mean the same"
        )


def top_level(category_path: Sequence[str] | None) -> str | None:
    """Return the first part of a category path; None where there is none."""
    return category_path[0] if isinstance(category_path, Sequence) and category_path else None


def label_table(top_levels: pd.Series, configuration: Configuration) -> LabelTable:
    """Return the table that labels these rows.

    Args:
        top_levels: of each product, null where it has none.
        configuration: `labels.merge`, applied where it names at least `labels.merge_coverage` of the rows.
    """
    labels = _merge_labels(configuration)
    table = _table(int(top_levels.isin(list(labels)).sum()), len(top_levels), configuration)
    if not table.applied:
        own = {value: value for value in top_levels.dropna().unique()}
        return LabelTable(own, applied=False, coverage=table.coverage)
    return table


def stored_label_table(store: Store, configuration: Configuration) -> LabelTable:
    """Return the table that labels the store's active products, without reading them.

    Where `labels.merge` is not applied its `labels` are empty, and `assign` makes each top level its own label.
    """
    named = store.count("products", f"{ACTIVE} AND {among('category_path[1]', _merge_labels(configuration))}")
    return _table(named, store.count("products", ACTIVE), configuration)


def table_notes(store: Store, configuration: Configuration) -> tuple[str, ...]:
    """Return what the owner of the configured table should know, a sentence each; nothing of the default table.

    That it is not applied; or which of its values no product has, and which top levels stay without a label though
    a label is called so. A value that is not there is no error: the next catalogue may have it.
    """
    if configuration.labels.merge in ({}, FLIPKART_LABELS):
        return ()
    table = stored_label_table(store, configuration)
    if not table.applied:
        return (f"{table}",)
    paths = store.read("products", ["category_path"], ACTIVE)["category_path"].to_pylist()
    sizes = Counter(top_level(path) for path in paths)
    notes = []
    for value in table.labels:
        if value not in sizes:
            close = difflib.get_close_matches(value, [top for top in sizes if top and top not in table.labels], n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            notes.append(f"labels.merge names '{value}', which is no product's top level{hint}")
    for label in configuration.labels.merge:
        if label in sizes and label not in table.labels:
            notes.append(
                f"labels.merge does not name '{label}' among the values of the label '{label}': "
                f"{sizes[label]:,} products of that top level have no label"
            )
    return tuple(notes)


def assign(products: pd.DataFrame, configuration: Configuration, table: LabelTable | None = None) -> pd.DataFrame:
    """Return the rows of the `labels` table that the catalogue gives.

    Args:
        products: product_id, name, category_path.
        configuration: holds the merge table.
        table: the one of the whole catalogue, where `products` are but a part of it.

    Returns:
        product_id, label (null where there is none), source (`catalogue` where the label is the top level itself,
        `merged` where the table made it, null), confidence (1.0 for given labels, else null), model_version (null),
        basis (digest of the top level and the label that it gives: a product whose basis stays needs no new row,
        whatever else changed in the table).
    """
    raw = [top_level(path) for path in products["category_path"]]
    table = table or label_table(pd.Series(raw, dtype="str"), configuration)
    given: list[str | None]
    if table.applied:
        given = [table.labels.get(value) if value is not None else None for value in raw]
    else:
        given = [
            None if value is None or (len(path) == 1 and is_product_name(value, name)) else value
            for value, path, name in zip(raw, products["category_path"], products["name"], strict=True)
        ]
    bases = {pair: digest([RULE_VERSION, list(pair)]) for pair in set(zip(raw, given, strict=True))}
    sources = [
        None if label is None else "catalogue" if label == value else "merged"
        for value, label in zip(raw, given, strict=True)
    ]
    index = products.index
    return pd.DataFrame(
        {
            "product_id": products["product_id"],
            "label": pd.Series(given, dtype="str", index=index),
            "source": pd.Series(sources, dtype="str", index=index),
            "confidence": pd.Series([None if label is None else 1.0 for label in given], dtype="float32", index=index),
            "model_version": pd.Series([None] * len(index), dtype="str", index=index),
            "basis": pd.Series([bases[pair] for pair in zip(raw, given, strict=True)], dtype="str", index=index),
        }
    )


def _merge_labels(configuration: Configuration) -> dict[str, str]:
    """Return the configured table the other way round: top-level value -> label."""
    return {value: label for label, values in configuration.labels.merge.items() for value in values}


def _table(named: int, rows: int, configuration: Configuration) -> LabelTable:
    labels = _merge_labels(configuration)
    coverage = named / rows if rows else 0.0
    applied = bool(labels) and coverage >= configuration.labels.merge_coverage
    return LabelTable(labels if applied else {}, applied, coverage)


def is_product_name(part: str, name: Any) -> bool:
    """Return whether a lone part of a tree is the product's name: as it is, cut off with dots, or with its variant.

    On the real rows: `Sumo Baby Walker (Red)` and `Bengal Blooms Rose Artificial Plant with Pot (3...` for products
    that are named so up to the bracket.
    """
    if not isinstance(name, str):
        return False
    whole = part.removesuffix("...").removesuffix("…")
    return part == name or part.startswith(f"{name} (") or (whole != part and bool(whole) and name.startswith(whole))
