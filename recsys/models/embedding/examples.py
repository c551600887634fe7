"""What the embedding is trained on, out of the store, and what it is judged by: never the same.

Both are pictures of the catalogue's products with a category path and a label that no model gave. A quarter is held
out, by a hash and not by lot: a product is on the same side in every later training, however the catalogue grows, so
that a model and the one before it are judged by what neither has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.ingest.catalogue.products import active_products
from recsys.ingest.images import views
from recsys.models.embedding.embedder import beside
from recsys.models.embedding.recipe import Recipe
from recsys.models.examples import features_of, fingerprints_of, jpegs_of
from recsys.models.features import table_name
from recsys.models.labels.balance import grow
from recsys.storage.store import Store, digest
from recsys.vision.augmentation import augment
from recsys.vision.loading import Load, pictures
from recsys.vision.perceptual_hash import joined, near_duplicates

PREDICTED = "predicted"
"""Source of a label that a model gave."""


def training_set(store: Store, configuration: Configuration) -> pd.DataFrame:
    """Return the pictures that embeddings are trained on and judged by, a row a picture.

    Args:
        store: products, pictures, labels and features; left out is what has no features of the configured backbone.
        configuration: its sections `backbone`, `colour` and `evaluation`.

    Returns:
        Columns product_id; view (0 is the product's picture, further ones follow); image_digest; category_path (list
        of str, top level first); label (None where there is none); group (int64 from 0: near-duplicates and pictures
        of one product, which are on one side); held_out (bool). In the catalogue's order. `attrs["digest"]` stands for
        all of it and for the features' version.
    """
    products = active_products(store, ["product_id", "category_path"])
    products = products[products["category_path"].map(len) > 0]
    labels = store.read("labels", ["product_id", "label", "source"]).to_pandas()
    products = products.merge(labels, on="product_id", how="left")
    products = products[products["source"] != PREDICTED].drop(columns="source")
    products["label"] = products["label"].astype(object).where(products["label"].notna(), None)
    seen = store.read(table_name(configuration), ["image_digest"])["image_digest"].to_pylist()
    photos = views.of(store, products["product_id"])
    photos = photos[photos["image_digest"].isin(seen) & _of_shown_products(photos, seen)]
    rows = photos.merge(products, on="product_id").reset_index(drop=True)
    columns = ["product_id", "view", "image_digest", "category_path", "label"]
    rows = rows[columns].assign(group=_groups(rows, _fingerprints(store, configuration, rows["image_digest"])))
    settings = configuration.evaluation
    share = min(settings.holdout_share, settings.queries / max(rows["product_id"].nunique(), 1))
    rows["held_out"] = held_out(rows["image_digest"], rows["group"], share)
    told = rows.drop(columns="group").sort_values(["product_id", "view"], ignore_index=True)
    rows.attrs["digest"] = digest([table_name(configuration), told.to_json(orient="values")])
    return rows


def held_out(digests: pd.Series, groups: pd.Series, share: float) -> NDArray[np.bool_]:
    """Return (n,) which pictures are held out: about such a share, whole groups, by a hash of each one's least digest.

    With a lower share some of them are, and no others.
    """
    least = digests.groupby(groups).transform("min")
    return np.array([int(digest([key])[:8], 16) < share * 16**8 for key in least], dtype=bool)


def codes_of(examples: pd.DataFrame, recipe: Recipe) -> NDArray[np.int64]:
    """Return what each picture is at each level that a recipe learns, coarse to fine: (n, levels), -1 for nothing.

    One column for each of its `weights`: the category path cut at each level, or the label; then the product, where it
    has several pictures. Two values of a level are one only below one value of the level above.
    """
    if recipe.classes == "label":
        levels = [_coded(examples["label"].astype(object).where(examples["label"].notna(), None).tolist())]
    else:
        paths = [tuple(path) if isinstance(path, Sequence) else () for path in examples["category_path"].tolist()]
        depths = range(1, len(recipe.level_weights) + 1)
        levels = [_coded([path[:depth] if len(path) >= depth else None for path in paths]) for depth in depths]
    if recipe.product_weight:
        products = examples["product_id"].astype(object).where(examples["product_id"].notna(), None)
        several = products.groupby(products).transform("size").fillna(0) > 1
        levels.append(_coded(products.where(several, None).tolist()))
    return np.stack(levels, axis=1)


@dataclass(frozen=True, eq=False)
class Shown:
    """What a training is shown.

    Attributes:
        examples: m rows, as of `training_set`; scraped and augmented ones have no product_id or category_path of
            their own right and are never held out.
        features: (m, d) float32, where a head is trained: what it sees, see `recsys.models.embedding.embedder.beside`.
        load: from row numbers (b,) to pictures (b, side, side, 3) uint8, where a network is.
    """

    examples: pd.DataFrame
    features: NDArray[np.float32] | None = None
    load: Load | None = None


def shown(store: Store, configuration: Configuration, recipe: Recipe, examples: pd.DataFrame) -> Shown:
    """Return what a recipe's training is shown of a training set.

    Raises:
        ConfigurationError: the recipe asks for fewer materialised images than the classes have.
    """
    if recipe.network is None:
        described = described_by(store, configuration, examples["image_digest"].tolist())
        return Shown(examples, features=beside(*described, recipe.colour_weight))
    rows = _materialised(store, configuration, recipe, examples)
    seeds = rows["seed"].to_numpy()

    def vary(row: int, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return augment(image[None], seeds[[row]], configuration.augmentation)[0] if seeds[row] else image

    jpegs = jpegs_of(store, rows["image_digest"].tolist())
    return Shown(rows, load=pictures(jpegs, recipe.network.input_size, vary if seeds.any() else None))


def described_by(
    store: Store, configuration: Configuration, digests: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return unit features (n, d) and histograms (n, bins) of pictures that have them, in this order."""
    return features_of(store, configuration, digests), features_of(store, configuration, digests, "histogram")


def _materialised(store: Store, configuration: Configuration, recipe: Recipe, examples: pd.DataFrame) -> pd.DataFrame:
    """Return the pictures that a network is shown, with origin and seed as `balance.grow` has them."""
    network = recipe.network
    assert network is not None
    validation = examples[examples["held_out"]].assign(origin="catalogue", seed=0)
    if network.validation_images is not None:
        by_lot = np.argsort([digest([key]) for key in validation["image_digest"]], kind="stable")
        validation = validation.iloc[np.sort(by_lot[: network.validation_images])]
    training = examples[~examples["held_out"]]
    if network.materialised_images is None:
        training = training.assign(origin="catalogue", seed=0)
    else:
        scraped = store.read("scraped", ["image_digest", "label"]).to_pandas().sort_values("image_digest")
        known = pd.concat([examples, scraped], ignore_index=True)
        photos = near_duplicates(_fingerprints(store, configuration, known["image_digest"]))
        secret = photos[: len(examples)][examples["held_out"].to_numpy(bool)]
        scraped = scraped[~np.isin(photos[len(examples) :], secret)].assign(group=-1)
        training = grow(training[training["view"] == 0], scraped, configuration, network.materialised_images)
        training = training.assign(held_out=False)
    rows = pd.concat([training, validation], ignore_index=True)
    return rows.astype({"held_out": bool, "seed": np.int64})


def _of_shown_products(photos: pd.DataFrame, seen: Sequence[str]) -> pd.Series:
    """Return which photos are of products whose own picture has features: without it a product is not found."""
    first = photos[(photos["view"] == 0) & photos["image_digest"].isin(seen)]
    return photos["product_id"].isin(first["product_id"])


def _fingerprints(store: Store, configuration: Configuration, digests: pd.Series) -> NDArray[np.uint64]:
    """Return (n,) the fingerprint of each picture."""
    found = fingerprints_of(store, configuration, digests)
    return np.array([found[key] for key in digests], np.uint64)


def _groups(rows: pd.DataFrame, fingerprints: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return (n,) the number of each picture's group, from 0 in the order of their first rows."""
    photos = near_duplicates(fingerprints)
    first = pd.Series(photos).groupby(rows["product_id"].to_numpy()).transform("first").to_numpy()
    return pd.factorize(joined(photos, photos, first))[0].astype(np.int64)


def _coded(values: Sequence[object]) -> NDArray[np.int64]:
    """Return (n,) codes of values, -1 for None."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return pd.factorize(column)[0].astype(np.int64)
