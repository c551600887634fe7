"""Build the embedding networks: from pictures to unit vectors, and the head from frozen features.

NumPy draws or computes all initial weights, so that they are equal on every backend.
"""

import keras
import numpy as np
from numpy.typing import NDArray


def build_embedder(
    backbone_model: keras.Model, embedding_size: int, *, seed: int = 0, freeze_batch_norm: bool = False
) -> keras.Model:
    """Return the model from RGB pixels to unit vectors: backbone → global average pooling → Dense → unit length.

    In: (n, s, s, 3), uint8 or float, 0 to 255. Out: (n, embedding size) float32, rows of length 1. Distances of unit
    vectors order pictures as their cosines do: d² = 2 - 2 cos.

    The model shares its layers with `backbone_model`, so freezing and training change both.

    Args:
        backbone_model: result of `recsys.vision.backbones.build`.
        embedding_size: length of the vectors.
        seed: seed of the Dense layer's initial weights.
        freeze_batch_norm: see `recsys.models.embedding.recipe.Network`.

    Source: the original project's slides; unit length as in FaceNet, https://arxiv.org/abs/1503.03832.
    """
    for layer in backbone_model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = not freeze_batch_norm
    x = keras.layers.GlobalAveragePooling2D(name="pool")(backbone_model.output)  # (n, c)
    # float32 whatever the precision of the backbone is: distances are small differences
    x = keras.layers.Activation("linear", dtype="float32", name="features")(x)  # (n, c)
    output = _embedding(x, *random_start(x.shape[-1], embedding_size, seed))  # (n, e)
    return keras.Model(backbone_model.input, output, name=f"{backbone_model.name}_embedder")


def build_head(kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> keras.Model:
    """Return the model from unit features (n, d) to unit vectors (n, e), float32: Dense → unit length.

    Args:
        kernel: (d, e) initial kernel.
        bias: (e,) initial bias.
    """
    features = keras.Input((len(kernel),), name="features")
    return keras.Model(features, _embedding(features, kernel, bias), name="head")


def random_start(features: int, size: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a random kernel (features, size) by Glorot and Bengio, and a bias (size,) of 0."""
    limit = np.sqrt(6 / (features + size))
    kernel = np.random.default_rng(seed).uniform(-limit, limit, (features, size))
    return kernel.astype(np.float32), np.zeros(size, np.float32)


def principal_start(features: NDArray[np.float32], size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a kernel (d, e) and a bias (e,) that map features to their principal components.

    The components keep nearly all of the variance, so their cosines are nearly those of the centred features: the
    training starts from the similarities of the features.

    Args:
        features: (n, d).
        size: e, at most n and d.
    """
    mean = features.mean(axis=0, dtype=np.float64)  # (d,)
    centred = features - mean  # (n, d)
    if len(features) < features.shape[1]:  # the smaller matrix has the same principal axes
        _, axes = np.linalg.eigh(centred @ centred.T)  # ascending
        axes = centred.T @ axes
        axes /= np.maximum(np.linalg.norm(axes, axis=0), np.finfo(np.float32).tiny)
    else:
        _, axes = np.linalg.eigh(centred.T @ centred)
    kernel = axes[:, ::-1][:, :size]  # (d, e)
    largest = kernel[np.abs(kernel).argmax(axis=0), np.arange(kernel.shape[1])]  # (e,)
    kernel = kernel * np.where(largest < 0, -1, 1)  # the sign of an axis is arbitrary: always choose the same
    return kernel.astype(np.float32), (-mean @ kernel).astype(np.float32)


def _embedding(x: keras.KerasTensor, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> keras.KerasTensor:
    dense = keras.layers.Dense(kernel.shape[1], dtype="float32", name="embedding")
    output = keras.layers.UnitNormalization(dtype="float32", name="unit")(dense(x))
    dense.set_weights([kernel, bias])
    return output
