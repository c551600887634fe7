import numpy as np
import pandas as pd
import pytest

from recsys.core.configuration import Recommend
from recsys.evaluation.weight_selection import select_weights, trade_off_curve, weights_grid
from recsys.ranking.gallery import Gallery, Queries


def test_the_grid_holds_every_combination_once() -> None:
    grid = weights_grid(0.25)
    assert len(grid) == len(set(grid)) == 15
    assert all(sum(weights) == pytest.approx(1) and min(weights) >= 0 for weights in grid)


def test_each_weight_earns_what_it_stands_for() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 10, 400)
    embeddings = np.eye(10)[kinds] + 0.35 * rng.standard_normal((400, 10))
    histograms = rng.dirichlet(np.full(6, 0.5), 400).astype(np.float32)
    shop = Gallery(
        version="test",
        product_ids=np.arange(400).astype(object),
        labels=np.array(["Pens"] * 400, dtype=object),
        price_levels=rng.choice([1.0, 2, 3, 4], 400),
        embeddings=(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32),
        histograms=histograms,
    )
    rule = Recommend(filter=60)
    curve = trade_off_curve(Queries.of(shop, np.arange(400)), shop, [kinds], rule, [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
    assert curve["precision_1"].idxmax() == 0
    assert curve["colour_agreement"].idxmax() == 1
    assert curve["price_agreement"].idxmax() == 2
    assert curve["coverage"].between(0, 1).all()


def test_of_weights_no_worse_than_the_best_those_with_the_most_agreement_are_select_weights() -> None:
    curve = pd.DataFrame(
        {
            "precision_1": [0.80, 0.79, 0.70],
            "error_1": [0.02, 0.02, 0.02],
            "colour_agreement": [0.5, 0.6, 0.9],
            "price_agreement": [0.5, 0.6, 0.9],
        }
    )
    assert select_weights(curve, 1).name == 1
