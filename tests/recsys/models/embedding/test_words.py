"""The words' share in the likeness: its formula, what is missing, and how to switch it off."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from recsys.core.configuration import Colour, load
from recsys.core.errors import TrainingError
from recsys.models.embedding import words
from recsys.models.embedding.likeness import COLOUR_SHARE, POWER, beside_pictures, likeness_vectors
from recsys.models.embedding.words import loaded_words, text_weight
from recsys.models.word_vectors import FILE, TERMS_FILE, WordVectors
from recsys.ranking import recommendations
from recsys.storage.store import Store
from tests.recsys.worded_shop import CONFIGURATION, NAMES, VERSION, fill, model_of, with_weight, write_names

whole = WordVectors.__call__


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


# --- the formula ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.1, 0.4, 1.0])
@pytest.mark.parametrize("bins", [(12, 8, 8), (2, 2, 2), (5, 3, 7)])
def test_the_cosines_are_nine_tenths_of_pictures_and_words_and_a_tenth_of_colours(
    weight: float, bins: tuple[int, int, int]
) -> None:
    random = np.random.default_rng(0)
    pictures, texts = unit(random.standard_normal((9, 6))), unit(random.standard_normal((9, 5)))
    histograms = random.dirichlet(np.ones(np.prod(bins)), 9).astype(np.float32)
    settings = Colour(hue_bins=bins[0], saturation_bins=bins[1], value_bins=bins[2])
    beside, share = beside_pictures(texts, histograms, weight, settings)
    np.testing.assert_allclose(np.linalg.norm(beside, axis=1), 1, atol=1e-5)
    vectors = likeness_vectors(pictures, beside, share)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    joined = histograms.reshape(9, *bins)
    for axis, step in ((2, 2), (3, 4)):  # saturation by twos, value by fours
        if bins[axis - 1] % step == 0:
            joined = np.add.reduceat(joined, np.arange(0, bins[axis - 1], step), axis=axis)
    colours = unit(joined.reshape(9, -1) ** POWER)
    cosines = (1 - weight) * pictures @ pictures.T + weight * texts @ texts.T
    expected = (1 - COLOUR_SHARE) * cosines + COLOUR_SHARE * colours @ colours.T
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=1e-5)


@pytest.mark.parametrize("weight", [0.4, 1.0])
def test_a_product_without_words_is_compared_by_its_picture_alone(weight: float) -> None:
    random = np.random.default_rng(0)
    pictures, texts = unit(random.standard_normal((4, 6))), unit(random.standard_normal((4, 5)))
    texts[2:] = 0
    beside, share = beside_pictures(texts, random.dirichlet(np.ones(768), 4), weight, Colour())
    assert not beside[2:].any()
    vectors = likeness_vectors(pictures, beside, share)
    np.testing.assert_allclose(vectors[2] @ vectors[3], pictures[2] @ pictures[3], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_configured_weight_replaces_that_of_a_model_with_words() -> None:
    assert text_weight(model_of(0.3), CONFIGURATION) == 0.3
    assert text_weight(model_of(0.3), with_weight(0.1)) == 0.1
    assert text_weight(model_of(0.3), with_weight(0)) == 0
    assert text_weight(model_of(0), with_weight(0.5)) == text_weight(None, with_weight(0.5)) == 0
    original = load(flags={"recommend": {"rule": "original"}}, environ={})
    assert text_weight(model_of(0.3), original) == 0  # the original's rule compares pictures


# --- the table ------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return fill(tmp_path / "home")


def test_the_words_of_new_and_changed_products_are_missing_and_no_others(store: Store) -> None:
    assert words.missing(store, CONFIGURATION, model_of()) == []
    write_names(store, [*NAMES[:4], "Purple Silk Scarf", *NAMES[5:], "Clay Pot"])
    (shard,) = words.missing(store, CONFIGURATION, model_of())
    assert shard.keys == ("p24", "p4")
    assert words.embed_words(store, shard, CONFIGURATION, model_of()).products == 2
    assert words.missing(store, CONFIGURATION, model_of()) == []
    assert store.read(words.table_name(VERSION)).num_rows == len(NAMES) + 1


def test_vectors_of_unchanged_words_are_read_and_those_of_others_computed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded_words(str(store.home), VERSION)
    write_names(store, [*NAMES[:4], "Purple Steel Mug", *NAMES[5:], "Clay Curtain"])
    texts = words.texts_of(store).iloc[::-1]
    computed: list[str] = []

    def recorded(self: WordVectors, many: Sequence[str]) -> np.ndarray:
        computed.extend(many)
        return whole(self, many)

    monkeypatch.setattr(WordVectors, "__call__", recorded)
    vectors = words.vectors_of_words(store, VERSION, texts)
    assert sorted(computed) == sorted(texts[["p24", "p4"]])
    np.testing.assert_allclose(vectors, whole(model, texts.tolist()), atol=1e-6)
    assert words.vectors_of_words(store, VERSION, texts[:0]).shape == (0, model.size)


def test_a_model_without_words_lacks_none(store: Store) -> None:
    write_names(store, ["another name"] * len(NAMES))
    assert words.missing(store, CONFIGURATION, model_of(0)) == words.missing(store, CONFIGURATION, None) == []


def test_a_changed_name_and_a_changed_attribute_rank_the_product_again(store: Store) -> None:
    model = model_of()
    assert recommendations.missing(store, CONFIGURATION, model) == []
    write_names(store, [*NAMES[:4], "Purple Silk Scarf", *NAMES[5:]])
    assert recommendations.missing(store, CONFIGURATION, model)
    words.embed_missing_words(store, CONFIGURATION, model)
    recommendations.recommend_missing(store, CONFIGURATION, model)
    assert recommendations.missing(store, CONFIGURATION, model) == []
    silk = [[{"name": "Material", "value": "Silk"}], *[None] * (len(NAMES) - 1)]
    write_names(store, [*NAMES[:4], "Purple Silk Scarf", *NAMES[5:]], silk)
    assert words.missing(store, CONFIGURATION, model)[0].keys == ("p0",)
    assert recommendations.missing(store, CONFIGURATION, model)
    assert recommendations.missing(store, with_weight(0), model) != recommendations.missing(store, CONFIGURATION, model)


@pytest.mark.parametrize("file", [FILE, TERMS_FILE])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "of another model"])
def test_a_damaged_file_is_an_error_that_names_the_remedy(tmp_path: Path, file: str, damage: str) -> None:
    store = fill(tmp_path / "home")
    loaded_words.cache_clear()
    path = words.words_folder(store.home, VERSION) / file
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "of another model":
        other = fill(tmp_path / "other", NAMES[:8])
        path.write_bytes((words.words_folder(other.home, VERSION) / file).read_bytes())
    else:
        path.write_bytes(b"" if damage == "empty" else content[: len(content) // 2])
    with pytest.raises(TrainingError, match=r"damaged or missing.*recsys train embedding"):
        loaded_words(str(store.home), VERSION)
