"""Batches: each picture once an epoch, in an order of its own, with others that are nearly alike."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.models.embedding.recipe import Batches
from recsys.models.embedding.training import category_batches, category_walk


def tree(n: int, seed: int = 0) -> np.ndarray:
    """Codes of n pictures, ten tops of ten middles of ten leaves; a third have no leaf, some nothing."""
    leaf = np.random.default_rng(seed).integers(0, 1000, n)
    codes = np.stack([leaf // 100, leaf // 10, leaf], axis=1)
    codes[::3, 2] = -1
    codes[::50] = -1
    return codes


@pytest.mark.parametrize("run", [1, 7, 32, 10_000])
def test_a_walk_passes_each_picture_once(run: int) -> None:
    assert sorted(category_walk(tree(500), run, np.random.default_rng(1)).tolist()) == list(range(500))


def test_a_whole_walk_leaves_no_branch_before_it_is_done() -> None:
    codes = tree(500)
    order = category_walk(codes, 500, np.random.default_rng(1))
    for level in codes[order].T:
        known = level[level >= 0]
        turns = 1 + int((np.diff(known) != 0).sum())
        # a picture without a code parts its siblings, never two branches
        assert turns == len(np.unique(known)) or (level < 0).any()
    tops = codes[order, 0]
    assert 1 + int((np.diff(tops[tops >= 0]) != 0).sum()) == 10


def test_branches_come_in_another_order_each_time() -> None:
    codes = tree(500)
    one, other = (category_walk(codes, 500, np.random.default_rng(seed)) for seed in (1, 2))
    assert one.tolist() != other.tolist()


def test_a_batch_is_of_few_categories_and_has_pairs_at_the_finest_level() -> None:
    codes = tree(3000)
    rows = np.arange(3000)
    near = category_batches(rows.__getitem__, codes, rows, Batches(size=120, run=30), seed=3)
    by_lot = category_batches(rows.__getitem__, codes, rows, Batches(size=120, run=1), seed=3)

    def middles(data: object, step: int) -> int:
        seen = data.batch(0, step)[1][:, 1]  # type: ignore[attr-defined]
        return len(np.unique(seen[seen >= 0]))

    assert max(middles(near, step) for step in range(20)) < 25 < min(middles(by_lot, step) for step in range(20))
    for step in range(20):
        leaves = near.batch(0, step)[1][:, 2]
        _, counts = np.unique(leaves[leaves >= 0], return_counts=True)
        assert (counts > 1).sum() > 10


def test_batches_follow_from_seed_and_epoch_alone() -> None:
    codes, rows = tree(300), np.arange(20, 300)

    def seen(seed: int, epoch: int) -> list[list[int]]:
        data = category_batches(np.copy, codes, rows, Batches(size=40, run=8), seed)
        return [data.batch(epoch, step)[0].tolist() for step in range(data.steps)]

    assert seen(1, 4) == seen(1, 4)
    assert seen(1, 4) != seen(1, 5) != seen(2, 5)
    drawn = [row for batch in seen(1, 4) for row in batch]
    assert len(drawn) == len(set(drawn)) == 280 and set(drawn) <= set(rows.tolist())


def test_what_is_left_over_are_other_pictures_in_each_epoch() -> None:
    codes, rows = tree(100), np.arange(100)
    data = category_batches(np.copy, codes, rows, Batches(size=40, run=4), seed=0)
    assert data.steps == 2
    seen = {row for epoch in range(10) for step in range(2) for row in data.batch(epoch, step)[0].tolist()}
    assert seen == set(range(100))


def test_fewer_pictures_than_a_batch_are_one_batch() -> None:
    data = category_batches(np.copy, tree(10), np.arange(10), Batches(size=256, run=32), seed=0)
    assert data.steps == 1 and sorted(data.batch(0, 0)[0].tolist()) == list(range(10))


def test_codes_go_with_their_pictures() -> None:
    codes = tree(100)
    rows, given = category_batches(np.copy, codes, np.arange(100), Batches(size=30, run=5), seed=0).batch(0, 0)
    np.testing.assert_array_equal(given, codes[rows])
