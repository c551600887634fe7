"""The scoreboard: how well a model keeps like with like, at each level of the category path, by held-out queries.

search        the ranking of the catalogue for each query, in blocks
judgement     what one model is worth, query by query
bootstrap     how sure a mean over queries is
scoreboard    all models side by side
baselines     what a model has to beat: random, pixels, HSV
products      the frame that is judged, out of the store
gate          whether a challenger may take a champion's place
outside       a folder of photos from elsewhere as queries
pictures      t-SNE before and after, triplets that violate the margin, queries that gained and lost
"""

from recsys.evaluation.gate import Decision, decide
from recsys.evaluation.judgement import Judgement, judge, values_at_level
from recsys.evaluation.leave_one_out import evaluate, retrieval
from recsys.evaluation.scoreboard import board, scoreboard

__all__ = [
    "Decision",
    "Judgement",
    "board",
    "decide",
    "evaluate",
    "judge",
    "retrieval",
    "scoreboard",
    "values_at_level",
]
