"""Perceptual fingerprints: which pictures are one photo, resized, recompressed, recoloured or mirrored.

A fingerprint is the signs of 64 coefficients of a picture's cosine transform, a pHash (Zauner, "Implementation and
benchmarking of perceptual image hash functions", 2010). Its usual 8 × 8 lowest frequencies are no use in a shop: a
product in the middle of white looks the same there as any other. On 735 real photos mugs with different prints differ
in 2 of those bits, no more than one photo at two sizes. So the lowest four frequencies of each axis are left out.
Measured on the same photos:

    pairs of them                 27 within 5 bits, all the same photo; the next are 6 (one laptop with two skins),
                                  8 (a glove, a bedcover in two patterns) and 9 (mugs, batteries) bits apart
    pairs, one of them mirrored   none within 8 bits
    one photo, within 5 bits      recompressed at quality 40: 99.6 %; at half the size: 99.7 %; at 100 pixels: 98.8 %;
                                  brightened by a tenth: 95 %; mirrored: 99.6 %
    not found                     cut by 3 % of its sides (29 % are), put on a wider white border
"""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd

VERSION = 1
"""Of the rule below; raised when the same picture would get another fingerprint."""

DISTANCE = 5
"""Bits, at most, between two fingerprints of one photo."""

SIDE = 64
"""Pixels that a picture is averaged to before its transform."""
BLOCK = slice(4, 12)
"""Of the frequencies of each axis, those that a fingerprint is made of."""
EVEN = 0.5
"""A coefficient, in grey levels, up to which a picture has nothing of that frequency: rounding alone makes as much."""

ODD = np.uint64(int("01" * 32, 2))
"""The bits of odd horizontal frequencies, whose sign a mirrored picture turns."""

CHAIN = 50
"""Pictures that may be one photo, and CHAIN_SHARE of all of them, before they are suspected of being a chain."""
CHAIN_SHARE = 0.02

PAIRS = 1_000_000
"""That are kept before they are joined, which bounds the memory."""


def fingerprint(image: np.ndarray) -> np.uint64:
    """Return the fingerprint of a squared picture.

    Compare two by the number of bits in which they differ: unrelated photos differ in 32, one photo's in `DISTANCE`
    at most. A picture of one colour has 0.

    Args:
        image: (h, w, 3) uint8 RGB.
    """
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    signs = cv2.dct(grey.astype(np.float32))[BLOCK, BLOCK] > EVEN  # (8, 8): vertical, horizontal frequency
    return np.packbits(signs).view(">u8").astype(np.uint64)[0]


def near_duplicates(fingerprints: np.ndarray, distance: int = DISTANCE) -> np.ndarray:
    """Return for each picture the number of the photo that it is, from 0 in the order of their first pictures.

    Two pictures are one photo when their fingerprints, or those of one and the other mirrored, differ in no more bits
    than `distance`; and so are two that a row of such pairs connects. Where that connects suspiciously many (2 % of
    the pictures, and 50 fingerprints), it is a chain through pictures of one kind and not one photo: these are parted
    again by a smaller distance, down to 0.

    100,000 pictures take seconds, and memory in proportion to their number.

    Args:
        fingerprints: (n,) uint64.
        distance: bits.

    Returns:
        (n,) int64.
    """
    values, inverse = np.unique(np.asarray(fingerprints, np.uint64), return_inverse=True)
    if not len(values):
        return np.zeros(0, np.int64)
    photos = _connected(values, distance)
    most = max(CHAIN, CHAIN_SHARE * len(inverse))
    while distance > 0 and ((sizes := np.bincount(photos)) > most).any():
        distance -= 1
        chained = (sizes > most)[photos]
        photos[chained] = len(sizes) + _connected(values[chained], distance)
        photos = np.unique(photos, return_inverse=True)[1]
    return pd.factorize(photos[inverse])[0].astype(np.int64)


def one_photo(one: np.uint64, others: np.ndarray) -> np.ndarray:
    """Return of which pictures another is the same photo, as it is or mirrored: within `DISTANCE` bits.

    Args:
        one: its fingerprint.
        others: (n,) uint64, theirs.

    Returns:
        (n,) bool.
    """
    bits = np.minimum(np.bitwise_count(others ^ one), np.bitwise_count(others ^ one ^ ODD))
    return np.asarray(bits <= DISTANCE)


def joined(codes: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return codes in which those that a row of pairs connects are the same, counted from 0 without a gap.

    Args:
        codes: (n,) int64, from 0.
        one, other: (m,) int64, pairs of codes.

    Returns:
        (n,) int64.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = int(codes.max(initial=-1)) + 1
    pairs = coo_array((np.ones(len(one), bool), (one, other)), shape=(size, size))
    return connected_components(pairs, directed=False)[1].astype(np.int64)[codes]


def _connected(values: np.ndarray, distance: int) -> np.ndarray:
    """Return the component of each fingerprint, counted from 0: (n,) int64.

    Of the bits, cut into one band more than may differ, two near fingerprints have at least one band in common: in the
    order of a band's values, each is compared with those after it that share it, all at one step apart at once.
    """
    both = np.concatenate([values, values ^ ODD])  # (2n,): as they are, mirrored
    photos = np.arange(len(values))
    for band in np.array_split(np.arange(64, dtype=np.uint64), distance + 1):
        keys = (both >> band[0]) & np.uint64((1 << len(band)) - 1)
        order = np.argsort(keys, kind="stable")
        keys, signs, rows = keys[order], both[order], order % len(values)
        pairs: list[np.ndarray] = []
        left, step, waiting = np.arange(len(order)), 0, 0
        while len(left):
            step += 1
            left = left[: np.searchsorted(left, len(order) - step)]
            left = left[keys[left] == keys[left + step]]
            near = left[np.bitwise_count(signs[left] ^ signs[left + step]) <= distance]
            found = photos[np.stack([rows[near], rows[near + step]])]  # (2, m)
            pairs.append(found[:, found[0] != found[1]])
            waiting += pairs[-1].shape[1]
            if waiting > PAIRS or (waiting and not len(left)):
                photos, pairs, waiting = joined(photos, *np.concatenate(pairs, axis=1)), [], 0
    return photos
