"""Price levels within a label, and how near two levels are (source: the original project's slides)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recsys.core.configuration import Price

LEVELS = 4


def price_quantiles(prices: NDArray[np.float64], settings: Price) -> NDArray[np.float64]:
    """Return the three quantiles (3,) of the known prices, NaN where no price is known."""
    known = prices[~np.isnan(prices)]
    return np.quantile(known, settings.quantiles) if known.size else np.full(3, np.nan)


def price_levels(prices: ArrayLike, labels: ArrayLike, settings: Price) -> NDArray[np.float64]:
    """Return each product's price level within its label: 1 (cheapest) to 4.

    A price up to the label's 30 % quantile has level 1, up to 65 % level 2, up to 90 % level 3, above it level 4.
    Where the label's three quantiles are equal, and where the price is unknown, the level is the neutral 2.5.

    Args:
        prices: (n,) discounted prices in the catalogue's currency, NaN where unknown.
        labels: (n,) label of each product, None where it has none; those without one are levelled together.
        settings: the quantiles and the neutral level.

    Returns:
        (n,) float64.
    """
    price = np.asarray(prices, dtype=np.float64)
    group = np.array(["" if label is None else str(label) for label in np.asarray(labels, dtype=object)])
    levels = np.full(price.shape, settings.neutral_level)
    for value in np.unique(group):
        members = group == value
        quantiles = price_quantiles(price[members], settings)
        if quantiles[0] == quantiles[2] or np.isnan(quantiles).any():
            continue
        levels[members] = 1 + np.searchsorted(quantiles, price[members], side="left")
    levels[np.isnan(price)] = settings.neutral_level
    return levels


def price_score(level: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """Return (3 − level difference) / 3: 1 at the same level, 0 from the cheapest to the dearest. Broadcasts."""
    difference = np.abs(np.asarray(level, dtype=np.float64) - np.asarray(other, dtype=np.float64))
    return (LEVELS - 1 - difference) / (LEVELS - 1)
