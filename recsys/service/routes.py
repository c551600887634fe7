"""The routes: recommendations, the catalogue, images, the page, probes and metrics."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from recsys.core.configuration import Recommend
from recsys.models.embedding.serving import serving
from recsys.service import schemas
from recsys.service.answers import SIMILAR_PATH
from recsys.service.dependencies import (
    Attributes,
    CurrentSnapshot,
    Level,
    PhotoBody,
    ProductId,
    State,
    Text,
    options_parser,
)
from recsys.service.problems import documented
from recsys.service.schemas import Details, Found, Label, Products, Rule, Shop, Similar
from recsys.service.snapshot import ProductFilters, SimilarOptions
from recsys.storage.store import Store, literal

PAGE_FOLDER = Path(__file__).parent / "page"
"""The page; its style and script are static files under /page."""

MAX_IMAGE_AGE_S = 300
"""Time for which a browser shows an image from its cache, seconds. After it, the browser revalidates the image."""

JSON = "application/json"
PHOTO_REQUEST: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
}
"""The entry of /openapi.json for a photo in the request body."""


router = APIRouter()
"""All routes but those for recommendations."""


@router.get("/labels")
async def labels(snapshot: CurrentSnapshot, state: State) -> Shop:
    """Return the labels, the most frequent first, and the default rule."""
    counts = snapshot.label_counts()
    rule = state.configuration.recommend
    return Shop(
        labels=[Label(label=label, products=count) for label, count in counts],
        unlabelled=len(snapshot.gallery) - sum(count for _, count in counts),
        products=len(snapshot.gallery),
        currency=snapshot.currency,
        knows_stock=snapshot.knows_stock,
        model=snapshot.serves.version,
        rule=Rule.model_validate(rule.model_dump(include=set(Rule.model_fields))),
    )


@router.get("/products")
def products(
    snapshot: CurrentSnapshot,
    q: Text = "",
    label: Text | None = None,
    price_level: Level | None = None,
    attribute: Attributes = [],  # noqa: B006  FastAPI copies it
    in_stock: bool = False,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    size: Annotated[int, Query(ge=1, le=200)] = 24,
) -> Products:
    """Return a page of the products that match `q`, best first: words in any order, also misspelled, or an id.

    Without `q`, all products in catalogue order.
    """
    levels = () if price_level is None else (price_level,)
    attributes = tuple(each.casefold() for each in attribute)
    rows = snapshot.search(q, ProductFilters(label, levels, attributes=attributes, in_stock=in_stock))
    page_rows = rows[(page - 1) * size : page * size]
    items = [Found.model_construct(**snapshot.products[row], why=why) for row, why in page_rows]
    return Products(total=len(rows), page=page, size=size, products=items)


@router.get("/products/{product_id:path}", responses=documented(404))
def product(product_id: ProductId, snapshot: CurrentSnapshot) -> Details:
    """Return a product."""
    row = snapshot.row(product_id)
    return Details(**snapshot.products[row], **snapshot.details(row))


@router.get("/images/{product_id:path}", response_class=Response, responses=documented(404))
def picture(product_id: ProductId, state: State, if_none_match: Annotated[str, Header()] = "") -> Response:
    """Return a product's squared image as JPEG, or 304 where the client has it already."""
    where = f"product_id = {literal(product_id)} AND status = 'ok'"
    rows = Store(state.home, read_only=True).read("images", ["image_digest", "jpeg"], where).to_pylist()
    if not rows:
        raise HTTPException(404, "there is no image of this product")
    etag = f'"{rows[0]["image_digest"]}"'
    headers = {"ETag": etag, "Cache-Control": f"public, max-age={MAX_IMAGE_AGE_S}"}
    client_tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    if client_tags & {etag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(rows[0]["jpeg"], media_type="image/jpeg", headers=headers)


@router.get("/", include_in_schema=False)
def page() -> Response:
    """Return the page."""
    return Response((PAGE_FOLDER / "index.html").read_bytes(), media_type="text/html; charset=utf-8")


@router.get("/health")
async def health() -> schemas.State:
    """Report that the process is alive."""
    return schemas.State(status="alive")


@router.get("/ready")
def ready(state: State) -> schemas.State:
    """Report that there are recommendations to serve."""
    if not Store(state.home, read_only=True).count(serving(state.home, state.configuration).recommendations):
        raise HTTPException(503, "the store has no recommendations yet; run 'recsys run' until it finishes")
    state.snapshots.current()
    return schemas.State(status="ready")


@router.get("/metrics", response_class=Response)
async def metrics(state: State) -> Response:
    """Return counters and times in Prometheus' text format."""
    if snapshot := state.snapshots.latest:
        state.metrics.snapshot.set(snapshot.number)
        state.metrics.products.set(len(snapshot.gallery))
    return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)


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
