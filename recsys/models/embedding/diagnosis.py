"""Whether a training of the embedding leads anywhere: its figures, and what stops it.

An embedding fails in few ways. It diverges: the loss is no number, or further from its aim than where it began; or the
last layer grows without end, which the loss need not show, since unit vectors do not depend on its size: then what it
started from is gone, and with it the fine likeness. It collapses: all pictures come to lie on one point, or alike far
apart, where every triplet violates the margin by the margin; then the loss stands still, and nothing moves them again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from recsys.core.errors import TrainingError
from recsys.models.embedding.losses import active_share, distances, of_one_class, of_two_classes

if TYPE_CHECKING:
    from recsys.vision.training_loop import History

PATIENCE = 10
"""Epochs that a training is given to leave the loss of a collapsed embedding."""
AT = 0.02
"""Share of that loss by which another is told from it."""
DIVERGED = 1.25
"""Times the loss of its start, or of a collapsed embedding, beyond which a training is lost."""
GROWN = 50.0
"""Times its first size that the last layer may have. Adam's steps at right angles to it, of size l, make its r become
sqrt(r² + l² steps): at a learning rate of 1e-3 fourfold in 15,000 steps, at 10 over a hundredfold in one."""
SPREAD = 1e-3
"""Variance of unit vectors, added up over their dimensions, below which they are one point; 1 is as far as they go."""
ALIKE = 0.01
"""Standard deviation of the distances of a batch below which they are all alike; of 256 dimensions filled by lot it is
0.04."""
WATCHED = 64
"""Pictures of a batch whose triplets are counted."""

Metric = Callable[[Any, Any], Any]


def metrics(margin: float) -> list[Metric]:
    """Return what is measured of each batch beside its loss: from codes (b, levels) and embeddings (b, d) to a scalar.

    active_share         triplets that violate the margin, by the first level, among the batch's first 64 pictures
    positive_distance    mean distance of two pictures of one class at the first level
    negative_distance    and of two classes
    distance_deviation   standard deviation of the distances of all pairs
    spread               variance of the embeddings, added up over their dimensions
    """

    def active(codes: Any, embeddings: Any) -> Any:
        return active_share(codes[:WATCHED], embeddings[:WATCHED], margin)

    def positive_distance(codes: Any, embeddings: Any) -> Any:
        return _mean(distances(embeddings), of_one_class(codes[:, 0]))

    def negative_distance(codes: Any, embeddings: Any) -> Any:
        return _mean(distances(embeddings), of_two_classes(codes[:, 0]))

    def distance_deviation(codes: Any, embeddings: Any) -> Any:
        far = distances(embeddings)
        pairs = keras.ops.cast(keras.ops.shape(far)[0], far.dtype)
        count = keras.ops.maximum(pairs * (pairs - 1), 1.0)  # the diagonal's zeros add nothing to either sum
        mean = keras.ops.sum(far) / count
        return keras.ops.sqrt(keras.ops.relu(keras.ops.sum(keras.ops.square(far)) / count - keras.ops.square(mean)))

    def spread(codes: Any, embeddings: Any) -> Any:
        return keras.ops.sum(keras.ops.var(embeddings, axis=0))

    active.__name__ = "active_share"
    return [active, positive_distance, negative_distance, distance_deviation, spread]


def diagnose(history: History, first_loss: float, collapsed_loss: float, grown: float) -> None:
    """Raise TrainingError when the last epoch shows that the training leads nowhere.

    Args:
        history: the figures of each epoch: loss and `metrics`.
        first_loss: of the embedding that the training started from.
        collapsed_loss: of one that is the same for all pictures: of the triplet loss, its margin.
        grown: times its first size that the last layer has.
    """
    last = history[-1]
    loss, epoch = last["loss"], len(history)
    if not all(np.isfinite([*last.values(), grown])):
        raise TrainingError(
            f"the training diverges: its loss is {loss:.3g} in epoch {epoch}; use a recipe with a lower learning_rate"
        )
    if last["spread"] < SPREAD:
        raise TrainingError(
            f"the training has collapsed: in epoch {epoch} all pictures have nearly one embedding (spread "
            f"{last['spread']:.2g}); use a recipe with a lower learning_rate, or a larger batches.size"
        )
    if last["distance_deviation"] < ALIKE:
        raise TrainingError(
            f"the training has collapsed: in epoch {epoch} all embeddings are alike far apart "
            f"({last['negative_distance']:.3g}, give or take {last['distance_deviation']:.2g}); use a recipe with a "
            "lower learning_rate or fewer epochs"
        )
    if grown > GROWN:
        raise TrainingError(
            f"the training diverges: in epoch {epoch} the last layer is {grown:,.0f} times as large as at the start, "
            "and what it started from is gone; use a recipe with a lower learning_rate"
        )
    if loss > DIVERGED * max(first_loss, collapsed_loss):
        raise TrainingError(
            f"the training diverges: its loss was {first_loss:.3g} at the start and is {loss:.3g} in epoch {epoch}; "
            "use a recipe with a lower learning_rate"
        )
    recent = [figures["loss"] for figures in history[-PATIENCE:]]
    if len(recent) == PATIENCE and all(abs(value / collapsed_loss - 1) < AT for value in recent):
        raise TrainingError(
            f"the training has collapsed: for {PATIENCE} epochs its loss is {loss:.3g}, as if all pictures were the "
            "same; use a recipe with another learning_rate, or see whether the products' categories say what they show"
        )


def _mean(values: Any, counted: Any) -> Any:
    weight = keras.ops.cast(counted, values.dtype)
    return keras.ops.sum(values * weight) / keras.ops.maximum(keras.ops.sum(weight), 1.0)
