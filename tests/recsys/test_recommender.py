"""The rule against a slow, obvious version of it, product by product."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.configuration import Recommend
from recsys.recommender import Gallery, Queries, nearest_columns, recommend

RULE = Recommend()


def gallery(n: int, labels: list[str | None], seed: int = 0) -> Gallery:
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((n, 16)).astype(np.float32)
    histograms = rng.random((n, 24)).astype(np.float32)
    return Gallery(
        version="a model",
        product_ids=np.array([f"p{i}" for i in range(n)], dtype=object),
        labels=np.array([labels[i % len(labels)] for i in range(n)], dtype=object),
        price_levels=rng.choice([1, 2, 2.5, 3, 4], n),
        embeddings=embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
        histograms=histograms / histograms.sum(axis=1, keepdims=True),
    )


def slowly(shop: Gallery, row: int, rule: Recommend) -> list[tuple[int, float]]:
    """The original's rule for one product, as on its slides."""
    pool = [i for i in range(len(shop)) if i != row and shop.labels[i] == shop.labels[row]]
    if shop.labels[row] is None or not pool:
        pool = [i for i in range(len(shop)) if i != row]
    nearest = sorted(pool, key=lambda i: -float(shop.embeddings[row] @ shop.embeddings[i]))[: rule.filter]
    scored = []
    for i in nearest:
        price = (3 - abs(shop.price_levels[row] - shop.price_levels[i])) / 3
        a, b = shop.histograms[row].astype(float), shop.histograms[i].astype(float)
        colour = 1 - 0.5 * float(((a - b) ** 2 / (a + b)).sum())
        scored.append((i, price * rule.price_weight + colour * rule.colour_weight))
    return sorted(scored, key=lambda pair: -pair[1])[: rule.top]


@pytest.mark.parametrize(
    ("colour_weight", "price_weight", "filter_", "top"), [(1, 1, 20, 5), (2, 0.5, 10, 9), (0, 1, 20, 5), (1, 0, 7, 7)]
)
def test_it_is_the_rule_of_the_original(colour_weight: float, price_weight: float, filter_: int, top: int) -> None:
    shop = gallery(120, ["Watches", "Footwear", None])
    rule = Recommend(colour_weight=colour_weight, price_weight=price_weight, filter=filter_, top=top)
    answer = recommend(Queries.of(shop, np.arange(len(shop))), shop, rule)
    for row in range(len(shop)):
        expected = slowly(shop, row, rule)
        np.testing.assert_allclose(answer.total[row], [total for _, total in expected], rtol=1e-5, atol=1e-6)
        if colour_weight:  # totals of price alone have ties, which floats may order either way
            assert answer.neighbours[row].tolist() == [i for i, _ in expected]


def test_no_product_is_its_own_neighbour() -> None:
    shop = gallery(40, ["Watches", None])
    answer = recommend(Queries.of(shop, np.arange(40)), shop, RULE)
    assert not (answer.neighbours == np.arange(40)[:, None]).any()


def test_a_labelled_product_is_compared_within_its_label() -> None:
    shop = gallery(60, ["Watches", "Footwear", None])
    answer = recommend(Queries.of(shop, np.arange(60)), shop, RULE)
    watches = np.flatnonzero(shop.labels == "Watches")
    assert set(shop.labels[answer.neighbours[watches]].ravel()) == {"Watches"}


def test_a_product_alone_in_its_label_searches_the_whole_shop() -> None:
    shop = gallery(40, ["Watches"])
    shop.labels[0] = "Pens"
    answer = recommend(Queries.of(shop, np.array([0])), shop, RULE)
    assert (answer.neighbours >= 1).all()


def test_a_small_label_gives_a_shorter_answer_and_no_other_kind() -> None:
    shop = gallery(40, ["Watches"])
    shop.labels[:4] = "Pens"
    answer = recommend(Queries.of(shop, np.arange(4)), shop, RULE)
    for row in range(4):
        assert sorted(answer.neighbours[row]) == [-1, -1, *sorted({0, 1, 2, 3} - {row})]


def test_equal_totals_stay_in_the_order_of_likeness() -> None:
    shop = gallery(30, ["Watches"])
    shop.price_levels[:] = 2
    shop.histograms[:] = shop.histograms[0]
    answer = recommend(Queries.of(shop, np.arange(30)), shop, RULE)
    assert (np.diff(answer.visual, axis=1) <= 0).all()


def test_a_new_photo_may_find_any_product() -> None:
    shop = gallery(50, ["Watches", "Footwear"])
    photo = Queries(
        version=shop.version,
        rows=np.array([-1]),
        labels=np.array([None], dtype=object),
        price_levels=np.array([2.5]),
        embeddings=shop.embeddings[7:8],
        histograms=shop.histograms[7:8],
    )
    answer = recommend(photo, shop, Recommend(price_weight=0))
    assert answer.neighbours[0, 0] == 7
    assert answer.visual[0, 0] == pytest.approx(1, abs=1e-5)


def test_a_query_that_another_model_embedded_is_refused() -> None:
    shop = gallery(30, ["Watches"])
    asked = replace(Queries.of(shop, np.arange(3)), version="another model")
    with pytest.raises(ValueError, match="embedded by 'another model' and the gallery by 'a model'"):
        recommend(asked, shop, RULE)


def test_a_shop_smaller_than_the_answer_leaves_the_rest_empty() -> None:
    shop = gallery(3, ["Watches"])
    answer = recommend(Queries.of(shop, np.arange(3)), shop, RULE)
    assert (answer.neighbours[:, :2] >= 0).all() and (answer.neighbours[:, 2:] == -1).all()
    assert np.isnan(answer.total[:, 2:]).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = gallery(200, ["Watches", None])
    whole = recommend(Queries.of(shop, np.arange(200)), shop, RULE)
    monkeypatch.setattr("recsys.recommender.BLOCK_BYTES", 30_000)
    blocked = recommend(Queries.of(shop, np.arange(200)), shop, RULE)
    np.testing.assert_array_equal(whole.neighbours, blocked.neighbours)


def test_nearest_columns_are_sorted_and_complete() -> None:
    similarity = np.random.default_rng(3).random((20, 50)).astype(np.float32)
    expected = np.argsort(-similarity, axis=1, kind="stable")
    for count in (1, 5, 50, 80):
        np.testing.assert_array_equal(nearest_columns(similarity, count), expected[:, :count])
