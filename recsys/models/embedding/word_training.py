"""Train the words' vectors of an embedding, and choose their weight.

The weight is the best one on products which neither pictures nor words were trained on. Both see the training's side of
the split only; the held-out products judge the result.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.core.errors import TrainingError
from recsys.models.embedding.class_codes import class_codes
from recsys.models.embedding.embedder import head_inputs
from recsys.models.embedding.examples import features_and_histograms, held_out
from recsys.models.embedding.recipe import Recipe
from recsys.models.embedding.words import loaded_words, texts_of, words_folder
from recsys.models.examples import vectors_of
from recsys.models.word_vectors import WordVectors
from recsys.storage.store import Store

SIZE = 128
"""Length of the words' vectors at most."""
LEARNING_RATE = 4e-3
WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
"""Weights that are tried."""
USUAL_WEIGHT = 0.4
"""Weight of a shop with too few products to try weights."""
TOLERANCE = 0.005
"""The smallest weight within this precision of the best one is chosen, because a photo has no words."""
INNER_SHARE = 0.25
"""Share of the training's products that the weights are tried on."""
TRIED_FROM = 500
"""Number of products to try the weights on, below which the usual one is used: the weights differ by less than the
precision of fewer products is exact, and two more trainings would double the time of a small shop."""
MIN_QUERIES = 50
MAX_QUERIES = 2_000
"""Number of products at most that the weights are tried on."""
QUERIES_AT_ONCE = 128
"""Queries that are compared at once; those of 100,000 products take some 100 MB."""
NEAREST = 5


def train_beside(
    store: Store,
    configuration: Configuration,
    recipe: Recipe,
    rows: pd.DataFrame,
    version: str,
    checkpoint_folder: Path,
) -> float:
    """Train and save the words' vectors of an embedding, and return their weight.

    The weight is 0 if it has none: the recipe has no `words`, or the products' words are too few or too alike to
    learn from.

    Args:
        store: names, brands, attributes, and the features of the pictures.
        configuration: selects the features.
        recipe: of the embedding; nothing is trained unless it has `words`.
        rows: its training set; its pictures have embeddings.
        version: its version.
        checkpoint_folder: folder of this training only.
    """
    if not recipe.words:
        return 0.0
    texts = texts_of(store).reindex(rows["product_id"]).fillna("").tolist()
    try:
        vectors = train_words(texts, rows, recipe, checkpoint_folder / "words")
    except TrainingError:  # products with one name collapse to one vector; the pictures serve without words
        return 0.0
    if vectors is None:
        return 0.0
    learned = np.flatnonzero(~rows["held_out"].to_numpy())
    pictures = vectors_of(store, f"embeddings-{version}", rows["image_digest"].iloc[learned].tolist())
    vectors = vectors.with_pictures([texts[row] for row in learned], pictures)

    def read_inputs() -> NDArray[np.float32]:
        described = features_and_histograms(store, configuration, rows["image_digest"].tolist())
        return head_inputs(*described, recipe.colour_weight)

    weight = chosen_weight(read_inputs if recipe.network is None else None, texts, rows, recipe, checkpoint_folder)
    place = words_folder(store.home, version)
    place.mkdir(parents=True, exist_ok=True)
    vectors.save(place)
    loaded_words.cache_clear()
    return weight


def chosen_weight(
    read_inputs: Callable[[], NDArray[np.float32]] | None,
    texts: Sequence[str],
    rows: pd.DataFrame,
    recipe: Recipe,
    checkpoint_folder: Path,
) -> float:
    """Return the best weight of models that are trained without a quarter of the training's side.

    Args:
        read_inputs: returns the inputs (n, d) of the pictures' head; None for a network, whose training takes hours.
        texts: n texts.
        rows: n rows of the training set.
        recipe: of the embedding.
        checkpoint_folder: folder of this training only.
    """
    from recsys.models.embedding.training import train_head

    inner = inner_split(rows)
    if read_inputs is None or inner["held_out"].sum() < TRIED_FROM:
        return USUAL_WEIGHT
    learned = np.flatnonzero(~rows["held_out"].to_numpy())
    inputs, inner_texts = read_inputs()[learned], [texts[row] for row in learned.tolist()]
    try:
        head = train_head(inputs, inner, recipe, checkpoint_folder=checkpoint_folder / "inner").model
        vectors = train_words(inner_texts, inner, recipe, checkpoint_folder / "inner-words")
    except TrainingError:  # too few products
        return USUAL_WEIGHT
    if vectors is None:
        return USUAL_WEIGHT
    return best_weight(head.predict(inputs, verbose=0), vectors(inner_texts), inner, recipe)


def train_words(
    texts: Sequence[str], rows: pd.DataFrame, recipe: Recipe, checkpoint_folder: Path
) -> WordVectors | None:
    """Return vectors of words, trained by a recipe; None if the products share no words.

    Args:
        texts: of each row, see `texts_of`.
        rows: training set, see `recsys.models.embedding.examples.training_set`.
        recipe: of the pictures; its classes, loss and batches are used.
        checkpoint_folder: folder of this training only.

    Raises:
        TrainingError: there is too little to learn from, or the training diverges or collapses.
    """
    from recsys.models.embedding.training import train_head

    first = rows["view"].to_numpy() == 0
    products = rows[first].reset_index(drop=True)
    words = [text for text, is_first in zip(texts, first, strict=True) if is_first]
    learned = [text for text, out in zip(words, products["held_out"], strict=True) if text and not out]
    vectors = WordVectors.fit(learned)
    if vectors is None:
        return None
    settings = recipe.model_copy(
        update={"embedding_size": SIZE, "learning_rate": LEARNING_RATE, "start": "pca", "network": None}
    )
    trained = train_head(vectors.inputs(words), products, settings, checkpoint_folder=checkpoint_folder).model
    kernel, bias = trained.get_layer("embedding").get_weights()
    return vectors.with_head(kernel, bias)


def inner_split(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the training's side of a training set, a quarter of it held out by groups."""
    inner = rows[~rows["held_out"]].reset_index(drop=True)
    salted = inner["image_digest"].map(lambda key: digest(["words", key]))
    return inner.assign(held_out=held_out(salted, inner["group"], INNER_SHARE))


def best_weight(pictures: NDArray[np.float32], words: NDArray[np.float32], rows: pd.DataFrame, recipe: Recipe) -> float:
    """Return the words' weight with the best precision at 5, see `WEIGHTS` and `TOLERANCE`.

    Args:
        pictures, words: (n, d) and (n, e) of unit length, by models that were not trained on the held-out rows.
        rows: n rows of `inner_split`.
        recipe: its levels are compared.
    """
    codes, groups = class_codes(rows, recipe)[:, :3], rows["group"].to_numpy()
    queries = np.flatnonzero(rows["held_out"].to_numpy() & (rows["view"].to_numpy() == 0))
    queries = queries[(codes[queries] >= 0).any(axis=1)]
    if len(queries) < MIN_QUERIES:
        return USUAL_WEIGHT
    queries = queries[np.linspace(0, len(queries) - 1, min(len(queries), MAX_QUERIES)).astype(np.int64)]
    hits = np.concatenate(
        [
            _hits(queries[start : start + QUERIES_AT_ONCE], pictures, words, codes, groups)
            for start in range(0, len(queries), QUERIES_AT_ONCE)
        ]
    )
    precision = hits[codes[queries] >= 0].mean(axis=0)
    best = precision.max()
    return next(weight for weight, value in zip(WEIGHTS, precision, strict=True) if value >= best - TOLERANCE)


def _hits(
    queries: NDArray[np.int64],
    pictures: NDArray[np.float32],
    words: NDArray[np.float32],
    codes: NDArray[np.int64],
    groups: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the share of the five nearest that have a query's class, (q, L, weights)."""
    of_pictures, of_words = pictures[queries] @ pictures.T, words[queries] @ words.T  # (q, n)
    same = groups[queries][:, None] == groups[None]
    shares = []
    for weight in WEIGHTS:
        likeness = (1 - weight) * of_pictures + weight * of_words
        likeness[same] = -np.inf
        nearest = np.argpartition(-likeness, NEAREST, axis=1)[:, :NEAREST]  # (q, 5)
        shares.append((codes[nearest] == codes[queries][:, None]).mean(axis=1))
    return np.stack(shares, axis=-1)
