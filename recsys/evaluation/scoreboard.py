"""All models side by side: the mean of each metric over the held-out queries, with its confidence interval."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core import progress
from recsys.core.configuration import Evaluation
from recsys.evaluation.bootstrap import intervals
from recsys.evaluation.retrieval_metrics import RetrievalMetrics, compute_metrics

COLUMNS = ["model", "level", "metric", "k", "value", "low", "high", "queries"]


def scoreboard(
    models: Mapping[str, NDArray[np.float32]],
    frame: pd.DataFrame,
    settings: Evaluation,
    histograms: NDArray[np.float32] | None = None,
) -> pd.DataFrame:
    """Compute the scoreboard of models, see `scoreboard_table`.

    Args:
        models: by name, (n, d) float32 of unit length, one per row of the frame.
        frame: n pictures of products, see `retrieval_metrics.compute_metrics`.
        settings: ranks, levels, which values count, largest number of queries.
        histograms: (n, bins) float32 that sum to 1; without them there is no colour metric.
    """
    return scoreboard_table(metrics_of_models(models, frame, settings, histograms))


def metrics_of_models(
    models: Mapping[str, NDArray[np.float32]],
    frame: pd.DataFrame,
    settings: Evaluation,
    histograms: NDArray[np.float32] | None = None,
) -> dict[str, RetrievalMetrics]:
    """Compute the metrics of each model, query by query, by the model's name. Arguments as `scoreboard`."""
    progress.begin("scoreboard", len(models))
    metrics = {}
    for name, embeddings in models.items():
        metrics[name] = compute_metrics(embeddings, frame, settings, histograms)
        progress.advance("scoreboard")
    queries = max((len(of_model.queries) for of_model in metrics.values()), default=0)
    progress.finish("scoreboard", f"{len(models)} models by {queries:,} queries")
    return metrics


def scoreboard_table(metrics: Mapping[str, RetrievalMetrics]) -> pd.DataFrame:
    """Return the scoreboard of models whose metrics were computed.

    Returns:
        One row per model and metric: model; level of the category path, 0 for none; metric; k, 0 for none; value, the
        mean over the queries that count; low and high, the ends of its 95 % interval, NaN where the metric belongs to
        no single query; queries, the number that count. Values are NaN where no query counts.
    """
    rows = []
    for model, of_model in metrics.items():
        low, high = intervals(of_model.values, of_model.groups)
        for column, metric in enumerate(of_model.metrics):
            known = of_model.values[~np.isnan(of_model.values[:, column]), column]
            value = float(known.mean()) if len(known) else np.nan
            rows.append((model, *metric, value, float(low[column]), float(high[column]), len(known)))
        for metric, value in of_model.catalogue_metrics.items():
            rows.append((model, *metric, value, np.nan, np.nan, of_model.catalogue_sample))
    return pd.DataFrame(rows, columns=COLUMNS)
