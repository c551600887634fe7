"""Routes for recommendations: /products/{product_id}/similar, and /similar for a photo."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from recsys.core.configuration import Recommend
from recsys.service.answer_cache import SIMILAR_PATH
from recsys.service.dependencies import CurrentSnapshot, PhotoBody, ProductId, State, options_parser
from recsys.service.options import SimilarOptions
from recsys.service.problems import documented
from recsys.service.schemas import Similar

JSON = "application/json"
PHOTO_REQUEST: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
}
"""The entry of /openapi.json for a photo in the request body."""


def similar_router(default: Recommend) -> APIRouter:
    """Return the routes for recommendations.

    Args:
        default: the configured rule, whose values are the defaults of the query parameters.
    """
    router = APIRouter()
    parse_options = options_parser(default)

    @router.get(SIMILAR_PATH, responses=documented(404), response_model=Similar)
    async def similar_to_product(
        product_id: ProductId,
        snapshot: CurrentSnapshot,
        options: Annotated[SimilarOptions, Depends(parse_options)],
        state: State,
        request: Request,
    ) -> Response:
        """Recommend products that look like this one, in its colours, at its price level."""
        answer = await state.similar_to_product(snapshot, product_id, options)
        state.cache.put(snapshot, product_id, request.scope["query_string"], answer)
        return Response(answer, media_type=JSON)

    @router.post(
        "/similar", response_model=Similar, responses=documented(400, 408, 413, 415), openapi_extra=PHOTO_REQUEST
    )
    async def similar_to_photo(
        body: PhotoBody,
        snapshot: CurrentSnapshot,
        options: Annotated[SimilarOptions, Depends(parse_options)],
        state: State,
        price: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None,
    ) -> Response:
        """Recommend products that look like this photo, in its colours; with label and price, at its price level."""
        return Response(await state.similar_to_photo(snapshot, body, price, options), media_type=JSON)

    return router
