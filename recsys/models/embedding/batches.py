"""Draw batches for metric learning: pictures of one class and of neighbouring classes together.

Random pictures are rarely of one class and hardly ever of two neighbouring ones. Therefore an epoch is a random walk
through the category tree, cut into runs of neighbours; a batch is several runs. This is P classes of K pictures within
few categories, as in FaceNet (https://arxiv.org/abs/1503.03832, section 3.2), for classes of any size.
"""

import functools
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.models.embedding import recipe
from recsys.vision.loading import Load
from recsys.vision.training_loop import Batches


def category_batches(
    load: Load, codes: NDArray[np.int64], rows: NDArray[np.int64], settings: recipe.Batches, seed: int
) -> Batches:
    """Return batches of (inputs, codes (B, L) int32) that depend only on seed, epoch and step.

    All batches have one size, because Keras compiles again for each size. Other rows are left over in each epoch.

    Args:
        load: returns the inputs of rows.
        codes: (n, L) codes of all rows, coarse to fine, see `recsys.models.embedding.losses`.
        rows: rows to draw from.
        settings: section `batches` of the recipe.
        seed: seed of the order.
    """
    size = min(settings.size, len(rows))
    # Number the codes again, so that rows outside `rows` do not change the order.
    levels = [pd.factorize(np.where(level < 0, np.nan, level))[0] for level in codes[rows].T]
    local_codes = np.stack(levels, axis=1)  # (m, L)

    @functools.lru_cache(maxsize=2)
    def order(epoch: int) -> NDArray[np.int64]:
        return rows[category_walk(local_codes, settings.run, np.random.default_rng([seed, epoch]))]

    def batch(epoch: int, step: int) -> tuple[Any, NDArray[np.int32]]:
        chosen = order(epoch)[step * size : (step + 1) * size]
        return load(chosen), codes[chosen].astype(np.int32)

    return Batches(len(rows) // max(size, 1), batch)


def category_walk(codes: NDArray[np.int64], run: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return all rows, (n,), in a random order in which runs of rows are neighbours in the category tree.

    Args:
        codes: (n, L), coarse to fine; a row without a code at a level is a branch by itself there.
        run: length of a run; 1 is a random order, n or more is one walk through the tree.
        generator: source of random numbers.
    """
    keys = [generator.random(len(codes))]  # least significant key first
    for level in codes.T[::-1]:
        branch = generator.random(int(level.max(initial=-1)) + 1)  # random position of each branch
        keys.append(np.where(level >= 0, branch[level] if len(branch) else 0.0, generator.random(len(level))))
    order = np.lexsort(keys)
    offset = int(generator.integers(run)) if run < len(codes) else 0  # cut between other rows in each epoch
    runs = [rows for rows in np.split(order, np.arange(offset, len(order), run)) if len(rows)]
    return np.concatenate([runs[index] for index in generator.permutation(len(runs))]) if runs else order
