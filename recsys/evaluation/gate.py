"""The gate: a challenger replaces the champion only where it is better at one level and worse at none.

Both answer the same queries, so the gate compares the difference of each query's metrics: a paired bootstrap over
groups gives the interval of its mean. A level is decided by the precision of the five nearest, as many as are shown;
the ability to recognise a product, where products have several photos, by the recall of another photo. Pictures, by
which photos are found, are compared alone, and with the words beside them, if one of the two models has any.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys.evaluation.bootstrap import intervals
from recsys.evaluation.retrieval_metrics import TOP, Metric, RetrievalMetrics

MIN_GROUPS = 10
"""Smallest number of groups of queries that decides a level; the interval of fewer is too narrow."""

BETTER, WORSE, SAME, TOO_FEW = "better", "worse", "no different", "too few"
PRECISION_WITH_WORDS = "precision with words"
NAMES = {"precision": "precision at 5", PRECISION_WITH_WORDS: "precision at 5 with words"}
"""Metrics of a level in messages."""
COLUMNS = [
    *("level", "metric", "k", "queries", "champion", "challenger"),
    *("difference", "low", "high", "verdict", "decides"),
]


@dataclass(frozen=True, eq=False)
class Decision:
    """The decision of the gate.

    Attributes:
        promoted: whether the challenger replaces the champion.
        reason: a sentence.
        table: one row per metric: level, metric, k, queries, champion, challenger, difference (challenger minus
            champion), low, high (of its 95 % interval), verdict (better, worse, no different, too few), decides
            (whether the verdict counts).
    """

    promoted: bool
    reason: str
    table: pd.DataFrame


def decide(
    challenger: RetrievalMetrics,
    champion: RetrievalMetrics,
    with_words: tuple[RetrievalMetrics, RetrievalMetrics] | None = None,
) -> Decision:
    """Decide whether the challenger replaces the champion.

    Worse at one level, beyond the interval: refused. Otherwise better at one level: promoted. Otherwise refused.

    Args:
        challenger, champion: of `compute_metrics`, for the same frame and settings, by pictures alone.
        with_words: those of the challenger and the champion with words beside the pictures; of a model without words,
            those by pictures. None where both have none.

    Raises:
        ValueError: they have different queries or metrics.
    """
    table = _comparison(challenger, champion)
    if with_words is not None:
        likeness = _comparison(*with_words)
        likeness = likeness[likeness["metric"] == "precision"].assign(metric=PRECISION_WITH_WORDS)
        table = pd.concat([table, likeness], ignore_index=True)
    deciding = table[table["decides"] & (table["verdict"] != TOO_FEW)]
    worse, better = (deciding[deciding["verdict"] == verdict] for verdict in (WORSE, BETTER))
    if deciding.empty:
        reason = f"refused: no level has queries of at least {MIN_GROUPS} groups, so there is nothing to decide by"
    elif len(worse):
        reason = f"refused: worse {_describe(worse)}"
    elif len(better):
        reason = f"promoted: better {_describe(better)}, worse at no level"
    else:
        reason = f"refused: not better at any level; largest difference {_describe(deciding.nlargest(1, 'difference'))}"
    return Decision(bool(len(better)) and not len(worse), reason, table)


def _comparison(challenger: RetrievalMetrics, champion: RetrievalMetrics) -> pd.DataFrame:
    """Return the `Decision.table`.

    Raises:
        ValueError: they have different queries or metrics.
    """
    if not np.array_equal(challenger.queries, champion.queries) or challenger.metrics != champion.metrics:
        raise ValueError("challenger and champion were evaluated with different queries: use the same frame for both")
    differences = challenger.values - champion.values  # (q, f)
    low, high = intervals(differences, champion.groups)
    rows = []
    for column, metric in enumerate(champion.metrics):
        known = ~np.isnan(differences[:, column])
        groups = len(np.unique(champion.groups[known]))
        means = [float(model.values[known, column].mean()) if groups else np.nan for model in (champion, challenger)]
        verdict = _verdict(metric, groups, low[column], high[column])
        difference = (means[1] - means[0], low[column], high[column])
        rows.append((*metric, int(known.sum()), *means, *difference, verdict, _decides(metric)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _verdict(metric: Metric, groups: int, low: float, high: float) -> str:
    """Return the verdict on a metric from the interval of its difference."""
    if metric.name == "price_apart":  # the only metric of which less is better
        low, high = -high, -low
    if groups < MIN_GROUPS:
        return TOO_FEW
    return WORSE if high < 0 else BETTER if low > 0 else SAME


def _decides(metric: Metric) -> bool:
    return metric.name == "view" or (metric.name == "precision" and metric.k == TOP)


def _describe(rows: pd.DataFrame) -> str:
    """Return rows of the table in words."""
    parts = []
    for row in rows.to_dict("records"):
        level = f"at level {row['level']}" if row["level"] else "at finding another photo of a product"
        name = NAMES.get(row["metric"], "recall at 1")
        parts.append(
            f"{level} ({name} {row['challenger']:.3f} against {row['champion']:.3f}, "
            f"difference {row['difference']:+.3f}, 95 % interval {row['low']:+.3f} to {row['high']:+.3f})"
        )
    return " and ".join(parts)
