"""How alike two top levels of a category tree are: by the words of their products, and by what a text model confuses.

Both look at what people wrote, names and categories, not at pictures: a shop that makes its merge table may have
fetched none yet.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core import progress

OWN_WORDS = 0.5  # a word of its name counts as if this share of a value's products had it, at least
RARE = 0.01  # a word that fewer of a value's products have is not the value's
SHARED_WORDS = 4  # named as evidence
SAMPLE = 8_000  # products that the text model learns from, at most, as many of each value
CLASSES = 100  # values that it tells apart, at most: the largest
FOLDS = 5


@dataclass(frozen=True, eq=False)
class Likeness:
    """How alike values are.

    Attributes:
        values: of the rows and columns below.
        words: (n, n) float64, the cosine of two values' words, 0 to 1; 0 on the diagonal.
        confused: (n, n) float64, the share of the row's products that a text model which did not see them takes for
            the column's; 0 on the diagonal.
        profiles: sparse (n, words), rows of length 1.
        vocabulary: (words,) of the profiles' columns.
    """

    values: tuple[str, ...]
    words: NDArray[np.float64]
    confused: NDArray[np.float64]
    profiles: Any
    vocabulary: NDArray[np.object_]

    @property
    def strength(self) -> NDArray[np.float64]:
        """The evidence of both that two values are one, (n, n), 0 to 1: as of two witnesses, 1 − (1 − a)(1 − b)."""
        return 1 - (1 - self.words) * (1 - self.confused)

    def shared(self, one: str, other: str) -> list[str]:
        """Return the words that make two values alike, the weightiest first."""
        rows = [self.values.index(one), self.values.index(other)]
        weights = np.asarray(self.profiles[rows[0]].multiply(self.profiles[rows[1]]).todense()).ravel()
        best = np.argsort(-weights, kind="stable")[:SHARED_WORDS]
        return [str(self.vocabulary[at]) for at in best if weights[at] > 0]


def likeness(products: pd.DataFrame, values: Sequence[str]) -> Likeness:
    """Return how alike these top levels are.

    Words: a value's profile has for each word the root of the share of its products that have it in their name or
    category path (brands left out), weighted by the logarithm of how few values have it, as TF-IDF with the values as
    documents. Confusion: the predictions of a linear text model out of fold, products of one name and brand in one
    fold.

    Args:
        products: name, brand, category_path, value (one of `values`).
        values: each with a product at least.
    """
    distinct = products.assign(key=_keys(products)).drop_duplicates(["value", "key"])
    profiles, vocabulary = _profiles(distinct, values)
    words = np.asarray((profiles @ profiles.T).todense())
    np.fill_diagonal(words, 0.0)
    return Likeness(tuple(values), words.clip(0, 1), _confusion(distinct, values), profiles, vocabulary)


def words(text: str | None) -> list[str]:
    """Return the words of a text: of letters and their marks, in any script, case folded, in the singular."""
    folded = unicodedata.normalize("NFKC", text or "").casefold().replace("'s ", " ")
    return [_singular(word) for word in folded.translate(_LETTERS).split()]


class _Letters(dict[int, int | str]):
    """A table for `str.translate` that leaves letters and their marks; what it has seen, it knows."""

    def __missing__(self, char: int) -> int | str:
        self[char] = char if unicodedata.category(chr(char))[0] in "LM" else " "
        return self[char]


_LETTERS = _Letters()


def _singular(word: str) -> str:
    """Return an English plural's singular; words of other languages hardly end so."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _keys(products: pd.DataFrame) -> pd.Series:
    """Return of each product a number that those of the same name and brand share."""
    written = products["name"].fillna("").astype(object) + "\x1f" + products["brand"].fillna("").astype(object)
    return pd.util.hash_pandas_object(written.astype(object), index=False)


def _profiles(products: pd.DataFrame, values: Sequence[str]) -> tuple[Any, NDArray[np.object_]]:
    """Return the values' profiles as a sparse (n, words) with rows of length 1, and the words."""
    from scipy.sparse import csr_matrix, diags
    from sklearn.feature_extraction.text import CountVectorizer

    rows = zip(_texts(products, "name"), _texts(products, "brand"), products["category_path"], strict=True)
    said = [
        {word for part in (name, *path[1:]) for word in words(part) if len(word) > 2} - set(words(brand))
        for name, brand, path in rows
    ]
    own = [{word for word in words(value) if len(word) > 2} for value in values]
    counter = CountVectorizer(analyzer=lambda words: words, binary=True, dtype=np.float64)
    counter.fit([*said, *own, {"\x1f"}])  # a word at least, also where nothing is said
    row_of = {value: row for row, value in enumerate(values)}
    of_value = np.array([row_of[value] for value in products["value"]])
    sizes = np.bincount(of_value, minlength=len(values)).astype(np.float64)
    members = csr_matrix((1 / sizes[of_value], (of_value, np.arange(len(of_value)))), (len(values), len(of_value)))
    shares = (members @ counter.transform(said)).maximum(OWN_WORDS * counter.transform(own)).tocsr()
    values_with = np.asarray((shares > RARE).sum(axis=0)).ravel()
    weights = np.log((1 + len(values)) / np.maximum(values_with, 1))
    profiles = shares.sqrt() @ diags(weights)
    lengths = np.sqrt(np.asarray(profiles.multiply(profiles).sum(axis=1)).ravel())
    return (diags(1 / np.maximum(lengths, 1e-12)) @ profiles).tocsr(), counter.get_feature_names_out()


def _confusion(products: pd.DataFrame, values: Sequence[str]) -> NDArray[np.float64]:
    """Return, of each value's products, the share that is taken for each other value out of fold, (n, n)."""
    from recsys.models.grouping import assign_folds, assign_groups
    from recsys.models.text_model import TextModel

    largest = products["value"].value_counts().index[:CLASSES]
    each = max(SAMPLE // max(len(largest), 1), FOLDS)
    sample = products[products["value"].isin(largest)].sort_values("key").groupby("value", sort=False).head(each)
    names, brands = (sample[column].to_numpy(dtype=object) for column in ("name", "brand"))
    codes = np.array([values.index(value) for value in sample["value"]], dtype=np.int64)
    fold_of = assign_folds(codes, assign_groups(names, brands), FOLDS)
    confused = np.zeros((len(values), len(values)))
    progress.begin("grey areas", len(sample))
    for fold in np.unique(fold_of[fold_of >= 0]):
        held = fold_of == fold
        model = TextModel.fit(names[~held], brands[~held], codes[~held], len(values))
        taken_for = model.logits(names[held], brands[held]).argmax(axis=1)
        np.add.at(confused, (codes[held], taken_for), 1)
        progress.advance("grey areas", int(held.sum()))
    progress.finish("grey areas", f"{len(sample):,} products of {len(largest):,} top levels compared")
    judged = np.maximum(confused.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(confused, 0.0)
    return confused / judged


def _texts(products: pd.DataFrame, column: str) -> list[str]:
    return [text if isinstance(text, str) else "" for text in products[column]]
