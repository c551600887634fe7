"""Train an embedder on what the store holds, by a recipe; and the original project's recipe for comparison."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.errors import TrainingError
from recsys.models.embedding.embedder import Embedder
from recsys.models.embedding.examples import features_and_histograms, training_inputs
from recsys.models.embedding.recipe import Recipe, load_recipe
from recsys.models.embedding.training import train_head, train_network
from recsys.models.features import backbones_folder
from recsys.storage.store import Store
from recsys.vision.training_loop import OnEpoch

ORIGINAL = "original_head"
MAX_ORIGINAL_PICTURES = 5_000
"""Number of pictures up to which the original's recipe is trained too; its small batches take a minute for these."""


def train_embedder(
    store: Store,
    configuration: Configuration,
    recipe: Recipe,
    rows: pd.DataFrame,
    version: str,
    checkpoint_folder: Path,
    on_epoch: OnEpoch | None = None,
) -> Embedder:
    """Return the embedder that a recipe makes of a training set.

    Args:
        store: source of features or pictures.
        configuration: selects the features.
        recipe: settings of the training.
        rows: result of `recsys.models.embedding.examples.training_set`.
        version: version of the embedder.
        checkpoint_folder: folder of this training only.
        on_epoch: called with the epoch, from 1, and its figures.

    Raises:
        TrainingError: there is too little to learn from, or the training diverges or collapses.
        WeightsError: the initial weights of the recipe's network are not available.
    """
    inputs = training_inputs(store, configuration, recipe, rows)
    if recipe.network is None:
        assert inputs.features is not None
        trained = train_head(
            inputs.features, inputs.examples, recipe, checkpoint_folder=checkpoint_folder, on_epoch=on_epoch
        )
        folder = backbones_folder(store.home)
        return Embedder.of_head(version, trained.model, configuration, recipe.colour_weight, folder)
    assert inputs.load is not None
    trained = train_network(
        inputs.load, inputs.examples, recipe, checkpoint_folder=checkpoint_folder, on_epoch=on_epoch
    )
    return Embedder.of_network(version, trained.model)


def original_recipe_vectors(
    store: Store,
    configuration: Configuration,
    recipe: Recipe,
    rows: pd.DataFrame,
    digests: list[str],
    checkpoint_folder: Path,
) -> NDArray[np.float32] | None:
    """Return the vectors (n, e) of pictures by the original's loss and labels on frozen features.

    None if this is the recipe itself, if it would take long, or if the training fails.
    """
    original = load_recipe(ORIGINAL)
    if recipe.digest == original.digest or len(rows) > MAX_ORIGINAL_PICTURES:
        return None
    try:
        embedder = train_embedder(store, configuration, original, rows, ORIGINAL, checkpoint_folder)
    except TrainingError:
        return None
    return embedder.embed_features(*features_and_histograms(store, configuration, digests))
