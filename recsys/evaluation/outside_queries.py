"""A folder of photos from elsewhere as queries: what would customers' own photos find in this shop?

A CSV says what they show, one photo a row, with the columns

    file           path within the folder
    category_path  as in the catalogue, `Clothing >> Women's Clothing >> Kurtas`; may be empty
    price          optional; in the catalogue's currency
    product_id     optional; the product that it shows, where the shop has it: it is asked for that product, and for its
                   likes among the others

A row that cannot be used is told, and the rest goes on.
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
from recsys.evaluation.baselines import hsv_vectors, pixel_vectors, random_vectors
from recsys.evaluation.evaluation_set import BACKBONE, HSV, PIXELS, RANDOM, Judged
from recsys.ingest.catalogue import cells
from recsys.models import features
from recsys.models.embedding.serving import SEES_FEATURES, Model, loaded
from recsys.ranking.price_levels import price_quantiles
from recsys.storage.spreadsheet import cell, read_csv
from recsys.storage.store import Store
from recsys.vision.perceptual_hash import fingerprint, near_duplicates
from recsys.vision.square import read_photo

REQUIRED = ("file", "category_path")
AT_ONCE = 64
"""Photos that are in memory as pixels, 12 MB of them."""

Embed = Callable[[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""A model: squared pictures (b, 256, 256, 3), their raw features (b, d) and histograms (b, bins) -> (b, e) float32 of
unit length."""


class Skipped(NamedTuple):
    """A row that could not be used: its line in the CSV, and why."""

    line: int
    reason: str


@dataclass(frozen=True)
class Photo:
    """A row of the CSV."""

    line: int
    file: str
    category_path: list[str]
    price: float | None
    product_id: str | None


def embed_by(store: Store, model: Model) -> Embed:
    """Return how a trained model sees new photos.

    Raises:
        TrainingError: its files are missing or damaged.
    """
    embedder = loaded(str(store.home), model.version)
    if model.sees == SEES_FEATURES:
        return lambda pictures, raw, histograms: embedder.embed_features(raw, histograms)
    return lambda pictures, raw, histograms: embedder.embed_pictures(pictures)


def with_outside_queries(
    judged: Judged,
    csv: Path,
    folder: Path,
    configuration: Configuration,
    embed: Mapping[str, Embed] | None = None,
) -> tuple[Judged, list[Skipped]]:
    """Return a catalogue with photos from elsewhere as its only queries, and the rows that could not be used.

    Args:
        judged: the catalogue; of its models those remain that can be asked about new photos.
        csv: what the photos show, see above.
        folder: that the files are in.
        configuration: squaring and its limits, backbone, colour, price levels.
        embed: how the models besides the baselines and the raw backbone see a photo, by name.

    Raises:
        CatalogueError: the CSV cannot be read, lacks a column, or no row of it can be used.
        WeightsError: the backbone's weights cannot be had.
    """
    if not folder.is_dir():
        raise CatalogueError(f"images {folder} is no folder; name the one that the column 'file' is meant in")
    photos, skipped = read_queries(csv, configuration)
    rows = len(photos) + len(skipped)
    known = set(judged.frame["product_id"])
    for photo in [photo for photo in photos if not photo.category_path and photo.product_id not in known]:
        photos.remove(photo)
        told = f"column 'product_id': '{shorten(photo.product_id, 40)}' is no product that can be found in this home"
        skipped.append(Skipped(photo.line, told))
    embed = embed or {}
    seen: list[Photo] = []
    prints: list[np.uint64] = []
    histograms: list[NDArray[np.float32]] = []
    vectors: dict[str, list[NDArray[np.float32]]] = {name: [] for name in (PIXELS, BACKBONE, *embed)}
    progress.begin("photos", len(photos))
    for start in range(0, len(photos), AT_ONCE):
        pictures = []
        for photo in photos[start : start + AT_ONCE]:
            try:
                pictures.append(_picture(photo, folder, configuration))
                seen.append(photo)
            except PhotoError as error:
                skipped.append(Skipped(photo.line, str(error)))
            progress.advance("photos")
        if pictures:
            squared = np.stack(pictures)  # (b, 256, 256, 3)
            raw, histogram = features.describe(squared, configuration)
            prints += [fingerprint(picture) for picture in pictures]
            histograms.append(histogram)
            vectors[PIXELS].append(pixel_vectors(pictures))
            vectors[BACKBONE].append(raw)
            for name, model in embed.items():
                vectors[name].append(model(squared, raw, histogram))
    progress.finish("photos", f"{len(seen):,} of {rows:,} rows used")
    if not seen:
        first = "".join(f": line {row.line}, {row.reason}" for row in sorted(skipped)[:1])
        raise CatalogueError(f"queries {csv} has no row that can be used{first}")

    trained_on = set(judged.frame.loc[~judged.frame["held_out"], "product_id"]) & {photo.product_id for photo in seen}
    if embed and trained_on:
        progress.note(f"trained models have seen {len(trained_on):,} of these products; their figures flatter them")
    found = {name: np.concatenate(parts) for name, parts in vectors.items()}
    found[HSV] = hsv_vectors(np.concatenate(histograms))
    found[RANDOM] = random_vectors(len(judged.frame) + len(seen))[len(judged.frame) :]
    shop = judged.frame.assign(held_out=False, listed=True)
    asked = _asked(seen, near_duplicates(np.array(prints, np.uint64)), shop, configuration.price)
    return replace(
        judged,
        frame=pd.concat([shop, asked], ignore_index=True),
        histograms=np.concatenate([judged.histograms, *histograms]),
        models={
            name: np.concatenate([vectors, found[name]]) for name, vectors in judged.models.items() if name in found
        },
    ), sorted(skipped)


def read_queries(csv: Path, configuration: Configuration) -> tuple[list[Photo], list[Skipped]]:
    """Return the rows of a CSV, and those that say too little.

    Raises:
        CatalogueError: it cannot be read, or lacks a column.
    """
    settings = configuration.catalogue
    header, records = read_csv(
        csv, REQUIRED, "queries", CatalogueError, f"its first line must name the columns {' and '.join(REQUIRED)}"
    )
    photos: list[Photo] = []
    skipped: list[Skipped] = []

    def of(record: Sequence[str], column: str) -> str:
        return cell(record, header.index(column)) if column in header else ""

    for line, record in records:
        file, path, price = (of(record, column) for column in ("file", "category_path", "price"))
        try:
            amount = cells.price(price or None, settings.decimal, settings.currency)
        except ValueError:
            skipped.append(Skipped(line, f"column 'price': '{shorten(price, 40)}' is no price"))
            continue
        if not file:
            skipped.append(Skipped(line, "column 'file' is empty"))
        elif not path and not of(record, "product_id"):
            skipped.append(Skipped(line, "neither category_path nor product_id says what it shows"))
        else:
            tree = cells.category_path(path, settings.tree_separator)
            photos.append(Photo(line, file, tree, amount, of(record, "product_id") or None))
    return photos, skipped


def _picture(photo: Photo, folder: Path, configuration: Configuration) -> NDArray[np.uint8]:
    """Return a photo squared; one outside the folder is not opened."""
    path = folder / photo.file
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError) as error:  # a loop of links; a NUL byte
        raise PhotoError(f"column 'file': '{shorten(photo.file, 40)}' is no path ({error})") from error
    if not inside:
        raise PhotoError(f"column 'file': '{shorten(photo.file, 40)}' is not within {folder}")
    return np.asarray(read_photo(path, configuration.images), dtype=np.uint8)


def _asked(photos: Sequence[Photo], alike: NDArray[np.int64], shop: pd.DataFrame, settings: Price) -> pd.DataFrame:
    """Return the photos as rows of the shop's frame, which ask and are not found.

    One that shows a product of the shop is of its group; others are of one group where they are one photo. Its label is
    the one that most products of its top level have, and its price level is that of such a price there.
    """
    group_of: dict[str | None, int] = dict(zip(shop["product_id"], shop["group"], strict=True))
    path_of: dict[str | None, list[str]] = dict(zip(shop["product_id"], shop["category_path"], strict=True))
    paths = [photo.category_path or list(path_of.get(photo.product_id, [])) for photo in photos]
    tops = shop["category_path"].map(lambda path: path[0])
    of_top = shop.dropna(subset=["label"]).groupby(tops)["label"].agg(lambda labels: labels.mode().iloc[0])
    labels = [of_top.get(path[0]) if path else None for path in paths]
    quantiles: dict[str | None, NDArray[np.float64]] = {
        str(label): price_quantiles(members.to_numpy(dtype=np.float64), settings)
        for label, members in shop.groupby("label")["price"]
    }
    prices = [np.nan if photo.price is None else photo.price for photo in photos]
    past = int(shop["group"].max()) + 1
    return pd.DataFrame(
        {
            "product_id": [photo.product_id for photo in photos],
            "name": [photo.file for photo in photos],
            "category_path": paths,
            "price": prices,
            "image_digest": None,
            "label": labels,
            "price_level": [_level(price, quantiles.get(label)) for price, label in zip(prices, labels, strict=True)],
            "group": [
                group_of.get(photo.product_id, past + int(code)) for photo, code in zip(photos, alike, strict=True)
            ],
            "held_out": True,
            "view": 0,
            "listed": False,
        }
    )


def _level(price: float, quantiles: NDArray[np.float64] | None) -> float:
    """Return the level that a price has among a label's, see `price_levels.price_levels`; NaN where it is neutral."""
    if quantiles is None or np.isnan(price) or np.isnan(quantiles).any() or quantiles[0] == quantiles[2]:
        return float("nan")
    return 1.0 + float(np.searchsorted(quantiles, price, side="left"))
