"""The gate: a challenger takes a champion's place only where it is better at one level and worse at none.

Both are judged by the same queries, so what counts is the difference of each query's figures: a paired bootstrap over
groups says how far its mean could be from nought by chance. A level is decided by the precision of what is shown, the
five nearest, and the finest likeness, where products have several photos, by the recall of another photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys.evaluation.bootstrap import intervals
from recsys.evaluation.retrieval_metrics import TOP, Figure, Judgement

FEWEST_GROUPS = 10
"""Of queries at a level that decide anything; the interval of fewer is narrower than what is known."""

BETTER, WORSE, SAME, TOO_FEW = "better", "worse", "no different", "too few"
COLUMNS = [
    *("level", "metric", "k", "queries", "champion", "challenger"),
    *("difference", "low", "high", "verdict", "decides"),
]


@dataclass(frozen=True, eq=False)
class Decision:
    """What the gate says.

    Attributes:
        promoted: whether the challenger takes the champion's place.
        reason: a sentence.
        table: a row a figure: level, metric, k, queries, champion, challenger, difference (challenger less champion),
            low, high (of its 95 % interval), verdict (better, worse, no different, too few), decides (whether the
            verdict counts).
    """

    promoted: bool
    reason: str
    table: pd.DataFrame


def decide(challenger: Judgement, champion: Judgement) -> Decision:
    """Return whether the challenger takes the champion's place.

    Worse at a level beyond the interval: refused. Else better at one: promoted. Else refused, as no better.

    Args:
        challenger, champion: of `judge`, by the same frame and settings.

    Raises:
        ValueError: they were judged by different queries.
    """
    if not np.array_equal(challenger.queries, champion.queries) or challenger.figures != champion.figures:
        raise ValueError("challenger and champion were judged by different queries: judge both by the same frame")
    table = _compared(challenger, champion)
    deciding = table[table["decides"] & (table["verdict"] != TOO_FEW)]
    worse, better = (deciding[deciding["verdict"] == verdict] for verdict in (WORSE, BETTER))
    if deciding.empty:
        reason = f"refused: no level has queries of {FEWEST_GROUPS} groups, so there is nothing to judge by"
    elif len(worse):
        reason = f"refused: worse {_told(worse)}"
    elif len(better):
        reason = f"promoted: better {_told(better)}, worse at no level"
    else:
        reason = f"refused: no better at any level; the nearest to it {_told(deciding.nlargest(1, 'difference'))}"
    return Decision(bool(len(better)) and not len(worse), reason, table)


def _compared(challenger: Judgement, champion: Judgement) -> pd.DataFrame:
    differences = challenger.values - champion.values  # (q, f)
    low, high = intervals(differences, champion.groups)
    rows = []
    for at, figure in enumerate(champion.figures):
        known = ~np.isnan(differences[:, at])
        groups = len(np.unique(champion.groups[known]))
        of_champion, of_challenger = (
            float(values[known, at].mean()) if groups else np.nan for values in (champion.values, challenger.values)
        )
        ends = (-high[at], -low[at]) if figure.metric == "price_apart" else (low[at], high[at])  # there, less is better
        verdict = TOO_FEW if groups < FEWEST_GROUPS else WORSE if ends[1] < 0 else BETTER if ends[0] > 0 else SAME
        told = (int(known.sum()), of_champion, of_challenger, of_challenger - of_champion, low[at], high[at])
        rows.append((*figure, *told, verdict, _decides(figure)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _decides(figure: Figure) -> bool:
    return figure.metric == "view" or (figure.metric == "precision" and figure.k == TOP)


def _told(rows: pd.DataFrame) -> str:
    parts = []
    for row in rows.to_dict("records"):
        place = f"at level {row['level']}" if row["level"] else "at finding another photo of a product"
        name = "precision at 5" if row["metric"] == "precision" else "recall at 1"
        parts.append(
            f"{place} ({name} {row['challenger']:.3f} against {row['champion']:.3f}, "
            f"difference {row['difference']:+.3f}, 95 % interval {row['low']:+.3f} to {row['high']:+.3f})"
        )
    return " and ".join(parts)
