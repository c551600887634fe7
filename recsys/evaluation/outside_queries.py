"""Photos from outside the catalogue as queries: what would customers' own photos retrieve in this shop?

A CSV describes the photos, one per row, with the columns

    file           path relative to the folder of the photos
    category_path  as in the catalogue, `Clothing >> Women's Clothing >> Kurtas`; may be empty
    price          optional; in the catalogue's currency
    product_id     optional; the product on the photo, where the shop has it. The photo is then a query for that
                   product, and for similar products among the others.

A row that cannot be used is reported; the others are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core import progress
from recsys.core.configuration import Configuration, Price
from recsys.core.errors import CatalogueError, PhotoError
from recsys.core.text import shorten
from recsys.evaluation.evaluation_set import (
    BACKBONE,
    HSV,
    PIXELS,
    RANDOM,
    EvaluationSet,
    hsv_vectors,
    pixel_vectors,
    random_vectors,
)
from recsys.ingest.catalogue import cells
from recsys.models import features
from recsys.models.embedding.serving import SEES_FEATURES, Model, loaded
from recsys.ranking.price_levels import price_level, price_quantiles
from recsys.storage.spreadsheet import cell, read_csv
from recsys.storage.store import Store
from recsys.vision.perceptual_hash import fingerprint, near_duplicates
from recsys.vision.square import read_photo

REQUIRED = ("file", "category_path")
"""Required columns of the CSV."""
BATCH = 64
"""Number of photos that are in memory as pixels at once, 12 MB."""

Embed = Callable[[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""A model: squared pictures (b, 256, 256, 3), their raw features (b, d) and histograms (b, bins) -> (b, e) float32 of
unit length."""


class SkippedRow(NamedTuple):
    """A row that cannot be used: its line in the CSV, and the reason."""

    line: int
    reason: str


@dataclass(frozen=True)
class QueryPhoto:
    """A usable row of the CSV."""

    line: int
    file: str
    category_path: list[str]
    price: float | None
    product_id: str | None


def photo_embedder(store: Store, model: Model, configuration: Configuration) -> Embed:
    """Return the function by which a trained model embeds new photos: from the configured features, if it sees these.

    Raises:
        TrainingError: the model's files are missing or damaged.
    """
    embedder = loaded(str(store.home), model.version)
    if model.sees == SEES_FEATURES and model.fits(configuration):
        return lambda pictures, raw, histograms: embedder.embed_features(raw, histograms)
    return lambda pictures, raw, histograms: embedder.embed_pictures(pictures)


def with_outside_queries(
    evaluation_set: EvaluationSet,
    csv: Path,
    folder: Path,
    configuration: Configuration,
    home: Path,
    embed: Mapping[str, Embed] | None = None,
) -> tuple[EvaluationSet, list[SkippedRow]]:
    """Return the evaluation set with photos from outside as its only queries, and the rows that cannot be used.

    Args:
        evaluation_set: the catalogue; only its models that can embed new photos are kept.
        csv: describes the photos, see the module's docstring.
        folder: the folder of the photos.
        configuration: squaring and its limits, backbone, colour, price levels.
        home: keeps converted backbones.
        embed: by name, the models besides the baselines and the raw backbone.

    Raises:
        CatalogueError: the CSV cannot be read, lacks a column, or has no usable row.
        WeightsError: the backbone's weights are not available.
    """
    if not folder.is_dir():
        raise CatalogueError(f"images {folder} is not a folder; give the folder that column 'file' is relative to")
    photos, skipped = read_queries(csv, configuration, set(evaluation_set.frame["product_id"]))
    progress.begin("photos", len(photos))
    described = PhotoVectors.compute(photos, folder, configuration, home, embed or {}, skipped)
    count = len(described.photos)
    progress.finish("photos", f"{count:,} of {count + len(skipped):,} rows used")
    if not count:
        first = "".join(f": line {row.line}, {row.reason}" for row in sorted(skipped)[:1])
        raise CatalogueError(f"queries {csv} has no usable row{first}")
    if embed:
        _note_trained_products(evaluation_set.frame, described.photos)
    return described.added_to(evaluation_set, configuration.price), sorted(skipped)


def read_queries(
    csv: Path, configuration: Configuration, product_ids: set[str]
) -> tuple[list[QueryPhoto], list[SkippedRow]]:
    """Return the rows of a CSV, and those that describe too little.

    Args:
        csv: see the module's docstring.
        configuration: how prices and category paths are written.
        product_ids: the products of the home.

    Raises:
        CatalogueError: the CSV cannot be read, or lacks a column.
    """
    header, records = read_csv(
        csv, REQUIRED, "queries", CatalogueError, f"its first line must name the columns {' and '.join(REQUIRED)}"
    )
    photos: list[QueryPhoto] = []
    skipped: list[SkippedRow] = []
    for line, record in records:
        row = {column: cell(record, header.index(column)) for column in header}
        try:
            photos.append(_parsed(line, row, configuration, product_ids))
        except ValueError as error:
            skipped.append(SkippedRow(line, str(error)))
    return photos, skipped


def _parsed(line: int, row: Mapping[str, str], configuration: Configuration, product_ids: set[str]) -> QueryPhoto:
    """Return a row of the CSV as a photo; raise ValueError with the reason where it cannot be used."""
    settings = configuration.catalogue
    file, path = row["file"], row["category_path"]
    price, product_id = row.get("price", ""), row.get("product_id", "")
    try:
        amount = cells.price(price or None, settings.decimal or ".", settings.currency)
    except ValueError as error:
        raise ValueError(f"column 'price': '{shorten(price, 40)}' is not a price") from error
    if not file:
        raise ValueError("column 'file' is empty")
    if not path and not product_id:
        raise ValueError("columns 'category_path' and 'product_id' are both empty")
    tree = cells.category_path(path, settings.tree_separator or cells.tree_separator([path]))
    if not tree and product_id not in product_ids:
        raise ValueError(f"column 'product_id': '{shorten(product_id, 40)}' is not a product that this home can find")
    return QueryPhoto(line, file, tree, amount, product_id or None)


@dataclass(frozen=True, eq=False)
class PhotoVectors:
    """n photos as the models see them, row by row.

    Attributes:
        photos: the usable ones.
        fingerprints: n.
        histograms: (b, bins) per batch.
        vectors: by model, (b, d) per batch.
    """

    photos: list[QueryPhoto]
    fingerprints: list[np.uint64]
    histograms: list[NDArray[np.float32]]
    vectors: dict[str, list[NDArray[np.float32]]]

    @classmethod
    def compute(
        cls,
        photos: Sequence[QueryPhoto],
        folder: Path,
        configuration: Configuration,
        home: Path,
        embed: Mapping[str, Embed],
        skipped: list[SkippedRow],
    ) -> PhotoVectors:
        """Read and embed photos, batch by batch; those that cannot be read are appended to `skipped`."""
        described = cls([], [], [], {name: [] for name in (PIXELS, BACKBONE, *embed)})
        for start in range(0, len(photos), BATCH):
            pictures = []
            for photo in photos[start : start + BATCH]:
                try:
                    pictures.append(_read_squared(photo, folder, configuration))
                    described.photos.append(photo)
                except PhotoError as error:
                    skipped.append(SkippedRow(photo.line, str(error)))
                progress.advance("photos")
            if pictures:
                described._add_batch(np.stack(pictures), configuration, home, embed)
        return described

    def _add_batch(
        self, pictures: NDArray[np.uint8], configuration: Configuration, home: Path, embed: Mapping[str, Embed]
    ) -> None:
        """Add the vectors of squared pictures (b, 256, 256, 3)."""
        raw, histograms = features.describe(pictures, configuration, home)
        self.fingerprints.extend(fingerprint(picture) for picture in pictures)
        self.histograms.append(histograms)
        self.vectors[PIXELS].append(pixel_vectors(pictures))
        self.vectors[BACKBONE].append(raw)
        for name, model in embed.items():
            self.vectors[name].append(model(pictures, raw, histograms))

    def added_to(self, evaluation_set: EvaluationSet, settings: Price) -> EvaluationSet:
        """Return the evaluation set with the photos as its only queries."""
        shop = evaluation_set.frame.assign(held_out=False, listed=True)
        histograms = np.concatenate(self.histograms)
        vectors = {name: np.concatenate(batches) for name, batches in self.vectors.items()}
        vectors[HSV] = hsv_vectors(histograms)
        vectors[RANDOM] = random_vectors(len(shop) + len(self.photos))[len(shop) :]
        photo_codes = near_duplicates(np.array(self.fingerprints, np.uint64))
        queries = _query_frame(self.photos, photo_codes, shop, settings)
        return replace(
            evaluation_set,
            frame=pd.concat([shop, queries], ignore_index=True),
            histograms=np.concatenate([evaluation_set.histograms, histograms]),
            models={
                name: np.concatenate([of_shop, vectors[name]])
                for name, of_shop in evaluation_set.models.items()
                if name in vectors
            },
        )


def _note_trained_products(shop: pd.DataFrame, photos: Sequence[QueryPhoto]) -> None:
    """Note to the user that trained models have seen the products of some photos."""
    trained_on = set(shop.loc[~shop["held_out"], "product_id"]) & {photo.product_id for photo in photos}
    if trained_on:
        progress.note(
            f"trained models were trained on {len(trained_on):,} of these products, so their metrics are too high"
        )


def _read_squared(photo: QueryPhoto, folder: Path, configuration: Configuration) -> NDArray[np.uint8]:
    """Return a photo squared; raise PhotoError without opening it where its path leaves the folder."""
    path = folder / photo.file
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError) as error:  # a loop of links; a NUL byte
        raise PhotoError(f"column 'file': '{shorten(photo.file, 40)}' is not a path ({error})") from error
    if not inside:
        raise PhotoError(f"column 'file': '{shorten(photo.file, 40)}' is not within {folder}")
    return np.asarray(read_photo(path, configuration.images), dtype=np.uint8)


def _query_frame(
    photos: Sequence[QueryPhoto], photo_codes: NDArray[np.int64], shop: pd.DataFrame, settings: Price
) -> pd.DataFrame:
    """Return the photos as rows of the shop's frame: queries that are never candidates.

    A photo of a product of the shop is in the product's group; other photos form a group where they are near-duplicates
    (equal codes). The label is the most frequent label of the top level of the category path, and the price level is
    computed among that label's prices.
    """
    group_of: dict[str | None, int] = dict(zip(shop["product_id"], shop["group"], strict=True))
    path_of: dict[str | None, list[str]] = dict(zip(shop["product_id"], shop["category_path"], strict=True))
    paths = [photo.category_path or list(path_of.get(photo.product_id, [])) for photo in photos]
    tops = shop["category_path"].map(lambda path: path[0])
    label_of = shop.dropna(subset=["label"]).groupby(tops)["label"].agg(lambda labels: labels.mode().iloc[0])
    labels = [label_of.get(path[0]) if path else None for path in paths]
    quantiles: dict[str | None, NDArray[np.float64]] = {
        str(label): price_quantiles(prices.to_numpy(dtype=np.float64), settings)
        for label, prices in shop.groupby("label")["price"]
    }
    prices = [np.nan if photo.price is None else photo.price for photo in photos]
    next_group = int(shop["group"].max()) + 1
    return pd.DataFrame(
        {
            "product_id": [photo.product_id for photo in photos],
            "name": [photo.file for photo in photos],
            "category_path": paths,
            "price": prices,
            "image_digest": None,
            "label": labels,
            "price_level": [
                float(price_level(price, quantiles.get(label), np.nan))
                for price, label in zip(prices, labels, strict=True)
            ],
            "group": [
                group_of.get(photo.product_id, next_group + int(code))
                for photo, code in zip(photos, photo_codes, strict=True)
            ],
            "held_out": True,
            "view": 0,
            "listed": False,
        }
    )
