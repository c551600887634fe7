"""Classes in balance, as in the original: the large ones cut to one size, the small ones grown towards them.

balance        the catalogue's rows, large classes cut
plan_growth    how many pictures of which kind each class then has
grow           the rows of both
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from recsys.core.configuration import Balance, Configuration
from recsys.core.errors import ConfigurationError
from recsys.storage.store import digest


def balance(frame: pd.DataFrame, configuration: Configuration) -> pd.DataFrame:
    """Return the rows of a training set whose large classes are cut to one size.

    The original's rule: after `random.seed(12345)`, of each class with more than 2,000 rows 1,500 are kept; smaller
    classes keep all. Its slides give these figures and not its code, so three things are ours: the draw is one
    `random.sample` of a class's rows in the frame's order, the classes are taken from the largest to the smallest
    (equal ones by name), and what is kept stays in the frame's order. On the original's 20,000 rows the order of the
    classes is no choice: the two that are cut come in the same order by size, by name and by first row.

    The generator is this call's own: nothing else in the process disturbs it.

    Args:
        frame: any columns, among them `label`; rows without a label are dropped.
        configuration: `balance.undersample_above`, `.undersample_to`, `.random_seed`.
    """
    settings = configuration.balance
    generator = random.Random(settings.random_seed)
    classes: dict[str, list[int]] = {}
    for row, label in enumerate(frame["label"].astype(object).where(frame["label"].notna(), None)):
        if label is not None:
            classes.setdefault(label, []).append(row)
    kept: list[int] = []
    for _, rows in sorted(classes.items(), key=lambda item: (-len(item[1]), item[0])):
        size = _kept(len(rows), settings)
        kept += generator.sample(rows, size) if size < len(rows) else rows
    return frame.iloc[sorted(kept)]


def plan_growth(
    sizes: Mapping[str, int], scraped: Mapping[str, int], configuration: Configuration, total: int | None = None
) -> pd.DataFrame:
    """Return how the classes are brought into balance: one row a label, the largest first.

    Large classes are cut as in `balance`. Those under a floor are filled up to it, with scraped pictures while there
    are any, then with augmented ones. The floor is the largest class less `balance.most_apart`; where a total is asked
    for, it is the one that gives as many, and of the smallest classes some get one more, so that the total is exact. A
    class without a picture of either kind has nothing to grow from and stays empty.

    Columns: label, catalogue (its pictures before), kept (of those), scraped, augmented (that are added), total.

    Args:
        sizes: pictures of each label in the catalogue.
        scraped: pictures of each label from a marketplace; labels that `sizes` does not name are left out.
        configuration: its `balance` section.
        total: of the recipe's `materialised_images`; None grows no further than `balance.most_apart` asks for.

    Raises:
        ConfigurationError: the total is less than the classes have once they are no further apart than they may.
    """
    settings = configuration.balance
    labels = sorted(sizes, key=lambda label: (-sizes[label], label))
    plan = pd.DataFrame({"label": pd.Series(labels, dtype="str")})
    plan["catalogue"] = np.array([sizes[label] for label in labels], np.int64)
    plan["kept"] = np.array([_kept(sizes[label], settings) for label in labels], np.int64)
    at_hand = np.array([scraped.get(label, 0) for label in labels], np.int64)
    kept = plan["kept"].to_numpy()
    filled = _filled(kept, kept + at_hand > 0, settings.most_apart, total)
    plan["scraped"] = np.minimum(at_hand, filled - kept)
    plan["augmented"] = filled - kept - plan["scraped"]
    plan["total"] = filled
    return plan


def grow(
    training: pd.DataFrame, scraped: pd.DataFrame, configuration: Configuration, total: int | None = None
) -> pd.DataFrame:
    """Return a training set in balance, as `plan_growth` has it: the catalogue's rows, scraped ones, augmented ones.

    Of a class's scraped pictures the first are taken. Its augmented ones are made of its kept and scraped ones in
    turn, so that none is varied more than once more often than another. An augmented row is its source's, with another
    origin and a seed: in its source's group, it is on its source's side of every split.

    Args:
        training: one row a product: product_id, label, image_digest, group and any others. Rows without a label or a
            picture are dropped: what is balanced are pictures.
        scraped: label, image_digest, group, numbered as those of `training` are; other columns are null where it has
            none. Labels that no row of `training` has are left out.
        configuration, total: as for `plan_growth`.

    Returns:
        The columns of `training`, and origin ('catalogue', 'scraped' or 'augmented') and seed (int64: what
        `recsys.vision.augmentation.augment` makes the picture of; 0 where it is shown as it is). Rows are numbered
        anew.
    """
    pictured = training[training["image_digest"].notna() & training["label"].notna()]
    found = scraped[scraped["image_digest"].notna()]
    sizes, at_hand = Counter(pictured["label"].tolist()), Counter(found["label"].tolist())
    plan = plan_growth(sizes, at_hand, configuration, total)
    kept = balance(pictured, configuration).assign(origin="catalogue", seed=0)
    wanted = dict(zip(plan["label"], plan["scraped"], strict=True))
    first = found.groupby("label").cumcount() < np.array([wanted.get(label, 0) for label in found["label"]], np.int64)
    added = found[first].reindex(columns=training.columns).assign(origin="scraped", seed=0)
    shown = pd.concat([kept, added] if len(added) else [kept], ignore_index=True)
    sources: list[int] = []
    variants: list[int] = []
    for label, number in zip(plan["label"], plan["augmented"], strict=True):
        of_class = np.flatnonzero(shown["label"] == label)
        turns = np.arange(number)
        sources += of_class[turns % len(of_class)].tolist() if number else []
        variants += (turns // max(len(of_class), 1)).tolist()
    augmented = shown.iloc[sources].assign(origin="augmented")
    augmented["seed"] = [
        _seed(picture, variant, configuration.balance.random_seed)
        for picture, variant in zip(augmented["image_digest"], variants, strict=True)
    ]
    return pd.concat([shown, augmented] if len(augmented) else [shown], ignore_index=True).astype({"seed": np.int64})


def _kept(size: int, settings: Balance) -> int:
    """Return how many rows a class of this size keeps."""
    return min(settings.undersample_to, size) if size > settings.undersample_above else size


def _filled(kept: np.ndarray, grows: np.ndarray, most_apart: int, total: int | None) -> np.ndarray:
    """Return the pictures (n,) that classes come to, of those that each keeps and whether it can grow."""

    def reach(floor: int) -> np.ndarray:
        return np.where(grows, np.maximum(kept, floor), kept)

    floor = max(int(kept.max(initial=0)) - most_apart, 0)
    if total is None or not grows.any():
        return reach(floor)
    least = int(reach(floor).sum())
    if total < least:
        raise ConfigurationError(
            f"the recipe's materialised_images is {total:,}, but classes that are no more than {most_apart:,} apart "
            f"(balance.most_apart) have {least:,} pictures; raise one or the other"
        )
    while reach(floor + 1).sum() <= total:
        floor += 1
    filled = reach(floor)
    lowest = np.argsort(kept, kind="stable")
    lowest = lowest[(grows & (kept <= floor))[lowest]]
    filled[lowest[: total - int(filled.sum())]] += 1
    return filled


def _seed(picture: str, variant: int, seed: int) -> int:
    """Return the seed, from 1, of a picture's variant: what else is in the training set does not change it."""
    return int(digest([picture, variant, seed])[:15], 16) + 1
