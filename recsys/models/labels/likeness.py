"""Measure how alike two top levels of a category tree are, by the words of their products and by a text model.

Both use names and categories, not pictures: a shop may need its merge table before it has fetched any.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core import progress

OWN_WORDS = 0.5
"""Share of a value's products that counts for each word of its own name, at least."""
RARE = 0.01
"""Share of a value's products above which a word counts as one of the value's words."""
SHARED_WORDS = 4
"""Number of shared words that are given as evidence."""
SAMPLE = 8_000
"""Number of products that the text model is trained on, at most; the same number for each value."""
CLASSES = 100
"""Number of values that the text model distinguishes, at most: the largest."""
FOLDS = 5


@dataclass(frozen=True, eq=False)
class Likeness:
    """Likeness of values.

    Attributes:
        values: the n values, in the order of rows and columns.
        words: (n, n) float64 cosine similarity of the values' words, 0 to 1; 0 on the diagonal.
        confused: (n, n) float64 share of the row's products for which a text model, not trained on them, predicts the
            column; 0 on the diagonal.
        profiles: sparse (n, words) word profiles, rows of length 1.
        vocabulary: (words,) words of the profiles' columns.
    """

    values: tuple[str, ...]
    words: NDArray[np.float64]
    confused: NDArray[np.float64]
    profiles: Any
    vocabulary: NDArray[np.object_]

    @property
    def strength(self) -> NDArray[np.float64]:
        """Return (n, n) the combined evidence that two values are one, 0 to 1: 1 − (1 − words)(1 − confused)."""
        return 1 - (1 - self.words) * (1 - self.confused)

    def shared(self, one: str, other: str) -> list[str]:
        """Return the words that make two values alike, by descending weight."""
        rows = [self.values.index(one), self.values.index(other)]
        weights = self.profiles[rows[0]].multiply(self.profiles[rows[1]]).toarray().ravel()
        best = np.argsort(-weights, kind="stable")[:SHARED_WORDS]
        return [str(self.vocabulary[column]) for column in best if weights[column] > 0]


def likeness(products: pd.DataFrame, values: Sequence[str]) -> Likeness:
    """Return the likeness of these top levels.

    Words: the profile of a value has, for each word, the square root of the share of its products that have the word
    in their name or category path (without the brand), weighted by the logarithm of the inverse number of values that
    have the word: TF-IDF with the values as documents. Confusion: out-of-fold predictions of a linear text model, with
    products of one name and brand in one fold.

    Args:
        products: name, brand, category_path, value (one of `values`).
        values: top levels, each with at least one product.
    """
    distinct = products.assign(key=_name_and_brand(products)).drop_duplicates(["value", "key"])
    profiles, vocabulary = _profiles(distinct, values)
    words = (profiles @ profiles.T).toarray()
    np.fill_diagonal(words, 0.0)
    return Likeness(tuple(values), words.clip(0, 1), _confusion(distinct, values), profiles, vocabulary)


def words(text: str | None) -> list[str]:
    """Return the words of a text: letters and marks of any script, case folded, in the singular."""
    folded = unicodedata.normalize("NFKC", text or "").casefold().replace("'s ", " ")
    return [_singular(word) for word in folded.translate(_LETTERS).split()]


class _Letters(dict[int, int | str]):
    """Table for `str.translate` that keeps letters and marks; caches the characters that it has translated."""

    def __missing__(self, char: int) -> int | str:
        self[char] = char if unicodedata.category(chr(char))[0] in "LM" else " "
        return self[char]


_LETTERS = _Letters()


def _singular(word: str) -> str:
    """Return the singular of an English plural; words of other languages rarely have these endings."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _name_and_brand(products: pd.DataFrame) -> pd.Series:
    """Return a hash of the name and brand of each product."""
    texts = products["name"].fillna("").astype(object) + "\x1f" + products["brand"].fillna("").astype(object)
    return pd.util.hash_pandas_object(texts.astype(object), index=False)


def _profiles(products: pd.DataFrame, values: Sequence[str]) -> tuple[Any, NDArray[np.object_]]:
    """Return the profiles of the values, sparse (n, words) with rows of length 1, and the words."""
    from scipy.sparse import csr_matrix, diags
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import normalize

    product_words = _product_words(products)
    value_words = [{word for word in words(value) if len(word) > 2} for value in values]
    counter = CountVectorizer(analyzer=lambda words: words, binary=True, dtype=np.float64)
    counter.fit([*product_words, *value_words, {"\x1f"}])  # at least one word, which scikit-learn needs
    row_of = {value: row for row, value in enumerate(values)}
    rows = np.array([row_of[value] for value in products["value"]])
    sizes = np.bincount(rows, minlength=len(values)).astype(np.float64)
    members = csr_matrix((1 / sizes[rows], (rows, np.arange(len(rows)))), (len(values), len(rows)))
    shares = (members @ counter.transform(product_words)).maximum(OWN_WORDS * counter.transform(value_words)).tocsr()
    values_with_word = np.asarray((shares > RARE).sum(axis=0)).ravel()
    weights = np.log((1 + len(values)) / np.maximum(values_with_word, 1))
    return normalize(shares.sqrt() @ diags(weights)), counter.get_feature_names_out()


def _product_words(products: pd.DataFrame) -> list[set[str]]:
    """Return the words of each product's name and category path below the top level, without those of its brand."""
    names, brands = (
        products[column].astype(object).where(products[column].notna(), "") for column in ("name", "brand")
    )
    return [
        {word for part in (name, *path[1:]) for word in words(part) if len(word) > 2} - set(words(brand))
        for name, brand, path in zip(names, brands, products["category_path"], strict=True)
    ]


def _confusion(products: pd.DataFrame, values: Sequence[str]) -> NDArray[np.float64]:
    """Return (n, n) the share of each value's products for which a text model, out of fold, predicts another value."""
    from recsys.models.grouping import assign_folds, assign_groups
    from recsys.models.text_model import TextModel

    largest = products["value"].value_counts().index[:CLASSES]
    per_value = max(SAMPLE // max(len(largest), 1), FOLDS)
    sample = products[products["value"].isin(largest)].sort_values("key").groupby("value", sort=False).head(per_value)
    names, brands = (sample[column].to_numpy(dtype=object) for column in ("name", "brand"))
    codes = np.array([values.index(value) for value in sample["value"]], dtype=np.int64)
    groups = assign_groups(names, brands, near_names=False)  # the limits of `suggest` were set on these
    folds = assign_folds(codes, groups, FOLDS)
    counts = np.zeros((len(values), len(values)))
    progress.begin("grey areas", len(sample))
    for fold in np.unique(folds[folds >= 0]):
        held_out = folds == fold
        model = TextModel.fit(names[~held_out], brands[~held_out], codes[~held_out], len(values))
        predicted = model.logits(names[held_out], brands[held_out]).argmax(axis=1)
        np.add.at(counts, (codes[held_out], predicted), 1)
        progress.advance("grey areas", int(held_out.sum()))
    progress.finish("grey areas", f"{len(sample):,} products of {len(largest):,} top levels compared")
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(counts, 0.0)
    return counts / totals
