"""Measure each epoch of an embedding training, and stop a training that diverges or collapses.

A training diverges if its loss is not finite or grows far beyond its start, or if the last layer grows without limit.
The loss need not show the latter, because unit vectors do not depend on the layer's size; but then the similarities
that the training started from are lost. A training collapses if all embeddings become equal, or all equally far apart:
then every triplet violates the margin by the margin, the loss is constant and its gradient moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from recsys.core.errors import TrainingError
from recsys.models.embedding.losses import (
    active_share,
    masked_mean,
    negative_pairs,
    pairwise_distances,
    positive_pairs,
)

if TYPE_CHECKING:
    from recsys.vision.training_loop import History

PATIENCE = 10
"""Number of epochs at the loss of a collapsed embedding after which a training counts as collapsed."""
TOLERANCE = 0.02
"""Relative difference below which a loss equals that of a collapsed embedding."""
DIVERGED = 1.25
"""Ratio of the loss to the start's, or to a collapsed embedding's, above which a training has diverged."""
MAX_GROWTH = 50.0
"""Ratio of the last layer's size to its initial size above which a training has diverged. Adam's steps of size l at
right angles turn a size r into sqrt(r² + l² steps): fourfold in 15,000 steps at a learning rate of 1e-3."""
MIN_SPREAD = 1e-3
"""Sum of the variances of unit vectors over their dimensions (at most 1) below which all are nearly equal."""
MIN_DEVIATION = 0.01
"""Standard deviation of the distances in a batch below which all are nearly equal; random vectors of 256 dimensions
have 0.04."""
TRIPLET_PICTURES = 64
"""Number of pictures of a batch whose triplets are counted."""

Metric = Callable[[Any, Any], Any]


def metrics(margin: float) -> list[Metric]:
    """Return the metrics of a batch beside its loss: functions of codes (B, L) and embeddings (B, D) to a scalar.

    active_share         share of the triplets at the first level, among 64 pictures, that violate the margin
    positive_distance    mean distance of two pictures of one class at the first level
    negative_distance    mean distance of two pictures of different classes
    distance_deviation   standard deviation of the distances of all pairs
    spread               sum of the variances of the embeddings over their dimensions
    """

    def share(codes: Any, embeddings: Any) -> Any:
        return active_share(codes[:TRIPLET_PICTURES], embeddings[:TRIPLET_PICTURES], margin)

    share.__name__ = "active_share"
    return [share, positive_distance, negative_distance, distance_deviation, spread]


def positive_distance(codes: Any, embeddings: Any) -> Any:
    """Return the mean distance of two pictures of one class at the first level."""
    return masked_mean(pairwise_distances(embeddings), positive_pairs(codes[:, 0]))


def negative_distance(codes: Any, embeddings: Any) -> Any:
    """Return the mean distance of two pictures of different classes at the first level."""
    return masked_mean(pairwise_distances(embeddings), negative_pairs(codes[:, 0]))


def distance_deviation(codes: Any, embeddings: Any) -> Any:
    """Return the standard deviation of the distances of all pairs."""
    distance = pairwise_distances(embeddings)  # (B, B); the zeros of the diagonal add nothing to either sum
    size = keras.ops.cast(keras.ops.shape(distance)[0], distance.dtype)
    count = keras.ops.maximum(size * (size - 1), 1.0)
    mean = keras.ops.sum(distance) / count
    variance = keras.ops.sum(keras.ops.square(distance)) / count - keras.ops.square(mean)
    return keras.ops.sqrt(keras.ops.relu(variance))


def spread(codes: Any, embeddings: Any) -> Any:
    """Return the sum of the variances of the embeddings over their dimensions."""
    return keras.ops.sum(keras.ops.var(embeddings, axis=0))


def diagnose(history: History, first_loss: float, collapsed_loss: float, growth: float) -> None:
    """Raise TrainingError if the last epoch shows that the training diverges or has collapsed.

    Args:
        history: figures of each epoch: loss and `metrics`.
        first_loss: loss of the initial embedding.
        collapsed_loss: loss of an embedding that is equal for all pictures; for the triplet loss, the margin.
        growth: ratio of the last layer's size to its initial size.
    """
    last, epoch = history[-1], len(history)
    if not all(np.isfinite([*last.values(), growth])):
        raise TrainingError(
            f"the training diverges: its loss is {last['loss']:.3g} in epoch {epoch}; use a recipe with a lower "
            "learning_rate"
        )
    message = (
        _collapse(last, epoch)
        or _divergence(last["loss"], epoch, first_loss, collapsed_loss, growth)
        or _stagnation(history, collapsed_loss)
    )
    if message is not None:
        raise TrainingError(message)


def _collapse(last: dict[str, float], epoch: int) -> str | None:
    if last["spread"] < MIN_SPREAD:
        return (
            f"the training has collapsed: in epoch {epoch} all pictures have nearly one embedding (spread "
            f"{last['spread']:.2g}); use a recipe with a lower learning_rate, or a larger batches.size"
        )
    if last["distance_deviation"] < MIN_DEVIATION:
        return (
            f"the training has collapsed: in epoch {epoch} all embeddings are equally far apart "
            f"({last['negative_distance']:.3g} ± {last['distance_deviation']:.2g}); use a recipe with a lower "
            "learning_rate or fewer epochs"
        )
    return None


def _divergence(loss: float, epoch: int, first_loss: float, collapsed_loss: float, growth: float) -> str | None:
    if growth > MAX_GROWTH:
        return (
            f"the training diverges: in epoch {epoch} the last layer is {growth:,.0f} times as large as at the start, "
            "so the initial similarities are lost; use a recipe with a lower learning_rate"
        )
    if loss > DIVERGED * max(first_loss, collapsed_loss):
        return (
            f"the training diverges: its loss was {first_loss:.3g} at the start and is {loss:.3g} in epoch {epoch}; "
            "use a recipe with a lower learning_rate"
        )
    return None


def _stagnation(history: History, collapsed_loss: float) -> str | None:
    recent = [figures["loss"] for figures in history[-PATIENCE:]]
    if len(recent) < PATIENCE or any(abs(loss / collapsed_loss - 1) >= TOLERANCE for loss in recent):
        return None
    return (
        f"the training has collapsed: for {PATIENCE} epochs its loss is {recent[-1]:.3g}, as if all pictures were the "
        "same; use a recipe with another learning_rate, or check whether the products' categories match their pictures"
    )
