"""Each loss is what its slow and obvious version says, and what a hand computes; and has a gradient everywhere."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from recsys.models.embedding.losses import BatchLoss, active_share, build_loss, supervised_contrastive, triplet
from recsys.models.embedding.recipe import SupervisedContrastive, Triplet

MIXED = np.array(
    [[0, 0, 0], [0, 0, 1], [0, 1, -1], [1, 2, 2], [1, 2, 2], [1, -1, -1], [2, 3, 3], [0, 0, 0], [-1, -1, -1]]
)
"""Codes of nine pictures at three levels: short paths, a class of one, a picture without any class."""
WEIGHTS = (1.0, 0.5, 2.0)


def unit(n: int, size: int = 4, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, size))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def slow_supervised_contrastive(codes: np.ndarray, x: np.ndarray, weights: tuple[float, ...], t: float) -> float:
    total = 0.0
    for level, weight in enumerate(weights):
        losses = []
        for i in range(len(x)):
            others = [j for j in range(len(x)) if j != i]
            positives = [j for j in others if codes[i, level] == codes[j, level] >= 0]
            if positives:
                whole = sum(math.exp(float(x[i] @ x[j]) / t) for j in others)
                losses.append(
                    -sum(math.log(math.exp(float(x[i] @ x[p]) / t) / whole) for p in positives) / len(positives)
                )
        total += weight * (sum(losses) / len(losses) if losses else 0)
    return total / sum(weights)


def slow_triplet(codes: np.ndarray, x: np.ndarray, weights: tuple[float, ...], margin: float) -> float:
    total, everyone = 0.0, range(len(x))
    for level, weight in enumerate(weights):
        code, losses = codes[:, level], []
        for a in everyone:
            for p in everyone:
                for n in everyone:
                    if a != p and code[a] == code[p] >= 0 and code[n] >= 0 and code[n] != code[a]:
                        near, far = np.linalg.norm(x[a] - x[p]), np.linalg.norm(x[a] - x[n])
                        losses.append(max(near - far + margin, 0))
        total += weight * (sum(losses) / len(losses) if losses else 0)
    return total / sum(weights)


def value(loss: BatchLoss, codes: np.ndarray, x: np.ndarray) -> float:
    return float(loss(np.asarray(codes, np.float32), np.asarray(x, np.float32)))


def gradient(loss: BatchLoss, codes: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the loss's gradient by the embeddings; a training step finds it on any backend."""
    x = np.asarray(x, np.float32)

    class Embeddings(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.points = self.add_weight(shape=x.shape, initializer=keras.initializers.Constant(x))

        def call(self, inputs: np.ndarray) -> np.ndarray:
            return self.points + 0 * inputs

    inputs = keras.Input((1,), batch_size=len(x))
    model = keras.Model(inputs, Embeddings()(inputs))
    model.compile(keras.optimizers.SGD(1.0), loss=lambda codes, points: loss(codes, points))
    model.train_on_batch(np.zeros((len(x), 1)), np.asarray(codes, np.int32))
    return x - model.get_weights()[0]


LOSSES = {
    "supervised_contrastive": build_loss(
        SupervisedContrastive(name="supervised_contrastive", temperature=0.2), WEIGHTS
    ),
    "triplet": build_loss(Triplet(name="triplet", margin=0.3), WEIGHTS),
}
each_loss = pytest.mark.parametrize("name", LOSSES)


def test_the_triplet_loss_is_what_a_hand_computes() -> None:
    """Two at (1, 0) and (0, 1) of one class, one at (-1, 0) of another: d is √2, 2 and √2."""
    x = np.array([[1, 0], [0, 1], [-1, 0]])
    codes = np.array([[0], [0], [1]])
    # anchor 0: √2 − 2 + 0.7 = 0.1142; anchor 1: √2 − √2 + 0.7 = 0.7
    expected = ((math.sqrt(2) - 2 + 0.7) + 0.7) / 2
    assert value(lambda c, e: triplet(c, e, [1.0], 0.7), codes, x) == pytest.approx(expected, abs=1e-6)
    # with a margin of 0.2 anchor 0 is content
    assert value(lambda c, e: triplet(c, e, [1.0], 0.2), codes, x) == pytest.approx(0.1, abs=1e-6)
    assert float(active_share(codes, x.astype(np.float32), 0.2)) == pytest.approx(0.5)


def test_the_supervised_contrastive_loss_is_what_a_hand_computes() -> None:
    x = np.array([[1, 0], [0, 1], [-1, 0]])
    codes = np.array([[0], [0], [1]])
    # cosines at temperature 0.5: of 0 to the others 0, −2; of 1: 0, 0; 2 has no positives
    expected = (-math.log(1 / (1 + math.exp(-2))) - math.log(1 / 2)) / 2
    assert value(lambda c, e: supervised_contrastive(c, e, [1.0], 0.5), codes, x) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_losses_equal_the_slow_ones_where_paths_are_short(seed: int) -> None:
    x = unit(len(MIXED), seed=seed)
    slow = slow_supervised_contrastive(MIXED, x, WEIGHTS, 0.2)
    assert value(LOSSES["supervised_contrastive"], MIXED, x) == pytest.approx(slow, abs=1e-5)
    slow = slow_triplet(MIXED, x, WEIGHTS, 0.3)
    assert value(LOSSES["triplet"], MIXED, x) == pytest.approx(slow, abs=1e-5)
    assert slow > 0


@each_loss
def test_a_level_without_members_changes_only_the_scale(name: str) -> None:
    x, none = unit(len(MIXED)), np.full((len(MIXED), 1), -1)
    codes = np.concatenate([MIXED[:, :2], none], axis=1)
    two = build_loss(LOSS_SETTINGS[name], (1.0, 0.5))
    assert value(LOSSES[name], codes, x) == pytest.approx(value(two, MIXED[:, :2], x) * 1.5 / 3.5, abs=1e-6)
    assert value(LOSSES[name], np.full_like(MIXED, -1), x) == 0


LOSS_SETTINGS = {
    "supervised_contrastive": SupervisedContrastive(name="supervised_contrastive", temperature=0.2),
    "triplet": Triplet(name="triplet", margin=0.3),
}


@each_loss
def test_the_gradient_brings_positives_together_and_parts_negatives(name: str) -> None:
    x = np.array([[1, 0], [0.6, 0.8], [0.8, 0.6]])
    codes = np.array([[0, 0, 0], [0, 0, 0], [1, 1, 1]])
    step = gradient(LOSSES[name], codes, x)
    moved = x - 0.05 * step
    assert value(LOSSES[name], codes, moved / np.linalg.norm(moved, axis=1, keepdims=True)) < value(
        LOSSES[name], codes, x
    )
    assert step[0] @ (x[1] - x[2]) < 0  # downhill is towards the positive, away from the negative


@each_loss
@pytest.mark.parametrize("which", ["positives", "negatives", "all", "all but one"])
def test_the_gradient_is_finite_where_embeddings_coincide(name: str, which: str) -> None:
    x = unit(6)
    codes = np.repeat(np.array([0, 0, 0, 1, 1, 1])[:, None], 3, axis=1)
    x[{"positives": slice(0, 2), "negatives": slice(2, 4), "all": slice(0, 6), "all but one": slice(0, 5)}[which]] = x[
        0
    ]
    step = gradient(LOSSES[name], codes, x)
    assert np.isfinite(step).all()
    assert np.isfinite(value(LOSSES[name], codes, x))


@each_loss
def test_the_gradient_is_as_differences_of_the_slow_loss(name: str) -> None:
    x = unit(len(MIXED), seed=3)
    slow = {
        "supervised_contrastive": lambda y: slow_supervised_contrastive(MIXED, y, WEIGHTS, 0.2),
        "triplet": lambda y: slow_triplet(MIXED, y, WEIGHTS, 0.3),
    }[name]
    along = np.random.default_rng(1).normal(size=x.shape)
    along -= (along * x).sum(axis=1, keepdims=True) * x  # along the sphere, where d² = 2 − 2 cos
    ahead, behind = (
        slow((x + sign * 1e-5 * along) / np.linalg.norm(x + sign * 1e-5 * along, axis=1, keepdims=True))
        for sign in (1, -1)
    )
    assert (gradient(LOSSES[name], MIXED, x) * along).sum() == pytest.approx((ahead - behind) / 2e-5, abs=2e-3)


def test_of_embeddings_that_are_all_the_same_the_triplet_loss_is_its_margin() -> None:
    x = np.repeat(unit(1), len(MIXED), axis=0)
    one = build_loss(Triplet(name="triplet", margin=0.3), (1.0,))
    assert value(one, MIXED[:, :1], x) == pytest.approx(0.3, abs=1e-5)
