"""Compare encoders on one shop: the features of each, in a table of its own, on the same scoreboard.

The features are those that a run with this encoder would compute. They stay in the home, so that a second comparison
computes nothing; `recsys clean` removes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from recsys.core.configuration import BUILT_IN_BACKBONES, Configuration
from recsys.evaluation.evaluation_set import BACKBONE, EvaluationSet, load_evaluation_set, read_vectors
from recsys.evaluation.retrieval_metrics import TOP
from recsys.evaluation.scoreboard import COLUMNS, scoreboard
from recsys.models import features
from recsys.storage.lock import lock
from recsys.storage.store import Store
from recsys.vision.backbones.speed import pictures_per_second

RATE = "pictures_per_second"
"""Metric of the scoreboard with an encoder's rate on this machine."""


def compared_encoders(
    home: Path, configuration: Configuration, names: Sequence[str]
) -> tuple[EvaluationSet, dict[str, float]]:
    """Return the evaluation set with the features of encoders as its models, and their rates in pictures a second.

    All encoders are loaded and measured before features are computed. The home is locked only while some are missing.

    Raises:
        ConfigurationError, WeightsError: an encoder is unknown or cannot be used.
        NoImagesError: the home has no product to evaluate with.
        HomeError: another process holds the home's lock.
    """
    store = Store(home, read_only=True)
    encoders = {_label(name, names): configuration.with_backbone(name) for name in names}
    rates = {}
    for label, own in encoders.items():
        rates[label] = pictures_per_second(features.extractor(own.backbone, str(home)))
    for label, own in encoders.items():
        if features.missing(store, own):
            with lock(home):
                features.extract_missing(Store(home), own, f"features of {label}")
    first = next(iter(encoders.values()))
    evaluated = load_evaluation_set(store, first)
    digests = evaluated.frame["image_digest"].tolist()
    vectors = {
        label: read_vectors(store, features.table_name(own), "embedding", digests) for label, own in encoders.items()
    }
    return replace(evaluated, models=vectors), rates


def with_rates(figures: pd.DataFrame, rates: Mapping[str, float]) -> pd.DataFrame:
    """Return a scoreboard with one more row per model: its rate."""
    rows = [(model, 0, RATE, 0, rate, float("nan"), float("nan"), 0) for model, rate in rates.items()]
    return pd.concat([figures, pd.DataFrame(rows, columns=COLUMNS)], ignore_index=True)


def precision_of_features(store: Store, configuration: Configuration) -> dict[int, float] | None:
    """Return the precision at 5 of the configured backbone's features by level; None if some are not computed.

    Raises:
        NoImagesError: the home has no product to evaluate with.
    """
    if not store.exists(features.table_name(configuration)) or features.missing(store, configuration):
        return None
    evaluated = load_evaluation_set(store, configuration)
    figures = scoreboard({BACKBONE: evaluated.models[BACKBONE]}, evaluated.frame, configuration.evaluation)
    rows = figures[(figures["metric"] == "precision") & (figures["k"] == TOP)]
    return dict(zip(rows["level"].astype(int), rows["value"].astype(float), strict=True))


def _label(name: str, names: Sequence[str]) -> str:
    """Return a short name of an encoder: that of its folder, unless two folders have the same."""
    if name in BUILT_IN_BACKBONES:
        return name
    short = Path(name).name
    return short if sum(Path(other).name == short for other in names) == 1 else name
