"""Group near-identical products, and split examples by whole groups.

A shop lists one product many times: in sizes, in colours, by several sellers, under one name, nearly one, or with one
photo. A model that was trained on one of them would be evaluated on an answer that it has seen. So a group is in
training or held out as a whole.
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

from recsys.models.text_model import normalize
from recsys.models.word_vectors import tokens
from recsys.vision.perceptual_hash import joined, near_duplicates

TRAINING = -1
"""Fold of the rows that are never held out."""

CHAIN_ROWS = 50
CHAIN_SHARE = 0.1
"""A group with more rows than CHAIN_ROWS, and a larger share of all rows than CHAIN_SHARE, counts as a chain."""

COMMON_ROWS = 10
COMMON_SHARE = 0.05
"""A name of more rows than COMMON_ROWS, and of a larger share of all rows than COMMON_SHARE, such as `Dress`, is not
that of one product."""

SIZES = "xxs xs s m l xl xxl xxxl small medium large size free king queen single double pack of set"
"""Words of sizes and packs; `s` is also what is left of `men's`."""
UNITS = "mm cm m ml l g gm gms kg oz inch inches in pcs pieces gb tb"
FUNCTION_WORDS = "a an and by for from on or the to with"
LEFT_OUT = frozenset(f"{SIZES} {UNITS} {FUNCTION_WORDS}".split())
"""Words that do not distinguish the names of two products."""
MIN_WORDS = 2
"""Least number of words besides the brand by which names are nearly equal; fewer are too common, as in `Mug 12`."""


def assign_groups(
    names: Iterable[str | None],
    brands: Iterable[str | None],
    fingerprints: Iterable[np.uint64 | int | None] | None = None,
    *,
    near_names: bool = True,
) -> np.ndarray:
    """Return the group of each row, numbered from 0 in the order of first appearance.

    Rows are in one group if they have nearly the same name and the same brand, or pictures of the same photo (see
    `recsys.vision.perceptual_hash.near_duplicates`), or if other rows connect them in this way. A missing brand equals
    only a missing brand; a row without a name equals no other row by name.

    Names are nearly equal if they have the same set of words, without words with digits and those of `LEFT_OUT`, in the
    singular: `Red Vase`, `red vases 38` and `Vase, Red (Pack of 2)`. The words of scripts without spaces are pairs of
    characters. No names are joined in a chain, because all of them have this one key. Names with fewer than `MIN_WORDS`
    such words besides those of the brand are joined only if they are equal; so are names that are common, such as
    `Cotton Kurta 1` to `Cotton Kurta 900` in a small shop. Case, the encoding of accents, punctuation and spaces never
    count.

    A group with a tenth of the rows, and more than 50, is not one product: its rows are connected through stock photos
    that many products share. Such rows are grouped by name and brand only; otherwise a shop with a few stock photos
    would be one group, and nothing could be held out.

    Args:
        names, brands: of each row; null if missing.
        fingerprints: fingerprint of each row's picture, None if missing; by default pictures are not compared.
        near_names: whether nearly equal names count; False: equal ones only.

    Returns:
        (n,) int64.
    """
    by_name = _name_groups(names, brands, near_names)
    if fingerprints is None:
        return by_name
    values = list(fingerprints)
    pictured = np.array([row for row, value in enumerate(values) if not pd.isna(value)], np.int64)
    photos = near_duplicates(np.array([values[row] for row in pictured], np.uint64))
    first_rows = pictured[np.unique(photos, return_index=True)[1]]  # the first row of each photo
    connected = joined(by_name, by_name[pictured], by_name[first_rows[photos]])
    return without_chains(connected, by_name)


def assign_folds(truth: np.ndarray, groups: np.ndarray, folds: int = 5, seed: int = 0) -> np.ndarray:
    """Return the fold that holds each row out: whole groups, each class spread evenly over the folds.

    A class that would be held out as a whole, such as one with a single group, is never held out (`TRAINING`): a model
    trained without it could not predict it, so its errors would say nothing about the model.

    scikit-learn's `StratifiedGroupKFold` has no such rule, and is several times slower.

    Args:
        truth: (n,) int64, the class of each row.
        groups: (n,) int64, see `assign_groups`.
        folds: number of folds, 2 or more.
        seed: seed of the order of groups of equal size.

    Returns:
        (n,) int32, `TRAINING` or 0 to `folds` - 1.
    """
    if folds < 2:
        raise ValueError(f"{folds} folds leave nothing to train on; use 2 or more, or a holdout")
    counts, sizes = _class_counts(truth, groups)
    by_class = {label: np.zeros(folds) for label in sizes}
    total = np.zeros(folds)
    fold_of: dict[int, int] = {}
    # Greedy: the largest groups first, each into the fold with the least of its classes (rows of a rare class weigh
    # more), then with the fewest rows.
    for group in sorted(_shuffled(counts, seed), key=lambda group: -counts[group].total()):
        cost = sum((by_class[label] + rows) * (rows / sizes[label] ** 2) for label, rows in counts[group].items())
        cheapest = np.flatnonzero(np.isclose(cost, np.min(cost)))
        fold_of[group] = fold = int(cheapest[np.argmin(total[cheapest])])
        total[fold] += counts[group].total()
        for label, rows in counts[group].items():
            by_class[label][fold] += rows
    return _keep_undivided_classes(pd.Series(groups).map(fold_of).to_numpy(np.int32), truth, groups)


def draw_holdout(truth: np.ndarray, groups: np.ndarray, share: float = 0.2, seed: int = 0) -> np.ndarray:
    """Return which rows are held out of training, for a single split such as the original's 80 / 20.

    Whole groups, about this share of the rows of each class. Groups are visited in random order; each group that brings
    its classes nearer to their share is held out. A class that would be held out as a whole stays in training, as in
    `assign_folds`.

    Args:
        truth, groups: as `assign_folds`.
        share: share of the rows to hold out, between 0 and 1.
        seed: seed of the order.

    Returns:
        (n,) bool.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share of {share} cannot be held out; use one between 0 and 1")
    counts, sizes = _class_counts(truth, groups)
    missing = {label: share * size for label, size in sizes.items()}
    held_out: set[int] = set()
    for group in _shuffled(counts, seed):
        # How much nearer the group brings each class to its share; rows of a rare class weigh more.
        gain = sum(
            (abs(missing[label]) - abs(missing[label] - rows)) / sizes[label] for label, rows in counts[group].items()
        )
        if gain > 0:
            held_out.add(group)
            for label, rows in counts[group].items():
                missing[label] -= rows
    sides = np.where(np.isin(groups, list(held_out)), 0, 1).astype(np.int32)
    return _keep_undivided_classes(sides, truth, groups) == 0


def split_sides(held_out: np.ndarray, validated: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and the rows to evaluate on: two (n,) bool, never both true.

    Held-out rows that are not validated are on neither side: an augmented picture of a held-out product would reveal
    the answer in training, and proves nothing in the evaluation.

    Args:
        held_out: (n,) bool, from `draw_holdout` or one of the `assign_folds`.
        validated: (n,) bool, whether a row may be used for evaluation (default: all).
    """
    return ~held_out, held_out if validated is None else held_out & validated


def _class_counts(truth: np.ndarray, groups: np.ndarray) -> tuple[dict[int, Counter[int]], Counter[int]]:
    """Return the number of rows of each class in each group (in order of first appearance), and of each class."""
    counts: dict[int, Counter[int]] = {}
    for group, label in zip(groups.tolist(), truth.tolist(), strict=True):
        counts.setdefault(group, Counter())[label] += 1
    return counts, Counter(truth.tolist())


def _shuffled(groups: Iterable[int], seed: int) -> list[int]:
    in_order = list(groups)
    return [in_order[position] for position in np.random.default_rng(seed).permutation(len(in_order))]


def _keep_undivided_classes(sides: np.ndarray, truth: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the sides of rows, with all groups of a class that is on one side only in training."""
    frame = pd.DataFrame({"truth": truth, "side": sides})
    undivided = frame.groupby("truth")["side"].transform("nunique").to_numpy() == 1
    return np.where(np.isin(groups, groups[undivided]), np.int32(TRAINING), sides)


def without_chains(groups: np.ndarray, finer: np.ndarray) -> np.ndarray:
    """Return groups (n,) int64 in which the rows of each chain, see `CHAIN_ROWS`, have their finer groups instead."""
    sizes = np.bincount(groups)
    in_chain = (sizes > max(CHAIN_ROWS, CHAIN_SHARE * len(groups)))[groups]
    return pd.factorize(np.where(in_chain, len(sizes) + finer, groups))[0].astype(np.int64)


def is_common(groups: np.ndarray) -> np.ndarray:
    """Return (n,) bool, whether the group of a row is larger than that of one product, see `COMMON_ROWS`."""
    return (np.bincount(groups) > max(COMMON_ROWS, COMMON_SHARE * len(groups)))[groups]


def _name_groups(names: Iterable[str | None], brands: Iterable[str | None], near_names: bool) -> np.ndarray:
    """Return (n,) int64, the group of each row by name and brand only, see `assign_groups`."""
    equal: list[object] = []
    near: list[object] = []
    for row, (name, brand) in enumerate(zip(names, brands, strict=True)):
        words, of_brand = tokens(normalize(name)), tokens(normalize(brand))
        core = {_singular(word) for word in words if word not in LEFT_OUT and not any(map(str.isdigit, word))}
        equal.append((" ".join(words), " ".join(of_brand)) if words else row)
        is_distinct = len(core - {_singular(word) for word in of_brand}) >= MIN_WORDS
        near.append((frozenset(core), " ".join(of_brand)) if is_distinct else equal[-1])
    by_equal, by_near = (_numbered(keys) for keys in (equal, near))
    if not near_names:
        return by_equal
    return _numbered(np.where(is_common(by_near), len(by_near) + by_equal, by_near).tolist())


def _numbered(keys: list[object]) -> np.ndarray:
    """Return (n,) int64 numbers of keys, from 0 in the order of first appearance."""
    return pd.factorize(pd.Series(keys, dtype=object))[0].astype(np.int64)


def _singular(word: str) -> str:
    """Return one spelling of an English word's singular and plural; it need not be a word: `vas` of vase and vases."""
    if len(word) <= 3:
        return word
    if word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return f"{word[:-2]}y" if word.endswith("ie") else word.removesuffix("e")
