"""What is judged, out of the store: the catalogue's own products, and the vectors that models have of their pictures.

It is the catalogue as trainings see it (`recsys.models.embedding.examples.training_set`), held-out products and
others: those with a category path and a label that no model gave. Scraped and augmented pictures are no products and
never get here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.core.errors import NoImagesError
from recsys.evaluation.baselines import hsv_vectors, pixel_vectors, random_vectors
from recsys.ingest.catalogue.products import active_products
from recsys.models import features
from recsys.models.embedding.examples import training_set
from recsys.models.embedding.serving import Model, champion, models
from recsys.models.examples import jpegs_of
from recsys.ranking.price_levels import price_levels
from recsys.storage.store import Store

RANDOM, PIXELS, HSV, BACKBONE = "random", "pixels", "HSV", "raw backbone"

READ_AT_ONCE = 1_024
"""Pictures that are in memory as JPEG while they are worked through."""


@dataclass(frozen=True, eq=False)
class Judged:
    """The catalogue as it is judged.

    Attributes:
        frame: a row a picture, see `recsys.evaluation.retrieval_metrics.judge`; besides its columns image_digest,
            name, label (None where there is none), price (NaN where unknown).
        histograms: (n, bins) float32 that sum to 1.
        models: by name, (n, d) float32 of unit length.
    """

    frame: pd.DataFrame
    histograms: NDArray[np.float32]
    models: dict[str, NDArray[np.float32]]


def judged_products(store: Store, configuration: Configuration) -> Judged:
    """Return the products that can be judged, with the baselines and the raw backbone as their models.

    Raises:
        NoImagesError: none has features of the configured backbone.
    """
    table = features.table_name(configuration)
    frame = _frame(store, configuration)
    if frame.empty:
        raise NoImagesError(
            f"home {store.home} has no product with a category path and features of the configured backbone; "
            "run 'recsys run --catalogue FILE' to the end, then ask again"
        )
    digests = frame["image_digest"].tolist()
    histograms = vectors_of(store, table, "histogram", digests)
    vectors = {
        RANDOM: random_vectors(len(frame)),
        PIXELS: pixel_vectors(small_pictures(store, digests)),
        HSV: hsv_vectors(histograms),
        BACKBONE: vectors_of(store, table, "embedding", digests),
    }
    return Judged(frame, histograms, vectors)


def trained_models(store: Store, configuration: Configuration) -> dict[str, Model]:
    """Return the trained models that can serve beside the configured backbone, by a name for the board."""
    now = champion(store.home, configuration)
    named = {}
    for each in models(store.home):
        if each.usable(configuration):
            role = "champion" if now and now.version == each.version else Path(each.recipe).stem
            named[f"{role} {each.version[:8]}"] = each
    return named


def with_trained(judged: Judged, store: Store, trained: Mapping[str, Model]) -> Judged:
    """Return what is judged with trained models besides; one that lacks a vector of some picture is left out, and said.

    Args:
        judged: of `judged_products`.
        store: of the home.
        trained: by name.
    """
    digests = judged.frame["image_digest"].tolist()
    vectors = dict(judged.models)
    for name, model in trained.items():
        try:
            vectors[name] = vectors_of(store, f"embeddings-{model.version}", "embedding", digests)
        except KeyError:
            progress.note(
                f"{name} has no vectors of some pictures and is left out; 'recsys models promote' computes them"
            )
    return replace(judged, models=vectors)


def vectors_of(store: Store, table: str, column: str, digests: Sequence[str]) -> NDArray[np.float32]:
    """Return (n, d) float32 vectors of pictures, in this order.

    Raises:
        KeyError: the table lacks one of them.
    """
    rows = store.read(table, ["image_digest", column])
    place = {key: row for row, key in enumerate(rows["image_digest"].to_pylist())}
    at = np.array([place[key] for key in digests], dtype=np.int64)
    values = rows[column].combine_chunks()
    flat = values.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float32).reshape(len(values), values.type.list_size)[at]


def small_pictures(store: Store, digests: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
    """Yield pictures at an eighth of their size, (32, 32, 3) uint8 RGB, which takes a quarter of the time."""
    return _decoded(store, digests, cv2.IMREAD_REDUCED_COLOR_8)


def pictures_of(store: Store, digests: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
    """Yield squared pictures in this order, (256, 256, 3) uint8 RGB."""
    return _decoded(store, digests, cv2.IMREAD_COLOR)


def _decoded(store: Store, digests: Sequence[str], how: int) -> Iterator[NDArray[np.uint8]]:
    def decode(jpeg: bytes) -> NDArray[np.uint8]:
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), how)
        if picture is None:
            raise ValueError("the store holds a damaged image")
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(digests), READ_AT_ONCE):
            yield from threads.map(decode, jpegs_of(store, digests[start : start + READ_AT_ONCE]))


def _frame(store: Store, configuration: Configuration) -> pd.DataFrame:
    """Return the pictures that are judged; the columns of `Judged.frame`."""
    frame = training_set(store, configuration)
    frame = frame.merge(active_products(store, ["product_id", "name", "price"]), on="product_id", how="left")
    first = frame["view"] == 0  # a product's further photos do not weigh more in its label's quantiles
    levels = pd.Series(price_levels(frame["price"][first], frame["label"][first], configuration.price))
    known = levels.where(levels != configuration.price.neutral_level)
    level_of = dict(zip(frame["product_id"][first], known, strict=True))
    return frame.assign(price_level=frame["product_id"].map(level_of).astype(np.float64))
