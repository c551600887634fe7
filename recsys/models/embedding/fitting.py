"""A training from the store to an embedder, and the original's recipe beside it, to be judged with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.errors import TrainingError
from recsys.models.embedding.embedder import Embedder
from recsys.models.embedding.examples import described_by, shown
from recsys.models.embedding.recipe import Recipe, load_recipe
from recsys.models.embedding.training import train_head, train_network
from recsys.storage.store import Store
from recsys.vision.training_loop import OnEpoch

ORIGINAL = "original_head"
CHEAP = 5_000
"""Pictures up to which the original's recipe is trained beside another: its small batches take a minute for so many."""


def fit(
    store: Store,
    configuration: Configuration,
    recipe: Recipe,
    rows: pd.DataFrame,
    version: str,
    checkpoint_folder: Path,
    on_epoch: OnEpoch | None = None,
) -> Embedder:
    """Return the embedding that a recipe makes of a training set.

    Args:
        store: where features or pictures are.
        configuration: names the features.
        recipe: how it is trained.
        rows: of `recsys.models.embedding.examples.training_set`.
        version: that it is to have.
        checkpoint_folder: of this training and no other.
        on_epoch: called with the epoch, from 1, and its figures.

    Raises:
        TrainingError: there is too little to learn from, or the training leads nowhere.
        WeightsError: those that the recipe's network starts from cannot be had.
    """
    given = shown(store, configuration, recipe, rows)
    if recipe.network is None:
        assert given.features is not None
        trained = train_head(
            given.features, given.examples, recipe, checkpoint_folder=checkpoint_folder, on_epoch=on_epoch
        )
        return Embedder.of_head(version, trained.model, configuration, recipe.colour_weight)
    assert given.load is not None
    trained = train_network(given.load, given.examples, recipe, checkpoint_folder=checkpoint_folder, on_epoch=on_epoch)
    return Embedder.of_network(version, trained.model)


def originals_vectors(
    store: Store,
    configuration: Configuration,
    recipe: Recipe,
    rows: pd.DataFrame,
    digests: list[str],
    checkpoint_folder: Path,
) -> NDArray[np.float32] | None:
    """Return what the original's loss and labels make of pictures, on frozen features, (n, e).

    None where that is the recipe itself, would take long, or leads nowhere.
    """
    original = load_recipe(ORIGINAL)
    if recipe.digest == original.digest or len(rows) > CHEAP:
        return None
    try:
        embedder = fit(store, configuration, original, rows, ORIGINAL, checkpoint_folder)
    except TrainingError:
        return None
    return embedder.embed_features(*described_by(store, configuration, digests))
