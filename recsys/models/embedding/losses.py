"""Compute metric-learning losses over all pairs or triplets of a batch: loss(codes, embeddings) → scalar.

    supervised_contrastive    the default
    triplet                   the original project's

Both take the class codes of each picture at each level, `codes` (B, L), and add up the levels by weight. Two pictures
are positives of each other at a level if their codes are equal there. A negative code means no class at that level, for
example where a path is shorter: such a picture has no positives there. Each loss defines whether it is a negative.

Keras passes codes as float32, which is exact up to 16,777,216. `docs/embedding.md` says how to add a loss.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from recsys.models.embedding.recipe import SupervisedContrastive, Triplet

BatchLoss = Callable[[Any, Any], Any]
"""From codes (B, L) and unit embeddings (B, D) to a scalar."""

MIN_DISTANCE = 1e-3
"""Distance below which two unit vectors in float32 count as equal."""
EXCLUDED = 1e9
"""Subtracted from a similarity to exclude it: e to the power of the result is 0."""


def build_loss(settings: SupervisedContrastive | Triplet, weights: Sequence[float]) -> BatchLoss:
    """Return the loss of a recipe.

    Args:
        settings: section `loss` of the recipe.
        weights: weight of each level of the codes.
    """
    if settings.name == "triplet":
        return lambda codes, embeddings: triplet(codes, embeddings, weights, settings.margin)
    return lambda codes, embeddings: supervised_contrastive(codes, embeddings, weights, settings.temperature)


def supervised_contrastive(codes: Any, embeddings: Any, weights: Sequence[float], temperature: float) -> Any:
    """Return mean_i( -1/|P(i)| Σ_{p in P(i)} log( exp(x_i·x_p / t) / Σ_{a != i} exp(x_i·x_a / t) ) ), a scalar.

    P(i) are the positives of picture i at a level, x unit vectors, t the temperature. The mean is over the pictures
    that have positives; a level without positives adds 0. Pictures without a code are among the a.

    Source: Khosla et al., "Supervised Contrastive Learning", https://arxiv.org/abs/2004.11362, equation 2 (L_out). The
    weighted sum over levels is that of Zhang et al., "Use All The Labels: A Hierarchical Multi-Label Contrastive
    Learning Framework", https://arxiv.org/abs/2204.13207, without the constraint between levels.

    Args:
        codes: (B, L), see the module.
        embeddings: (B, D) float32, rows of unit length.
        weights: (L,) weight of each level; only their ratios matter.
        temperature: t; the lower it is, the more weight the nearest pictures have.
    """
    similarity = keras.ops.matmul(embeddings, keras.ops.transpose(embeddings)) / temperature  # (B, B)
    others = similarity - EXCLUDED * keras.ops.cast(_self_pairs(codes[:, 0]), similarity.dtype)  # (B, B)
    log_share = similarity - keras.ops.logsumexp(others, axis=1, keepdims=True)  # (B, B)
    loss = 0.0
    for level, weight in enumerate(weights):
        positive = keras.ops.cast(positive_pairs(codes[:, level]), similarity.dtype)  # (B, B)
        count = keras.ops.sum(positive, axis=1)  # (B,)
        picture_loss = -keras.ops.sum(positive * log_share, axis=1) / keras.ops.maximum(count, 1.0)  # (B,)
        loss = loss + weight * masked_mean(picture_loss, count > 0)
    return loss / sum(weights)


def triplet(codes: Any, embeddings: Any, weights: Sequence[float], margin: float) -> Any:
    """Return mean( max(d(a, p) - d(a, n) + margin, 0) ) over all triplets of a batch, a scalar.

    A triplet is an anchor a, a positive p of its class and a negative n of another class; all three have a code at the
    level. d is the Euclidean distance, as on the original project's slide; FaceNet, https://arxiv.org/abs/1503.03832,
    equation 3, uses its square. All triplets have the expected value of randomly drawn ones. A level without triplets
    adds 0. Memory: B³ numbers per level.

    Args:
        codes: (B, L), see the module.
        embeddings: (B, D) float32, rows of unit length.
        weights: (L,) weight of each level; only their ratios matter.
        margin: distance by which a negative must be farther away than a positive.
    """
    distance = pairwise_distances(embeddings)  # (B, B)
    violation = keras.ops.relu(distance[:, :, None] - distance[:, None, :] + margin)  # (B, B, B)
    loss = 0.0
    for level, weight in enumerate(weights):
        loss = loss + weight * masked_mean(violation, _triplets(codes[:, level]))
    return loss / sum(weights)


def active_share(codes: Any, embeddings: Any, margin: float) -> Any:
    """Return the share of a batch's triplets at the first level that violate the margin, a scalar."""
    distance = pairwise_distances(embeddings)  # (B, B)
    is_violated = keras.ops.cast(distance[:, :, None] - distance[:, None, :] + margin > 0, distance.dtype)  # (B, B, B)
    return masked_mean(is_violated, _triplets(codes[:, 0]))


def masked_mean(values: Any, mask: Any) -> Any:
    """Return the mean of the values where the mask is True, a scalar; 0 if it is nowhere True."""
    weights = keras.ops.cast(mask, values.dtype)
    return keras.ops.sum(values * weights) / keras.ops.maximum(keras.ops.sum(weights), 1.0)


def positive_pairs(codes: Any) -> Any:
    """Return which pairs have the same code at a level: (B,) -> (B, B) bool; no picture is its own positive."""
    is_equal = keras.ops.logical_and(codes[:, None] == codes[None, :], codes[:, None] >= 0)
    return keras.ops.logical_and(is_equal, keras.ops.logical_not(_self_pairs(codes)))


def negative_pairs(codes: Any) -> Any:
    """Return which pairs have two different codes at a level: (B,) -> (B, B) bool."""
    both_coded = keras.ops.logical_and(codes[:, None] >= 0, codes[None, :] >= 0)
    return keras.ops.logical_and(both_coded, codes[:, None] != codes[None, :])


def pairwise_distances(embeddings: Any) -> Any:
    """Return the Euclidean distances of unit vectors, (B, D) -> (B, B), with gradient 0 where two are equal.

    d² = 2 - 2 cos. The slope of the square root is infinite at 0, and `where` passes 0 * infinity = NaN back through
    the branch not taken, so that branch must not contain the 0 either. Rounding leaves about 1e-7 of a d² that is 0;
    therefore distances below `MIN_DISTANCE` count as 0.
    """
    squared = 2 - 2 * keras.ops.matmul(embeddings, keras.ops.transpose(embeddings))  # (B, B)
    is_apart = squared > MIN_DISTANCE**2
    return keras.ops.where(is_apart, keras.ops.sqrt(keras.ops.where(is_apart, squared, 1.0)), 0.0)


def _triplets(codes: Any) -> Any:
    """Return which (anchor, positive, negative) are triplets: (B,) -> (B, B, B) bool."""
    return keras.ops.logical_and(positive_pairs(codes)[:, :, None], negative_pairs(codes)[:, None, :])


def _self_pairs(codes: Any) -> Any:
    """Return the diagonal: (B,) -> (B, B) bool."""
    return keras.ops.eye(keras.ops.shape(codes)[0], dtype="bool")
