"""How sure a mean over queries is: percentile intervals of a bootstrap over groups.

Queries of one group, near-duplicates, are right or wrong together. So whole groups are drawn, with replacement (Field
and Welsh, "Bootstrapping clustered data", 2007), and what is drawn is the same for all figures and models.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

RESAMPLES = 1_000
CONFIDENCE = 0.95
SEED = 12_345

BLOCK_BYTES = 64 << 20
"""Of the drawn groups that are in memory at once."""


def intervals(
    values: NDArray[np.float64],
    groups: NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = SEED,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and the upper end of the interval of each column's mean.

    Args:
        values: (q, f), NaN where a query does not count for a figure.
        groups: (q,) of each query.
        resamples: how often groups are drawn.
        confidence: of the interval, 0.95 for 2.5 % to 97.5 %.
        seed: the same gives the same.

    Returns:
        (f,) and (f,); NaN where no query counts.
    """
    figures = values.shape[1]
    if not len(values):
        return np.full(figures, np.nan), np.full(figures, np.nan)
    codes, uniques = pd.factorize(groups)
    counts = np.zeros((len(uniques), figures))  # (g, f) queries that count
    sums = np.zeros_like(counts)
    known = ~np.isnan(values)
    np.add.at(counts, codes, known)
    np.add.at(sums, codes, np.where(known, values, 0.0))

    random = np.random.default_rng(seed)
    size = max(1, BLOCK_BYTES // (16 * len(uniques)))
    means = []
    for start in range(0, resamples, size):
        b = min(size, resamples - start)
        drawn = random.integers(len(uniques), size=(b, len(uniques))) + len(uniques) * np.arange(b)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=b * len(uniques)).reshape(b, -1).astype(np.float64)  # (b, g)
        with np.errstate(invalid="ignore"):  # a resample without a query that counts
            means.append((weights @ sums) / (weights @ counts))
    drawn_means = np.concatenate(means)  # (resamples, f)
    low, high = np.full(figures, np.nan), np.full(figures, np.nan)
    tail = 100 * (1 - confidence) / 2
    if (counted := counts.any(axis=0)).any():
        low[counted], high[counted] = np.nanpercentile(drawn_means[:, counted], [tail, 100 - tail], axis=0)
    return low, high
