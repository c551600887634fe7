"""The t-SNE map of the products."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.evaluation.tsne import SEED, tsne_points
from recsys.storage.store import Store, among


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """The map of a sample of n products: points (n, 2) and their labels."""

    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    labels: tuple[str | None, ...] = ()


def map_products(store: Store, table: str, shown: pd.DataFrame, configuration: Configuration) -> EmbeddingMap:
    """Compute the map of at most `tsne.sample` products, each image once.

    Args:
        store: the home's tables.
        table: the name of the table of embeddings.
        shown: see `products.with_features`.
        configuration: the size of the sample and the settings of t-SNE.
    """
    distinct = shown.drop_duplicates("image_digest")
    if distinct.empty or not store.exists(table):
        return EmbeddingMap()
    size = min(configuration.tsne.sample, len(distinct))
    sample = distinct.iloc[np.sort(np.random.default_rng(SEED).choice(len(distinct), size, replace=False))]
    rows = store.read(table, ["image_digest", "embedding"], among("image_digest", sample["image_digest"]))
    embeddings = rows["embedding"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)  # (n, d)
    row_of = {digest: row for row, digest in enumerate(rows["image_digest"].to_pylist())}
    order = [row_of[digest] for digest in sample["image_digest"]]
    return EmbeddingMap(tsne_points(embeddings[order], configuration), tuple(sample["label"]))
