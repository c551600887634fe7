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
from recsys.models.embedding.recipe import Recipe
from recsys.models.embedding.serving import Serving
from recsys.models.embedding.store_training import original_recipe_vectors
from recsys.storage.store import Store

ORIGINAL, CHAMPION, CHALLENGER = "original's recipe", "champion", "challenger"


@dataclass(frozen=True, eq=False)
class Verdict:
    """Result of judging a challenger.

    Attributes:
        decision: decision of the gate.
        board: the scoreboard, see `recsys.evaluation.scoreboard`.
        judged: what was judged, with the vectors of all models.
        judgements: of each model.
        before: the model that the challenger was compared with: the champion, or the raw backbone.
    """

    decision: Decision
    board: pd.DataFrame
    judged: EvaluationSet
    judgements: dict[str, RetrievalMetrics]
    before: str

    @property
    def precision(self) -> dict[str, float]:
        """Return the challenger's precision at 5 by level, for the levels that have queries."""
        of = self.judgements[CHALLENGER]
        found = {str(f.level): of.column(f) for f in of.metrics if (f.name, f.k) == ("precision", TOP)}
        return {level: float(np.nanmean(column)) for level, column in found.items() if not np.isnan(column).all()}


def judge_challenger(
    store: Store,
    configuration: Configuration,
    recipe: Recipe,
    rows: pd.DataFrame,
    version: str,
    against: Serving,
    scratch: Path,
) -> Verdict:
    """Return how a challenger fares, beside chance, pixels, colours, raw backbone, the original's recipe, the champion.

    Args:
        store: with the embeddings of challenger and champion in it.
        configuration: what is judged and how.
        recipe: of the challenger.
        rows: that it was trained on.
        version: of the challenger.
        against: what serves.
        scratch: a folder for checkpoints of the original's recipe.
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
    found = metrics_of_models(judged.models, judged.frame, configuration.evaluation, judged.histograms)
    return Verdict(decide(found[CHALLENGER], found[before]), scoreboard_table(found), judged, found, before)


def compare(store: Store, configuration: Configuration, challenger: Serving, champion: Serving) -> Decision:
    """Return what the gate says of one model in place of another, as things are now."""
    judged = load_evaluation_set(store, configuration)
    digests = judged.frame["image_digest"].tolist()
    models = {
        name: read_vectors(store, each.embeddings, "embedding", digests)
        for name, each in ((CHALLENGER, challenger), (CHAMPION, champion))
    }
    found = metrics_of_models(models, judged.frame, configuration.evaluation, judged.histograms)
    return decide(found[CHALLENGER], found[CHAMPION])
