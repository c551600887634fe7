"""Classes in balance: the large ones cut to one size before a training, as in the original."""

from __future__ import annotations

import random

import pandas as pd

from recsys.configuration import Configuration


def balance(frame: pd.DataFrame, configuration: Configuration) -> pd.DataFrame:
    """Return the rows of a training set whose large classes are cut to one size.

    The original's rule: after `random.seed(12345)`, of each class with more than 2,000 rows `random.sample` keeps
    1,500; smaller classes keep all. Classes are taken from the largest to the smallest (equal ones by name), and the
    rows that are kept stay in their order. The generator is this call's own: nothing else in the process disturbs it.

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
        large = len(rows) > settings.undersample_above
        kept += generator.sample(rows, min(settings.undersample_to, len(rows))) if large else rows
    return frame.iloc[sorted(kept)]
