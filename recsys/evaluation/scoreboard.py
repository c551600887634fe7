"""All models side by side: each figure's mean over the held-out queries, and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core import progress
from recsys.core.configuration import Evaluation
from recsys.evaluation.bootstrap import intervals
from recsys.evaluation.retrieval_metrics import Judgement, judge

COLUMNS = ["model", "level", "metric", "k", "value", "low", "high", "queries"]


def scoreboard(
    models: Mapping[str, NDArray[np.float32]],
    frame: pd.DataFrame,
    settings: Evaluation,
    histograms: NDArray[np.float32] | None = None,
) -> pd.DataFrame:
    """Return the figures of each model; see `board`, and `retrieval_metrics` for the figures and the frame.

    Args:
        models: by name, (n, d) float32 of unit length, one a row of the frame.
        frame: n pictures of products, see `judge`.
        settings: ranks, levels, which values count, how many queries at most.
        histograms: (n, bins) float32 that sum to 1; without them there is no figure of colour.
    """
    return board(judgements(models, frame, settings, histograms))


def judgements(
    models: Mapping[str, NDArray[np.float32]],
    frame: pd.DataFrame,
    settings: Evaluation,
    histograms: NDArray[np.float32] | None = None,
) -> dict[str, Judgement]:
    """Return what each model is worth, query by query. Arguments as `scoreboard`."""
    progress.begin("scoreboard", len(models))
    judged = {}
    for name, embeddings in models.items():
        judged[name] = judge(embeddings, frame, settings, histograms)
        progress.advance("scoreboard")
    asked = max((len(each.queries) for each in judged.values()), default=0)
    progress.finish("scoreboard", f"{len(models)} models by {asked:,} queries")
    return judged


def board(judged: Mapping[str, Judgement]) -> pd.DataFrame:
    """Return the figures of models that were judged.

    Returns:
        One row a model and figure: model; level of the category path, 0 of none; metric; k, 0 of none; value, the mean
        over the queries that count; low and high, the ends of its 95 % interval, NaN where it is of no single query;
        queries, how many count. Values are NaN where none does.
    """
    rows = []
    for model, judgement in judged.items():
        low, high = intervals(judgement.values, judgement.groups)
        for at, figure in enumerate(judgement.figures):
            known = judgement.values[~np.isnan(judgement.values[:, at]), at]
            value = float(known.mean()) if len(known) else np.nan
            rows.append((model, *figure, value, float(low[at]), float(high[at]), len(known)))
        rows += [
            (model, *figure, value, np.nan, np.nan, judgement.asked) for figure, value in judgement.of_catalogue.items()
        ]
    return pd.DataFrame(rows, columns=COLUMNS)
