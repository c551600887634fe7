"""Read what an embedding is trained on and evaluated with from the store; the two never overlap.

Both are pictures of the catalogue's products with a category path and a label that no model predicted. A quarter is
held out, selected by a hash: a product stays on its side in every later training, however the catalogue grows, so that
successive models are compared on pictures that none of them was trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.ingest.catalogue.products import active_products
from recsys.ingest.images import views
from recsys.models.embedding.embedder import head_inputs
from recsys.models.embedding.recipe import Network, Recipe
from recsys.models.examples import features_of, fingerprints_of, jpegs_of
from recsys.models.features import table_name
from recsys.models.grouping import assign_groups, is_common, without_chains
from recsys.models.labels.balance import grow
from recsys.storage.store import Store
from recsys.vision.augmentation import augment
from recsys.vision.loading import Load, pictures
from recsys.vision.perceptual_hash import joined, near_duplicates

PREDICTED = "predicted"
"""Source of a label that a model gave."""


def training_set(store: Store, configuration: Configuration) -> pd.DataFrame:
    """Return the pictures that embeddings are trained on and evaluated with, one row per picture.

    Args:
        store: products, pictures, labels and features; pictures without features of the configured backbone are left
            out.
        configuration: sections `backbone`, `colour` and `evaluation`.

    Returns:
        Columns product_id; view (0 is the product's main picture, others follow); image_digest; category_path (list of
        str, top level first); label (None if there is none); group (int64 from 0: near-duplicates, pictures of one
        product, and products of one brand and nearly one name, which are on one side of the split); held_out (bool). In
        the catalogue's order. `attrs["digest"]` identifies all of it and the version of the features.
    """
    products = _labelled_products(store)
    described = store.read(table_name(configuration), ["image_digest"])["image_digest"].to_pylist()
    photos = views.of(store, products["product_id"])
    photos = photos[photos["image_digest"].isin(described)]
    # Without features of its main picture a product is not found.
    findable = photos.loc[photos["view"] == 0, "product_id"]
    rows = photos[photos["product_id"].isin(findable)].merge(products, on="product_id").reset_index(drop=True)
    columns = ["product_id", "view", "image_digest", "category_path", "label"]
    groups = _groups(rows, _fingerprints(store, configuration, rows["image_digest"]))
    rows = rows[columns].assign(group=groups)
    settings = configuration.evaluation
    share = min(settings.holdout_share, settings.queries / max(rows["product_id"].nunique(), 1))
    rows["held_out"] = held_out(rows["image_digest"], rows["group"], share)
    content = rows.drop(columns="group").sort_values(["product_id", "view"], ignore_index=True)
    rows.attrs["digest"] = digest([table_name(configuration), content.to_json(orient="values")])
    return rows


def held_out(digests: pd.Series, groups: pd.Series, share: float) -> NDArray[np.bool_]:
    """Return (n,) which pictures are held out: about this share, whole groups, by a hash of each group's least digest.

    A lower share holds out a subset.
    """
    least = digests.groupby(groups).transform("min")
    return np.array([int(digest([key])[:8], 16) < share * 16**8 for key in least], dtype=bool)


@dataclass(frozen=True, eq=False)
class TrainingInputs:
    """Inputs of a training.

    Attributes:
        examples: m rows as of `training_set`; scraped pictures have no product_id or category_path, and scraped and
            augmented ones are never held out.
        features: (m, d) float32 inputs of a head, see `recsys.models.embedding.embedder.head_inputs`.
        load: for a network, from row numbers (b,) to pictures (b, side, side, 3) uint8.
    """

    examples: pd.DataFrame
    features: NDArray[np.float32] | None = None
    load: Load | None = None


def training_inputs(
    store: Store, configuration: Configuration, recipe: Recipe, examples: pd.DataFrame
) -> TrainingInputs:
    """Return the inputs of a recipe's training, for a training set.

    Raises:
        ConfigurationError: the recipe has fewer materialised images than there are classes.
    """
    if recipe.network is None:
        described = features_and_histograms(store, configuration, examples["image_digest"].tolist())
        return TrainingInputs(examples, features=head_inputs(*described, recipe.colour_weight))
    rows = _network_rows(store, configuration, recipe.network, examples)
    seeds = rows["seed"].to_numpy()

    def vary(row: int, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return augment(image[None], seeds[[row]], configuration.augmentation)[0] if seeds[row] else image

    jpegs = jpegs_of(store, rows["image_digest"].tolist())
    return TrainingInputs(rows, load=pictures(jpegs, recipe.network.input_size, vary if seeds.any() else None))


def features_and_histograms(
    store: Store, configuration: Configuration, digests: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return unit features (n, d) and histograms (n, bins) of pictures that have them, in this order."""
    return features_of(store, configuration, digests), features_of(store, configuration, digests, "histogram")


def _labelled_products(store: Store) -> pd.DataFrame:
    """Return products with a category path and without a predicted label, and their label, name and brand."""
    products = active_products(store, ["product_id", "category_path", "name", "brand"])
    products = products[products["category_path"].map(len) > 0]
    labels = store.read("labels", ["product_id", "label", "source"]).to_pandas()
    products = products.merge(labels, on="product_id", how="left")
    products = products[products["source"] != PREDICTED].drop(columns="source")
    products["label"] = products["label"].astype(object).where(products["label"].notna(), None)
    return products


def _network_rows(store: Store, configuration: Configuration, network: Network, examples: pd.DataFrame) -> pd.DataFrame:
    """Return the pictures for a network, with the columns origin and seed of `balance.grow`."""
    validation = examples[examples["held_out"]].assign(origin="catalogue", seed=0)
    if network.validation_images is not None:
        random_order = np.argsort([digest([key]) for key in validation["image_digest"]], kind="stable")
        validation = validation.iloc[np.sort(random_order[: network.validation_images])]
    training = examples[~examples["held_out"]]
    if network.materialised_images is None:
        training = training.assign(origin="catalogue", seed=0)
    else:
        scraped = _scraped_rows(store, configuration, examples)
        training = grow(training[training["view"] == 0], scraped, configuration, network.materialised_images)
        training = training.assign(held_out=False)
    rows = pd.concat([training, validation], ignore_index=True)
    return rows.astype({"held_out": bool, "seed": np.int64})


def _scraped_rows(store: Store, configuration: Configuration, examples: pd.DataFrame) -> pd.DataFrame:
    """Return the scraped pictures that are not near-duplicates of held-out ones."""
    scraped = store.read("scraped", ["image_digest", "label"]).to_pandas().sort_values("image_digest")
    known = pd.concat([examples, scraped], ignore_index=True)
    photos = near_duplicates(_fingerprints(store, configuration, known["image_digest"]))
    held_out_photos = photos[: len(examples)][examples["held_out"].to_numpy(bool)]
    return scraped[~np.isin(photos[len(examples) :], held_out_photos)].assign(group=-1)


def _fingerprints(store: Store, configuration: Configuration, digests: pd.Series) -> NDArray[np.uint64]:
    """Return (n,) the fingerprint of each picture."""
    fingerprints = fingerprints_of(store, configuration, digests)
    return np.array([fingerprints[key] for key in digests], np.uint64)


def _groups(rows: pd.DataFrame, fingerprints: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return (n,) the group of each picture, numbered from 0 in the order of first appearance.

    Pictures of one photo, of one product, and of products with one brand and nearly one name are one group: a model of
    the words would be judged by names that it was trained on. Where names connect stock photos that many products
    share to a chain, photos and products alone decide; otherwise nothing could be held out.
    """
    photos = near_duplicates(fingerprints)
    products = pd.Series(photos).groupby(rows["product_id"].to_numpy()).transform("first").to_numpy()
    named = assign_groups(rows["name"], rows["brand"])
    named = np.where(is_common(named), len(rows) + np.arange(len(rows)), named)
    names = pd.Series(photos).groupby(named).transform("first").to_numpy()
    one, other = np.concatenate([photos, photos]), np.concatenate([products, names])
    return without_chains(joined(photos, one, other), joined(photos, photos, products))
