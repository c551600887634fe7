"""The triplet loss of the original project: max(d(a, p) − d(a, n) + margin, 0).

d is the Euclidean distance, as in the original's slide; FaceNet, https://arxiv.org/abs/1503.03832, equation 3, has its
square.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recsys.backbones.quiet_keras import keras
from recsys.embedding.losses.pairs import distances, of_one_class, of_two_classes


def triplet(codes: Any, embeddings: Any, weights: Sequence[float], margin: float) -> Any:
    """Return the mean over all triplets of a batch, which is what triplets drawn by lot come to; a scalar.

    A triplet is an anchor, a positive of its class and a negative of another, each with a code at the level. A level
    without triplets adds 0. It takes b³ numbers for each level: 27,000 for the original's batches of 30.

    Args:
        codes: (b, levels), see `recsys.embedding.losses`.
        embeddings: (b, d) float32, rows of unit length.
        weights: of each level; only their relation counts.
        margin: by which a negative is to be farther away than a positive.
    """
    far = distances(embeddings)
    loss = 0.0
    for level, weight in enumerate(weights):
        triplets = _triplets(codes[:, level], far.dtype)  # (b, b, b)
        violation = keras.ops.relu(far[:, :, None] - far[:, None, :] + margin)
        loss = loss + weight * _mean(violation, triplets)
    return loss / sum(weights)


def active_share(codes: Any, embeddings: Any, margin: float) -> Any:
    """Return the share of a batch's triplets at the first level that violate the margin; a scalar."""
    far = distances(embeddings)
    violated = keras.ops.cast(far[:, :, None] - far[:, None, :] + margin > 0, far.dtype)
    return _mean(violated, _triplets(codes[:, 0], far.dtype))


def _triplets(codes: Any, dtype: str) -> Any:
    """Return which (anchor, positive, negative) are triplets: (b,) -> (b, b, b), 1 or 0."""
    positive = keras.ops.cast(of_one_class(codes), dtype)
    negative = keras.ops.cast(of_two_classes(codes), dtype)
    return positive[:, :, None] * negative[:, None, :]


def _mean(values: Any, counted: Any) -> Any:
    return keras.ops.sum(values * counted) / keras.ops.maximum(keras.ops.sum(counted), 1.0)
