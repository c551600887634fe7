"""The answers to requests for similar products, as JSON."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from recsys.ranking.gallery import Queries
from recsys.ranking.single_query import photo_query
from recsys.service.schemas import SimilarQuery
from recsys.service.snapshot import SimilarOptions, Snapshot
from recsys.vision.square import square_photo

if TYPE_CHECKING:
    from recsys.service.snapshot import Snapshot
    from recsys.service.snapshot_holder import SnapshotHolder


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
    configuration, label = snapshot.configuration, options.filters.label
    image, level = square_photo(photo, configuration.images), snapshot.price_level(price, label)
    query = photo_query(image, snapshot.store.home, snapshot.serves, configuration, snapshot.gallery, label, level)
    fields = {"product_id": None, "name": "photo", "label": label, "price": price, "price_level": level}
    return _encode(fields, snapshot.recommend(query, options))


def _encode_for_product(snapshot: Snapshot, row: int, recommendations: list[dict[str, Any]]) -> bytes:
    product = snapshot.products[row]
    return _encode({name: product[name] for name in SimilarQuery.model_fields}, recommendations)


def _encode(query: dict[str, Any], recommendations: list[dict[str, Any]]) -> bytes:
    return orjson.dumps({"query": query, "recommendations": recommendations})


MAX_ANSWERS = 16_384
"""Number of cached answers, a few kilobytes each."""

SIMILAR_PATH = "/products/{product_id:path}/similar"
"""Path of the route whose answers are cached."""

SIMILAR_ROUTE = SimpleNamespace(path=SIMILAR_PATH)
"""The route that metrics and log name for an answer from the cache."""


class AnswerCache:
    """Encoded answers by snapshot, product and query string. The oldest is dropped first."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[int, str, bytes], bytes] = OrderedDict()

    def get(self, snapshot: Snapshot, product_id: str, query_string: bytes) -> bytes | None:
        """Return a cached answer; None where there is none."""
        return self._answers.get((snapshot.number, product_id, query_string))

    def put(self, snapshot: Snapshot, product_id: str, query_string: bytes, answer: bytes) -> bytes:
        """Store an answer and return it."""
        self._answers[snapshot.number, product_id, query_string] = answer
        while len(self._answers) > MAX_ANSWERS:
            self._answers.popitem(last=False)
        return answer


class CachedAnswers:
    """Middleware that answers GET requests for similar products from the cache and the stored recommendations.

    Most requests are of this kind. Routing and validation would take longer than the rest of such a request.
    """

    def __init__(self, app: ASGIApp, snapshots: SnapshotHolder, cache: AnswerCache) -> None:
        self._app, self._snapshots, self._cache = app, snapshots, cache

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._find(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if answer is None:
            await self._app(scope, receive, send)
        else:
            scope["route"] = SIMILAR_ROUTE
            await Response(answer, media_type="application/json")(scope, receive, send)

    def _find(self, scope: Scope) -> bytes | None:
        path, snapshot = scope["path"], self._snapshots.latest
        if snapshot is None or not (path.startswith("/products/") and path.endswith("/similar")):
            return None
        product_id = path.removeprefix("/products/").removesuffix("/similar")
        query_string = scope["query_string"]
        answer = self._cache.get(snapshot, product_id, query_string)
        if answer is None and not query_string and (row := snapshot.row_of.get(product_id)) is not None:
            answer = stored_answer(snapshot, row)
            if answer is not None:
                self._cache.put(snapshot, product_id, query_string, answer)
        return answer
