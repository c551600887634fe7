"""Variants: products that are one in several sizes, or listed twice. An answer shows one of them.

Two products of one label are variants of one when their pictures agree in colour, and either

    they show one photo       fingerprints within `recsys.vision.perceptual_hash.DISTANCE`, mirrored or not
    they have one name        the same brand and the same name but for words of size and colour, and embeddings that
                              agree, as those of two photos of one thing do

and so are two that a row of such pairs connects. Colour is asked of the pictures and not of the names, since a shop
that sells a towel in red and in blue wants both seen, and often shows both by one photo, coloured anew. On 735 real
photos, the 27 pairs of one photo score 0.99 or more in colour, but for one: a quilt in fuchsia and in blue, 0.62.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.ranking.gallery import blocks, rows_of_values
from recsys.ranking.likeness import colour_scores
from recsys.vision.perceptual_hash import joined, near_duplicates

COLOUR = 0.8
"""Colour score, at least, of two pictures of one variant."""
COSINE = 0.9
"""Cosine similarity, at least, of two pictures of products with one name."""
BLOCK_BYTES = 16 << 20
MOST_PAIRS = 8_192
"""Whose colours are compared at once; as many wait for it, or those of one block."""

SIZES = "xxs xs s m l xl xxl xxxl small medium large size free king queen single double pack of set"
COLOURS = (
    "beige black blue bronze brown charcoal color colour coral cream dark fuchsia fushia gold golden green grey gray "
    "indigo ivory khaki lavender light magenta maroon multi multicolor multicolour navy olive orange peach pink purple "
    "red rust silver tan teal turquoise violet white wine yellow"
)
PASSED_OVER = frozenset(f"{SIZES} {COLOURS}".split())
"""Words of a name that tell variants apart."""
MEASURE = re.compile(r"\d+(x\d+)*|(\d+(x\d+)*)?(mm|cm|m|ml|l|g|gm|gms|kg|oz|inch|inches|in|pcs|pieces|gb|tb)")


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
        labels: (n,) str; products without one, None, are compared with each other.
        names, brands: (n,) of each product, null where there is none.
        fingerprints: (n,) of each picture (see `recsys.vision.perceptual_hash`), or None where they are not known.
        embeddings: (n, d) of unit length.
        histograms: (n, bins) summing to 1.
    """
    keys = np.array([core_name(name, brand) for name, brand in zip(names, brands, strict=True)], dtype=object)
    pairs = _Pairs(histograms)
    for members in (np.flatnonzero(pd.isna(labels)), *rows_of_values(labels).values()):
        if fingerprints is not None:
            photos = near_duplicates(np.asarray(fingerprints[members], np.uint64))
            pairs.add(_sets(photos, members), None)
        pairs.add(_sets(keys[members], members), embeddings)
    return np.asarray(pd.factorize(pairs.joined())[0], dtype=np.int64)


def _sets(values: NDArray[Any], members: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the members of each value that several have."""
    return [members[rows] for rows in rows_of_values(values).values() if len(rows) > 1]


def core_name(name: str | None, brand: str | None) -> str | None:
    """Return a name without case, accents, punctuation and words of size and colour, with its brand; None if empty."""
    words = [word for word in _words(name) if word not in PASSED_OVER]
    kept = [word for word in words if not MEASURE.fullmatch(word)]
    return "\x1f".join([" ".join(_words(brand)), *kept]) if kept else None


def _words(text: str | None) -> list[str]:
    if text is None or pd.isna(text):
        return []
    plain = text.casefold()
    if not text.isascii():
        marked = unicodedata.normalize("NFKD", text).casefold()
        plain = "".join(mark for mark in marked if not unicodedata.combining(mark))
    return re.findall(r"\w+", plain)


class _Pairs:
    """Pairs of products that may be variants of one, of which those stay that agree in colour."""

    def __init__(self, histograms: NDArray[np.float32]) -> None:
        self._histograms = histograms
        self._codes = np.arange(len(histograms))  # (n,) the same of those that pairs have connected
        self._waiting: list[NDArray[np.int64]] = []  # (2, p) each
        self._count = 0

    def add(self, sets: Iterable[NDArray[np.int64]], embeddings: NDArray[np.float32] | None) -> None:
        """Take the pairs within each set, of those whose embeddings agree if they are given."""
        for rows in sets:
            for one, other in _pairs(rows, embeddings):
                self._waiting.append(np.stack([one, other]))
                self._count += len(one)
                if self._count > MOST_PAIRS:
                    self.joined()

    def joined(self) -> NDArray[np.int64]:
        """Return codes (n,) that are the same for products that a row of pairs connects."""
        if self._count:
            one, other = np.concatenate(self._waiting, axis=1)
            new = self._codes[one] != self._codes[other]
            one, other = one[new], other[new]
            alike = np.zeros(len(one), bool)
            for part in blocks(np.arange(len(one)), 1, MOST_PAIRS):
                scores = colour_scores(self._histograms[one[part]], self._histograms, other[part, None])
                alike[part] = scores[:, 0] >= COLOUR
            self._codes = joined(self._codes, self._codes[one[alike]], self._codes[other[alike]])
            self._waiting, self._count = [], 0
        return self._codes


def _pairs(
    rows: NDArray[np.int64], embeddings: NDArray[np.float32] | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the pairs of these rows whose embeddings agree, block by block."""
    for block in blocks(np.arange(len(rows)), 16 * len(rows), BLOCK_BYTES):
        later = np.arange(len(rows)) > block[:, None]  # (b, r) each pair once
        if embeddings is not None:
            later &= embeddings[rows[block]] @ embeddings[rows].T >= COSINE
        one, other = np.nonzero(later)
        if len(one):
            yield rows[block[one]], rows[other]
