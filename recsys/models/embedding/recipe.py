"""Define the recipe of an embedding training.

Shipped recipes, in `recipes/`:

    default         a head on the frozen features in the store, trained on all levels of the category path
    fine_tuning     the same loss on pictures, first the head and then the whole network: for a GPU
    original        the original project's Model 2, exactly: hours on a GPU
    original_head   the original's loss and labels on the frozen features: an estimate of `original`, in seconds
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from recsys.core.digests import digest
from recsys.models.recipe_file import RecipeFile, RecipeSection, load_recipe_file

RECIPE_FOLDER = Path(__file__).parent / "recipes"

Weight = Annotated[float, Field(ge=0)]


class SupervisedContrastive(RecipeSection):
    """Supervised contrastive loss; see `recsys.models.embedding.losses`."""

    name: Literal["supervised_contrastive"]
    temperature: Annotated[float, Field(gt=0, le=10)]
    """Temperature of the softmax; the lower it is, the more weight the nearest pictures have."""


class Triplet(RecipeSection):
    """The original's triplet loss: max(d(a, p) − d(a, n) + margin, 0) over all triplets of a batch."""

    name: Literal["triplet"]
    margin: Annotated[float, Field(gt=0, lt=2)]
    """Distance by which a negative must be farther away than a positive; two unit vectors are at most 2 apart."""


class Batches(RecipeSection):
    """Batches of pictures; see `recsys.models.embedding.training`."""

    size: Annotated[int, Field(ge=2)]
    """Pictures per batch; a smaller training set is one batch."""
    run: Annotated[int, Field(ge=1)]
    """Pictures per run of neighbours in the category tree; a batch has size / run branches of the tree."""


class Network(RecipeSection):
    """Network that is trained on whole pictures."""

    backbone: Literal["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "resnet50"]
    """Name of the backbone; the original used `resnet50`."""
    weights: str
    """Initial weights: `imagenet`, or the path of a Keras weights file, relative to the working directory."""
    input_size: Annotated[int, Field(ge=32, le=1024)]
    """Side of the input, pixels; the original used 256."""
    precision: Literal["float32", "mixed_bfloat16"]
    """Arithmetic precision; `mixed_bfloat16` is twice as fast on a GPU that supports it."""
    freeze_batch_norm: bool
    """Whether batch norms keep the statistics, scale and offset of the initial weights."""
    head_epochs: Annotated[int, Field(ge=0)]
    """Number of first epochs that train only the last layer; 0 trains all layers from the start."""
    head_learning_rate: Annotated[float, Field(gt=0)]
    """Learning rate of Adam in these epochs."""
    materialised_images: Annotated[int, Field(ge=1)] | None = None
    """Total number of training pictures after balancing: large labels are undersampled, small ones grow by scraped and
    augmented pictures, see the section `balance` of the configuration. The original had 17,200. None uses the
    catalogue's pictures unchanged."""
    validation_images: Annotated[int, Field(ge=0)] | None = None
    """Maximum number of held-out pictures that each epoch is validated on; the original had 500. None uses all."""


class Recipe(RecipeFile):
    """Settings of an embedding training: its examples, its loss and its length."""

    network: Network | None = None
    """Network to train; None trains a head on the stored features of the configured backbone."""

    classes: Literal["path", "label"]
    """What makes two products alike: equal values at each level of the category path, or the same label (the merged
    top level, as in the original)."""
    level_weights: tuple[Weight, ...]
    """Weight of each level of the path, from the top; deeper levels are ignored. Labels have one level."""
    product_weight: Weight
    """Weight of the finest level: several photos of one product."""
    colour_weight: Weight
    """Weight of the colour histogram that a head gets beside the features, both of unit length; 0 leaves it out."""

    embedding_size: Annotated[int, Field(ge=2, le=4096)]
    """Maximum length of a vector; with `start = "pca"` it is at most the number of features or of pictures."""
    start: Literal["pca", "random"]
    """Initial weights of the last layer: `pca` (the principal axes of the features, so that the training starts from
    their similarities) or `random` (Glorot)."""
    components: Annotated[int, Field(ge=2)] | None = None
    """Maximum number of principal components in which a head with `start = "pca"` is trained; None: the features
    themselves. Adam adapts its steps to each weight, which suits the principal axes better."""
    words: bool = False
    """Whether the words of the products are learned beside their pictures."""

    learning_rate: Annotated[float, Field(gt=0)]
    """Learning rate of Adam."""
    schedule: Literal["constant", "linear"]
    """Learning rate schedule; `linear` decays to 0 at the end."""
    epochs: Annotated[int, Field(ge=1)]
    """Number of passes over the pictures."""
    most_steps: Annotated[int, Field(ge=1)] | None = None
    """Maximum number of batches; the epoch that reaches it is the last. A large catalogue needs fewer epochs. None: no
    limit."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of the initial weights and of the batches."""

    loss: Annotated[SupervisedContrastive | Triplet, Field(discriminator="name")]
    """Loss, with its settings."""
    batches: Batches
    """Batches of pictures."""

    @model_validator(mode="after")
    def _check_combinations(self) -> Recipe:
        if not self.level_weights or not sum(self.level_weights):
            raise ValueError("level_weights needs a weight over 0")
        if self.classes == "label" and len(self.level_weights) != 1:
            raise ValueError("classes = 'label' has one level, so level_weights must have one weight")
        if self.network is not None:
            self._check_network(self.network)
        return self

    def _check_network(self, network: Network) -> None:
        if self.start == "pca":
            raise ValueError("start = 'pca' needs frozen features; a [network] needs start = 'random'")
        if self.colour_weight:
            raise ValueError("colour_weight must be 0 with a [network], which sees the colours itself")
        if network.head_epochs >= self.epochs:
            raise ValueError("network.head_epochs must be less than epochs: the whole network needs epochs too")
        if network.materialised_images is not None and self.classes == "path":
            raise ValueError("materialised_images needs classes = 'label': it balances labels")

    @property
    def digest(self) -> str:
        """Return 32 hex digits that identify the content; keys that are newer than some models count only if set."""
        content = self.model_dump(mode="json")
        for key in ("components", "words"):
            if not content[key]:
                del content[key]
        return digest([content])

    @property
    def weights(self) -> tuple[float, ...]:
        """Return the weight of each level of the class codes: the path's or label's, then the product's if not 0."""
        return (*self.level_weights, self.product_weight) if self.product_weight else self.level_weights


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Return a shipped recipe by its name, or a recipe file by its path; errors as `load_recipe_file`."""
    return load_recipe_file(Recipe, RECIPE_FOLDER, "embedding.recipe", name_or_path)
