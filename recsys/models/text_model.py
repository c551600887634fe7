"""What a row says, its product name and brand, to a score for each label.

Three spaces of terms (words and pairs of them, characters, brand), TF-IDF in each, and a linear support vector
machine over all of them. Characters carry scripts that write without spaces, compounds and misspellings.
"""

from __future__ import annotations

import json
import unicodedata
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:  # scikit-learn takes a second to import
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

Texts = Iterable[Any]
"""Strings, or NA for none: a list, an array or a column of a frame."""

LONGEST = 1_000
"""Characters of a text that are read; the longest of the 20,000 real names has 301."""

RARE_FROM = 1_000
"""Rows from which on a term of a single row is left out: it halves the model at no cost that could be measured. With
fewer rows every term counts."""

C = 0.5
"""Of the support vector machine. From 0.2 to 2 accuracy is the same within its noise; more is slower."""

ABSENT = -2.0
"""Score of a class without an example: what is certainly of another class scores about -1."""

BLOCK = 10_000
"""Rows that are scored at a time: about 10 MB of terms."""


@dataclass(frozen=True)
class _Space:
    """How the terms of one column are counted, and how much they weigh against the other spaces."""

    column: Literal["name", "brand"]
    weight: float
    counting: Mapping[str, Any]

    def vectorizer(self, **counting: Any) -> TfidfVectorizer:
        from sklearn.feature_extraction.text import TfidfVectorizer

        given = {**self.counting, **counting}
        return TfidfVectorizer(lowercase=False, sublinear_tf=True, dtype=np.float32, **given)


# Measured on the 19,653 labelled real rows, grouped by name and brand, on one core:
# - five folds, accuracy (seconds of the five solvers): these spaces 0.966 (10), characters of 3 to 6 0.967 (12), words
#   weighing twice the characters 0.966 (12), the 20 nearest names 0.958 (24), complement naive Bayes 0.954 (0.1); votes
#   of several of them 0.964 to 0.967. Nothing got past 0.967.
# - 10 % hidden, one to four draws: words alone 0.975 where all spaces have 0.979; ridge 0.977, five times as slow; all
#   terms in one space 0.970 against 0.972; the brand at full weight 0.973 against 0.974.
# - two folds: SGD with log loss 0.954, logistic regression 0.946 in the same time, against 0.957.
SPACES: Mapping[str, _Space] = {
    "words": _Space("name", 1.0, {"ngram_range": (1, 2), "token_pattern": r"\w+", "max_features": 50_000}),
    "characters": _Space("name", 1.0, {"analyzer": "char_wb", "ngram_range": (2, 4), "max_features": 50_000}),
    "brand": _Space("brand", 0.5, {"ngram_range": (1, 2), "token_pattern": r"\w+", "max_features": 20_000}),
}


@dataclass(frozen=True, eq=False)
class TextModel:
    """A trained model of what rows say.

    Attributes:
        terms: of each space; one after another they are the features.
        idf: (features,) float32.
        coefficients: (features, classes) float32.
        intercept: (classes,) float32.
    """

    terms: Mapping[str, list[str]]
    idf: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    intercept: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        names: Texts,
        brands: Texts,
        codes: ArrayLike,
        classes: int,
        sample_weight: ArrayLike | None = None,
        seed: int = 0,
    ) -> TextModel:
        """Return the model that is trained on n rows; the same input gives the same model.

        Args:
            names: (n,) product names.
            brands: (n,) brands.
            codes: (n,) the rows' labels as integers from 0 to classes - 1. A class may have one example or none; one
                with none scores below those that have some.
            classes: how many labels there are.
            sample_weight: (n,) how much each row counts; equally where it is not given.
            seed: of the order in which the solver visits rows.

        Raises:
            ValueError: there is no row, or columns differ in length.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        codes = np.asarray(codes, dtype=np.int64)
        columns = _columns(names, brands)
        if not len(codes) == len(columns["name"]) == len(columns["brand"]) or not len(codes):
            raise ValueError(f"{len(codes)} labels for {len(columns['name'])} names and {len(columns['brand'])} brands")
        terms, idf, matrix = _features(columns)
        present = np.unique(codes)
        coefficients = np.zeros((len(idf), classes), np.float32)
        intercept = np.full(classes, ABSENT, np.float32)
        if len(present) == 1 or not len(idf):
            intercept[present] = np.bincount(codes, minlength=classes)[present] / len(codes)
        else:
            machine = LinearSVC(C=C, random_state=seed)
            with warnings.catch_warnings():
                # Of two equal texts with two labels, say; what the iterations have reached by then is as good.
                warnings.simplefilter("ignore", ConvergenceWarning)
                machine.fit(matrix, codes, sample_weight)
            both = np.asarray(machine.coef_), np.asarray(machine.intercept_)
            if len(present) == 2:  # scikit-learn gives one column, of the second class
                both = np.vstack([-both[0], both[0]]), np.concatenate([-both[1], both[1]])
            coefficients[:, present], intercept[present] = both[0].T, both[1]
        return cls(terms, idf, coefficients, intercept)

    def logits(self, names: Texts, brands: Texts) -> NDArray[np.float32]:
        """Return (n, classes) float32 decision scores, uncalibrated; a row without text has the intercepts."""
        columns = _columns(names, brands)
        scores = np.tile(self.intercept, (len(columns["name"]), 1))
        if self.terms:
            for start in range(0, len(scores), BLOCK):
                rows = slice(start, start + BLOCK)
                parts = [
                    vectorizer.transform(columns[SPACES[name].column][rows]) * SPACES[name].weight
                    for name, vectorizer in self._vectorizers.items()
                ]
                scores[rows] += _side_by_side(parts) @ self.coefficients
        return scores

    def save(self, folder: Path) -> None:
        """Write `terms.json` and `text.npz` to a folder, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "terms.json").write_text(json.dumps(self.terms), encoding="utf-8")
        np.savez_compressed(folder / "text.npz", idf=self.idf, coefficients=self.coefficients, intercept=self.intercept)

    @classmethod
    def load(cls, folder: Path) -> TextModel:
        """Return the model that `save` wrote; it scores as the saved one does.

        Raises:
            OSError: a file cannot be read.
        """
        terms = json.loads((folder / "terms.json").read_text(encoding="utf-8"))
        with np.load(folder / "text.npz", allow_pickle=False) as arrays:
            return cls(terms, arrays["idf"], arrays["coefficients"], arrays["intercept"])

    @cached_property
    def _vectorizers(self) -> dict[str, TfidfVectorizer]:
        made, start = {}, 0
        for name, terms in self.terms.items():
            made[name] = SPACES[name].vectorizer(vocabulary=terms)
            made[name].idf_ = self.idf[start : start + len(terms)]
            start += len(terms)
        return made


def has_text(names: Texts, brands: Texts) -> NDArray[np.bool_]:
    """Return (n,) whether a row says anything: its name or its brand is neither NA nor blank."""
    columns = _columns(names, brands)
    return np.array([bool(name or brand) for name, brand in zip(columns["name"], columns["brand"], strict=True)], bool)


def _columns(names: Texts, brands: Texts) -> dict[str, list[str]]:
    return {"name": [_normal(text) for text in names], "brand": [_normal(text) for text in brands]}


def _normal(text: Any) -> str:
    """Return a text as it is compared: NFKC, case folded, cut; empty where there is none."""
    return unicodedata.normalize("NFKC", text[:LONGEST]).casefold().strip() if isinstance(text, str) else ""


def _features(columns: Mapping[str, list[str]]) -> tuple[dict[str, list[str]], NDArray[np.float32], csr_matrix | None]:
    """Return the terms of the spaces that have any, their idf, and the rows' features (n, features) float32."""
    terms: dict[str, list[str]] = {}
    idf: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
    parts: list[csr_matrix] = []
    for name, space in SPACES.items():
        texts = columns[space.column]
        vectorizer = space.vectorizer(min_df=2 if len(texts) >= RARE_FROM else 1)
        try:
            parts.append(vectorizer.fit_transform(texts) * space.weight)
        except ValueError:  # no term at all, or none twice: a column that is blank, or unlike in every row
            continue
        terms[name] = vectorizer.get_feature_names_out().tolist()
        idf.append(vectorizer.idf_)
    return terms, np.concatenate(idf), _side_by_side(parts) if parts else None


def _side_by_side(parts: list[csr_matrix]) -> csr_matrix:
    from scipy.sparse import hstack

    return hstack(parts, format="csr", dtype=np.float32)
