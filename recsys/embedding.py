"""The embedding: a unit vector for a picture, near those of products that look alike; and the loss for it.

The original project's second model: backbone → global average pooling → Dense(embedding size), trained with
the triplet loss. Distances of unit vectors tell the same as their cosine: d² = 2 - 2 cos.
"""

from __future__ import annotations

from typing import Any

from recsys.backbones.quiet_keras import keras


def l2_normalise(x: Any) -> Any:
    """Return each vector scaled to unit length: (..., d) -> (..., d). A zero vector stays zero."""
    return keras.ops.normalize(x, axis=-1, order=2)


def build_embedder(backbone_model: keras.Model, embedding_size: int) -> keras.Model:
    """Return the model from RGB pixels to unit vectors.

    In: (n, s, s, 3), uint8 or float, 0 to 255. Out: (n, embedding size) float32, rows of length 1.

    It shares its layers with `backbone_model`, which `recsys.backbones.build` gave: training one trains the
    other. Source: the original project's slides; unit length as in FaceNet, https://arxiv.org/abs/1503.03832.
    """
    x = keras.layers.GlobalAveragePooling2D(name="pool")(backbone_model.output)  # (n, c)
    # float32 whatever the precision of the backbone: distances are small differences
    x = keras.layers.Dense(embedding_size, dtype="float32", name="embedding")(x)  # (n, d)
    return keras.Model(backbone_model.input, l2_normalise(x), name=f"{backbone_model.name}_embedder")


def triplet_loss(anchor: Any, positive: Any, negative: Any, margin: float) -> Any:
    """Return max(d(a, p) - d(a, n) + margin, 0) of each triplet: three times (n, d) -> (n,), float.

    d is the Euclidean distance, as in the original project's slide; FaceNet, https://arxiv.org/abs/1503.03832,
    equation 3, has its square. The gradient is finite everywhere, also where two embeddings coincide.
    """
    return keras.ops.relu(_distance(anchor, positive) - _distance(anchor, negative) + margin)


def _distance(x: Any, y: Any) -> Any:
    """Return the Euclidean distance of corresponding rows, (n,), with gradient 0 where they coincide.

    The square root has an infinite slope at 0. `where` alone would not help: it sends 0 * infinity = NaN back
    through the branch not taken, so that branch must not see the 0 either.
    """
    squared = keras.ops.sum(keras.ops.square(x - y), axis=-1)
    apart = squared > 0
    return keras.ops.where(apart, keras.ops.sqrt(keras.ops.where(apart, squared, 1.0)), 0.0)
