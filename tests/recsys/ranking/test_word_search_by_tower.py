"""The search by words in a shop whose encoder has a text tower: the words are compared with the encoder's pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from recsys.core.configuration import Configuration, load
from recsys.core.errors import ConfigurationError, ModelError, WeightsError
from recsys.core.vectors import unit_rows
from recsys.models import features
from recsys.models.embedding.serving import Pointer, point
from recsys.ranking.word_search import TOWER_DEVIATIONS, TowerLooks, search_words
from recsys.service.snapshot import ProductFilters, load_snapshot
from recsys.storage.store import Store
from tests import encoders
from tests.recsys.worded_shop import NAMES, fill

RAW = unit_rows(np.random.default_rng(5).standard_normal((len(NAMES), 24)).astype(np.float32))
"""Features of the pictures by the dual encoder."""
SHIRT, WORD = 21, 10
"""The products that look like `shirt` and `word`, which no name contains: a white watch and a green kurta."""


@pytest.fixture(autouse=True)
def _uncached() -> Iterator[None]:
    features.text_tower.cache_clear()
    yield
    features.text_tower.cache_clear()


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    """The configuration with a dual encoder that knows what two words look like, and no others."""
    folder = encoders.dual_encoder(tmp_path / "clip")
    encoders.text_encoder(folder / "onnx" / "text_model.onnx", known={"shirt": RAW[SHIRT], "word": RAW[WORD]})
    return load(flags={"backbone": {"name": str(folder)}}, environ={})


def shop(folder: Path, configuration: Configuration, weight: float) -> Store:
    return fill(folder / "home", weight=weight, configuration=configuration, raw=RAW)


@pytest.mark.parametrize("weight", [0.4, 0])
@pytest.mark.parametrize("raw_serves", [False, True])
def test_a_word_that_no_text_has_finds_what_looks_like_it(
    tmp_path: Path, configuration: Configuration, weight: float, raw_serves: bool
) -> None:
    store = shop(tmp_path, configuration, weight)
    if raw_serves:
        point(store.home, Pointer(None))
    for query, row in (("shirt", SHIRT), ("Word", WORD), ("shirt " * 50, SHIRT)):
        found = search_words(store, configuration, query, 5)
        assert found["product_id"].iloc[0] == f"p{row}" and found["why"].iloc[0] == "looks like it"
    (row, why), *_ = load_snapshot(store.home, configuration, 1).search("shirt", ProductFilters())
    assert (row, why) == (SHIRT, "looks like it")


@pytest.mark.parametrize("weight", [0.4, 0])
def test_exact_words_and_typing_errors_count_beside_the_look(
    tmp_path: Path, configuration: Configuration, weight: float
) -> None:
    store = shop(tmp_path, configuration, weight)
    found = search_words(store, configuration, "curtian red", 3)
    assert found["name"].iloc[0] == "Red Floral Curtain" and found["why"].iloc[0].startswith('has "red"')
    both = search_words(store, configuration, "red shirt", 24).set_index("product_id")["why"]
    assert sum('has "red"' in why for why in both) == 4 and both[f"p{SHIRT}"].endswith("looks like it")
    analog = search_words(store, configuration, "analog shirt", 1).iloc[0]
    assert (analog["product_id"], analog["why"]) == (f"p{SHIRT}", 'has "analog"; looks like it')


def test_an_encoder_without_texts_or_with_texts_switched_off_has_no_tower(
    tmp_path: Path, configuration: Configuration
) -> None:
    encoders.describe(Path(configuration.backbone.name), text=None)
    store = shop(tmp_path, configuration, 0)
    with pytest.raises(ModelError, match="encoder with a text tower"):
        search_words(store, configuration, "shirt", 5)
    assert load_snapshot(store.home, configuration, 1).words is None


def test_until_a_run_has_computed_the_features_of_a_new_dual_encoder_the_serving_model_searches(
    tmp_path: Path, configuration: Configuration
) -> None:
    before = load(environ={})
    store = fill(tmp_path / "home", weight=0.4, configuration=before)
    expected = search_words(store, before, "red curtain", 5)
    assert len(expected) and search_words(store, configuration, "red curtain", 5).equals(expected)
    assert load_snapshot(store.home, configuration, 1).search("red curtain", ProductFilters())


@pytest.mark.parametrize("query", ["", "  ", "?!"])
def test_a_query_without_words_finds_nothing(tmp_path: Path, configuration: Configuration, query: str) -> None:
    assert search_words(shop(tmp_path, configuration, 0), configuration, query, 5).empty


@pytest.mark.parametrize("damage", ["no tokenizer", "damaged tokenizer", "damaged model"])
def test_a_damaged_tower_is_an_error_before_anything_is_computed(
    tmp_path: Path, configuration: Configuration, damage: str
) -> None:
    store = shop(tmp_path, configuration, 0.4)
    folder = Path(configuration.backbone.name)
    if damage == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    else:
        file = "tokenizer.json" if damage == "damaged tokenizer" else "onnx/text_model.onnx"
        (folder / file).write_bytes(b"damaged")
    for use in (
        lambda: features.check_backbone(configuration, tmp_path / "new"),  # the first step of a run
        lambda: search_words(store, configuration, "shirt", 5),
        lambda: load_snapshot(store.home, configuration, 1),
    ):
        with pytest.raises(WeightsError, match=r"clip/.*(tokenizer\.json|text_model\.onnx): (no such|not a)"):
            use()


def test_without_the_package_tokenizers_a_run_stops_with_both_remedies(
    configuration: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ConfigurationError, match=r'visual-recommender\[hub\].*"text": null in .*encoder\.json'):
        features.check_backbone(configuration, tmp_path)


def test_the_look_counts_standard_deviations_above_the_mean_of_the_shop() -> None:
    vectors = unit_rows(np.random.default_rng(0).standard_normal((500, 8)).astype(np.float32))
    cosines = vectors @ vectors[3]
    expected = (cosines - cosines.mean()) / cosines.std() / TOWER_DEVIATIONS
    looks = TowerLooks(lambda texts: vectors[[3] * len(texts)], vectors)("any")
    np.testing.assert_allclose(looks, np.clip(expected, -1, 1), atol=1e-5)
    alike = np.repeat(vectors[:1], 9, axis=0)
    np.testing.assert_allclose(TowerLooks(lambda texts: vectors[[3] * len(texts)], alike)("any"), 0, atol=1e-2)
