"""The reason of a recommendation: its wording, and the scores that it is based on."""

from dataclasses import replace

import numpy as np

from recsys.core.configuration import Recommend
from recsys.ranking.explanation import ScoreQuantiles, explain, score_quantiles, sentences
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.reranking import recommend

QUANTILES = ScoreQuantiles(visual=(0.3, 0.6, 0.8), colour=(0.5, 0.7, 0.9))


def sentence(
    visual: float, colour: float, label: str | None, other_label: str | None, level: float, other_level: float
) -> str:
    labels = [np.array([value], dtype=object) for value in (label, other_label)]
    reasons = sentences(
        np.array([visual], np.float32),
        np.array([colour], np.float32),
        labels=(labels[0], labels[1]),
        levels=(np.array([level]), np.array([other_level])),
        quantiles=QUANTILES,
    )
    return str(reasons[0])


def test_a_sentence_names_kind_look_colour_and_price() -> None:
    assert sentence(0.7, 0.8, "Pens", "Pens", 3, 2) == "same kind, looks alike, close in colour, one price level lower"
    assert sentence(0.9, 0.95, "Pens", "Mugs", 1, 4) == (
        "another kind, looks very much alike, very close in colour, three price levels higher"
    )
    assert sentence(0.4, 0.6, None, "Pens", 2, 2) == "looks somewhat alike, some colours in common, same price level"
    assert sentence(0.1, 0.1, "Pens", "Pens", 2.5, 1) == "same kind, looks different, other colours, price not compared"


def random_gallery(n: int = 80) -> Gallery:
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


def test_every_recommendation_has_a_reason_and_a_missing_one_has_none() -> None:
    gallery = random_gallery(9)  # three products per label: the answers are short
    queries = Queries.of(gallery, np.arange(9))
    answer = recommend(queries, gallery, Recommend())
    why = explain(answer, queries, gallery)
    assert why.shape == answer.neighbours.shape
    assert [[text is None for text in row] for row in why] == (answer.neighbours < 0).tolist()
    assert all(text.startswith("same kind, ") for text in why[:2][answer.neighbours[:2] >= 0])


def test_the_quantiles_are_those_of_pairs_with_one_label() -> None:
    gallery = random_gallery()
    quantiles = score_quantiles(gallery)
    assert list(quantiles.colour) == sorted(quantiles.colour) and list(quantiles.visual) == sorted(quantiles.visual)
    cosines = [
        float(gallery.embeddings[i] @ gallery.embeddings[j])
        for i in range(80)
        for j in range(80)
        if i != j and gallery.labels[i] is not None and gallery.labels[i] == gallery.labels[j]
    ]
    np.testing.assert_allclose(quantiles.visual, np.quantile(np.clip(cosines, 0, 1), [0.5, 0.9, 0.99]), atol=0.06)


def test_a_shop_without_labels_or_with_one_product_has_quantiles_too() -> None:
    gallery = random_gallery()
    gallery.labels[:] = None
    assert score_quantiles(replace(gallery)).visual[0] < 1
    assert len(score_quantiles(random_gallery(1)).colour) == 3
