"""Confidence intervals of means over queries: percentile intervals of a bootstrap over groups.

The queries of one group are near-duplicates, so they are right or wrong together. So whole groups are drawn, with
replacement (Field and Welsh, "Bootstrapping clustered data", 2007), and all metrics and models use the same draws.
`scipy.stats.bootstrap` does not draw groups of different sizes.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

RESAMPLES = 1_000
"""Number of times that groups are drawn."""
CONFIDENCE = 0.95
"""Confidence of an interval: 0.95 for 2.5 % to 97.5 %."""
SEED = 12_345

BLOCK_BYTES = 64 << 20
"""Size of the drawn groups in memory at once, bytes."""


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
        values: (q, f), NaN where a query does not count for a metric.
        groups: (q,) the group of each query.
        resamples, confidence: see `RESAMPLES` and `CONFIDENCE`.
        seed: the same seed gives the same intervals.

    Returns:
        (f,) and (f,); NaN where no query counts.
    """
    low, high = (np.full(values.shape[1], np.nan) for _ in range(2))
    counted = ~np.isnan(values).all(axis=0)
    if counted.any():
        means = _resampled_means(values[:, counted], groups, resamples, seed)
        tail = 100 * (1 - confidence) / 2
        low[counted], high[counted] = np.nanpercentile(means, [tail, 100 - tail], axis=0)
    return low, high


def _resampled_means(
    values: NDArray[np.float64], groups: NDArray[np.int64], resamples: int, seed: int
) -> NDArray[np.float64]:
    """Return the mean of each column over each draw of groups: (resamples, f), NaN where no drawn query counts."""
    known = pd.DataFrame(~np.isnan(values)).groupby(groups, sort=False)
    counts = known.sum().to_numpy(np.float64)  # (g, f)
    sums = pd.DataFrame(values).groupby(groups, sort=False).sum().to_numpy()  # (g, f) NaN counts as 0
    random = np.random.default_rng(seed)
    size = max(1, BLOCK_BYTES // (16 * len(counts)))
    means = []
    for start in range(0, resamples, size):
        b = min(size, resamples - start)
        drawn = random.integers(len(counts), size=(b, len(counts))) + len(counts) * np.arange(b)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=b * len(counts)).reshape(b, -1).astype(np.float64)  # (b, g)
        with np.errstate(invalid="ignore"):
            means.append((weights @ sums) / (weights @ counts))
    return np.concatenate(means)
