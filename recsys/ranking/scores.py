"""The three scores of a candidate, each from 0 to 1: visual, colour and price."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recsys.ranking.price_levels import LEVELS

CACHE_BYTES = 512 << 10
"""Size of a block of histograms, bytes. A block of this size stays in a core's cache."""

EPSILON = np.float32(1e-20)
"""Added to a denominator to avoid 0 / 0 where a bin is empty in both histograms; far below any share of a bin."""


def visual_score(cosine: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine similarity of the embeddings, negative values set to 0.

    The score depends on no other product, so it stays the same when the catalogue changes.
    """
    return np.clip(cosine, 0, 1)


def colour_scores(
    queries: NDArray[np.float32], histograms: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Compute `recsys.vision.colour.colour_score` of each query with each of its candidates.

    For histograms that sum to 1, 1 − ½ Σ (a − b)² / (a + b) equals 2 Σ a b / (a + b). This form needs fewer steps,
    and each step works in place on a block that fits into a core's cache (see `benchmarks/recommend_all.py`).

    Args:
        queries: (m, bins) histograms that sum to 1.
        histograms: (n, bins) histograms of the gallery.
        rows: (m, f) rows of the gallery; the scores of rows -1 are undefined.

    Returns:
        (m, f) float32.
    """
    count, width = rows.shape
    bins = histograms.shape[1]
    step = max(1, min(count, CACHE_BYTES // max(1, 4 * width * bins)))
    candidates = np.empty((step, width, bins), np.float32)
    shares = np.empty_like(candidates)
    scores = np.empty(rows.shape, np.float32)
    for start in range(0, count, step):
        block = slice(start, start + step)
        query = queries[block, None]  # (s, 1, bins)
        a, b = candidates[: len(query)], shares[: len(query)]  # (s, f, bins)
        np.take(histograms, rows[block], axis=0, out=a, mode="wrap")
        np.add(a, query + EPSILON, out=b)
        np.divide(query, b, out=b)
        np.einsum("sfb,sfb->sf", a, b, out=scores[block])
    scores *= 2
    return np.minimum(scores, 1, out=scores)


def price_score(level: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """Compute (3 − level difference) / 3: 1 at the same level, 0 between the cheapest and the dearest. Broadcasts.

    Source: the slides of the original project.
    """
    difference = np.abs(np.asarray(level, dtype=np.float64) - np.asarray(other, dtype=np.float64))
    return (LEVELS - 1 - difference) / (LEVELS - 1)
