"""Variants: products that are one in several sizes, or listed twice. An answer shows one of them.

Two products of one label are variants of one when their pictures agree in colour, and either

    they show one photo       fingerprints within `recsys.images.fingerprint.DISTANCE`, mirrored or not
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

from recsys.images.fingerprint import joined, near_duplicates
from recsys.recommender.gallery import blocks, rows_of_values
from recsys.recommender.likeness import colour_scores

COLOUR = 0.8
"""Colour score, at least, of two pictures of one variant."""
COSINE = 0.9
"""Cosine similarity, at least, of two pictures of products with one name."""
BLOCK_BYTES = 16 << 20

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
        fingerprints: (n,) of each picture (see `recsys.images.fingerprint`), or None where they are not known.
        embeddings: (n, d) of unit length.
        histograms: (n, bins) summing to 1.
    """
    codes = np.arange(len(embeddings))
    keys = np.array([core_name(name, brand) for name, brand in zip(names, brands, strict=True)], dtype=object)
    for members in (np.flatnonzero(pd.isna(labels)), *rows_of_values(labels).values()):
        if fingerprints is not None:
            photos = near_duplicates(np.asarray(fingerprints[members], np.uint64))
            codes = _joined_in(codes, _sets(photos, members), histograms, None)
        codes = _joined_in(codes, _sets(keys[members], members), histograms, embeddings)
    return np.asarray(pd.factorize(codes)[0], dtype=np.int64)


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
    plain = unicodedata.normalize("NFKD", text).casefold()
    return re.findall(r"\w+", "".join(mark for mark in plain if not unicodedata.combining(mark)))


def _joined_in(
    codes: NDArray[np.int64],
    sets: Iterable[NDArray[np.int64]],
    histograms: NDArray[np.float32],
    embeddings: NDArray[np.float32] | None,
) -> NDArray[np.int64]:
    """Return codes in which products of one set that agree in colour, and in embedding if given, are the same."""
    for rows in sets:
        for one, other in _pairs(rows, embeddings):
            alike = colour_scores(histograms[one], histograms, other[:, None])[:, 0] >= COLOUR
            codes = _merged(codes, codes[one[alike]], codes[other[alike]])
    return codes


def _merged(codes: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    return joined(codes, one, other) if (one != other).any() else codes


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
