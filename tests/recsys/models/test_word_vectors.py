"""Vectors of words: the same texts give the same model, in any script; unknown words are zeros."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.models import text_model, word_vectors
from recsys.models.text_model import normalize
from recsys.models.word_vectors import FILE, TERMS_FILE, WordVectors, product_text, tokens

THINGS = ("floral curtain", "analog watch", "cotton kurta", "steel mug", "wooden chair", "leather wallet")
COLOURS = ("red", "blue", "green", "black", "white")
TEXTS = [f"{colour} {thing}" for thing in THINGS for colour in COLOURS]
HINDI = ["लाल कुर्ता", "नीला कुर्ता", "काली घड़ी", "सफ़ेद घड़ी", "लाल पर्दा", "नीला पर्दा"]
CHINESE = ["红色窗帘", "蓝色窗帘", "机械手表", "电子手表", "不锈钢杯", "陶瓷水杯"]


def fitted(texts: list[str]) -> WordVectors:
    vectors = WordVectors.fit(texts)
    assert vectors is not None
    return vectors


@pytest.fixture(scope="module")
def model() -> WordVectors:
    """A model with a head and a map to pictures of 8 numbers, one for each thing."""
    pictures = np.eye(8, dtype=np.float32)[np.arange(len(TEXTS)) // len(COLOURS)]
    vectors = fitted(TEXTS)
    random = np.random.default_rng(0)
    kernel = random.standard_normal((vectors.size, 16)).astype(np.float32)
    return vectors.with_head(kernel, random.standard_normal(16).astype(np.float32)).with_pictures(TEXTS, pictures)


def nearest(vectors: WordVectors, query: str, texts: list[str]) -> str:
    return texts[int(np.argmax(vectors(texts) @ vectors([query])[0]))]


def test_the_text_of_a_product_has_its_name_its_brand_once_and_its_attributes() -> None:
    assert product_text("Acme Mug", "ACME", ["Steel", "mug"]) == "acme mug steel"
    assert product_text("Mug", "Acme") == "mug acme"
    assert product_text(None, float("nan"), ()) == product_text(" ", None) == ""
    assert normalize("ＦＵＬＬ width\u00a0Straße") == "full width strasse"
    assert len(normalize("x" * 5_000)) == text_model.LONGEST_TEXT


def test_words_keep_their_vowel_signs_and_are_pairs_of_characters_where_there_are_no_spaces() -> None:
    assert tokens("लाल कुर्ता, नया") == ["लाल", "कुर्ता", "नया"]
    assert tokens("机械手表 X1型 カメラ") == ["机械", "械手", "手表", "X1", "型", "カメ", "メラ"]
    assert tokens("red-floral (2 m) café_au") == ["red", "floral", "2", "m", "café_au"]


def test_the_same_texts_give_the_same_model() -> None:
    one, same = fitted(TEXTS), fitted(TEXTS)
    assert one.terms.names == same.terms.names
    np.testing.assert_array_equal(one.terms.idf, same.terms.idf)
    np.testing.assert_array_equal(one(TEXTS), same(TEXTS))


def test_vectors_have_unit_length_and_those_of_unknown_words_are_zeros(model: WordVectors) -> None:
    texts = [*TEXTS, "red", "цвет", "", "!?"]
    for vectors, size in ((model(texts), 16), (model.in_pictures(texts), 8)):
        assert vectors.dtype == np.float32 and vectors.shape == (len(texts), size)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1] * (len(texts) - 3) + [0] * 3, atol=1e-5)
    assert model([]).shape == (0, 16)


def test_texts_that_fill_several_blocks_have_the_vectors_of_one(
    model: WordVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = model(TEXTS)
    monkeypatch.setattr(word_vectors, "BLOCK", 7)
    np.testing.assert_allclose(model(TEXTS), whole, atol=1e-6)


@pytest.mark.parametrize(
    ("typed", "meant"), [("blue anlaog wtach", "blue analog watch"), ("curtian floral red", "red floral curtain")]
)
def test_a_typing_error_is_near_the_right_words(typed: str, meant: str) -> None:
    assert nearest(fitted(TEXTS), typed, TEXTS) == meant


@pytest.mark.parametrize(
    ("texts", "query", "meant"),
    [(HINDI, "कुर्ता लाल", "लाल कुर्ता"), (HINDI, "काली घडी", "काली घड़ी"), (CHINESE, "手表机械", "机械手表")],
)
def test_names_in_other_scripts_are_found(texts: list[str], query: str, meant: str) -> None:
    texts = [normalize(text) for text in texts]
    assert nearest(fitted(texts), normalize(query), texts) == normalize(meant)


def test_words_are_mapped_to_what_they_look_like(model: WordVectors) -> None:
    looks = model.in_pictures(["curtain", "analog watch", "wallet"])
    assert looks.argmax(axis=1).tolist() == [0, 1, 5]


def test_a_saved_model_gives_the_same_vectors_and_has_no_pickle(model: WordVectors, tmp_path: Path) -> None:
    model.save(tmp_path)
    loaded = WordVectors.load(tmp_path)
    assert loaded.terms.names == model.terms.names
    np.testing.assert_array_equal(loaded(TEXTS), model(TEXTS))
    np.testing.assert_array_equal(loaded.in_pictures(TEXTS), model.in_pictures(TEXTS))
    assert sorted(file.name for file in tmp_path.iterdir()) == [TERMS_FILE, FILE]


@pytest.mark.parametrize("texts", [[], ["mug"], ["", ""], ["mug", "mug"]])
def test_too_few_texts_or_terms_give_no_model(texts: list[str]) -> None:
    assert WordVectors.fit(texts) is None


def test_a_term_of_a_single_product_is_left_out_of_a_large_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_vectors, "RARE_TERMS_FROM", len(TEXTS))
    words = fitted([*TEXTS, "zeppelin"]).terms.names["words"]
    assert "zeppelin" not in words and "curtain" in words
