"""The supervised contrastive loss over the levels of a tree.

Khosla and others, "Supervised Contrastive Learning", https://arxiv.org/abs/2004.11362, equation 2 (L_out), at each
level by itself and added up by weights, as Zhang and others, "Use All The Labels: A Hierarchical Multi-Label
Contrastive Learning Framework", https://arxiv.org/abs/2204.13207, do, without their constraint between levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recsys.backbones.quiet_keras import keras
from recsys.embedding.losses.pairs import of_one_class, themselves

EXCLUDED = 1e9
"""Taken off a similarity that is not to count; e to the power of its negative is 0."""


def supervised_contrastive(codes: Any, embeddings: Any, weights: Sequence[float], temperature: float) -> Any:
    """Return the mean cross-entropy of picking a picture's positives out of the batch; a scalar.

    Of each picture that has positives at a level: minus the mean, over its positives, of the logarithm of the share
    that exp(cosine / temperature) of the positive has in the sum of it over all other pictures, those without a code
    among them. A level without positives adds 0.

    Args:
        codes: (b, levels), see `recsys.embedding.losses`.
        embeddings: (b, d) float32, rows of unit length.
        weights: of each level; only their relation counts.
        temperature: the lower, the more the nearest alone count.
    """
    similar = keras.ops.matmul(embeddings, keras.ops.transpose(embeddings)) / temperature  # (b, b)
    others = similar - EXCLUDED * keras.ops.cast(themselves(codes[:, 0]), similar.dtype)
    log_share = similar - keras.ops.logsumexp(others, axis=1, keepdims=True)  # (b, b)
    loss = 0.0
    for level, weight in enumerate(weights):
        positive = keras.ops.cast(of_one_class(codes[:, level]), similar.dtype)  # (b, b)
        count = keras.ops.sum(positive, axis=1)  # (b,)
        of_each = -keras.ops.sum(positive * log_share, axis=1) / keras.ops.maximum(count, 1.0)
        having = keras.ops.cast(count > 0, similar.dtype)
        loss = loss + weight * keras.ops.sum(of_each * having) / keras.ops.maximum(keras.ops.sum(having), 1.0)
    return loss / sum(weights)
