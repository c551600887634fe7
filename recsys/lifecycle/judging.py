"""Compare a challenger with the baselines and the serving model, and let the gate decide."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recsys.core.configuration import Configuration
from recsys.evaluation.evaluation_set import BACKBONE, EvaluationSet, load_evaluation_set, read_vectors
from recsys.evaluation.gate import Decision, decide
from recsys.evaluation.retrieval_metrics import TOP, RetrievalMetrics
from recsys.evaluation.scoreboard import metrics_of_models, scoreboard_table
from recsys.models.embedding import words
from recsys.models.embedding.likeness import beside_pictures, likeness_vectors
from recsys.models.embedding.recipe import Recipe
from recsys.models.embedding.serving import Serving
from recsys.models.embedding.store_training import original_recipe_vectors
from recsys.storage.store import Store

ORIGINAL, CHAMPION, CHALLENGER = "original's recipe", "champion", "challenger"
WITH_WORDS = " with words"
"""End of the names of models whose words are beside their pictures."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """Result of judging a challenger.

    Attributes:
        decision: decision of the gate.
        board: the scoreboard, see `recsys.evaluation.scoreboard`.
        judged: the evaluation set, with the vectors of all models.
        metrics: by model.
        before: the model that the challenger was compared with: the champion, or the raw backbone.
    """

    decision: Decision
    board: pd.DataFrame
    judged: EvaluationSet
    metrics: dict[str, RetrievalMetrics]
    before: str

    @property
    def precision(self) -> dict[str, float]:
        """Return the challenger's precision at 5 by level, for the levels that have queries."""
        own = self.metrics[CHALLENGER]
        columns = {
            str(each.level): own.column(each) for each in own.metrics if (each.name, each.k) == ("precision", TOP)
        }
        return {level: float(np.nanmean(column)) for level, column in columns.items() if not np.isnan(column).all()}


def judge_challenger(
    store: Store,
    configuration: Configuration,
    recipe: Recipe,
    rows: pd.DataFrame,
    version: str,
    against: Serving,
    scratch: Path,
    text_weight: float = 0.0,
) -> Verdict:
    """Compare a challenger with the baselines, the raw backbone, the original's recipe and the champion.

    Args:
        store: store with the embeddings of challenger and champion.
        configuration: sections `evaluation` and `embedding`.
        recipe: recipe of the challenger.
        rows: its training set.
        version: its version.
        against: the serving model, whose encoder may be another one.
        scratch: a folder for checkpoints of the original's recipe.
        text_weight: share of the words beside the challenger's pictures.
    """
    judged = load_evaluation_set(store, configuration)
    digests = judged.frame["image_digest"].tolist()
    original = original_recipe_vectors(store, configuration, recipe, rows, digests, scratch / "original")
    if original is not None:
        judged.models[ORIGINAL] = original
    before = BACKBONE
    if against.model is not None:
        before = CHAMPION
        judged.models[CHAMPION] = read_vectors(store, against.embeddings, "embedding", digests)
    judged.models[CHALLENGER] = read_vectors(store, f"embeddings-{version}", "embedding", digests)
    weights = {CHAMPION: (against.version, words.text_weight(against.model, configuration))}
    weights[CHALLENGER] = (version, text_weight)
    _add_words(judged, store, weights, configuration)
    metrics = metrics_of_models(judged.models, judged.frame, configuration.evaluation, judged.histograms)
    return Verdict(_decide(metrics, before), scoreboard_table(metrics), judged, metrics, before)


def compare(store: Store, configuration: Configuration, challenger: Serving, champion: Serving) -> Decision:
    """Return the gate's decision about one model in place of another, on the current store."""
    judged = load_evaluation_set(store, configuration)
    digests = judged.frame["image_digest"].tolist()
    both = {CHALLENGER: challenger, CHAMPION: champion}
    judged.models.clear()
    for name, each in both.items():
        judged.models[name] = read_vectors(store, each.embeddings, "embedding", digests)
    weights = {name: (each.version, words.text_weight(each.model, configuration)) for name, each in both.items()}
    _add_words(judged, store, weights, configuration)
    metrics = metrics_of_models(judged.models, judged.frame, configuration.evaluation, judged.histograms)
    return _decide(metrics, CHAMPION)


def _add_words(
    judged: EvaluationSet, store: Store, weights: dict[str, tuple[str, float]], configuration: Configuration
) -> None:
    """Add the vectors of pictures and words to the evaluation set, for each model with words.

    Args:
        judged: the evaluation set, with the vectors of the models' pictures.
        store: the products' words.
        weights: version, and share of the words (0: none), by name of the model.
        configuration: section `colour`.
    """
    worded = {name: each for name, each in weights.items() if each[1]}
    if not worded:
        return
    texts = words.texts_of(store).reindex(judged.frame["product_id"]).fillna("").tolist()
    for name, (version, weight) in worded.items():
        vectors = words.loaded_words(str(store.home), version)(texts)
        beside, share = beside_pictures(vectors, judged.histograms, weight, configuration.colour)
        judged.models[name + WITH_WORDS] = likeness_vectors(judged.models[name], beside, share)


def _decide(metrics: dict[str, RetrievalMetrics], before: str) -> Decision:
    """Return the gate's decision, by pictures alone and by what the products are compared by."""
    pair = (CHALLENGER, before)
    challenger, champion = (metrics[name] for name in pair)
    if not any(name + WITH_WORDS in metrics for name in pair):
        return decide(challenger, champion)
    ours, theirs = (metrics.get(name + WITH_WORDS, metrics[name]) for name in pair)
    return decide(challenger, champion, (ours, theirs))
