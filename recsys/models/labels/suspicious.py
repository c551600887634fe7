"""List suspicious labels: labels of the catalogue that the classifier contradicts. They are shown, never changed."""

import numpy as np
import pandas as pd

from recsys.ingest.catalogue.products import ACTIVE
from recsys.storage.store import Store

COLUMNS = ["product_id", "name", "brand", "label", "source", "predicted", "confidence", "evidence", "image_digest"]


def suspicious_labels(store: Store, threshold: float, model_version: str | None = None) -> pd.DataFrame:
    """Return the active products whose catalogue label the classifier contradicts, the most confident first.

    Reviewed labels are left out. Every prediction counts: of a product that a classifier was trained on, the table
    `predictions` has the prediction of a model that was not.

    Args:
        store: the home's store.
        threshold: lowest confidence of a contradiction.
        model_version: version of the classifier (default: any).

    Returns:
        product_id, name, brand, label (the catalogue's), source (catalogue or merged), predicted, confidence (float32),
        evidence (picture, text or both), image_digest (null without a picture).
    """
    labels = store.read("labels", ["product_id", "label", "source"], "source IN ('catalogue', 'merged')").to_pandas()
    columns = ["product_id", "model_version", "label", "confidence", "evidence"]
    predictions = store.read("predictions", columns, "label IS NOT NULL").to_pandas()
    if model_version is not None:
        predictions = predictions[predictions["model_version"] == model_version]
    predictions = predictions[predictions["confidence"] >= np.float32(threshold)].rename(columns={"label": "predicted"})
    reviewed = store.read("reviews", ["product_id"]).to_pandas()["product_id"]
    rows = labels[~labels["product_id"].isin(reviewed)].merge(predictions, on="product_id")
    rows = rows[rows["label"] != rows["predicted"]]
    products = store.read("products", ["product_id", "name", "brand"], ACTIVE).to_pandas()
    images = store.read("images", ["product_id", "image_digest"], "status = 'ok'").to_pandas()
    rows = rows.merge(products, on="product_id").merge(images, on="product_id", how="left")
    return rows.sort_values(["confidence", "product_id"], ascending=[False, True], ignore_index=True)[COLUMNS]
