"""Variants: products that are one product in several sizes, or listed twice. An answer shows one of them.

Two products of one label are variants of one product when their pictures agree in colour, and either

    same photo    their fingerprints are within `recsys.vision.perceptual_hash.DISTANCE`, mirrored or not
    same name     their brands are equal, their names are equal except for words of size and colour, and their
                  embeddings are as near as those of two photos of one thing

Variants of one product are also variants of each other where a chain of such pairs connects them. Colour is compared
in the pictures, not in the names: a shop that sells a towel in red and in blue wants to show both, and often shows
both by one recoloured photo (see `docs/recommending.md`).
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.models.grouping import SIZES, UNITS
from recsys.ranking.gallery import blocks, rows_by_value
from recsys.ranking.scores import colour_scores
from recsys.vision.perceptual_hash import joined, near_duplicates

MIN_COLOUR_SCORE = 0.8
"""Lowest colour score of two pictures of one variant."""
MIN_COSINE = 0.9
"""Lowest cosine similarity of two pictures of products with one name."""
BLOCK_BYTES = 16 << 20
"""Size of one block of similarities, bytes."""
MAX_PAIRS = 8_192
"""Pairs whose colours are compared at once. Pairs wait until there are as many, or until the last block."""

COLOURS = (
    "beige black blue bronze brown charcoal color colour coral cream dark fuchsia fushia gold golden green grey gray "
    "indigo ivory khaki lavender light magenta maroon multi multicolor multicolour navy olive orange peach pink purple "
    "red rust silver tan teal turquoise violet white wine yellow"
)
VARIANT_WORDS = frozenset(f"{SIZES} {COLOURS}".split())
"""Words by which the names of variants differ."""
MEASURE = re.compile(rf"\d+(x\d+)*|(\d+(x\d+)*)?({'|'.join(UNITS.split())})")


def variant_groups(
    labels: NDArray[np.object_],
    names: Iterable[str | None],
    brands: Iterable[str | None],
    fingerprints: NDArray[np.uint64] | None,
    embeddings: NDArray[np.float32],
    histograms: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Return the number of each product's group, from 0 in the order of their first products.

    Args:
        labels: (n,) str; products without a label, None, are compared with each other.
        names, brands: (n,) null where there is none.
        fingerprints: (n,) one per picture (see `recsys.vision.perceptual_hash`); None where they are unknown.
        embeddings: (n, d) of unit length.
        histograms: (n, bins) that sum to 1.
    """
    keys = np.array([core_name(name, brand) for name, brand in zip(names, brands, strict=True)], dtype=object)
    pairs = _VariantPairs(histograms)
    for members in (np.flatnonzero(pd.isna(labels)), *rows_by_value(labels).values()):
        if fingerprints is not None:
            photos = near_duplicates(np.asarray(fingerprints[members], np.uint64))
            pairs.add(_shared_values(photos, members), None)
        pairs.add(_shared_values(keys[members], members), embeddings)
    return np.asarray(pd.factorize(pairs.connect())[0], dtype=np.int64)


def _shared_values(values: NDArray[Any], members: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the members with each value that two or more members have."""
    return [members[rows] for rows in rows_by_value(values).values() if len(rows) > 1]


def core_name(name: str | None, brand: str | None) -> str | None:
    """Return the brand and the name without case, accents, punctuation and words of size and colour; None if empty."""
    words = [word for word in _words(name) if word not in VARIANT_WORDS and not MEASURE.fullmatch(word)]
    return "\x1f".join([" ".join(_words(brand)), *words]) if words else None


def _words(text: str | None) -> list[str]:
    if text is None or pd.isna(text):
        return []
    plain = text.casefold()
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text).casefold()
        plain = "".join(mark for mark in decomposed if not unicodedata.combining(mark))
    return re.findall(r"\w+", plain)


class _VariantPairs:
    """Collect pairs of products that may be variants, and connect those whose pictures agree in colour."""

    def __init__(self, histograms: NDArray[np.float32]) -> None:
        self._histograms = histograms
        self._codes = np.arange(len(histograms))  # (n,) equal for products that pairs have connected
        self._waiting: list[NDArray[np.int64]] = []  # (2, p) each
        self._count = 0

    def add(self, sets: Iterable[NDArray[np.int64]], embeddings: NDArray[np.float32] | None) -> None:
        """Add the pairs within each set; with embeddings, only the pairs whose embeddings agree."""
        for rows in sets:
            for one, other in _agreeing_pairs(rows, embeddings):
                self._waiting.append(np.stack([one, other]))
                self._count += len(one)
                if self._count > MAX_PAIRS:
                    self.connect()

    def connect(self) -> NDArray[np.int64]:
        """Connect the waiting pairs that agree in colour; return codes (n,), equal for connected products."""
        if self._count:
            one, other = np.concatenate(self._waiting, axis=1)
            is_new = self._codes[one] != self._codes[other]
            one, other = one[is_new], other[is_new]
            alike = np.zeros(len(one), bool)
            for part in blocks(np.arange(len(one)), 1, MAX_PAIRS):
                scores = colour_scores(self._histograms[one[part]], self._histograms, other[part, None])
                alike[part] = scores[:, 0] >= MIN_COLOUR_SCORE
            self._codes = joined(self._codes, self._codes[one[alike]], self._codes[other[alike]])
            self._waiting, self._count = [], 0
        return self._codes


def _agreeing_pairs(
    rows: NDArray[np.int64], embeddings: NDArray[np.float32] | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the pairs of these rows whose embeddings agree, block by block."""
    for block in blocks(np.arange(len(rows)), 16 * len(rows), BLOCK_BYTES):
        later = np.arange(len(rows)) > block[:, None]  # (b, r) each pair once
        if embeddings is not None:
            later &= embeddings[rows[block]] @ embeddings[rows].T >= MIN_COSINE
        one, other = np.nonzero(later)
        if len(one):
            yield rows[block[one]], rows[other]
