"""The stage of the labels on the store: what is missing, one shard of it, and the classes that come of it.

What a person answered outranks the catalogue, which outranks the classifier; a prediction that is too unsure is no
label, and its product waits in the review list.

A run asks this stage twice. Before the classifier (`filling` None) it brings what is given up to date, so that there
is something to learn from, and leaves alone what an earlier run filled: the model has not spoken yet. Behind it, with
the model at hand, it fills the gaps, or takes back what that model no longer says. Where nothing changed, both find
nothing to do. For that a label's basis has two parts, one for what is given and one for the prediction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.core.configuration import Configuration
from recsys.ingest.catalogue.products import ACTIVE, frame_of
from recsys.models.labels.tree import assign, stored_label_table, top_level
from recsys.storage.store import SCHEMAS, Shard, Store, among, digest, literal, shards

SOURCES = ("catalogue", "merged", "predicted", "reviewed")
CONFIDENCE_DIGITS = 4  # of a prediction, that count: another machine's rounding makes no new label


@dataclass(frozen=True)
class Filling:
    """By which predictions gaps are filled.

    Attributes:
        model_version: of the classifier at hand; predictions of any other are not used.
        threshold: the least confidence that fills; None: none is sure enough, so nothing is filled.
    """

    model_version: str
    threshold: float | None


@dataclass(frozen=True)
class LabelCounts:
    """What one shard did: products with a label, how many of those by each way, and products without one.

    `reviewed` counts also those of which a person said that they have none.
    """

    labelled: int
    merged: int
    predicted: int
    reviewed: int
    unlabelled: int


def missing(store: Store, configuration: Configuration, filling: Filling | None = None) -> list[Shard]:
    """Return shards of the active products without a label row, or with one that rests on something that changed.

    Args:
        store: of the home.
        configuration: holds the merge table.
        filling: None before the classifier has spoken in this run: labels that it filled earlier stay.
    """
    wanted = _assigned(store, configuration, filling, ACTIVE)
    stored = store.read("labels", ["product_id", "basis"]).to_pandas()
    bases = stored.set_index("product_id")["basis"].astype("str")
    known = wanted["product_id"].map(bases if filling else bases.str.split(":").str[0])
    todo = wanted[known != wanted["basis"]].sort_values("product_id")
    # the version, since an answer that is taken back and given again makes the same basis missing again
    state = [f"{store.version('labels')} {basis}" for basis in todo["basis"]]
    return shards("labels", todo["product_id"].tolist(), configuration.labels.shard_size, state=state)


def label_shard(
    store: Store, shard: Shard, configuration: Configuration, filling: Filling | None = None
) -> LabelCounts:
    """Label the products of a shard, in one commit. Arguments as `missing`, which made the shard.

    Raises:
        HomeError: the store cannot be written to.
    """
    rows = _assigned(store, configuration, filling, f"{ACTIVE} AND {among('product_id', shard.keys)}")
    if len(rows):
        store.write("labels", pa.Table.from_pandas(rows, schema=SCHEMAS["labels"], preserve_index=False))
    by_source = rows["source"].value_counts()
    labelled = int(rows["label"].notna().sum())
    return LabelCounts(
        labelled=labelled,
        merged=int(by_source.get("merged", 0)),
        predicted=int(by_source.get("predicted", 0)),
        reviewed=int(by_source.get("reviewed", 0)),
        unlabelled=len(rows) - labelled,
    )


def overlay(
    given: pd.DataFrame, reviews: pd.DataFrame, predictions: pd.DataFrame, filling: Filling | None
) -> pd.DataFrame:
    """Return the rows of `labels`: an answer before the catalogue's label, that before a prediction.

    Args:
        given: rows as `tree.assign` returns them.
        reviews: product_id, label (null: it has none).
        predictions: product_id, model_version, label, confidence.
        filling: None: no prediction is used.

    Returns:
        As `given`. The basis of a label that was predicted is that of what is given, a colon, and the digest of the
        prediction.
    """
    rows = given.to_dict("list")
    row_of = {key: row for row, key in enumerate(rows["product_id"])}

    def put(row: int, label: str | None, source: str, confidence: float, version: str | None, basis: str) -> None:
        decided = {"label": label, "source": source, "confidence": confidence, "model_version": version, "basis": basis}
        for column, value in decided.items():
            rows[column][row] = value

    if filling is not None and filling.threshold is not None:
        sure = (predictions["model_version"] == filling.model_version) & predictions["label"].notna()
        sure &= predictions["confidence"].astype("float32") >= np.float32(filling.threshold)
        used = predictions.loc[sure, ["product_id", "label", "confidence"]]
        gaps = set(given.loc[given["label"].isna(), "product_id"])
        for key, label, confidence in used[used["product_id"].isin(gaps)].itertuples(index=False, name=None):
            said = digest([filling.model_version, label, f"{confidence:.{CONFIDENCE_DIGITS}f}"])
            row = row_of[key]
            put(row, label, "predicted", confidence, filling.model_version, f"{given['basis'].iloc[row]}:{said}")
    answered = reviews[reviews["product_id"].isin(row_of)]
    answers = answered["label"].astype(object).where(answered["label"].notna(), None)
    for key, answer in zip(answered["product_id"], answers, strict=True):
        row = row_of[key]
        put(row, answer, "reviewed", 1.0, None, digest([given["basis"].iloc[row], "reviewed", [answer]]))
    return pd.DataFrame(rows).astype(given.dtypes.to_dict())


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


def class_sources(store: Store) -> pd.DataFrame:
    """Return where the labels of each class come from, the classes by name.

    Columns: label, and of the active products how many have it by each way (int64): catalogue, merged, predicted,
    reviewed.
    """
    active = store.read("products", ["product_id"], ACTIVE).to_pandas()["product_id"]
    labels = store.read("labels", ["product_id", "label", "source"], "label IS NOT NULL").to_pandas()
    labels = labels[labels["product_id"].isin(active)]
    counts = pd.crosstab(labels["label"], labels["source"]).reindex(columns=list(SOURCES), fill_value=0)
    return counts.astype("int64").rename_axis(columns=None).reset_index()


def filled(store: Store) -> pd.DataFrame:
    """Return the active products whose label was predicted, the surest first.

    Columns: product_id, name, top_level (that the catalogue gives in place of a category; null where it has none),
    label, confidence (float32), model_version, image_digest (null where there is no picture).
    """
    columns = ["product_id", "label", "confidence", "model_version"]
    predicted = store.read("labels", columns, "source = 'predicted'").to_pandas()
    products = frame_of(store.read("products", ["product_id", "name", "category_path"], ACTIVE))
    images = store.read("images", ["product_id", "image_digest"], "status = 'ok'").to_pandas()
    rows = products.merge(predicted, on="product_id").merge(images, on="product_id", how="left")
    rows["top_level"] = pd.Series([top_level(path) for path in rows["category_path"]], dtype="str", index=rows.index)
    rows = rows.sort_values(["confidence", "product_id"], ascending=[False, True], ignore_index=True)
    return rows[["product_id", "name", "top_level", "label", "confidence", "model_version", "image_digest"]]


def _assigned(store: Store, configuration: Configuration, filling: Filling | None, where: str) -> pd.DataFrame:
    """Return the rows of `labels` as they should be, of the products that match."""
    products = frame_of(store.read("products", ["product_id", "name", "category_path"], where))
    given = assign(products, configuration, stored_label_table(store, configuration))
    reviews = store.read("reviews", ["product_id", "label"]).to_pandas()
    columns = ["product_id", "model_version", "label", "confidence"]
    of_model = f"model_version = {literal(filling.model_version)}" if filling else "false"
    predictions = store.read("predictions", columns, of_model).to_pandas()
    return overlay(given, reviews, predictions, filling)
