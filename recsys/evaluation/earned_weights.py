"""What the rule's weights cost and bring in this shop: relevance against agreement, measured on held-out products.

Asked are products that no embedding was trained on, and ranked is the whole shop (see `recommender.calibration`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys.core.configuration import Configuration
from recsys.evaluation.judgement import values_at_level
from recsys.models import features
from recsys.models.embedding.examples import training_set
from recsys.ranking import Queries
from recsys.ranking.shop import load_shop
from recsys.ranking.weight_fitting import agreement, earned, trade_off, weights_grid
from recsys.storage.store import Store

LEAST_QUERIES = 30
"""Fewer would tell nothing."""
MOST_QUERIES = 1_000
"""Beyond it the curve stands still and the time does not."""
SEED = 12_345


@dataclass(frozen=True, eq=False)
class TradeOff:
    """The curve, and two of its points.

    Attributes:
        curve: a row a combination of weights, see `recommender.calibration.trade_off`, and its mean `agreement`.
        level: of the category path by which relevance is judged: the finest that is.
        queries: how many products were asked for.
        configured: the row of the shop's own weights.
        earned: the row of the weights that this shop's data would choose.
    """

    curve: pd.DataFrame
    level: int
    queries: int
    configured: pd.Series
    earned: pd.Series

    @property
    def precision(self) -> str:
        """The name of the column that the curve's relevance is in."""
        return f"precision_{self.level}"


def measure(store: Store, configuration: Configuration) -> TradeOff | None:
    """Return the trade-off by the embedding that serves, and the configured rule's filter and collapse.

    None where fewer than `LEAST_QUERIES` held-out products can be judged, or the original's rule is configured, which
    has no weight of the look.
    """
    rule = configuration.recommend
    if rule.rule != "default" or not store.exists(features.table_name(configuration)):
        return None
    examples = training_set(store, configuration)
    frame, gallery = load_shop(store, configuration)
    held_out = set(examples["product_id"][examples["held_out"]])
    rows = np.flatnonzero(frame["product_id"].isin(held_out) & frame["label"].notna())
    if len(rows) > MOST_QUERIES:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, MOST_QUERIES, replace=False))
    paths = [tuple(path) if path is not None else () for path in frame["category_path"]]
    levels = range(1, configuration.evaluation.levels + 1)
    values = [values_at_level(paths, level) for level in levels]
    judged = [int((np.bincount(codes + 1)[codes[rows] + 1] > 1)[codes[rows] >= 0].sum()) for codes in values]
    level = max((level for level, count in zip(levels, judged, strict=True) if count >= LEAST_QUERIES), default=0)
    if not level:
        return None
    own = (rule.visual_weight, rule.colour_weight, rule.price_weight)
    curve = trade_off(Queries.of(gallery, rows), gallery, values[:level], rule, [*weights_grid(), own])
    curve["agreement"] = agreement(curve)
    grid = curve.iloc[:-1]
    return TradeOff(grid, level, len(rows), curve.iloc[-1], earned(grid, level))
