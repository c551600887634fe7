"""The trade-off of the weights, and the one-standard-error rule."""

import numpy as np
import pandas as pd
import pytest

from recsys.core.configuration import Recommend
from recsys.evaluation.weight_selection import select_weights, trade_off_curve, weights_grid
from recsys.ranking.gallery import Gallery, Queries


def test_the_grid_contains_every_combination_once() -> None:
    grid = weights_grid(0.25)
    assert len(grid) == len(set(grid)) == 15
    assert all(sum(weights) == pytest.approx(1) and min(weights) >= 0 for weights in grid)


def test_each_weight_raises_its_own_measure() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 10, 400)
    embeddings = np.eye(10)[codes] + 0.35 * rng.standard_normal((400, 10))
    histograms = rng.dirichlet(np.full(6, 0.5), 400).astype(np.float32)
    shop = Gallery(
        version="test",
        product_ids=np.arange(400).astype(object),
        labels=np.array(["Pens"] * 400, dtype=object),
        price_levels=rng.choice([1.0, 2, 3, 4], 400),
        embeddings=(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32),
        histograms=histograms,
    )
    queries, rule = Queries.of(shop, np.arange(400)), Recommend(filter=60)
    curve = trade_off_curve(queries, shop, [codes], rule, [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
    assert curve["precision_1"].idxmax() == 0
    assert curve["colour_agreement"].idxmax() == 1
    assert curve["price_agreement"].idxmax() == 2
    assert curve["coverage"].between(0, 1).all()


def test_the_highest_agreement_within_one_standard_error_of_the_best_is_selected() -> None:
    curve = pd.DataFrame(
        {
            "precision_1": [0.80, 0.79, 0.70],
            "error_1": [0.02, 0.02, 0.02],
            "colour_agreement": [0.5, 0.6, 0.9],
            "price_agreement": [0.5, 0.6, 0.9],
        }
    )
    assert select_weights(curve, 1).name == 1
