"""The products that several sections of the report show."""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Price
from recsys.models.embedding.serving import Serving
from recsys.ranking.price_levels import price_levels
from recsys.storage.store import Store, among

NULLABLE_TEXT = ("name", "label", "status", "cause", "url", "image_digest")


def read_products(store: Store) -> pd.DataFrame:
    """Return the active products in catalogue order.

    Index: product_id. Columns: position, name, price, label, status, cause, url, image_digest; text is None where it is
    missing.
    """
    products = store.read("products", ["product_id", "position", "name", "price"], "removed IS NULL").to_pandas()
    images = store.read("images", ["product_id", "status", "cause", "url", "image_digest"]).to_pandas()
    labels = store.read("labels", ["product_id", "label"]).to_pandas()
    frame = products.merge(images, on="product_id", how="left").merge(labels, on="product_id", how="left")
    for column in NULLABLE_TEXT:
        frame[column] = frame[column].astype(object).where(frame[column].notna(), None)
    return frame.sort_values("position", kind="stable").set_index("product_id")


def with_features(products: pd.DataFrame, store: Store, serves: Serving, settings: Price) -> pd.DataFrame:
    """Return the products that have an image and features, with their `price_level`."""
    shown = products[products["status"] == "ok"]
    if store.exists(serves.embeddings):
        digests = store.read(serves.embeddings, ["image_digest"])["image_digest"].to_pylist()
        shown = shown[shown["image_digest"].isin(digests)]
    levels = price_levels(shown["price"], shown["label"], settings)
    return shown.assign(price_level=pd.Series(levels, index=shown.index))


def read_pictures(store: Store, product_ids: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
    """Return the squared RGB images (side, side, 3) of these products, by id."""
    rows = store.read("images", ["product_id", "jpeg"], among("product_id", product_ids))
    return {
        product_id: np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB), dtype=np.uint8)
        for product_id, jpeg in zip(rows["product_id"].to_pylist(), rows["jpeg"].to_pylist(), strict=True)
    }
