"""The search by words: any order, typing errors, exact words first, filters, ids, and shops without words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.core.errors import ModelError
from recsys.models.embedding.serving import Pointer, point
from recsys.models.text_model import normalize
from recsys.models.word_vectors import Terms, WordVectors
from recsys.ranking.word_search import (
    LEAST_SHARE,
    MAX_RESULTS,
    LearnedWords,
    MappedLooks,
    ShopTerms,
    Spelling,
    WordSearch,
    search_words,
)
from recsys.service.snapshot import ProductFilters, Snapshot, load_snapshot
from recsys.storage.store import Store
from tests.recsys.worded_shop import CONFIGURATION, NAMES, VERSION, fill, vectors_of_pictures, with_weight, write_names

TEXTS = [normalize(name) for name in NAMES]


def searching(vectors: WordVectors, texts: list[str], pictures: np.ndarray) -> WordSearch:
    shop = ShopTerms.of(texts, vectors.terms)
    return WordSearch(shop, MappedLooks(vectors, pictures), LearnedWords(vectors, vectors(texts)))


def word_search(texts: list[str]) -> WordSearch:
    vectors = WordVectors.fit([text for text in texts if text])
    assert vectors is not None
    pictures = vectors_of_pictures(len(texts))
    return searching(vectors.with_pictures(texts, pictures), texts, pictures)


@pytest.fixture(scope="module")
def search() -> WordSearch:
    return word_search(TEXTS)


def first(search: WordSearch, query: str, texts: list[str] = TEXTS) -> str:
    return texts[search.search(query)[0].row]


@pytest.mark.parametrize("query", ["red floral curtain", "curtain red floral", "FLORAL  Curtain, red!"])
def test_words_are_found_in_any_order_and_case(search: WordSearch, query: str) -> None:
    (best, *rest) = search.search(query)
    assert TEXTS[best.row] == "red floral curtain" and best.score > rest[0].score
    assert all(f'"{word}"' in best.why for word in ("red", "floral", "curtain"))
    assert sorted((match.score for match in rest), reverse=True) == [match.score for match in rest]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("yelow cotton kurta", "yellow cotton kurta"), ("blakc stel mug", "black steel mug"), ("anlog wach", "watch")],
)
def test_a_typing_error_is_forgiven(search: WordSearch, typed: str, meant: str) -> None:
    assert meant in first(search, typed)


@pytest.mark.parametrize(("typed", "meant"), [("kurtta", "kurta"), ("curtian", "curtain")])
def test_the_reason_has_the_word_that_a_misspelled_one_is_meant_for(search: WordSearch, typed: str, meant: str) -> None:
    assert search.search(typed)[0].why.startswith(f'has "{meant}"')


def test_words_in_one_are_reported_as_similar(search: WordSearch) -> None:
    assert search.search("redcurtain")[0].why.startswith("has similar words")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("watch", "watch"),
        ("wacth", "watch"),  # two letters exchanged
        ("wach", "watch"),
        ("watcch", "watch"),
        ("walch", "watch"),
        ("bedshete", "bedsheet"),
        ("bedsehete", "bedsheet"),  # two errors in a long word
        ("wahtc", None),  # two in a short one
        ("match", None),  # in the first letter
        ("wat", None),
        ("t0001", None),
        ("curtai", "curtain"),  # not `curtail`, which fewer products have
        ("कुरता", "कुर्ता"),
    ],
)
def test_a_word_is_meant_for_the_nearest_one_of_the_shop(word: str, meant: str | None) -> None:
    known = ["watch", "bedsheet", "curtail", "curtain", "curtain", "t0000", "कुर्ता"]
    assert Spelling(known)(word) == meant


@pytest.mark.parametrize("query", ["zebra xylophone", "walrus"])
def test_words_that_the_shop_does_not_have_find_nothing_by_a_few_letters(search: WordSearch, query: str) -> None:
    assert search.search(query) == []


def test_exact_words_come_before_similar_words() -> None:
    texts = ["watchman figure", "watching tower", "leather watch", "steel watch", "watches box", "stopwatch", *TEXTS]
    rows = [match.row for match in word_search(texts).search("watch")]
    exact = {row for row, text in enumerate(texts) if "watch" in text.split()}
    assert set(rows[: len(exact)]) == exact


@pytest.mark.parametrize(("query", "word"), [("लाल कुर्ता", "कुर्ता"), ("कुर्ता लाल", "लाल"), ("手表机械", "手表")])
def test_names_in_other_scripts_are_found_with_whole_words_as_the_reason(query: str, word: str) -> None:
    names = ["लाल कुर्ता", "नीला कुर्ता", "काली घड़ी", "红色窗帘", "机械手表", "电子手表"]
    texts = [normalize(name) for name in names]
    best = word_search(texts).search(query)[0]
    assert names[best.row] in ("लाल कुर्ता", "机械手表") and f'"{word}"' in best.why


def test_only_allowed_products_are_found(search: WordSearch) -> None:
    allowed = np.array(["blue" in text for text in TEXTS])
    rows = [match.row for match in search.search("red curtain", allowed)]
    assert rows and allowed[rows].all()
    assert search.search("red curtain", np.zeros(len(TEXTS), bool)) == []


@pytest.mark.parametrize("query", ["", "  ", "?!", "цвет", "qqqq"])
def test_a_query_without_a_known_term_finds_nothing(search: WordSearch, query: str) -> None:
    assert search.search(query) == []


def test_the_results_are_few_and_near_the_best() -> None:
    texts = [f"mug number {n}" for n in range(MAX_RESULTS + 50)]
    matches = word_search(texts).search("mug")
    assert len(matches) == MAX_RESULTS
    assert all(match.score >= LEAST_SHARE * matches[0].score > 0 for match in matches)


def test_a_product_without_the_word_is_found_by_its_look() -> None:
    """The picture of the last product is that of a mug; its name is not."""
    texts = ["red mug", "blue mug", "green mug", "red curtain", "blue curtain", "green curtain", "zx 81"]
    pictures = np.eye(2, dtype=np.float32)[[0, 0, 0, 1, 1, 1, 0]]
    vectors = WordVectors.fit(texts)
    assert vectors is not None
    vectors = vectors.with_pictures(texts[:6], pictures[:6])
    found = {match.row: match.why for match in searching(vectors, texts, pictures).search("mugs")}
    scores = vectors.in_pictures(["mugs"]) @ pictures.T
    assert scores[0, 6] > 0.9 > scores[0, 3]
    assert {0, 1, 2} <= set(found) and "looks like it" in found[0]


# --- a home ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return fill(tmp_path_factory.mktemp("worded") / "home")


@pytest.fixture(scope="module")
def snapshot(store: Store) -> Snapshot:
    return load_snapshot(store.home, CONFIGURATION, 1)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The same shop, served by a model without words."""
    return load_snapshot(fill(tmp_path_factory.mktemp("plain") / "home", weight=0).home, CONFIGURATION, 1)


def ids(snapshot: Snapshot, text: str, **filters: object) -> list[str]:
    rows = snapshot.search(text, ProductFilters(**filters))  # type: ignore[arg-type]
    return [str(snapshot.gallery.product_ids[row]) for row, _ in rows]


def test_the_best_products_are_a_ranked_table_with_reasons(store: Store) -> None:
    found = search_words(store, CONFIGURATION, "curtian red", 3)
    assert list(found.columns) == [
        *("rank", "product_id", "name", "brand", "label", "price", "in_stock", "score", "why")
    ]
    assert found["rank"].tolist() == [1, 2, 3] and found["name"].iloc[0] == "Red Floral Curtain"
    assert found["score"].is_monotonic_decreasing and found["why"].str.len().gt(0).all()
    assert search_words(store, CONFIGURATION, "цвет", 3).empty


def test_a_search_needs_words_in_the_serving_model_and_not_in_the_ranking(store: Store, plain: Snapshot) -> None:
    with pytest.raises(ModelError, match=r"no words: train one by a recipe with words = true.*recsys train embedding"):
        search_words(plain.store, CONFIGURATION, "mug", 3)
    off = search_words(store, with_weight(0), "blue mug", 3)
    assert off["name"].iloc[0] == "Blue Steel Mug"


def test_a_snapshot_lists_matches_with_reasons_and_then_what_contains_the_text(snapshot: Snapshot) -> None:
    rows = snapshot.search("urtai", ProductFilters())  # within a word, so that word search alone may miss some
    names = [snapshot.frame["name"].iloc[row] for row, _ in rows]
    assert {name for name in NAMES if "Curtain" in name} <= set(names)
    assert len({row for row, _ in rows}) == len(rows)
    reasons = [why for _, why in rows]
    assert reasons == sorted(reasons, key=lambda why: why is None)
    (best, why), *_ = snapshot.search("red curtain", ProductFilters())
    assert snapshot.frame["name"].iloc[best] == "Red Floral Curtain" and why is not None and '"red"' in why


def test_products_that_word_search_cuts_off_follow_in_catalogue_order(tmp_path: Path) -> None:
    count = MAX_RESULTS + 30
    snapshot = load_snapshot(fill(tmp_path / "home", [f"Mug number {n}" for n in range(count)]).home, CONFIGURATION, 1)
    rows = snapshot.search("mug", ProductFilters())
    assert len(rows) == len({row for row, _ in rows}) == count
    rest = [row for row, why in rows if why is None]
    assert len(rest) == count - MAX_RESULTS and rest == sorted(rest)


def test_the_terms_are_computed_again_after_a_text_has_changed_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, compute = fill(tmp_path / "home"), Terms.__call__
    texts: list[str] = []

    def recorded(self: Terms, many: Sequence[str]) -> csr_matrix:
        texts.extend(many)
        return compute(self, many)

    monkeypatch.setattr(Terms, "__call__", recorded)
    first = load_snapshot(store.home, CONFIGURATION, 1)
    assert len(texts) == len(NAMES)
    point(store.home, Pointer(VERSION, (None,)))
    assert first.words is not load_snapshot(store.home, CONFIGURATION, 2).words and len(texts) == len(NAMES)
    write_names(store, ["Purple Silk Scarf", *NAMES[1:]])
    changed = load_snapshot(store.home, CONFIGURATION, 3)
    assert len(texts) == 2 * len(NAMES) + 1  # and the vector of the changed text
    assert ids(changed, "red floral curtain")[0] != "p0" == ids(first, "red floral curtain")[0]


def test_an_id_of_a_product_or_of_a_variant_finds_that_product_alone(snapshot: Snapshot) -> None:
    assert ids(snapshot, "p2") == ids(snapshot, " p2-M ") == ["p2"]
    assert "p2" not in ids(snapshot, "p2", in_stock=True, label="nothing")


def test_filters_restrict_matches_and_what_contains_the_text(snapshot: Snapshot) -> None:
    in_stock = ids(snapshot, "curtain", in_stock=True)
    assert in_stock and all(int(key[1:]) % 5 for key in in_stock)
    assert set(in_stock) < set(ids(snapshot, "curtain"))
    assert ids(snapshot, "curtain", label="nothing") == []


def test_without_words_all_products_are_listed_in_catalogue_order(snapshot: Snapshot, plain: Snapshot) -> None:
    for each in (snapshot, plain):
        assert ids(each, "") == ids(each, "  ") == [f"p{n}" for n in range(len(NAMES))]
        assert {why for _, why in each.search("", ProductFilters())} == {None}


def test_a_model_without_words_finds_what_contains_all_words_in_catalogue_order(plain: Snapshot) -> None:
    assert plain.words is None
    assert ids(plain, "curt red") == ["p0"] and ids(plain, "curtian") == []
    assert ids(plain, "p2") == ["p2", "p20", "p21", "p22", "p23"] and ids(plain, "p2-M") == ["p2"]
    assert {why for _, why in plain.search("mug", ProductFilters())} == {None}
