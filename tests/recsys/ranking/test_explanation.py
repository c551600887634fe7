from dataclasses import replace

import numpy as np

from recsys.core.configuration import Recommend
from recsys.ranking.explanation import ScoreQuantiles, explain, score_quantiles, sentences
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.reranking import recommend

USUAL = ScoreQuantiles(visual=(0.3, 0.6, 0.8), colour=(0.5, 0.7, 0.9))


def said(visual: float, colour: float, label: str | None, other: str | None, level: float, its: float) -> str:
    pair = [np.array([value], dtype=object) for value in (label, other)]
    words = sentences(
        np.array([visual], np.float32),
        np.array([colour], np.float32),
        labels=(pair[0], pair[1]),
        levels=(np.array([level]), np.array([its])),
        quantiles=USUAL,
    )
    return str(words[0])


def test_a_sentence_says_kind_look_colour_and_price() -> None:
    assert said(0.7, 0.8, "Pens", "Pens", 3, 2) == "same kind, looks alike, close in colour, one price level lower"
    assert said(0.9, 0.95, "Pens", "Mugs", 1, 4) == (
        "another kind, looks very much alike, very close in colour, three price levels higher"
    )
    assert said(0.4, 0.6, None, "Pens", 2, 2) == "looks somewhat alike, some colours in common, same price level"
    assert said(0.1, 0.1, "Pens", "Pens", 2.5, 1) == "same kind, looks different, other colours, price not compared"


def shop(n: int = 80) -> Gallery:
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((n, 8)).astype(np.float32)
    histograms = rng.random((n, 12)).astype(np.float32)
    return Gallery(
        version="test",
        product_ids=np.array([f"p{i}" for i in range(n)], dtype=object),
        labels=np.array([["Pens", "Mugs", None][i % 3] for i in range(n)], dtype=object),
        price_levels=rng.choice([1, 2, 2.5, 3, 4], n),
        embeddings=embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
        histograms=histograms / histograms.sum(axis=1, keepdims=True),
    )


def test_every_recommendation_has_its_reason_and_nothing_else_has() -> None:
    gallery = shop(9)  # three of a kind: the answers are short
    queries = Queries.of(gallery, np.arange(9))
    answer = recommend(queries, gallery, Recommend())
    why = explain(answer, queries, gallery)
    assert why.shape == answer.neighbours.shape
    assert [[text is None for text in row] for row in why] == (answer.neighbours < 0).tolist()
    assert all(text.startswith("same kind, ") for text in why[:2][answer.neighbours[:2] >= 0])


def test_what_is_close_is_what_few_pairs_of_the_shop_are() -> None:
    usual = score_quantiles(shop())
    assert list(usual.colour) == sorted(usual.colour) and list(usual.visual) == sorted(usual.visual)
    same = shop()
    pairs = [
        float(same.embeddings[i] @ same.embeddings[j])
        for i in range(80)
        for j in range(80)
        if i != j and same.labels[i] is not None and same.labels[i] == same.labels[j]
    ]
    np.testing.assert_allclose(usual.visual, np.quantile(np.clip(pairs, 0, 1), [0.5, 0.9, 0.99]), atol=0.06)


def test_a_shop_without_labels_or_with_one_product_has_bounds_too() -> None:
    gallery = shop()
    gallery.labels[:] = None
    assert score_quantiles(replace(gallery)).visual[0] < 1
    assert len(score_quantiles(shop(1)).colour) == 3
