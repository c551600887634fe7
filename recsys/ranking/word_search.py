"""Search products by words: exact matches, near ones, and products that look like what the words usually mean.

    score = cosine of the terms + 0.2 × cosine of the words' vectors + 0.2 × cosine of the pictures

The terms are words and character n-grams, so an exact word counts most and a typing error little; the order of words
does not count. The pictures' part maps the words into the space of the pictures, as it was learned from the shop's own
products: a product whose text lacks a word is found by its look. `docs/embedding.md` has the measurements.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.errors import ModelError
from recsys.models.embedding.serving import Serving, serving
from recsys.models.embedding.words import loaded_words, texts_of
from recsys.models.text_model import normalize
from recsys.models.word_vectors import SPACES, WordVectors, tokens
from recsys.ranking.gallery import Gallery
from recsys.ranking.gallery_loading import load_nonempty_gallery
from recsys.storage.store import Store

WORDS_WEIGHT = 0.2
PICTURE_WEIGHT = 0.2
LEAST_SHARE = 0.35
"""Share of the best score that a result has at least."""
MAX_RESULTS = 200


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


class WordSearch:
    """Searches the n products of a shop.

    Memory is about 1.2 KB for each product with a name of 40 characters; the terms are the larger part.
    """

    def __init__(
        self,
        vectors: WordVectors,
        texts: Sequence[str],
        words: NDArray[np.float32],
        pictures: NDArray[np.float32],
    ) -> None:
        """Take the shop's products.

        Args:
            vectors: the words' model of the serving embedding.
            texts: n texts, see `recsys.models.word_vectors.product_text`.
            words: (n, e) their vectors.
            pictures: (n, d) embeddings of the pictures.
        """
        self._vectors, self._texts, self._words, self._pictures = vectors, texts, words, pictures
        self._terms = vectors.terms_of(texts).tocsc()  # by columns: a query reads those of its own terms

    def search(self, query: str, allowed: NDArray[np.bool_] | None = None) -> list[Match]:
        """Return the products that match best, at most `MAX_RESULTS`; none where no term is known.

        Args:
            query: words in any order.
            allowed: (n,) the products that may be found; None: all.
        """
        text = normalize(query)
        terms = self._vectors.terms_of([text])
        words, picture = self._vectors([text])[0], self._vectors.in_pictures([text])[0]
        lexical = self._terms[:, terms.indices] @ terms.data / len(SPACES)  # (n,)
        by_words, by_picture = self._words @ words, self._pictures @ picture
        scores = lexical + WORDS_WEIGHT * by_words + PICTURE_WEIGHT * by_picture
        if allowed is not None:
            scores = np.where(allowed, scores, -np.inf)
        order = np.argsort(-scores, kind="stable")[:MAX_RESULTS]
        best = scores[order[0]] if len(order) else 0.0
        wanted = tokens(text)
        return [
            Match(int(row), float(scores[row]), self._reason(int(row), wanted, lexical[row], by_picture[row]))
            for row in order
            if scores[row] > 0 and scores[row] >= LEAST_SHARE * best
        ]

    def _reason(self, row: int, wanted: Sequence[str], lexical: float, by_picture: float) -> str:
        """Return a sentence such as `has "red" and "curtain"; looks like it`."""
        of_product = set(tokens(self._texts[row]))
        exact = [word for word in dict.fromkeys(wanted) if word in of_product]
        parts = []
        if exact:
            parts.append("has " + " and ".join(f'"{word}"' for word in exact))
        elif lexical > 0:
            parts.append("has similar words")
        if by_picture >= 0.5:
            parts.append("looks like it")
        return "; ".join(parts) or "is of a similar kind"


def load_word_search(store: Store, serves: Serving, gallery: Gallery) -> WordSearch | None:
    """Return the search over a gallery; None where the serving model has no words.

    Raises:
        TrainingError: the files of the model are missing or damaged.
    """
    if serves.model is None or not serves.model.text_weight:
        return None
    vectors = loaded_words(str(store.home), serves.version)
    texts = texts_of(store).reindex(gallery.product_ids).fillna("").tolist()
    return WordSearch(vectors, texts, vectors(texts), gallery.pictures)


def search_words(store: Store, configuration: Configuration, query: str, top: int) -> pd.DataFrame:
    """Return the products of the home that match words best, see the module's docstring.

    Columns: rank, product_id, name, brand, label, price, in_stock, score, why.

    Raises:
        NoImagesError: no product of the home can be compared yet.
        ModelError: the serving model has no words.
    """
    serves = serving(store.home, configuration)
    frame, gallery = load_nonempty_gallery(store, configuration, serves)
    search = load_word_search(store, serves, gallery)
    if search is None:
        raise ModelError(
            "the serving embedding knows no words: train one by a recipe with words = true, such as default "
            "('recsys train embedding')"
        )
    matches = search.search(query)[:top]
    rows = [match.row for match in matches]
    found = frame.iloc[rows][["product_id", "name", "brand", "label", "price", "in_stock"]].reset_index(drop=True)
    found.insert(0, "rank", np.arange(1, len(rows) + 1))
    return found.assign(score=[match.score for match in matches], why=[match.why for match in matches])
