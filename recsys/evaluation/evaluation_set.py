"""The pictures that models are evaluated on, read from the store, with the models' vectors of them.

They are the catalogue as trainings see it (`recsys.models.embedding.examples.training_set`), held-out products and
others: products with a category path and a label that no model predicted. Scraped and augmented pictures are not
products and are never included.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from recsys.core.vectors import unit_rows
from recsys.ingest.catalogue.products import active_products
from recsys.models import features
from recsys.models.embedding.examples import training_set
from recsys.models.embedding.serving import Model, champion, models
from recsys.models.examples import jpegs_of
from recsys.ranking.price_levels import price_levels
from recsys.storage.store import Store

RANDOM, PIXELS, HSV, BACKBONE = "random", "pixels", "HSV", "raw backbone"

READ_BATCH = 1_024
"""Number of pictures that are in memory as JPEG at once."""


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """The pictures that models are evaluated on, and the vectors of the models.

    Attributes:
        frame: one row per picture, see `recsys.evaluation.retrieval_metrics.compute_metrics`, with the additional
            columns image_digest, name, label (None where there is none), price (NaN where unknown). `attrs["digest"]`
            identifies the pictures, their categories and the split, see `training_set`.
        histograms: (n, bins) float32 that sum to 1.
        models: by name, (n, d) float32 of unit length.
    """

    frame: pd.DataFrame
    histograms: NDArray[np.float32]
    models: dict[str, NDArray[np.float32]]


def load_evaluation_set(store: Store, configuration: Configuration) -> EvaluationSet:
    """Return the evaluation set, with the baselines and the raw backbone as its models.

    Raises:
        NoImagesError: no product has a category path and features of the configured backbone.
    """
    table = features.table_name(configuration)
    frame = _read_frame(store, configuration)
    if frame.empty:
        raise NoImagesError(
            f"home {store.home} has no product with a category path and features of the configured backbone; "
            "run 'recsys run --catalogue FILE' until it finishes, then try again"
        )
    digests = frame["image_digest"].tolist()
    histograms = read_vectors(store, table, "histogram", digests)
    vectors = {
        RANDOM: random_vectors(len(frame)),
        PIXELS: pixel_vectors(read_small_pictures(store, digests)),
        HSV: hsv_vectors(histograms),
        BACKBONE: read_vectors(store, table, "embedding", digests),
    }
    return EvaluationSet(frame, histograms, vectors)


def trained_models(store: Store, configuration: Configuration) -> dict[str, Model]:
    """Return the champion and the models on the configured encoder, by their name on the scoreboard.

    The name of a champion on another encoder has that encoder.
    """
    serving = champion(store.home, configuration)
    named = {}
    for model in models(store.home):
        serves, fits = serving is not None and serving.version == model.version, model.fits(configuration)
        if serves or fits:
            role = "champion" if serves else Path(model.recipe).stem
            named[f"{role} {model.version[:8]}" + ("" if fits else f" on {model.input}")] = model
    return named


def with_trained_models(evaluation_set: EvaluationSet, store: Store, trained: Mapping[str, Model]) -> EvaluationSet:
    """Return the evaluation set with trained models added.

    A model without the vector of some picture is left out, with a note to the user.

    Args:
        evaluation_set: of `load_evaluation_set`.
        store: the home's tables.
        trained: the models by name, see `trained_models`.
    """
    digests = evaluation_set.frame["image_digest"].tolist()
    vectors = dict(evaluation_set.models)
    for name, model in trained.items():
        try:
            vectors[name] = read_vectors(store, f"embeddings-{model.version}", "embedding", digests)
        except KeyError:
            progress.note(f"{name} is left out: it lacks vectors of some pictures. Run 'recsys models promote'")
    return replace(evaluation_set, models=vectors)


def read_vectors(store: Store, table: str, column: str, digests: Sequence[str]) -> NDArray[np.float32]:
    """Return (n, d) float32 vectors of pictures, in this order.

    Raises:
        KeyError: the table lacks one of them.
    """
    rows = store.read(table, ["image_digest", column])
    row_of = {key: row for row, key in enumerate(rows["image_digest"].to_pylist())}
    order = np.array([row_of[key] for key in digests], dtype=np.int64)
    values = rows[column].combine_chunks()
    flat = values.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float32).reshape(len(values), values.type.list_size)[order]


def read_small_pictures(store: Store, digests: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
    """Yield pictures in this order at an eighth of their size, (32, 32, 3) uint8 RGB, in a quarter of the time."""
    return _decoded(store, digests, cv2.IMREAD_REDUCED_COLOR_8)


def read_pictures(store: Store, digests: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
    """Yield squared pictures in this order, (256, 256, 3) uint8 RGB."""
    return _decoded(store, digests, cv2.IMREAD_COLOR)


def _decoded(store: Store, digests: Sequence[str], mode: int) -> Iterator[NDArray[np.uint8]]:
    def decode(jpeg: bytes) -> NDArray[np.uint8]:
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), mode)
        if picture is None:
            raise ValueError("the store contains a damaged image")
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(digests), READ_BATCH):
            yield from threads.map(decode, jpegs_of(store, digests[start : start + READ_BATCH]))


def _read_frame(store: Store, configuration: Configuration) -> pd.DataFrame:
    """Return the frame of the evaluation set, see `EvaluationSet.frame`."""
    rows = training_set(store, configuration)
    frame = rows.merge(active_products(store, ["product_id", "name", "price"]), on="product_id", how="left")
    first = frame["view"] == 0  # further photos of a product must not count in its label's quantiles
    levels = pd.Series(price_levels(frame["price"][first], frame["label"][first], configuration.price))
    known = levels.where(levels != configuration.price.neutral_level)
    level_of = dict(zip(frame["product_id"][first], known, strict=True))
    frame = frame.assign(price_level=frame["product_id"].map(level_of).astype(np.float64))
    frame.attrs["digest"] = rows.attrs["digest"]  # a merge drops it
    return frame


SEED = 12_345
RANDOM_SIZE = 64
"""Numbers of a random vector."""
PIXELS_SIDE = 16
"""Side of the picture whose pixels are compared, pixels."""


def random_vectors(n: int) -> NDArray[np.float32]:
    """Return seeded random vectors (n, 64), independent of the pictures."""
    return unit_rows(np.random.default_rng(SEED).standard_normal((n, RANDOM_SIZE)).astype(np.float32))


def pixel_vectors(pictures: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return the darkness of 16 × 16 pixels in red, green and blue: n times (side, side, 3) uint8 -> (n, 768).

    Darkness and not brightness, so that the white around a product does not count. A white picture has length 0.
    """
    size = (PIXELS_SIDE, PIXELS_SIDE)
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA).ravel() for picture in pictures]
    return unit_rows(255 - np.array(small, dtype=np.float32).reshape(len(small), 3 * PIXELS_SIDE**2))


def hsv_vectors(histograms: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the square roots of histograms that sum to 1, (n, bins): their cosine is the Bhattacharyya coefficient."""
    return unit_rows(np.sqrt(histograms))
