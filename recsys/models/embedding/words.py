"""The words' share in the likeness of products: train their vectors, choose their weight, compute them for a shop.

    likeness of two products = 0.9 × ((1 - w) × cosine of the pictures + w × cosine of the words)
                               + 0.1 × cosine of the colours

A trained embedding has a model of the words beside it, and the weight w that was best on products which neither of the
two was trained on. Words name few colours, so the colours have a small share of their own. Both models see the
training's side of the split only; the held-out products judge the result. A photo has no words, so it is compared by
pictures alone.
"""

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recsys.core.configuration import Colour, Configuration
from recsys.core.digests import digest
from recsys.core.errors import TrainingError
from recsys.models.embedding.class_codes import class_codes
from recsys.models.embedding.examples import features_and_histograms, held_out
from recsys.models.embedding.recipe import Recipe
from recsys.models.embedding.serving import Model, folder
from recsys.models.word_vectors import WordVectors, product_text
from recsys.storage import object_store
from recsys.storage.schemas import words_schema
from recsys.storage.shards import Shard, shards
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
MIN_QUERIES = 50
NEAREST = 5
COLOUR_SHARE = 0.1
COARSE = (1, 2, 4)
"""Bins of hue, saturation and value that are joined, to 96 of 12 × 8 × 8."""
POWER = 0.25
"""Exponent of a colour's share, as in `recsys.models.embedding.embedder`."""
PRODUCTS_PER_SHARD = 4_096


@dataclass(frozen=True)
class WordCounts:
    """Number of products of one shard, and the seconds that it took."""

    products: int
    seconds: float

    def __str__(self) -> str:
        return f"words of {self.products} products in {self.seconds:.1f} s"


def texts_of(store: Store) -> pd.Series:
    """Return the words of each active product by product_id, see `product_text`."""
    rows = store.read("products", ["product_id", "name", "brand", "attributes"], "removed IS NULL").to_pylist()
    texts = [
        product_text(row["name"], row["brand"], (each["value"] for each in row["attributes"] or ())) for row in rows
    ]
    return pd.Series(texts, index=[row["product_id"] for row in rows], dtype=object)


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
    if len(queries) < MIN_QUERIES:
        return USUAL_WEIGHT
    others = groups[queries][:, None] == groups[None]
    precision = []
    for weight in WEIGHTS:
        likeness = (1 - weight) * pictures[queries] @ pictures.T + weight * words[queries] @ words.T
        likeness[others] = -np.inf
        nearest = np.argpartition(-likeness, NEAREST, axis=1)[:, :NEAREST]  # (q, 5)
        hits = codes[nearest] == codes[queries][:, None]  # (q, 5, L)
        known = codes[queries] >= 0  # (q, L)
        precision.append(float(hits.mean(axis=1)[known].mean()))
    best = max(precision)
    return next(weight for weight, value in zip(WEIGHTS, precision, strict=True) if value >= best - TOLERANCE)


def train_beside(
    store: Store,
    configuration: Configuration,
    recipe: Recipe,
    rows: pd.DataFrame,
    version: str,
    checkpoint_folder: Path,
) -> float:
    """Train and save the words' vectors of an embedding, and return their weight; 0 if it has none.

    Args:
        store: names, brands, attributes, and the features of the pictures.
        configuration: selects the features.
        recipe: of the embedding; nothing is trained unless it has `words`.
        rows: its training set; its pictures have embeddings.
        version: its version.
        checkpoint_folder: folder of this training only.

    Raises:
        TrainingError: the training diverges or collapses.
    """
    if not recipe.words:
        return 0.0
    texts = texts_of(store).reindex(rows["product_id"]).fillna("").tolist()
    vectors = train_words(texts, rows, recipe, checkpoint_folder / "words")
    if vectors is None:
        return 0.0
    learned = rows.reset_index(drop=True)
    learned = learned[~learned["held_out"]]
    pictures = _embeddings(store, version, learned["image_digest"])
    vectors = vectors.with_pictures([texts[row] for row in learned.index], pictures)
    weight = _tried_weight(store, configuration, recipe, rows, checkpoint_folder)
    place = words_folder(store.home, version)
    place.mkdir(parents=True, exist_ok=True)
    vectors.save(place)
    loaded_words.cache_clear()
    return weight


def _embeddings(store: Store, version: str, digests: pd.Series) -> NDArray[np.float32]:
    """Return the embeddings of pictures, (n, d), in this order."""
    rows = store.read(f"embeddings-{version}")
    row_of = {key: row for row, key in enumerate(rows["image_digest"].to_pylist())}
    column = rows["embedding"].combine_chunks()
    values = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return np.asarray(values[[row_of[key] for key in digests]], np.float32)


def _tried_weight(
    store: Store, configuration: Configuration, recipe: Recipe, rows: pd.DataFrame, checkpoint_folder: Path
) -> float:
    """Return the best weight of models trained without a quarter of the training's side."""
    from recsys.models.embedding.store_training import train_embedder

    if recipe.network is not None:  # its training takes hours
        return USUAL_WEIGHT
    inner = inner_split(rows)
    inner.attrs.update(rows.attrs)
    texts = texts_of(store).reindex(inner["product_id"]).fillna("").tolist()
    try:
        embedder = train_embedder(store, configuration, recipe, inner, "inner", checkpoint_folder / "inner")
        vectors = train_words(texts, inner, recipe, checkpoint_folder / "inner-words")
    except TrainingError:  # too few products
        return USUAL_WEIGHT
    if vectors is None:
        return USUAL_WEIGHT
    pictures = embedder.embed_features(*features_and_histograms(store, configuration, inner["image_digest"].tolist()))
    return best_weight(pictures, vectors(texts), inner, recipe)


def words_folder(home: Path | str, version: str) -> Path:
    """Return the folder of the words' vectors of an embedding."""
    return folder(home) / version / "words"


@functools.lru_cache(maxsize=2)
def loaded_words(home: str, version: str) -> WordVectors:
    """Return the words' vectors of an embedding, cached by the process.

    Raises:
        TrainingError: its files are missing or damaged; `recsys train embedding` trains it again.
    """
    place = words_folder(home, version)
    object_store.download(Path(home), place)
    try:
        return WordVectors.load(place)
    except (OSError, ValueError, LookupError) as error:
        raise TrainingError(f"words {place} are damaged or missing ({error}); run 'recsys train embedding'") from error


def text_weight(model: Model | None, configuration: Configuration) -> float:
    """Return the share of the words between the pictures and the words of a model; 0 for one without words."""
    if model is None or not model.text_weight:
        return 0.0
    configured = configuration.recommend.text_weight
    return model.text_weight if configured is None else configured


def beside_pictures(
    words: NDArray[np.float32], histograms: NDArray[np.float32], weight: float, settings: Colour
) -> tuple[NDArray[np.float32], float]:
    """Return one vector of words and colours for each product, and its share in the likeness.

    Args:
        words: (n, e) of unit length, or zeros for a product without words.
        histograms: (n, bins) that sum to 1.
        weight: share of the words beside the pictures, above 0.
        settings: bins of the histograms.

    Returns:
        (n, e + colours) of unit length, zeros for a product without words.
    """
    share = (1 - COLOUR_SHARE) * weight + COLOUR_SHARE
    of_words = (1 - COLOUR_SHARE) * weight / share
    bins = (settings.hue_bins, settings.saturation_bins, settings.value_bins)
    joined = [step if size % step == 0 else 1 for size, step in zip(bins, COARSE, strict=True)]
    split = [part for size, step in zip(bins, joined, strict=True) for part in (size // step, step)]
    coarse = histograms.reshape(-1, *split).sum(axis=(2, 4, 6)).reshape(len(histograms), -1)
    colours = np.power(coarse, POWER, dtype=np.float32)
    colours /= np.maximum(np.linalg.norm(colours, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    has_words = words.any(axis=1, keepdims=True)
    vectors = np.concatenate([np.sqrt(of_words) * words, np.sqrt(1 - of_words) * colours * has_words], axis=1)
    return vectors.astype(np.float32), share


def likeness_vectors(pictures: NDArray[np.float32], beside: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Return vectors (n, d + t) of unit length whose cosines are the likeness, see `beside_pictures`."""
    vectors = np.concatenate([np.sqrt(1 - share) * pictures, np.sqrt(share) * beside], axis=1)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def table_name(version: str) -> str:
    """Return the table of the words' vectors of an embedding."""
    return f"words-{version}"


def missing(store: Store, configuration: Configuration, model: Model | None) -> list[Shard]:
    """Return shards of the active products whose words are new or changed; none for a model without words."""
    if model is None or not model.text_weight:
        return []
    table = table_name(model.version)
    current = {str(key): digest([text]) for key, text in texts_of(store).items()}
    rows = store.read(table, ["product_id", "text_digest"])
    stored = dict(zip(rows["product_id"].to_pylist(), rows["text_digest"].to_pylist(), strict=True))
    keys = sorted(key for key, value in current.items() if stored.get(key) != value)
    return shards("words", keys, PRODUCTS_PER_SHARD, state=[f"{table} {current[key]}" for key in keys])


def embed_words(store: Store, shard: Shard, configuration: Configuration, model: Model) -> WordCounts:
    """Compute and commit the words' vectors of a shard of products.

    Raises:
        TrainingError: the model's files are missing or damaged.
    """
    started = time.monotonic()
    vectors = loaded_words(str(store.home), model.version)
    of_shard = texts_of(store).reindex(list(shard.keys)).dropna()
    values = vectors(of_shard.tolist())
    columns = [
        pa.array(of_shard.index.tolist(), pa.string()),
        pa.array([digest([text]) for text in of_shard], pa.string()),
        pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1]),
    ]
    store.write(table_name(model.version), pa.table(columns, schema=words_schema(values.shape[1])))
    return WordCounts(len(of_shard), time.monotonic() - started)


def embed_missing_words(store: Store, configuration: Configuration, model: Model) -> int:
    """Compute all missing vectors of words in this process, and return the number of products."""
    return sum(
        embed_words(store, shard, configuration, model).products for shard in missing(store, configuration, model)
    )
