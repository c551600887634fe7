"""Labels: the top level of the category tree, grey areas merged by the configured table.

The rule is the original's: only the tree's first part counts; its 200+ values are merged into 20 labels; what is no
category (mostly a product's name in its place) is no label. The stage on the store asks `missing` for shards and
gives each to `label_shard`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from recsys.catalogue.products import ACTIVE, frame_of
from recsys.configuration import Configuration
from recsys.store import SCHEMAS, Shard, Store, among, digest, shards

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


@dataclass(frozen=True)
class LabelCounts:
    """What one shard did: products with a label, how many of those by the table, and products without one."""

    labelled: int
    merged: int
    unlabelled: int


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
            None if value is None or (len(path) == 1 and _is_product_name(value, name)) else value
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


def missing(store: Store, configuration: Configuration) -> list[Shard]:
    """Return shards of the active products without a label row, or with one that rests on something that changed."""
    wanted = _assigned(store, configuration, ACTIVE)
    stored = store.read("labels", ["product_id", "basis"]).to_pandas()
    known = wanted["product_id"].map(stored.set_index("product_id")["basis"])
    todo = wanted[known != wanted["basis"]].sort_values("product_id")
    return shards("labels", todo["product_id"].tolist(), configuration.labels.shard_size, state=todo["basis"].tolist())


def label_shard(store: Store, shard: Shard, configuration: Configuration) -> LabelCounts:
    """Label the products of a shard from the catalogue, in one commit.

    Raises:
        HomeError: the store cannot be written to.
    """
    rows = _assigned(store, configuration, f"{ACTIVE} AND {among('product_id', shard.keys)}")
    if len(rows):
        store.write("labels", pa.Table.from_pandas(rows, schema=SCHEMAS["labels"], preserve_index=False))
    return LabelCounts(
        labelled=int(rows["label"].notna().sum()),
        merged=int((rows["source"] == "merged").sum()),
        unlabelled=int(rows["label"].isna().sum()),
    )


def class_balance(store: Store) -> pd.DataFrame:
    """Return the size of each class among the active products, the largest first.

    Columns: label, products (int64), share (float64, of the labelled products). `attrs["unlabelled"]` is the number
    of active products without a label.
    """
    active = store.read("products", ["product_id"], ACTIVE).to_pandas()["product_id"]
    labels = store.read("labels", ["product_id", "label"]).to_pandas()
    sizes = labels.loc[labels["product_id"].isin(active), "label"].value_counts()
    frame = sizes.rename_axis("label").reset_index(name="products")
    frame = frame.sort_values(["products", "label"], ascending=[False, True], ignore_index=True)
    labelled = int(sizes.sum())
    frame["share"] = frame["products"] / max(labelled, 1)
    frame.attrs["unlabelled"] = len(active) - labelled
    return frame


def balance(frame: pd.DataFrame, configuration: Configuration) -> pd.DataFrame:
    """Return the rows of a training set whose large classes are cut to one size.

    The original's rule: after `random.seed(12345)`, of each class with more than 2,000 rows `random.sample` keeps
    1,500; smaller classes keep all. Classes are taken from the largest to the smallest (equal ones by name), and the
    rows that are kept stay in their order. The generator is this call's own: nothing else in the process disturbs it.

    Args:
        frame: any columns, among them `label`; rows without a label are dropped.
        configuration: `balance.undersample_above`, `.undersample_to`, `.random_seed`.
    """
    settings = configuration.balance
    generator = random.Random(settings.random_seed)
    classes: dict[str, list[int]] = {}
    for row, label in enumerate(frame["label"].astype(object).where(frame["label"].notna(), None)):
        if label is not None:
            classes.setdefault(label, []).append(row)
    kept: list[int] = []
    for _, rows in sorted(classes.items(), key=lambda item: (-len(item[1]), item[0])):
        large = len(rows) > settings.undersample_above
        kept += generator.sample(rows, min(settings.undersample_to, len(rows))) if large else rows
    return frame.iloc[sorted(kept)]


def _merge_labels(configuration: Configuration) -> dict[str, str]:
    """Return the configured table the other way round: top-level value -> label."""
    return {value: label for label, values in configuration.labels.merge.items() for value in values}


def _table(named: int, rows: int, configuration: Configuration) -> LabelTable:
    labels = _merge_labels(configuration)
    coverage = named / rows if rows else 0.0
    applied = bool(labels) and coverage >= configuration.labels.merge_coverage
    return LabelTable(labels if applied else {}, applied, coverage)


def _assigned(store: Store, configuration: Configuration, where: str) -> pd.DataFrame:
    products = frame_of(store.read("products", ["product_id", "name", "category_path"], where))
    return assign(products, configuration, stored_label_table(store, configuration))


def _is_product_name(part: str, name: Any) -> bool:
    """Return whether a lone part of a tree is the product's name: as it is, cut off with dots, or with its variant.

    On the real rows: `Sumo Baby Walker (Red)` and `Bengal Blooms Rose Artificial Plant with Pot (3...` for products
    that are named so up to the bracket.
    """
    if not isinstance(name, str):
        return False
    whole = part.removesuffix("...").removesuffix("…")
    return part == name or part.startswith(f"{name} (") or (whole != part and bool(whole) and name.startswith(whole))
