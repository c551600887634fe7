"""What looks like a product, in its colours, at its price level.

gallery       what is compared, and what is asked
nearest       the candidates: exact search by embedding in blocks, within the label, filtered, without variants
likeness      the visual and the colour score (the price score is `recsys.ranking.price_levels`)
rule          candidates reranked by the configured rule, the original's or the default
variants      which products are one in several sizes, or listed twice
explanation   why, in a sentence
calibration   the weights that serve relevance and agreement together
"""

from recsys.ranking.explanation import Usual, explain, usual_scores
from recsys.ranking.gallery import Gallery, Queries, as_slice, rows_of_values
from recsys.ranking.nearest import nearest_columns
from recsys.ranking.rule import RULE_VERSION, Candidates, Recommendations, candidates, rank, recommend
from recsys.ranking.variants import variant_groups

__all__ = [
    "RULE_VERSION",
    "Candidates",
    "Gallery",
    "Queries",
    "Recommendations",
    "Usual",
    "as_slice",
    "candidates",
    "explain",
    "nearest_columns",
    "rank",
    "recommend",
    "rows_of_values",
    "usual_scores",
    "variant_groups",
]
