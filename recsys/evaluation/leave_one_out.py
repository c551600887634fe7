"""Leave-one-out metrics of a shop: each product is a query against all others, whether trained on or not.

A run logs them for the serving embedding. Models are compared by the scoreboard, on products that no training used.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration, Evaluation
from recsys.evaluation.retrieval_metrics import Metric, compute_metrics
from recsys.ranking.gallery_loading import load_gallery
from recsys.storage.store import Store


def evaluate_shop(store: Store, configuration: Configuration) -> pd.DataFrame:
    """Return the `leave_one_out_metrics` of the products that the store holds."""
    frame, gallery = load_gallery(store, configuration)
    return leave_one_out_metrics(gallery.unit_vectors(), frame["category_path"].tolist(), configuration.evaluation)


def leave_one_out_metrics(
    embeddings: NDArray[np.float32], paths: Sequence[Sequence[str]], settings: Evaluation
) -> pd.DataFrame:
    """Compute precision and recall at each rank and level, see `recsys.evaluation.retrieval_metrics`.

    Args:
        embeddings: (n, d) float32 of unit length.
        paths: n category paths, top level first.
        settings: ranks, levels, and which queries count.

    Returns:
        One row per level and rank: level, queries (the number that count), k, precision, recall; NaN where no query
        counts.
    """
    rows = np.arange(len(paths))
    frame = pd.DataFrame({"product_id": rows, "category_path": list(paths), "group": rows, "held_out": True})
    metrics = compute_metrics(embeddings, frame, settings)
    table = []
    for level in range(1, settings.levels + 1):
        for k in sorted(settings.ranks):
            precision, recall = (pd.Series(metrics.column(Metric(level, name, k))) for name in ("precision", "recall"))
            table.append((level, precision.count(), k, precision.mean(), recall.mean()))
    return pd.DataFrame(table, columns=["level", "queries", "k", "precision", "recall"])
