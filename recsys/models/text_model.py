"""Score the labels of a product from its name and brand: TF-IDF terms and a linear support vector machine.

There are three spaces of terms: words and pairs of words of the name, character n-grams of the name, and words of the
brand. Character n-grams cover scripts without spaces, compound words and misspellings.
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
"""Strings, or NA if missing: a list, an array or a column of a frame."""

LONGEST_TEXT = 1_000
"""Length to which texts are cut, characters; the longest of the 20,000 real names has 301."""

RARE_TERMS_FROM = 1_000
"""Number of rows from which terms that occur in a single row are left out, which halves the model."""

C = 0.5
"""Inverse regularization strength of the support vector machine; accuracy is the same from 0.2 to 2."""

ABSENT_SCORE = -2.0
"""Score of a class without examples; a score for a clearly wrong class is about -1."""

BLOCK = 10_000
"""Rows that are scored at once: about 10 MB of terms."""


@dataclass(frozen=True)
class _Space:
    """Terms of one column: how they are counted, and their weight against those of the other spaces."""

    column: Literal["name", "brand"]
    weight: float
    counting: Mapping[str, Any]

    def vectorizer(self, **counting: Any) -> TfidfVectorizer:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(lowercase=False, sublinear_tf=True, dtype=np.float32, **self.counting, **counting)


# docs/labels.md has the measurements behind these choices.
SPACES: Mapping[str, _Space] = {
    "words": _Space("name", 1.0, {"ngram_range": (1, 2), "token_pattern": r"\w+", "max_features": 50_000}),
    "characters": _Space("name", 1.0, {"analyzer": "char_wb", "ngram_range": (2, 4), "max_features": 50_000}),
    "brand": _Space("brand", 0.5, {"ngram_range": (1, 2), "token_pattern": r"\w+", "max_features": 20_000}),
}


@dataclass(frozen=True, eq=False)
class TextModel:
    """Trained text model.

    Attributes:
        terms: terms of each space; concatenated they are the features.
        idf: (features,) float32 inverse document frequencies.
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
        """Return a model trained on n rows; the same input gives the same model.

        Args:
            names: (n,) product names.
            brands: (n,) brands.
            codes: (n,) classes of the rows, 0 to classes - 1. A class may have one example or none; a class without
                examples scores below the others.
            classes: number of classes.
            sample_weight: (n,) weight of each row; equal by default.
            seed: seed of the order in which the solver visits rows.

        Raises:
            ValueError: there are no rows, or columns differ in length.
        """
        codes = np.asarray(codes, dtype=np.int64)
        columns = _columns(names, brands)
        if not len(codes) == len(columns["name"]) == len(columns["brand"]) or not len(codes):
            raise ValueError(f"{len(codes)} labels for {len(columns['name'])} names and {len(columns['brand'])} brands")
        terms, idf, matrix = _fit_terms(columns)
        present = np.unique(codes)
        coefficients = np.zeros((len(idf), classes), np.float32)
        intercept = np.full(classes, ABSENT_SCORE, np.float32)
        if len(present) == 1 or matrix is None:
            intercept[present] = np.bincount(codes, minlength=classes)[present] / len(codes)
        else:
            coefficients[:, present], intercept[present] = _fit_classes(matrix, codes, sample_weight, seed)
        return cls(terms, idf, coefficients, intercept)

    def logits(self, names: Texts, brands: Texts) -> NDArray[np.float32]:
        """Return (n, classes) float32 decision scores, not calibrated; a row without text gets the intercepts."""
        columns = _columns(names, brands)
        scores = np.tile(self.intercept, (len(columns["name"]), 1))
        for start in range(0, len(scores) if self.terms else 0, BLOCK):
            rows = slice(start, start + BLOCK)
            parts = [
                vectorizer.transform(columns[SPACES[name].column][rows]) * SPACES[name].weight
                for name, vectorizer in self._vectorizers.items()
            ]
            scores[rows] += _concatenate(parts) @ self.coefficients
        return scores

    def save(self, folder: Path) -> None:
        """Write `terms.json` and `text.npz` to a folder, which is created if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "terms.json").write_text(json.dumps(self.terms), encoding="utf-8")
        np.savez_compressed(folder / "text.npz", idf=self.idf, coefficients=self.coefficients, intercept=self.intercept)

    @classmethod
    def load(cls, folder: Path) -> TextModel:
        """Return a saved model, which gives the same scores.

        Raises:
            OSError: a file cannot be read.
        """
        terms = json.loads((folder / "terms.json").read_text(encoding="utf-8"))
        with np.load(folder / "text.npz", allow_pickle=False) as arrays:
            return cls(terms, arrays["idf"], arrays["coefficients"], arrays["intercept"])

    @cached_property
    def _vectorizers(self) -> dict[str, TfidfVectorizer]:
        vectorizers, start = {}, 0
        for name, terms in self.terms.items():
            vectorizers[name] = SPACES[name].vectorizer(vocabulary=terms)
            vectorizers[name].idf_ = self.idf[start : start + len(terms)]
            start += len(terms)
        return vectorizers


def has_text(names: Texts, brands: Texts) -> NDArray[np.bool_]:
    """Return (n,) whether a row has a name or a brand that is neither NA nor blank."""
    columns = _columns(names, brands)
    return np.array([bool(name or brand) for name, brand in zip(columns["name"], columns["brand"], strict=True)], bool)


def _columns(names: Texts, brands: Texts) -> dict[str, list[str]]:
    return {"name": [normalize(text) for text in names], "brand": [normalize(text) for text in brands]}


def normalize(text: Any) -> str:
    """Return a text cut, in NFKC and case folded; empty if missing."""
    return unicodedata.normalize("NFKC", text[:LONGEST_TEXT]).casefold().strip() if isinstance(text, str) else ""


def _fit_terms(
    columns: Mapping[str, list[str]],
) -> tuple[dict[str, list[str]], NDArray[np.float32], csr_matrix | None]:
    """Return the terms of the spaces that have any, their idf, and the features (n, features) float32 of the rows."""
    terms: dict[str, list[str]] = {}
    idf: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
    parts: list[csr_matrix] = []
    for name, space in SPACES.items():
        texts = columns[space.column]
        vectorizer = space.vectorizer(min_df=2 if len(texts) >= RARE_TERMS_FROM else 1)
        try:
            parts.append(vectorizer.fit_transform(texts) * space.weight)
        except ValueError:  # no terms: the column is blank, or no term occurs in two rows
            continue
        terms[name] = vectorizer.get_feature_names_out().tolist()
        idf.append(vectorizer.idf_)
    return terms, np.concatenate(idf), _concatenate(parts) if parts else None


def _fit_classes(
    matrix: csr_matrix, codes: NDArray[np.int64], sample_weight: ArrayLike | None, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return coefficients (features, present classes) and intercepts (present classes,), one class against the rest."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=C, random_state=seed)
    with warnings.catch_warnings():
        # Two equal texts with two labels, for example, never converge; the last iteration is good enough.
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine.fit(matrix, codes, sample_weight)
    coefficients, intercept = np.asarray(machine.coef_).T, np.asarray(machine.intercept_)
    if len(intercept) == 1:  # of two classes scikit-learn gives only the second
        coefficients, intercept = np.hstack([-coefficients, coefficients]), np.concatenate([-intercept, intercept])
    return coefficients, intercept


def _concatenate(parts: list[csr_matrix]) -> csr_matrix:
    from scipy.sparse import hstack

    return hstack(parts, format="csr", dtype=np.float32)
