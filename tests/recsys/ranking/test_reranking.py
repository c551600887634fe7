"""The rules against slow, simple versions of them, product by product."""

from dataclasses import fields, replace

import numpy as np
import pytest

from recsys.core.configuration import Recommend
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.reranking import recommend, rerank, scored_candidates

RULE = Recommend()


def gallery(n: int, labels: list[str | None], seed: int = 0) -> Gallery:
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((n, 16)).astype(np.float32)
    histograms = rng.random((n, 24)).astype(np.float32)
    return Gallery(
        version="test",
        product_ids=np.array([f"p{i}" for i in range(n)], dtype=object),
        labels=np.array([labels[i % len(labels)] for i in range(n)], dtype=object),
        price_levels=rng.choice([1, 2, 2.5, 3, 4], n),
        embeddings=embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
        histograms=histograms / histograms.sum(axis=1, keepdims=True),
    )


def slow_rule(shop: Gallery, row: int, rule: Recommend) -> list[tuple[int, float]]:
    """Return the answer for one product, step by step; the original's rule as on its slides."""
    pool = [i for i in range(len(shop)) if i != row and shop.labels[i] == shop.labels[row]]
    if shop.labels[row] is None or not pool:
        pool = [i for i in range(len(shop)) if i != row]
    pool.sort(key=lambda i: -float(shop.embeddings[row] @ shop.embeddings[i]))
    if rule.rule == "default" and rule.collapse and shop.groups is not None:
        nearest = {shop.groups[i]: i for i in reversed(pool) if shop.groups[i] != shop.groups[row]}
        pool = [i for i in pool if nearest.get(shop.groups[i]) == i]
    scored = []
    for i in pool[: rule.filter]:
        price = (3 - abs(shop.price_levels[row] - shop.price_levels[i])) / 3
        a, b = shop.histograms[row].astype(float), shop.histograms[i].astype(float)
        colour = 1 - 0.5 * float(((a - b) ** 2 / (a + b)).sum())
        total = price * rule.price_weight + colour * rule.colour_weight
        if rule.rule == "default":
            total += max(0.0, float(shop.embeddings[row] @ shop.embeddings[i])) * rule.visual_weight
        scored.append((i, total))
    return sorted(scored, key=lambda pair: -pair[1])[: rule.top]


@pytest.mark.parametrize("name", ["original", "default"])
@pytest.mark.parametrize(
    ("colour_weight", "price_weight", "filter_", "top"), [(1, 1, 20, 5), (2, 0.5, 10, 9), (0, 1, 20, 5), (1, 0, 7, 7)]
)
def test_the_fast_rule_equals_the_slow_one(
    name: str, colour_weight: float, price_weight: float, filter_: int, top: int
) -> None:
    shop = replace(gallery(120, ["Watches", "Footwear", None]), groups=np.arange(120) // 9 * 3 + np.arange(120) % 3)
    weights = {"colour_weight": colour_weight, "price_weight": price_weight}
    rule = Recommend.model_validate({"rule": name, "filter": filter_, "top": top, **weights})
    answer = recommend(Queries.of(shop, np.arange(len(shop))), shop, rule)
    for row in range(len(shop)):
        expected = slow_rule(shop, row, rule)
        np.testing.assert_allclose(answer.total[row], [total for _, total in expected], rtol=1e-5, atol=1e-6)
        if colour_weight:  # totals of price alone have ties, which floats may order either way
            assert answer.neighbours[row].tolist() == [i for i, _ in expected]


def test_the_original_rule_has_equal_weights_and_no_visual_score() -> None:
    rule = Recommend.model_validate({"rule": "original"})
    assert (rule.filter, rule.top, rule.colour_weight, rule.price_weight) == (20, 5, 1, 1)
    shop = gallery(50, ["Watches"])
    answer = recommend(Queries.of(shop, np.arange(50)), shop, rule)
    np.testing.assert_allclose(answer.total, answer.colour + answer.price, rtol=1e-6)


def test_with_the_visual_score_alone_a_wide_filter_changes_nothing() -> None:
    shop = gallery(150, ["Watches"])
    queries = Queries.of(shop, np.arange(150))
    narrow, wide = (
        recommend(queries, shop, Recommend(filter=width, visual_weight=1, colour_weight=0, price_weight=0))
        for width in (5, 100)
    )
    np.testing.assert_array_equal(narrow.neighbours, wide.neighbours)


def test_a_wider_filter_gives_more_influence_to_colour_and_price() -> None:
    shop = gallery(300, ["Watches"])
    queries = Queries.of(shop, np.arange(300))
    means = []
    for width in (5, 20, 100):
        answer = recommend(queries, shop, Recommend(filter=width))
        means.append((float((answer.colour + answer.price).mean()), -float(answer.visual.mean())))
    assert means == sorted(means)


def test_an_answer_has_one_variant_of_each_product_and_none_of_the_query() -> None:
    groups = np.random.default_rng(1).integers(0, 12, 200)
    shop = replace(gallery(200, ["Watches", None]), groups=groups)
    for allowed in (None, np.arange(200) % 3 > 0):
        answer = recommend(Queries.of(shop, np.arange(200)), shop, Recommend(top=9), allowed=allowed)
        for row in range(200):
            recommended = groups[answer.neighbours[row]][answer.neighbours[row] >= 0]
            assert len(set(recommended)) == len(recommended) == 9
            assert groups[row] not in recommended


def test_variants_stay_where_the_rule_does_not_collapse_them() -> None:
    shop = replace(gallery(60, ["Watches"]), groups=np.zeros(60, np.int64))
    queries = Queries.of(shop, np.arange(60))
    assert (recommend(queries, shop, RULE).neighbours == -1).all()
    for rule in (Recommend(collapse=False), Recommend(rule="original")):
        assert (recommend(queries, shop, rule).neighbours >= 0).all()


def test_a_filtered_answer_equals_that_of_a_shop_of_the_allowed_products() -> None:
    shop = gallery(200, ["Watches", "Footwear", None])
    allowed = np.random.default_rng(2).random(200) < 0.3
    rows = np.flatnonzero(allowed)
    smaller = Gallery(shop.version, *(getattr(shop, field.name)[rows] for field in fields(Gallery)[1:6]))
    answer = recommend(Queries.of(shop, rows), shop, RULE, allowed=allowed)
    expected = recommend(Queries.of(smaller, np.arange(len(rows))), smaller, RULE)
    np.testing.assert_array_equal(answer.neighbours, np.where(expected.neighbours < 0, -1, rows[expected.neighbours]))


def test_a_filter_without_allowed_products_gives_no_recommendation() -> None:
    shop = gallery(50, ["Watches"])
    answer = recommend(Queries.of(shop, np.arange(50)), shop, RULE, allowed=np.zeros(50, bool))
    assert (answer.neighbours == -1).all() and np.isnan(answer.total).all()


def test_a_filter_without_products_of_the_label_gives_none_of_other_labels() -> None:
    shop = gallery(50, ["Watches", "Footwear"])
    answer = recommend(Queries.of(shop, np.array([0])), shop, RULE, allowed=shop.labels == "Footwear")
    assert (answer.neighbours == -1).all()


def slow_mmr(
    shop: Gallery, candidates: list[int], relevance: dict[int, float], diversity: float, top: int
) -> list[int]:
    """Return the candidates by maximal marginal relevance, one by one."""
    selected: list[int] = []

    def value(i: int) -> float:
        visual = [max(0.0, float(shop.embeddings[i] @ shop.embeddings[j])) for j in selected]
        return (1 - diversity) * relevance[i] - diversity * max(visual, default=0)

    while len(selected) < top:
        selected.append(max((i for i in candidates if i not in selected), key=value))
    return selected


@pytest.mark.parametrize("diversity", [0.3, 1])
def test_diversity_is_maximal_marginal_relevance(diversity: float) -> None:
    shop = gallery(60, ["Watches"])
    queries = Queries.of(shop, np.arange(60))
    rule = Recommend(diversity=diversity)
    answer = recommend(queries, shop, rule)
    all_ranked = rerank(scored_candidates(queries, shop, rule), shop, Recommend(), top=20)
    nearest = scored_candidates(queries, shop, rule).rows
    for row in range(60):
        relevance = dict(zip(all_ranked.neighbours[row].tolist(), (all_ranked.total[row] / 3.5).tolist(), strict=True))
        expected = slow_mmr(shop, nearest[row].tolist(), relevance, diversity, 5)
        assert answer.neighbours[row].tolist() == expected


def test_diversity_recommends_each_product_once_in_a_small_shop() -> None:
    shop = gallery(4, ["Watches"])
    for diversity in (0.5, 1):
        answer = recommend(Queries.of(shop, np.arange(4)), shop, Recommend(diversity=diversity))
        for row in range(4):
            assert sorted(answer.neighbours[row]) == [-1, -1, *sorted({0, 1, 2, 3} - {row})]
            assert np.isnan(answer.total[row, 3:]).all()


def test_no_product_is_recommended_for_itself() -> None:
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


def test_a_small_label_gives_a_shorter_answer_without_other_labels() -> None:
    shop = gallery(40, ["Watches"])
    shop.labels[:4] = "Pens"
    answer = recommend(Queries.of(shop, np.arange(4)), shop, RULE)
    for row in range(4):
        assert sorted(answer.neighbours[row]) == [-1, -1, *sorted({0, 1, 2, 3} - {row})]


def test_equal_totals_stay_in_the_order_of_the_visual_score() -> None:
    shop = gallery(30, ["Watches"])
    shop.price_levels[:] = 2
    shop.histograms[:] = shop.histograms[0]
    answer = recommend(Queries.of(shop, np.arange(30)), shop, RULE)
    assert (np.diff(answer.visual, axis=1) <= 0).all()


def test_a_new_photo_is_compared_with_the_whole_shop() -> None:
    shop = gallery(50, ["Watches", "Footwear"])
    photo = Queries(
        version="test",
        rows=np.array([-1]),
        labels=np.array([None], dtype=object),
        price_levels=np.array([2.5]),
        embeddings=shop.embeddings[7:8],
        histograms=shop.histograms[7:8],
    )
    answer = recommend(photo, shop, Recommend(price_weight=0))
    assert answer.neighbours[0, 0] == 7
    assert answer.visual[0, 0] == pytest.approx(1, abs=1e-5)


def test_in_a_shop_smaller_than_the_answer_the_rest_is_empty() -> None:
    shop = gallery(3, ["Watches"])
    answer = recommend(Queries.of(shop, np.arange(3)), shop, RULE)
    assert (answer.neighbours[:, :2] >= 0).all() and (answer.neighbours[:, 2:] == -1).all()
    assert np.isnan(answer.total[:, 2:]).all()


def test_the_block_sizes_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = replace(gallery(200, ["Watches", None]), groups=np.arange(200) // 3)
    rule = Recommend(diversity=0.2)
    whole = recommend(Queries.of(shop, np.arange(200)), shop, rule)
    for name in ("nearest_neighbours.BLOCK_BYTES", "reranking.BLOCK_BYTES", "scores.CACHE_BYTES"):
        monkeypatch.setattr(f"recsys.ranking.{name}", 30_000)
    blocked = recommend(Queries.of(shop, np.arange(200)), shop, rule)
    np.testing.assert_array_equal(whole.neighbours, blocked.neighbours)


def test_embeddings_of_two_models_are_not_compared() -> None:
    shop = gallery(20, ["Watches"])
    queries = replace(Queries.of(shop, np.arange(3)), version="another model")
    with pytest.raises(ValueError, match="cannot be compared"):
        recommend(queries, shop, RULE)
