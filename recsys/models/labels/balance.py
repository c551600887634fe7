"""Balance the classes of a training set, as in the original: undersample the large ones, grow the small ones.

balance        the catalogue's rows, with large classes undersampled
plan_growth    number of pictures of each kind in each class
grow           the rows of both
"""

import random
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from recsys.core.configuration import Balance, Configuration
from recsys.core.digests import digest
from recsys.core.errors import ConfigurationError


def balance(frame: pd.DataFrame, configuration: Configuration) -> pd.DataFrame:
    """Return the rows of a training set with large classes undersampled.

    The original's rule: after `random.seed(12345)`, 1,500 rows of each class over 2,000 rows are kept; smaller
    classes keep all. Its slides give these figures and not its code. So three details are ours: the draw is one
    `random.sample` of a class's rows in the frame's order; classes are drawn from the largest to the smallest (equal
    ones by name); the kept rows stay in the frame's order. On the original's 20,000 rows the order of the classes makes
    no difference: the two large classes have the same order by size, by name and by first row.

    The random generator belongs to this call: other code in the process cannot change its state.

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
    sampled: list[int] = []
    for _, rows in sorted(classes.items(), key=lambda item: (-len(item[1]), item[0])):
        size = _undersampled(len(rows), settings)
        sampled += generator.sample(rows, size) if size < len(rows) else rows
    return frame.iloc[sorted(sampled)]


def plan_growth(
    sizes: Mapping[str, int], scraped: Mapping[str, int], configuration: Configuration, total: int | None = None
) -> pd.DataFrame:
    """Return the numbers of pictures that balance the classes: one row per label, the largest first.

    Large classes are undersampled as in `balance`. Classes below a floor are filled up to it, first with scraped
    pictures, then with augmented ones. The floor is the size of the largest class less `balance.most_apart`. With a
    total, it is the floor that gives this total; some of the smallest classes get one more, so that the total is exact.
    A class without any picture has nothing to grow from and stays empty.

    Columns: label, catalogue (its pictures before), kept (of these), scraped and augmented (added pictures), total.

    Args:
        sizes: number of catalogue pictures of each label.
        scraped: number of scraped pictures of each label; labels that are not in `sizes` are left out.
        configuration: section `balance`.
        total: the recipe's `materialised_images`; None grows only as far as `balance.most_apart` requires.

    Raises:
        ConfigurationError: the total is less than the classes need to differ by at most `balance.most_apart`.
    """
    settings = configuration.balance
    labels = sorted(sizes, key=lambda label: (-sizes[label], label))
    plan = pd.DataFrame({"label": pd.Series(labels, dtype="str")})
    plan["catalogue"] = np.array([sizes[label] for label in labels], np.int64)
    kept = np.array([_undersampled(sizes[label], settings) for label in labels], np.int64)
    available = np.array([scraped.get(label, 0) for label in labels], np.int64)
    filled = _filled_sizes(kept, kept + available > 0, settings.most_apart, total)
    plan["kept"] = kept
    plan["scraped"] = np.minimum(available, filled - kept)
    plan["augmented"] = filled - kept - plan["scraped"]
    plan["total"] = filled
    return plan


def grow(
    training: pd.DataFrame, scraped: pd.DataFrame, configuration: Configuration, total: int | None = None
) -> pd.DataFrame:
    """Return a balanced training set by `plan_growth`: catalogue rows, scraped rows, augmented rows.

    The first scraped pictures of a class are used. Its augmented pictures are made from its catalogue and scraped
    pictures in turn, so that the numbers of variants differ by at most one. An augmented row equals its source except
    for origin and seed: it has the same group, so it is on the same side of every split.

    Args:
        training: one row per product: product_id, label, image_digest, group and any others. Rows without a label or
            a picture are dropped.
        scraped: label, image_digest, group (numbered together with those of `training`); missing columns are null.
            Labels that are not in `training` are left out.
        configuration, total: as `plan_growth`.

    Returns:
        The columns of `training`, and origin ('catalogue', 'scraped' or 'augmented') and seed (int64; seed of
        `recsys.vision.augmentation.augment` for an augmented row, else 0). Rows are numbered from 0.
    """
    pictured = training[training["image_digest"].notna() & training["label"].notna()]
    scraped = scraped[scraped["image_digest"].notna()]
    plan = plan_growth(Counter(pictured["label"].tolist()), Counter(scraped["label"].tolist()), configuration, total)
    rows = balance(pictured, configuration).assign(origin="catalogue", seed=0)
    quota = dict(zip(plan["label"], plan["scraped"], strict=True))
    quotas = np.array([quota.get(label, 0) for label in scraped["label"]], np.int64)
    added = scraped[scraped.groupby("label").cumcount() < quotas].reindex(columns=training.columns)
    if len(added):
        rows = pd.concat([rows, added.assign(origin="scraped", seed=0)])
    rows = rows.reset_index(drop=True)
    augmented = _augmented_rows(rows, plan, configuration.balance.random_seed)
    rows = pd.concat([rows, augmented], ignore_index=True) if len(augmented) else rows
    return rows.astype({"seed": np.int64})


def _augmented_rows(rows: pd.DataFrame, plan: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the augmented rows of a plan, made from the rows of each class in turn."""
    sources: list[int] = []
    variants: list[int] = []
    for label, count in zip(plan["label"], plan["augmented"], strict=True):
        members = np.flatnonzero(rows["label"] == label)
        numbers = np.arange(count if len(members) else 0)
        sources += members[numbers % max(len(members), 1)].tolist()
        variants += (numbers // max(len(members), 1)).tolist()
    augmented = rows.iloc[sources].assign(origin="augmented")
    digests = zip(augmented["image_digest"], variants, strict=True)
    return augmented.assign(seed=[_variant_seed(picture, variant, seed) for picture, variant in digests])


def _undersampled(size: int, settings: Balance) -> int:
    """Return the number of rows that a class of this size keeps."""
    return min(settings.undersample_to, size) if size > settings.undersample_above else size


def _filled_sizes(kept: np.ndarray, can_grow: np.ndarray, most_apart: int, total: int | None) -> np.ndarray:
    """Return (n,) the final sizes of the classes, from the pictures that each keeps and whether it can grow."""

    def sizes(floor: int) -> np.ndarray:
        return np.where(can_grow, np.maximum(kept, floor), kept)

    floor = max(int(kept.max(initial=0)) - most_apart, 0)
    if total is None or not can_grow.any():
        return sizes(floor)
    least = int(sizes(floor).sum())
    if total < least:
        raise ConfigurationError(
            f"the recipe's materialised_images is {total:,}, but classes that differ by at most {most_apart:,} "
            f"(balance.most_apart) have {least:,} pictures; raise one of the two"
        )
    while sizes(floor + 1).sum() <= total:
        floor += 1
    filled = sizes(floor)
    smallest = np.argsort(kept, kind="stable")
    smallest = smallest[(can_grow & (kept <= floor))[smallest]]
    filled[smallest[: total - int(filled.sum())]] += 1
    return filled


def _variant_seed(picture: str, variant: int, seed: int) -> int:
    """Return the seed, from 1, of a picture's variant; it does not depend on the rest of the training set."""
    return int(digest([picture, variant, seed])[:15], 16) + 1
