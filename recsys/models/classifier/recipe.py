"""How a classifier is trained: one file a recipe, everything in it that could change the result.

    default     a head on the frozen features that the store has already: seconds on a CPU
    original    the original project's Model 1, to the letter: hours on a GPU

Another recipe is a copy of one of these files, changed, and named by its path. A recipe has no hidden defaults: a
file says all of it, so that the same file is the same training for ever.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from recsys.core.errors import ConfigurationError
from recsys.storage.store import digest

SHIPPED = Path(__file__).parent / "recipes"


class _Closed(BaseModel):
    """Frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Network(_Closed):
    """The network that is trained on whole pictures."""

    backbone: Literal["efficientnet_lite0", "resnet50"]
    """`resnet50` is the original's."""
    weights: str
    """That it starts from: `imagenet`, or the path of a Keras weights file, from the working directory."""
    input_size: Annotated[int, Field(ge=32, le=1024)]
    """Pixels a side; 256 is the original's."""
    freeze_layers: Annotated[int, Field(ge=0)]
    """FREEZE_LAYERS: the first layers that are not trained. 143 leaves ResNet50's last stage (conv5) free."""
    precision: Literal["float32", "mixed_bfloat16"]
    """Of the arithmetic; `mixed_bfloat16` is twice as fast on a GPU that has it."""


class Recipe(_Closed):
    """A training of the classifier: what it learns on, what it learns, and how it is judged."""

    network: Network | None = None
    """None is a head on the frozen features of the configured backbone, which the store has already."""
    text: bool
    """Whether the product's name and brand are judged as well; the original looked at the picture alone."""

    balance: bool
    """Whether large classes are cut to one size first, as the section `balance` of the configuration says. What is cut
    is neither learned from nor judged by."""
    augmentation: Literal["none", "on_the_fly", "materialised"]
    """New pictures by rotation, flip and colour shift: none, varied at each step on the training device, or a fixed
    set by which small classes are grown, as in the original, after scraped pictures. Pictures that are validated on are
    never varied."""
    materialised_images: Annotated[int, Field(ge=1)] | None = None
    """To how many pictures in all a materialised set is grown; the original's had 21,500."""
    class_weight: Literal["none", "balanced"]
    """`balanced` lets each class weigh the same, however many examples it has; it costs calibration."""

    folds: Annotated[int, Field(ge=1, le=20)]
    """Each example is judged by a model that did not see it; 1 is the original's single split, which leaves most
    examples unjudged."""
    validation_share: Annotated[float, Field(gt=0, lt=1)]
    """Of the single split, where folds is 1; the original's: 17,200 images train, 4,300 validate."""

    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of the features that each step leaves out."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    """Share of each label's certainty that is spread over all labels, https://arxiv.org/abs/1512.00567."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Adam's."""
    weight_decay: Annotated[float, Field(ge=0)]
    """Decoupled, as in https://arxiv.org/abs/1711.05101."""
    epochs: Annotated[int, Field(ge=1)]
    """Times that each example is seen."""
    batch_size: Annotated[int, Field(ge=1)]
    """Examples a step."""
    seed: Annotated[int, Field(ge=0)]
    """Of the first weights, the order of the examples, dropout and augmentation."""

    @model_validator(mode="after")
    def _whole(self) -> Recipe:
        if (self.augmentation == "materialised") != (self.materialised_images is not None):
            raise ValueError("materialised_images goes with augmentation = 'materialised', and only with it")
        if self.augmentation == "materialised" and not self.balance:
            raise ValueError("augmentation = 'materialised' grows classes that are in balance; it goes with balance")
        if self.augmentation != "none" and self.network is None:
            raise ValueError("augmentation varies pictures, and a head sees features; it goes with a [network]")
        return self

    @property
    def digest(self) -> str:
        """Return 32 hex digits that stand for the recipe's content, whatever file it came from."""
        return digest([self.model_dump(mode="json")])


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the program."""
    return sorted(file.stem for file in SHIPPED.glob("*.toml"))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Return a recipe that comes with the program, by its name, or the one in a file of your own.

    Raises:
        ConfigurationError: there is no such recipe or file; or the file has an unknown key, lacks one, or gives one an
            impossible value: the message names file and key.
    """
    if str(name_or_path) in recipe_names():
        file = SHIPPED / f"{name_or_path}.toml"
    elif not (file := Path(name_or_path)).is_file():
        raise ConfigurationError(
            f"classifier.recipe: there is no recipe or file '{name_or_path}'; there are "
            f"{' and '.join(recipe_names())}, or give the path of a changed copy of one"
        )
    try:
        return Recipe.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise ConfigurationError(f"recipe {file}: {_complaint(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"recipe {file} cannot be read: {error}") from error


def _complaint(error: ValidationError) -> str:
    """Return what is wrong with the first key that is, on one line."""
    first: Any = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = [*Recipe.model_fields, *(f"network.{field}" for field in Network.model_fields)]
        close = difflib.get_close_matches(key, known, n=1)
        return f"unknown key '{key}'" + (f"; did you mean '{close[0]}'?" if close else "")
    if first["type"] == "missing":
        return f"key '{key}' is missing; the recipe '{SHIPPED / 'default.toml'}' has them all"
    message = first["msg"].removeprefix("Value error, ")
    return f"impossible value for '{key}': {message}" if key else message
