"""The stage of the labels on the store: what is missing, one shard of it, and the classes that come of it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from recsys.catalogue.products import ACTIVE, frame_of
from recsys.configuration import Configuration
from recsys.labels.tree import assign, stored_label_table
from recsys.store import SCHEMAS, Shard, Store, among, shards


@dataclass(frozen=True)
class LabelCounts:
    """What one shard did: products with a label, how many of those by the table, and products without one."""

    labelled: int
    merged: int
    unlabelled: int


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


def _assigned(store: Store, configuration: Configuration, where: str) -> pd.DataFrame:
    products = frame_of(store.read("products", ["product_id", "name", "category_path"], where))
    return assign(products, configuration, stored_label_table(store, configuration))
