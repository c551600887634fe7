"""Run the stage of the labels, and list the classes and the predicted labels.

A reviewer's answer takes precedence over the catalogue, and the catalogue over the classifier. A prediction below the
threshold gives no label, and its product is in the review list.

A run calls this stage twice. Before the classifier (`filling` None) the stage updates the labels of the catalogue and
the reviewers, so that there is something to train on, and keeps the predicted labels of earlier runs. After the
classifier it fills the gaps, and removes labels that the classifier no longer predicts. If nothing changed, neither
call has anything to do. For that, the basis of a predicted label has two parts: the basis of the catalogue's row, and
the digest of the prediction.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.ingest.catalogue.products import ACTIVE, active_products
from recsys.models.labels.merge_table import assign_labels, stored_merge_table, top_level
from recsys.storage.frames import frame_of
from recsys.storage.schemas import SCHEMAS
from recsys.storage.shards import Shard, shards
from recsys.storage.store import Store, among, literal

SOURCES = ("catalogue", "merged", "predicted", "reviewed")
CONFIDENCE_DIGITS = 4
"""Digits of a confidence that count in a basis: the rounding of another machine must not make a new label."""


@dataclass(frozen=True)
class Filling:
    """Predictions that fill labels.

    Attributes:
        model_version: version of the classifier.
        threshold: lowest confidence that fills a label; None fills none.
    """

    model_version: str
    threshold: float | None


@dataclass(frozen=True)
class LabelCounts:
    """Numbers of products of one shard: with a label, by some of its sources, and without a label.

    `reviewed` includes products of which a reviewer answered that they have no label.
    """

    labelled: int
    merged: int
    predicted: int
    reviewed: int
    unlabelled: int


def missing(store: Store, configuration: Configuration, filling: Filling | None = None) -> list[Shard]:
    """Return shards of the active products whose label row is missing or has an outdated basis.

    Args:
        store: the home's store.
        configuration: section `labels`.
        filling: predictions that fill labels; None before the classifier, which keeps the labels of earlier runs.
    """
    rows = _current_rows(store, configuration, filling, ACTIVE)
    stored = store.read("labels", ["product_id", "basis"]).to_pandas()
    bases = stored.set_index("product_id")["basis"].astype("str")
    stored_basis = rows["product_id"].map(bases if filling else bases.str.split(":").str[0])
    todo = rows[stored_basis != rows["basis"]].sort_values("product_id")
    # With the table's version: an answer that is given again after it was taken back makes the same basis missing.
    state = [f"{store.version('labels')} {basis}" for basis in todo["basis"]]
    return shards("labels", todo["product_id"].tolist(), configuration.labels.shard_size, state=state)


def label_shard(
    store: Store, shard: Shard, configuration: Configuration, filling: Filling | None = None
) -> LabelCounts:
    """Write the labels of a shard's products in one commit. Arguments as `missing`, which made the shard.

    Raises:
        HomeError: the store cannot be written to.
    """
    rows = _current_rows(store, configuration, filling, f"{ACTIVE} AND {among('product_id', shard.keys)}")
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
    catalogue_rows: pd.DataFrame, reviews: pd.DataFrame, predictions: pd.DataFrame, filling: Filling | None
) -> pd.DataFrame:
    """Return the catalogue's rows of `labels`, with gaps filled by predictions and all replaced by answers.

    Args:
        catalogue_rows: rows of `merge_table.assign_labels`.
        reviews: product_id, label (null: the product has none).
        predictions: product_id, model_version, label, confidence.
        filling: predictions that fill labels; None fills none.

    Returns:
        Rows as `catalogue_rows`. The basis of a predicted label is the catalogue's basis, a colon, and the digest of
        the prediction.
    """
    rows = catalogue_rows.set_index("product_id")
    bases = rows["basis"].to_dict()
    if filling is not None and filling.threshold is not None:
        used = _sure_predictions(predictions, filling)
        used = used[used.index.isin(rows.index[rows["label"].isna()])]
        rows.loc[used.index, ["label", "confidence"]] = used
        rows.loc[used.index, "source"] = "predicted"
        rows.loc[used.index, "model_version"] = filling.model_version
        rows.loc[used.index, "basis"] = [
            f"{bases[key]}:{digest([filling.model_version, label, f'{confidence:.{CONFIDENCE_DIGITS}f}'])}"
            for key, label, confidence in zip(used.index, used["label"], used["confidence"], strict=True)
        ]
    answers = reviews[reviews["product_id"].isin(rows.index)].set_index("product_id")["label"]
    labels = answers.astype(object).where(answers.notna(), None)
    rows.loc[answers.index, "label"] = answers
    rows.loc[answers.index, "source"] = "reviewed"
    rows.loc[answers.index, "confidence"] = 1.0
    rows.loc[answers.index, "model_version"] = None
    rows.loc[answers.index, "basis"] = [digest([bases[key], "reviewed", [label]]) for key, label in labels.items()]
    return rows.reset_index()


def class_balance(store: Store) -> pd.DataFrame:
    """Return the size of each class among the active products, the largest first.

    Columns: label, products (int64), share (float64, of the labelled products). `attrs["unlabelled"]` is the number
    of active products without a label.
    """
    active = active_products(store, ["product_id"])["product_id"]
    labels = store.read("labels", ["product_id", "label"]).to_pandas()
    sizes = labels.loc[labels["product_id"].isin(active), "label"].value_counts()
    frame = sizes.rename_axis("label").reset_index(name="products")
    frame = frame.sort_values(["products", "label"], ascending=[False, True], ignore_index=True)
    labelled = int(sizes.sum())
    frame["share"] = frame["products"] / max(labelled, 1)
    frame.attrs["unlabelled"] = len(active) - labelled
    return frame


def class_sources(store: Store) -> pd.DataFrame:
    """Return the number of active products of each class by the source of their label, the classes by name.

    Columns: label; catalogue, merged, predicted, reviewed (int64).
    """
    active = active_products(store, ["product_id"])["product_id"]
    labels = store.read("labels", ["product_id", "label", "source"], "label IS NOT NULL").to_pandas()
    labels = labels[labels["product_id"].isin(active)]
    counts = pd.crosstab(labels["label"], labels["source"]).reindex(columns=list(SOURCES), fill_value=0)
    return counts.astype("int64").rename_axis(columns=None).reset_index()


def predicted_labels(store: Store) -> pd.DataFrame:
    """Return the active products whose label was predicted, the most confident first.

    Columns: product_id, name, top_level (of the category path; null if there is none), label, confidence (float32),
    model_version, image_digest (null without a picture).
    """
    columns = ["product_id", "label", "confidence", "model_version"]
    predicted = store.read("labels", columns, "source = 'predicted'").to_pandas()
    products = frame_of(store.read("products", ["product_id", "name", "category_path"], ACTIVE))
    images = store.read("images", ["product_id", "image_digest"], "status = 'ok'").to_pandas()
    rows = products.merge(predicted, on="product_id").merge(images, on="product_id", how="left")
    rows["top_level"] = pd.Series([top_level(path) for path in rows["category_path"]], dtype="str", index=rows.index)
    rows = rows.sort_values(["confidence", "product_id"], ascending=[False, True], ignore_index=True)
    return rows[["product_id", "name", "top_level", "label", "confidence", "model_version", "image_digest"]]


def _current_rows(store: Store, configuration: Configuration, filling: Filling | None, where: str) -> pd.DataFrame:
    """Return the up-to-date rows of `labels` of the products that match a condition."""
    products = frame_of(store.read("products", ["product_id", "name", "category_path"], where))
    catalogue_rows = assign_labels(products, configuration, stored_merge_table(store, configuration))
    reviews = store.read("reviews", ["product_id", "label"]).to_pandas()
    columns = ["product_id", "model_version", "label", "confidence"]
    condition = f"model_version = {literal(filling.model_version)}" if filling else "false"
    predictions = store.read("predictions", columns, condition).to_pandas()
    return overlay(catalogue_rows, reviews, predictions, filling)


def _sure_predictions(predictions: pd.DataFrame, filling: Filling) -> pd.DataFrame:
    """Return label and confidence, by product_id, of the predictions that may fill a label."""
    sure = (predictions["model_version"] == filling.model_version) & predictions["label"].notna()
    sure &= predictions["confidence"].astype("float32") >= np.float32(filling.threshold or 0.0)
    return predictions.loc[sure].set_index("product_id")[["label", "confidence"]]
