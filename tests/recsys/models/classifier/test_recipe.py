"""Classifier recipes: the two that are shipped, a user's own, and the errors of a wrong file."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.core.configuration import Original, load
from recsys.core.errors import ConfigurationError
from recsys.models.classifier.recipe import RECIPE_FOLDER, Network, Recipe, load_recipe
from recsys.models.recipe_file import shipped_recipes


def copy_of(name: str, to: Path, old: str = "", new: str = "") -> Path:
    """Write a copy of a shipped recipe with one replacement."""
    text = (RECIPE_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    assert old in text
    to.write_text(text.replace(old, new, 1), encoding="utf-8")
    return to


def test_the_original_recipe_has_the_settings_of_the_original_project() -> None:
    recipe = load_recipe("original")
    assert recipe.network == Network(
        backbone="resnet50", weights="imagenet", input_size=256, freeze_layers=143, precision="float32"
    )
    assert (recipe.dropout, recipe.learning_rate, recipe.epochs, recipe.batch_size) == (0.5, 1e-5, 30, 40)
    assert (recipe.weight_decay, recipe.label_smoothing, recipe.class_weight) == (0, 0, "none")
    assert (recipe.balance, recipe.augmentation) == (True, "materialised")
    assert recipe.materialised_images == Original.BALANCED_IMAGES
    assert (recipe.folds, recipe.text) == (1, False)
    assert recipe.materialised_images * recipe.validation_share == Original.CLASSIFIER_VALIDATION_IMAGES


def test_the_default_recipe_is_a_head_with_cross_validation_and_text() -> None:
    recipe = load_recipe(load(environ={}).classifier.recipe)
    assert recipe.network is None
    assert (recipe.folds, recipe.text) == (5, True)


def test_every_key_has_a_description_and_hardly_any_key_is_optional() -> None:
    for model in (Recipe, Network):
        assert all(field.description for field in model.model_fields.values())
    optional = {name for name, field in Recipe.model_fields.items() if not field.is_required()}
    assert optional == {"network", "materialised_images"}


def test_the_digest_depends_on_the_settings_and_not_on_the_file(tmp_path: Path) -> None:
    same = load_recipe(copy_of("default", tmp_path / "same.toml", "# ", "# Ours. "))
    other = load_recipe(copy_of("default", tmp_path / "other.toml", "epochs = 20", "epochs = 21"))
    assert same.digest == load_recipe("default").digest
    assert other.epochs == 21
    assert len({same.digest, other.digest, load_recipe("original").digest}) == 3


def test_the_error_for_an_unknown_recipe_lists_the_shipped_recipes() -> None:
    assert shipped_recipes(RECIPE_FOLDER) == ["default", "original"]
    with pytest.raises(ConfigurationError, match=r"no recipe or file 'orignal'; the recipes are default, original"):
        load_recipe("orignal")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 30", "epochs = 0", "impossible value for 'epochs'"),
        ("epochs = 30", "epoch = 30", "key 'epochs' is missing"),
        (
            "dropout = 0.5",
            "dropout = 0.5\nlearning_rat = 1",
            "unknown key 'learning_rat'; did you mean 'learning_rate'",
        ),
        ('"resnet50"', '"vgg16"', "impossible value for 'network.backbone'"),
        ("freeze_layers", "frozen_layers", "key 'network.freeze_layers' is missing"),
        ("materialised_images = 21_500", "", "materialised_images needs augmentation = 'materialised'"),
        ("balance = true", "balance = false", "needs balance = true"),
        ("[network]", "[network", "cannot be read"),
    ],
)
def test_the_error_for_a_wrong_file_names_file_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        load_recipe(copy_of("original", tmp_path / "mine.toml", old, new))
    assert "mine.toml" in str(raised.value) and "\n" not in str(raised.value)


def test_augmentation_without_a_network_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"augmentation needs a \[network\]"):
        load_recipe(copy_of("default", tmp_path / "mine.toml", 'augmentation = "none"', 'augmentation = "on_the_fly"'))
