"""Splits that tell the truth: what is nearly the same stays on one side, and only the catalogue's own is validated.

A shop lists one product many times: in sizes, in colours, by several sellers, under one name or with one photo. A
model that saw one of them in training would be asked for the answer that it was given. So examples are put in groups,
and a group is in training or held out as a whole.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

from recsys.vision.perceptual_hash import joined, near_duplicates

TRAINING = -1
"""The fold of what is in training always."""

CHAIN = 50
"""Rows of one group, and CHAIN_SHARE of all, before it is suspected of being a chain."""
CHAIN_SHARE = 0.1


def groups(
    names: Iterable[str | None],
    brands: Iterable[str | None],
    fingerprints: Iterable[np.uint64 | int | None] | None = None,
) -> np.ndarray:
    """Return the number of each row's group, from 0 in the order of their first rows.

    Rows are of one group when they have the same name and brand, or pictures of one photo (see
    `recsys.vision.perceptual_hash.near_duplicates`), or when a row of such rows connects them. Names are the same but
    for case, accents' encoding, punctuation and spaces; a brand that is missing is a brand of its own, and a row
    without a name is of no row's name.

    Where names and photos together connect a tenth of the rows, and 50, that is no product listed many times but a
    chain through photos that anything is shown by: these rows are grouped by their names alone. Else a shop with a few
    stock photos would be one group, with nothing left to be judged by.

    Args:
        names, brands: of each row; null where there is none.
        fingerprints: of each row's picture, None where it has none; None where pictures don't matter.

    Returns:
        (n,) int64.
    """
    keys = [
        (spelling, _spelling(brand)) if (spelling := _spelling(name)) else row
        for row, (name, brand) in enumerate(zip(names, brands, strict=True))
    ]
    codes = pd.factorize(pd.Series(keys, dtype=object))[0].astype(np.int64)
    if fingerprints is None:
        return codes
    given = list(fingerprints)
    pictured = np.array([row for row, print_ in enumerate(given) if not pd.isna(print_)], np.int64)
    photos = near_duplicates(np.array([given[row] for row in pictured], np.uint64))
    first = pictured[np.unique(photos, return_index=True)[1]]  # of each photo, the row that has it first
    together = joined(codes, codes[pictured], codes[first[photos]])
    sizes = np.bincount(together)
    chained = (sizes > max(CHAIN, CHAIN_SHARE * len(codes)))[together]
    return pd.factorize(np.where(chained, len(sizes) + codes, together))[0].astype(np.int64)


def folds(
    truth: np.ndarray,
    groups: np.ndarray,
    folds: int = 5,
    seed: int = 0,
    validated: np.ndarray | None = None,
) -> np.ndarray:
    """Return the fold that leaves each row out of its training: whole groups, each class spread evenly over the folds.

    Hand `folds == fold` to `sides` for the rows that the model of a fold is trained on and judged by.

    A class that would be held out as a whole, such as one with a single group, is in no fold but in every training
    (`TRAINING`, -1). The model that left it out could not know that there is such a class: its error would say nothing
    about the model, and its prediction would contradict the label that was given. So such a class has no figures,
    rather than wrong ones. Nor is a group in a fold of which no row is validated.

    Args:
        truth: (n,) int64, the class of each row.
        groups: (n,) int64, see `groups`.
        folds: 2 or more.
        seed: the same gives the same folds.
        validated: (n,) bool, rows that a model may be judged by, as a rule those of origin 'catalogue' (default: all).
            Only they are spread; the others, scraped or augmented, are in the fold of their group.

    Returns:
        (n,) int32, -1 or from 0 to `folds` - 1.
    """
    if folds < 2:
        raise ValueError(f"{folds} folds leave nothing to train on; give 2 or more, or take a holdout")
    rows, sizes = _contents(truth, groups, validated)
    filled = {label: np.zeros(folds) for label in sizes}
    total = np.zeros(folds)
    fold: dict[int, int] = {}
    # greedy: the largest groups first, each into the fold that has least of its classes (a rare class's rows weigh
    # more), then least of any
    for group in sorted(_drawn(rows, seed), key=lambda group: -rows[group].total()):
        after = sum((filled[label] + more) * (more / sizes[label] ** 2) for label, more in rows[group].items())
        least = np.flatnonzero(np.isclose(after, np.min(after)))
        fold[group] = chosen = int(least[np.argmin(total[least])])
        total[chosen] += rows[group].total()
        for label, more in rows[group].items():
            filled[label][chosen] += more
    parts = pd.Series(groups).map(fold).fillna(TRAINING).to_numpy(np.int32)
    return _without_lone_classes(parts, truth, groups)


def holdout(
    truth: np.ndarray,
    groups: np.ndarray,
    share: float = 0.2,
    seed: int = 0,
    validated: np.ndarray | None = None,
) -> np.ndarray:
    """Return which rows are held out of the training, for a single split such as the original's 80 / 20.

    Whole groups, about this share of the validated rows of each class, drawn at random: in an order of the seed's, each
    group that brings its classes nearer to their share. A class that would be held out as a whole is in training, as in
    `folds`, whose arguments these are.

    Args:
        share: between 0 and 1, of the validated rows.

    Returns:
        (n,) bool.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share of {share} can't be held out; give one between 0 and 1")
    rows, sizes = _contents(truth, groups, validated)
    left = {label: share * size for label, size in sizes.items()}
    held: set[int] = set()
    for group in _drawn(rows, seed):
        # how much nearer it brings each class, a rare class's rows weighing more
        nearer = sum((abs(left[label]) - abs(left[label] - more)) / sizes[label] for label, more in rows[group].items())
        if nearer > 0:
            held.add(group)
            for label, more in rows[group].items():
                left[label] -= more
    parts = np.where(np.isin(groups, list(held)), 0, np.where(np.isin(groups, list(rows)), 1, TRAINING))
    return _without_lone_classes(parts.astype(np.int32), truth, groups) == 0


def sides(held_out: np.ndarray, validated: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and the rows to judge by: two (n,) bool, never true for both.

    Held-out rows that are not validated are on neither side: an augmented picture of a held-out product would give the
    answer away in training, and proves nothing in validation.

    Args:
        held_out: (n,) bool, of `holdout` or of one of the `folds`.
        validated: as given to those.
    """
    return ~held_out, held_out & _all_unless_given(validated, len(held_out))


def _contents(
    truth: np.ndarray, groups: np.ndarray, validated: np.ndarray | None
) -> tuple[dict[int, Counter[int]], Counter[int]]:
    """Return how many validated rows of each class a group has, in the order of their first rows, and each class."""
    judged = _all_unless_given(validated, len(truth))
    rows: dict[int, Counter[int]] = {}
    for group, label in zip(groups[judged].tolist(), truth[judged].tolist(), strict=True):
        rows.setdefault(group, Counter())[label] += 1
    return rows, Counter(truth[judged].tolist())


def _drawn(rows: dict[int, Counter[int]], seed: int) -> list[int]:
    """Return the groups in an order that the seed decides."""
    groups = list(rows)
    return [groups[position] for position in np.random.default_rng(seed).permutation(len(groups))]


def _without_lone_classes(parts: np.ndarray, truth: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the parts of rows with every group in training whose class would be in one part as a whole."""
    frame = pd.DataFrame({"truth": truth, "part": parts})
    alone = frame.groupby("truth")["part"].transform("nunique").to_numpy() == 1
    return np.where(np.isin(groups, groups[alone]), np.int32(TRAINING), parts)


def _all_unless_given(validated: np.ndarray | None, rows: int) -> np.ndarray:
    return np.ones(rows, bool) if validated is None else np.asarray(validated, bool)


def _spelling(text: str | None) -> str:
    """Return what two spellings of a name have in common, its letters, marks and digits; empty where it has none."""
    if not isinstance(text, str):
        return ""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(sign if unicodedata.category(sign)[0] in "LMN" else " " for sign in folded).split())
