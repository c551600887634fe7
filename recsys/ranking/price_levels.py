"""Price levels within a label (source: the slides of the original project)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recsys.core.configuration import Price

LEVELS = 4
"""Number of price levels."""


def price_quantiles(prices: NDArray[np.float64], settings: Price) -> NDArray[np.float64]:
    """Return the three quantiles (3,) of the known prices; NaN where no price is known."""
    known = prices[~np.isnan(prices)]
    return np.quantile(known, settings.quantiles) if known.size else np.full(3, np.nan)


def price_level(prices: ArrayLike, quantiles: NDArray[np.float64] | None, neutral: float) -> NDArray[np.float64]:
    """Return the level of each price among the prices of its label.

    A price up to the 30 % quantile has level 1, up to 65 % level 2, up to 90 % level 3, above it level 4.

    Args:
        prices: any shape; NaN where unknown.
        quantiles: (3,) quantiles of the label, see `price_quantiles`; None where the label is unknown.
        neutral: level of an unknown price, and of every price where all three quantiles are equal or unknown.

    Returns:
        float64, the shape of `prices`.
    """
    values = np.asarray(prices, dtype=np.float64)
    if quantiles is None or np.isnan(quantiles).any() or quantiles[0] == quantiles[2]:
        return np.full(values.shape, neutral)
    return np.where(np.isnan(values), neutral, 1.0 + np.searchsorted(quantiles, values, side="left"))


def price_levels(prices: ArrayLike, labels: ArrayLike, settings: Price) -> NDArray[np.float64]:
    """Return each product's price level within its label: 1 (cheapest) to 4, or the neutral 2.5 (see `price_level`).

    Args:
        prices: (n,) discounted prices in the catalogue's currency, NaN where unknown.
        labels: (n,) label of each product, None where it has none; products without a label form one group.
        settings: the quantiles and the neutral level.

    Returns:
        (n,) float64.
    """
    values = np.asarray(prices, dtype=np.float64)
    groups = np.array(["" if label is None else str(label) for label in np.asarray(labels, dtype=object)])
    levels = np.empty(values.shape)
    for group in np.unique(groups):
        members = groups == group
        quantiles = price_quantiles(values[members], settings)
        levels[members] = price_level(values[members], quantiles, settings.neutral_level)
    return levels
