"""Precision and recall of the embedding, and its gains over the previous one."""

from dataclasses import dataclass

import pandas as pd

from recsys.evaluation.gate import PRECISION_WITH_WORDS
from recsys.models.embedding.serving import Model, Serving, folder
from recsys.storage import object_store
from recsys.storage.store import Store


@dataclass(frozen=True)
class RetrievalLevel:
    """The figures at one level of the category path: (k, precision, recall) for each k."""

    level: int
    queries: int
    figures: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True)
class Gain:
    """A figure of the promotion gate, before and after the promotion of the serving embedding.

    Attributes:
        level: the level of the category path; 0 is another photo of the same product.
        with_words: whether the products were compared by words beside their pictures.
        low, high: ends of the 95 % interval of the difference.
    """

    level: int
    with_words: bool
    queries: int
    before: float
    after: float
    low: float
    high: float


@dataclass(frozen=True)
class Retrieval:
    """The retrieval figures.

    Attributes:
        levels: empty where the run did not evaluate.
        embedding: the serving embedding; None where the raw backbone serves.
        gains: empty where the gate did not judge the embedding.
    """

    levels: tuple[RetrievalLevel, ...] = ()
    embedding: Model | None = None
    gains: tuple[Gain, ...] = ()


def summarise_retrieval(store: Store, serves: Serving, evaluation: pd.DataFrame | None) -> Retrieval:
    """Return the retrieval figures.

    Args:
        store: the home's tables.
        serves: the serving embedding.
        evaluation: see `recsys.evaluation.leave_one_out`; None where the run did not evaluate.
    """
    return Retrieval(_levels(evaluation), serves.model, _gains(store, serves))


def _levels(evaluation: pd.DataFrame | None) -> tuple[RetrievalLevel, ...]:
    if evaluation is None:
        return ()
    return tuple(
        RetrievalLevel(
            level=int(rows["level"].iloc[0]),
            queries=int(rows["queries"].iloc[0]),
            figures=tuple((int(k), float(p), float(r)) for k, p, r in rows[["k", "precision", "recall"]].to_numpy()),
        )
        for _, rows in evaluation.sort_values(["level", "k"]).groupby("level")
    )


def _gains(store: Store, serves: Serving) -> tuple[Gain, ...]:
    file = folder(store.home) / serves.version / "gate.csv"
    if serves.model is None:
        return ()
    object_store.download(store.home, file)
    if not file.exists():
        return ()
    rows = pd.read_csv(file)
    rows = rows[rows["decides"] & rows["difference"].notna()].sort_values(["level", "metric"])
    columns = ["level", "metric", "queries", "champion", "challenger", "low", "high"]
    return tuple(
        Gain(int(level), metric == PRECISION_WITH_WORDS, int(n), *map(float, rest))
        for level, metric, n, *rest in rows[columns].to_numpy()
    )
