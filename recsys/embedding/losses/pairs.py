"""Pairs of a batch: which are of one class, and how far apart they are."""

from __future__ import annotations

from typing import Any

from recsys.backbones.quiet_keras import keras


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


COINCIDE = 1e-3
"""Distance of unit vectors, in float32, below which they are one."""
