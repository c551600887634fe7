"""Turn the words of a product into a unit vector, learned from the shop's own catalogue: no model hub, any script.

    words, and character 3- to 5-grams within them, TF-IDF  →  principal components  →  a trained head

Character n-grams need no dictionary, stand up to typing errors, and cover scripts without spaces. The head is trained
like the one of the pictures, so that words of products of one category are near each other. Principal components of
terms: S. Deerwester et al., "Indexing by Latent Semantic Analysis" (1990).
"""

from __future__ import annotations

import json
import re
import unicodedata
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recsys.core.vectors import unit_rows
from recsys.models.text_model import RARE_TERMS_FROM, normalize

if TYPE_CHECKING:  # scikit-learn takes a second to import
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

COMPONENTS = 128
"""Largest number of principal components; `docs/embedding.md` has the measurements behind this module's numbers."""
MAX_TERMS = 50_000
BLOCK = 4_096
"""Texts that are computed at once; their terms take some 10 MB."""
SEED = 12_345
RIDGE = 1.0
"""Strength of the regularization of the map to pictures."""
FILE, TERMS_FILE = "words.npz", "words.json"
ARRAYS = ("components", "kernel", "bias", "to_pictures")
SPACES: Mapping[str, Mapping[str, Any]] = {
    "characters": {"analyzer": "char_wb", "ngram_range": (3, 5)},
    "words": {},
}
"""Kinds of terms; those of `words` are the result of `tokens`."""
WITHOUT_SPACES = re.compile("([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+)")
"""Kana and Han characters."""


def product_text(name: Any, brand: Any = None, attributes: Iterable[str] = ()) -> str:
    """Return the words of a product: name, brand unless the name has it, and attributes; empty if it has none."""
    words = normalize(name)
    for part in map(normalize, (brand, *attributes)):
        if part and part not in words:
            words = f"{words} {part}"
    return words.strip()


def tokens(text: str) -> list[str]:
    """Return the words of a normalised text; Chinese and Japanese, which have no spaces, as pairs of characters.

    Vowel signs, as in Devanagari, belong to words. Pairs of characters: the rule of Lucene's CJKBigramFilter.
    """
    if text.isascii():
        return re.findall(r"\w+", text)
    # a regular expression's \w does not match marks
    is_word = (each.isalnum() or each == "_" or unicodedata.category(each)[0] == "M" for each in text)
    words = "".join(each if part else " " for each, part in zip(text, is_word, strict=True)).split()
    parts = [part for word in words for part in WITHOUT_SPACES.split(word) if part]
    return [pair for part in parts for pair in (_pairs(part) if WITHOUT_SPACES.match(part) else [part])]


def _pairs(characters: str) -> list[str]:
    return [characters[start : start + 2] for start in range(max(1, len(characters) - 1))]


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms of a shop's texts, and their weights by TF-IDF.

    Attributes:
        names: terms of each space, f in all.
        idf: (f,) float32, their inverse document frequencies.
    """

    names: Mapping[str, list[str]]
    idf: NDArray[np.float32]

    @classmethod
    def fit(cls, texts: Sequence[str]) -> tuple[Terms, csr_matrix]:
        """Return the terms of texts, and the texts as `__call__` returns them; f is 0 if they share no term."""
        from scipy.sparse import csr_matrix, hstack

        rarest = 2 if len(texts) >= RARE_TERMS_FROM else 1
        names, idf, parts = {}, [np.zeros(0, np.float32)], [csr_matrix((len(texts), 0), dtype=np.float32)]
        for space in SPACES:
            vectorizer = _vectorizer(space, max_features=MAX_TERMS, min_df=rarest)
            try:
                parts.append(vectorizer.fit_transform(texts))
            except ValueError:  # the texts are blank, or share no term
                continue
            names[space] = vectorizer.get_feature_names_out().tolist()
            idf.append(vectorizer.idf_.astype(np.float32))
        return cls(names, np.concatenate(idf)), hstack(parts, format="csr", dtype=np.float32)

    def __call__(self, texts: Sequence[str]) -> csr_matrix:
        """Return the weights of terms (n, f) float32; those of each space have length 1, or there are none."""
        from scipy.sparse import csr_matrix, hstack

        parts = [vectorizer.transform(texts) for vectorizer in self._vectorizers]
        return hstack([csr_matrix((len(texts), 0)), *parts], format="csr", dtype=np.float32)

    @cached_property
    def _vectorizers(self) -> list[TfidfVectorizer]:
        vectorizers, start = [], 0
        for space, names in self.names.items():
            vectorizer = _vectorizer(space, vocabulary=names)
            vectorizer.idf_ = self.idf[start : start + len(names)]
            vectorizers.append(vectorizer)
            start += len(names)
        return vectorizers


@dataclass(frozen=True, eq=False)
class WordVectors:
    """The trained model.

    Attributes:
        terms: of the texts that it was trained on, f in all.
        components: (f, c) float32, the principal components.
        kernel: (c, e) float32 of the head.
        bias: (e,) float32 of the head.
        to_pictures: (c, d) float32, from the head's inputs to the embeddings of pictures.
    """

    terms: Terms
    components: NDArray[np.float32]
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    to_pictures: NDArray[np.float32]

    @classmethod
    def fit(cls, texts: Sequence[str]) -> WordVectors | None:
        """Return a model without a trained head; None if the texts have too few terms. The same texts give the same.

        Args:
            texts: results of `product_text`.
        """
        from sklearn.decomposition import TruncatedSVD

        terms, matrix = Terms.fit(texts)
        components = min(COMPONENTS, matrix.shape[0] - 1, matrix.shape[1] - 1)
        if components < 2:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):  # equal texts have no variance
            analysis = TruncatedSVD(components, random_state=SEED).fit(matrix)
        axes = analysis.components_.T.astype(np.float16).astype(np.float32)  # (f, c), as it is saved
        identity, zeros = np.eye(components, dtype=np.float32), np.zeros(components, np.float32)
        return cls(terms, axes, identity, zeros, identity[:, :0])

    def with_head(self, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> WordVectors:
        """Return the model with a trained head."""
        return replace(self, kernel=kernel, bias=bias)

    def with_pictures(self, texts: Sequence[str], pictures: NDArray[np.float32]) -> WordVectors:
        """Return the model with a map from words to the embeddings of pictures, by ridge regression.

        Args:
            texts: n texts.
            pictures: (n, d) embeddings of the same products, of unit length.
        """
        inputs = self.inputs(texts)
        inputs, pictures = inputs[inputs.any(axis=1)], pictures[inputs.any(axis=1)]
        square = inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1], dtype=np.float32)
        return replace(self, to_pictures=np.linalg.solve(square, inputs.T @ pictures).astype(np.float32))

    def in_pictures(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (n, d) float32 of unit length in the space of pictures; zeros for a text without a known term."""
        return unit_rows(self.inputs(texts) @ self.to_pictures)

    @property
    def size(self) -> int:
        """Length of a vector, e."""
        return int(self.kernel.shape[1])

    def inputs(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the inputs of the head (n, c) float32, rows of unit length; zeros for a text without a known term."""
        blocks = (self.terms(texts[start : start + BLOCK]) for start in range(0, len(texts), BLOCK))
        projected = [np.asarray(block @ self.components, np.float32) for block in blocks]
        return unit_rows(np.concatenate([np.zeros((0, self.components.shape[1]), np.float32), *projected]))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors (n, e) float32 of unit length; zeros for a text without a known term."""
        inputs = self.inputs(texts)
        vectors = inputs @ self.kernel + self.bias
        vectors[~inputs.any(axis=1)] = 0
        return unit_rows(vectors)

    def save(self, folder: Path) -> None:
        """Write the model to a folder that exists."""
        (folder / TERMS_FILE).write_text(json.dumps(self.terms.names), encoding="utf-8")
        arrays = {name: getattr(self, name) for name in ARRAYS}
        np.savez(folder / FILE, idf=self.terms.idf, **arrays | {"components": self.components.astype(np.float16)})

    @classmethod
    def load(cls, folder: Path) -> WordVectors:
        """Return a saved model.

        Raises:
            OSError, ValueError, KeyError: it is missing or damaged.
        """
        names = json.loads((folder / TERMS_FILE).read_text(encoding="utf-8"))
        try:
            with np.load(folder / FILE, allow_pickle=False) as saved:
                arrays = {name: saved[name].astype(np.float32) for name in ("idf", *ARRAYS)}
        except (zipfile.BadZipFile, EOFError) as error:
            raise ValueError(f"{FILE}: {error}") from error
        terms = Terms(names, arrays.pop("idf"))
        if not isinstance(names, dict) or sum(map(len, names.values())) != len(terms.idf):
            raise ValueError(f"{TERMS_FILE} and {FILE} are not of one model")
        return cls(terms, **arrays)


def _vectorizer(space: str, **counting: Any) -> TfidfVectorizer:
    from sklearn.feature_extraction.text import TfidfVectorizer

    how = SPACES[space] or {"tokenizer": tokens, "token_pattern": None}
    return TfidfVectorizer(lowercase=False, sublinear_tf=True, dtype=np.float32, **how, **counting)
