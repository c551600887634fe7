"""Embedding recipes: the four that are shipped, a user's own, and the errors of a wrong file."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from recsys.core.configuration import Original
from recsys.core.errors import ConfigurationError
from recsys.models.embedding.recipe import (
    RECIPE_FOLDER,
    Batches,
    Network,
    Recipe,
    SupervisedContrastive,
    Triplet,
    load_recipe,
)
from recsys.models.recipe_file import shipped_recipes


def copy_of(name: str, to: Path, old: str = "", new: str = "") -> Path:
    """Write a copy of a shipped recipe with one replacement."""
    text = (RECIPE_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    assert old in text
    to.write_text(text.replace(old, new, 1), encoding="utf-8")
    return to


def test_the_original_recipe_has_the_settings_of_the_original_project() -> None:
    recipe = load_recipe("original")
    network = recipe.network
    assert network is not None
    assert (network.backbone, network.weights, network.input_size) == ("resnet50", "imagenet", 256)
    assert (network.precision, network.freeze_batch_norm, network.head_epochs) == ("float32", False, 0)
    assert isinstance(recipe.loss, Triplet)
    assert (recipe.classes, recipe.weights) == ("label", (1.0,))
    assert (recipe.learning_rate, recipe.schedule, recipe.epochs, recipe.most_steps) == (1e-5, "constant", 30, None)
    assert recipe.batches.size == 30
    assert network.materialised_images == Original.EMBEDDING_TRAINING_IMAGES
    assert network.validation_images == Original.EMBEDDING_VALIDATION_IMAGES


def test_the_original_head_has_the_loss_and_labels_of_the_original_on_features() -> None:
    whole, head = load_recipe("original"), load_recipe("original_head")
    assert head.network is None
    assert (head.loss, head.classes, head.batches, head.epochs) == (whole.loss, "label", whole.batches, whole.epochs)


def test_the_default_recipe_is_a_head_that_learns_the_whole_path_and_the_product() -> None:
    recipe = load_recipe("default")
    assert recipe.network is None and recipe.classes == "path"
    assert len(recipe.weights) == len(recipe.level_weights) + 1 >= 4


def test_every_key_has_a_description_and_hardly_any_key_is_optional() -> None:
    models: list[type[BaseModel]] = [Recipe, Network, Batches, Triplet, SupervisedContrastive]
    for model in models:
        descriptions = {name: field.description for name, field in model.model_fields.items()}
        assert all(descriptions[name] for name in descriptions.keys() - {"name"})
    optional = {name for model in models for name, field in model.model_fields.items() if not field.is_required()}
    assert optional == {"network", "most_steps", "materialised_images", "validation_images", "components", "words"}


def test_the_digest_depends_on_the_settings_and_not_on_the_file(tmp_path: Path) -> None:
    same = load_recipe(copy_of("default", tmp_path / "same.toml", "# ", "# Ours. "))
    other = load_recipe(copy_of("default", tmp_path / "other.toml", "epochs = 100", "epochs = 101"))
    assert same.digest == load_recipe("default").digest != other.digest
    assert other.epochs == 101
    assert len({load_recipe(name).digest for name in shipped_recipes(RECIPE_FOLDER)}) == 4


def test_a_recipe_keeps_its_digest_when_the_program_learns_new_keys() -> None:
    """Otherwise a shop would train the original's recipe again, for hours, after an update."""
    assert load_recipe("original").digest == "2c634aac9e863c7d99206edd6d743653"  # pragma: allowlist secret
    assert load_recipe("original_head").digest == "48d34645e9e0df98369a6e80fb4188ca"  # pragma: allowlist secret


def test_the_error_for_an_unknown_recipe_lists_the_shipped_recipes() -> None:
    assert shipped_recipes(RECIPE_FOLDER) == ["default", "fine_tuning", "original", "original_head"]
    with pytest.raises(ConfigurationError, match=r"no recipe or file 'orignal'; the recipes are default, fine_tuning"):
        load_recipe("orignal")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 30", "epochs = 0", "impossible value for 'epochs'"),
        ("epochs = 30", "epoch = 30", "key 'epochs' is missing"),
        ("margin = 0.2", "margin = 0.2\ntemperature = 1", "unknown key 'loss.temperature'"),
        ("margin = 0.2", "margi = 0.2", "key 'loss.margin' is missing"),
        ("margin = 0.2", "margin = 0", "impossible value for 'loss.margin'"),
        ('"triplet"', '"triplets"', "impossible value for 'loss'"),
        ('"resnet50"', '"vgg16"', "impossible value for 'network.backbone'"),
        ("freeze_batch_norm", "freeze_batch_norms", "key 'network.freeze_batch_norm' is missing"),
        ("seed", "most_step = 3\nseed", "unknown key 'most_step'; did you mean 'most_steps'"),
        ("level_weights = [1.0]", "level_weights = [1.0, 1.0]", "has one level"),
        ("level_weights = [1.0]", "level_weights = [0.0]", "needs a weight over 0"),
        ('start = "random"', 'start = "pca"', "needs start = 'random'"),
        ("head_epochs = 0", "head_epochs = 30", "must be less than epochs"),
        ('classes = "label"', 'classes = "path"', "needs classes = 'label'"),
        ("[network]", "[network", "cannot be read"),
    ],
)
def test_the_error_for_a_wrong_file_names_file_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        load_recipe(copy_of("original", tmp_path / "mine.toml", old, new))
    assert "mine.toml" in str(raised.value) and "\n" not in str(raised.value)
