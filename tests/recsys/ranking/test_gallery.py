"""The likeness with words beside pictures; photos, which have no words, are ranked by pictures alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.core.configuration import Recommend
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.gallery_loading import load_gallery
from recsys.ranking.recommendations import recommend_missing
from recsys.ranking.reranking import recommend
from recsys.ranking.single_query import recommend_product
from recsys.storage.store import Store
from tests.recsys.worded_shop import CONFIGURATION, NAMES, VERSION, fill, model_of, with_weight

N, D, T = 60, 12, 8
WEIGHT = 0.4
WORDLESS = np.arange(N) % 5 == 0


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def gallery(weight: float = WEIGHT) -> Gallery:
    """Return products with words, but for every fifth; weight 0: the same products by pictures alone."""
    random = np.random.default_rng(0)
    pictures, words = unit(random.standard_normal((N, D))), unit(random.standard_normal((N, T)))
    words[WORDLESS] = 0
    histograms = random.random((N, 24)).astype(np.float32)
    return Gallery(
        version="test",
        product_ids=np.array([f"p{n}" for n in range(N)], dtype=object),
        labels=np.array(["Things"] * N, dtype=object),
        price_levels=random.choice([1, 2, 2.5, 3, 4], N),
        embeddings=np.concatenate([pictures, words], axis=1) if weight else pictures,
        histograms=histograms / histograms.sum(axis=1, keepdims=True),
        text_size=T if weight else 0,
        text_weight=weight,
    )


def slow_likeness(shop: Gallery, query: int, other: int) -> float:
    pictures, words = shop.embeddings[:, :D], shop.embeddings[:, D:]
    weight = WEIGHT if words[query].any() else 0.0
    return float((1 - weight) * pictures[query] @ pictures[other] + weight * words[query] @ words[other])


def test_the_likeness_of_two_products_is_the_mean_of_pictures_and_words_by_their_weight() -> None:
    shop = gallery()
    likeness = Queries.of(shop, np.arange(N)).embeddings @ shop.embeddings.T
    expected = [[slow_likeness(shop, query, other) for other in range(N)] for query in range(N)]
    np.testing.assert_allclose(likeness, expected, atol=1e-5)
    assert (shop.picture_size, shop.pictures.shape) == (D, (N, D))


def test_the_unit_vectors_have_the_likeness_as_cosines() -> None:
    shop = gallery()
    vectors = shop.unit_vectors()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    worded = np.flatnonzero(~WORDLESS)
    likeness = Queries.of(shop, worded).embeddings @ shop.embeddings[worded].T
    np.testing.assert_allclose(vectors[worded] @ vectors[worded].T, likeness, atol=1e-5)


def test_a_product_without_words_is_not_favoured() -> None:
    """Its words are as unlike a query's as words can be, so its likeness is at most that of the pictures' share."""
    shop, by_pictures = gallery(), gallery(0)
    with_words, without = (
        Queries.of(each, np.flatnonzero(~WORDLESS)).embeddings @ each.embeddings[WORDLESS].T
        for each in (shop, by_pictures)
    )
    np.testing.assert_allclose(with_words, (1 - WEIGHT) * without, atol=1e-5)


def test_a_product_without_words_has_the_recommendations_of_pictures_alone() -> None:
    rows = np.flatnonzero(WORDLESS)
    answers = [recommend(Queries.of(shop, rows), shop, Recommend()) for shop in (gallery(), gallery(0))]
    np.testing.assert_array_equal(answers[0].neighbours, answers[1].neighbours)
    np.testing.assert_allclose(answers[0].total, answers[1].total, atol=1e-6)


@pytest.mark.parametrize("diversity", [0.0, 0.5])
def test_a_photo_has_the_same_ranking_with_and_without_words(diversity: float) -> None:
    photos = unit(np.random.default_rng(3).standard_normal((20, D)))
    answers = []
    for shop in (gallery(), gallery(0)):
        queries = replace(Queries.of(shop, np.arange(20)), rows=np.full(20, -1), embeddings=shop.of_pictures(photos))
        answers.append(recommend(queries, shop, Recommend(diversity=diversity, top=1 if diversity else 5)))
    np.testing.assert_array_equal(answers[0].neighbours, answers[1].neighbours)
    np.testing.assert_allclose(answers[0].total, answers[1].total, atol=1e-6)


def test_the_visual_score_of_a_recommendation_is_the_likeness() -> None:
    shop = gallery()
    answer = recommend(Queries.of(shop, np.arange(N)), shop, Recommend())
    for query in range(N):
        expected = [max(0.0, slow_likeness(shop, query, other)) for other in answer.neighbours[query]]
        np.testing.assert_allclose(answer.visual[query], expected, atol=1e-5)


def test_diversity_compares_the_products_of_an_answer_by_their_likeness() -> None:
    """Two equal products of words, one with another picture: the second is as redundant as the likeness says."""
    pictures = np.eye(4, dtype=np.float32)[[0, 0, 1, 0]]
    words = np.eye(4, dtype=np.float32)[[0, 0, 0, 1]]
    histograms = np.full((4, 8), 0.125, np.float32)
    shop = Gallery(
        version="test",
        product_ids=np.array(list("abcd"), dtype=object),
        labels=np.array(["Things"] * 4, dtype=object),
        price_levels=np.full(4, 2.5),
        embeddings=np.concatenate([pictures, words], axis=1),
        histograms=histograms,
        text_size=4,
        text_weight=0.9,
    )
    answer = recommend(Queries.of(shop, np.array([0])), shop, Recommend(diversity=1.0, top=3))
    assert answer.neighbours[0].tolist() == [1, 3, 2]  # by pictures alone, c would be the second


# --- of a home ------------------------------------------------------------------------------------------------------


def stored(store: Store) -> pd.DataFrame:
    table = store.read(f"recommendations-{VERSION}").to_pandas()
    return table.drop(columns="basis").sort_values(["product_id", "rank"], ignore_index=True)


def test_words_change_the_ranking_and_weight_0_restores_that_of_pictures_alone_exactly(tmp_path: Path) -> None:
    worded, plain = fill(tmp_path / "worded"), fill(tmp_path / "plain", weight=0)
    assert not stored(worded)["visual"].equals(stored(plain)["visual"])
    off, on = load_gallery(worded, with_weight(0))[1], load_gallery(worded, CONFIGURATION)[1]
    assert (off.text_size, off.text_weight) == (0, 0) and on.text_size > 0 and on.text_weight == pytest.approx(0.46)
    np.testing.assert_array_equal(off.embeddings, load_gallery(plain, CONFIGURATION)[1].embeddings)
    np.testing.assert_array_equal(on.pictures, off.embeddings)
    recommend_missing(worded, with_weight(0), model_of())
    pd.testing.assert_frame_equal(stored(worded), stored(plain), check_exact=True)


def test_products_with_like_names_are_nearer_with_words(tmp_path: Path) -> None:
    """The pictures of a kind are noisy, its names are not."""
    store = fill(tmp_path / "home")

    def share_of_kind(weight: float) -> float:
        shop = load_gallery(store, with_weight(weight))[1]
        answer = recommend(Queries.of(shop, np.arange(len(shop))), shop, Recommend(top=5))
        return float((answer.neighbours % 4 == np.arange(len(shop))[:, None] % 4).mean())

    assert share_of_kind(0.6) > share_of_kind(0) + 0.05


def test_a_product_without_a_name_is_recommended_as_by_pictures_alone(tmp_path: Path) -> None:
    names: list[str | None] = [*NAMES[:5], None, *NAMES[6:]]
    answers = [
        recommend_product(fill(tmp_path / f"{weight}", names, weight), CONFIGURATION, "p5").items for weight in (0.4, 0)
    ]
    assert answers[0]["product_id"].tolist() == answers[1]["product_id"].tolist()
    np.testing.assert_allclose(answers[0]["total"], answers[1]["total"], atol=1e-6)


def test_a_new_weight_ranks_every_product_again(tmp_path: Path) -> None:
    store = fill(tmp_path / "home")
    before = stored(store)
    assert recommend_missing(store, with_weight(0.4), model_of()) == 0
    assert recommend_missing(store, with_weight(0.1), model_of()) == len(NAMES)
    assert not stored(store)["visual"].equals(before["visual"])
