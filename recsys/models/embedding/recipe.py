"""How an embedding is trained: one file a recipe, everything in it that could change the result.

    default         a head on the frozen features that the store has already, over all levels of the category path
    fine_tuning     the same loss on pictures, the head first and then the whole network: for a GPU
    original        the original project's Model 2, to the letter: hours on a GPU
    original_head   the original's loss and labels, on the frozen features: what it would give, in seconds

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

Weight = Annotated[float, Field(ge=0)]


class _Closed(BaseModel):
    """Frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class SupervisedContrastive(_Closed):
    """Each picture picks those of its class out of the batch; see `recsys.models.embedding.losses`."""

    name: Literal["supervised_contrastive"]
    temperature: Annotated[float, Field(gt=0, le=10)]
    """The lower, the more the nearest alone count."""


class Triplet(_Closed):
    """The original's: max(d(a, p) − d(a, n) + margin, 0) over all triplets of a batch."""

    name: Literal["triplet"]
    margin: Annotated[float, Field(gt=0, lt=2)]
    """By which a negative is to be farther away than a positive; unit vectors are 2 apart at most."""


class Batches(_Closed):
    """What is seen at once; see `recsys.models.embedding.batches`."""

    size: Annotated[int, Field(ge=2)]
    """Pictures of a batch; of fewer pictures than that, all."""
    run: Annotated[int, Field(ge=1)]
    """Neighbours in the tree of categories that are drawn together: a batch is size / run branches of it."""


class Network(_Closed):
    """The network that is trained on whole pictures."""

    backbone: Literal["efficientnet_lite0", "resnet50"]
    """`resnet50` is the original's."""
    weights: str
    """That it starts from: `imagenet`, or the path of a Keras weights file, from the working directory."""
    input_size: Annotated[int, Field(ge=32, le=1024)]
    """Pixels a side; 256 is the original's."""
    precision: Literal["float32", "mixed_bfloat16"]
    """Of the arithmetic; `mixed_bfloat16` is twice as fast on a GPU that has it."""
    freeze_batch_norm: bool
    """Whether batch norms keep the statistics, scale and offset that the weights came with."""
    head_epochs: Annotated[int, Field(ge=0)]
    """Of the epochs, the first in which the last layer alone is trained; 0 trains all from the start."""
    head_learning_rate: Annotated[float, Field(gt=0)]
    """Adam's, in these."""
    materialised_images: Annotated[int, Field(ge=1)] | None = None
    """To how many pictures the training side is brought: large labels cut, small ones grown by scraped and augmented
    pictures, as the section `balance` says. The original's had 17,200. None takes the catalogue's as they are."""
    validation_images: Annotated[int, Field(ge=0)] | None = None
    """Held-out pictures that each epoch is validated on, at most; the original's: 500. None takes all."""


class Recipe(_Closed):
    """A training of the embedding: what it learns from, by which loss, and for how long."""

    network: Network | None = None
    """None is a head on the frozen features of the configured backbone, which the store has already."""

    classes: Literal["path", "label"]
    """What is to lie together: products of one value at each level of the category path, or of one label (the merged
    top level, as in the original)."""
    level_weights: tuple[Weight, ...]
    """Of each level of the path, from the top; what is deeper is cut off. Labels have one."""
    product_weight: Weight
    """Of the finest level: several photos of one product."""
    colour_weight: Weight
    """Of the colour histogram that a head sees beside the features, each of unit length; 0 leaves it out."""

    embedding_size: Annotated[int, Field(ge=2, le=4096)]
    """Numbers of a vector, at most; a start by principal axes has no more than there are features or pictures."""
    start: Literal["pca", "random"]
    """Of the last layer: the features' principal axes, so that the embedding starts as they are and keeps their fine
    likeness; or Glorot's, drawn by lot."""

    learning_rate: Annotated[float, Field(gt=0)]
    """Adam's."""
    schedule: Literal["constant", "linear"]
    """`linear` takes the learning rate to 0 by the end."""
    epochs: Annotated[int, Field(ge=1)]
    """Times that each picture is seen."""
    most_steps: Annotated[int, Field(ge=1)] | None = None
    """Batches in all, after which the epoch is the last: a large catalogue needs fewer epochs. None: no such end."""
    seed: Annotated[int, Field(ge=0)]
    """Of the first values and of the batches."""

    loss: Annotated[SupervisedContrastive | Triplet, Field(discriminator="name")]
    """By which it learns, with its own settings."""
    batches: Batches
    """By which it sees the pictures."""

    @model_validator(mode="after")
    def _whole(self) -> Recipe:
        if not self.level_weights or not sum(self.level_weights):
            raise ValueError("level_weights needs a weight over 0")
        if self.classes == "label" and len(self.level_weights) != 1:
            raise ValueError("classes = 'label' has one level, so level_weights has one weight")
        if self.network is not None:
            if self.start == "pca":
                raise ValueError("start = 'pca' is of features that stay as they are; a [network] starts 'random'")
            if self.colour_weight:
                raise ValueError("colour_weight is of a head; a [network] sees the colours itself, so it is 0")
            if self.network.head_epochs >= self.epochs:
                raise ValueError("network.head_epochs must leave epochs for the whole network")
            if self.network.materialised_images is not None and self.classes == "path":
                raise ValueError("materialised_images balances labels; it goes with classes = 'label'")
        return self

    @property
    def weights(self) -> tuple[float, ...]:
        """Return the weight of each level that codes have: those of the classes, then the product's if it has any."""
        return (*self.level_weights, self.product_weight) if self.product_weight else self.level_weights

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
            f"embedding.recipe: there is no recipe or file '{name_or_path}'; there are "
            f"{', '.join(recipe_names())}, or give the path of a changed copy of one"
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
    where = list(first["loc"])
    if where[:1] == ["loss"] and len(where) > 2:  # pydantic names the kind of loss as well
        del where[1]
    key = ".".join(str(part) for part in where)
    if first["type"] == "extra_forbidden":
        close = difflib.get_close_matches(key, _keys(), n=1)
        return f"unknown key '{key}'" + (f"; did you mean '{close[0]}'?" if close else "")
    if first["type"] == "missing":
        return f"key '{key}' is missing; the recipes in {SHIPPED} have them all"
    message = first["msg"].removeprefix("Value error, ")
    return f"impossible value for '{key}': {message}" if key else message


def _keys() -> list[str]:
    sections: dict[str, list[type[BaseModel]]] = {
        "network": [Network],
        "loss": [SupervisedContrastive, Triplet],
        "batches": [Batches],
    }
    inner = [f"{name}.{field}" for name, models in sections.items() for model in models for field in model.model_fields]
    return [*Recipe.model_fields, *inner]
