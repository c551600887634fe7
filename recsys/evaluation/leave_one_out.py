"""Retrieval figures of the shop as it is: each product is a query against all others, trained on or not.

What a run logs of the embedding that serves. Models are compared by the scoreboard, on what they were not trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration, Evaluation
from recsys.evaluation.retrieval_metrics import Figure, judge
from recsys.ranking.gallery_loading import load_gallery
from recsys.storage.store import Store


def evaluate_shop(store: Store, configuration: Configuration) -> pd.DataFrame:
    """Return the `retrieval` figures of the products that the store holds now."""
    frame, gallery = load_gallery(store, configuration)
    return retrieval(gallery.embeddings, frame["category_path"].tolist(), configuration.evaluation)


def retrieval(embeddings: NDArray[np.float32], paths: Sequence[Sequence[str]], settings: Evaluation) -> pd.DataFrame:
    """Return precision and recall at each rank and level, see `recsys.evaluation.retrieval_metrics`.

    Args:
        embeddings: (n, d) float32 of unit length.
        paths: n category paths, top level first.
        settings: ranks, levels, and which queries count.

    Returns:
        One row a level and rank: level, queries (how many counted), k, precision, recall; the figures are NaN where
        no query counts.
    """
    rows = np.arange(len(paths))
    frame = pd.DataFrame({"product_id": rows, "category_path": list(paths), "group": rows, "held_out": True})
    judged = judge(embeddings, frame, settings)
    told = []
    for level in range(1, settings.levels + 1):
        for k in sorted(settings.ranks):
            right, found = (judged.column(Figure(level, metric, k)) for metric in ("precision", "recall"))
            counted = ~np.isnan(right)
            told.append(
                {
                    "level": level,
                    "queries": int(counted.sum()),
                    "k": k,
                    "precision": float(right[counted].mean()) if counted.any() else np.nan,
                    "recall": float(found[counted].mean()) if counted.any() else np.nan,
                }
            )
    return pd.DataFrame(told, columns=["level", "queries", "k", "precision", "recall"])
