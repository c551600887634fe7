"""Recognise copies of one photo by perceptual hashes: resized, recompressed, brightened or mirrored.

A fingerprint is the signs of 64 coefficients of a picture's cosine transform, a pHash (Zauner, "Implementation and
benchmarking of perceptual image hash functions", 2010). The usual 8 × 8 lowest frequencies do not work for a shop,
where every product stands in the middle of white. Therefore the lowest four frequencies of each axis are left out.
`docs/embedding.md` has the measurements.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

VERSION = 1
"""Version of the fingerprint; increase it when the same picture gets another fingerprint."""

DISTANCE = 5
"""Maximum distance of two fingerprints of one photo, bits."""

SIDE = 64
"""Side to which a picture is averaged before its transform, pixels."""
FREQUENCIES = slice(4, 12)
"""Frequencies of each axis in a fingerprint."""
NOISE = 0.5
"""Coefficient, in grey levels, up to which a frequency counts as absent; rounding alone reaches this size."""

MIRROR_BITS = np.uint64(int("01" * 32, 2))
"""Bits of odd horizontal frequencies; mirroring a picture flips them."""

CHAIN_SIZE = 50
CHAIN_SHARE = 0.02
"""Size of a group above which it may be a chain of different photos: fingerprints, and share of all pictures."""

MANY = 50_000
"""Number of fingerprints from which they are compared where two bands are equal, not one."""

MAX_PAIRS = 1_000_000
"""Maximum number of pairs in memory."""


def fingerprint(image: np.ndarray) -> np.uint64:
    """Return the fingerprint of a squared picture; 0 for a picture of one colour.

    Two unrelated photos differ in about 32 bits, two copies of one photo in at most `DISTANCE`.

    Args:
        image: (h, w, 3) uint8 RGB.
    """
    import cv2  # here for the reason that `colour` has

    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    spectrum = cv2.dct(grey.astype(np.float32))[FREQUENCIES, FREQUENCIES]  # (8, 8): vertical, horizontal
    return np.packbits(spectrum > NOISE).view(">u8").astype(np.uint64)[0]


def near_duplicates(fingerprints: np.ndarray, distance: int = DISTANCE) -> np.ndarray:
    """Return the number of the photo that each picture shows, from 0 in the order of first appearance.

    Two pictures show one photo if their fingerprints, or one and the mirrored other, differ in at most `distance` bits,
    or if other pictures connect them in this way. A very large group (over 2 % of the pictures and 50 fingerprints) is
    a chain through similar photos; it is split again with smaller distances, down to 0.

    Memory is proportional to the number of pictures; a million take seconds.

    Args:
        fingerprints: (n,) uint64.
        distance: bits.

    Returns:
        (n,) int64.
    """
    values, inverse = np.unique(np.asarray(fingerprints, np.uint64), return_inverse=True)
    if not len(values):
        return np.zeros(0, np.int64)
    photos = _components(values, distance)
    chain_size = max(CHAIN_SIZE, CHAIN_SHARE * len(inverse))
    while distance > 0 and ((sizes := np.bincount(photos)) > chain_size).any():
        distance -= 1
        in_chain = (sizes > chain_size)[photos]
        photos[in_chain] = len(sizes) + _components(values[in_chain], distance)
        photos = np.unique(photos, return_inverse=True)[1]
    return pd.factorize(photos[inverse])[0].astype(np.int64)


def one_photo(one: np.uint64, others: np.ndarray) -> np.ndarray:
    """Return which pictures show the same photo as one picture, mirrored or not: (n,) bool.

    Args:
        one: fingerprint of the picture.
        others: (n,) uint64 fingerprints.
    """
    bits = np.minimum(np.bitwise_count(others ^ one), np.bitwise_count(others ^ one ^ MIRROR_BITS))
    return np.asarray(bits <= DISTANCE)


def joined(codes: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return codes in which all codes connected by pairs are equal: (n,) int64, from 0 without gaps.

    `scipy.sparse.csgraph` has this too; importing it would take a tenth of the time of a cold `recsys recommend`.

    Args:
        codes: (n,) int64, from 0.
        one, other: (m,) int64, pairs of codes.
    """
    roots = np.arange(int(codes.max(initial=-1)) + 1)  # the smallest code known to be connected to each code
    while not np.array_equal(roots[one], roots[other]):
        np.minimum.at(roots, roots[one], roots[other])
        np.minimum.at(roots, roots[other], roots[one])
        roots = roots[roots]
    while not np.array_equal(roots, roots[roots]):
        roots = roots[roots]
    return np.unique(roots, return_inverse=True)[1][codes]


def _components(values: np.ndarray, distance: int) -> np.ndarray:
    """Return the connected component of each fingerprint: (n,) int64 from 0."""
    codes = np.arange(len(values))
    pairs, count = [np.zeros((2, 0), np.int64)], 0
    for rows in _near_pairs(values, distance):
        pair = codes[rows]  # (2, m)
        pairs.append(pair[:, pair[0] != pair[1]])
        count += pairs[-1].shape[1]
        if count > MAX_PAIRS:
            codes = joined(codes, *np.concatenate(pairs, axis=1))
            pairs, count = pairs[:1], 0
    return joined(codes, *np.concatenate(pairs, axis=1))


def _near_pairs(values: np.ndarray, distance: int) -> Iterator[np.ndarray]:
    """Yield pairs of rows (2, m) whose fingerprints, mirrored or not, differ in at most `distance` bits.

    The bits are cut into `distance` + 1 bands; two near fingerprints have at least one equal band. Many fingerprints
    have too many equal ones, so theirs are cut into one band more, of which near ones have at least two equal. Sorted
    by these bands, each fingerprint is compared with those after it that have the same: first one step apart, then two,
    and so on.
    """
    both = np.concatenate([values, values ^ MIRROR_BITS])  # (2n,)
    equal = 1 if len(values) < MANY else 2
    bands = np.array_split(np.uint64(1) << np.arange(64, dtype=np.uint64), distance + equal)
    for some in itertools.combinations(bands, equal):
        keys = both & np.bitwise_or.reduce(np.concatenate(some))
        order = np.argsort(keys, kind="stable")
        keys, signs, rows = keys[order], both[order], order % len(values)
        left, step = np.arange(len(order)), 0
        while len(left):
            step += 1
            left = left[: np.searchsorted(left, len(order) - step)]
            left = left[keys[left] == keys[left + step]]
            near = left[np.bitwise_count(signs[left] ^ signs[left + step]) <= distance]
            yield np.stack([rows[near], rows[near + step]])
