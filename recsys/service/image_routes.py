"""The route for product images: /images/{product_id}."""

from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Response

from recsys.service.dependencies import ProductId, State
from recsys.service.problems import documented
from recsys.storage.store import Store, literal

MAX_AGE_S = 300
"""Time for which a browser shows an image from its cache, seconds. After it, the browser revalidates the image."""

router = APIRouter()


@router.get("/images/{product_id:path}", response_class=Response, responses=documented(404))
def picture(product_id: ProductId, state: State, if_none_match: Annotated[str, Header()] = "") -> Response:
    """Return a product's squared image as JPEG, or 304 where the client has it already."""
    where = f"product_id = {literal(product_id)} AND status = 'ok'"
    rows = Store(state.home, read_only=True).read("images", ["image_digest", "jpeg"], where).to_pylist()
    if not rows:
        raise HTTPException(404, "there is no image of this product")
    etag = f'"{rows[0]["image_digest"]}"'
    headers = {"ETag": etag, "Cache-Control": f"public, max-age={MAX_AGE_S}"}
    client_tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    if client_tags & {etag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(rows[0]["jpeg"], media_type="image/jpeg", headers=headers)
