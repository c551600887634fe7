"""The answers to requests for similar products, as JSON."""

from typing import Any

import numpy as np
import orjson

from recsys.models.embedding.serving import describe
from recsys.ranking.gallery import Queries
from recsys.service.options import SimilarOptions
from recsys.service.schemas import SimilarQuery
from recsys.service.snapshot import Snapshot
from recsys.vision.square import square_photo


def answer_for_product(snapshot: Snapshot, product_id: str, options: SimilarOptions) -> bytes:
    """Return the recommendations for a product as the JSON of `schemas.Similar`.

    Raises:
        UnknownProductError: the product is not in the catalogue or has no features.
    """
    row = snapshot.row(product_id)
    is_default = options == SimilarOptions(snapshot.configuration.recommend)
    stored = stored_answer(snapshot, row) if is_default else None
    if stored is not None:
        return stored
    query = Queries.of(snapshot.gallery, np.array([row]))
    return _encode_for_product(snapshot, row, snapshot.recommend(query, options))


def stored_answer(snapshot: Snapshot, row: int) -> bytes | None:
    """Return the stored recommendations of the product at a row as JSON; None where there are none."""
    recommendations = snapshot.stored_recommendations(row)
    return None if recommendations is None else _encode_for_product(snapshot, row, recommendations)


def answer_for_photo(snapshot: Snapshot, photo: bytes, price: float | None, options: SimilarOptions) -> bytes:
    """Return the recommendations for a photo as the JSON of `schemas.Similar`.

    Args:
        snapshot: the snapshot to search.
        photo: the bytes of the image file.
        price: the price of the product in the photo; None where unknown.
        options: the rule and the filters. The label of the filters is also the label of the photo.

    Raises:
        PhotoError: the photo cannot be decoded or exceeds a limit.
    """
    image = square_photo(photo, snapshot.configuration.images)
    embeddings, histograms = describe(image[None], snapshot.store.home, snapshot.serves, snapshot.configuration)
    label = options.filters.label
    level = snapshot.price_level(price, label)
    query = Queries(
        version=snapshot.serves.version,
        rows=np.array([-1]),
        labels=np.array([label], dtype=object),
        price_levels=np.array([level]),
        embeddings=embeddings,
        histograms=histograms,
    )
    fields = {"product_id": None, "name": "photo", "label": label, "price": price, "price_level": level}
    return _encode(fields, snapshot.recommend(query, options))


def _encode_for_product(snapshot: Snapshot, row: int, recommendations: list[dict[str, Any]]) -> bytes:
    product = snapshot.products[row]
    return _encode({name: product[name] for name in SimilarQuery.model_fields}, recommendations)


def _encode(query: dict[str, Any], recommendations: list[dict[str, Any]]) -> bytes:
    return orjson.dumps({"query": query, "recommendations": recommendations})
