"""The training of the words beside an embedding: the choice of their weight, and shops whose words teach nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.core.configuration import load
from recsys.lifecycle import promotion
from recsys.lifecycle.judging import CHALLENGER, WITH_WORDS
from recsys.models.embedding import ledger, serving, word_training, words
from recsys.models.embedding.recipe import load_recipe
from recsys.models.embedding.word_training import USUAL_WEIGHT, WEIGHTS, best_weight, inner_split
from recsys.models.embedding.words import loaded_words
from recsys.ranking import recommendations
from recsys.storage.store import Store
from tests.recsys.models.embedding.small_shop import RECIPE, draw, flags, settings


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


# --- the weight -----------------------------------------------------------------------------------------------------


def examples(count: int = 240) -> pd.DataFrame:
    rows = np.arange(count)
    return pd.DataFrame(
        {
            "product_id": [f"p{n}" for n in rows],
            "view": 0,
            "image_digest": [f"{n:032x}" for n in rows],
            "category_path": [[f"top {n % 6}"] for n in rows],
            "label": [f"top {n % 6}" for n in rows],
            "group": rows,
            "held_out": rows % 3 == 0,
        }
    )


def vectors_of(rows: pd.DataFrame, noise: float, seed: int) -> np.ndarray:
    """Return vectors that name the class of each row, below noise."""
    random = np.random.default_rng(seed)
    centres = np.eye(6, 24)[[int(path[0][-1]) for path in rows["category_path"]]]
    return unit(centres + noise * random.standard_normal((len(rows), 24)))


def test_the_smallest_weight_within_the_tolerance_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = examples()
    useless, good = vectors_of(rows, 100, 0), vectors_of(rows, 0.1, 1)
    recipe = load_recipe("default")
    assert best_weight(good, good, rows, recipe) == WEIGHTS[0]
    assert best_weight(good, useless, rows, recipe) == WEIGHTS[0]
    largest = best_weight(useless, good, rows, recipe)
    assert largest > 0.2
    monkeypatch.setattr(word_training, "TOLERANCE", 1.0)
    assert best_weight(useless, good, rows, recipe) == WEIGHTS[0] < largest


def test_queries_in_blocks_give_the_same_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, recipe = examples(), load_recipe("default")
    pictures, texts = vectors_of(rows, 0.5, 0), vectors_of(rows, 0.3, 1)
    whole = best_weight(pictures, texts, rows, recipe)
    monkeypatch.setattr(word_training, "QUERIES_AT_ONCE", 7)
    assert best_weight(pictures, texts, rows, recipe) == whole
    monkeypatch.setattr(word_training, "MAX_QUERIES", 60)
    assert best_weight(pictures, texts, rows, recipe) in WEIGHTS


def test_a_shop_with_few_products_or_without_classes_has_the_usual_weight() -> None:
    rows, recipe = examples(120), load_recipe("default")
    vectors = vectors_of(rows, 0.1, 0)
    assert rows["held_out"].sum() < word_training.MIN_QUERIES
    assert best_weight(vectors, vectors, rows, recipe) == USUAL_WEIGHT
    many = examples()
    nameless, vectors = many.assign(category_path=many["category_path"].map(lambda _: [])), vectors_of(many, 0.1, 0)
    assert best_weight(vectors, vectors, nameless, recipe) == USUAL_WEIGHT


def test_the_inner_split_has_no_held_out_product_and_keeps_groups_together() -> None:
    rows = examples().assign(group=np.arange(240) // 2)
    inner = inner_split(rows)
    assert set(inner["product_id"]) == set(rows.loc[~rows["held_out"], "product_id"])
    assert 0.1 < inner["held_out"].mean() < 0.4
    assert (inner.groupby("group")["held_out"].nunique() == 1).all()


# --- the training ---------------------------------------------------------------------------------------------------

WORDS = 'words = true\ncomponents = 16\nstart = "pca"'


def recipe_with_words(folder: Path) -> str:
    """Write the small recipe with words, and return its path."""
    file = folder / "words.toml"
    text = RECIPE.format(size=16, rate=3e-3, epochs=2).replace('start = "random"', WORDS)
    file.write_text(text, encoding="utf-8")
    return str(file)


def write_kinds_as_names(store: Store) -> None:
    rows = store.read("products").to_pylist()
    for row in rows:
        row["name"] = f"{row['category_path'][1].replace('.', ' of ')} number {row['product_id']}"
    store.write("products", store.read("products").from_pylist(rows, schema=store.read("products").schema))


@pytest.mark.slow
def test_a_training_saves_words_with_a_weight_and_judges_both(tmp_path: Path) -> None:
    shop = draw(tmp_path / "home")
    write_kinds_as_names(shop.store)
    configuration = settings(recipe_with_words(tmp_path))
    model = promotion.train(shop.store, configuration).model
    assert model.text_weight in WEIGHTS
    vectors = loaded_words(str(shop.home), model.version)
    assert vectors.to_pictures.shape[1] == model.size
    assert promotion.train(shop.store, configuration).new is False
    board = pd.read_csv(serving.folder(shop.home) / model.version / promotion.SCOREBOARD)
    assert CHALLENGER + WITH_WORDS in board.to_string()

    gate = pd.read_csv(serving.folder(shop.home) / model.version / promotion.GATE)
    assert {"precision", "precision with words"} <= set(gate.loc[gate["decides"], "metric"])

    assert ledger.missing(shop.store, configuration, model) == []
    assert words.embed_missing_words(shop.store, configuration, model) == shop.products
    recommendations.recommend_missing(shop.store, configuration, model)
    promotion.serve(shop.store, configuration, model)
    with_words = shop.store.read(f"recommendations-{model.version}").to_pandas()
    off = load(None, flags(configuration.embedding.recipe, recommend={"text_weight": 0}), environ={})
    assert recommendations.missing(shop.store, off, model)
    recommendations.recommend_missing(shop.store, off, model)
    without = shop.store.read(f"recommendations-{model.version}").to_pandas()
    assert not with_words["visual"].equals(without["visual"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["thing", None])
def test_products_with_one_name_or_none_train_an_embedding_without_words(tmp_path: Path, name: str | None) -> None:
    shop = draw(tmp_path / "home")
    rows = shop.store.read("products").to_pylist()
    table = shop.store.read("products").from_pylist(
        [row | {"name": name} for row in rows], schema=shop.store.read("products").schema
    )
    shop.store.write("products", table)
    model = promotion.train(shop.store, settings(recipe_with_words(tmp_path))).model
    assert model.text_weight == 0
    assert words.missing(shop.store, settings(), model) == []
