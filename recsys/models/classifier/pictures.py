"""Select the pictures that a classifier is trained on: the catalogue's, balanced, grown and augmented by recipe.

Scraped and augmented pictures are used for training, never for evaluation; they are on the side of their group in every
split.
"""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Augmentation, Configuration
from recsys.core.digests import digest
from recsys.models import examples, grouping
from recsys.models.classifier.recipe import Recipe
from recsys.models.features import table_name
from recsys.models.labels.balance import balance, grow
from recsys.storage.store import Store
from recsys.vision import backbones
from recsys.vision.augmentation import augment
from recsys.vision.loading import Load, pictures

NO_EXAMPLE = -1
"""Value of the column `example` for a scraped picture."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of a training.

    Attributes:
        frame: one row per picture: example (row number of its example; `NO_EXAMPLE` for a scraped picture), label,
            image_digest, group, origin (catalogue, scraped, augmented) and seed (of an augmented picture, else 0).
        groups: (n,) groups of the examples, numbered together with those of the scraped pictures.
        inputs: inputs of the model: unit features (m, d) float32 for a head, m squared pictures as JPEG bytes for a
            network.
    """

    frame: pd.DataFrame
    groups: NDArray[np.int64]
    inputs: NDArray[np.float32] | list[bytes]

    @property
    def from_catalogue(self) -> NDArray[np.bool_]:
        """Return (m,) whether a picture is the catalogue's: only these are used for evaluation."""
        return (self.frame["origin"] == "catalogue").to_numpy()

    def folds(self, example_folds: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (m,) the fold of each picture, which is that of its group, from the folds of the examples (n,)."""
        fold_of = dict(zip(self.groups.tolist(), example_folds.tolist(), strict=True))
        return np.array([fold_of.get(group, grouping.TRAINING) for group in self.frame["group"]], np.int64)

    def loader(self, side: int, settings: Augmentation) -> Load:
        """Return a function that loads pictures for a network: row numbers (b,) → (b, side, side, 3) uint8."""
        assert isinstance(self.inputs, list)
        seeds = self.frame["seed"].to_numpy()

        def augment_row(row: int, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return augment(image[None], seeds[[row]], settings)[0] if seeds[row] else image

        return pictures(self.inputs, side, augment_row if seeds.any() else None)


def inputs_key(store: Store, configuration: Configuration, recipe: Recipe) -> str:
    """Return a text that identifies what a training depends on besides its examples and recipe.

    This is the version of the features (for a head) or of the initial weights (for a network), and the settings and
    pictures that balance, grow and augment the training set, as far as the recipe does so.

    Raises:
        WeightsError: the recipe's weights are a file that cannot be read.
    """
    network = recipe.network
    if network is None:
        parts = [table_name(configuration)]
    else:
        parts = [backbones.version(network.backbone, network.weights, network.input_size)]
    if recipe.balance:
        parts.append(configuration.balance.model_dump_json())
    if recipe.augmentation != "none":
        parts.append(configuration.augmentation.model_dump_json())
    if recipe.augmentation == "materialised":
        scraped = store.read("scraped", ["image_digest", "label"]).to_pandas().sort_values("image_digest")
        parts.append(digest([json.dumps(scraped.to_numpy().tolist())]))
    return " ".join(parts)


def training_pictures(store: Store, configuration: Configuration, recipe: Recipe, rows: pd.DataFrame) -> Pictures:
    """Return the pictures of a training, and the groups of its examples.

    They are the examples' pictures. With `balance`, large classes are undersampled; with `materialised`, small ones
    are also grown by scraped and augmented pictures, see `recsys.models.labels.balance.grow`.

    Args:
        store: the home's store.
        configuration: sections `balance` and `backbone`.
        recipe: the recipe.
        rows: n examples, see `examples.training_set`.

    Raises:
        ConfigurationError: the recipe asks for fewer pictures than the classes have.
    """
    scraped = _scraped(store) if recipe.augmentation == "materialised" else None
    all_rows = rows if scraped is None else pd.concat([rows, scraped], ignore_index=True)
    groups = examples.product_groups(store, configuration, all_rows)
    frame = rows[["label", "image_digest"]].assign(example=np.arange(len(rows)), group=groups[: len(rows)])
    frame = frame[frame["image_digest"].notna()]
    if scraped is not None:
        added = scraped[["label", "image_digest"]].assign(example=NO_EXAMPLE, group=groups[len(rows) :])
        frame = grow(frame, added, configuration, recipe.materialised_images)
    else:
        frame = (balance(frame, configuration) if recipe.balance else frame).assign(origin="catalogue", seed=0)
    frame = frame.reset_index(drop=True).astype({"example": np.int64, "group": np.int64})
    digests = frame["image_digest"].tolist()
    if recipe.network is not None:
        return Pictures(frame, groups[: len(rows)], examples.jpegs_of(store, digests))
    return Pictures(frame, groups[: len(rows)], examples.features_of(store, configuration, digests))


def _scraped(store: Store) -> pd.DataFrame:
    """Return the scraped pictures: image_digest, label and name."""
    scraped = store.read("scraped", ["image_digest", "label", "title"]).to_pandas()
    return scraped.rename(columns={"title": "name"}).sort_values("image_digest", ignore_index=True)
