"""Suspicious labels: what the catalogue says and the classifier contradicts. They are shown, never changed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys.ingest.catalogue.products import ACTIVE
from recsys.storage.store import Store


def suspicious_labels(store: Store, threshold: float, model_version: str | None = None) -> pd.DataFrame:
    """Return the active products whose given label the classifier contradicts, its surest contradictions first.

    Given are labels from the catalogue, as they are or merged; what a person answered is not doubted. A prediction
    counts only where the model had not seen the product: the table `predictions` holds no other, since for a product
    of the training it has that of the fold that left it out.

    Args:
        store: of the home.
        threshold: the least confidence of a contradiction that counts.
        model_version: of the classifier whose predictions count (default: of any).

    Returns:
        product_id, name, brand, label (the given one), source (catalogue or merged), predicted, confidence (float32),
        evidence (picture, text or both), image_digest (null where there is no picture).
    """
    given = store.read("labels", ["product_id", "label", "source"], "source IN ('catalogue', 'merged')").to_pandas()
    columns = ["product_id", "model_version", "label", "confidence", "evidence"]
    predictions = store.read("predictions", columns, "label IS NOT NULL").to_pandas()
    if model_version is not None:
        predictions = predictions[predictions["model_version"] == model_version]
    predictions = predictions[predictions["confidence"] >= np.float32(threshold)].rename(columns={"label": "predicted"})
    reviewed = store.read("reviews", ["product_id"]).to_pandas()["product_id"]
    rows = given[~given["product_id"].isin(reviewed)].merge(predictions, on="product_id")
    rows = rows[rows["label"] != rows["predicted"]]
    products = store.read("products", ["product_id", "name", "brand"], ACTIVE).to_pandas()
    images = store.read("images", ["product_id", "image_digest"], "status = 'ok'").to_pandas()
    rows = rows.merge(products, on="product_id").merge(images, on="product_id", how="left")
    rows = rows.sort_values(["confidence", "product_id"], ascending=[False, True], ignore_index=True)
    shown = ["product_id", "name", "brand", "label", "source", "predicted", "confidence", "evidence", "image_digest"]
    return rows[shown]
