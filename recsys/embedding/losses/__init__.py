"""The losses, one a file: loss(codes, embeddings) → scalar, over all pairs or triplets of a batch.

    supervised_contrastive    the default: each picture picks those of its class out of the batch
    triplet                   the original project's

A loss takes what each picture is at each level, `codes` (b, levels), and sums up the levels by their weights. Two
pictures are of one class at a level when their codes are equal there; a negative code is none at all, as where a path
is shorter: such a picture has no positives at that level. Whether it counts as a negative is each loss's own rule.

What a batch is told in float32, as Keras hands it on: codes are exact up to 16,777,216.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from recsys.embedding.losses.supervised_contrastive import supervised_contrastive
from recsys.embedding.losses.triplet import triplet

if TYPE_CHECKING:
    from recsys.embedding.recipe import SupervisedContrastive, Triplet

__all__ = ["build_loss", "supervised_contrastive", "triplet"]

BatchLoss = Callable[[Any, Any], Any]
"""From codes (b, levels) and unit embeddings (b, d) to a scalar."""


def build_loss(settings: SupervisedContrastive | Triplet, weights: Sequence[float]) -> BatchLoss:
    """Return the loss of a recipe.

    Args:
        settings: the recipe's section `loss`.
        weights: of each level that the codes have.
    """
    if settings.name == "triplet":
        return lambda codes, embeddings: triplet(codes, embeddings, weights, settings.margin)
    return lambda codes, embeddings: supervised_contrastive(codes, embeddings, weights, settings.temperature)
