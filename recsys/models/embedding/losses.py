"""The losses: loss(codes, embeddings) → scalar, over all pairs or triplets of a batch.

    supervised_contrastive    the default: each picture picks those of its class out of the batch
    triplet                   the original project's

A loss takes what each picture is at each level, `codes` (b, levels), and sums up the levels by their weights. Two
pictures are of one class at a level when their codes are equal there; a negative code is none at all, as where a path
is shorter: such a picture has no positives at that level. Whether it counts as a negative is each loss's own rule.

What a batch is told in float32, as Keras hands it on: codes are exact up to 16,777,216.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from recsys.models.embedding.recipe import SupervisedContrastive, Triplet

BatchLoss = Callable[[Any, Any], Any]
"""From codes (b, levels) and unit embeddings (b, d) to a scalar."""

COINCIDE = 1e-3
"""Distance of unit vectors, in float32, below which they are one."""
EXCLUDED = 1e9
"""Taken off a similarity that is not to count; e to the power of its negative is 0."""


def build_loss(settings: SupervisedContrastive | Triplet, weights: Sequence[float]) -> BatchLoss:
    """Return the loss of a recipe.

    Args:
        settings: the recipe's section `loss`.
        weights: of each level that the codes have.
    """
    if settings.name == "triplet":
        return lambda codes, embeddings: triplet(codes, embeddings, weights, settings.margin)
    return lambda codes, embeddings: supervised_contrastive(codes, embeddings, weights, settings.temperature)


def supervised_contrastive(codes: Any, embeddings: Any, weights: Sequence[float], temperature: float) -> Any:
    """Return the mean cross-entropy of picking a picture's positives out of the batch; a scalar.

    Khosla and others, "Supervised Contrastive Learning", https://arxiv.org/abs/2004.11362, equation 2 (L_out), at each
    level by itself and added up by weights, as Zhang and others, "Use All The Labels: A Hierarchical Multi-Label
    Contrastive Learning Framework", https://arxiv.org/abs/2204.13207, do, without their constraint between levels.

    Of each picture that has positives at a level: minus the mean, over its positives, of the logarithm of the share
    that exp(cosine / temperature) of the positive has in the sum of it over all other pictures, those without a code
    among them. A level without positives adds 0.

    Args:
        codes: (b, levels), see the module.
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


def triplet(codes: Any, embeddings: Any, weights: Sequence[float], margin: float) -> Any:
    """Return the mean over all triplets of a batch, which is what triplets drawn by lot come to; a scalar.

    max(d(a, p) − d(a, n) + margin, 0), the original project's. d is the Euclidean distance, as in the original's slide;
    FaceNet, https://arxiv.org/abs/1503.03832, equation 3, has its square.

    A triplet is an anchor, a positive of its class and a negative of another, each with a code at the level. A level
    without triplets adds 0. It takes b³ numbers for each level: 27,000 for the original's batches of 30.

    Args:
        codes: (b, levels), see the module.
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


def of_one_class(codes: Any) -> Any:
    """Return which pairs are positives of each other: codes of one level (b,) -> (b, b) bool; none is its own."""
    same = keras.ops.logical_and(codes[:, None] == codes[None, :], codes[:, None] >= 0)
    return keras.ops.logical_and(same, keras.ops.logical_not(themselves(codes)))


def of_two_classes(codes: Any) -> Any:
    """Return which pairs are negatives of each other: (b,) -> (b, b) bool; both have a code, and not the same."""
    known = keras.ops.logical_and(codes[:, None] >= 0, codes[None, :] >= 0)
    return keras.ops.logical_and(known, codes[:, None] != codes[None, :])


def themselves(codes: Any) -> Any:
    """Return the diagonal: (b,) -> (b, b) bool."""
    return keras.ops.eye(keras.ops.shape(codes)[0], dtype="bool")


def distances(embeddings: Any) -> Any:
    """Return the Euclidean distances of unit vectors, (b, d) -> (b, b), with gradient 0 where two coincide.

    d² = 2 - 2 cos. The square root has an infinite slope at 0. `where` alone would not help: it sends 0 * infinity =
    NaN back through the branch not taken, so that branch must not see the 0 either. And rounding leaves about 1e-7 of
    a d² that is 0: what is nearer than `COINCIDE` is taken to coincide.
    """
    squared = 2 - 2 * keras.ops.matmul(embeddings, keras.ops.transpose(embeddings))
    apart = squared > COINCIDE**2
    return keras.ops.where(apart, keras.ops.sqrt(keras.ops.where(apart, squared, 1.0)), 0.0)
