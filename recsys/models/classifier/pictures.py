"""The pictures that a classifier learns from: the catalogue's own, cut, grown and varied as its recipe says.

What is scraped or augmented is learned from and never judged by; it is on its group's side of every split.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Augmentation, Configuration
from recsys.models import examples
from recsys.models import grouping as split
from recsys.models.classifier.recipe import Recipe
from recsys.models.features import table_name
from recsys.models.labels.balance import balance, grow
from recsys.storage.store import Store, digest
from recsys.vision import backbones
from recsys.vision.augmentation import augment
from recsys.vision.loading import Load, pictures

NO_EXAMPLE = -1


@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures of a training.

    Attributes:
        frame: one row a picture: example (its row among the examples, from 0; -1 for a scraped one), label,
            image_digest, group, origin (catalogue, scraped, augmented) and seed (of an augmented one, else 0).
        groups: (n,) of the examples, as `split.groups` numbers them together with the scraped pictures.
        shown: what the model sees of them: for a head unit features (m, d) float32, for a network the squared
            pictures as JPEG bytes, m each.
    """

    frame: pd.DataFrame
    groups: NDArray[np.int64]
    shown: NDArray[np.float32] | list[bytes]

    @property
    def own(self) -> NDArray[np.bool_]:
        """(m,) whether a picture is the catalogue's: only by those is a model judged."""
        return (self.frame["origin"] == "catalogue").to_numpy()

    def folds(self, of_examples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the fold of each picture (m,), which is its group's, given those of the examples (n,)."""
        known = dict(zip(self.groups.tolist(), of_examples.tolist(), strict=True))
        return np.array([known.get(group, split.TRAINING) for group in self.frame["group"]], np.int64)

    def load(self, side: int, settings: Augmentation) -> Load:
        """Return what loads them for a network: row numbers (b,) → (b, side, side, 3) uint8."""
        assert isinstance(self.shown, list)
        seeds = self.frame["seed"].to_numpy()

        def vary(row: int, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return augment(image[None], seeds[[row]], settings)[0] if seeds[row] else image

        return pictures(self.shown, side, vary if seeds.any() else None)


def learned_from(store: Store, configuration: Configuration, recipe: Recipe) -> str:
    """Return what, beside examples and recipe, decides what a classifier learns from pictures; as text.

    For a head: the features, which have a version. For a network: the weights that it starts from. And the settings by
    which a set is balanced, grown and varied, as far as the recipe does so.

    Raises:
        WeightsError: the recipe's weights are a file that cannot be read.
    """
    network = recipe.network
    parts = [
        table_name(configuration)
        if network is None
        else backbones.version(network.backbone, network.weights, network.input_size)
    ]
    if recipe.balance:
        parts.append(configuration.balance.model_dump_json())
    if recipe.augmentation != "none":
        parts.append(configuration.augmentation.model_dump_json())
    if recipe.augmentation == "materialised":
        scraped = store.read("scraped", ["image_digest", "label"]).to_pandas().sort_values("image_digest")
        parts.append(digest([json.dumps(scraped.to_numpy().tolist())]))
    return " ".join(parts)


def of_training(store: Store, configuration: Configuration, recipe: Recipe, rows: pd.DataFrame) -> Pictures:
    """Return the pictures of a training, and put its examples in groups.

    The examples' own; where the recipe says `balance`, large classes are cut; where it says `materialised`, small ones
    are grown too, by scraped pictures and augmented ones, see `recsys.models.labels.balance.grow`.

    Args:
        store: of the home.
        configuration: its sections `balance` and `backbone`.
        recipe: how.
        rows: the examples, n rows, as `examples.training_set`.

    Raises:
        ConfigurationError: the recipe asks for fewer pictures than the classes have.
    """
    grown = recipe.augmentation == "materialised"
    scraped = store.read("scraped", ["image_digest", "label", "title"]).to_pandas() if grown else _nothing()
    scraped = scraped.sort_values("image_digest", ignore_index=True)
    named = pd.concat([rows, scraped.rename(columns={"title": "name"})], ignore_index=True)
    groups = examples.groups(store, configuration, named)
    own = rows[["label", "image_digest"]].assign(example=np.arange(len(rows)), group=groups[: len(rows)])
    own = own[own["image_digest"].notna()]
    if grown:
        found = scraped[["label", "image_digest"]].assign(example=NO_EXAMPLE, group=groups[len(rows) :])
        frame = grow(own, found, configuration, recipe.materialised_images)
    else:
        frame = (balance(own, configuration) if recipe.balance else own).assign(origin="catalogue", seed=0)
    frame = frame.reset_index(drop=True).astype({"example": np.int64, "group": np.int64})
    digests: Sequence[str] = frame["image_digest"].tolist()
    if recipe.network is not None:
        return Pictures(frame, groups[: len(rows)], examples.jpegs_of(store, digests))
    return Pictures(frame, groups[: len(rows)], examples.features_of(store, configuration, digests))


def _nothing() -> pd.DataFrame:
    return pd.DataFrame({"image_digest": [], "label": [], "title": []}, dtype="str")
