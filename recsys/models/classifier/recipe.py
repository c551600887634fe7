"""Define the recipe of a classifier training.

Shipped recipes, in `recipes/`:

    default     a linear head on the frozen features in the store: seconds on a CPU
    original    the original project's Model 1, exactly: hours on a GPU
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from recsys.models.recipe_file import RecipeFile, RecipeSection, load_recipe_file

RECIPE_FOLDER = Path(__file__).parent / "recipes"


class Network(RecipeSection):
    """Network that is trained on whole pictures."""

    backbone: Literal["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "resnet50"]
    """Name of the backbone; the original used `resnet50`."""
    weights: str
    """Initial weights: `imagenet`, or the path of a Keras weights file, relative to the working directory."""
    input_size: Annotated[int, Field(ge=32, le=1024)]
    """Side of the input, pixels; the original used 256."""
    freeze_layers: Annotated[int, Field(ge=0)]
    """Number of first layers that are not trained (the original's FREEZE_LAYERS). 143 trains only the last stage of
    ResNet50, conv5."""
    precision: Literal["float32", "mixed_bfloat16"]
    """Arithmetic precision; `mixed_bfloat16` is twice as fast on a GPU that supports it."""


class Recipe(RecipeFile):
    """Settings of a classifier training: its examples, its model and its evaluation."""

    network: Network | None = None
    """Network to train; None trains a head on the stored features of the configured backbone."""
    text: bool
    """Whether the product's name and brand are used too; the original used only the picture."""

    balance: bool
    """Whether large classes are undersampled, see the section `balance` of the configuration. Removed rows are used
    neither for training nor for evaluation."""
    augmentation: Literal["none", "on_the_fly", "materialised"]
    """New pictures by rotation, flip and colour shift. `on_the_fly` varies each picture at each step on the training
    device. `materialised` makes a fixed set that grows small classes, as in the original, after scraped pictures.
    Pictures used for evaluation are never varied."""
    materialised_images: Annotated[int, Field(ge=1)] | None = None
    """Total number of pictures of a materialised set; the original had 21,500."""
    class_weight: Literal["none", "balanced"]
    """`balanced` gives each class the same weight, whatever its number of examples; calibration gets worse."""

    folds: Annotated[int, Field(ge=1, le=20)]
    """Number of folds; a model that was not trained on an example's fold predicts it. 1 is the original's single split,
    which leaves most examples without a prediction."""
    validation_share: Annotated[float, Field(gt=0, lt=1)]
    """Share of the examples to validate on where folds is 1; the original had 17,200 training and 4,300 validation
    images."""

    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of the features that are dropped at each step."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    """Share of each target that is spread over all labels, https://arxiv.org/abs/1512.00567."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Learning rate of Adam."""
    weight_decay: Annotated[float, Field(ge=0)]
    """Decoupled weight decay, https://arxiv.org/abs/1711.05101."""
    epochs: Annotated[int, Field(ge=1)]
    """Number of passes over the examples."""
    batch_size: Annotated[int, Field(ge=1)]
    """Examples per step."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of the initial weights, the order of the examples, dropout and augmentation."""

    @model_validator(mode="after")
    def _check_combinations(self) -> Recipe:
        if (self.augmentation == "materialised") != (self.materialised_images is not None):
            raise ValueError("materialised_images needs augmentation = 'materialised', and the reverse")
        if self.augmentation == "materialised" and not self.balance:
            raise ValueError("augmentation = 'materialised' needs balance = true: it grows balanced classes")
        if self.augmentation != "none" and self.network is None:
            raise ValueError("augmentation needs a [network]: it varies pictures, and a head is trained on features")
        return self


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Return a shipped recipe by its name, or a recipe file by its path; errors as `load_recipe_file`."""
    return load_recipe_file(Recipe, RECIPE_FOLDER, "classifier.recipe", name_or_path)
