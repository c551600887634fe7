"""The embedding's networks: the original's, from a picture to its unit vector; and the head, from frozen features.

All first values are drawn or computed by NumPy, so that every backend starts from the same.
"""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray


def build_embedder(
    backbone_model: keras.Model, embedding_size: int, *, seed: int = 0, freeze_batch_norm: bool = False
) -> keras.Model:
    """Return the model from RGB pixels to unit vectors: backbone → global average pooling → Dense → unit length.

    In: (n, s, s, 3), uint8 or float, 0 to 255. Out: (n, embedding size) float32, rows of length 1.

    It shares its layers with `backbone_model`, which `recsys.vision.backbones.build` gave: freezing and training
    reach both. Distances of unit vectors tell the same as their cosine: d² = 2 - 2 cos.

    Args:
        seed: of the Dense layer's first weights.
        freeze_batch_norm: see `recsys.models.embedding.recipe.Network`.

    Source: the original project's slides; unit length as in FaceNet, https://arxiv.org/abs/1503.03832.
    """
    for layer in backbone_model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = not freeze_batch_norm
    x = keras.layers.GlobalAveragePooling2D(name="pool")(backbone_model.output)  # (n, c)
    # float32 whatever the precision of the backbone: distances are small differences
    x = keras.layers.Activation("linear", dtype="float32", name="features")(x)
    out = _embedding(x, *random_start(x.shape[-1], embedding_size, seed))
    return keras.Model(backbone_model.input, out, name=f"{backbone_model.name}_embedder")


def build_head(kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> keras.Model:
    """Return the model from unit features (n, d) to unit vectors (n, e), float32: Dense → unit length.

    Args:
        kernel, bias: (d, e) and (e,), what it starts from.
    """
    features = keras.Input((len(kernel),), name="features")
    return keras.Model(features, _embedding(features, kernel, bias), name="head")


def random_start(features: int, size: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a kernel (features, size) and a bias (size,) of 0, as Glorot and Bengio draw them."""
    limit = np.sqrt(6 / (features + size))
    kernel = np.random.default_rng(seed).uniform(-limit, limit, (features, size))
    return kernel.astype(np.float32), np.zeros(size, np.float32)


def principal_start(features: NDArray[np.float32], size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a kernel (d, e) and a bias (e,) that turn features into their principal components.

    Cosines of centred features that keep nearly all of their variance are nearly those of the features: the embedding
    starts as likeness is without it.

    Args:
        features: (n, d).
        size: e, but no more than n or d.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean
    if len(features) < features.shape[1]:  # the smaller of the two matrices has the same axes
        _, axes = np.linalg.eigh(centred @ centred.T)  # ascending
        axes = centred.T @ axes
        axes /= np.maximum(np.linalg.norm(axes, axis=0), np.finfo(np.float32).tiny)
    else:
        _, axes = np.linalg.eigh(centred.T @ centred)
    kernel = axes[:, ::-1][:, :size]
    largest = kernel[np.abs(kernel).argmax(axis=0), np.arange(kernel.shape[1])]
    kernel = kernel * np.where(largest < 0, -1, 1)  # of the two signs that an axis may have, always the same
    return kernel.astype(np.float32), (-mean @ kernel).astype(np.float32)


def _embedding(x: keras.KerasTensor, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> keras.KerasTensor:
    dense = keras.layers.Dense(kernel.shape[1], dtype="float32", name="embedding")
    out = keras.layers.UnitNormalization(dtype="float32", name="unit")(dense(x))
    dense.set_weights([kernel, bias])
    return out
