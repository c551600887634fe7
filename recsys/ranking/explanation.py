"""The reason of a recommendation, as a sentence: "same kind, looks alike, close in colour, one price level lower".

How high a score is depends on the model and on the shop: a cosine of 0.5 is high for one embedding and low for
another. So each score is compared with the scores of random pairs of products of one label in this shop:

    above 99 % of the pairs    looks very much alike       very close in colour
    above 90 %                 looks alike                 close in colour
    above 50 %                 looks somewhat alike        some colours in common
    lower                      looks different             other colours

The kind is part of the sentence where both labels are known. Where one price level is the neutral one, that of an
unknown price, the sentence ends with "price not compared".
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.price_levels import LEVELS
from recsys.ranking.reranking import Recommendations
from recsys.ranking.scores import colour_scores, visual_score

SHARES = (0.5, 0.9, 0.99)
"""Shares of the random pairs that a score must exceed for the next stronger wording."""
PAIRS = 10_000
"""Number of random pairs."""
SEED = 12_345

KINDS = ("", "another kind", "same kind")
LOOKS = ("looks different", "looks somewhat alike", "looks alike", "looks very much alike")
COLOURS = ("other colours", "some colours in common", "close in colour", "very close in colour")
STEPS = ("three price levels", "two price levels", "one price level")
PRICES = (
    *(f"{step} lower" for step in STEPS),
    "same price level",
    *(f"{step} higher" for step in reversed(STEPS)),
    "price not compared",
)
SENTENCES = np.array(
    [", ".join(part for part in parts if part) for parts in product(KINDS, LOOKS, COLOURS, PRICES)], dtype=object
).reshape(len(KINDS), len(LOOKS), len(COLOURS), len(PRICES))


@dataclass(frozen=True)
class ScoreQuantiles:
    """The quantiles, at `SHARES`, of the scores of random pairs of products of one label in a shop."""

    visual: tuple[float, ...]
    colour: tuple[float, ...]


def score_quantiles(gallery: Gallery) -> ScoreQuantiles:
    """Compute the quantiles of a gallery's scores, from seeded random pairs of one label.

    A shop without labels draws pairs of any products.
    """
    rng = np.random.default_rng(SEED)
    one = rng.integers(0, len(gallery), PAIRS)
    other = rng.integers(0, len(gallery), PAIRS)
    for rows in gallery.rows_by_label.values():
        of_label = np.flatnonzero(np.isin(one, rows))
        other[of_label] = rng.choice(rows, len(of_label))
    valid = (one != other) & ((gallery.labels[one] == gallery.labels[other]) | (not gallery.rows_by_label))
    one, other = one[valid], other[valid]
    if not len(one):
        return ScoreQuantiles(SHARES, SHARES)  # a shop without pairs has no recommendations to explain
    cosine = np.einsum("ij,ij->i", gallery.weighted(gallery.embeddings[one]), gallery.embeddings[other])
    colour = colour_scores(gallery.histograms[one], gallery.histograms, other[:, None])
    visual, colours = (np.quantile(scores, SHARES) for scores in (visual_score(cosine), colour))
    return ScoreQuantiles(tuple(map(float, visual)), tuple(map(float, colours)))


def explain(
    answer: Recommendations, queries: Queries, gallery: Gallery, quantiles: ScoreQuantiles | None = None
) -> NDArray[np.object_]:
    """Return the reason of each recommendation: (m, top) str, None where there is no recommendation.

    Args:
        answer: the recommendations for the queries.
        queries: m products or photos.
        gallery: the products that were searched.
        quantiles: `score_quantiles(gallery)`, precomputed by a caller with many queries.
    """
    rows = answer.neighbours
    reasons = sentences(
        answer.visual,
        answer.colour,
        labels=(queries.labels[:, None], gallery.labels[rows]),
        levels=(queries.price_levels[:, None], gallery.price_levels[rows]),
        quantiles=quantiles or score_quantiles(gallery),
    )
    reasons[rows < 0] = None
    return reasons


def sentences(
    visual: NDArray[np.float32],
    colour: NDArray[np.float32],
    *,
    labels: tuple[NDArray[np.object_], NDArray[np.object_]],
    levels: tuple[NDArray[np.float64], NDArray[np.float64]],
    quantiles: ScoreQuantiles,
) -> NDArray[np.object_]:
    """Return the sentences for scores, and for labels and price levels of (query, recommendation); all broadcast."""
    known = (labels[0] != None) & (labels[1] != None)  # noqa: E711  elementwise
    kind = np.where(known, 1 + (labels[0] == labels[1]), 0).astype(np.int64)
    step = levels[1] - levels[0]
    both_known = (levels[0] % 1 == 0) & (levels[1] % 1 == 0)
    price = np.where(both_known, step + LEVELS - 1, len(PRICES) - 1).astype(np.int64)
    look, shade = (
        np.searchsorted(bounds, np.nan_to_num(scores), side="right")
        for bounds, scores in ((quantiles.visual, visual), (quantiles.colour, colour))
    )
    return np.asarray(SENTENCES[kind, look, shade, price], dtype=object)
