"""Recommendations for one product or one photo, computed on request."""

import difflib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.errors import UnknownProductError
from recsys.ingest.catalogue.products import products_of_variants
from recsys.models.embedding.serving import Serving, describe, serving
from recsys.ranking.ann_index import load_index
from recsys.ranking.explanation import explain
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.gallery_loading import load_nonempty_gallery
from recsys.ranking.nearest_neighbours import Shortlist
from recsys.ranking.reranking import recommend
from recsys.storage.store import Store, literal

MAX_COMPARED_IDS = 5_000
"""Product ids that an unknown id is compared with, to suggest a similar one."""


@dataclass(frozen=True)
class Answer:
    """One query and its recommendations.

    Attributes:
        product_id: of the query; None for a photo.
        name: of the product, or of the photo's file.
        label, price: of the query; None where unknown.
        price_level: of the query; the neutral 2.5 where unknown.
        items: the recommendations, best first. Columns: rank, product_id, name, brand, label, price, in_stock,
            price_level, visual, colour, price_score, total, why.
    """

    product_id: str | None
    name: str
    label: str | None
    price: float | None
    price_level: float
    items: pd.DataFrame

    def to_json(self) -> str:
        """Return the answer as a JSON object, unknown values as null."""
        query = {name: getattr(self, name) for name in ("product_id", "name", "label", "price", "price_level")}
        items = json.loads(self.items.to_json(orient="records", double_precision=6))
        return json.dumps({"query": query, "recommendations": items}, ensure_ascii=False)


def recommend_product(store: Store, configuration: Configuration, product_id: str) -> Answer:
    """Return the recommendations for a product of the catalogue, or the product of a variant, by the configured rule.

    Raises:
        NoImagesError: no product of the home can be compared yet.
        UnknownProductError: the product is not in the catalogue, or has no picture to compare.
    """
    frame, gallery = load_nonempty_gallery(store, configuration)
    rows = np.flatnonzero(frame["product_id"] == product_id)
    if not len(rows) and (product := products_of_variants(store).get(product_id)):
        product_id, rows = product, np.flatnonzero(frame["product_id"] == product)
    if not len(rows):
        raise unknown_product_error(store, product_id, frame)
    query = Queries.of(gallery, rows)
    product = frame.iloc[rows[0]]
    return Answer(
        product_id=product_id,
        name=str(product["name"]),
        label=query.labels[0],
        price=None if pd.isna(product["price"]) else float(product["price"]),
        price_level=float(query.price_levels[0]),
        items=_items(frame, gallery, query, configuration),
    )


def recommend_photo(store: Store, configuration: Configuration, photo: Path) -> Answer:
    """Return the recommendations for a photo file, from the whole shop and at the neutral price level.

    Raises:
        PhotoError: the file is missing, is not an image, or exceeds a safety limit.
        WeightsError: the backbone's weights are not available.
    """
    from recsys.vision.square import read_photo  # imports Pillow, which a query by product id does not need

    return recommend_image(store, configuration, read_photo(photo, configuration.images), photo.name)


def recommend_image(store: Store, configuration: Configuration, image: NDArray[np.uint8], name: str) -> Answer:
    """Return the recommendations for a squared photo (side, side, 3) RGB, like `recommend_photo`.

    Raises:
        NoImagesError: no product of the home can be compared yet.
        WeightsError: the backbone's weights are not available.
        TrainingError: the files of the serving model are missing or damaged.
    """
    serves = serving(store.home, configuration)
    frame, gallery = load_nonempty_gallery(store, configuration, serves)
    neutral = configuration.price.neutral_level
    query = photo_query(image, store.home, serves, configuration, gallery, None, neutral)
    shortlist = load_index(store, configuration, serves, frame, gallery)
    return Answer(None, name, None, None, neutral, _items(frame, gallery, query, configuration, shortlist))


def photo_query(
    image: NDArray[np.uint8],
    home: Path | str,
    serves: Serving,
    configuration: Configuration,
    gallery: Gallery,
    label: str | None,
    price_level: float,
) -> Queries:
    """Return a squared photo (side, side, 3) RGB as a query of a gallery.

    Args:
        image: the photo.
        home, serves, configuration: the model that describes it; that of the gallery.
        gallery: is searched.
        label: of the product in the photo; None where unknown.
        price_level: of that product; the neutral level where unknown.

    Raises:
        WeightsError: the backbone's weights are not available.
        TrainingError: the model's files are missing or damaged.
    """
    embeddings, histograms = describe(image[None], str(home), serves, configuration)
    return Queries(
        version=serves.version,
        rows=np.array([-1]),
        labels=np.array([label], dtype=object),
        price_levels=np.array([price_level]),
        embeddings=gallery.of_pictures(embeddings),
        histograms=histograms,
    )


def _items(
    frame: pd.DataFrame,
    gallery: Gallery,
    query: Queries,
    configuration: Configuration,
    shortlist: Shortlist | None = None,
) -> pd.DataFrame:
    """Return the recommendations for a single query, see `Answer.items`."""
    answer = recommend(query, gallery, configuration.recommend, shortlist=shortlist)
    valid = answer.neighbours[0] >= 0
    rows = answer.neighbours[0][valid]
    items = frame.iloc[rows][["product_id", "name", "brand", "label", "price", "in_stock"]].reset_index(drop=True)
    items.insert(0, "rank", np.arange(1, len(rows) + 1))
    return items.assign(
        price_level=gallery.price_levels[rows],
        visual=answer.visual[0][valid],
        colour=answer.colour[0][valid],
        price_score=answer.price[0][valid],
        total=answer.total[0][valid],
        why=explain(answer, query, gallery)[0][valid],
    )


def unknown_product_error(store: Store, product_id: str, frame: pd.DataFrame) -> UnknownProductError:
    """Return the error that explains why a product cannot be compared, with the remedy."""
    rows = store.read("products", ["name", "removed"], f"product_id = {literal(product_id)}").to_pylist()
    if not rows:
        similar = difflib.get_close_matches(product_id, frame["product_id"].tolist()[:MAX_COMPARED_IDS], 1, 0.8)
        hint = f"did you mean {similar[0]}?" if similar else "'recsys export' lists every id"
        return UnknownProductError(f"product '{product_id[:80]}' is not in the catalogue; {hint}")
    if rows[0]["removed"] is not None:
        return UnknownProductError(f"product '{product_id}' was removed from the catalogue on {rows[0]['removed']:%F}")
    images = store.read("images", ["status", "cause", "url"], f"product_id = {literal(product_id)}").to_pylist()
    if images and images[0]["status"] != "ok":
        return UnknownProductError(
            f"product '{product_id}' has no picture ({images[0]['status']}: {images[0]['cause']}, {images[0]['url']}); "
            "fix its image URL in the catalogue and run again"
        )
    return UnknownProductError(
        f"product '{product_id}' has no features yet; run 'recsys run' until it finishes, then try again"
    )
