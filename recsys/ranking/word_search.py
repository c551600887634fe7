"""Search products by words: exact matches, near ones, and products that look like what the words usually mean.

    score = cosine of the terms + 0.2 × cosine of the words' vectors + 0.2 × cosine of the pictures
    score = cosine of the terms + 0.2 × cosine of the words' vectors + 0.4 × look by the text tower

The terms are words and character n-grams, so an exact word counts most; the order of words does not count. Beside a
word that the shop's texts do not have, the nearest one that they have is searched for, see `Spelling`. A product whose
text lacks a word is found by its look. The words' vectors map the query into the space of the pictures, as it was
learned from the shop's own products. The second formula is that of a dual encoder, whose text tower has learned from
other pictures what words look like, see `TowerLooks`. `docs/embedding.md` has the measurements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.core.errors import ModelError
from recsys.models import features
from recsys.models.embedding.serving import Serving, serving
from recsys.models.embedding.words import loaded_words, texts_of, vectors_of_words
from recsys.models.text_model import normalize
from recsys.models.word_vectors import SPACES, Terms, WordVectors, tokens
from recsys.ranking.cache_keys import LastResult
from recsys.ranking.gallery import Gallery
from recsys.ranking.gallery_loading import load_features, load_nonempty_gallery
from recsys.storage.store import Store
from recsys.vision import backbones

if TYPE_CHECKING:  # SciPy takes a fifth of a second to import
    from scipy.sparse import csc_matrix

WORDS_WEIGHT = 0.2
PICTURE_WEIGHT = 0.2
TOWER_WEIGHT = 0.4
"""Weight of the look by a text tower: a product that looks most like the words is among the results beside those with
a word, also in a shop without words' vectors."""
TOWER_DEVIATIONS = 4
"""Standard deviations above the mean cosine of all products at which a product's look by a text tower is 1."""
LEAST_SHARE = 0.35
"""Share of the best score that a result has at least."""
SHORT_WORD, LONG_WORD = 4, 8
"""Letters from which a word may have one typing error, and two."""
LEAST_SCORE = 0.45
"""Score that the best result has at least, if the shop's texts have none of the words, also not spelled otherwise:
below it are products that share a few letters with the words."""
MAX_RESULTS = 200
LOOKS_ALIKE = 0.5
"""Look from which a result's reason mentions it."""


@dataclass(frozen=True)
class Match:
    """A product that was found.

    Attributes:
        row: of the product.
        score: see the module's docstring.
        why: the reason as a sentence.
    """

    row: int
    score: float
    why: str


class LearnedWords:
    """Likeness of n products to words, by the words' vectors of the serving embedding."""

    def __init__(self, vectors: WordVectors, words: NDArray[np.float32]) -> None:
        """Take the model, and the vectors (n, e) of the products' texts by it."""
        self._vectors, self._words = vectors, words

    def __call__(self, text: str) -> NDArray[np.float32]:
        """Return (n,) the cosines of the products and a text; zeros for a text without a known term."""
        return self._words @ self._vectors([text])[0]


class MappedLooks:
    """Look of n products, by words that are mapped into the space of their pictures."""

    weight = PICTURE_WEIGHT

    def __init__(self, vectors: WordVectors, pictures: NDArray[np.float32]) -> None:
        """Take the map, and the embeddings (n, d) of the pictures."""
        self._vectors, self._pictures = vectors, pictures

    def __call__(self, text: str) -> NDArray[np.float32]:
        """Return (n,) the cosines of the pictures and a text; zeros for a text without a known term."""
        return self._pictures @ self._vectors.in_pictures([text])[0]


class TowerLooks:
    """Look of n products, by the text tower of the encoder that their pictures have features of.

        look = (cosine - mean of all products) / (4 × standard deviation of all products), -1 to 1

    Cosines of texts and pictures are not comparable with others: they differ little, and around a mean that depends on
    the encoder and on the text (V. W. Liang et al., "Mind the Gap", 2022).
    """

    weight = TOWER_WEIGHT

    def __init__(self, tower: Callable[[Sequence[str]], NDArray[np.float32]], features: NDArray[np.float32]) -> None:
        """Take the tower, and the features (n, d) of the pictures by the same encoder."""
        self._tower, self._features = tower, features

    def __call__(self, text: str) -> NDArray[np.float32]:
        """Return (n,) the look of each product; zeros where all look alike."""
        cosines = self._features @ self._tower([text])[0]
        spread = TOWER_DEVIATIONS * max(float(cosines.std()), 1e-4)  # smaller differences are rounding errors
        return np.clip((cosines - cosines.mean()) / spread, -1, 1)


class Spelling:
    """Finds the word of a shop that a word is meant for: the nearest by Damerau-Levenshtein distance.

    The distance is the number of letters that are inserted, left out, replaced or exchanged with their neighbours: 1 in
    words of 4 to 7 letters, 2 in longer ones, and none in the first letter, which is seldom mistyped
    (https://www.algolia.com/doc/guides/managing-results/optimize-search-results/typo-tolerance/).
    """

    def __init__(self, words: Iterable[str]) -> None:
        """Take the words of all products. Of equally near words the most frequent one is meant."""
        self._known = Counter(words)
        self._by_letter: dict[str, list[str]] = {}
        for word, _ in self._known.most_common():
            self._by_letter.setdefault(word[0], []).append(word)

    def __call__(self, word: str) -> str | None:
        """Return the word itself where the shop has it, else the nearest one; None where none is near."""
        if word in self._known:
            return word
        if len(word) < SHORT_WORD or any(map(str.isdigit, word)):  # in a model number, another digit is another model
            return None
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        limit = 1 if len(word) < LONG_WORD else 2
        nearest = process.extractOne(word, self._by_letter.get(word[0], ()), scorer=OSA.distance, score_cutoff=limit)
        return None if nearest is None else str(nearest[0])


@dataclass(frozen=True, eq=False)
class ShopTerms:
    """The texts of a shop's products, the (n, f) weights of their terms, and the spelling of their words."""

    texts: Sequence[str]
    terms: Terms
    weights: csc_matrix
    spelling: Spelling

    @classmethod
    def of(cls, texts: Sequence[str], terms: Terms | None = None) -> ShopTerms:
        """Return the terms of n texts, see `recsys.models.word_vectors.product_text`.

        Args:
            texts: of the products.
            terms: those that are known; None: those of these texts.
        """
        terms, weights = Terms.fit(texts) if terms is None else (terms, terms(texts))
        spelling = Spelling(word for text in texts for word in set(tokens(text)))
        return cls(texts, terms, weights.tocsc(), spelling)  # by columns: a query reads those of its own terms


class WordSearch:
    """Searches the n products of a shop.

    Memory is about 1.2 KB for each product with a name of 40 characters; the terms are the larger part. A text tower
    needs the features of the pictures too.
    """

    def __init__(
        self,
        shop: ShopTerms,
        looks: MappedLooks | TowerLooks,
        kinds: LearnedWords | None = None,
    ) -> None:
        """Take the shop's products.

        Args:
            shop: their terms.
            looks: compares their pictures with words.
            kinds: compares their words; None where the serving embedding has none.
        """
        self._shop, self._looks, self._kinds = shop, looks, kinds

    def search(self, query: str, allowed: NDArray[np.bool_] | None = None) -> list[Match]:
        """Return the products that match best, at most `MAX_RESULTS`; none where the query has no word.

        Without a text tower there are none either where no term is known.

        Args:
            query: words in any order.
            allowed: (n,) the products that may be found; None: all.
        """
        text = normalize(query)
        query_tokens = tokens(text)
        if not query_tokens:
            return []
        meant = [self._shop.spelling(word) for word in query_tokens]
        other = [word for word in meant if word is not None and word not in query_tokens]
        text, query_tokens = " ".join([text, *other]), [*query_tokens, *other]
        terms = self._shop.terms([text])
        lexical = self._shop.weights[:, terms.indices] @ terms.data / len(SPACES)  # (n,)
        looks = self._looks(text)
        kinds = np.zeros_like(looks) if self._kinds is None else self._kinds(text)
        scores = lexical + WORDS_WEIGHT * kinds + self._looks.weight * looks
        if allowed is not None:
            scores = np.where(allowed, scores, -np.inf)
        order = np.argsort(-scores, kind="stable")[:MAX_RESULTS]
        best = scores[order[0]] if len(order) else 0.0
        if best < LEAST_SCORE and not any(meant) and not isinstance(self._looks, TowerLooks):
            return []
        return [
            Match(int(row), float(scores[row]), self._reason(row, query_tokens, lexical[row], kinds[row], looks[row]))
            for row in order
            if scores[row] > 0 and scores[row] >= LEAST_SHARE * best
        ]

    def _reason(self, row: int, query_tokens: Sequence[str], lexical: float, kind: float, look: float) -> str:
        """Return a sentence such as `has "red" and "curtain"; looks like it`."""
        of_product = set(tokens(self._shop.texts[row]))
        exact = [word for word in dict.fromkeys(query_tokens) if word in of_product]
        parts = []
        if exact:
            parts.append("has " + " and ".join(f'"{word}"' for word in exact))
        elif lexical > 0:
            parts.append("has similar words")
        if look >= LOOKS_ALIKE:
            parts.append("looks like it")
        return "; ".join(parts) or ("is of a similar kind" if kind >= look else "looks somewhat like it")


def load_word_search(
    store: Store, configuration: Configuration, serves: Serving, frame: pd.DataFrame, gallery: Gallery
) -> WordSearch | None:
    """Return the search over a gallery and its frame, see `recsys.ranking.gallery_loading.load_gallery`.

    None where the serving model has no words and the configured encoder no text tower. The terms stay in memory until
    a text changes.

    Raises:
        TrainingError: the files of the model are missing or damaged.
        ConfigurationError, WeightsError: the text tower cannot be used.
    """
    looks = _tower_looks(store, configuration, frame)
    has_words = serves.model is not None and serves.model.text_weight > 0
    if looks is None and not has_words:
        return None
    texts = texts_of(store).reindex(gallery.product_ids).fillna("")
    key = (str(store.home), serves.version if has_words else None, digest(texts))
    if looks is not None and not has_words:
        return WordSearch(_last_terms.get(key, lambda: ShopTerms.of(texts.tolist())), looks)
    vectors = loaded_words(str(store.home), serves.version)
    shop = _last_terms.get(key, lambda: ShopTerms.of(texts.tolist(), vectors.terms))
    kinds = LearnedWords(vectors, vectors_of_words(store, serves.version, texts))
    return WordSearch(shop, looks or MappedLooks(vectors, gallery.pictures), kinds)


def _tower_looks(store: Store, configuration: Configuration, frame: pd.DataFrame) -> TowerLooks | None:
    """Return the look of products by the text tower of the configured encoder.

    None if it has none, or if no run has computed its features yet, after a change of the encoder.
    """
    name = configuration.backbone.name
    if not backbones.has_text_tower(name) or not store.count(features.table_name(configuration)):
        return None
    vectors = load_features(store, configuration, frame)
    tower = features.text_tower(name, vectors.shape[1])
    return None if tower is None else TowerLooks(tower, vectors)


_last_terms = LastResult[ShopTerms]()


def search_words(store: Store, configuration: Configuration, query: str, top: int) -> pd.DataFrame:
    """Return the products of the home that match words best, see the module's docstring.

    Columns: rank, product_id, name, brand, label, price, in_stock, score, why.

    Raises:
        NoImagesError: no product of the home can be compared yet.
        ModelError: the serving model has no words, and the encoder no text tower.
        ConfigurationError, WeightsError: the text tower cannot be used.
    """
    serves = serving(store.home, configuration)
    frame, gallery = load_nonempty_gallery(store, configuration, serves)
    search = load_word_search(store, configuration, serves, frame, gallery)
    if search is None:
        raise ModelError(
            "the serving embedding knows no words: train one by a recipe with words = true, such as default "
            "('recsys train embedding'), or use an encoder with a text tower"
        )
    matches = search.search(query)[:top]
    rows = [match.row for match in matches]
    found = frame.iloc[rows][["product_id", "name", "brand", "label", "price", "in_stock"]].reset_index(drop=True)
    found.insert(0, "rank", np.arange(1, len(rows) + 1))
    return found.assign(score=[match.score for match in matches], why=[match.why for match in matches])
