"""Why a product is recommended, in words: "same kind, looks alike, close in colour, one price level lower".

What counts as close depends on the model and on the shop: 0.5 is a high cosine for one embedding and a low one for
another. So a score is set against what two products of one kind, drawn at random, score in this shop:

    among the highest 1 %      looks very much alike       very close in colour
    among the highest 10 %     looks alike                 close in colour
    among the higher half      looks somewhat alike        some colours in common
    in the lower half          looks different             other colours

Kinds are said where both labels are known. Price levels are compared as they are; where one is the neutral one, which
an unknown price has, "price not compared" is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.likeness import colour_scores, visual_score
from recsys.ranking.price_levels import LEVELS
from recsys.ranking.rule import Recommendations

SHARES = (0.5, 0.9, 0.99)
"""Of the pairs drawn at random, those that a score must exceed for the next stronger words."""
PAIRS = 10_000
"""Drawn at random."""
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
class Usual:
    """The scores that are exceeded by half, a tenth and a hundredth of the pairs of one kind in a shop."""

    visual: tuple[float, ...]
    colour: tuple[float, ...]


def usual_scores(gallery: Gallery) -> Usual:
    """Return the quantiles of a gallery's scores, from pairs of one label drawn by seed; of any where there is none."""
    rng = np.random.default_rng(SEED)
    one = rng.integers(0, len(gallery), PAIRS)
    other = rng.integers(0, len(gallery), PAIRS)
    for rows in gallery.rows_of_label.values():
        of_label = np.flatnonzero(np.isin(one, rows))
        other[of_label] = rng.choice(rows, len(of_label))
    known = (one != other) & ((gallery.labels[one] == gallery.labels[other]) | (not gallery.rows_of_label))
    one, other = one[known], other[known]
    if not len(one):
        return Usual(SHARES, SHARES)  # a shop without pairs has no recommendations to explain
    cosine = np.einsum("ij,ij->i", gallery.embeddings[one], gallery.embeddings[other])
    colour = colour_scores(gallery.histograms[one], gallery.histograms, other[:, None])
    visual, colours = (np.quantile(scores, SHARES) for scores in (visual_score(cosine), colour))
    return Usual(tuple(map(float, visual)), tuple(map(float, colours)))


def explain(
    answer: Recommendations, queries: Queries, gallery: Gallery, usual: Usual | None = None
) -> NDArray[np.object_]:
    """Return why each product is recommended: (m, top) str, None where there is none.

    Args:
        answer: what was recommended for the queries.
        queries: m products or photos.
        gallery: what was chosen from.
        usual: `usual_scores(gallery)`, which a caller with many questions keeps.
    """
    rows = answer.neighbours
    words = sentences(
        answer.visual,
        answer.colour,
        labels=(queries.labels[:, None], gallery.labels[rows]),
        levels=(queries.price_levels[:, None], gallery.price_levels[rows]),
        usual=usual or usual_scores(gallery),
    )
    words[rows < 0] = None
    return words


def sentences(
    visual: NDArray[np.float32],
    colour: NDArray[np.float32],
    *,
    labels: tuple[NDArray[np.object_], NDArray[np.object_]],
    levels: tuple[NDArray[np.float64], NDArray[np.float64]],
    usual: Usual,
) -> NDArray[np.object_]:
    """Return the words for scores, labels and price levels of queries and of what is recommended; all broadcast."""
    known = (labels[0] != None) & (labels[1] != None)  # noqa: E711  elementwise
    kind = np.where(known, 1 + (labels[0] == labels[1]), 0).astype(np.int64)
    step = levels[1] - levels[0]
    whole = (levels[0] % 1 == 0) & (levels[1] % 1 == 0)
    price = np.where(whole, step + LEVELS - 1, len(PRICES) - 1).astype(np.int64)
    look, shades = (
        np.searchsorted(bounds, np.nan_to_num(scores), side="right")
        for bounds, scores in ((usual.visual, visual), (usual.colour, colour))
    )
    return np.asarray(SENTENCES[kind, look, shades, price], dtype=object)
