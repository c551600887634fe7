"""How well the embedding keeps like with like: retrieval figures at each level of the category path.

Leave one out: each product is a query against all others, and a neighbour is relevant when its category path is the
same down to that level. Queries are the products whose value occurs more often than `min_occurrences`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.configuration import Configuration, Evaluation
from recsys.gallery import load_shop
from recsys.recommender import nearest_columns
from recsys.store import Store

BLOCK_BYTES = 64 << 20
SEED = 12_345


def evaluate(store: Store, configuration: Configuration) -> pd.DataFrame:
    """Return the `retrieval` figures of the products that the store holds now."""
    frame, gallery = load_shop(store, configuration)
    return retrieval(gallery.embeddings, frame["category_path"].tolist(), configuration.evaluation)


def values_at_level(paths: Sequence[Sequence[str]], level: int) -> NDArray[np.int64]:
    """Return (n,) codes of the category paths cut at a level (from 1); -1 where a path is shorter."""
    cut = [" >> ".join(path[:level]) if len(path) >= level else None for path in paths]
    codes, _ = pd.factorize(np.array(cut, dtype=object))
    return np.asarray(codes, dtype=np.int64)


def retrieval(embeddings: NDArray[np.float32], paths: Sequence[Sequence[str]], settings: Evaluation) -> pd.DataFrame:
    """Return precision and recall at each rank and level.

    Precision at k is the share of relevant products among the k nearest; recall at k, as metric learning counts it,
    the share of queries with at least one relevant among them (Musgrave et al., arXiv:2003.08505).

    Args:
        embeddings: (n, d) float32 of unit length.
        paths: n category paths, top level first.
        settings: ranks, levels, and which queries count.

    Returns:
        One row a level and rank: level, queries (how many counted), k, precision, recall; the figures are NaN where
        no query counts.
    """
    ranks = sorted(settings.ranks)
    codes = {level: values_at_level(paths, level) for level in range(1, settings.levels + 1)}
    counted = {level: _counted(code, settings.min_occurrences) for level, code in codes.items()}
    queries = np.flatnonzero(np.any(list(counted.values()), axis=0))
    if len(queries) > settings.queries:
        queries = np.sort(np.random.default_rng(SEED).choice(queries, settings.queries, replace=False))

    nearest = _nearest(embeddings, queries, max(ranks))  # (q, k)
    rows = []
    for level, code in codes.items():
        chosen = counted[level][queries]
        relevant = code[nearest[chosen]] == code[queries[chosen], None]
        for k in ranks:
            rows.append(
                {
                    "level": level,
                    "queries": int(chosen.sum()),
                    "k": k,
                    "precision": float(relevant[:, :k].mean()) if chosen.any() else np.nan,
                    "recall": float(relevant[:, :k].any(axis=1).mean()) if chosen.any() else np.nan,
                }
            )
    return pd.DataFrame(rows, columns=["level", "queries", "k", "precision", "recall"])


def _counted(codes: NDArray[np.int64], min_occurrences: int) -> NDArray[np.bool_]:
    occurrences = np.bincount(codes[codes >= 0], minlength=1)
    return np.where(codes >= 0, occurrences[codes] > min_occurrences, False)


def _nearest(embeddings: NDArray[np.float32], queries: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return (q, count) rows of the nearest others, in blocks: never an n × n matrix in memory."""
    size = max(1, BLOCK_BYTES // max(1, 4 * len(embeddings)))
    blocks = [np.empty((0, min(count, max(0, len(embeddings) - 1))), dtype=np.int64)]
    for start in range(0, len(queries), size):
        block = queries[start : start + size]
        similarity = embeddings[block] @ embeddings.T
        similarity[np.arange(len(block)), block] = -np.inf  # leave itself out
        blocks.append(nearest_columns(similarity, min(count, len(embeddings) - 1)))
    return np.concatenate(blocks)
