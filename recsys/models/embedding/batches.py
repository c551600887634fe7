"""Batches that a metric can be learned from: pictures that are alike and pictures that are nearly so, together.

Pictures drawn by lot would seldom be of one class, and hardly ever of two neighbouring ones. So an epoch is a walk
through the tree of categories, its branches in an order drawn anew each time, cut into runs of neighbours; a batch is
some of these runs. P classes of K pictures, as in FaceNet (https://arxiv.org/abs/1503.03832, section 3.2), within few
categories, are what that comes to, whatever the sizes of the classes are.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.models.embedding.recipe import Batches as Settings
from recsys.vision.loading import Load
from recsys.vision.training_loop import Batches


def batches(load: Load, codes: NDArray[np.int64], rows: NDArray[np.int64], settings: Settings, seed: int) -> Batches:
    """Return batches of (inputs, codes (b, levels) int32), which follow from seed, epoch and step alone.

    All are of one size, since Keras compiles anew for each; what is left over are other rows in each epoch.

    Args:
        load: gives the inputs of rows.
        codes: (n, levels) of all rows, coarse to fine, see `recsys.models.embedding.losses`.
        rows: those to take.
        settings: of the recipe.
        seed: of the order.
    """
    size = min(settings.size, len(rows))
    # numbered anew, so that what else there is does not decide the order
    own = np.stack([pd.factorize(np.where(level < 0, np.nan, level))[0] for level in codes[rows].T], axis=1)
    order = functools.lru_cache(maxsize=2)(
        lambda epoch: rows[walk(own, settings.run, np.random.default_rng([seed, epoch]))]
    )

    def batch(epoch: int, step: int) -> tuple[Any, NDArray[np.int32]]:
        chosen = order(epoch)[step * size : (step + 1) * size]
        return load(chosen), codes[chosen].astype(np.int32)

    return Batches(len(rows) // max(size, 1), batch)


def walk(codes: NDArray[np.int64], run: int, chance: np.random.Generator) -> NDArray[np.int64]:
    """Return all rows, (n,), in an order drawn by lot in which runs of so many are neighbours in the tree.

    Args:
        codes: (n, levels), coarse to fine; a row without a code at a level is a branch of its own there.
        run: 1 is any order at all; n or more is the walk itself.
        chance: what is drawn from.
    """
    keys = [chance.random(len(codes))]  # the least of them
    for level in codes.T[::-1]:
        branch = chance.random(int(level.max(initial=-1)) + 1)
        keys.append(np.where(level >= 0, branch[level] if len(branch) else 0.0, chance.random(len(level))))
    order = np.lexsort(keys)
    first = int(chance.integers(run)) if run < len(codes) else 0  # so that runs do not part the same rows always
    runs = [rows for rows in np.split(order, np.arange(first, len(order), run)) if len(rows)]
    return np.concatenate([runs[at] for at in chance.permutation(len(runs))]) if runs else order
